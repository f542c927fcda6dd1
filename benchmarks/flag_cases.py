"""Cases for benchmarks/flags.py: given labels, the right ones, and out-of-sample probabilities, of many kinds.

A case is a *source* (pictures and how their labels came to be wrong) and a *model*. Sources: people's labels of CIFAR-10N
and CIFAR-10H, and planted mistakes on CIFAR-10, Tiny ImageNet, faces' attributes, scikit-learn's digits and Gaussian
clouds. Models: linear, neighbors, MLP, forest, boosting, naive Bayes, discriminant analysis; on few or many dimensions,
over- and under-confident. All are cross-fitted in 5 folds.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flag_models import Array, crossfit

from secondlook.pipeline.core.seeds import generator

CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class Data(NamedTuple):
    """Pictures of one source: features (n, D), the right classes (n,), and what people answered, by name."""

    features: Array
    clean: Array
    answers: dict[str, Array]


@dataclass(frozen=True)
class Spec:
    """How one case is made; `part` is "choose", "report" or "public". `rate`: of mistakes that are planted; of people's, how many are kept."""

    part: str
    source: str
    noise: str
    rate: float
    model: str
    n: int = 5000
    dims: int = 64
    classes: int = 0
    imbalance: float = 1.0
    heat: float = 1.0
    seed: int = 0

    @property
    def name(self) -> str:
        """All of it in one word, the same for the same case."""
        extra = (f"-k{self.classes}" if self.classes else "") + (f"-i{self.imbalance:g}" if self.imbalance != 1 else "")
        heat = f"-t{self.heat:g}" if self.heat != 1 else ""
        return f"{self.source}-{self.noise}{self.rate:g}-{self.model}-n{self.n}-d{self.dims}{extra}{heat}-s{self.seed}"


class Case(NamedTuple):
    """(n,) given and right classes, and (n, K) out-of-sample probabilities."""

    given: Array
    clean: Array
    probs: Array


# Sources


class Sources:
    """Reads each source once. `data`: the folder ../shared/data; `features`: .npy beside .names for each picture set."""

    def __init__(self, data: Path, features: Path) -> None:
        self.data, self.features = data, features

    @cache  # noqa: B019 - one object, for the time of the benchmark
    def read(self, source: str) -> Data:
        """The source of that name."""
        made: dict[str, Callable[[], Data]] = {
            "cifar": self._cifar,
            "votes": self._votes,
            "tiny": self._tiny,
            "digits": _digits,
            "clouds": lambda: _clouds(500, 12.0),
            "thousand": lambda: _clouds(1000, 9.0),
        }
        return made[source]() if source in made else self._faces(source.removeprefix("faces_").split("_"))

    def rows(self, name: str) -> list[dict[str, str]]:
        """The rows of a CSV in the folder of data."""
        with (self.data / name).open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def _reduced(self, name: str) -> Array:
        return _principal(np.load(self.features / f"{name}.npy", mmap_mode="r"), 256)

    def _cifar(self) -> Data:
        rows = self.rows("cifar10n/train.csv")
        clean = _codes([row["clean"] for row in rows])
        sets = ("aggre", "worse", "random1", "random2", "random3")
        return Data(self._reduced("train"), clean, {name: _codes([row[name] for row in rows]) for name in sets})

    def _votes(self) -> Data:
        """CIFAR-10H: one of the 51 people's answers a picture; `hard…`: of the less sure people, drawn from p^½."""
        rows = self.rows("cifar10n/test.csv")
        names = sorted({row["label"] for row in rows})
        votes = np.array([[float(row[f"votes_{name}"]) for name in names] for row in rows])
        rng, answers = generator(7, "votes"), {}
        for name, power in (("one1", 1.0), ("one2", 1.0), ("hard1", 0.5), ("hard2", 0.35)):
            weight = votes**power * (votes > 0)
            drawn = (weight / weight.sum(1, keepdims=True)).cumsum(1)
            answers[name] = np.minimum((drawn < rng.random((len(rows), 1))).sum(1), len(names) - 1)
        return Data(self._reduced("test"), _codes([row["label"] for row in rows]), answers)

    def _tiny(self) -> Data:
        place = {row["file"]: row["wnid"] for row in self.rows("tinyimagenet100/labels.csv")}
        names = (self.features / "tiny.names").read_text().splitlines()
        return Data(self._reduced("tiny"), _codes([place[name] for name in names]), {})

    def _faces(self, columns: list[str]) -> Data:
        place = {row["file"]: "/".join(row[c] for c in columns) for row in self.rows("faces/labels.csv")}
        names = (self.features / "faces.names").read_text().splitlines()
        return Data(self._reduced("faces"), _codes([place[name] for name in names]), {})


def _codes(values: list[str]) -> Array:
    place = {name: code for code, name in enumerate(sorted(set(values)))}
    return np.array([place[value] for value in values])


def _principal(x: Array, dims: int) -> Array:
    """The leading principal components, of variance 1 over all."""
    some = np.asarray(x[:: max(1, len(x) // 10_000)], np.float32)
    mean = some.mean(0)
    _, vectors = np.linalg.eigh(np.cov((some - mean).T))
    axes = vectors[:, ::-1][:, :dims].astype(np.float32)
    out = np.concatenate([(np.asarray(x[at : at + 8192], np.float32) - mean) @ axes for at in range(0, len(x), 8192)])
    return out / out.std()  # type: ignore[no-any-return]


def _digits() -> Data:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Data(_principal(digits.data, 40), digits.target, {})


def _clouds(n_classes: int, distance: float, each: int = 16, dims: int = 64) -> Data:
    """Gaussian clouds of equal width around random centers, some of them close to one another."""
    rng = generator(7, "clouds", str(n_classes))
    centers = rng.normal(size=(n_classes, dims)) * distance / np.sqrt(2 * dims)
    twins = rng.permutation(n_classes)[: n_classes // 2].reshape(-1, 2)
    centers[twins[:, 1]] = centers[twins[:, 0]] + rng.normal(size=(len(twins), dims)) * distance / 4 / np.sqrt(dims)
    clean = np.repeat(np.arange(n_classes), each)
    return Data((centers[clean] + rng.normal(size=(len(clean), dims))).astype(np.float32), clean, {})


# Mistakes


def _mistaken(noise: str, rate: float, clean: Array, features: Array, k: int, rng: np.random.Generator) -> Array:
    """Labels of which about `rate` are wrong, by one of four ways to be wrong."""
    n = len(clean)
    other: Array = (clean + rng.integers(1, k, n)) % k
    chance: Array = np.full(n, rate)
    if noise == "pair":
        other = (clean + 1) % k
    elif noise == "classes":  # some classes are mistaken more often, each for a few favorites
        chance = _to_mean(rng.gamma(1.0, 1.0, k), clean, rate)
        favorites = (np.arange(k)[:, None] + rng.integers(1, k, (k, 3))) % k
        other = favorites[clean, rng.choice(3, n, p=[0.6, 0.3, 0.1])]
    elif noise == "hard":  # what a reference model finds hard is mistaken more, for what it takes it for
        reference = _centers(features, clean, k)
        own = reference[np.arange(n), clean]
        reference[np.arange(n), clean] = -np.inf
        other, ahead = reference.argmax(1), reference.max(1) - own
        rank = ahead.argsort().argsort() / n
        chance = _to_mean(rank**3, np.arange(n), rate)
    return np.where(rng.random(n) < chance, other, clean)


def _to_mean(weight: Array, index: Array, rate: float) -> Array:
    """Chances of n labels in proportion to a weight, at most 0.6, about `rate` on average."""
    chance = weight[index]
    for _ in range(20):
        chance = np.minimum(chance * rate / max(chance.mean(), 1e-12), 0.6)
    return chance


def _centers(x: Array, y: Array, k: int) -> Array:
    """Minus half the squared distance to each class's mean (n, K)."""
    means = np.zeros((k, x.shape[1]), np.float32)
    np.add.at(means, y, x)
    means /= np.maximum(np.bincount(y, minlength=k), 1)[:, None]
    return x @ means.T - (means**2).sum(1) / 2  # type: ignore[no-any-return]


# Which cases

PLANTED = ("symmetric", "pair", "classes", "hard")
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
CHOOSING = ("linear", "weak", "mlp", "near10", "forest", "bayes")
REPORTING = ("overfit", "near50", "boosting", "discriminant")
LARGEST = {
    "digits": 1797,
    "votes": 10_000,
    "tiny": 12_000,
    "clouds": 8000,
    "thousand": 16_000,
    "faces_gender": 5000,
    "faces_race": 5000,
    "faces_race_gender": 5000,
}


def specs(n_choose: int, n_report: int) -> list[Spec]:
    """Cases drawn at random over all that a case has: `report` has other sources or, on the same ones, other models."""
    chosen: dict[str, Spec] = {}
    for part, count in (("choose", n_choose), ("report", n_report)):
        rng = generator(7, "flags", part)
        while sum(spec.part == part for spec in chosen.values()) < count:
            spec = _drawn(part, rng)
            chosen[spec.name] = spec
    return list(chosen.values())


def _drawn(part: str, rng: np.random.Generator) -> Spec:
    def one(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    if part == "choose":
        source = one("cifar", "cifar", "cifar", "cifar", "tiny", "tiny", "digits", "clouds", "faces_gender")
        model = one(*CHOOSING)
    elif rng.random() < 0.7:
        source = one("cifar", "cifar", "votes", "votes", "thousand", "thousand", "faces_race", "faces_race_gender")
        model = one(*CHOOSING, *REPORTING)
    else:
        source, model = one("cifar", "tiny", "digits", "clouds"), one(*REPORTING)
    noise, rate = one(*PLANTED), one(*RATES)
    people = {"choose": ("random2", "random3"), "report": ("aggre", "worse", "random1")}[part]
    if source == "cifar" and (rng.random() < 0.6 or (part == "report" and model in CHOOSING)):
        noise, rate = one(*people), one(1, 1, 0.5, 0.25)
    if source == "votes":
        noise, rate = one("one1", "one2", "hard1", "hard2"), 1
    many = source in ("tiny", "clouds", "thousand")
    if many and model in ("forest", "boosting"):
        model = "near50" if part == "report" else "near10"  # trees of hundreds of classes take minutes
    return Spec(
        part,
        source,
        noise,
        float(rate),
        model,
        n=LARGEST.get(source, one(3000, 8000, 16_000)) if model not in ("forest", "boosting") else 3000,
        dims=one(64, 128, 256) if model not in ("forest", "boosting") else 64,
        classes=one(20, 50, 0, 0) if many else 0 if "faces" in source else one(3, 5, 0, 0, 0, 0, 0, 0),
        imbalance=float(one(1, 1, 1, 1, 10)),
        heat=float(one(1, 1, 1, 1, 0.5, 2)),
    )


def make(spec: Spec, sources: Sources) -> Case:
    """The case: rows drawn, classes and labels renumbered, mistakes planted, a model cross-fitted."""
    rng = generator(7, "flags", spec.name)
    data = sources.read(spec.source)
    k_all = int(data.clean.max()) + 1
    chosen = np.sort(rng.permutation(k_all)[: spec.classes or k_all])
    given = data.answers.get(spec.noise, data.clean)
    fits = np.isin(data.clean, chosen) & np.isin(given, chosen)
    keep = spec.imbalance ** -(np.arange(len(chosen)) / max(len(chosen) - 1, 1))
    place = np.full(k_all, -1)
    place[chosen] = rng.permutation(len(chosen))
    fits &= rng.random(len(fits)) < keep[place[data.clean]]
    rows = rng.permutation(np.flatnonzero(fits))[: spec.n]
    clean, x, k = place[data.clean[rows]], np.ascontiguousarray(data.features[rows, : spec.dims]), len(chosen)
    if spec.noise in data.answers:
        given = np.where(rng.random(len(rows)) < spec.rate, place[given[rows]], clean)
    else:
        given = _mistaken(spec.noise, spec.rate, clean, x, k, rng)
    probs = crossfit(x, given, k, spec.model, rng)
    if spec.heat != 1:
        hot = np.log(np.maximum(probs, 1e-12)) / spec.heat
        probs = np.exp(hot - hot.max(1, keepdims=True))
        probs /= probs.sum(1, keepdims=True)
    return Case(given, clean, probs.astype(np.float32))
