"""Whether two pictures are the same one: shifted, zoomed, recolored and mirrored copies are, similar scenes are not."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.images import likeness as kernel
from secondlook.pipeline.images.likeness import SIDE_PX, Thumbnails, likeness, thumbnail

COPY, OTHER = 0.72, 0.6


def scene(seed: int, px: int = 96) -> Thumbnails:
    """Smooth blobs of color with some texture: unlike for each seed."""
    rng = np.random.default_rng(seed)
    rough = cv2.resize(rng.random((12, 12, 3)), (px, px), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.random((px // 4, px // 4, 3)), (px, px), interpolation=cv2.INTER_CUBIC)
    return (255 * np.clip(0.7 * rough + 0.3 * fine, 0, 1)).astype(np.uint8)


def compared(one: Thumbnails, other: Thumbnails) -> tuple[float, bool]:
    found = likeness(thumbnail(one)[None], thumbnail(other)[None])
    return float(found.match[0]), bool(found.mirrored[0])


CHANGES: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda p: p,
    "resized": lambda p: cv2.resize(p, (61, 55), interpolation=cv2.INTER_AREA),
    "shifted": lambda p: np.roll(p, (6, -6), axis=(0, 1)),
    "cropped": lambda p: p[8:90, 4:86],
    "brighter, less contrast": lambda p: (p * 0.6 + 90).astype(np.uint8),
    "noisy": lambda p: np.clip(p + np.random.default_rng(0).normal(0, 12, p.shape), 0, 255).astype(np.uint8),
    "recompressed": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1),
    "a logo": lambda p: np.where(np.indices(p.shape)[:2].max(axis=0) < 10, 255, p).astype(np.uint8),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_matches_and_says_whether_it_is_mirrored(change: str, turned: bool) -> None:
    for seed in range(4):
        original = scene(seed)
        copy = CHANGES[change](original)
        match, mirrored = compared(original, np.ascontiguousarray(copy[:, ::-1]) if turned else copy)
        assert match >= COPY
        assert mirrored == turned


def test_other_scenes_do_not_match() -> None:
    scenes = np.stack([thumbnail(scene(seed)) for seed in range(40)])
    one, other = np.triu_indices(40, 1)
    assert likeness(scenes[one], scenes[other]).match.max() < OTHER


def test_of_two_that_are_laid_out_alike_the_one_with_the_same_detail_matches_better() -> None:
    rough, *fine = (np.random.default_rng(seed).random((px, px, 3)) for seed, px in ((3, 4), (1, 32), (2, 32)))
    layout = cv2.resize(rough, (96, 96), interpolation=cv2.INTER_CUBIC)
    one, other = (0.6 * layout + 0.4 * cv2.resize(noise, (96, 96), interpolation=cv2.INTER_CUBIC) for noise in fine)
    pictures = [thumbnail((255 * np.clip(picture, 0, 1)).astype(np.uint8)) for picture in (one, other, 0.7 * one)]
    assert compared(pictures[0], pictures[1])[0] < COPY < compared(pictures[0], pictures[2])[0]


def test_pictures_without_anything_in_them_match_nothing_and_break_nothing() -> None:
    black, white, dim = (np.full((SIDE_PX, SIDE_PX, 3), value, np.uint8) for value in (0, 255, 3))
    dim[3, 4] = 4
    pictures = np.stack([black, white, dim, thumbnail(scene(1))])
    one, other = np.meshgrid(np.arange(4), np.arange(4))
    found = likeness(pictures[one.ravel()], pictures[other.ravel()])
    assert np.isfinite(found.match).all()
    unlike = (one.ravel() < 3) | (other.ravel() < 3)
    assert (found.match[unlike] < OTHER).all()


def test_no_pairs() -> None:
    nothing = np.zeros((0, SIDE_PX, SIDE_PX, 3), np.uint8)
    assert len(likeness(nothing, nothing).match) == 0


def test_the_best_shift_is_that_of_trying_all_of_them() -> None:
    rng = np.random.default_rng(1)
    one, other = (rng.normal(0, 20, (6, SIDE_PX, SIDE_PX)).astype(np.float32) for _ in range(2))
    other[:3] = np.roll(one[:3], (2, -3), axis=(1, 2))
    other[2] = other[2][:, ::-1]
    best, mirrored, shifts = kernel._best_shifts(one, other)
    reach, core = kernel.REACH_PX, kernel.CORE_PX
    for row in range(6):
        tried = {}
        for turned in (False, True):
            left = one[row][:, ::-1] if turned else one[row]
            left = left[reach:-reach, reach:-reach]
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    right = other[row][reach + dy : reach + dy + core, reach + dx : reach + dx + core]
                    tried[turned, dy, dx] = np.corrcoef(left.ravel(), right.ravel())[0, 1]
        at = max(tried, key=lambda place: tried[place])
        assert (bool(mirrored[row]), *shifts[row].tolist()) == at
        assert best[row] == pytest.approx(tried[at], abs=0.01)  # a little noise is added
    assert shifts[:2].tolist() == [[2, -3], [2, -3]]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_turning_one_of_them_turns_the_answer(one: int, other: int) -> None:
    left, right = thumbnail(scene(one)), thumbnail(scene(other))
    as_is, turned = (likeness(picture[None], right[None]) for picture in (left, left[:, ::-1]))
    assert turned.color == pytest.approx(as_is.color, abs=1e-3)
    assert turned.detail == pytest.approx(as_is.detail, abs=1e-3)
    if as_is.detail[0] > 0:
        assert turned.mirrored[0] != as_is.mirrored[0]
        assert (turned.match[0] < as_is.match[0]) == turned.mirrored[0]


def test_pairs_are_compared_the_same_alone_and_among_others() -> None:
    pictures = np.stack([thumbnail(scene(seed)) for seed in range(9)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "CHUNK", 4)
        parts = likeness(pictures, pictures[::-1])
    assert np.array_equal(parts.match, likeness(pictures, pictures[::-1]).match)
