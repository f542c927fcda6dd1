"""Bytes → upright RGB pixels, or a reason. Nothing here raises or prints, whatever the bytes are.

What is guaranteed, and how:

* **Size.** Files over `max_file_bytes` and pictures that declare more than `max_pixels` are refused before a pixel is
  decoded; so are PNGs whose text or profiles unpack to much, and progressive JPEGs with absurdly many scans.
* **Time and memory.** JPEG, PNG and WebP of up to QUICK_PIXELS are decoded right here: they need no more than about a
  second, since the work for a pixel is bounded in these formats. Larger ones, and every other format, go to a helper
  process (`guard`) which the system ends after `timeout_s`, and whose memory is bounded. It also takes the blow
  of a decoder that crashes.
* **Strictness.** A picture whose decoder would have made up pixels is rejected, a harmless oddity is not.
* **No programs.** Formats that a reader would hand to another program (EPS, PDF, WMF) are refused as unsupported.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import simplejpeg

from secondlook.pipeline.core.decoding import guard, pillow
from secondlook.pipeline.core.decoding.outcome import (
    REASONS,
    Decoded,
    Limits,
    Rejected,
    upright,
    upright_size,
)
from secondlook.pipeline.core.decoding.sniff import Header, bare_png, jpeg_orientation, png_header, sniff, webp_header

__all__ = ["REASONS", "Decoded", "Limits", "Rejected", "decode"]

QUICK_PIXELS = 25_000_000  # about a second of PNG, the slowest of the three
SCANS_PER_PIXEL = 20  # progressive JPEGs have about 10 scans, each of them a pass over the whole picture
_JPEG_MODES = {"Gray": "L", "CMYK": "CMYK", "YCCK": "CMYK"}
# Warnings of libjpeg after which all pixels are still those of the file.
_HARMLESS = ("extraneous bytes", "unknown JFIF", "thumbnail", "Adobe", "Invalid SOS", "JFIF extension")


def decode(data: bytes, limits: Limits, *, min_side_px: int | None = None) -> Decoded | Rejected:
    """The picture in `data`, upright, as RGB; the first frame where there are several.

    With `min_side_px` the pixels may come at a reduced scale (by powers of two for JPEG, which is much faster) as long
    as the shorter side keeps at least that many; a smaller picture comes as it is. Never raises.
    """
    if not data:
        return Rejected("empty")
    if len(data) > limits.max_file_bytes:
        return Rejected("too large", f"{len(data)} bytes, {limits.max_file_bytes} are allowed")
    form = sniff(data)
    if isinstance(form, Rejected):
        return form
    quick = _QUICK.get(form)
    if quick is None:
        return guard.decode(form, data, limits, min_side_px=min_side_px)
    try:
        return quick(data, limits, min_side_px)
    except Exception as problem:  # noqa: BLE001 — hostile bytes find the case that nobody thought of
        return pillow.rejected(form, problem)


def _png(data: bytes, limits: Limits, min_side_px: int | None) -> Decoded | Rejected:
    header = png_header(data, limits)
    if isinstance(header, Header) and header.oddities:
        # Text, profiles and further frames are not for us, and broken ones would keep Pillow from the picture.
        data = bare_png(data)
    return _headed("PNG", header, data, limits, min_side_px)


def _webp(data: bytes, limits: Limits, min_side_px: int | None) -> Decoded | Rejected:
    return _headed("WEBP", webp_header(data), data, limits, min_side_px)


def _headed(
    form: str, header: Header | Rejected, data: bytes, limits: Limits, min_side_px: int | None
) -> Decoded | Rejected:
    if isinstance(header, Rejected):
        return header
    size = header.width * header.height
    if size > limits.max_pixels:
        return Rejected("decompression bomb", f"{form} declares {header.width} x {header.height} pixels")
    reader: Any = pillow.read if size <= QUICK_PIXELS else guard.decode
    outcome: Decoded | Rejected = reader(form, data, limits, min_side_px=min_side_px, orientation=header.orientation)
    return outcome


def _jpeg(data: bytes, limits: Limits, min_side_px: int | None) -> Decoded | Rejected:  # noqa: PLR0911 — a case each
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except ValueError:
        # A kind of JPEG that TurboJPEG does not know: lossless, arithmetic, 12 bits, odd sampling.
        return guard.decode("JPEG", data, limits, min_side_px=min_side_px, orientation=jpeg_orientation(data))
    size = height * width
    if size > limits.max_pixels:
        return Rejected("decompression bomb", f"JPEG declares {width} x {height} pixels")
    # Counted only where a file of this length could hold too many: a scan takes 10 bytes at least.
    few = SCANS_PER_PIXEL * min(limits.max_pixels, QUICK_PIXELS)
    scans = data.count(b"\xff\xda") if len(data) // 10 * size > few else 1
    if scans * size > SCANS_PER_PIXEL * limits.max_pixels:
        return Rejected("decompression bomb", f"JPEG of {width} x {height} pixels in {scans} scans")
    orientation = jpeg_orientation(data)
    mode = _JPEG_MODES.get(space, "RGB")
    if mode == "CMYK" or scans * size > SCANS_PER_PIXEL * QUICK_PIXELS or size > QUICK_PIXELS:
        return guard.decode("JPEG", data, limits, min_side_px=min_side_px, orientation=orientation)
    factor = jpeg_factor(min(width, height), min_side_px)
    scale: dict[str, int] = {"min_height": -(-height // factor), "min_width": -(-width // factor)} if factor > 1 else {}
    try:
        pixels = simplejpeg.decode_jpeg(data, **scale)
    except ValueError as problem:
        said = str(problem)
        if "remature end of JPEG" in said:
            return Rejected("truncated", said)
        if not any(words in said for words in _HARMLESS):
            return Rejected("corrupt", said)
        try:
            pixels = simplejpeg.decode_jpeg(data, strict=False, **scale)
        except ValueError:  # it is strict about headers even so
            return pillow.read("JPEG", data, limits, min_side_px=min_side_px, orientation=orientation)
    if orientation > 1:
        pixels = np.ascontiguousarray(upright(pixels, orientation))
        width, height = upright_size(width, height, orientation)
    return Decoded(pixels, "JPEG", mode, width, height, orientation)


def jpeg_factor(side_px: int, min_side_px: int | None) -> int:
    """The power of two up to 8 by which a JPEG's shorter side may shrink; other factors decode slower than none."""
    if min_side_px:
        for factor in (8, 4, 2):
            if -(-side_px // factor) >= min_side_px:
                return factor
    return 1


_QUICK: dict[str, Callable[[bytes, Limits, int | None], Decoded | Rejected]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
}
