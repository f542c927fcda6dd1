"""What bytes say about a picture before any pixel of it is decoded: format, size, orientation, and how hostile it is."""

import struct
import zlib
from dataclasses import dataclass

from secondlook.pipeline.core.decoding.outcome import Limits, Rejected

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PNG_CHUNKS = 100_000  # a 64 MB file of empty chunks would keep us busy for seconds
MAX_PNG_EXTRA_BYTES = 4 * 2**20  # unpacked text and color profiles together; the largest common profiles have 3 MB

# Formats that Pillow's plugins written in C read well. All of them begin with a signature, or TGA, see `_is_tga`.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (PNG_SIGNATURE, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"8BPS", "PSD"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"\x01\xda", "SGI"),
)
# Pictures, pages and films that we recognize and leave alone. EPS, PDF and WMF would run other programs.
_UNSUPPORTED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%!PS", "EPS"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"%PDF", "PDF"),
    (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (40, b" EMF", "EMF"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"\xd0\xcf\x11\xe0", "OLE (FPX, MIC or an office document)"),
    (0, b"gimp xcf", "XCF"),
    (128, b"DICM", "DICOM"),
    (0, b"/* XPM */", "XPM"),
    (4, b"\x11\xaf", "FLI"),
    (4, b"\x12\xaf", "FLC"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"BLP1", "BLP"),
    (0, b"BLP2", "BLP"),
    (0, b"icns", "ICNS"),
    (0, b"\x00\x00\x02\x00", "CUR"),
    (0, b"\x89HDF", "HDF5"),
    (0, b"AT&TFORM", "DjVu"),
    (0, b"Image type:", "IM"),
    (0, b"DanM", "MSP"),
    (0, b"LinS", "MSP"),
    (0, b"Pf\n", "PFM"),
    (0, b"PF\n", "PFM"),
    (0, b"P7 332", "XV thumbnail"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\x1aE\xdf\xa3", "Matroska video"),
)
# Brands of ISO files: what follows "ftyp", https://aomediacodec.github.io/av1-avif/#brands
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"mif2")


def sniff(data: bytes) -> str | Rejected:  # noqa: PLR0911 — a case each
    """Format of a file from its first bytes, never from its name; Rejected where it is none that we decode."""
    if data[:3] == b"\xff\xd8\xff":  # before the loop: by far the most common
        return "JPEG"
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _iso_brand(data)
    if _is_tga(data):  # before the table: a TGA may begin like a CUR
        return "TGA"
    for at, signature, name in _UNSUPPORTED:
        if data[at : at + len(signature)] == signature:
            return Rejected("unsupported", name)
    if len(data) > 2 and data[0] == 0x50 and data[1] in b"123456" and data[2] in b" \t\r\n#":
        return "PPM"
    if len(data) > 128 and data[0] == 10 and data[1] in (0, 2, 3, 5) and data[2] == 1 and data[3] in (1, 2, 4, 8):
        return "PCX"
    if b"IHDR" in data[:24]:
        return Rejected("corrupt", "the signature of PNG is damaged")
    if b"<svg" in data[:1024]:
        return Rejected("unsupported", "SVG")
    return Rejected("not an image", f"begins with {data[:8].hex(' ')}")


def _iso_brand(data: bytes) -> str | Rejected:
    size = int.from_bytes(data[:4], "big")
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(size, 256), 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    if any(brand in _HEIF_BRANDS for brand in brands):
        return Rejected("unsupported", "HEIF")
    return Rejected("unsupported", f"ISO media of brand {data[8:12]!r}")


def _is_tga(data: bytes) -> bool:
    """TGA has no signature: every field of its header must make sense."""
    if len(data) < 18:
        return False
    color_map, kind, map_size, width, height, depth, flags = struct.unpack_from("<xBB2xHx4xHHBB", data)
    return (
        color_map in (0, 1)
        and kind in (1, 2, 3, 9, 10, 11)
        and (color_map == 1) == (kind in (1, 9))
        and (color_map == 1 or map_size == 0)
        and width > 0
        and height > 0
        and depth in (8, 16, 24, 32)
        and flags & 0xC0 == 0
    )


def tiff_orientation(exif: bytes) -> int:
    """EXIF orientation 1 to 8 from a block of EXIF (a small TIFF); 1 where there is none or it makes no sense."""
    if exif[:6] == b"Exif\x00\x00":
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 14:
        return 1
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if start + 2 > len(exif):
        return 1
    (entries,) = struct.unpack_from(order + "H", exif, start)
    for at in range(start + 2, min(start + 2 + 12 * entries, len(exif) - 11), 12):
        tag, kind = struct.unpack_from(order + "HH", exif, at)
        if tag == 0x0112:
            (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), exif, at + 8)
            return value if 1 <= value <= 8 else 1
    return 1


def jpeg_orientation(data: bytes) -> int:
    """EXIF orientation of a JPEG, 1 where it has none."""
    if data.find(b"Exif\x00\x00") < 0:
        return 1
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in (0xD9, 0xDA):  # end of the picture, start of a scan: no more metadata
            break
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\x00\x00":
            return tiff_orientation(data[at + 10 : at + 2 + size])
        at += 2 + size
    return 1


@dataclass(frozen=True)
class Header:
    """Size in pixels as stored, and EXIF orientation; `oddities` where the file holds more than the picture."""

    width: int
    height: int
    orientation: int = 1
    oddities: bool = False


def png_header(data: bytes, limits: Limits) -> Header | Rejected:  # noqa: PLR0911 — a case each
    """Header of a PNG, after walking all of its chunks: check sums, the end, and what text and profiles unpack to."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        return Rejected("corrupt" if len(data) >= 33 else "truncated", "PNG without a header")
    width, height = struct.unpack_from(">II", data, 16)
    if width * height > limits.max_pixels:
        return Rejected("decompression bomb", f"PNG declares {width} x {height} pixels")
    at, orientation, extra, seen_data, odd = 8, 1, MAX_PNG_EXTRA_BYTES, False, False
    for _ in range(MAX_PNG_CHUNKS):
        if at + 12 > len(data):
            return Rejected("truncated", "PNG without an end")
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + size
        if end + 4 > len(data):
            return Rejected("truncated", f"PNG ends inside of a chunk {kind!r}")
        if kind[0] & 0x20 == 0:  # a critical chunk
            if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                return Rejected("corrupt", f"check sum of a PNG chunk {kind!r}")
            if kind == b"IEND":
                return (
                    Header(width, height, orientation, odd) if seen_data else Rejected("corrupt", "PNG without pixels")
                )
            seen_data |= kind == b"IDAT"
        elif kind != b"tRNS":
            odd = True
            if kind == b"eXIf":
                orientation = tiff_orientation(data[at + 8 : end])
            elif kind in (b"zTXt", b"iTXt", b"iCCP"):
                extra -= _unpacked_bytes(kind, data[at + 8 : end], extra)
                if extra < 0:
                    return Rejected("decompression bomb", f"PNG chunk {kind!r} unpacks to too much")
        at = end + 4
    return Rejected("decompression bomb", f"PNG with more than {MAX_PNG_CHUNKS} chunks")


def bare_png(data: bytes) -> bytes:
    """A PNG that `png_header` accepted, with only what its first picture's pixels need."""
    at, kept = 8, [PNG_SIGNATURE]
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if kind[0] & 0x20 == 0 or kind == b"tRNS":
            kept.append(data[at:end])
        if kind == b"IEND":
            break
        at = end
    return b"".join(kept)


def _unpacked_bytes(kind: bytes, body: bytes, most: int) -> int:
    """How many bytes a chunk's compressed text or profile unpacks to, counted up to a little over `most`."""
    _, _, packed = body.partition(b"\x00")
    if kind == b"iTXt":
        if packed[:1] != b"\x01":
            return len(packed)
        packed = packed[2:].partition(b"\x00")[2].partition(b"\x00")[2]
    else:
        packed = packed[1:]
    try:
        return len(zlib.decompressobj().decompress(packed, most + 1))
    except zlib.error:
        return 0  # broken metadata: the picture may be whole, its decoder will tell


def webp_header(data: bytes) -> Header | Rejected:
    """Header of a WebP: size of the canvas, and the orientation of its EXIF block. Source: RFC 9649."""
    declared = 8 + int.from_bytes(data[4:8], "little")
    if declared > len(data) + 1:  # some writers leave out the padding byte
        return Rejected("truncated", f"WebP has {len(data)} of {declared} bytes")
    kind, body = data[12:16], data[20:50]
    if len(body) < 10:
        return Rejected("truncated", "WebP without a header")
    if kind == b"VP8X":
        width, height = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        return Header(width, height, _webp_orientation(data) if body[0] & 0x08 else 1)
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return Header(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return Header(width & 0x3FFF, height & 0x3FFF)
    return Rejected("corrupt", f"WebP begins with a chunk {kind!r}")


def _webp_orientation(data: bytes) -> int:
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind == b"EXIF":
            return tiff_orientation(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return 1
