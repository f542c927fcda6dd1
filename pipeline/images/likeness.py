"""SL202, SL203: whether two pictures are the same one, by their pixels: shifted, cropped, recolored or mirrored, or not.

Perceptual hashes and embeddings propose; this decides. Both pictures are laid over one another: first by the best of
81 shifts in each orientation, then by an affine map that is refined until it fits (Evangelidis, Psarakis 2008,
"Parametric image alignment using enhanced correlation coefficient maximization", as in OpenCV). What then counts is how
far their colors correlate and how far their fine detail does: different pictures of one kind of thing share a
silhouette, hardly ever the detail. So detail on few and strong pixels, as a silhouette's before a plain sky, says less.
So does a mirrored fit, since few copies are mirrored and each pair has two tries.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Thumbnails = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float32]
Maps = npt.NDArray[np.floating]

SIDE_PX = 32
REACH_PX = 4  # shifts in each direction that are tried
CORE_PX = SIDE_PX - 2 * REACH_PX
BLUR_PX = 2.0  # detail is what a Gaussian of this width takes away
NOISE = 1.0  # variance in gray levels that is added to each picture's: below it there is nothing to correlate
HOPELESS = 0.15  # detail that correlates less at the best shift was never found to fit after the refinement
LEAST_OVERLAP = 0.5
MOST_ZOOM = 2.0  # of area, either way
# Weights on Fisher's scale, from a logistic regression on labels by eye: docs/results/leaks.md.
COLOR_WEIGHT, DETAIL_WEIGHT = 0.47, 0.53
MIRRORED_LESS = 0.32
SPREAD_WEIGHT, USUAL_SPREAD_PX = 0.26, 205.0
ENERGY_WEIGHT, USUAL_ENERGY = 0.17, 1319.0  # gray levels squared, red, green and blue together
STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
CHUNK = 1024  # pairs whose spectra are held at once
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)


class Likeness(NamedTuple):
    """How alike P pairs of pictures are, each (P,): correlations in -1..1 where they overlap best.

    `color` is of the pixels, `detail` of what is finer than a blur. `match` is the one number that decides: their mean on
    Fisher's scale, less where they were mirrored for it or the detail is that of a silhouette. `mirrored` says whether one of them was turned left to right.
    """

    match: Reals
    color: Reals
    detail: Reals
    mirrored: npt.NDArray[np.bool_]


def thumbnail(pixels: npt.NDArray[np.uint8]) -> Thumbnails:
    """A picture (H, W, 3) at 32 x 32 pixels, by area averages where it shrinks."""
    how = cv2.INTER_AREA if min(pixels.shape[:2]) >= SIDE_PX else cv2.INTER_LINEAR
    return cv2.resize(pixels, (SIDE_PX, SIDE_PX), interpolation=how)  # type: ignore[return-value]


def likeness(one: Thumbnails, other: Thumbnails, enough: float = 1.0) -> Likeness:
    """Compare pairs of thumbnails, (P, 32, 32, 3) both; a `match` that is `enough` without refinement is not refined."""
    assert one.shape == other.shape == (len(one), SIDE_PX, SIDE_PX, 3), (one.shape, other.shape)
    p = len(one)
    match, color, detail = (np.full(p, -1.0, np.float32) for _ in range(3))
    turned = np.zeros(p, np.bool_)
    for start in range(0, p, CHUNK):
        part = slice(start, min(start + CHUNK, p))
        coarse, mirrored, shifts = _best_shifts(_detail(one[part] @ _GRAY), _detail(other[part] @ _GRAY))
        turned[part] = mirrored
        for row in range(part.stop - part.start):
            if coarse[row] < HOPELESS:
                continue
            left, right = one[start + row], other[start + row]
            left = np.ascontiguousarray(left[:, ::-1]) if mirrored[row] else left
            fitted = _fit(left, right, shifts[row], MIRRORED_LESS * mirrored[row], enough)
            for column, value in zip((match, color, detail), fitted, strict=True):
                column[start + row] = value
    return Likeness(match, color, detail, turned)


def _blur() -> Reals:
    """The matrix B of a Gaussian blur with reflected borders: B @ picture @ B.T."""
    kernel = cv2.getGaussianKernel(17, BLUR_PX, cv2.CV_32F)
    return cv2.filter2D(np.eye(SIDE_PX, dtype=np.float32), -1, kernel, borderType=cv2.BORDER_REFLECT_101)  # type: ignore[return-value]


_BLUR = _blur()


def _detail(gray: Maps) -> Maps:
    """Gray pictures (P, 32, 32) without what a blur leaves of them."""
    return gray - _BLUR @ gray @ _BLUR.T


def _best_shifts(one: Maps, other: Maps) -> tuple[Maps, npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Where the core of `one`, as it is or mirrored, correlates best within `other`: correlation, mirrored, (P, 2) dy, dx."""
    spectrum = np.fft.rfft2(other)
    scale = np.sqrt(np.maximum(_window_energy(other), 0) + NOISE * CORE_PX**2)
    maps = np.stack([_correlations(picture, spectrum) / scale for picture in (one, one[:, :, ::-1])], axis=1)
    best = maps.reshape(len(one), -1).argmax(axis=1)
    orientation, at = np.divmod(best, (2 * REACH_PX + 1) ** 2)
    shifts = np.stack(np.divmod(at, 2 * REACH_PX + 1), axis=1) - REACH_PX
    return maps.reshape(len(one), -1)[np.arange(len(one)), best].astype(np.float32), orientation == 1, shifts


def _correlations(picture: Maps, spectrum: npt.NDArray[np.complexfloating]) -> Maps:
    """Sums of products of each picture's normed core with the other's window at each shift, (P, 9, 9)."""
    core = picture[:, REACH_PX:-REACH_PX, REACH_PX:-REACH_PX]
    core = core - core.mean(axis=(1, 2), keepdims=True)
    core /= np.sqrt((core * core).sum(axis=(1, 2), keepdims=True) + NOISE * CORE_PX**2)
    padded = np.zeros_like(picture)
    padded[:, :CORE_PX, :CORE_PX] = core
    product = np.fft.irfft2(np.conj(np.fft.rfft2(padded)) * spectrum, s=(SIDE_PX, SIDE_PX))
    return product[:, : 2 * REACH_PX + 1, : 2 * REACH_PX + 1]


def _window_energy(picture: Maps) -> npt.NDArray[np.float64]:
    """Squared deviations from their mean within each window of the core's size, (P, 9, 9)."""
    sums = []
    for values in (picture.astype(np.float64), picture.astype(np.float64) ** 2):
        table = np.zeros((len(picture), SIDE_PX + 1, SIDE_PX + 1))
        table[:, 1:, 1:] = values.cumsum(axis=1).cumsum(axis=2)
        c = CORE_PX
        sums.append(table[:, c:, c:] - table[:, :-c, c:] - table[:, c:, :-c] + table[:, :-c, :-c])
    return sums[1] - sums[0] ** 2 / CORE_PX**2


def _fit(one: Any, other: Any, shift: npt.NDArray[np.int64], less: float, enough: float) -> tuple[float, float, float]:
    """Match, color and detail of a pair laid over one another at a shift, or refined from there."""
    warp = np.array([[1, 0, shift[1]], [0, 1, shift[0]]], np.float32)
    at_shift = _overlaid(one, other, warp, less)
    if at_shift[0] >= enough:
        return at_shift
    gray = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (one, other)]
    try:
        refined = cv2.findTransformECC(gray[0], gray[1], warp, cv2.MOTION_AFFINE, STEPS, None, 3)[1]  # type: ignore[call-overload]
    except cv2.error:  # it says so where it does not converge, as on flat pictures
        return at_shift
    zoom = abs(float(np.linalg.det(refined[:, :2])))
    if not 1 / MOST_ZOOM <= zoom <= MOST_ZOOM:
        return at_shift
    return max(at_shift, _overlaid(one, other, refined, less))


def _overlaid(one: Any, other: Any, warp: Any, less: float) -> tuple[float, float, float]:
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(other, warp, (SIDE_PX, SIDE_PX), flags=how, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(np.ones(laid.shape[:2], np.float32), warp, (SIDE_PX, SIDE_PX), flags=how) > 0.99
    if inside.mean() < LEAST_OVERLAP:
        return -1.0, -1.0, -1.0
    left, right = one.astype(np.float32), laid.astype(np.float32)
    color = _correlation(left[inside], right[inside])
    fine = [picture - cv2.GaussianBlur(picture, (0, 0), BLUR_PX) for picture in (left, right)]
    detail = _correlation(fine[0][inside], fine[1][inside])
    fit = COLOR_WEIGHT * np.arctanh(color) + DETAIL_WEIGHT * np.arctanh(detail)
    return float(np.tanh(fit + _plainness(fine, inside) - less)), color, detail


def _plainness(fine: list[Maps], inside: npt.NDArray[np.bool_]) -> float:
    """What is taken away (0 or below, on Fisher's scale) where the detail of both lies on few and strong pixels."""
    energy = np.minimum(*((picture * picture).sum(axis=2)[inside] for picture in fine))
    spread = float(energy.sum()) ** 2 / max(float((energy * energy).sum()), 1e-6)  # pixels, were it the same on each
    by_spread = SPREAD_WEIGHT * np.log(max(spread, 1.0) / USUAL_SPREAD_PX)
    return float(min(0.0, by_spread - ENERGY_WEIGHT * np.log((float(energy.mean()) + 1) / USUAL_ENERGY)))


def _correlation(one: Maps, other: Maps) -> float:
    """Of two pictures' pixels (n, 3), each channel's mean taken away; short of 1, so that its arctanh is finite."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    noise = NOISE * one.size
    value = float((one * other).sum() / np.sqrt(((one * one).sum() + noise) * ((other * other).sum() + noise)))
    return min(max(value, -0.999), 0.999)
