"""Nearest neighbors: those of the definition where few, nearly all of them where many, whatever the vectors hold."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from secondlook.pipeline.audit.embedding import neighbors as module
from secondlook.pipeline.audit.embedding.neighbors import cells_of, directions, nearest_cells, neighbors

Vectors = npt.NDArray[np.float32]


def spread(n: int, dims: int = 16, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=(n, dims)).astype(np.float32)


def slow(vectors: Vectors, k: int) -> list[list[int]]:
    """The definition, in double precision."""
    unit = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return [
        [other for other in np.argsort(-(unit @ row), kind="stable").tolist() if other != at][:k]
        for at, row in enumerate(unit)
    ]


@pytest.mark.parametrize("n", [2, 3, 50])
@pytest.mark.parametrize("k", [1, 4])
def test_few_have_the_neighbors_of_the_definition(n: int, k: int) -> None:
    vectors = spread(n)
    found = neighbors(vectors, k)
    expected = slow(vectors, k)
    kept = min(k, n - 1)
    assert found.ids[:, :kept].tolist() == expected
    assert (found.ids[:, kept:] == -1).all()
    assert np.isnan(found.similarity[:, kept:]).all()


def test_by_hand() -> None:
    found = neighbors(np.array([[1, 0], [0, 2], [-3, 0], [1, 1]], np.float32), 2)
    assert found.ids[0].tolist() == [3, 1]
    assert found.similarity[0].tolist() == pytest.approx([0.5**0.5, 0.0])
    assert found.ids.dtype == np.int64
    assert found.similarity.dtype == np.float32


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_to_be_near(n: int) -> None:
    assert neighbors(spread(n), 3).ids.tolist() == [[-1] * 3] * n


@given(arrays(np.float32, (7, 3), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)), st.integers(1, 8))
def test_vectors_without_a_direction_are_nobodys_neighbor(vectors: Vectors, k: int) -> None:
    usable = directions(vectors)[1]
    found = neighbors(vectors, k)
    assert set(found.ids.ravel().tolist()) <= {-1, *np.flatnonzero(usable).tolist()}
    assert (found.ids[~usable] == -1).all()
    kept = min(k, max(int(usable.sum()) - 1, 0))
    assert (found.ids[usable, :kept] >= 0).all()
    assert (np.isnan(found.similarity) == (found.ids < 0)).all()
    assert (found.ids != np.arange(7)[:, None]).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_length_says_nothing(scale: float) -> None:
    vectors = spread(20)
    assert np.array_equal(neighbors((vectors * np.float32(scale)).astype(np.float32), 3).ids, neighbors(vectors, 3).ids)


def copies(n: int) -> Vectors:
    """n vectors, each twice with a little noise."""
    one = spread(n, 32)
    return np.concatenate([one, one + 0.1 * spread(n, 32, 1)])


def test_many_find_their_copies_and_nearly_all_neighbors() -> None:
    vectors = copies(1500)
    found = neighbors(vectors, 5, exact=100)
    twin = (np.arange(3000) + 1500) % 3000
    assert (found.ids[:, 0] == twin).mean() > 0.999
    expected = neighbors(vectors, 5)
    shared = np.mean([len({*a} & {*b}) / 5 for a, b in zip(found.ids.tolist(), expected.ids.tolist(), strict=True)])
    assert shared > 0.8  # vectors without any order are the worst case
    assert (found.ids != np.arange(3000)[:, None]).all()
    again = neighbors(vectors, 5, exact=100)
    assert np.array_equal(found.ids, again.ids)
    assert np.array_equal(found.similarity, again.similarity)


def test_a_crowd_of_equal_vectors_never_names_itself() -> None:
    vectors = np.concatenate([np.tile(spread(1), (300, 1)), spread(500, seed=2), np.zeros((3, 16), np.float32)])
    for exact in (100, 10_000):
        found = neighbors(vectors, 4, exact=exact)
        assert (found.ids != np.arange(803)[:, None]).all()
        assert found.similarity[:300].min() == pytest.approx(1.0)
        assert (found.ids[800:] == -1).all()


def test_near_pairs_share_a_cell() -> None:
    vectors = copies(2000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "EXACT", 100)
        patch.setattr(module, "CELL", 50)
        cells = cells_of(vectors[::3], len(vectors))
    assert len(cells.centroids) == 80
    nearest = nearest_cells(vectors, cells)
    assert nearest.shape == (4000, module.OVERLAP)
    shared = [bool({*a} & {*b}) for a, b in zip(nearest[:2000].tolist(), nearest[2000:].tolist(), strict=True)]
    assert np.mean(shared) > 0.98


def test_few_vectors_are_one_cell() -> None:
    cells = cells_of(spread(30), 30)
    assert nearest_cells(spread(30), cells).tolist() == [[0]] * 30
