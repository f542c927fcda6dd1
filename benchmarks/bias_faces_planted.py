"""Label errors planted in groups of real faces: how often SL402 finds them, and how often it blames others.

Part of benchmarks/bias_faces.py. Real vectors of real faces, a head that is refitted on every set of planted labels, and
secondlook's own decision which labels are doubted, own audit draw, own statistics. The head is a ridge regression in five folds, as
its solution is linear in the labels: a refit is one product. It is not the product's ensemble, and doubts more (see `doubted`).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve
from scipy.special import expit

from secondlook.pipeline.audit.labels.mislabels import label_errors
from secondlook.pipeline.audit.share.sampling import draw
from secondlook.pipeline.bias import detector
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison, adjusted
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import wilson

Reals = npt.NDArray[np.floating]
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SEED = 7
FOLDS, RIDGE = 5, 3000.0
BASE = 0.02  # of all labels are flipped everywhere
BIAS = BiasSettings()
TRUE_GAP = BIAS.least_gap  # a group whose planted rate is not so far above the rest's is none that should be named
ANSWERS = (300, 1000)  # of a simulated audit, all right


@dataclass(frozen=True)
class Faces:
    """N faces: `vectors` (N, D) of a frozen backbone, `label` (N,) 0 or 1 as annotated, `cell` (N,) code in `grouping`."""

    vectors: Reals
    label: Codes
    cell: Codes
    grouping: Grouping


class Head:
    """A ridge regression in folds, whose answer for a fold is a fixed matrix times the labels of the others."""

    def __init__(self, vectors: Reals, rng: np.random.Generator) -> None:
        rooted = np.sqrt(np.maximum(vectors, 0))
        seen = ((rooted - rooted.mean(axis=0)) / (rooted.std(axis=0) + 1e-6)).astype(np.float32)
        fold = rng.permutation(np.arange(len(seen)) % FOLDS)
        self._parts = []
        for one in range(FOLDS):
            inside, outside = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
            kernel = seen[outside] @ seen[outside].T
            kernel[np.diag_indices(len(outside))] += RIDGE
            self._parts.append((inside, outside, solve(kernel, seen[outside] @ seen[inside].T, assume_a="pos").T))

    def probs(self, given: Codes) -> npt.NDArray[np.float32]:
        """(N, 2) out of sample, on the scale that fits these labels best (one number)."""
        signs = (2 * given - 1).astype(np.float32)
        score = np.zeros(len(given))
        for inside, outside, weights in self._parts:
            score[inside] = weights @ signs[outside]
        slope = 1.0
        for _ in range(20):  # Newton's steps of a logistic regression
            p = expit(-slope * score * signs)
            slope += float((p * score * signs).sum() / (p * (1 - p) * score * score).sum())
        p = expit(slope * score)
        return np.stack([1 - p, p], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Arm:
    """One condition. rates: of two races that are drawn anew each time, and () for none; permuted: attributes are dealt out anew."""

    name: str
    rates: tuple[float, ...]
    permuted: bool = False
    n: int = 0
    answers: tuple[int, ...] = ANSWERS


ARMS = (
    Arm("nothing planted, attributes dealt out anew", (), permuted=True, answers=()),
    Arm("nothing planted", ()),
    Arm("8 % and 15 %, attributes dealt out anew", (0.08, 0.15), permuted=True),
    Arm("8 % and 15 %", (0.08, 0.15)),
    Arm("15 % and 30 %", (0.15, 0.30)),
    Arm("8 % and 15 %, 2,500 faces", (0.08, 0.15), n=2500),
)  # fmt: skip


def planted(faces: Faces, repeats: int, measures: int) -> dict[str, Any]:
    """Each arm so often. measures: of a whole report, over which the family is corrected; a report of SL402 alone has one."""
    heads: dict[int, tuple[Codes, Head]] = {}
    for arm in ARMS:
        if arm.n not in heads:
            rows = generator(SEED, "rows", str(arm.n)).permutation(len(faces.label))[: arm.n or len(faces.label)]
            heads[arm.n] = rows, Head(faces.vectors[rows], generator(SEED, "folds", str(arm.n)))
    return {arm.name: _arm(faces, arm, *heads[arm.n], repeats, measures) for arm in ARMS}


def _arm(faces: Faces, arm: Arm, rows: Codes, head: Head, repeats: int, measures: int) -> dict[str, Any]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for number in range(repeats):
        rng = generator(SEED, "planted", arm.name, str(number))
        cell = faces.cell[rows]
        cell = rng.permutation(cell) if arm.permuted else cell
        for name, told in _once(faces, arm, faces.label[rows], cell, head, rng).items():
            found.setdefault(name, []).append(told)
    return {"rates": list(arm.rates), "n": len(rows), "repeats": repeats} | {
        name: _told(arm, its, measures) for name, its in found.items()
    }


def _once(
    faces: Faces, arm: Arm, label: Codes, cell: Codes, head: Head, rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    grouping = faces.grouping
    race = grouping.split(cell)[:, 0]
    chosen = rng.permutation(len(grouping.values[0]))[: len(arm.rates)]
    rate = np.full(len(label), BASE)
    for one, its in zip(chosen, arm.rates, strict=True):
        rate[race == one] = its
    wrong = rng.random(len(label)) < rate
    given = label ^ wrong
    errors = label_errors(given, head.probs(given))
    counts = _counts(grouping, cell, errors.flagged)
    plain = compare(counts, np.array([False, True]), settings=BIAS, rng=rng, worse="higher")
    compared = {"as counted": plain}
    for n in arm.answers:
        drawn = draw(errors.p_error, n, rng)
        at = np.searchsorted(grouping.join(counts.cells), cell[drawn.rows])
        answers = detector.Answers(
            at, errors.flagged[drawn.rows].astype(np.int64), wrong[drawn.rows].astype(np.float64),
            drawn.design.inclusion(errors.p_error[drawn.rows]),
        )  # fmt: skip
        compared[f"corrected by {n:,} answers"] = detector.corrected(plain, counts, answers, BIAS)
    true = _true(counts, cell, rate)
    facts = {"doubted": float(errors.flagged.mean()), "recall": float(errors.flagged[wrong].mean())}
    names = [grouping.values[0][one] for one in chosen]
    return {name: _judged(its, names, arm, true) | facts for name, its in compared.items()}


def _counts(grouping: Grouping, cell: Codes, doubted: Flags) -> Counts:
    cells, place = np.unique(cell, return_inverse=True)
    n = np.zeros((len(cells), 2), np.int64)
    np.add.at(n, (place, doubted.astype(np.int64)), 1)
    return Counts(grouping, grouping.split(cells), ("no", "yes"), n)


def _true(counts: Counts, cell: Codes, rate: Reals) -> Mapping[Any, float]:
    """By group how far its planted rate is above the rest's; a function of the group's cells."""
    codes = counts.grouping.join(counts.cells)
    at = np.searchsorted(codes, cell)
    total, size = np.bincount(at, rate, len(codes)), np.bincount(at, minlength=len(codes))
    groups = counts.grouping.groups(BIAS.depth)
    inside = counts.membership(groups)
    hits, n = np.asarray(inside @ total), np.asarray(inside @ size)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = hits / n - (total.sum() - hits) / (size.sum() - n)
    return dict(zip(groups, gap.tolist(), strict=True))


def _judged(comparison: Comparison, names: Sequence[str], arm: Arm, true: Mapping[Any, float]) -> dict[str, Any]:
    """For each planted race its adjusted p (1 where it is no finding), and the least of all groups that should not be named."""
    (groups,) = adjusted([dataclasses.replace(comparison, gaps=None)], BIAS)
    sure = {one.group: one.adjusted if one.effect.value >= BIAS.least_gap else 1.0 for one in groups}
    by_race = {one.values[0][1]: p for one, p in sure.items() if one.attributes == ("race",)}
    blamed = [(p, one) for one, p in sure.items() if not true[one] >= TRUE_GAP]
    return {
        "planted": [by_race.get(name, 1.0) for name in names],
        "blamed": min((p for p, _ in blamed), default=1.0),
        "whom": [one.name for p, one in blamed if p <= BIAS.alpha and one.depth == 1],
    }


def _told(arm: Arm, its: Sequence[Mapping[str, Any]], measures: int) -> dict[str, Any]:
    """Shares of repeats, with intervals. `in_report`: where SL402 is one of several measures of a report."""
    told: dict[str, Any] = {
        name: round(float(np.mean([one[name] for one in its])), 4) for name in ("doubted", "recall")
    }
    for name, alpha in (("alone", BIAS.alpha), ("in_report", BIAS.alpha / measures)):
        told[name] = {
            "power": [
                {"rate": rate} | _share(sum(one["planted"][at] <= alpha for one in its), len(its))
                for at, rate in enumerate(arm.rates)
            ],
            "false_alarm": _share(sum(one["blamed"] <= alpha for one in its), len(its)),
        }
    named = [name for one in its for name in one["whom"]]
    often = {name: named.count(name) for name in set(named)}
    told["blamed_most"] = dict(sorted(often.items(), key=lambda one: (-one[1], one[0]))[:4])
    return told


def _share(k: int, n: int) -> dict[str, Any]:
    its = wilson(k, n)
    return {"share": round(k / n, 4), "interval": [round(its.low, 4), round(its.high, 4)], "n": n}


# What a batch brings

BUDGETS = (150, 300)
BATCH_RATES = (0.15,)


def batches(faces: Faces, repeats: int) -> dict[str, Any]:
    """15 % wrong labels in one race, drawn anew each time: the most doubted labels of all, of that race, or any at random are answered."""
    head = Head(faces.vectors, generator(SEED, "folds", "0"))
    told: dict[str, Any] = {}
    for budget in BUDGETS:
        rows = [_batch(faces, head, budget, generator(SEED, "batch", str(budget), str(n))) for n in range(repeats)]
        told[str(budget)] = {
            how: {name: _mean([row[how][name] for row in rows]) for name in rows[0][how]} for how in rows[0]
        }
    return {"rate": BATCH_RATES[0], "base": BASE, "repeats": repeats, "budgets": told}


def _batch(faces: Faces, head: Head, budget: int, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    race = faces.grouping.split(faces.cell)[:, 0]
    mine = race == rng.integers(len(faces.grouping.values[0]))
    wrong = rng.random(len(race)) < np.where(mine, BATCH_RATES[0], BASE)
    given = faces.label ^ wrong
    before = head.probs(given)
    score = label_errors(given, before).p_error
    right = before.argmax(axis=1) == faces.label
    orders = {
        "most doubted of all": np.argsort(-score, kind="stable"),
        "most doubted of the group": np.argsort(-np.where(mine, score, -1.0), kind="stable"),
        "any": rng.permutation(len(race)),
    }
    told = {}
    for how, order in orders.items():
        asked = order[:budget]
        mended = given.copy()
        mended[asked] = faces.label[asked]
        now = head.probs(mended).argmax(axis=1) == faces.label
        left = mended != faces.label
        told[how] = {
            "asked_of_group": float(mine[asked].mean()),
            "wrong_in_group_before": float(wrong[mine].mean()),
            "wrong_in_group": float(left[mine].mean()),
            "wrong_in_rest_before": float(wrong[~mine].mean()),
            "wrong_in_rest": float(left[~mine].mean()),
            "accuracy_of_group_change": float(now[mine].mean() - right[mine].mean()),
            "accuracy_of_rest_change": float(now[~mine].mean() - right[~mine].mean()),
        }
    return told


def _mean(values: Sequence[float]) -> dict[str, float]:
    """Mean and its 95 % interval over the repeats, normal."""
    its = np.asarray(values)
    half = 1.96 * its.std(ddof=1) / len(its) ** 0.5
    return {
        "mean": round(float(its.mean()), 5),
        "low": round(float(its.mean() - half), 5),
        "high": round(float(its.mean() + half), 5),
    }
