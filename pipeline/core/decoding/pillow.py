"""Pictures through Pillow: one plugin a format, never the search over all plugins, some of which run other programs."""

import importlib
import io
import re
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from secondlook.pipeline.core.decoding.outcome import Decoded, Limits, Pixels, Rejected, upright, upright_size

# Format → (module of Pillow, class in it).
PLUGINS: dict[str, tuple[str, str]] = {
    "JPEG": ("JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PngImagePlugin", "PngImageFile"),
    "WEBP": ("WebPImagePlugin", "WebPImageFile"),
    "GIF": ("GifImagePlugin", "GifImageFile"),
    "BMP": ("BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("TiffImagePlugin", "TiffImageFile"),
    "AVIF": ("AvifImagePlugin", "AvifImageFile"),
    "JPEG2000": ("Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "ICO": ("IcoImagePlugin", "IcoImageFile"),
    "PPM": ("PpmImagePlugin", "PpmImageFile"),
    "TGA": ("TgaImagePlugin", "TgaImageFile"),
    "PCX": ("PcxImagePlugin", "PcxImageFile"),
    "SGI": ("SgiImagePlugin", "SgiImageFile"),
    "PSD": ("PsdImagePlugin", "PsdImageFile"),
    "DDS": ("DdsImagePlugin", "DdsImageFile"),
    "QOI": ("QoiImagePlugin", "QoiImageFile"),
}
_TRUNCATED = re.compile(
    r"truncated|unexpected end|end of (file|stream|data)|not enough|eof|buffer is not large|requires a buffer|incomplete",
    re.IGNORECASE,
)
_BOMB = re.compile(r"bomb|decompressed data too large|too much memory|exceeds? limit|broken file size", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|unknown (pixel|image|file)|unimplemented|cannot handle", re.IGNORECASE
)


def read(
    form: str, data: bytes, limits: Limits, *, min_side_px: int | None = None, orientation: int | None = None
) -> Decoded | Rejected:
    """The first frame of a picture of format `form`, a key of PLUGINS.

    `orientation`: EXIF orientation where the caller knows it, else it is looked up. With `min_side_px` the picture is
    shrunk by a whole factor as long as its shorter side stays at least that.
    """
    module, name = PLUGINS[form]
    try:
        opener = cast(Callable[[Any], Image.Image], getattr(importlib.import_module(f"PIL.{module}"), name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with opener(io.BytesIO(data)) as image:
                return _frame(form, image, limits, min_side_px, orientation)
    except Exception as problem:  # noqa: BLE001 — plugins raise nearly everything on broken files
        return rejected(form, problem)


def _frame(
    form: str, image: Image.Image, limits: Limits, min_side_px: int | None, orientation: int | None
) -> Decoded | Rejected:
    width, height = image.size
    if width * height > limits.max_pixels:
        return Rejected("decompression bomb", f"{form} declares {width} x {height} pixels")
    if orientation is None:
        orientation = _orientation(image)
    mode = image.mode
    image.load()
    if image.width * image.height > limits.max_pixels:  # an ICO's picture need not have the size of its directory
        return Rejected("decompression bomb", f"{form} holds {image.width} x {image.height} pixels")
    width, height = image.size
    # Pillow turns TIFF itself while it loads.
    turn = 1 if form == "TIFF" else orientation
    rgb = as_rgb(image)
    factor = max(min(rgb.size) // min_side_px, 1) if min_side_px else 1
    if factor > 1:
        rgb = rgb.reduce(factor)
    pixels = np.ascontiguousarray(upright(np.asarray(rgb), turn))
    width, height = upright_size(width, height, turn)
    return Decoded(pixels, form, mode, width, height, orientation)


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 — broken metadata of a picture that may be whole
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def as_rgb(image: Image.Image) -> Image.Image:
    """Any mode of Pillow as RGB. Transparent pixels show white, as on a page; 16 bits keep their upper 8."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "LAB":
        turned = ImageCms.applyTransform(
            image,
            ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"),
        )
        assert turned is not None
        return turned
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        if rgba.getchannel("A").getextrema() == (255, 255):
            return rgba.convert("RGB")
        page = Image.new("RGB", rgba.size, "white")
        page.paste(rgba, mask=rgba)
        return page
    return image.convert("RGB")


def _eight_bits(values: "np.ndarray[Any, Any]") -> Pixels:
    """Gray values of more than 8 bits as 0..255.

    Integers are taken as 16 bits; floats as 0..1 where they fit, else as 0..255; values beyond are stretched from the
    least to the largest, since nothing says what their white is.
    """
    if values.dtype.kind in "iu" and values.size and values.min() >= 0 and values.max() <= 0xFFFF:
        return (values >> 8).astype(np.uint8)
    real = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = (float(real.min()), float(real.max())) if real.size else (0.0, 0.0)
    if low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    return ((real - low) * (255.0 / max(high - low, 1e-12))).round().clip(0, 255).astype(np.uint8)


def rejected(form: str, problem: BaseException) -> Rejected:
    """The reason that stands behind what a plugin of Pillow raised."""
    said = f"{form}: {' '.join(str(problem).split()) or type(problem).__name__}"[:200]
    if isinstance(problem, (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return Rejected("decompression bomb", said)
    if _BOMB.search(said):
        return Rejected("decompression bomb", said)
    if isinstance(problem, EOFError) or _TRUNCATED.search(said):
        return Rejected("truncated", said)
    if isinstance(problem, NotImplementedError) or (
        _UNSUPPORTED.search(said) and not isinstance(problem, UnidentifiedImageError)
    ):
        return Rejected("unsupported", said)
    return Rejected("corrupt", said)
