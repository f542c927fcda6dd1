"""SL308 on vectors."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from secondlook.pipeline.audit.embedding import outliers
from secondlook.pipeline.audit.embedding.outliers import Placed, Reference, compare, fit, sample_size, unlike_the_rest

Array = npt.NDArray[Any]
CLASSES, EACH, D = 5, 60, 24


def world(seed: int = 0, loose: float = 3.0) -> tuple[Array, list[str | None]]:
    """Classes around centers of their own; the last one varies `loose` times as much as the others."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(0, 1, (CLASSES, D))
    spread = np.where(np.arange(CLASSES) == CLASSES - 1, loose, 1.0) * 0.3
    vectors = (
        np.repeat(centers, EACH, axis=0) + rng.normal(0, 1, (CLASSES * EACH, D)) * np.repeat(spread, EACH)[:, None]
    )
    return vectors.astype(np.float32), [f"c{k}" for k in range(CLASSES) for _ in range(EACH)]


def ids(n: int, prefix: str = "p") -> list[str]:
    return [f"{prefix}{i:04}" for i in range(n)]


def fitted(vectors: Array, labels: list[str | None], tail: float = 2.5) -> Reference:
    reference = fit(ids(len(vectors)), vectors, labels, tail)
    assert reference is not None
    return reference


def found(vectors: Array, reference: Reference, prefix: str = "p") -> list[str]:
    names = ids(len(vectors), prefix)
    placed = Placed([f"s{n}" for n in names], names, ["train"] * len(names), names, vectors)
    return [finding.key for finding in unlike_the_rest(placed, reference)]


def test_a_distance_is_that_of_the_slow_definition() -> None:
    vectors, labels = world()
    reference = fitted(vectors, labels)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    k = outliers.LEAST_NEAR
    own = np.array([_kth(unit, unit, labels, row, labels[row], k) for row in range(len(unit))])
    usual = {name: np.median([own[row] for row in range(len(unit)) if labels[row] == name]) for name in set(labels)}
    overall = np.median(own)
    weight = EACH / (EACH + outliers.SHRINK)
    usual = {name: value**weight * overall ** (1 - weight) for name, value in usual.items()}
    member = np.array([reference.members[name] for name in ids(len(vectors))])
    compared = compare(reference, reference.space.place(vectors)[0], member)
    for row in range(0, len(unit), 17):
        slow = {name: _kth(unit, unit, labels, row, name, k) / usual[name] for name in usual}
        best = min(slow, key=lambda name: slow[name])
        assert reference.names[compared.nearest[row]] == best
        assert compared.distance[row] == pytest.approx(slow[best], rel=0.01)


def _kth(unit: Array, others: Array, labels: list[str | None], row: int, name: str | None, k: int) -> float:
    return sorted(1 - float(unit[row] @ others[i]) for i in range(len(others)) if labels[i] == name and i != row)[k - 1]


@pytest.mark.parametrize("labeled", [True, False])
def test_a_group_of_odd_pictures_is_found_and_clean_pictures_are_not(labeled: bool) -> None:
    """Four odd ones that are like one another, each with the label of another class, or all without."""
    vectors, labels = world(1, loose=3.0 if labeled else 1.0)
    odd = np.random.default_rng(2).normal(0, 1, D) * 1.5
    odd = (odd + np.random.default_rng(3).normal(0, 0.05, (4, D))).astype(np.float32)
    everything = np.concatenate([vectors, odd])
    names: list[str | None] = [*labels, "c0", "c1", "c2", "c3"]
    names = names if labeled else [None] * len(everything)
    keys = found(everything, fitted(everything, names))
    assert {f"p{len(vectors) + i:04}" for i in range(4)} <= set(keys)
    assert len(keys) <= 4 + 0.02 * len(vectors)


def test_a_class_that_varies_is_not_all_flagged() -> None:
    vectors, labels = world(4)
    keys = found(vectors, fitted(vectors, labels, tail=3.0))
    loose = [key for key in keys if int(key[1:]) >= (CLASSES - 1) * EACH]
    assert len(loose) <= 0.1 * EACH


def test_the_answer_does_not_depend_on_how_rows_are_cut() -> None:
    vectors, labels = world(5)
    reference = fitted(vectors, labels)
    places, _ = reference.space.place(vectors)
    nobody = np.full((len(vectors), 2), -1)
    whole = compare(reference, places, nobody)
    for cut in (1, 3, 7, 101):
        parts = [
            compare(reference, reference.space.place(vectors[at : at + cut])[0], nobody[at : at + cut]).distance
            for at in range(0, len(vectors), cut)
        ]
        assert np.concatenate(parts).tolist() == whole.distance.tolist()


def test_vectors_without_a_direction_are_left_alone() -> None:
    vectors, labels = world(6)
    vectors[0], vectors[1], vectors[2] = 0, np.nan, np.inf
    reference = fitted(vectors, labels)
    assert not {"p0000", "p0001", "p0002"} & {*reference.members, *found(vectors, reference)}


def test_a_finding_says_how_far_from_what() -> None:
    vectors, labels = world(7)
    reference = fitted(vectors, labels)
    away = -vectors[:1]
    (finding,) = unlike_the_rest(Placed(["s"], ["k"], ["test"], ["new"], away), reference)
    assert finding.message.startswith("unlike the rest: ")
    assert f"times as far from its nearest class, {finding.evidence['nearest']}, as is usual there" in finding.message
    assert (finding.subject, finding.key, finding.split, finding.subject_kind) == ("s", "k", "test", "sample")
    assert finding.score == pytest.approx(1 - reference.threshold / finding.evidence["distance"], abs=1e-3)
    unlabeled = fitted(vectors, [None] * len(vectors))
    (finding,) = unlike_the_rest(Placed(["s"], ["k"], ["test"], ["new"], away), unlabeled)
    assert "from the pictures without a label as is usual there" in finding.message
    assert list(unlike_the_rest(Placed([], [], [], [], np.zeros((0, D), np.float32)), reference)) == []


def test_few_pictures_are_not_compared_and_small_classes_are() -> None:
    vectors, labels = world(8)
    assert fit(ids(39), vectors[:39], labels[:39], 3.0) is None
    names: list[str | None] = [*labels[:-3], "one", "two", "two"]
    keys = found(vectors, fitted(vectors, names))
    assert len(keys) < 10


def test_the_sample_stays_small() -> None:
    assert [sample_size(n) for n in (1, 10, 100, 1000, 1001, 20_000)] == [5000, 500, 50, 20, 9, 1]
