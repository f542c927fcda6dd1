"""Everything that one decode of a picture tells: a row of the table `fingerprints`."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.decode import Limits, Rejected, decode
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.images.hashes import dhash, phash, small
from secondlook.pipeline.images.quality import WORKING_PX, gray, quality, working


def fingerprint(data: bytes, limits: Limits) -> dict[str, object] | Rejected:
    """The columns of the table `fingerprints` without `seq` for a file's bytes, or why it can't be read. Never raises."""
    picture = decode(data, limits, min_side_px=WORKING_PX)
    if isinstance(picture, Rejected):
        return picture
    pixels = working(picture.pixels)
    luma = gray(pixels)
    seen = quality(pixels, luma)
    tiny = small(luma)
    return {
        "content_id": content_id(data),
        "format": picture.format,
        "mode": picture.mode,
        "width": picture.width,
        "height": picture.height,
        "orientation": picture.orientation,
        "size_bytes": len(data),
        "phash": phash(tiny),
        "dhash": dhash(tiny),
        "brightness": seen.brightness,
        "contrast": seen.contrast,
        "blur": seen.blur,
        "entropy": seen.entropy,
        "mean_r": seen.mean[0],
        "mean_g": seen.mean[1],
        "mean_b": seen.mean[2],
        "std_r": seen.std[0],
        "std_g": seen.std[1],
        "std_b": seen.std[2],
        "brightness_p01": seen.brightness_p01,
        "brightness_p99": seen.brightness_p99,
    }


@dataclass(frozen=True)
class ChannelStats:
    """Mean and standard deviation of red, green and blue over a dataset, in 0..1, of `n` pictures."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    n: int


def combined(mean: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> ChannelStats:
    """Mean and deviation of a dataset from those of its pictures, both (N, 3).

    Each picture counts the same whatever its size, as it does in training, where all are resized to one: the variance
    is the mean of the variances within pictures plus the variance of their means.
    """
    assert mean.shape == std.shape, (mean.shape, std.shape)
    if len(mean) == 0:
        nothing = (float("nan"),) * 3
        return ChannelStats(nothing, nothing, 0)
    center = mean.mean(axis=0)
    variance = (std**2).mean(axis=0) + ((mean - center) ** 2).mean(axis=0)
    r, g, b = center.tolist()
    return ChannelStats((r, g, b), (sqrt(variance[0]), sqrt(variance[1]), sqrt(variance[2])), len(mean))
