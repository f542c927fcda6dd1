"""Pictures as annotators get them: the same pixels, without what a file tells beside them."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, PngImagePlugin

from secondlook.labeling.studio.pictures import REFERENCE_PX, bare_jpeg, for_eyes, reference
from secondlook.pipeline.core.decode import Decoded, Limits, Rejected, decode

LIMITS = Limits()
SECRET = b"a cat at 48.2 N"


def image(mode: str = "RGB", size: tuple[int, int] = (70, 50)) -> Image.Image:
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC).convert(mode)


def saved(picture: Image.Image, form: str, **how: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **how)
    return stream.getvalue()


def tagged(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = SECRET.decode(), orientation
    return exif


def text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", SECRET.decode())
    return info


def pixels(data: bytes) -> npt.NDArray[np.uint8]:
    found = decode(data, LIMITS)
    assert isinstance(found, Decoded)
    return found.pixels


JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {"quality": 80},
    "progressive": {"quality": 80, "progressive": True},
    "restarts": {"quality": 80, "restart_marker_rows": 1},
    "profile": {"quality": 80, "icc_profile": b"p" * 70_000},
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_loses_its_metadata_and_not_a_bit_of_its_picture(kind: str, mode: str) -> None:
    data = saved(image(mode), "JPEG", comment=SECRET, exif=tagged(), xmp=b"<x>" + SECRET + b"</x>", **JPEGS[kind])
    shown = for_eyes(data + b"\0appended " + SECRET, LIMITS)
    assert not isinstance(shown, Rejected)
    assert shown[1] == ".jpg"
    assert SECRET in data
    assert SECRET not in shown[0]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown[0]))), np.asarray(Image.open(io.BytesIO(data))))
    assert Image.open(io.BytesIO(shown[0])).info.get("icc_profile") == JPEGS[kind].get("icc_profile")


def test_a_png_loses_its_text() -> None:
    data = saved(image(), "PNG", pnginfo=text(), exif=tagged())
    shown = for_eyes(data, LIMITS)
    assert not isinstance(shown, Rejected)
    assert SECRET in data
    assert SECRET not in shown[0]
    assert np.array_equal(pixels(shown[0]), pixels(data))


SIXTEEN = Image.fromarray((np.arange(70 * 50, dtype=np.uint16) * 18).reshape(50, 70))
OTHERS: dict[str, Callable[[], bytes]] = {
    "turned JPEG": lambda: saved(image(), "JPEG", exif=tagged(6)),
    "turned PNG": lambda: saved(image(), "PNG", exif=tagged(3)),
    "CMYK": lambda: saved(image("CMYK"), "JPEG", exif=tagged()),
    "TIFF": lambda: saved(image(), "TIFF", description=SECRET.decode()),
    "16 bits": lambda: saved(SIXTEEN, "PNG", pnginfo=text()),
    "WebP": lambda: saved(image(), "WEBP", exif=tagged().tobytes(), lossless=True),
    "BMP": lambda: saved(image(), "BMP"),
    "GIF": lambda: saved(image(), "GIF", comment=SECRET),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_browsers_show_wrong_is_written_anew_upright(kind: str) -> None:
    data = OTHERS[kind]()
    shown = for_eyes(data, LIMITS)
    assert not isinstance(shown, Rejected)
    assert shown[1] == ".png", "small pictures are written without loss"
    assert SECRET not in shown[0]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown[0]))), pixels(data))


def test_a_large_lossy_picture_stays_lossy_and_near() -> None:
    data = saved(image("CMYK", (800, 600)), "JPEG", quality=90)
    shown = for_eyes(data, LIMITS)
    assert not isinstance(shown, Rejected)
    assert shown[1] == ".jpg"
    assert np.abs(pixels(shown[0]).astype(int) - pixels(data)).mean() < 1.5


def test_a_reference_is_small_and_keeps_its_shape() -> None:
    shown = reference(saved(image(size=(900, 300)), "JPEG", exif=tagged()), LIMITS)
    assert not isinstance(shown, Rejected)
    assert Image.open(io.BytesIO(shown[0])).size == (REFERENCE_PX, REFERENCE_PX // 3)
    assert SECRET not in shown[0]


@pytest.mark.parametrize("data", [b"", b"no picture", saved(image(), "JPEG")[:400]])
def test_what_is_no_picture_has_a_reason(data: bytes) -> None:
    assert isinstance(for_eyes(data, LIMITS), Rejected)
    assert isinstance(reference(data, LIMITS), Rejected)


def test_broken_segments_are_no_reason_to_fail() -> None:
    good = saved(image(), "JPEG", comment=SECRET)
    for cut in range(2, len(good), 7):
        assert bare_jpeg(good[:cut]) is None
    assert bare_jpeg(good[:20] + b"\0" + good[20:]) is None
