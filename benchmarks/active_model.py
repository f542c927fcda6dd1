"""The model of benchmarks/active_labeling.py: as right as the heads of pipeline/learn, refitted on other labels in two seconds.

Kernel ridge regression on the directions that the heads' neighbours see (Nyström's approximation, Williams and Seeger 2001), the neighbours'
votes, and a softmax that puts both together. What costs time, the products of features, does not depend on labels: it is done once and
shared by all seeds, arms and rounds. Every probability is out of sample, as in pipeline/learn/ensemble.py: a picture's own labels have no part in
the model that is asked about it.
"""

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize
import scipy.sparse

from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.learn import heads

Array = npt.NDArray[Any]
SHARED = Path(__file__).parents[2] / "shared"
BLOCKS = 10  # parts whose products are kept apart, so that every seed can make folds of its own from them
FOLDS = 5
NEAR = 64
RIDGE = 0.01  # of the mean square of a feature; of 0.003, 0.01, 0.03, 0.1 the given labels of random1 like it best, out of sample
WIDTH = 0.5  # of exp(WIDTH * (cosine - 1)); of 0.25, 0.5, 1, 2, 4 likewise
EASED = 0.2  # power of each direction's mean square that it is multiplied by: main ones count a little more than to neighbours; likewise
CALIBRATED_ON = 15_000  # rows that teach the last softmax its 210 numbers


def features(part: str, file: Path | None) -> Array:
    """(N, 1280) of "train" or "test", from a file where there is one, else by the project's backbone (3 to 5 minutes)."""
    if file is not None and file.exists():
        return np.load(file)  # type: ignore[no-any-return]
    import torch

    from secondlook.pipeline.core.decode import Limits
    from secondlook.pipeline.learn import backbones
    from secondlook.pipeline.learn.batches import picture_batches

    backbone = backbones.load(str(SHARED / "models/mobilenet_v2"), 128, torch.device("cpu"))
    with zipfile.ZipFile(SHARED / f"data/cifar10n/images-{part}.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        stream = ((name, archive.read(name)) for name in names)
        found = [backbone.embed(one.pixels) for one in picture_batches(stream, 128, 128, Limits(2**26, 10**8, 20.0))]
    made = np.concatenate(found).astype(np.float32)
    if file is not None:
        np.save(file, made)
    return made


def labels() -> dict[str, Array]:
    """clean, random1, random2, random3 (50000,), and test (10000,), as numbers of the classes in alphabetical order."""
    data = SHARED / "data/cifar10n"
    rows = list(csv.DictReader(io.StringIO((data / "train.csv").read_text())))
    number = {name: n for n, name in enumerate(sorted({row["clean"] for row in rows}))}
    found = {name: np.array([number[row[name]] for row in rows]) for name in ("clean", "random1", "random2", "random3")}
    tested = csv.DictReader(io.StringIO((data / "test.csv").read_text()))
    return found | {"test": np.array([number[row["label"]] for row in tested])}


@dataclass(frozen=True)
class Prepared:
    """What all seeds share. z: (N, M) features, tested: (T, M) of the test pictures; block: (N,) the part of each picture; grams: (BLOCKS, M, M);
    near, near_tested: the NEAR nearest training pictures of each, with their cosines."""

    z: Array
    tested: Array
    block: Array
    grams: Array
    near: tuple[Array, Array]
    near_tested: tuple[Array, Array]


def prepare(train: Array, test: Array, landmarks: int, seed: int) -> tuple[Prepared, Array]:
    """Everything that no label has a part in, and the unit vectors (N, d) of the training pictures."""
    space = heads.fit_space(train)
    look, tested = (space.see(one).directions.numpy() for one in (train, test))
    weight = np.square(look).mean(axis=0) ** EASED
    a, b = (one * weight / np.linalg.norm(one * weight, axis=1, keepdims=True) for one in (look, tested))
    rng = generator(seed, "landmarks")
    marks = a[rng.choice(len(a), landmarks, replace=False)]
    kernel = np.exp(WIDTH * (marks @ marks.T - 1)).astype(np.float64) + 1e-5 * np.eye(landmarks)
    turn = scipy.linalg.solve_triangular(np.linalg.cholesky(kernel), np.eye(landmarks), lower=True).T.astype(np.float32)
    z, zt = ((np.exp(WIDTH * (one @ marks.T - 1)) @ turn).astype(np.float32) for one in (a, b))
    block = rng.permutation(len(a)) % BLOCKS
    grams = np.stack([z[block == n].T @ z[block == n] for n in range(BLOCKS)])
    near = _nearest(look, look, but_itself=True), _nearest(tested, look, but_itself=False)
    return Prepared(z, zt, block, grams, *near), look


def _nearest(some: Array, among: Array, *, but_itself: bool) -> tuple[Array, Array]:
    import torch

    who, near = np.empty((len(some), NEAR), np.int32), np.empty((len(some), NEAR), np.float32)
    references = torch.from_numpy(among).T
    for start in range(0, len(some), heads.BLOCK):
        alike = torch.from_numpy(some[start : start + heads.BLOCK]) @ references
        rows = np.arange(start, start + len(alike))
        if but_itself:
            alike[torch.arange(len(alike)), torch.from_numpy(rows)] = -2.0
        cosine, best = alike.topk(NEAR, dim=1)
        who[rows], near[rows] = best.numpy(), cosine.numpy()
    return who, near


class Model:
    """The model with the folds of one seed; `learn` fits it to targets and says what it makes of all pictures."""

    def __init__(self, prepared: Prepared, seed: int, k: int, landmarks: int | None = None) -> None:
        """`k`: number of classes. All pictures have targets until `only` says otherwise. With fewer `landmarks` it is faster."""
        self._k = k
        self._z, self._tested = prepared.z[:, :landmarks], prepared.tested[:, :landmarks]
        self.fold = (generator(seed, "folds").permutation(BLOCKS) % FOLDS)[prepared.block]
        self._rows = [np.flatnonzero(self.fold == fold) for fold in range(FOLDS)]
        who, near = prepared.near
        votes: Array = np.exp((near - near[:, :1]) / heads.SHARPNESS) * (self.fold[who] != self.fold[:, None])
        votes = votes * ((votes > 0).cumsum(axis=1) <= heads.NEIGHBORS)
        self._votes = _sparse(who, votes, len(near))
        who, near = prepared.near_tested
        votes = np.exp((near - near[:, :1]) / heads.SHARPNESS)
        votes[:, heads.NEIGHBORS :] = 0.0
        self._votes_tested = _sparse(who, votes, len(self.fold))
        fold_of = [int(self.fold[prepared.block == n][0]) for n in range(BLOCKS)]
        self._grams = np.zeros((FOLDS, self._z.shape[1], self._z.shape[1]), np.float32)
        for block, fold in enumerate(fold_of):
            self._grams[fold] += prepared.grams[block, :landmarks, :landmarks]
        self._known: Array = np.ones(len(self.fold), bool)
        self._factor()

    def only(self, known: Array) -> None:
        """Learn from these pictures alone, (N,) of bool."""
        z = self._z
        fresh, gone = known & ~self._known, self._known & ~known
        for fold in range(FOLDS):
            if gone.sum() > known.sum():
                some = z[known & (self.fold == fold)]
                self._grams[fold] = some.T @ some
            else:
                for sign, moved in ((1, fresh), (-1, gone)):
                    some = z[moved & (self.fold == fold)]
                    self._grams[fold] += sign * (some.T @ some)
        self._known = known.copy()
        self._factor()

    def _factor(self) -> None:
        total: Array = self._grams.sum(axis=0)
        self._factors = []
        for fold in range(FOLDS):
            gram: Array = total - self._grams[fold]
            gram[np.diag_indices(len(gram))] += RIDGE * np.trace(total) / len(gram)
            self._factors.append(scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False))

    def learn(self, targets: Array) -> tuple[Array, Array]:
        """Probabilities (N, K) out of sample and (T, K) of the test pictures, from targets (N, K) whose rows sum to 1."""
        y = (np.where(self._known[:, None], targets, 0.0)).astype(np.float32)
        middle = np.where(self._known[:, None], y - 1 / self._k, 0.0).astype(np.float32)
        moments = [self._z[rows].T @ middle[rows] for rows in self._rows]
        total = sum(moments)
        scores, tested = np.empty(y.shape, np.float32), np.zeros((len(self._tested), self._k), np.float32)
        for fold, rows in enumerate(self._rows):
            weights = scipy.linalg.cho_solve(self._factors[fold], total - moments[fold], check_finite=False)
            scores[rows] = self._z[rows] @ weights
            tested += self._tested @ weights / FOLDS
        seen, unseen = _both(scores, self._votes @ y), _both(tested, self._votes_tested @ y)
        last = _softmax_regression(seen[self._known], y[self._known])
        return _softmax(seen @ last), _softmax(unseen @ last)


def _sparse(who: Array, votes: Array, n: int) -> Any:
    pointers = np.arange(0, who.size + 1, who.shape[1])
    found = scipy.sparse.csr_array((votes.astype(np.float32).ravel(), who.ravel(), pointers), shape=(len(who), n))
    found.eliminate_zeros()
    return found


def _both(scores: Array, votes: Array) -> Array:
    k = scores.shape[1]
    counts = votes + np.float32(1 / k)
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    return np.concatenate([4 * scores, logs, np.ones((len(scores), 1), np.float32)], axis=1)


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float64)


def _softmax_regression(x: Array, y: Array) -> Array:
    """Weights (D, K) of a softmax that makes the targets y (n, K) likely; so few that they need no folds of their own."""
    step = max(1, len(x) // CALIBRATED_ON)
    x, y = x[::step].astype(np.float64), y[::step]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(x.shape[1], -1)
        p = _softmax(x @ weights)
        value = -(y * np.log(np.maximum(p, 1e-12))).sum() + 0.5 * (flat**2).sum()
        return value / len(x), ((x.T @ (p - y) + weights) / len(x)).ravel()

    begin = np.zeros(x.shape[1] * y.shape[1])
    found = scipy.optimize.minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return np.asarray(found.x.reshape(x.shape[1], -1))
