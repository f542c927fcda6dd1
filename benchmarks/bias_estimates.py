"""What the estimates beside the plain shares are worth: pooling, corrections, calibration and associations, on made data with a known truth.

.venv/bin/python benchmarks/bias_estimates.py --json docs/results/bias-estimates.json

Pooling is also held against faces: a linear head on frozen features, whose accuracy by race and age from a few hundred pictures is
told, and compared with that on the others. `--features FILE.npy` are the features of the 5,000 faces, in the order of the keys in FILE.names, which do not
come with this project (nor do the faces); without them that part is left out. The page is written beside the JSON.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from bias_estimates_page import page
from scipy.special import expit

from secondlook.jobs.machine import provenance
from secondlook.pipeline.bias import association, calibration, detector, estimated, family, pooling
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Estimate
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import wilson

SEED = 7
SETTINGS = BiasSettings(min_cell=5, permutations=200, depth=1)
BANDS = ((5, 20), (20, 50), (50, 200))
FACES = Path(__file__).parents[2] / "shared" / "data" / "faces" / "labels.csv"
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = list[dict[str, Any]]


def one_attribute(n: Ints, outcomes: tuple[str, ...] = ("no", "yes"), validation: Any = None) -> Counts:
    """Counts of groups g0, g1 … by outcome."""
    names = tuple(f"g{at}" for at in range(len(n)))
    return Counts(
        Grouping(("g",), (names,), {"g": validation} if validation else {}), np.arange(len(n))[:, None], outcomes, n
    )


def tally(group: Ints, outcome: Ints, shape: tuple[int, int]) -> Ints:
    """Pictures by group and outcome."""
    n = np.zeros(shape, np.int64)
    np.add.at(n, (group, outcome), 1)
    return n


def holds(one: Estimate | None, truth: float) -> bool:
    """Whether the interval has it."""
    return one is not None and one.interval.low <= truth <= one.interval.high


def part(k: float, n: float) -> dict[str, float]:
    """A share with its interval."""
    interval = wilson(float(k), float(n))
    return {"share": float(k) / n, "low": interval.low, "high": interval.high, "n": float(n)}


def races_by_ages() -> list[Group]:
    """63 groups."""
    return [Group((("race", str(race)), ("age", str(age)))) for race in range(7) for age in range(9)]


def pooling_made(reports: int) -> Rows:
    """63 crossed groups of 2,000 pictures, with effects of the attributes and of each group's own."""
    worlds = {
        "accuracy, effects add up (0.3) and differ a little (0.2)": (0.8, 0.3, 0.2, 2000),
        "accuracy, effects only add up (0.6)": (0.8, 0.6, 0.0, 2000),
        "accuracy, no differences at all": (0.8, 0.0, 0.0, 2000),
        "accuracy, every group is its own (1.0)": (0.8, 0.0, 1.0, 2000),
        "errors of 2 %, as the first": (0.02, 0.3, 0.2, 5000),
    }
    design, rows = pooling.effects(races_by_ages()), []
    for name, (base, shared, own, pictures) in worlds.items():
        rng, seen = generator(SEED, "pooling", name), []
        for _ in range(reports):
            logit = (
                np.log(base / (1 - base))
                + rng.normal(0, shared, (7, 1))
                + rng.normal(0, shared, 9)
                + rng.normal(0, own, (7, 9))
            )
            true = expit(logit).ravel()
            sizes = np.outer(rng.dirichlet(np.full(7, 3.0)), rng.dirichlet(np.full(9, 1.5))).ravel()
            n = rng.multinomial(pictures, sizes)
            k = rng.binomial(n, true)
            kept = n >= BANDS[0][0]
            told = pooling.pool(design[kept], k[kept].astype(np.float64), n[kept].astype(np.float64), 0.95)
            held = (told.low <= true[kept]) & (true[kept] <= told.high)
            seen.append(
                np.stack(
                    [n[kept], k[kept] / n[kept] - true[kept], told.value - true[kept], held, told.high - told.low],
                    axis=1,
                )
            )
        rows += [{"case": name, **_band(np.concatenate(seen), band)} for band in BANDS]
    return rows


def _band(seen: Floats, band: tuple[int, int]) -> dict[str, Any]:
    its = seen[(seen[:, 0] >= band[0]) & (seen[:, 0] < band[1])]
    raw, told = (float(np.sqrt(np.square(its[:, at]).mean())) for at in (1, 2))
    return {
        "from": band[0],
        "below": band[1],
        "groups": len(its),
        "raw": raw,
        "pooled": told,
        "covered": part(its[:, 3].sum(), len(its)),
        "width": float(its[:, 4].mean()),
    }


def pooling_faces(features: Path, draws: int) -> dict[str, Any]:
    """Accuracy by race and age of 600 faces, against that of the others that the head has not seen."""
    from sklearn.linear_model import LogisticRegression

    with FACES.open(newline="") as stream:
        by_key = {row["file"]: row for row in csv.DictReader(stream)}
    labels = [by_key[key] for key in features.with_suffix(".names").read_text(encoding="utf-8").split("\n") if key]
    x = np.load(features)
    gender = np.array([row["gender"] == "Male" for row in labels])
    values = [sorted({row[name] for row in labels}) for name in ("race", "age")]
    code = np.array([values[0].index(row["race"]) * len(values[1]) + values[1].index(row["age"]) for row in labels])
    groups = [Group((("race", race), ("age", age))) for race in values[0] for age in values[1]]
    order = generator(SEED, "faces").permutation(len(x))
    fit, rest = order[:2000], order[2000:]
    spread = x[fit].std(axis=0) + 1e-6
    head = LogisticRegression(C=0.003, max_iter=300).fit((x[fit] - x[fit].mean(axis=0)) / spread, gender[fit])
    right = head.predict((x[rest] - x[fit].mean(axis=0)) / spread) == gender[rest]
    design, gains = pooling.effects(groups), []
    for draw in range(draws):
        chosen = np.zeros(len(rest), bool)
        chosen[generator(SEED, "faces", str(draw)).choice(len(rest), 600, replace=False)] = True
        (n, k), (others, hits) = (
            (
                np.bincount(code[rest[some]], minlength=len(groups)),
                np.bincount(code[rest[some]], right[some], minlength=len(groups)),
            )
            for some in (chosen, ~chosen)
        )
        kept = (n >= 5) & (n < 50) & (others >= 30)
        told = pooling.pool(design[n > 0], k[n > 0].astype(np.float64), n[n > 0].astype(np.float64), 0.95).value[
            kept[n > 0]
        ]
        truth = hits[kept] / others[kept]
        noise = truth * (1 - truth) / others[kept]  # of the truth itself, which is of few pictures too
        gains.append(
            [
                np.square(k[kept] / n[kept] - truth).mean() - noise.mean(),
                np.square(told - truth).mean() - noise.mean(),
                kept.sum(),
            ]
        )
    found = np.array(gains)
    ratio = found[:, 1] / found[:, 0]
    return {
        "accuracy": float(right.mean()), "draws": draws, "groups_a_draw": float(found[:, 2].mean()),
        "raw": float(np.sqrt(found[:, 0].mean())), "pooled": float(np.sqrt(max(found[:, 1].mean(), 0.0))),
        "better_in": part((ratio < 1).sum(), draws),
    }  # fmt: skip


def of_detector(reports: int) -> Rows:
    """5,000 labels in four groups; half of the answers are of doubted labels. The last group is a tenth."""
    worlds = {
        "noisier on the last group: 10 % false doubts, else 3 %": ([0.08] * 4, [0.03, 0.03, 0.03, 0.10]),
        "all alike": ([0.08] * 4, [0.03] * 4),
        "20 % wrong in the last group, else 8 %": ([0.08, 0.08, 0.08, 0.20], [0.03] * 4),
    }
    shares, rows = np.array([0.4, 0.3, 0.2, 0.1]), []
    for name, (error, false) in worlds.items():
        for answers in (100, 300, 1000):
            rng, seen = generator(SEED, "detector", name, str(answers)), np.zeros(5)
            for _ in range(reports):
                group = rng.choice(4, 5000, p=shares)
                bad = rng.random(5000) < np.array(error)[group]
                doubted = rng.random(5000) < np.where(bad, 0.7, np.array(false)[group])
                chance = np.minimum(np.where(doubted, answers / 2 / doubted.sum(), answers / 2 / (~doubted).sum()), 1)
                drawn = np.flatnonzero(rng.random(5000) < chance)
                counts = one_attribute(tally(group, doubted.astype(np.int64), (4, 2)))
                asked = detector.Answers(
                    group[drawn], doubted[drawn].astype(np.int64), bad[drawn].astype(np.float64), chance[drawn]
                )
                plain = compare(counts, [False, True], settings=SETTINGS, rng=rng)
                told = detector.corrected(plain, counts, asked, SETTINGS).groups[3]
                interval = told.corrected.interval if told.corrected else None
                seen += [
                    plain.groups[3].p <= 0.05,
                    told.p <= 0.05,
                    told.p <= 0.005,
                    holds(told.corrected, error[3]),
                    interval.high - interval.low if interval else 0,
                ]
            rows.append(
                {
                    "case": name,
                    "answers": answers,
                    **_named(seen, reports, ("doubts", "answered", "answered_0005", "covered")),
                    "width": seen[4] / reports,
                }
            )
    return rows


def _named(seen: Floats, n: int, names: Iterable[str]) -> dict[str, Any]:
    return {name: part(k, n) for name, k in zip(names, seen.tolist(), strict=False)}


def of_estimated(reports: int) -> Rows:
    """4,000 pictures whose attribute a model estimated; the last true group is the one that differs."""
    two, three = [[0.85, 0.15], [0.25, 0.75]], [[0.9, 0.07, 0.03], [0.1, 0.8, 0.1], [0.15, 0.15, 0.7]]
    worlds: dict[str, tuple[list[list[float]], list[float], list[float], int]] = {
        "two values, 10 points, validation of 500": (two, [0.6, 0.4], [0.2, 0.3], 500),
        "two values, no gap, validation of 500": (two, [0.6, 0.4], [0.2, 0.2], 500),
        "three values, 15 points, validation of 500": (three, [0.6, 0.3, 0.1], [0.2, 0.2, 0.35], 500),
        "three values, no gap, validation of 150": (three, [0.6, 0.3, 0.1], [0.1, 0.1, 0.1], 150),
    }
    rows = []
    for name, (chances, shares, rates, size) in worlds.items():
        rng, values, seen, gaps = generator(SEED, "estimated", name), len(shares), np.zeros(4), []
        names = [f"g{at}" for at in range(values)]
        rest = np.dot(shares[:-1], rates[:-1]) / sum(shares[:-1])
        for _ in range(reports):
            true = rng.choice(values, 4000, p=shares)
            said = (rng.random(4000)[:, None] > np.cumsum(chances, axis=1)[true]).sum(axis=1).clip(0, values - 1)
            hit = (rng.random(4000) < np.array(rates)[true]).astype(np.int64)
            checked = np.maximum(rng.multinomial(size, shares), 1)
            validation = {
                names[at]: dict(zip(names, rng.multinomial(many, chances[at]).tolist(), strict=True))
                for at, many in enumerate(checked)
            }
            counts = one_attribute(tally(said, hit, (values, 2)), validation=validation)
            plain = compare(counts, [False, True], settings=SETTINGS, rng=rng)
            told, _ = estimated.corrected(plain, counts, [False, True], settings=SETTINGS, rng=rng)
            raw, mended = plain.groups[-1], told.groups[-1]
            gaps.append([raw.effect.value, mended.effect.value])
            seen += [
                holds(raw.effect, rates[-1] - rest),
                holds(mended.effect, rates[-1] - rest),
                raw.p <= 0.05,
                mended.p <= 0.05,
            ]
        middle = np.mean(gaps, axis=0)
        rows.append(
            {
                "case": name,
                "true": rates[-1] - rest,
                "raw": middle[0],
                "corrected": middle[1],
                **_named(seen, reports, ("raw_covered", "covered", "raw_found", "found")),
            }
        )
    return rows


def of_calibration(reports: int) -> Rows:
    """A group of 5 % whose pictures are harder (confidences about 0.6, else 0.9), with and without overconfidence."""
    rows = []
    for name, pictures, off in (
        ("harder, and known to be", 300, 0.0),
        ("harder, and known to be", 3000, 0.0),
        ("harder, and 12 points too sure", 3000, 0.12),
    ):
        rng, seen = generator(SEED, "calibration", name, str(pictures)), np.zeros(4)
        for _ in range(reports):
            group = (rng.random(pictures) < 0.05).astype(np.int64)
            sure = 1 - 0.8 * np.where(group, rng.beta(2, 2, pictures), rng.beta(1, 8, pictures))
            right = rng.random(pictures) < sure - off * group
            counts = one_attribute(
                tally(group, calibration.place(sure, right), (2, 2 * len(calibration.bins().middle))),
                calibration.bins().outcomes,
            )
            told: Comparison = calibration.miscalibration(counts, SETTINGS, rng)
            if len(told.groups) < 2:
                continue
            one = told.groups[1]
            seen += [1, one.p <= 0.05, one.p <= 0.005, holds(one.effect, off)]
        rows.append(
            {"case": name, "pictures": pictures, **_named(seen[1:], int(seen[0]), ("found", "found_0005", "covered"))}
        )
    return rows


def by_chance(reports: int) -> Rows:
    """Reports of 200 to 1,000 pictures in random groups: how often any group is said to be too sure or too humble."""
    rows = []
    for name, groups, a, b, accuracy in (
        ("much too humble: 99 % right, about 80 % sure", 10, 8, 2, 0.99),
        ("nearly always right and sure of it", 20, 40, 1, None),
    ):
        rng, seen = generator(SEED, "by chance", name), np.zeros(2)
        for _ in range(reports):
            n = int(rng.choice([200, 400, 1000]))
            sure = np.clip(rng.beta(a, b, n), 0.34, 0.999)
            right = rng.random(n) < (sure if accuracy is None else accuracy)
            group = rng.integers(0, groups, n)
            shape = (groups, 2 * len(calibration.bins().middle))
            made = one_attribute(tally(group, calibration.place(sure, right), shape), calibration.bins().outcomes)
            adjusted = family.adjusted([calibration.miscalibration(made, SETTINGS, rng)], SETTINGS)[0]
            seen += [any(one.adjusted <= alpha for one in adjusted) for alpha in (0.05, 0.005)]
        rows.append({"case": name, "groups": groups, **_named(seen, reports, ("found", "found_0005"))})
    return rows


def of_association(reports: int) -> Rows:
    """2,000 pictures, a class of a tenth, a group of one in seven; how often the interval of npmi holds what was put in."""
    rows = []
    for name, lift in (("independent", 1.0), ("1.5 times as often", 1.5), ("never together", 0.0)):
        rng, seen = generator(SEED, "association", name), np.zeros(3)
        both = lift * 0.1 / 7
        table = np.array([1 / 7 - both, both, 6 / 7 - (0.1 - both), 0.1 - both])
        truth = -1.0 if lift == 0 else float(np.log(lift) / -np.log(both))
        for _ in range(reports):
            counts = one_attribute(rng.multinomial(2000, table).reshape(2, 2))
            one = association.associate(counts, SETTINGS, rng)["yes"].groups[0]
            seen += [holds(one.effect, truth), one.p <= 0.05, one.effect.interval.high - one.effect.interval.low]
        rows.append(
            {"case": name, "true": truth, **_named(seen, reports, ("covered", "found")), "width": seen[2] / reports}
        )
    return rows


def main() -> None:
    """Measure, and write the JSON and its page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--reports", type=int, default=1000)
    parser.add_argument("--only", nargs="*", help="measure only these parts anew, and keep the file's others")
    given = parser.parse_args()
    parts: dict[str, Callable[[], Any]] = {
        "pooling": lambda: pooling_made(given.reports // 5),
        "detector": lambda: of_detector(given.reports),
        "estimated": lambda: of_estimated(given.reports),
        "calibration": lambda: of_calibration(given.reports),
        "by_chance": lambda: by_chance(given.reports),
        "association": lambda: of_association(given.reports),
    }
    if given.features:
        parts["faces"] = lambda: pooling_faces(given.features, 200)
    result: dict[str, Any] = {"reports": given.reports, "seed": SEED}
    if given.only:
        result = json.loads(given.json.read_text(encoding="utf-8"))
    for name, make in parts.items():
        if given.only and name not in given.only:
            continue
        started = time.process_time()
        result[name] = make()
        result.setdefault("seconds", {})[name] = round(time.process_time() - started, 1)
        if given.only:
            result.setdefault("anew", {})[name] = provenance.commit()
    if not given.only:
        result |= {
            "machine": provenance.machine(),
            "commit": provenance.commit(),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        }
    given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    given.json.with_suffix(".md").write_text(page(result), encoding="utf-8")


if __name__ == "__main__":
    main()
