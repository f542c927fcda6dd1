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

# Half of 224, so that JPEGs of the most common training size decode at half scale, twice as fast. CleanVision looks for
# blur at 64.
WORKING_PX = 112


@dataclass(frozen=True)
class Quality:
    """Brightness, its percentiles, contrast, channel means and deviations: 0 to 1 of the range of a channel.

    `blur` is the sharpness (small is blurred), `entropy` that of the brightness histogram in bits.
    """

    brightness: float
    brightness_p01: float
    brightness_p99: float
    contrast: float
    blur: float
    entropy: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


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
    """Numbers of a working picture: RGB pixels (H, W, 3) and their luma (H, W), both 0..255."""
    mean, std = (channel.ravel() / 255 for channel in cv2.meanStdDev(pixels))
    brightness, contrast = (value.item() / 255 for value in cv2.meanStdDev(luma))
    counts = histogram(luma)
    reached = counts.cumsum()
    total = int(reached[-1])
    p01, p99 = (reached.searchsorted((ceil(0.01 * total), ceil(0.99 * total))) / 255).tolist()
    return Quality(
        brightness=brightness,
        brightness_p01=p01,
        brightness_p99=p99,
        contrast=contrast,
        # Relative to the picture's own variance: half the light does not make a picture twice as blurred.
        blur=laplacian_variance(luma) / max(contrast * contrast, 1 / 255**2),
        entropy=entropy_bits(counts),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
    )


def histogram(luma: Gray) -> npt.NDArray[np.intp]:
    """How many pixels have each of the 256 levels."""
    return np.bincount(luma.ravel(), minlength=256)


def entropy_bits(counts: npt.NDArray[np.intp]) -> float:
    """Shannon entropy of a histogram, in bits: 0 for one level, 8 for all 256 alike."""
    shares = counts[counts > 0] / counts.sum()
    return abs(float(shares.dot(np.log2(shares))))


def laplacian_variance(luma: Gray) -> float:
    """Variance of the Laplacian of a gray picture (H, W) whose 0..255 stand for 0..1; 0 for one without an inside.

    Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy". Four neighbors, inner pixels only.
    """
    if min(luma.shape) < 3:
        return 0.0
    wide = luma.astype(np.int16)
    laplacian = wide[1:-1, :-2] + wide[1:-1, 2:]
    laplacian += wide[:-2, 1:-1]
    laplacian += wide[2:, 1:-1]
    laplacian -= 4 * wide[1:-1, 1:-1]
    # Twelve times as fast as numpy's var; squares are summed in double precision.
    mean: float = cv2.mean(laplacian)[0]  # type: ignore[index]
    return max(cv2.norm(laplacian, cv2.NORM_L2SQR) / laplacian.size - mean * mean, 0.0) / 255**2
