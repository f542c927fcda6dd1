"""Models for benchmarks/flag_cases.py, and their cross-fitting."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDS = 5
Array = npt.NDArray[Any]

# fit(x, y, K, rng) -> function of x that gives probabilities (n, K)
Fit = Callable[[Array, Array, int, np.random.Generator], Callable[[Array], Array]]


def _net(hidden: int, steps: int, decay: float, rate: float = 3e-3) -> Fit:
    def fit(x: Array, y: Array, k: int, rng: np.random.Generator) -> Callable[[Array], Array]:
        import torch

        torch.manual_seed(int(rng.integers(2**31)))
        layers: list[Any] = [torch.nn.Linear(x.shape[1], hidden or k)]
        if hidden:
            layers += [torch.nn.ReLU(), torch.nn.Linear(hidden, k)]
        net = torch.nn.Sequential(*layers)
        optimizer = torch.optim.AdamW(net.parameters(), lr=rate if hidden else 3e-2, weight_decay=decay)
        inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
        for _ in range(steps):
            rows = torch.from_numpy(rng.integers(0, len(x), 256))
            loss = torch.nn.functional.cross_entropy(net(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        def ask(x: Array) -> Array:
            with torch.no_grad():
                return net(torch.from_numpy(x)).softmax(1).numpy()  # type: ignore[no-any-return]

        return ask

    return fit


def _neighbors(k_near: int) -> Fit:
    def fit(x: Array, y: Array, k: int, rng: np.random.Generator) -> Callable[[Array], Array]:
        from sklearn.neighbors import NearestNeighbors

        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        index = NearestNeighbors(n_neighbors=k_near, algorithm="brute").fit(unit)
        prior = (np.bincount(y, minlength=k) + 1) / (len(y) + k)

        def ask(x: Array) -> Array:
            near, which = index.kneighbors(x / np.linalg.norm(x, axis=1, keepdims=True))
            weight = np.exp(-(near**2) / (2 * np.median(near) ** 2))
            votes = np.tile(prior, (len(x), 1))
            np.add.at(votes, (np.arange(len(x))[:, None], y[which]), weight)
            return votes / votes.sum(1, keepdims=True)  # type: ignore[no-any-return]

        return ask

    return fit


def _sklearn(make: Callable[[int], Any]) -> Fit:
    def fit(x: Array, y: Array, k: int, rng: np.random.Generator) -> Callable[[Array], Array]:
        model = make(int(rng.integers(2**31))).fit(x, y)

        def ask(x: Array) -> Array:
            probs = np.zeros((len(x), k))
            probs[:, model.classes_] = model.predict_proba(x)
            return probs

        return ask

    return fit


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(40, min_samples_leaf=2, max_features="sqrt", random_state=seed)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8, random_state=seed)


def _bayes(seed: int) -> Any:
    from sklearn.naive_bayes import GaussianNB

    return GaussianNB()


def _discriminant(seed: int) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)


MODELS: dict[str, Fit] = {
    "linear": _net(0, 400, 0.05),
    "weak": _net(0, 40, 0.0),
    "mlp": _net(96, 400, 0.02),
    "overfit": _net(128, 900, 0.0, 1e-2),
    "near10": _neighbors(10),
    "near50": _neighbors(50),
    "forest": _sklearn(_forest),
    "boosting": _sklearn(_boosting),
    "bayes": _sklearn(_bayes),
    "discriminant": _sklearn(_discriminant),
}


def crossfit(x: Array, y: Array, k: int, model: str, rng: np.random.Generator) -> Array:
    """(n, K) probabilities, each by a model that did not see the row."""
    folds = rng.permutation(np.arange(len(x)) % FOLDS)
    probs = np.zeros((len(x), k), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fold in range(FOLDS):
            out = folds == fold
            probs[out] = MODELS[model](x[~out], y[~out], k, rng)(x[out])
    return probs / probs.sum(1, keepdims=True)  # type: ignore[no-any-return]
