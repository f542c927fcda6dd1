"""The small net: on real digits with wrong labels, and reproducible."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.datasets import load_digits

from secondlook.pipeline.learn import fold_nets, small_net
from secondlook.pipeline.learn.crossfit import assign_folds

CPU = torch.device("cpu")
LOOK_ALIKE = np.array([6, 7, 3, 8, 9, 6, 5, 1, 3, 4])


def digits(n: int, side_px: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    data = load_digits()
    small = (data.images[:n] * 15.9).astype(np.uint8)
    pictures = [cv2.cvtColor(cv2.resize(one, (side_px, side_px)), cv2.COLOR_GRAY2RGB) for one in small]
    return np.stack(pictures), data.target[:n].astype(np.int64)


@pytest.fixture(scope="module")
def noisy() -> dict[str, npt.NDArray[Any]]:
    pixels, clean = digits(500, 32)
    wrong = np.random.default_rng(1).random(len(clean)) < 0.1
    labels = np.where(wrong, LOOK_ALIKE[clean], clean)
    folds = assign_folds(labels, np.arange(len(labels)), 3, np.random.default_rng(0))
    return {"pixels": pixels, "clean": clean, "wrong": wrong, "labels": labels, "folds": folds}


@pytest.fixture(scope="module")
def result(noisy: dict[str, npt.NDArray[Any]]) -> fold_nets.CrossFit:
    return small_net.cross_fit(
        noisy["pixels"], noisy["labels"], noisy["folds"], 10, refits=1, epochs=8, batch=64, seed=7, where=CPU
    )


def test_it_reads_digits_out_of_sample_in_spite_of_wrong_labels(
    noisy: dict[str, npt.NDArray[Any]], result: fold_nets.CrossFit
) -> None:
    assert (result.probs.argmax(axis=1) == noisy["clean"]).mean() > 0.94
    assert result.probs.sum(axis=1) == pytest.approx(np.ones(500), abs=1e-4)


def test_it_finds_the_labels_that_were_made_wrong(
    noisy: dict[str, npt.NDArray[Any]], result: fold_nets.CrossFit
) -> None:
    doubted = result.probs.argmax(axis=1) != noisy["labels"]
    assert doubted[noisy["wrong"]].mean() > 0.9
    assert doubted[~noisy["wrong"]].mean() < 0.06
    assert noisy["wrong"][~result.learned].mean() > 0.6


def test_the_whole_net_embeds_alike_what_is_alike(
    noisy: dict[str, npt.NDArray[Any]], result: fold_nets.CrossFit
) -> None:
    vectors, probs = small_net.ask(noisy["pixels"], result.nets.whole, CPU)
    assert (probs.argmax(axis=1) == noisy["clean"]).mean() > 0.94
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -1)
    assert (noisy["clean"][likeness.argmax(axis=1)] == noisy["clean"]).mean() > 0.9


def test_what_is_stored_comes_back_and_says_the_same(
    noisy: dict[str, npt.NDArray[Any]], result: fold_nets.CrossFit
) -> None:
    back = fold_nets.from_arrays(fold_nets.to_arrays(result.nets))
    some = noisy["pixels"][:50]
    assert small_net.probs(some, back, CPU).tobytes() == small_net.probs(some, result.nets, CPU).tobytes()
    assert len(back.folds) == 3
    assert back.temperature == 1.0


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads() -> None:
    pixels, labels = digits(90, 16)
    folds = np.arange(90) % 3
    before = torch.get_num_threads()
    stored = []
    try:
        for n, seed in ((1, 3), (2, 3), (2, 4)):
            torch.set_num_threads(n)
            torch.manual_seed(n)
            made = small_net.cross_fit(pixels, labels, folds, 10, refits=1, epochs=2, batch=32, seed=seed, where=CPU)
            stored.append(fold_nets.to_arrays(made.nets) | {"probs": made.probs})
    finally:
        torch.set_num_threads(before)
    same, other = ([a[name].tobytes() == b[name].tobytes() for name in a if name != "temperature"] for a, b in
                   ((stored[0], stored[1]), (stored[1], stored[2])))  # fmt: skip
    assert all(same)
    assert not any(other[:3])


def test_a_fold_does_not_know_its_own_labels() -> None:
    pixels, labels = digits(120, 16)
    folds = np.arange(120) % 3
    changed = np.where(folds == 1, (labels + 1) % 10, labels)
    before, after = (
        small_net.cross_fit(pixels, chosen, folds, 10, refits=0, epochs=2, batch=32, seed=1, where=CPU).probs
        for chosen in (labels, changed)
    )
    assert (before[folds == 1] == after[folds == 1]).all()
    assert (before[folds == 0] != after[folds == 0]).any()


def test_jitter_moves_pictures_a_little_and_never_flips_them() -> None:
    left = np.zeros((64, 32, 32, 3), np.uint8)
    left[:, :, :10] = 255
    moved = small_net.jitter(torch.from_numpy(left).permute(0, 3, 1, 2), torch.Generator().manual_seed(0))
    assert moved.shape == (64, 3, 32, 32)
    assert (moved[:, :, :, :5].mean(dim=(1, 2, 3)) > 200).all()
    assert (moved[:, :, :, 20:].mean(dim=(1, 2, 3)) < 50).all()
    assert len({picture.numpy().tobytes() for picture in moved}) > 60


@pytest.mark.parametrize("side_px", [8, 33, 64])
def test_any_side_from_eight_pixels_works(side_px: int) -> None:
    weights = small_net.fit(
        np.random.default_rng(0).integers(0, 255, (20, side_px, side_px, 3), dtype=np.uint8),
        np.arange(20) % 2,
        np.arange(20),
        2,
        epochs=1,
        batch=8,
        seed=0,
        where=CPU,
    )
    vectors, probs = small_net.ask(np.zeros((3, side_px, side_px, 3), np.uint8), weights, CPU)
    assert vectors.shape == (3, 2 * small_net.CHANNELS[-1])
    assert probs.shape == (3, 2)


def test_evidence_speaks_against_the_labels_that_were_made_wrong(
    noisy: dict[str, npt.NDArray[Any]], result: fold_nets.CrossFit
) -> None:
    assert set(result.evidence) == {"held_out", "refit", "dynamics"}
    for name, score in result.evidence.items():
        assert ((score > 0.5) == noisy["wrong"]).mean() > 0.93, name
