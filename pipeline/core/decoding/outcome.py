"""What decoding gives: pixels, or a reason from a closed list. `pipeline.core.decode` is the door to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

REASONS: dict[str, str] = {
    "unreadable": "the file could not be opened or read",
    "empty": "the file holds no bytes",
    "too large": "the file holds more bytes than [ingest] max_file_mb allows",
    "not an image": "the bytes begin like no picture format that we know",
    "unsupported": "the format is known, but it is not one that we decode",
    "truncated": "the picture ends before all of its pixels are there",
    "corrupt": "the picture is damaged: its decoder gave up, or would have made up pixels",
    "decompression bomb": "the picture declares more pixels, or unpacks to more bytes, than is allowed",
    "timeout": "decoding took longer than [ingest] decode_timeout_s",
    # These are never read: what their table says of them keeps them out.
    "attribute missing": "the picture lacks an attribute that [ingest] require asks for, such as consent or licence",
    "not permitted": "an attribute such as consent or licence has a value that [ingest] require does not allow",
}


@dataclass(frozen=True)
class Limits:
    """What one picture may cost. Sizes in bytes and pixels, time in seconds."""

    max_file_bytes: int = 64 * 2**20
    max_pixels: int = 100_000_000
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Rejected:
    """A picture that is not taken: `reason` is one of REASONS, `detail` says more, for people."""

    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        assert self.reason in REASONS, self.reason


@dataclass(frozen=True)
class Decoded:
    """A picture, upright.

    `pixels`: (h, w, 3) uint8, RGB, contiguous; they may be fewer than `width` x `height`, which are those of the full
    picture after its EXIF orientation (1 to 8, 1 is upright) was applied. `mode` is how the file holds its colors, in
    the names of Pillow (L, RGB, CMYK, I;16 …), or for JPEG L, RGB or CMYK.
    """

    pixels: Pixels
    format: str
    mode: str
    width: int
    height: int
    orientation: int


def upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """The stored pixels (H, W, …) turned and mirrored as EXIF orientation 1 to 8 says; a view where possible."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height after the EXIF orientation is applied."""
    return (height, width) if orientation >= 5 else (width, height)
