"""The classic strategies, by hand and against scipy."""

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from secondlook.labeling.acquire.scores import disagreement, entropy, margin


def test_margin_is_largest_where_two_classes_tie() -> None:
    probs = np.array([[0.5, 0.5], [0.9, 0.1], [0.4, 0.3]], np.float32)
    np.testing.assert_allclose(margin(probs), [1.0, 0.2, 0.9], atol=1e-6)


def test_entropy_is_scipy_s_with_the_rest_spread_over_the_other_classes() -> None:
    rng = np.random.default_rng(1)
    full = rng.dirichlet(np.ones(7), 50)
    np.testing.assert_allclose(entropy(full, 7), scipy_entropy(full, axis=1) / np.log(7), atol=1e-9)
    order = np.sort(full, axis=1)[:, ::-1]
    rest = order[:, 3:].sum(axis=1)
    spread = np.concatenate([order[:, :3], np.repeat(rest[:, None] / 4, 4, axis=1)], axis=1)
    np.testing.assert_allclose(entropy(order[:, :3], 7), scipy_entropy(spread, axis=1) / np.log(7), atol=1e-9)


def test_disagreement_is_scipy_s_jensen_shannon_divergence() -> None:
    rng = np.random.default_rng(2)
    two = rng.dirichlet(np.ones(4), (2, 30))
    expected = [jensenshannon(a, b, base=2) ** 2 for a, b in zip(*two, strict=True)]
    np.testing.assert_allclose(disagreement(two), expected, atol=1e-9)


def test_who_says_nothing_does_not_disagree() -> None:
    three = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [np.nan, np.nan]], [[np.nan, np.nan], [np.nan, np.nan]]])
    found = disagreement(three)
    assert found[0] == 1.0
    assert np.isnan(found[1])
