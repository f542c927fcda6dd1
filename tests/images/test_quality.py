"""Brightness, contrast, sharpness and entropy: by hand, against slow definitions, and what they must not depend on."""

from math import log2
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFilter

from secondlook.pipeline.images.quality import (
    WORKING_PX,
    entropy_bits,
    gray,
    histogram,
    laplacian_variance,
    quality,
    working,
)

PICTURES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)))


@given(PICTURES)
@settings(max_examples=100, deadline=None)
def test_numbers_are_their_definitions(pixels: npt.NDArray[Any]) -> None:
    luma = gray(pixels)
    weighted = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma - weighted).max() <= 0.51
    found = quality(pixels, luma)
    values = sorted((luma / 255).ravel().tolist())
    n = len(values)
    shares = [values.count(value) / n for value in set(values)]
    assert found.brightness == pytest.approx(np.mean(values), abs=1e-9)
    assert found.contrast == pytest.approx(np.std(values), abs=1e-7)
    assert found.brightness_p01 == pytest.approx(values[-(-n // 100) - 1])
    assert found.brightness_p99 == pytest.approx(values[-(-n * 99 // 100) - 1])
    assert found.entropy == pytest.approx(-sum(share * log2(share) for share in shares), abs=1e-9)
    assert found.mean == pytest.approx(tuple((pixels / 255).mean(axis=(0, 1))), abs=1e-9)
    assert found.std == pytest.approx(tuple((pixels / 255).std(axis=(0, 1))), abs=1e-7)
    assert found.blur == pytest.approx(
        laplacian_variance(luma) / max(float(np.var(values)), 1 / 255**2), rel=1e-6, abs=1e-9
    )


@given(arrays.arrays(np.uint8, st.tuples(st.integers(3, 12), st.integers(3, 12))))
@settings(max_examples=50, deadline=None)
def test_laplacian_variance_is_its_definition(luma: npt.NDArray[Any]) -> None:
    values = luma / 255
    inside = [
        values[y - 1, x] + values[y + 1, x] + values[y, x - 1] + values[y, x + 1] - 4 * values[y, x]
        for y in range(1, luma.shape[0] - 1)
        for x in range(1, luma.shape[1] - 1)
    ]
    assert laplacian_variance(luma) == pytest.approx(np.var(inside), abs=1e-9)


def test_by_hand() -> None:
    flat = np.full((10, 10, 3), 51, np.uint8)
    found = quality(flat, gray(flat))
    assert (found.brightness, found.contrast, found.blur, found.entropy) == pytest.approx((0.2, 0, 0, 0))
    board = (np.indices((10, 10)).sum(axis=0) % 2 * 255).astype(np.uint8)
    both = quality(np.stack([board] * 3, axis=2), board)
    assert (both.brightness, both.contrast, both.entropy) == pytest.approx((0.5, 0.5, 1.0))
    assert laplacian_variance(board) == pytest.approx(16)  # ±4 everywhere
    assert laplacian_variance(np.zeros((2, 9), np.uint8)) == 0


def test_entropy_of_all_levels_is_eight_bits() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (histogram(levels) == 1).all()
    assert entropy_bits(histogram(levels)) == 8


@given(st.integers(1, 700), st.integers(1, 700))
@settings(max_examples=60, deadline=None)
def test_working_pictures_keep_their_shape_and_are_never_enlarged(width: int, height: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    h, w, _ = working(pixels).shape
    assert h <= height
    assert w <= width
    if width * height <= WORKING_PX**2:
        assert (h, w) == (height, width)
    else:
        assert h * w <= WORKING_PX**2 * 1.1 + max(h, w)
        assert abs(w / width - h / height) * min(width, height) <= 1.5 or min(h, w) == 1


def photograph(seed: int, side: int) -> Image.Image:
    """Something with detail at all scales, as photographs have (1/f noise)."""
    rng = np.random.default_rng(seed)
    y, x = (np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    spectrum = np.fft.fft2(rng.normal(size=(side, side))) / np.maximum(np.hypot(x, y), 1 / side)
    values = np.fft.ifft2(spectrum).real
    values = (values - values.mean()) / values.std() * 45 + 120
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")


def measured(image: Image.Image) -> npt.NDArray[Any]:
    pixels = working(np.asarray(image))
    found = quality(pixels, gray(pixels))
    return np.array([found.brightness, found.contrast, found.blur, found.entropy / 8])


@pytest.mark.parametrize("seed", range(3))
def test_resolution_does_not_count(seed: int) -> None:
    large = photograph(seed, 896)
    wanted = measured(large)
    for side in (448, 224):
        shrunk = measured(large.resize((side, side), Image.Resampling.BOX))
        assert shrunk == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_blur_falls_with_blur_and_not_with_light(seed: int) -> None:
    image = photograph(seed, 224)
    sharp = measured(image)[2]
    blurs = [measured(image.filter(ImageFilter.GaussianBlur(radius)))[2] for radius in (1, 2, 4, 8)]
    assert sharp > blurs[0] > blurs[1] > blurs[2] > blurs[3]
    assert blurs[2] < sharp / 20
    half_the_light = measured(image.point(lambda value: value // 2))[2]
    assert half_the_light == pytest.approx(sharp, rel=0.05)
