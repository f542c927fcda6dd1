"""decode: bytes → upright RGB pixels, or a reason; nothing raises, prints, hangs or eats memory."""

import io
import json
import os
import random
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from collections.abc import Callable
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from secondlook.pipeline.core.decode import REASONS, Decoded, Limits, Rejected, decode, jpeg_factor
from secondlook.pipeline.core.decoding import guard
from secondlook.pipeline.core.decoding.sniff import PNG_SIGNATURE

LIMITS = Limits()
Shared = Callable[[str], Path]
Picture = Callable[..., bytes]


def read(data: bytes, **arguments: int) -> Decoded:
    outcome = decode(data, LIMITS, **arguments)
    assert isinstance(outcome, Decoded), outcome
    return outcome


def refused(data: bytes, limits: Limits = LIMITS) -> str:
    outcome = decode(data, limits)
    assert isinstance(outcome, Rejected), f"{outcome.format} {outcome.width} x {outcome.height} was decoded"
    return outcome.reason


def on_white(image: Image.Image) -> npt.NDArray[Any]:
    """The slow and obvious definition: what a viewer shows on a white page."""
    rgba = np.asarray(image.convert("RGBA")).astype(float)
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *extra: bytes, idat: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return PNG_SIGNATURE + header + b"".join(extra) + chunk(b"IDAT", idat or zlib.compress(b"\0")) + chunk(b"IEND", b"")


ORIENTED = np.kron(np.array([[10, 80, 160], [240, 120, 40]]), np.ones((16, 16), int)).astype(np.uint8)


def turned(orientation: int) -> Image.Image:
    """ORIENTED as a camera stores it that marks this EXIF orientation."""
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's names for the inverse of each
    image = Image.fromarray(ORIENTED).convert("RGB")
    return image if orientation == 1 else image.transpose(Image.Transpose(back[orientation]))


# Real files that break readers


def test_every_messy_file_is_decoded_or_rejected_and_nothing_is_printed(
    shared_data: Shared, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [path for path in sorted(shared_data("messy").rglob("*")) if path.is_file()]
    assert len(files) > 600
    guard._guard.close()  # the next helper inherits the standard error that is watched here
    for path in files:
        outcome = decode(path.read_bytes(), LIMITS)
        if isinstance(outcome, Rejected):
            assert outcome.reason in REASONS, path
        else:
            assert outcome.pixels.shape == (outcome.height, outcome.width, 3), path
            assert outcome.pixels.dtype == np.uint8, path
            assert outcome.pixels.flags.c_contiguous, path
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncated_jpeg.jpg", "truncated"),
        ("ultrahdr.jpg", "truncated"),
        ("broken_data_stream.png", "corrupt"),
        ("png_decompression_dos.png", "decompression bomb"),
        ("decompression_bomb.gif", "decompression bomb"),
        ("l2rgb_read.bmp", "decompression bomb"),
        ("cross_scan_line_truncated.tga", "truncated"),
        ("eps__non_zero_bb.eps", "unsupported"),
        ("drawing.wmf", "unsupported"),
        ("duplicate_xref_entry.pdf", "unsupported"),
        ("avif__hopper.heif", "unsupported"),
        ("crash-db8bfa78b19721225425530c5946217720d7df4e.sgi", "corrupt"),
        ("libtiff_segfault.tif", "corrupt"),
        ("bad_palette_entry.gpl", "not an image"),
        ("courB08.pil", "not an image"),
    ],
)
def test_known_offenders(shared_data: Shared, name: str, reason: str) -> None:
    assert refused((shared_data("messy") / "pillow" / f"Tests__images__{name}").read_bytes()) == reason


@pytest.mark.parametrize(
    ("name", "form", "mode", "size"),
    [
        ("pil_sample_cmyk.jpg", "JPEG", "CMYK", (100, 100)),
        ("16_bit_noise.tif", "TIFF", "I;16", (32, 32)),
        ("hopper.webp", "WEBP", "RGB", (128, 128)),
        ("photoshop-200dpi-broken.jpg", "JPEG", "RGB", (200, 200)),
        ("apng__chunk_no_fctl.png", "PNG", "RGBA", (128, 64)),
        ("unknown_compression_method.png", "PNG", "RGBA", None),
        ("tga__common__200x32_rgba_bl_raw.tga", "TGA", "RGBA", (200, 32)),
        ("hopper.Lab.tif", "TIFF", "LAB", (128, 128)),
        ("sugarshack_no_data.mpo", "JPEG", "RGB", None),
        ("avif__rot1mir0.avif", "AVIF", "RGB", None),
        ("hopper_8bit.ppm", "PPM", "RGB", (128, 128)),
    ],
)
def test_odd_but_whole_pictures_are_read(
    shared_data: Shared, name: str, form: str, mode: str, size: tuple[int, int] | None
) -> None:
    found = read((shared_data("messy") / "pillow" / f"Tests__images__{name}").read_bytes())
    assert (found.format, found.mode) == (form, mode)
    assert size is None or (found.width, found.height) == size


def test_pngsuite_broken_ones_are_rejected_and_all_others_look_as_on_a_page(shared_data: Shared) -> None:
    files = sorted((shared_data("messy") / "pngsuite").glob("*.png"))
    assert len(files) > 150
    for path in files:
        outcome = decode(path.read_bytes(), LIMITS)
        assert isinstance(outcome, Rejected) == path.name.startswith("x"), (path.name, outcome)
        if isinstance(outcome, Rejected):
            assert outcome.reason == "corrupt", path.name
            continue
        with Image.open(path) as image:
            sixteen = image.mode.startswith("I")
            wanted = np.asarray(image).astype(float)[..., None] / 257 if sixteen else on_white(image)
        assert np.abs(outcome.pixels - wanted).max() <= 1, path.name


def test_all_exif_orientations_show_the_same_picture(shared_data: Shared) -> None:
    for kind in ("Landscape", "Portrait"):
        stored = [
            read((shared_data("messy") / "exif-orientation" / f"{kind}_{n}.jpg").read_bytes()) for n in range(1, 9)
        ]
        assert [picture.orientation for picture in stored] == list(range(1, 9))
        for picture in stored[1:]:
            assert picture.pixels.shape == stored[0].pixels.shape
            # They were compressed one by one, and a number is drawn into each of them.
            assert np.abs(picture.pixels.astype(int) - stored[0].pixels).mean() < 12


# Made pictures


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_in_every_format_that_has_it(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}
    found = read(saved(turned(orientation), form, exif=exif, **options.get(form, {})))
    assert (found.width, found.height, found.orientation) == (48, 32, orientation)
    assert np.abs(found.pixels.astype(int) - ORIENTED[..., None]).max() <= (3 if form == "JPEG" else 0)


@pytest.mark.parametrize(
    "block",
    [struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, value) for value in (0, 9, 65_535)]
    + [struct.pack("<IHHHII", at, 1, 0x0112, 3, 1, 6) for at in (9, 2_000_000_000)]
    + [b"", b"\xff" * 30],
)
def test_a_senseless_orientation_is_upright(picture: Picture, block: bytes) -> None:
    block = b"Exif\0\0II*\0" + block
    data = picture(1, format="JPEG")
    marked = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    assert read(marked).orientation == 1


def test_transparent_pixels_show_white_whatever_color_hides_there() -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4] = (200, 10, 10, 255)
    rgba[4:] = (0, 0, 0, 0)
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        found = read(saved(Image.fromarray(rgba), form, **options)).pixels
        assert found[0, 0].tolist() == [200, 10, 10], form
        assert found[7, 7].tolist() == [255, 255, 255], form
    gray = Image.fromarray(np.stack([np.full((8, 8), 50, np.uint8), rgba[..., 3]], axis=2), "LA")
    assert read(saved(gray, "PNG")).pixels[[0, 7], 0].tolist() == [[50] * 3, [255] * 3]
    palette = Image.fromarray(rgba[..., :3]).quantize(4)
    clear = palette.getpixel((0, 7))
    assert read(saved(palette, "PNG", transparency=clear)).pixels[7, 7].tolist() == [255, 255, 255]


def test_sixteen_bits_and_floats_keep_their_upper_eight_bits() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for form in ("PNG", "TIFF"):
        assert (read(saved(Image.fromarray(ramp), form)).pixels[..., 0] == ramp >> 8).all(), form
    unit = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    for values in (unit, unit * 255):
        found = read(saved(Image.fromarray(values), "TIFF")).pixels[..., 0]
        assert np.abs(found - unit * 255).max() <= 0.51
    stretched = read(saved(Image.fromarray(unit * 4000 - 1000), "TIFF")).pixels[..., 0]
    assert np.abs(stretched - unit * 255).max() <= 0.51


def test_only_the_first_frame_counts() -> None:
    first, second = Image.new("RGB", (20, 10), (250, 0, 0)), Image.new("RGB", (20, 10), (0, 0, 250))
    for form in ("GIF", "TIFF", "WEBP", "PNG", "AVIF"):
        data = saved(first, form, save_all=True, append_images=[second])
        assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(data))))) == 2
        assert np.abs(read(data).pixels.astype(int) - (250, 0, 0)).max() < 8, form


def test_jpeg_has_the_pixels_of_pillow(picture: Picture) -> None:
    for options in ({"quality": 85}, {"quality": 60, "progressive": True}, {"mode": "L"}):
        data = picture(3, 97, 61, "JPEG", **options)
        wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        assert np.abs(read(data).pixels - wanted).max() <= 4


@given(width=st.integers(1, 400), height=st.integers(1, 400), side=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_a_reduced_scale_keeps_shape_and_shorter_side(width: int, height: int, side: int) -> None:
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    for form in ("JPEG", "PNG", "BMP"):
        found = read(saved(image, form), min_side_px=side)
        h, w, _ = found.pixels.shape
        assert (found.width, found.height) == (width, height)
        assert min(h, w) >= min(side, width, height)
        # One whole factor for both sides: the shape stays, up to rounding.
        assert any((-(-height // factor), -(-width // factor)) == (h, w) for factor in range(1, 401))


@given(side=st.integers(1, 3000), wanted=st.integers(1, 400))
@settings(max_examples=200)
def test_jpegs_shrink_as_far_as_they_may(side: int, wanted: int) -> None:
    allowed = [factor for factor in (1, 2, 4, 8) if ceil(side / factor) >= wanted]
    assert jpeg_factor(side, wanted) == max(allowed, default=1)
    assert jpeg_factor(side, None) == 1


def test_a_large_jpeg_is_decoded_small(picture: Picture) -> None:
    found = read(picture(5, 2000, 1000, "JPEG"), min_side_px=112)
    assert found.pixels.shape == (125, 250, 3)
    assert (found.width, found.height) == (2000, 1000)


# Broken pictures


def test_what_is_empty_large_or_no_picture() -> None:
    assert refused(b"") == "empty"
    assert refused(b"\xff\xd8\xff" * 100, Limits(max_file_bytes=299)) == "too large"
    for text in (b"a,b\n1,2\n", b"<html></html>", b"\0" * 100, bytes(range(256)), b"P", b"BMW drives by"[2:]):
        assert refused(text) == "not an image", text
    assert refused(b"<?xml version='1.0'?><svg></svg>") == "unsupported"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_that_was_cut_is_rejected_wherever_it_was_cut(picture: Picture, form: str) -> None:
    data = picture(4, 64, 48, form)
    rng = random.Random(0)  # noqa: S311 — a test, not a secret
    for at in [len(data) // 2, *(rng.randrange(40, len(data) - 16) for _ in range(20))]:
        assert refused(data[:at]) in ("truncated", "corrupt"), at
    assert refused(data[: len(data) // 2]) == "truncated"


def test_a_jpeg_without_its_last_bytes_is_truncated(picture: Picture) -> None:
    for progressive in (False, True):
        data = picture(4, 200, 200, "JPEG", progressive=progressive)
        assert refused(data[: len(data) * 3 // 4]) == "truncated"


def test_harmless_bytes_around_a_picture_are_ignored(picture: Picture) -> None:
    for form in ("JPEG", "PNG"):
        data = picture(6, format=form)
        assert (read(data + b"\0" * 100).pixels == read(data).pixels).all()
    data = picture(6, format="PNG")
    note = chunk(b"tEXt", b"Comment\0" + b"hello") + chunk(b"iCCP", b"broken\0\1nonsense")
    assert (read(data[:33] + note + data[33:]).pixels == read(data).pixels).all()


# Hostile pictures

BOMBS = {
    "png": png(60_000, 60_000),
    "png text": png(8, 8, *[chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 3_000_000)) for _ in range(40)]),
    "png profile": png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * 200_000_000, 9))),
    "png pieces": png(8, 8, chunk(b"tEXt", b"") * 100_001),
    "gif": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b",\0\0\0\0" + struct.pack("<HHB", 60_000, 60_000, 0) + b"\x08\0;",
    "webp": b"RIFF" + struct.pack("<I", 60) + b"WEBPVP8X" + struct.pack("<IB3x", 10, 0) + b"\xff\x3f\0" * 2 + bytes(40),
    "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "jpeg": b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 60_000, 60_000, 3) + b"\1\x22\0\2\x11\0\3\x11\0" + b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0" + bytes(64),
    "tiff": b"II*\0" + struct.pack("<IH", 8, 9) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 60_000), (279, 100))) + bytes(4),
    "ppm": b"P6 60000 60000 255\n",
    "jp2": b"\xff\x4f\xff\x51" + struct.pack(">HHIIIIIIIIH", 41, 0, 60_000, 60_000, 0, 0, 64, 64, 0, 0, 1) + b"\7\1\1",
}  # fmt: skip


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_the_limit_of_pixels_is_that_of_the_caller(picture: Picture, form: str) -> None:
    data = picture(1, 40, 30, form)
    assert refused(data, Limits(max_pixels=1199)) == "decompression bomb"
    assert isinstance(decode(data, Limits(max_pixels=1200)), Decoded)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str) -> None:
    assert refused(BOMBS[name]) == "decompression bomb"


def test_bombs_are_refused_before_their_memory_is_spent(tmp_path: Path) -> None:
    for name, data in BOMBS.items():
        (tmp_path / name).write_bytes(data)
    code = """
        import json, resource, sys
        from pathlib import Path
        from secondlook.pipeline.core.decode import Limits, Rejected, decode
        peak = lambda who: resource.getrusage(who).ru_maxrss / 1024
        files = [path.read_bytes() for path in Path(sys.argv[1]).iterdir()]
        before = peak(resource.RUSAGE_SELF)
        assert all(isinstance(decode(data, Limits()), Rejected) for data in files)
        from secondlook.pipeline.core.decoding import guard
        guard._guard.close()
        print(json.dumps([peak(resource.RUSAGE_SELF) - before, peak(resource.RUSAGE_CHILDREN)]))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=True
    )
    here_mb, helper_mb = json.loads(run.stdout)
    assert here_mb < 40
    assert helper_mb < 120
    assert run.stderr == ""


def test_a_jpeg_with_scans_without_end_is_refused(picture: Picture) -> None:
    data = picture(7, 256, 256, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    hostile = data[:last] + data[last:-2] * 400 + data[-2:]
    assert refused(hostile, Limits(max_pixels=256 * 256)) == "decompression bomb"
    assert isinstance(decode(data, Limits(max_pixels=256 * 256)), Decoded)


def test_time_is_bounded_inside_of_c_code_and_the_next_picture_is_read(picture: Picture) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500), dtype=np.uint8)
    slow = saved(Image.fromarray(noise), "JPEG2000")  # most of a second in one call into C
    started = time.monotonic()
    assert refused(slow, Limits(timeout_s=0.1)) == "timeout"
    assert time.monotonic() - started < 3
    assert read(picture(8, format="GIF")).width == 48


def test_large_pictures_of_quick_formats_are_bounded_in_time_too() -> None:
    large = png(9_000, 9_000, idat=zlib.compress(bytes(9_001) * 9_000))
    started = time.monotonic()
    assert refused(large, Limits(timeout_s=0.05)) == "timeout"
    assert time.monotonic() - started < 3
    found = read(large, min_side_px=100)
    assert (found.width, found.pixels.shape) == (9_000, (100, 100, 3))


def test_the_helper_may_die_at_any_time(picture: Picture) -> None:
    data = picture(9, format="BMP")
    wanted = read(data).pixels
    helper = guard._guard._helper
    assert helper is not None
    helper.kill()
    helper.wait()
    assert (read(data).pixels == wanted).all()


def test_a_crash_of_a_decoder_is_a_reason() -> None:
    slow = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 2000), dtype=np.uint8)), "JPEG2000")
    read(saved(Image.new("RGB", (4, 4)), "BMP"))
    helper = guard._guard._helper
    assert helper is not None
    with subprocess.Popen(["/bin/sh", "-c", f"sleep 0.15; kill -SEGV {helper.pid}"]):
        outcome = decode(slow, LIMITS)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "corrupt"
    assert "crashed" in outcome.detail


def _helper_pid(data: bytes) -> int:
    read(data)
    assert guard._guard._helper is not None
    return guard._guard._helper.pid


def test_a_forked_worker_gets_a_helper_of_its_own(picture: Picture) -> None:
    data = picture(10, format="BMP")
    ours = _helper_pid(data)
    with get_context("fork").Pool(1) as pool:
        assert pool.apply(_helper_pid, (data,)) != ours
    assert _helper_pid(data) == ours


def test_no_other_program_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "gs"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert refused(eps) == "unsupported"
    assert refused(b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, len(eps)) + bytes(18) + eps) == "unsupported"
    assert not (tmp_path / "ran").exists()


# Fuzz


def _damaged(data: bytes, rng: random.Random) -> bytes:
    broken = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 40))):
        at = rng.randrange(len(broken))
        kind = rng.randrange(4)
        if kind == 0:
            broken[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            broken[at] = rng.choice((0, 0xFF, rng.randrange(256)))
        elif kind == 2:
            del broken[at : at + rng.randrange(1, 16)]
        else:
            broken[at:at] = rng.randbytes(rng.randrange(1, 16))
        if not broken:
            break
    return bytes(broken)


def _fuzz(seed: int, rounds: int) -> None:
    rng = random.Random(seed)  # noqa: S311 — a test, not a secret
    image = Image.effect_noise((40, 30), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    forms = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "ICO", "PPM", "TGA", "PCX", "SGI"]
    seeds = [saved(image, form) for form in forms]
    seeds += [saved(image, form, exif=exif) for form in ("JPEG", "PNG", "WEBP")]
    seeds += [saved(image.convert("CMYK"), "JPEG"), saved(image, "JPEG", progressive=True)]
    limits = Limits(max_pixels=10_000_000, timeout_s=2)
    for _ in range(rounds):
        outcome = decode(_damaged(rng.choice(seeds), rng), limits, min_side_px=rng.choice((None, 16)))
        assert isinstance(outcome, (Decoded, Rejected))
        if isinstance(outcome, Decoded):
            assert outcome.pixels.ndim == 3
            assert outcome.pixels.size > 0


def test_damaged_pictures_never_raise(capfd: pytest.CaptureFixture[str]) -> None:
    _fuzz(0, 1500)
    assert capfd.readouterr() == ("", "")


@pytest.mark.soak
def test_damaged_pictures_never_raise_many(record: Callable[..., None]) -> None:
    _fuzz(1, 200_000)
    record("damaged pictures", n=200_000, raised=0)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_have_an_outcome(data: bytes) -> None:
    assert isinstance(decode(data, LIMITS), (Decoded, Rejected))
