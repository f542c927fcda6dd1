"""Pictures are changed as the recipe says: against a definition that changes them one by one."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.learn.training.augment import augmented, changed, drawn
from secondlook.pipeline.learn.training.recipe import Recipe


def one_by_one(pictures: torch.Tensor, recipe: Recipe, seed: int) -> "np.ndarray[Any, Any]":
    """The same draws, applied to each picture with numpy."""
    n, _, side, _ = pictures.shape
    changes = drawn(n, side, recipe, torch.Generator().manual_seed(seed))
    most, size = round(recipe.shift * side), round(recipe.cut * side)
    out = []
    for i in range(n):
        picture = pictures[i].permute(1, 2, 0).numpy()
        if changes.moved is not None:
            down, right = changes.moved[:, i].tolist()
            padded = np.pad(picture, ((most, most), (most, most), (0, 0)), mode="reflect")
            picture = padded[down : down + side, right : right + side]
        if changes.mirrored is not None and changes.mirrored[i]:
            picture = picture[:, ::-1]
        if changes.lit is not None:
            bright, contrast, saturation = (float(value) for value in changes.lit[:, i])
            picture = picture.astype(np.float32) * bright
            picture = (picture - picture.mean()) * contrast + picture.mean()
            grey = picture.mean(axis=2, keepdims=True)
            picture = np.clip((picture - grey) * saturation + grey, 0, 255)
        if changes.cut is not None:
            down, right = changes.cut[:, i].tolist()
            picture = picture.copy()
            picture[down : down + size, right : right + size] = 128
        out.append(picture)
    return np.stack(out).transpose(0, 3, 1, 2)


@settings(max_examples=25)
@given(
    side=st.integers(4, 12),
    shift=st.sampled_from([0.0, 0.125, 0.25]),
    cut=st.sampled_from([0.0, 0.3, 1.0]),
    colour=st.sampled_from([0.0, 0.4]),
    flip=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_batch_is_changed_as_its_pictures_one_by_one(
    side: int, shift: float, cut: float, colour: float, flip: bool, seed: int
) -> None:
    recipe = Recipe(shift=shift, cut=cut, colour=colour, flip=flip)
    pictures = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (5, 3, side, side), dtype=np.uint8))
    got = augmented(pictures, recipe, torch.Generator().manual_seed(seed))
    np.testing.assert_allclose(got.numpy(), one_by_one(pictures, recipe, seed), atol=1e-3)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert colour or got.dtype == torch.uint8


@pytest.mark.parametrize("size", [2, 3])
def test_processes_change_their_shares_as_one_would_change_all(size: int) -> None:
    recipe = Recipe(colour=0.3, cut=0.2)
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (7, 3, 8, 8), dtype=np.uint8))
    changes = drawn(7, 8, recipe, torch.Generator().manual_seed(1))
    whole = changed(pictures, changes, recipe)
    for rank in range(size):
        part = slice(rank, None, size)
        assert torch.equal(changed(pictures[part], changes.of(part), recipe), whole[part])


def test_pictures_stay_as_they_are_where_nothing_is_to_change() -> None:
    pictures = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    recipe = Recipe(flip=False, shift=0, cut=0, colour=0)
    assert torch.equal(augmented(pictures, recipe, torch.Generator()), pictures)


def test_half_are_mirrored_and_each_is_moved_by_its_own_draw() -> None:
    changes = drawn(2000, 32, Recipe(), torch.Generator().manual_seed(0))
    assert changes.mirrored is not None
    assert changes.moved is not None
    assert 0.45 < changes.mirrored.float().mean() < 0.55
    assert set(changes.moved.flatten().tolist()) == set(range(9))
    assert not torch.equal(changes.moved[0], changes.moved[1])
