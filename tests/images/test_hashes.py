"""Perceptual hashes: against a slow and obvious definition, and what must not change them."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.fft import dct

from secondlook.pipeline.images.hashes import dhash, hamming, mirrored, mirrored_dhash, phash, small


def texture(seed: int, height: int = 112, width: int = 112) -> npt.NDArray[Any]:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def bits(value: int) -> list[int]:
    """The 64 bits of a signed integer, the most significant first."""
    return [(value % 2**64) >> (63 - i) & 1 for i in range(64)]


@given(arrays.arrays(np.uint8, (32, 32)))
@settings(max_examples=100, deadline=None)
def test_phash_is_its_definition(luma: npt.NDArray[Any]) -> None:
    low = dct(dct(luma.astype(float), axis=0), axis=1)[:8, :8].ravel()
    found = bits(phash(luma))
    for frequency, bit in zip(low - np.median(low), found, strict=True):
        # Rounding decides within a millionth of the largest frequency.
        assert abs(frequency) < 1e-6 * np.abs(low).max() + 1e-9 or bit == (frequency > 0)


def test_phash_is_nearly_that_of_imagehash() -> None:
    """imagehash 4.3 as published: Lanczos to 32 x 32, DCT-II, 8 x 8, above the median."""
    apart = []
    for seed in range(50):
        image = Image.fromarray(texture(seed, 150, 200))
        pixels = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS), dtype=float)
        low = dct(dct(pixels, axis=0), axis=1)[:8, :8]
        wanted = (low > np.median(low)).ravel()
        apart.append(sum(a != b for a, b in zip(bits(phash(small(np.asarray(image)))), wanted, strict=True)))
    assert np.mean(apart) < 2
    assert max(apart) <= 8


def test_dhash_by_hand() -> None:
    rising = np.tile(np.linspace(0, 248, 32).astype(np.uint8), (32, 1))
    assert dhash(rising) == -1  # every pixel is brighter than its left neighbor: 64 ones
    assert dhash(rising[:, ::-1]) == 0
    assert dhash(np.full((32, 32), 77, np.uint8)) == 0
    half = np.where(np.arange(32)[:, None] < 16, rising, rising[:, ::-1]).astype(np.uint8)
    assert bits(dhash(half)) == [1] * 32 + [0] * 32


def test_small_averages_areas() -> None:
    luma = texture(1, 64, 96)
    wanted = luma.reshape(32, 2, 32, 3).mean(axis=(1, 3))
    assert np.abs(small(luma) - wanted).max() <= 0.51
    assert small(texture(1, 32, 32)).shape == (32, 32)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (31, 33), (8, 8)])
def test_any_shape_has_hashes(shape: tuple[int, int]) -> None:
    tiny = small(np.full(shape, 90, np.uint8))
    assert tiny.shape == (32, 32)
    for value in (phash(tiny), dhash(tiny)):
        assert -(2**63) <= value < 2**63


@given(seed=st.integers(0, 10_000), factor=st.floats(0.4, 1.6), quality=st.integers(50, 95))
@settings(max_examples=40, deadline=None)
def test_resized_and_recompressed_pictures_are_near(seed: int, factor: float, quality: int) -> None:
    image = Image.fromarray(texture(seed, 160, 120))
    other = image.resize((round(120 * factor), round(160 * factor)), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    other.save(buffer, "JPEG", quality=quality)
    again = np.asarray(Image.open(buffer))
    assert hamming(phash(small(np.asarray(image))), phash(small(again))) <= 6


def test_different_pictures_are_far() -> None:
    hashes = np.array([phash(small(texture(seed))) for seed in range(60)])
    apart = hamming(hashes[:, None], hashes[None])[np.triu_indices(60, 1)]
    assert 28 < apart.mean() < 36
    assert apart.min() > 6


def test_brightness_and_contrast_do_not_count() -> None:
    for seed in range(20):
        luma = texture(seed)
        pale = (luma.astype(float) * 0.5 + 80).astype(np.uint8)
        assert hamming(phash(small(luma)), phash(small(pale))) <= 4


def test_mirrored_is_about_the_hash_of_the_mirror_image() -> None:
    apart = [
        int(hamming(mirrored(np.asarray(phash(small(texture(seed))), np.int64)), phash(small(texture(seed)[:, ::-1]))))
        for seed in range(50)
    ]
    assert np.mean(apart) < 6  # two unlike pictures differ in 32
    assert (mirrored(mirrored(np.array([5, -7]))) == [5, -7]).all()


@given(arrays.arrays(np.int64, 5), arrays.arrays(np.int64, 5))
@settings(max_examples=50)
def test_hamming_counts_bits(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> None:
    wanted = [
        sum(a != b for a, b in zip(bits(int(x)), bits(int(y)), strict=True)) for x, y in zip(one, other, strict=True)
    ]
    assert hamming(one, other).tolist() == wanted
    assert hamming(one[:, None], other[None]).shape == (5, 5)


def test_the_dhash_of_a_mirror_image_is_known_without_it() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        picture = small(rng.integers(0, 256, (64, 64), dtype=np.uint8))
        turned = np.ascontiguousarray(picture[:, ::-1])
        assert int(hamming(int(mirrored_dhash(np.array([dhash(picture)]))[0]), dhash(turned))) <= 3  # ties
    words = rng.integers(-(2**63), 2**63 - 1, 100)
    assert np.array_equal(mirrored_dhash(mirrored_dhash(words)), words)
