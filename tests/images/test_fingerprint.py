"""One decode gives a row of the table `fingerprints`."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from secondlook.pipeline.core.decode import Limits, Rejected
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.schemas import TABLES
from secondlook.pipeline.images.fingerprint import combined, fingerprint
from secondlook.pipeline.images.hashes import hamming

LIMITS = Limits()
Picture = Callable[..., bytes]


def printed(data: bytes) -> dict[str, Any]:
    found = fingerprint(data, LIMITS)
    assert isinstance(found, dict), found
    return found


def test_a_row_has_the_columns_and_types_of_the_table(picture: Picture) -> None:
    import pyarrow as pa

    data = picture(1, 60, 40, "JPEG")
    row = printed(data)
    schema = TABLES["fingerprints"].schema
    assert set(row) == set(schema.names) - {"seq"}
    assert pa.Table.from_pylist([{"seq": 1, **row}], schema).num_rows == 1
    assert all(type(value) in (int, float, str) for value in row.values()), "plain values: Arrow is slow on numpy's"
    assert row["content_id"] == content_id(data)
    facts = [row[name] for name in ("format", "mode", "width", "height", "orientation", "size_bytes")]
    assert facts == ["JPEG", "RGB", 60, 40, 1, len(data)]


def test_what_can_not_be_read_has_its_reason() -> None:
    outcome = fingerprint(b"no picture", LIMITS)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "not an image"


@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP", "TIFF"])
def test_the_format_does_not_count(picture: Picture, form: str) -> None:
    first = printed(picture(2, 300, 200, "PNG"))
    options = {"lossless": True} if form == "WEBP" else {}
    other = printed(picture(2, 300, 200, form, **options))
    for name in ("phash", "dhash", "width", "height"):
        assert other[name] == first[name]
    for name in ("brightness", "contrast", "blur", "entropy", "mean_r", "std_b"):
        assert other[name] == pytest.approx(first[name], rel=1e-2)


def test_a_jpeg_that_was_decoded_small_looks_like_the_whole_one(picture: Picture) -> None:
    """The decoder's own scaling is no area averaging, and yet all numbers stay near."""
    for side in (224, 448, 1500):
        data = picture(3, side, side, "JPEG", quality=95)
        buffer = io.BytesIO()
        Image.open(io.BytesIO(data)).save(buffer, "PNG")
        fast, slow = printed(data), printed(buffer.getvalue())
        assert hamming(fast["phash"], slow["phash"]) <= 2
        for name in ("brightness", "contrast", "entropy", "mean_g", "std_r"):
            assert fast[name] == pytest.approx(slow[name], rel=0.02), name
        assert 0.6 < fast["blur"] / slow["blur"] < 1.7  # thresholds are orders of magnitude apart


def test_orientation_does_not_count() -> None:
    image = Image.linear_gradient("L").resize((200, 120)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    plain, marked = io.BytesIO(), io.BytesIO()
    image.save(plain, "PNG")
    image.transpose(Image.Transpose.ROTATE_90).save(marked, "PNG", exif=exif)
    one, other = printed(plain.getvalue()), printed(marked.getvalue())
    changed = {name for name in one if one[name] != other[name]}
    assert changed == {"content_id", "orientation", "size_bytes"}


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(7), st.just(3))))
@settings(max_examples=60, deadline=None)
def test_combined_is_mean_and_deviation_of_all_pixels(pictures: npt.NDArray[Any]) -> None:
    values = pictures / 255
    found = combined(values.mean(axis=1), values.std(axis=1))
    assert found.mean == pytest.approx(tuple(values.mean(axis=(0, 1))), abs=1e-9)
    assert found.std == pytest.approx(tuple(values.std(axis=(0, 1))), abs=1e-9)
    assert found.n == len(pictures)


def test_combined_of_nothing_is_not_a_number() -> None:
    found = combined(np.empty((0, 3)), np.empty((0, 3)))
    assert found.n == 0
    assert np.isnan(found.mean).all()
    assert np.isnan(found.std).all()


def test_real_statistics_of_cifar10(shared_data: Callable[[str], object]) -> None:
    """The constants that everybody normalizes CIFAR-10 with: 0.4914 0.4822 0.4465, 0.2470 0.2435 0.2616."""
    import zipfile

    with zipfile.ZipFile(f"{shared_data('cifar10n')}/images-train.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))[::50]
        rows = [printed(archive.read(name)) for name in names]
    figures = np.array([[row[f"{what}_{channel}"] for what in ("mean", "std") for channel in "rgb"] for row in rows])
    found = combined(figures[:, :3], figures[:, 3:])
    assert found.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.012)
    assert found.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=0.006)
