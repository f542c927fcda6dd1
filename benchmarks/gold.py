"""What gold questions find, and whom they wrong: our sequential test beside what is usual, on the same simulated people.

.venv/bin/python benchmarks/gold.py --json docs/results/gold.json

No data are needed. Rates, margins and thresholds were set before the run; nothing was tuned on these draws. The page is
written beside the JSON.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from secondlook.jobs.machine import provenance
from secondlook.labeling.people.gold import Rates, cleared, evidence, usual_errors
from secondlook.labeling.people.haste import hasty
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import share

SEED = 15
PEOPLE = 20_000
LIFE = 500  # gold questions: at 5 % gold, 10,000 answers
CUTS = (20, 50, 200, 500)
ERRORS = (0.02, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 0.60, 0.90)
FIXED = 20  # questions of the fixed test
PRACTICE = (5, 0.80)  # pause whenever accuracy after so many questions is below this
CHANGE = 100  # questions before somebody turns bad
CROWDS, CROWD, QUESTIONS = 250, 40, 60
RATES = Rates()

Flags = npt.NDArray[np.bool_]


def ours(wrong: Flags) -> Flags:
    """Whether each person is paused by each question, (A, T)."""
    return np.logical_or.accumulate(
        evidence(wrong, np.full(wrong.shape, RATES.acceptable), RATES) >= 1 / RATES.alpha, axis=1
    )


def wald(wrong: Flags) -> Flags:
    """Wald's test of the same rates: stops for good at either end, so that who passes is not looked at again."""
    ratio = np.log(cleared(wrong, np.full(wrong.shape, RATES.acceptable), RATES))
    high, low = np.log((1 - RATES.beta) / RATES.alpha), np.log(RATES.beta / (1 - RATES.alpha))
    up, down = np.logical_or.accumulate(ratio >= high, axis=1), np.logical_or.accumulate(ratio <= low, axis=1)
    first_up = np.where(up.any(axis=1), up.argmax(axis=1), wrong.shape[1])
    first_down = np.where(down.any(axis=1), down.argmax(axis=1), wrong.shape[1])
    return np.asarray(up & (first_up < first_down)[:, None])


def fixed(wrong: Flags) -> Flags:
    """Once, after FIXED questions: more wrong than an acceptable person has with a chance of alpha (exact)."""
    most = int(binom.ppf(1 - RATES.alpha, FIXED, RATES.acceptable))
    found = np.zeros(wrong.shape, bool)
    found[:, FIXED - 1 :] = (wrong[:, :FIXED].sum(axis=1) > most)[:, None]
    return found


def practice(wrong: Flags) -> Flags:
    """Whenever the accuracy so far is below a line, looked at after every question, as crowd platforms do."""
    least, line = PRACTICE
    counts = np.arange(1, wrong.shape[1] + 1)
    below = (1 - wrong.cumsum(axis=1) / counts < line) & (counts >= least)
    return np.asarray(np.logical_or.accumulate(below, axis=1))


TESTS = {"ours": ours, "wald": wald, "fixed": fixed, "practice": practice}
TITLES = {
    "ours": "ours",
    "wald": "Wald’s test, which ends when somebody passes",
    "fixed": f"once, after {FIXED} questions (exact binomial)",
    "practice": f"accuracy below {PRACTICE[1]:.0%}, looked at after every question from {PRACTICE[0]}",
}


def counted(paused: Flags) -> dict[str, Any]:
    """Shares paused by each of CUTS with intervals, and how many questions it took those who were."""
    n, life = paused.shape
    at = paused.argmax(axis=1)[paused[:, -1]] + 1
    found: dict[str, Any] = {}
    for cut in (*[cut for cut in CUTS if cut < life], life):
        told = share(int(paused[:, cut - 1].sum()), n)
        found[f"by_{cut}"] = [round(told.value, 5), round(told.interval.low, 5), round(told.interval.high, 5)]
    found["questions"] = [int(q) for q in np.quantile(at, (0.1, 0.5, 0.9))] if paused[:, -1].mean() >= 0.5 else None
    return found


def lives() -> dict[str, Any]:
    """People of each error rate, by each test."""
    found: dict[str, Any] = {}
    for error in ERRORS:
        wrong = generator(SEED, "life", str(error)).random((PEOPLE, LIFE)) < error
        found[f"{error:.2f}"] = {name: counted(test(wrong)) for name, test in TESTS.items()}
        passed = cleared(wrong, np.full(wrong.shape, RATES.acceptable), RATES) <= RATES.beta
        told = share(int(passed.any(axis=1).sum()), PEOPLE)
        found[f"{error:.2f}"]["passed"] = [round(v, 5) for v in (told.value, told.interval.low, told.interval.high)]
    return found


def changes() -> dict[str, Any]:
    """People who err on 3 % of CHANGE questions, and on 40 % from then on."""
    rng = generator(SEED, "change")
    wrong = np.concatenate([rng.random((PEOPLE, CHANGE)) < 0.03, rng.random((PEOPLE, LIFE - CHANGE)) < 0.40], axis=1)
    found = {}
    for name, test in TESTS.items():
        paused = test(wrong)
        early = share(int(paused[:, CHANGE - 1].sum()), PEOPLE)
        after = paused[:, CHANGE:]
        found[name] = {"before": round(early.value, 5), "late": counted(after)}
    return found


def crowds() -> dict[str, Any]:
    """Gold with easy and hard questions: good people err on the hard fifth as often as on none else; one in ten guesses."""
    counts = {"ours": [0, 0, 0, 0], "flat": [0, 0, 0, 0]}
    n_good = 0
    for crowd in range(CROWDS):
        rng = generator(SEED, "crowd", str(crowd))
        hard = rng.random(QUESTIONS) < 0.2
        kind = rng.permutation(np.repeat([0, 1, 2], [CROWD - 8, 4, 4]))  # good, sloppy, guessing
        error = np.where(hard, 0.40, 0.04)[None, :] * np.ones((CROWD, 1))
        error[kind == 1] = np.minimum(error[kind == 1] + 0.30, 1)
        error[kind == 2] = 0.9
        wrong = rng.random((CROWD, QUESTIONS)) < error
        who, question = np.divmod(np.arange(CROWD * QUESTIONS), QUESTIONS)
        told = usual_errors([str(q) for q in question], [str(a) for a in who], wrong.reshape(-1).tolist(), RATES)
        usual = {"ours": np.array(told).reshape(CROWD, QUESTIONS), "flat": np.full(wrong.shape, RATES.acceptable)}
        n_good += int((kind == 0).sum())
        for name, expected in usual.items():
            paused = np.asarray((evidence(wrong, expected, RATES) >= 1 / RATES.alpha).any(axis=1))
            for each in range(3):
                counts[name][each] += int(paused[kind == each].sum())
    sizes = (n_good, 4 * CROWDS, 4 * CROWDS)
    names = ("good", "sloppy", "guessing")
    return {
        name: {
            kind: [round(v, 5) for v in (told.value, told.interval.low, told.interval.high)]
            for kind, k, n in zip(names, ks, sizes, strict=False)
            for told in (share(k, n),)
        }
        for name, ks in counts.items()
    } | {"n": dict(zip(names, sizes, strict=True))}


def haste() -> dict[str, Any]:
    """SL602: crowds of ten with log-normal times and paces of their own; two of them answer fast, one is right, one guesses."""
    flagged = {"honest": 0, "fast and right": 0, "fast and guessing": 0}
    n = {"honest": 0, "fast and right": 0, "fast and guessing": 0}
    for crowd in range(CROWDS):
        rng = generator(SEED, "haste", str(crowd))
        pace = np.exp(rng.normal(np.log(5.0), 0.35, 10))
        pace[:2] = 0.8
        seconds = np.exp(rng.normal(np.log(pace)[:, None], 0.6, (10, 100)))
        rate = np.full(10, 0.1)
        rate[1] = 0.9
        wrong = (rng.random((10, 100)) < rate[:, None]).astype(float)
        wrong[:, 40:] = np.nan  # six tenths of the answers can't be checked
        names = [str(a) for a in np.repeat(np.arange(10), 100)]
        found = hasty(names, ["b"] * 1000, seconds.reshape(-1), wrong.reshape(-1), too_fast=0.3, least_share=0.2)
        kinds = {"0": "fast and right", "1": "fast and guessing"}
        for name in map(str, range(10)):
            n[kinds.get(name, "honest")] += 1
        for one in found:
            flagged[kinds.get(one.annotator, "honest")] += 1
    return {
        kind: [round(v, 5) for v in (told.value, told.interval.low, told.interval.high)] + [n[kind]]
        for kind in n
        for told in (share(flagged[kind], n[kind]),)
    }


def _cell(told: list[float]) -> str:
    return f"{100 * told[0]:.2f} ({100 * told[1]:.2f}–{100 * told[2]:.2f})"


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    figures, where = result["figures"], result["machine"]
    life = figures["lives"]
    by_test = "\n".join(
        f"| {float(error):.0%} | " + " | ".join(f"{100 * its[name][f'by_{LIFE}'][0]:.2f}" for name in TESTS) + " |"
        for error, its in life.items()
    )
    by_cut = "\n".join(
        f"| {float(error):.0%} | "
        + " | ".join(_cell(its["ours"][f"by_{cut}"]) for cut in CUTS)
        + f" | {_questions(its['ours'])} | {_cell(its['passed'])} |"
        for error, its in life.items()
    )
    took = "\n".join(
        f"| {float(error):.0%} | " + " | ".join(_questions(its[name]) for name in TESTS) + " |"
        for error, its in life.items()
        if float(error) >= RATES.unacceptable
    )
    turned = "\n".join(
        f"| {TITLES[name]} | {100 * its['before']:.2f} | {100 * its['late'][f'by_{LIFE - CHANGE}'][0]:.1f} | {_questions(its['late'])} |"
        for name, its in figures["changes"].items()
    )
    crowd = figures["crowds"]
    kinds = "\n".join(
        f"| {title} | " + " | ".join(_cell(crowd[name][kind]) for kind in ("good", "sloppy", "guessing")) + " |"
        for name, title in (
            ("ours", "ours: a question is as hard as it is for others"),
            ("flat", "every question alike"),
        )
    )
    fast = "\n".join(f"| {kind} | {told[3]:,} | {_cell(told)} |" for kind, told in figures["haste"].items())
    heads = " | ".join(TITLES[name] for name in TESTS)
    return f"""# Gold questions: who is paused, and who wrongly

Simulated people, {PEOPLE:,} for each line, seed {SEED}; a life is {LIFE} gold questions (10,000 answers at 5 % gold). The test's promise: who errs on
{RATES.acceptable:.0%} of gold questions or fewer is *ever* paused with a chance of {RATES.alpha:.0%} at most; who errs on {RATES.unacceptable:.0%} or more is *ever* called
passed with {RATES.beta:.0%} at most. Nothing was tuned on these draws. Percent of people paused, Wilson 95 % intervals in brackets.

## Our test, cut off after so many questions

| errs on | 20 | 50 | 200 | {LIFE} | questions until paused: 10 %, median, 90 % | ever called passed |
|---|---|---|---|---|---|---|
{by_cut}

The rates hold at every cut, since a shorter life is a part of a longer one. Between acceptable and unacceptable nothing is promised.

## Beside others, in a whole life

Percent paused on the same answers:

| errs on | {heads} |
|---|{"---|" * len(TESTS)}
{by_test}

Questions until paused (10 %, median, 90 %), where most are:

| errs on | {heads} |
|---|{"---|" * len(TESTS)}
{took}

Looking after every question with a line fixed for one look wrongs acceptable people often. The single look keeps its word and is late on guessers, and who is found
out later is never looked at. Wald's test is about as fast as ours, and blind after it ends:

## Somebody good turns bad

Errs on 3 % of {CHANGE} questions, then on 40 %:

| test | paused before, % | after, % | questions after the change (10 %, median, 90 %) |
|---|---|---|---|
{turned}

## Easy and hard gold

{CROWDS} crowds of {CROWD} people, {QUESTIONS} gold questions each. Good people err on 4 % of the easy questions and 40 % of the hard fifth (11 % of all); sloppy ones on 30 points
more; guessers on 90 % of all. Percent paused:

| test | good ({crowd["n"]["good"]:,}) | sloppy ({crowd["n"]["sloppy"]:,}) | guessing ({crowd["n"]["guessing"]:,}) |
|---|---|---|---|
{kinds}

Going by how hard a question is spares good people, and costs: sloppy ones need more questions, since on hard gold they are hard to tell from others.
The promise is about who errs up to the acceptable rate on every question. That others err as often on a question is estimated from their
answers, so for people like everybody else it holds as far as this estimate does.

## Too fast (SL602)

{CROWDS} crowds of ten, 100 answers each: log-normal times around 5 s, people's own paces vary by a third; two take 0.8 s, one of them errs like all others (10 %),
one guesses. Four of ten answers can be checked. Percent flagged:

| people | n | flagged |
|---|---|---|
{fast}

{result["seconds"]:.0f} s; {where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}. Reproduce:
`.venv/bin/python benchmarks/gold.py --json docs/results/gold.json`.
"""


def _questions(told: dict[str, Any]) -> str:
    return "{}, {}, {}".format(*told["questions"]) if told["questions"] else "few are"


def main() -> None:
    """Simulate, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    start = time.monotonic()
    figures = {"lives": lives(), "changes": changes(), "crowds": crowds(), "haste": haste()}
    bad = figures["lives"][f"{RATES.unacceptable:.2f}"]
    result = {
        "claim": "gold",
        "figures": figures,
        "people": PEOPLE,
        "seed": SEED,
        "seconds": round(time.monotonic() - start, 1),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    text = page(result)
    print(text)
    ratio = figures["lives"]["0.10"]["practice"][f"by_{LIFE}"][0] / max(
        figures["lives"]["0.10"]["ours"][f"by_{LIFE}"][0], 1 / PEOPLE
    )
    print(
        f"acceptable people wronged: practice / ours = {ratio:.0f} ×; ours pauses bad ones after {bad['ours']['questions']}"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
