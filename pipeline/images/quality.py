"""How a picture looks, in a few numbers that don't depend on its resolution.

All are measured on the working picture: shrunk by area averaging to at most WORKING_PX² pixels, never enlarged. What is
dark, blurred or empty at that size is so for the person who is asked for a label, and a 12-megapixel photograph and its
thumbnail get nearly the same numbers.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.uint8]

WORKING_PX = 256
_LEVELS = np.arange(256, dtype=np.float64)


@dataclass(frozen=True)
class Quality:
    """Brightness, its percentiles, contrast, channel means and deviations: 0 to 1 of the range of a channel.

    `blur` is the variance of the Laplacian (small is blurred), `entropy` that of the brightness histogram in bits.
    """

    brightness: float
    brightness_p05: float
    brightness_p99: float
    contrast: float
    blur: float
    entropy: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def working(pixels: Pixels) -> Pixels:
    """The picture (H, W, 3) shrunk to at most WORKING_PX² pixels with its shape kept; the same array if it is small."""
    height, width = pixels.shape[:2]
    scale = WORKING_PX / sqrt(width * height)
    if scale >= 1:
        return pixels
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def gray(pixels: Pixels) -> Gray:
    """Luma of ITU-R BT.601 (H, W) of RGB pixels (H, W, 3)."""
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)  # type: ignore[return-value]


def quality(pixels: Pixels, luma: Gray) -> Quality:
    """Numbers of a working picture: RGB pixels (H, W, 3) and their luma (H, W).

    Sharpness as the variance of the Laplacian: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield
    microscopy"; the kernel is the four-neighbor one, luma runs from 0 to 1.
    """
    mean, std = cv2.meanStdDev(pixels)
    (red, green, blue), (red_std, green_std, blue_std) = (mean.ravel() / 255).tolist(), (std.ravel() / 255).tolist()
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    shares = counts / luma.size
    brightness = float(shares @ _LEVELS)
    variance = max(float(shares @ (_LEVELS * _LEVELS)) - brightness * brightness, 0.0)
    reached = np.cumsum(shares)
    seen = shares[shares > 0]
    return Quality(
        brightness=brightness / 255,
        brightness_p05=int(np.searchsorted(reached, 0.05 - 1e-9)) / 255,
        brightness_p99=int(np.searchsorted(reached, 0.99 - 1e-9)) / 255,
        contrast=sqrt(variance) / 255,
        blur=laplacian_variance(luma),
        entropy=abs(float(-(seen * np.log2(seen)).sum())),
        mean=(red, green, blue),
        std=(red_std, green_std, blue_std),
    )


def laplacian_variance(luma: Gray) -> float:
    """Variance of the Laplacian of a gray picture (H, W) whose 0..255 stand for 0..1."""
    _, deviation = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S))
    return (float(deviation[0, 0]) / 255) ** 2


def min_side_px(width: int, height: int) -> int:
    """The shorter side that the working picture of a `width` x `height` picture needs."""
    scale = min(WORKING_PX / sqrt(width * height), 1.0)
    return ceil(min(width, height) * scale)
