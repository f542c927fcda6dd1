"""A picture as annotators get it: what a browser shows, upright, and without what a file tells beside its pixels.

EXIF, comments and names of the original hold places, persons, and now and then the label. JPEG and PNG lose them without
a pixel being touched; every other file, and what browsers show wrong or not at all (TIFF, CMYK, 16 bits), is decoded and written anew.
"""

import io
from collections.abc import Iterator

from PIL import Image

from secondlook.pipeline.core.decode import Decoded, Limits, Rejected, decode
from secondlook.pipeline.core.decoding.sniff import bare_png

REFERENCE_PX = 192
SMALL_PX = 128 * 128  # pictures up to here are written without loss
LOSSY = frozenset({"JPEG", "WEBP", "AVIF", "JPEG2000"})
QUALITY = 95
_SOI, _EOI, _SOS, _COM, _APP14, _APP2, _APP0 = 0xD8, 0xD9, 0xDA, 0xFE, 0xEE, 0xE2, 0xE0


def for_eyes(data: bytes, limits: Limits) -> tuple[bytes, str] | Rejected:
    """Bytes and suffix of what is shown of a picture, or why it can't be."""
    found = decode(data, limits)
    if isinstance(found, Rejected):
        return found
    if found.format == "JPEG" and found.mode in {"L", "RGB"} and found.orientation == 1:
        bare = bare_jpeg(data)
        if bare is not None:
            return bare, ".jpg"
    if found.format == "PNG" and not found.mode.startswith("I") and found.orientation == 1:
        return bare_png(data), ".png"
    return _written(found)


def reference(data: bytes, limits: Limits) -> tuple[bytes, str] | Rejected:
    """A small copy of a picture, at most REFERENCE_PX wide and high, with its suffix; or why it can't be read."""
    found = decode(data, limits, min_side_px=REFERENCE_PX)
    if isinstance(found, Rejected):
        return found
    image = Image.fromarray(found.pixels)
    image.thumbnail((REFERENCE_PX, REFERENCE_PX), Image.Resampling.LANCZOS)
    return _encoded(image, lossless=image.width * image.height <= SMALL_PX // 4)


def _written(found: Decoded) -> tuple[bytes, str]:
    image = Image.fromarray(found.pixels)
    return _encoded(image, lossless=found.format not in LOSSY or found.width * found.height <= SMALL_PX)


def _encoded(image: Image.Image, *, lossless: bool) -> tuple[bytes, str]:
    stream = io.BytesIO()
    if lossless:
        image.save(stream, "PNG", optimize=False)
    else:
        image.save(stream, "JPEG", quality=QUALITY, subsampling=0)
    return stream.getvalue(), ".png" if lossless else ".jpg"


def bare_jpeg(data: bytes) -> bytes | None:
    """A JPEG with nothing but its pixels and its color profile, bit by bit the same picture; None where its segments can't be walked."""
    kept = bytearray(b"\xff\xd8")
    try:
        for marker, segment in _segments(data):
            if marker == _APP0:  # JFIF says the shape of a pixel; a thumbnail may follow it
                if segment[4:9] == b"JFIF\0" and len(segment) >= 18:
                    kept += b"\xff\xe0\x00\x10" + segment[4:16] + b"\0\0"
            elif marker == _APP2:
                kept += segment if segment[4:16] == b"ICC_PROFILE\0" else b""
            elif marker == _APP14 or not (0xE0 <= marker <= 0xEF or marker == _COM):
                kept += segment
    except (IndexError, ValueError):
        return None
    return bytes(kept)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and their segments after SOI; that of SOS goes on to the next marker, EOI is the last. What follows is none of the picture's."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker where one was expected")
        while data[at + 1] == 0xFF:
            at += 1
        marker = data[at + 1]
        if marker == _EOI:
            yield marker, b"\xff\xd9"
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise ValueError("a segment ends behind the file")
        if marker == _SOS:
            end = _scan_end(data, end)
        yield marker, data[at:end]
        at = end


def _scan_end(data: bytes, at: int) -> int:
    """Where the scan that begins here ends: at the next marker that is neither a stuffed byte nor a restart."""
    while True:
        at = data.index(b"\xff", at)
        if data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
            at += 2
        elif data[at + 1] == 0xFF:
            at += 1
        else:
            return at
