"""Weights of pictures in training: what counts twice is as if it were there twice, and a stored model keeps it."""

import numpy as np
import pytest
import torch
from torch import nn

from secondlook.pipeline.learn import ensemble, heads, loop
from tests.learn.test_ensemble import CPU, blobs, fitted


def test_a_neighbor_that_counts_twice_votes_like_two() -> None:
    rng = np.random.default_rng(3)
    queries, references = (
        nn.functional.normalize(torch.from_numpy(rng.normal(size=(n, 6)).astype(np.float32))) for n in (8, 20)
    )
    labels = torch.from_numpy(rng.integers(0, 3, 20))
    importance = torch.ones(20)
    importance[4] = 2.0
    twice = torch.cat([references, references[4:5]]), torch.cat([labels, labels[4:5]])
    weighed = heads.neighbor_view(queries, references, labels, 3, importance)
    assert weighed == pytest.approx(heads.neighbor_view(queries, *twice, 3), abs=1e-6)
    assert not np.allclose(weighed, heads.neighbor_view(queries, references, labels, 3))


def test_a_loss_that_counts_twice_is_that_of_two() -> None:
    logits, told = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 3])
    twice = torch.cat([logits, logits[1:2]]), torch.cat([told, told[1:2]])
    weighed = loop._loss(logits, told, 0.1, torch.tensor([0.75, 1.5, 0.75]))
    assert float(weighed) == pytest.approx(float(loop._loss(*twice, 0.1, None)), abs=1e-6)


def test_the_nets_and_the_neighbors_hear_what_counts() -> None:
    """Two classes in one place, one of them rare: with equal weights the rare one is never named, with its weight it is."""
    rng = np.random.default_rng(2)
    labels = (np.arange(400) % 10 == 0).astype(np.int64)
    embeddings = rng.normal(0, 1, (400, 8)).astype(np.float32)
    embeddings[:, 0] += np.where(labels == 1, 0.8, 0.0)
    space = heads.fit_space(embeddings)
    seen, folds = space.see(embeddings), np.arange(400) // 10 % 2
    weights = np.where(labels == 1, 5.0, 5 / 9).astype(np.float32)
    said = [
        ensemble.cross_fit(space, seen, labels, folds, 2, refits=0, seed=1, where=CPU, importance=its)
        for its in (None, weights)
    ]
    for name in ("linear", "mlp", "neighbors"):
        plain, weighed = (one.views[name][labels == 1, 1].mean() for one in said)
        assert weighed > plain + 0.04, name
    assert (said[0].probs.argmax(axis=1) == 1).sum() < (said[1].probs.argmax(axis=1) == 1).sum()


def test_a_stored_model_keeps_what_its_neighbors_count() -> None:
    embeddings, labels = blobs(n=120)
    space = heads.fit_space(embeddings)
    seen, folds = space.see(embeddings), np.arange(120) % 2
    importance = np.random.default_rng(0).uniform(0.2, 2.0, 120).astype(np.float32)
    made = ensemble.cross_fit(
        space, seen, labels, folds, 4, refits=1, seed=1, where=CPU, importance=importance
    ).ensemble
    back = ensemble.from_arrays(ensemble.to_arrays(made))
    rows = np.arange(120)
    assert back.probs(back.space.see(embeddings), rows).tobytes() == made.probs(seen, rows).tobytes()
    assert back.rounds[1].reference_importance is not None
    _, _, plain = fitted(embeddings, labels)
    assert "0/importance" not in ensemble.to_arrays(plain.ensemble)
