"""How often the interval of the share of wrong labels holds the truth, and how wide it is, beside plain counting and simple PPI.

.venv/bin/python benchmarks/share.py --json docs/results/share.json

Audits of CIFAR-10N are drawn again and again with secondlook's own functions; the adjudicated answer is CIFAR-10's
published label. The scores come from published probabilities of a ResNet-18 (cleanlab's label-error-detection-benchmarks).
Neither data comes with this project: `--data` says where they are. The page is written beside the JSON. The peer is
`ppi_py` (MIT) where it is installed, else its formula, which is the same to the last digit.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit import label_errors
from secondlook.pipeline.audit.labels.calibrated import fit
from secondlook.pipeline.audit.share.sampling import PILOT, draw, united
from secondlook.pipeline.audit.share.share import Answers, share, shares
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import wilson

SEED = 7
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
DATA = Path(__file__).parents[2] / "shared" / "data"
BINS = 15
Floats = npt.NDArray[np.float64]


class Labels(NamedTuple):
    """N labels, each with its score, whether it is wrong (of truth or of one person), and its class."""

    score: Floats
    wrong: Floats
    group: npt.NDArray[np.int64]


@cache
def _columns(data: Path) -> dict[str, npt.NDArray[np.int64]]:
    with (data / "cifar10n" / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    place = {name: index for index, name in enumerate(CLASSES)}
    return {name: np.array([place[row[name]] for row in rows]) for name in ("clean", "random1", "aggre", "worse")}


@cache
def labels(data: Path, case: str) -> Labels:
    """The labels of one case; see CASES."""
    columns, rng = _columns(data), generator(SEED, "case", case)
    given = columns["worse" if case == "worse" else "aggre"]
    probs = np.load(data / "cifar10n-probs" / f"{'worse' if case == 'worse' else 'aggre'}-resnet18.npy")
    score = label_errors(given, probs).p_error.astype(np.float64)
    wrong = (given != columns["random1" if case == "one person" else "clean"]).astype(np.float64)
    if case == "weak scores":
        score = expit(logit(np.clip(score, 1e-4, 1 - 1e-4)) + rng.normal(0, 2.5, len(score)))
    if case == "scores of chance":
        score = rng.random(len(score))
    if case == "scores that lie":
        score = 1 - score
    if case == "no scores":
        score = np.full(len(score), np.nan)
    keep: npt.NDArray[np.int64] = np.arange(len(score))
    if case == "few labels":
        keep = rng.choice(len(score), 2000, replace=False)
    if case == "few wrong":
        bad, good = np.flatnonzero(wrong), np.flatnonzero(wrong == 0)
        keep = np.sort(np.append(good, rng.choice(bad, round(0.005 * len(good)), replace=False)))
    return Labels(score[keep], wrong[keep], given[keep])


CASES = {
    "aggre": "majority of three people, ResNet-18",
    "worse": "a wrong one of three people's labels where there is one, ResNet-18",
    "weak scores": "aggre, scores with normal noise of deviation 2.5 on their logit",
    "scores of chance": "aggre, scores drawn from 0 to 1",
    "scores that lie": "aggre, scores turned around: wrong labels are where the model is surest",
    "no scores": "aggre, without a model",
    "few labels": "2,000 labels of aggre",
    "few wrong": "aggre with so many wrong labels left out that 0.5 % remain",
}


def sample(case: Labels, n: int, phases: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Floats]:
    """Rows of one audit and their inclusion probabilities: drawn at once, or a pilot and then the rest."""
    if phases == 1 or n <= PILOT:
        drawn = draw(case.score, n, rng)
        return drawn.rows, drawn.design.inclusion(case.score[drawn.rows])
    first = draw(case.score, PILOT, rng)
    taken = np.zeros(len(case.score), bool)
    taken[first.rows] = True
    known = case.score[first.rows]
    curve = None if np.isnan(known).all() else fit(known, case.wrong[first.rows] > 0, needed=1)
    second = draw(case.score, n - PILOT, rng, taken=taken, curve=curve)  # type: ignore[arg-type]
    rows = np.append(first.rows, second.rows)
    return rows, united(*(one.design.inclusion(case.score[rows]) for one in (first, second)))


def ours(case: Labels, n: int, rng: np.random.Generator, *, phases: int, answered: float = 1.0) -> tuple[float, ...]:
    """Estimate and interval of one audit, of which a random part is answered."""
    rows, inclusion = sample(case, n, phases, rng)
    some = rng.random(len(rows)) < answered if answered < 1 else np.ones(len(rows), bool)
    found = share(case.score, Answers(rows[some], case.wrong[rows[some]], inclusion[some] * some.mean()))
    return found.value, found.interval.low, found.interval.high


def plain(case: Labels, n: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Counting n labels drawn at random, with Wilson's interval."""
    wrong = case.wrong[rng.choice(len(case.wrong), n, replace=False)].sum()
    interval = wilson(float(wrong), n)
    return wrong / n, interval.low, interval.high


def simple_ppi(case: Labels, n: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Prediction-powered mean with tuned power (PPI++), n labels drawn at random, p_error as it is."""
    at = rng.choice(len(case.wrong), n, replace=False)
    rest = np.delete(case.score, at)
    low, high = _ppi(case.wrong[at], case.score[at], rest)
    return (low + high) / 2, low, high


def _ppi(y: Floats, f: Floats, rest: Floats) -> tuple[float, float]:
    """ppi_py.ppi_mean_ci(y, f, rest, alpha=0.05), in our words for machines that lack it."""
    n, more = len(y), len(rest)
    covariance = ((y - y.mean()) * (f - f.mean())).mean()
    power = np.clip(covariance / ((1 + n / more) * np.append(f, rest).var()), 0, 1)
    value = power * rest.mean() + (y - power * f).mean()
    deviation = (power**2 * rest.var() / more + (y - power * f).var() / n) ** 0.5
    return value - 1.959964 * deviation, value + 1.959964 * deviation


def checked_peer(case: Labels) -> str:
    """Which peer it is, after a look that ours and the package's formula agree."""
    try:
        from ppi_py import ppi_mean_ci  # type: ignore[import-not-found]
    except ImportError:
        return "the formula of ppi_py 0.2.3, which was not installed"
    at = generator(SEED, "peer").choice(len(case.wrong), 500, replace=False)
    y, f, rest = case.wrong[at], case.score[at], np.delete(case.score, at)
    theirs = np.array(ppi_mean_ci(y, f, rest, alpha=0.05)).ravel()
    apart = float(np.abs(theirs - np.array(_ppi(y, f, rest))).max())
    assert apart < 1e-4, (theirs, _ppi(y, f, rest))
    return (
        f"ppi_py 0.2.3 (MIT); for speed its formula, whose ends differed from the package's by {apart:.1e} in one draw"
    )


Method = Callable[[Labels, int, np.random.Generator], tuple[float, ...]]
METHODS: dict[str, Method] = {
    "secondlook, pilot first": partial(ours, phases=2),
    "secondlook, in one batch": partial(ours, phases=1),
    "secondlook, 60 % answered": partial(ours, phases=1, answered=0.6),
    "simple PPI": simple_ppi,
    "plain counting": plain,
}
# Case, method, answers, and the part of the draws that it gets.
RUNS = [
    *(("aggre", method, 500, 1.0) for method in METHODS),
    *(("aggre", method, n, 0.5) for method in list(METHODS)[:2] for n in (100, 200, 1000)),
    *(("aggre", method, n, 0.5) for method in list(METHODS)[3:] for n in (100, 200, 1000)),
    *(("worse", "secondlook, pilot first", n, 0.5) for n in (100, 200, 500, 1000)),
    *(("worse", method, 500, 0.5) for method in list(METHODS)[3:]),
    *(
        (case, "secondlook, pilot first", 500, 0.5)
        for case in ("weak scores", "scores of chance", "scores that lie", "few labels", "few wrong")
    ),
    *(
        (case, "secondlook, in one batch", 500, 0.5)
        for case in ("weak scores", "scores of chance", "scores that lie", "few wrong")
    ),
    ("no scores", "secondlook, in one batch", 500, 0.5),
    ("few wrong", "secondlook, in one batch", 200, 0.5),
    ("few wrong", "plain counting", 500, 0.5),
]


def coverage(data: Path, run: tuple[str, str, int, int]) -> dict[str, Any]:
    """One cell: `draws` audits of a case by a method."""
    name, method, n, draws = run
    case, rng, began = labels(data, name), generator(SEED, *map(str, run)), time.perf_counter()
    found = np.array([METHODS[method](case, n, rng) for _ in range(draws)])
    truth = float(case.wrong.mean())
    held = int(((found[:, 1] <= truth) & (truth <= found[:, 2])).sum())
    spread = wilson(held, draws)
    return {
        "case": name,
        "method": method,
        "answers": n,
        "draws": draws,
        "labels": len(case.wrong),
        "truth": round(truth, 5),
        "coverage": round(held / draws, 4),
        "coverage_95": [round(spread.low, 4), round(spread.high, 4)],
        "below": int((truth < found[:, 1]).sum()),
        "above": int((truth > found[:, 2]).sum()),
        "half_width": round(float((found[:, 2] - found[:, 1]).mean() / 2), 5),
        "bias": round(float(found[:, 0].mean() - truth), 5),
        "seconds": round(time.perf_counter() - began, 1),
    }


def by_class(data: Path, n: int, draws: int) -> dict[str, Any]:
    """Intervals of classes with enough answers, all of them together."""
    case, rng = labels(data, "aggre"), generator(SEED, "class", str(n))
    truth = np.bincount(case.group, case.wrong) / np.bincount(case.group)
    held, told, half = 0, 0, 0.0
    for _ in range(draws):
        rows, inclusion = sample(case, n, 1, rng)
        for group, one in shares(case.score, Answers(rows, case.wrong[rows], inclusion), case.group).items():
            told += 1
            held += one.interval.low <= truth[group] <= one.interval.high
            half += one.half_width
    return {
        "answers": n,
        "draws": draws,
        "intervals": told,
        "told": round(told / (draws * len(CLASSES)), 3),
        "coverage": round(held / told, 4),
        "half_width": round(half / told, 5),
    }


def _reliability(p: Floats, wrong: Floats) -> tuple[float, list[dict[str, Any]]]:
    """Expected calibration error over BINS of equal width, and the bins."""
    place = np.clip(np.ceil(p * BINS).astype(int) - 1, 0, BINS - 1)
    n = np.bincount(place, minlength=BINS)
    said, true = np.bincount(place, p, BINS), np.bincount(place, wrong, BINS)
    bins = [
        {"n": int(n[b]), "p": round(said[b] / n[b], 4), "wrong": round(true[b] / n[b], 4)} for b in range(BINS) if n[b]
    ]
    return float(np.abs(said - true).sum() / len(p)), bins


def calibration(data: Path, name: str, repetitions: int) -> dict[str, Any]:
    """p_error against the truth before and after audit answers, on all labels that were not drawn."""
    case, rng = labels(data, name), generator(SEED, "calibration", name)
    before, bins = _reliability(case.score, case.wrong)
    result: dict[str, Any] = {
        "before": {"ece": round(before, 5), "bins": bins},
        "repetitions": repetitions,
        "after": [],
    }
    for n in (100, 200, 500, 1000):
        errors: list[float] = []
        shown: list[dict[str, Any]] = []
        for _ in range(repetitions):
            rows, inclusion = sample(case, n, 2, rng)
            curve = fit(case.score[rows], case.wrong[rows] > 0, 1 / inclusion)
            p, wrong = np.delete(curve(case.score), rows), np.delete(case.wrong, rows)  # type: ignore[operator]
            error, shown = _reliability(p, wrong)
            errors.append(error)
        worst = float(np.quantile(errors, 0.95))
        result["after"].append(
            {"answers": n, "ece": round(float(np.mean(errors)), 5), "ece_95th": round(worst, 5), "bins": shown}
        )
    return result


def one_person(data: Path, n: int, draws: int) -> dict[str, Any]:
    """What one person's answers would say of `aggre`, with `random1` as that person."""
    case, rng = labels(data, "one person"), generator(SEED, "one person")
    found = np.array([ours(case, n, rng, phases=1) for _ in range(draws)])
    return {
        "answers": n,
        "draws": draws,
        "truth": round(float(labels(data, "aggre").wrong.mean()), 5),
        "disputed": round(float(case.wrong.mean()), 5),
        "mean_estimate": round(float(found[:, 0].mean()), 5),
        "coverage_of_disputed": round(
            float(((found[:, 1] <= case.wrong.mean()) & (case.wrong.mean() <= found[:, 2])).mean()), 4
        ),
        "coverage_of_truth": round(
            float(
                (
                    (found[:, 1] <= labels(data, "aggre").wrong.mean())
                    & (labels(data, "aggre").wrong.mean() <= found[:, 2])
                ).mean()
            ),
            4,
        ),
    }


def measure(data: Path, draws: int, workers: int) -> dict[str, Any]:
    """All figures, cells side by side on so many processes."""
    cells = [(case, method, n, round(draws * part)) for case, method, n, part in RUNS]
    with ProcessPoolExecutor(workers) as pool:
        covered = [pool.submit(coverage, data, cell) for cell in cells]
        classes = [pool.submit(by_class, data, n, draws // 4) for n in (500, 1000)]
        calibrated = {name: pool.submit(calibration, data, name, draws // 8) for name in ("aggre", "worse")}
        person = pool.submit(one_person, data, 500, draws // 4)
        return {
            "coverage": [one.result() for one in covered],
            "by_class": [one.result() for one in classes],
            "calibration": {name: one.result() for name, one in calibrated.items()},
            "one_person": person.result(),
        }


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    figures, where = result["figures"], result["machine"]
    head = {row["method"]: row for row in figures["coverage"] if row["case"] == "aggre" and row["answers"] == 500}
    best, counted, ppi = (head[m] for m in ("secondlook, pilot first", "plain counting", "simple PPI"))
    person = figures["one_person"]
    return f"""# The share of wrong labels, with an interval

From {best["answers"]} adjudicated answers on CIFAR-10N `aggre`, the 95 % interval is ± {_points(best["half_width"])} wide and holds the
true share in {_percent(best["coverage"])} of {best["draws"]:,} simulated audits. Counting as many labels of a plain random sample is good
for ± {_points(counted["half_width"])} ({counted["half_width"] / best["half_width"]:.1f} times as wide, what {(counted["half_width"] / best["half_width"]) ** 2:.1f} times the answers would mend), simple
prediction-powered inference for ± {_points(ppi["half_width"])} ({ppi["half_width"] / best["half_width"]:.1f} times).

A wrong label is one that CIFAR-10's published label contradicts; that label stands for the adjudicated answer. In each draw,
secondlook's own functions draw the sample, see the answers, and say an interval. "Pilot first" draws {PILOT} labels
uniformly and all others by the curve that the pilot's answers gave; "in one batch" draws by what is expected of a curve
before the first answer. The true share is fixed, and all chance is that of the draw. What was tuned (TRUST, FEW,
the uniform part, the strata) was tuned by a few hundred draws with other seeds on `aggre` and its variants below, never on `worse`; but the curve
that is expected before the first answer is a round mean of the curves of four sets of scores, and theirs are among them.

## Coverage and width

| case | true share | method | answers | draws | covered (95 % interval) | true share below / above the interval | half-width | bias |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(_row(row) for row in figures["coverage"])}

{chr(10).join(f"* {name}: {what}." for name, what in CASES.items())}

"60 % answered" are 500 drawn, of which a random part was answered. Bias and half-width in points of percent. The peer is {result["peer"]}.

## By class

| answers | draws | class intervals told | of all classes | covered | half-width |
|---|---|---|---|---|---|
{chr(10).join(f"| {r['answers']} | {r['draws']} | {r['intervals']:,} | {_percent(r['told'])} | {_percent(r['coverage'])} | {_points(r['half_width'])} |" for r in figures["by_class"])}

A class is told of from 30 answers. These intervals are for one class each, and classes have few wrong labels, so they are wider than they need be.

## `p_error` as a probability

Expected calibration error ({BINS} bins of equal width) on all labels that were not drawn: of the score as it is, and of
the probability that it is after so many adjudicated answers.

| labels | answers | calibration error: mean | 95th percentile | repetitions |
|---|---|---|---|---|
{chr(10).join(_calibrated(name, one) for name, one in figures["calibration"].items())}

{chr(10).join(_diagram(name, one) for name, one in figures["calibration"].items())}
## Audit answers are not truth

Audits of `aggre` ({_percent(person["truth"])} wrong) answered by one person alone, `random1`, who is wrong too: the mean estimate is
{_percent(person["mean_estimate"])}, and its interval holds the truth in {_percent(person["coverage_of_truth"])} of {person["draws"]} audits. It is an honest figure of something else:
the share that one more person disputes ({_percent(person["disputed"])}), which it holds in {_percent(person["coverage_of_disputed"])}. So secondlook calls it that, and says "share
of wrong labels" only of answers that three people or an expert have given. (`random1` is one of the three votes that
made `aggre`: a stranger disputes more.)

{where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}, {result["seconds"]:.0f} s, seed {SEED}. Data: CIFAR-10N (CC BY-NC
4.0), cleanlab's label-error-detection-benchmarks. Reproduce: `.venv/bin/python benchmarks/share.py --json docs/results/share.json`.
"""


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def _points(value: float) -> str:
    return f"{value * 100:.2f} points"


def _row(row: dict[str, Any]) -> str:
    low, high = row["coverage_95"]
    return (
        f"| {row['case']} | {row['truth'] * 100:.2f} % | {row['method']} | {row['answers']} | {row['draws']:,} "
        f"| {row['coverage'] * 100:.1f} % ({low * 100:.1f}–{high * 100:.1f}) | {row['below']} / {row['above']} "
        f"| {row['half_width'] * 100:.2f} | {row['bias'] * 100:+.2f} |"
    )


def _calibrated(name: str, figures: dict[str, Any]) -> str:
    lines = [f"| `{name}` | none: a score | {figures['before']['ece']:.4f} | | |"]
    return "\n".join(
        lines
        + [
            f"| `{name}` | {one['answers']} | {one['ece']:.4f} | {one['ece_95th']:.4f} | {figures['repetitions']} |"
            for one in figures["after"]
        ]
    )


def _diagram(name: str, figures: dict[str, Any]) -> str:
    """Reliability diagrams as a table: what is said and what is true, bin by bin."""
    after = next(one for one in figures["after"] if one["answers"] == 500)
    parts = [
        f"Reliability on `{name}`, before, and after 500 answers (the last repetition): mean of `p_error`, share wrong, n.",
        "",
    ]
    parts += ["| before | | | after | | |", "|---|---|---|---|---|---|"]
    pairs = [figures["before"]["bins"], after["bins"]]
    for at in range(max(map(len, pairs))):
        cells = [f"{b[at]['p']:.3f} | {b[at]['wrong']:.3f} | {b[at]['n']:,}" if at < len(b) else " | | " for b in pairs]
        parts.append(f"| {' | '.join(cells)} |")
    return "\n".join([*parts, ""])


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--draws", type=int, default=2000, help="of the headline; other cells have half or fewer")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    began = time.perf_counter()
    result = {
        "claim": "share",
        "figures": measure(arguments.data, arguments.draws, arguments.workers),
        "peer": checked_peer(labels(arguments.data, "aggre")),
        "seed": SEED,
        "draws": arguments.draws,
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    result["seconds"] = round(time.perf_counter() - began, 1)
    text = page(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
