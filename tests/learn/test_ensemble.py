"""Heads on an embedding: each by a slow definition or what it must be able to do, and truly out of sample together."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.core.odds import as_score, log_odds_against
from secondlook.pipeline.learn import ensemble, heads
from secondlook.pipeline.learn.crossfit import assign_folds

CPU = torch.device("cpu")


def blobs(
    n: int = 240, n_classes: int = 4, width: int = 12, seed: int = 0
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Embeddings around a centre for each class, and the classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    centers = rng.normal(0, 2.0, (n_classes, width))
    return (centers[labels] + rng.normal(0, 1.0, (n, width))).astype(np.float32), labels


def fitted(
    embeddings: npt.NDArray[Any], labels: npt.NDArray[Any], refits: int = 0, seed: int = 5, folds: int = 2
) -> tuple[heads.Seen, npt.NDArray[np.int64], ensemble.CrossFit]:
    space = heads.fit_space(embeddings)
    rows = np.flatnonzero(labels >= 0)
    fold = np.full(len(labels), -1, np.int64)
    fold[rows] = assign_folds(labels[rows], rows, folds, np.random.default_rng(0))
    seen = space.see(embeddings)
    n_classes = int(labels.max()) + 1
    return seen, fold, ensemble.cross_fit(space, seen, labels, fold, n_classes, refits=refits, seed=seed, where=CPU)


def slow_neighbors(
    directions: npt.NDArray[Any], references: npt.NDArray[Any], labels: npt.NDArray[Any], k: int
) -> npt.NDArray[Any]:
    rows = []
    for direction in directions:
        nearness = [float(direction @ reference) for reference in references]
        nearest = sorted(range(len(references)), key=lambda i: -nearness[i])[: heads.NEIGHBORS]
        votes = np.full(k, 1.0 / k)
        for i in nearest:
            votes[labels[i]] += np.exp((nearness[i] - nearness[nearest[0]]) / heads.SHARPNESS)
        rows.append(votes / votes.sum())
    return np.array(rows)


def test_neighbors_vote_as_their_definition_says() -> None:
    rng = np.random.default_rng(1)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rng.normal(size=(9, 6)), rng.normal(size=(80, 6)))]
    labels = rng.integers(0, 5, 80)
    queries, references = (torch.from_numpy(x.astype(np.float32)) for x in unit)
    view = heads.neighbor_view(queries, references, torch.from_numpy(labels), 5)
    assert view == pytest.approx(slow_neighbors(unit[0], unit[1], labels, 5), abs=1e-4)


def test_the_space_centers_scales_and_turns() -> None:
    rng = np.random.default_rng(2)
    embeddings = (rng.normal(size=(500, 8)) * np.arange(1, 9) + 3).astype(np.float32)
    seen = heads.fit_space(embeddings).see(embeddings)
    scaled = seen.scaled.numpy()
    assert scaled.mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-4)
    assert scaled.std(axis=0) == pytest.approx(np.ones(8), abs=1e-3)
    assert torch.linalg.norm(seen.directions, dim=1).numpy() == pytest.approx(np.ones(500), abs=2e-3)


def test_a_dimension_that_never_changes_does_no_harm() -> None:
    embeddings, _ = blobs()
    embeddings[:, 3] = 7.0
    seen = heads.fit_space(embeddings).see(embeddings)
    assert torch.isfinite(seen.scaled).all()
    assert torch.isfinite(seen.directions).all()


def test_every_head_learns_what_can_be_learned() -> None:
    embeddings, labels = blobs()
    _, _, result = fitted(embeddings, labels)
    for name, view in result.views.items():
        assert (view.argmax(axis=1) == labels).mean() > 0.95, name
        assert view.sum(axis=1) == pytest.approx(np.ones(len(labels)), abs=1e-4)
    assert result.probs.sum(axis=1) == pytest.approx(np.ones(len(labels)), abs=1e-4)


def test_labels_that_nothing_explains_are_not_remembered() -> None:
    """On random labels every out-of-sample accuracy is chance; a fit that saw its own labels would know them all."""
    embeddings, _ = blobs(n=300)
    labels = np.random.default_rng(9).integers(0, 4, 300)
    _, _, result = fitted(embeddings, labels)
    for name, view in result.views.items():
        assert (view.argmax(axis=1) == labels).mean() < 0.40, name


def test_a_picture_s_own_label_has_no_part_in_its_probability() -> None:
    embeddings, labels = blobs(n=120)
    _, folds, before = fitted(embeddings, labels)
    changed = labels.copy()
    changed[folds == 1] = (changed[folds == 1] + 1) % 4
    space = heads.fit_space(embeddings)
    after = ensemble.cross_fit(space, space.see(embeddings), changed, folds, 4, refits=0, seed=5, where=CPU)
    assert (before.probs[folds == 1] == after.probs[folds == 1]).all()
    assert (before.probs[folds == 0] != after.probs[folds == 0]).any()


def test_a_refit_on_trusted_labels_is_surer_of_the_truth() -> None:
    embeddings, clean = blobs(n=400, seed=3)
    rng = np.random.default_rng(4)
    wrong = rng.random(400) < 0.25
    labels = np.where(wrong, (clean + 1) % 4, clean)
    _, _, once = fitted(embeddings, labels)
    _, _, again = fitted(embeddings, labels, refits=1)
    rows = np.arange(400)
    assert again.probs[rows, clean].mean() > once.probs[rows, clean].mean() + 0.03
    assert (again.probs.argmax(axis=1) == clean).mean() >= (once.probs.argmax(axis=1) == clean).mean()
    assert wrong[~again.learned].mean() > 0.9
    assert (~again.learned).sum() > 0.5 * wrong.sum()


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads() -> None:
    embeddings, labels = blobs(n=120)
    before = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            torch.manual_seed(n)  # torch's own generator must have no part in it
            results.append(fitted(embeddings, labels, refits=1)[2])
    finally:
        torch.set_num_threads(before)
    arrays = [ensemble.to_arrays(result.ensemble) for result in results]
    assert arrays[0].keys() == arrays[1].keys()
    for name in arrays[0]:
        assert arrays[0][name].tobytes() == arrays[1][name].tobytes(), name
    assert results[0].probs.tobytes() == results[1].probs.tobytes()
    assert results[0].probs.tobytes() != fitted(embeddings, labels, refits=1, seed=6)[2].probs.tobytes()


def test_unlabeled_pictures_get_the_average_of_all_folds() -> None:
    embeddings, labels = blobs(n=160)
    given_labels = labels.copy()
    given_labels[:40] = -1
    seen, folds, result = fitted(embeddings, given_labels)
    assert (folds[:40] == -1).all()
    rows = np.arange(40)
    probs = result.ensemble.probs(seen, rows)
    assert (probs.argmax(axis=1) == labels[:40]).mean() > 0.9
    (once,) = result.ensemble.rounds
    asked = [heads.net_views(seen, rows, nets, 4) for nets in once.nets]
    views = {name: np.mean([one[name] for one in asked], axis=0) for name in ("linear", "mlp")}
    references, known = once.references, torch.from_numpy(once.reference_labels)
    views["neighbors"] = heads.neighbor_view(seen.directions[:40], references, known, 4)
    assert probs == pytest.approx(heads.averaged(views), abs=1e-5)


def test_rounds_are_averaged() -> None:
    embeddings, labels = blobs(n=160)
    seen, folds, result = fitted(embeddings, labels, refits=1)
    first, last = result.ensemble.rounds
    for fold in range(2):
        rows = np.flatnonzero(folds == fold)
        said = [heads.averaged(one.views(seen, rows, fold, 4)) for one in (first, last)]
        assert result.probs[rows] == pytest.approx((said[0] + said[1]) / 2, abs=1e-5)
    rows = np.arange(20)
    said = [one.probs(seen, rows, 4) for one in (first, last)]
    assert result.ensemble.probs(seen, rows) == pytest.approx((said[0] + said[1]) / 2, abs=1e-5)


def test_what_is_stored_comes_back_and_says_the_same() -> None:
    embeddings, labels = blobs(n=120)
    seen, _, result = fitted(embeddings, labels, refits=1)
    warm = dataclasses.replace(result.ensemble, temperature=1.7)
    back = ensemble.from_arrays(ensemble.to_arrays(warm))
    assert back.temperature == 1.7
    rows = np.arange(120)
    assert back.probs(back.space.see(embeddings), rows).tobytes() == warm.probs(seen, rows).tobytes()


@given(st.integers(1, 3_000_000))
@settings(max_examples=80, deadline=None)
def test_few_pictures_get_many_passes_and_millions_few(n: int) -> None:
    for recipe in heads.NETS.values():
        epochs = heads._epochs(recipe, n)
        assert 2 <= epochs <= 60
        assert epochs * n <= max(60 * 60_000, 2 * n)


def test_hundreds_of_classes_are_no_trouble() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(800, 16)).astype(np.float32)
    _, _, result = fitted(embeddings, np.arange(800) % 400, folds=2)
    assert np.isfinite(result.probs).all()


def test_the_average_weighs_the_heads() -> None:
    views = {"linear": np.array([[1.0, 0.0]]), "neighbors": np.array([[0.0, 1.0]]), "mlp": np.array([[0.0, 1.0]])}
    total = sum(heads.WEIGHTS.values())
    assert heads.averaged(views)[0, 0] == pytest.approx(heads.WEIGHTS["linear"] / total)


def test_evidence_speaks_against_labels_that_were_made_wrong() -> None:
    embeddings, clean = blobs(n=400, seed=3)
    wrong = np.random.default_rng(4).random(400) < 0.15
    labels = np.where(wrong, (clean + 1) % 4, clean)
    labels[:7] = -1
    seen, _, result = fitted(embeddings, labels, refits=1)
    assert set(result.evidence) == {"held_out", "refit", "neighbors", "dynamics"}
    for name, score in result.evidence.items():
        assert np.isnan(score[:7]).all(), name
        assert ((score[7:] > 0.5) == wrong[7:]).mean() > 0.9, name
    left_out = np.flatnonzero((labels >= 0) & ~result.learned)
    assert len(left_out) > 20
    last = result.ensemble.rounds[-1]
    by_all = np.mean([heads.net_views(seen, left_out, nets, 4)["mlp"] for nets in last.nets], axis=0)
    expected = as_score(log_odds_against(labels[left_out], by_all))
    assert result.evidence["refit"][left_out] == pytest.approx(expected, abs=1e-6)
    own = as_score(log_odds_against(labels, result.views["mlp"]))
    assert result.evidence["refit"][result.learned] == pytest.approx(own[result.learned], abs=1e-6)


def test_evidence_without_a_refit_is_what_the_heads_said_out_of_sample() -> None:
    embeddings, labels = blobs(n=120)
    _, _, result = fitted(embeddings, labels)
    assert set(result.evidence) == {"held_out", "neighbors", "dynamics"}
    for kind, head in (("held_out", "mlp"), ("neighbors", "neighbors")):
        assert result.evidence[kind] == pytest.approx(as_score(log_odds_against(labels, result.views[head])), abs=1e-6)
    assert np.sort(result.evidence["dynamics"]) == pytest.approx(np.sort(result.evidence["held_out"]), abs=1e-6)
    assert (result.evidence["dynamics"] != result.evidence["held_out"]).any()


def test_embeddings_that_are_never_negative_are_seen_by_their_roots() -> None:
    rng = np.random.default_rng(5)
    positive = rng.exponential(size=(200, 6)).astype(np.float32)
    by_hand = np.sqrt(positive)
    wanted = (by_hand - by_hand.mean(axis=0)) / by_hand.std(axis=0)
    space = heads.fit_space(positive)
    assert space.see(positive).scaled.numpy() == pytest.approx(wanted, abs=1e-3)
    assert torch.isfinite(space.see(positive - 1.0).scaled).all()
    assert not heads.fit_space(positive - 0.1).rooted.any()


def test_models_of_before_roots_were_taken_are_still_read() -> None:
    embeddings, labels = blobs(n=60)
    seen, _, result = fitted(embeddings, labels)
    arrays = ensemble.to_arrays(result.ensemble)
    del arrays["space/rooted"]
    again = ensemble.from_arrays(arrays)
    assert again.space.see(embeddings).scaled.numpy() == pytest.approx(seen.scaled.numpy())
