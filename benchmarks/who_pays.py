"""Who pays for a small model: what the gate refuses, which classes are called forgotten, and who is on the frontier, of made answers whose truth is known.

.venv/bin/python benchmarks/who_pays.py --json docs/results/who-pays.json

No data are needed. Sizes, falls and margins were set before the run; nothing was tuned on these draws. The page is written beside
the JSON.
"""

import argparse
import functools
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from statsmodels.stats.proportion import proportions_ztest

from secondlook.jobs.machine import provenance
from secondlook.pipeline.core.models_config import FrontierSettings
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import holm, share
from secondlook.pipeline.learn.students.fallen import falls, forgotten, refused
from secondlook.pipeline.learn.students.frontier import dominates, sure, sure_of_answers

SEED = 27
TRIALS = 200
TEACHER = 0.85  # how often it is right
APART = 0.05  # pictures that the teacher alone, and the student alone, gets right where nothing fell
GROUPS, SIZES, FALLS = 10, (50, 200, 1000), (0.0, 0.02, 0.05, 0.10, 0.20)
CLASSES, PICTURES, GONE = 100, (20, 50, 100), (0.0, 0.10, 0.20, 0.40)
STUDENTS, ASKED = 16, (500, 2000, 10_000)
SETTINGS = FrontierSettings()

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def pair(n: int, fall: float, rng: np.random.Generator) -> tuple[Flags, Flags]:
    """Answers (n,) of a teacher and of a student that is truly worse by `fall`."""
    lost, gained = APART + fall, APART
    kind = rng.choice(4, n, p=[lost, gained, TEACHER - lost, 1 - TEACHER - gained])
    return (kind == 0) | (kind == 2), (kind == 1) | (kind == 2)


def together(sizes: list[int], at: list[float], rng: np.random.Generator) -> tuple[Flags, Flags, list[Ints]]:
    """Answers in several sets, each with its own fall."""
    pairs = [pair(n, fall, rng) for n, fall in zip(sizes, at, strict=True)]
    ends = np.cumsum([0, *sizes])
    rows = [np.arange(low, high) for low, high in pairwise(ends)]
    return np.concatenate([one for one, _ in pairs]), np.concatenate([one for _, one in pairs]), rows


def rate(hits: int, n: int = TRIALS) -> list[float]:
    """Percent with its interval."""
    found = share(hits, n)
    return [round(100 * value, 1) for value in (found.value, found.interval.low, found.interval.high)]


def gate() -> list[dict[str, Any]]:
    """Of students one of whose ten groups fell: who is refused by the gate, and who by the plain figures."""
    told = []
    names = [("group", str(number)) for number in range(GROUPS)]
    for size in SIZES:
        for fall in FALLS:
            rng = generator(SEED, f"gate {size} {fall}")
            ours = plain = 0
            for _ in range(TRIALS):
                found = falls(
                    *(made := together([size] * GROUPS, [fall] + [0.0] * (GROUPS - 1), rng))[:2], names, made[2]
                )
                ours += bool(refused(found, SETTINGS.worst_group))
                plain += max(one.fall.value for one in found) > SETTINGS.worst_group
            told.append({"n": size, "fall": fall, "ours": rate(ours), "plain": rate(plain)})
    return told


def classes() -> list[dict[str, Any]]:
    """Of students that forgot one class of a hundred: how often that one is named, and how often another one."""
    told = []
    names = [("", str(number)) for number in range(CLASSES)]
    for n in PICTURES:
        for gone in GONE:
            rng = generator(SEED, f"classes {n} {gone}")
            counts = dict.fromkeys(("ours", "ours_wrong", "plain", "plain_wrong", "unpaired", "unpaired_wrong"), 0)
            for _ in range(TRIALS // 2):
                teacher, student, rows = together([n] * CLASSES, [gone] + [0.0] * (CLASSES - 1), rng)
                found = falls(teacher, student, names, rows)
                fell = [one.fall.value > SETTINGS.forgotten for one in found]
                p = [_unpaired(int(teacher[its].sum()), int(student[its].sum()), n) for its in rows]
                said = {
                    "ours": {one.name for one in forgotten(found, SETTINGS.forgotten)},
                    "plain": {str(k) for k in np.flatnonzero(fell)},
                    "unpaired": {str(k) for k in np.flatnonzero((holm(p) < 0.05) & np.array(fell))},
                }
                for name, its in said.items():
                    counts[name] += "0" in its
                    counts[f"{name}_wrong"] += bool(its - {"0"})
            told.append({"n": n, "fall": gone} | {name: rate(hits, TRIALS // 2) for name, hits in counts.items()})
    return told


def _unpaired(first: int, second: int, n: int) -> float:
    if first == second:
        return 1.0
    return float(proportions_ztest([first, second], [n, n])[1])


def frontiers() -> list[dict[str, Any]]:
    """Sixteen students of two axes: of each of four costs two that are level, one as good that costs a little more, and one that is
    truly worse by four points. Who of them is on the frontier, by three rules."""
    told = []
    kind, level = np.arange(STUDENTS) % 4, np.arange(STUDENTS) // 4
    cost = level + 0.1 * (kind == 2)
    truth = 0.70 + 0.05 * level - 0.04 * (kind == 3)
    for n in ASKED:
        rng = generator(SEED, f"frontiers {n}")
        kept = {name: np.zeros(STUDENTS, np.int64) for name in ("ours", "plain", "strict")}
        for _ in range(TRIALS // 2):
            hard = rng.random(n)  # students find the same pictures hard
            right = (0.7 * hard + 0.3 * rng.random((STUDENTS, n))) < _cut(truth)[:, None]
            values = np.stack([right.mean(axis=1), -cost], axis=1)
            certain = np.stack([sure_of_answers(right), sure(-cost[:, None])[0]])
            every = certain[0] & (cost[:, None] <= cost[None, :])
            for name, beats in (
                ("ours", dominates(values, certain)),
                ("plain", dominates(values, sure(values))),
                ("strict", every),
            ):
                kept[name] += ~beats.any(axis=0)
        told.append({"n": n} | {name: _by_kind(its, kind) for name, its in kept.items()})
    return told


def _by_kind(kept: Ints, kind: Ints) -> dict[str, list[float]]:
    trials = TRIALS // 2 * STUDENTS // 4
    return {
        "level": rate(int(kept[kind < 2].sum()), 2 * trials),
        "dearer": rate(int(kept[kind == 2].sum()), trials),
        "worse": rate(int(kept[kind == 3].sum()), trials),
    }


@functools.cache
def _spread() -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return np.asarray(0.7 * rng.random(1_000_000) + 0.3 * rng.random(1_000_000))


def _cut(truth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where 0.7 U + 0.3 V lies below with these chances, of two uniform draws."""
    return np.asarray(np.quantile(_spread(), truth), np.float64)


def page(result: dict[str, Any]) -> str:
    """The page of the results."""
    figures = result["figures"]

    def cell(one: list[float]) -> str:
        return f"{one[0]:.1f} ({one[1]:.1f}–{one[2]:.1f})"

    lines = [
        "# Who pays: the gate, forgotten classes, and the frontier, where the truth is known",
        "",
        f"Made answers, {TRIALS} trials a line (half of that for classes and frontiers), seed {SEED}: the teacher is right {TEACHER:.0%} of the time; where nothing fell, each of the two",
        f"alone is right on {APART:.0%} of the pictures. Nothing was tuned on these draws. Percent, Wilson 95 % intervals in brackets.",
        "",
        "    .venv/bin/python benchmarks/who_pays.py --json docs/results/who-pays.json",
        "",
        "## The gate: students refused",
        "",
        f"Ten groups, one of which truly falls; the margin is {SETTINGS.worst_group:.0%}. Up to a fall of {SETTINGS.worst_group:.0%} nobody should be refused.",
        "",
        "| pictures of a group | true fall | the gate | the plain figure of the worst group |",
        "|---|---|---|---|",
        *(
            f"| {one['n']} | {one['fall']:.0%} | {cell(one['ours'])} | {cell(one['plain'])} |"
            for one in figures["gate"]
        ),
        "",
        "The plain figure refuses nearly everybody whose groups are small, also who lost nothing. The gate is made to refuse at most 5 of 100 students without a fall beyond the margin, and refuses fewer;",
        "its price is that with 50 pictures of a group it sees only large falls.",
        "",
        "## Forgotten classes",
        "",
        f"A hundred classes, one of which truly falls; forgotten is what falls by more than {SETTINGS.forgotten:.0%}. *named*: the class that fell; *wrongly*: any other.",
        "",
        "| pictures of a class | true fall | ours: named | wrongly | plain figure: named | wrongly | two shares, unpaired, Holm: named | wrongly |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {one['n']} | {one['fall']:.0%} | "
            + " | ".join(
                cell(one[name]) for name in ("ours", "ours_wrong", "plain", "plain_wrong", "unpaired", "unpaired_wrong")
            )
            + " |"
            for one in figures["classes"]
        ),
        "",
        "The plain figure names some class wrongly for every second student where classes have 50 pictures. The exact paired test names nobody wrongly, and needs a fall of 40 points to find it among 50 pictures;",
        "the unpaired one, by the normal approximation, finds somewhat more of large falls and less of small ones.",
        "",
        "## The frontier",
        "",
        "Sixteen students of two axes, accuracy and cost: of each of four costs two that are truly *level*, one as good that costs a little more (*dearer*), and one that is truly 4 points *worse*. Percent",
        "of each kind that is on the frontier: of the level all should be, of the others none. *strict* drops a student only where another one is surely more accurate and costs no more.",
        "",
        "| pictures | ours: level | dearer | worse | plain: level | dearer | worse | strict: level | dearer | worse |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {one['n']:,} | "
            + " | ".join(
                cell(one[name][kind]) for name in ("ours", "plain", "strict") for kind in ("level", "dearer", "worse")
            )
            + " |"
            for one in figures["frontiers"]
        ),
        "",
        "Plain domination throws one of two level students off, a coin's toss which. The strict rule drops nobody who is only dearer. Ours keeps the level ones, and drops the dearer one unless chance makes it look better.",
        "",
        f"{result['seconds']} s, commit {result['commit']}, {result['machine']['cores']} cores, {result['machine']['processor']}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    start = time.monotonic()
    figures = {"gate": gate(), "classes": classes(), "frontiers": frontiers()}
    result = {
        "claim": "who-pays",
        "figures": figures,
        "trials": TRIALS,
        "seed": SEED,
        "seconds": round(time.monotonic() - start, 1),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    text = page(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
