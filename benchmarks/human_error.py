"""How near the estimate of people's error comes, from three anonymous answers a picture; and what the next hour fixes.

.venv/bin/python benchmarks/human_error.py --json docs/results/human_error.json

CIFAR-10N's three answers and draws of three from CIFAR-10H's fifty, against the published labels. Neither comes with this project:
`--data` says where they are. Seconds are simulated: neither set has any. The page is written beside the JSON.
"""

import argparse
import csv
import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.machine import provenance
from secondlook.labeling.people import human_error
from secondlook.labeling.people.human_error import Dependence, by_agreement, solved
from secondlook.labeling.people.stopping import pace
from secondlook.pipeline.core.seeds import generator

SEED = 15
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SIZES = (100, 300, 1000)
DRAWS = 200
SLICES = (3.0, 5.0, 9.0)  # seconds of an answer, of three kinds of crowd
Ints = npt.NDArray[np.int64]


def read(data: Path) -> dict[str, tuple[Ints, Ints]]:
    """Answers (N, 3) and published labels (N,) of both sets."""
    place = {name: n for n, name in enumerate(CLASSES)}
    with (data / "cifar10n" / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    train = np.array([[place[row[f"random{n}"]] for n in (1, 2, 3)] for row in rows])
    truth = np.array([place[row["clean"]] for row in rows])
    with (data / "cifar10n" / "test.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    votes = np.array([[int(row[f"votes_{name}"]) for name in CLASSES] for row in rows])
    rng = generator(SEED, "three of fifty")
    three = np.stack([rng.permutation(np.repeat(np.arange(10), one))[:3] for one in votes])
    return {"CIFAR-10N": (train, truth), "CIFAR-10H": (three, np.array([place[row["label"]] for row in rows]))}


def naive(answers: Ints) -> dict[str, float]:
    """What is usual: against the majority of all three, own voice included; and against the two others where they agree."""
    same = [(answers[:, n] == answers[:, m]) for n, m in ((1, 2), (0, 2), (0, 1))]
    held = [answers[agree, n] != answers[agree, m] for n, (agree, m) in enumerate(zip(same, (1, 0, 0), strict=True))]
    any_two = np.logical_or.reduce(same)
    middle = np.where(same[0], answers[:, 1], answers[:, 0])
    return {
        "own majority": float((answers[any_two] != middle[any_two, None]).mean()),
        "two others who agree": float(np.concatenate(held).mean()),
    }


def dependence(answers: Ints, truth: Ints) -> Dependence:
    """How much errors go together, with the truth at hand."""
    wrong = answers != truth[:, None]
    pairs = ((0, 1), (0, 2), (1, 2))
    error, both = wrong.mean(), np.mean([(wrong[:, n] & wrong[:, m]).mean() for n, m in pairs])
    alike = np.mean([(wrong[:, n] & (answers[:, n] == answers[:, m])).mean() for n, m in pairs])
    return Dependence(float((both - error**2) / (error * (1 - error))), float(alike / both))


def estimates(answers: Ints, truth: Ints, name: str) -> dict[str, Any]:
    """Estimates and coverage on samples of pictures, each with its own true error."""
    whole = float((answers != truth[:, None]).mean())
    found: dict[str, Any] = {"true": whole, "naive": naive(answers), "samples": {}}
    found["dependence"] = list(dependence(answers, truth))
    for size in SIZES:
        values, held, width = [], 0, []
        for draw in range(DRAWS):
            rng = generator(SEED, name, str(size), str(draw))
            rows = rng.choice(len(truth), size, replace=False)
            pictures = [str(n) for n in np.repeat(np.arange(size), 3)]
            said = [str(a) for a in answers[rows].reshape(-1)]
            told = by_agreement(pictures, said, np.full(3 * size, np.nan), rng, classes=10)
            assert told is not None
            values.append(told.value)
            held += told.interval.low <= whole <= told.interval.high
            width.append(told.interval.high - told.interval.low)
        found["samples"][size] = {
            "mean": round(float(np.mean(values)), 5),
            "deviation": round(float(np.std(values)), 5),
            "holds": round(held / DRAWS, 4),
            "width": round(float(np.mean(width)), 5),
        }
    return found


def spent(answers: Ints, truth: Ints) -> list[dict[str, float]]:
    """With simulated seconds: a third of the answers is hasty, and a quarter of these is replaced by a guess."""
    rng = generator(SEED, "seconds")
    rows = rng.choice(len(truth), 3000, replace=False)
    shown = answers[rows].copy()
    hasty = rng.random(shown.shape) < 1 / 3
    seconds = np.exp(rng.normal(np.where(hasty, np.log(1.5), np.log(6.0)), 0.35))
    guess = hasty & (rng.random(shown.shape) < 0.25)
    shown[guess] = rng.integers(0, 10, int(guess.sum()))
    pictures = [str(n) for n in np.repeat(np.arange(len(rows)), 3)]
    told = by_agreement(pictures, [str(a) for a in shown.reshape(-1)], seconds.reshape(-1), rng, classes=10)
    assert told is not None
    wrong = shown != truth[rows][:, None]
    found = []
    for one in told.by_seconds:
        mine = (seconds >= one.low_s) & (seconds <= one.high_s)
        found.append(
            {"from": one.low_s, "to": one.high_s, "true": float(wrong[mine].mean()), "value": one.value}
            | {"low": one.interval.low, "high": one.interval.high, "answers": one.answers}
        )
    return found


def hours(data: Path, answers: Ints) -> dict[str, Any]:
    """Replay: random1 is given, random2 is bought, worst first; the forecast of each next hour beside what it fixed."""
    probs = np.load(data / "cifar10n-probs" / "aggre-resnet18.npy")
    given, bought = answers[:, 0], answers[:, 1]
    orders = {"by doubt, worst first": np.argsort(probs[np.arange(len(given)), given]), "at random": None}
    found: dict[str, Any] = {}
    for name, order in orders.items():
        held, n, ratio = 0, 0, []
        for seconds in SLICES:
            for seed in range(5):
                rng = generator(SEED, "hours", name, str(seconds), str(seed))
                start = rng.permutation(len(given)) if order is None else order
                kept = start[rng.random(len(start)) < 0.4]  # five datasets of 20,000, each with its own next hours
                fixed = (given[kept] != bought[kept]).astype(float)
                took = np.exp(rng.normal(np.log(seconds) - 0.18, 0.6, len(kept)))
                ends = np.searchsorted(np.cumsum(took), 3600.0 * np.arange(1, 40))
                for end, after in itertools.pairwise(ends):
                    if after >= len(kept):
                        break
                    told = pace(fixed[:end], took[:end], rng)
                    assert told is not None
                    assert told.following is not None
                    true = float(fixed[end:after].sum())
                    held += told.following.interval.low <= true <= told.following.interval.high
                    ratio.append(told.following.value / max(true, 1))
                    n += 1
        middle = [round(float(v), 3) for v in np.quantile(ratio, (0.1, 0.5, 0.9))]
        found[name] = {"hours": n, "holds": round(held / n, 4), "forecast_over_true": middle}
    return found


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    figures, where = result["figures"], result["machine"]
    rows, samples = [], []
    sets = figures["sets"]
    for name, its in sets.items():
        transferred = its["other_dependence"]
        rows.append(
            f"| {name} | {its['true']:.2%} | {its['naive']['own majority']:.2%} | {its['naive']['two others who agree']:.2%} | "
            f"{its['independent']:.2%} | **{its['samples'][SIZES[-1]]['mean']:.2%}** | {transferred:.2%} |"
        )
        samples += [
            f"| {name} | {size:,} | {one['mean']:.2%} ± {one['deviation']:.2%} | {one['width']:.2%} | {one['holds']:.1%} |"
            for size, one in its["samples"].items()
        ]
    bins = "\n".join(
        f"| {one['from']:.1f}–{one['to']:.1f} s | {one['answers']:,} | {one['true']:.1%} | {one['value']:.1%} ({one['low']:.1%}–{one['high']:.1%}) |"
        for one in figures["seconds"]
    )
    replay = "\n".join(
        f"| {name} | {its['hours']:,} | {its['holds']:.1%} | {its['forecast_over_true'][1]:.2f} ({its['forecast_over_true'][0]:.2f}–{its['forecast_over_true'][2]:.2f}) |"
        for name, its in figures["hours"].items()
    )
    both = "; ".join(f"{name} {its['dependence'][0]:.3f}, {its['dependence'][1]:.3f}" for name, its in sets.items())
    return f"""# What a person would score, without the truth

Three anonymous answers a picture: CIFAR-10N's own (50,000 pictures), and three drawn of CIFAR-10H's fifty (10,000). The true error of one answer is against the
published labels, which the estimates never see.

| answers | true error | against their own majority | against two others, where these agree | pairs, errors independent | **ours** | ours, with the other set's dependence |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Measured against themselves, or where others agree (which are the easy pictures), people look better than they are. Ours solves the share of pairs that
differ for the error, with people's errors going together as much as on these two sets on average: correlation of errors and part of double errors that are alike are
{both}; used are {human_error.USUAL.together:g} and {human_error.USUAL.alike:g}. **These two numbers were taken from the same two sets**, so the bold column is no proof; the last
column is: the other set's numbers alone. There is no third set here to test on. The interval runs from no dependence to more than either set has
({human_error.STRONG.together:g}, {human_error.STRONG.alike:g}), plus a bootstrap over pictures, since answers alone can't tell mistakes that all make.

## With few pictures

{DRAWS} samples each; *holds* is how often the interval has the true error.

| answers | pictures | estimate ± deviation | mean width of the interval | holds |
|---|---|---|---|---|
{chr(10).join(samples)}

The width hardly falls with more pictures: most of it is what answers can't tell. Supplied gold ends that.

## By seconds spent

Simulated on 3,000 pictures of CIFAR-10N: a third of the answers comes in some 1.5 s, and a quarter of those is a guess; the rest takes 6 s.

| seconds | answers | true error | estimate |
|---|---|---|---|
{bins}

## What the next hour fixes

Replay on CIFAR-10N: `random1` is given, `random2` is bought, an hour is 3,600 s of people's time at 3, 5 or 9 s an answer on average (log-normal, simulated), five random
datasets of 20,000 each. A label is fixed where the answer changes it. The forecast is made after each hour from what came before.

| order | hours forecast | 95 % interval holds | forecast / true: median (10 %–90 %) |
|---|---|---|---|
{replay}

Seed {SEED}, {result["seconds"]:.0f} s; {where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}. Data: CIFAR-10N (CC BY-NC 4.0), CIFAR-10H
(CC BY-NC-SA 4.0), cleanlab's label-error-detection-benchmarks (the order by doubt). Reproduce: `.venv/bin/python benchmarks/human_error.py --json docs/results/human_error.json`.
"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    start = time.monotonic()
    sets = read(arguments.data)
    told = {name: estimates(answers, truth, name) for name, (answers, truth) in sets.items()}
    for name, other in zip(told, reversed(told), strict=True):
        answers = sets[name][0]
        apart = float(np.mean([(answers[:, n] != answers[:, m]).mean() for n, m in ((0, 1), (0, 2), (1, 2))]))
        told[name]["disagreement"] = apart
        told[name]["independent"] = solved(apart, Dependence(0.0, 1 / 9))
        told[name]["other_dependence"] = solved(apart, Dependence(*told[other]["dependence"]))
    result = {
        "claim": "human_error",
        "figures": {
            "sets": told,
            "seconds": spent(*sets["CIFAR-10N"]),
            "hours": hours(arguments.data, sets["CIFAR-10N"][0]),
        },
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
