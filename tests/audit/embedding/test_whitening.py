"""An embedding cut down to what differs."""

import numpy as np
import pytest

from secondlook.pipeline.audit.embedding.whitening import DIMS, FEW, learned, whitened


def test_directions_that_are_kept_count_the_same_and_the_mean_is_gone() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(4000, 5)) * [30, 3, 1, 0.3, 1e-6] + 100).astype(np.float32)
    made = whitened(vectors, learned(vectors))
    assert made.shape == (4000, 3)  # the two weakest of five are rounding beside the first
    assert made.mean(axis=0) == pytest.approx(np.zeros(3), abs=0.05)
    assert np.cov(made.T) == pytest.approx(np.eye(3), abs=0.05)


def test_a_direction_takes_rows_to_be_learned_from() -> None:
    vectors = np.random.default_rng(1).normal(size=(400, 300)).astype(np.float32)
    by = learned(vectors)
    assert by is not None
    assert by.axes.shape == (300, 50)
    many = learned(np.random.default_rng(1).normal(size=(3000, 300)).astype(np.float32))
    assert many is not None
    assert many.axes.shape[1] == DIMS


def test_few_or_equal_vectors_stay_as_they_are() -> None:
    few = np.random.default_rng(2).normal(size=(FEW - 1, 8)).astype(np.float32)
    assert learned(few) is None
    assert np.array_equal(whitened(few, None), few)
    assert learned(np.ones((500, 8), np.float32)) is None
    assert learned(np.zeros((0, 8), np.float32)) is None


def test_rows_without_a_direction_become_zeros_and_teach_nothing() -> None:
    vectors = np.random.default_rng(3).normal(size=(500, 8)).astype(np.float32)
    broken = np.concatenate([vectors, np.full((1, 8), np.nan, np.float32), np.zeros((1, 8), np.float32)])
    broken = np.concatenate([broken, np.full((1, 8), np.inf, np.float32)])
    by, clean = learned(broken), learned(vectors)
    assert by is not None
    assert clean is not None
    assert np.array_equal(by.axes, clean.axes)
    assert (whitened(broken, by)[500:] == 0).all()
    assert (whitened(broken, None)[500:] == 0).all()
