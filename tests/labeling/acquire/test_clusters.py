"""The few classes that a task shows: clusters by hand, and that what is shown gives nothing away."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from secondlook.labeling.acquire.beliefs import Beliefs, believe
from secondlook.labeling.acquire.clusters import clusters, confusions, group_name, members, shown


def test_confusions_are_the_sum_of_products_over_what_classes_have() -> None:
    classes = np.array([[0, 1, -1], [1, 0, 2], [2, -1, -1]], np.int32)
    probs = np.array([[0.8, 0.2, 0.0], [0.5, 0.3, 0.2], [1.0, 0.0, 0.0]], np.float32)
    found = confusions(classes, probs, 3).toarray()
    full = np.array([[0.8, 0.2, 0.0], [0.3, 0.5, 0.2], [0.0, 0.0, 1.0]])
    size = full.sum(axis=0)
    expected = full.T @ full / np.sqrt(np.outer(size, size))
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 6))
def test_clusters_are_a_partition_and_none_is_too_large(seed: int, k: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    some = rng.random((k, k)) * (rng.random((k, k)) < 0.3)
    found = clusters(sparse.csr_matrix(some + some.T), most)
    assert found.shape == (k,)
    assert np.bincount(found).max() <= most
    assert sorted({*found.tolist()}) == list(range(found.max() + 1))
    apart = [(a, b) for a in range(k) for b in range(a) if some[a, b] + some[b, a] > 0 and found[a] != found[b]]
    size = np.bincount(found)
    assert all(size[found[a]] + size[found[b]] > most for a, b in apart), "what could be joined was"


def random_beliefs(seed: int, n: int, k: int) -> Beliefs:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.3), n).astype(np.float32)
    order = np.argsort(-probs, axis=1)[:, :4].astype(np.int32)
    held = rng.integers(-1, k, n).astype(np.int32)
    return believe(order, np.take_along_axis(probs, order, axis=1), held, rng.random(n), k)


@given(st.integers(0, 10**6), st.integers(4, 12))
def test_the_label_the_best_guess_and_gold_are_shown_and_the_number_tells_nothing(seed: int, k: int) -> None:
    beliefs = random_beliefs(seed, 40, k)
    cluster = np.arange(k) // 2
    gold = np.random.default_rng(seed).integers(0, k, 40).astype(np.int32)
    plain, golden = shown(beliefs, cluster), shown(beliefs, cluster, gold)
    best = beliefs.classes[np.arange(40), np.argmax(np.where(beliefs.classes >= 0, beliefs.probs, -1), axis=1)]
    for n in range(40):
        assert plain[n, 0] < plain[n, 1], "two clusters always, in their order"
        assert golden[n, 0] < golden[n, 1]
        assert best[n] in members((int(plain[n, 0]), int(plain[n, 1])), cluster)
        assert beliefs.held[n] < 0 or beliefs.held[n] in members((int(plain[n, 0]), int(plain[n, 1])), cluster)
        assert gold[n] in members((int(golden[n, 0]), int(golden[n, 1])), cluster)


def test_a_picture_that_nothing_is_known_of_shows_all_classes() -> None:
    nothing = believe(
        np.full((1, 2), -1, np.int32), np.zeros((1, 2), np.float32), np.array([3], np.int32), np.array([0.0]), 6
    )
    assert shown(nothing, np.arange(6) // 2).tolist() == [[-1, -1]]


def test_names_of_groups_are_short_and_on_one_line() -> None:
    rude = ["<script>\nalert(1)</script>", "x" * 10_000, "🐈"]
    name = group_name(rude)
    assert "\n" not in name
    assert len(name) < 60
    assert name.endswith("🐈")
