"""How well SL101's flag, chosen without truth, does against the best threshold in hindsight, on many kinds of data.

.venv/bin/python benchmarks/flags.py --features FEATURES --json docs/results/flags.json

FEATURES holds MobileNetV2 features at 128 px: train.npy, test.npy (CIFAR-10), tiny.npy, faces.npy with a .names of files
beside each (scripts of your own make them; `--data` says where the labels are). What the cases are: flag_cases.py. The
constants of pipeline/audit/labels/flags.py were chosen on `public` and on cases drawn as `choose` is; `report` has other sources,
other people's labels, other models. About 12 minutes on two cores. The page is written beside the JSON.
"""

import argparse
import json
import multiprocessing
import time
import warnings
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from flag_cases import CIFAR, Case, Sources, Spec, make, specs
from flags_page import page

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit.labels.compare import Compared, compare
from secondlook.pipeline.audit.labels.doubts import Judged, scored
from secondlook.pipeline.audit.labels.evidence import KINDS, combine
from secondlook.pipeline.audit.labels.flags import chosen_margin, estimated_share, tally
from secondlook.pipeline.audit.labels.scores import best_f1
from secondlook.pipeline.core.seeds import generator

CASES = (80, 160)
FEWEST_WRONG = 40  # mistakes in a case: with fewer, the best F1 in hindsight is luck
FINDABLE = 0.6  # best F1 in hindsight from which a case counts as one where the scores can find mistakes
MANY = 10  # classes
DRAWS = 2000
WAYS = ("secondlook", "margin_0.30", "difference_0.10", "disagrees", "cleanlab", "cleanlab_confident_learning")


def public() -> list[Spec]:
    """Heads on all of CIFAR-10N, for the three sets of labels of the issue's table."""
    kinds = (("linear", 50_000), ("mlp", 50_000), ("near50", 16_000))
    return [
        Spec("public", "cifar", people, 1.0, model, n=n, dims=256)
        for people in ("aggre", "random1", "worse")
        for model, n in kinds
    ]


def published(data: Path, people: str) -> Case:
    """The ResNet-18's probabilities that cleanlab publishes; columns in CIFAR-10's order, which is alphabetic."""
    rows = Sources(data, data).rows("cifar10n/train.csv")
    given, clean = (np.array([CIFAR.index(row[name]) for row in rows]) for name in (people, "clean"))
    return Case(given, clean, np.load(data / "cifar10n-probs" / f"{people}-resnet18.npy"))


def with_evidence(file: Path) -> tuple[Case, Compared]:
    """A case that benchmarks/evidence.py kept: what the model's own kinds of evidence say together, as lint compares it."""
    kept = np.load(file)
    case = Case(kept["given"], kept["clean"], kept["probs"])
    p_error = combine({kind: kept[kind] for kind in KINDS if kind in kept.files and kind != "others"})
    n, k = case.probs.shape
    names, nothing = [str(number) for number in range(k)], [""] * n
    classes = np.broadcast_to(np.arange(k, dtype=np.int32), (n, k))
    given = case.given.astype(np.int64)
    judged = Judged(nothing, nothing, nothing, given, classes, case.probs, names, p_error.astype(np.float64))
    return case, scored(judged).by_all


def measured(case: Case, judged: Compared | None = None) -> dict[str, Any] | None:
    """F1 of each way to flag, the best in hindsight, and the estimates of the share; None where too little is wrong.

    `judged` is what secondlook compares where it knows more than the probabilities.
    """
    from cleanlab.count import num_label_issues
    from cleanlab.filter import find_label_issues
    from sklearn.metrics import average_precision_score

    given, clean, probs = case
    wrong = given != clean
    if wrong.sum() < FEWEST_WRONG:
        return None
    plain, k = compare(given, probs), probs.shape[1]
    compared = judged or plain
    sums = tally(compared, k)
    started = time.perf_counter()
    choice = chosen_margin(sums)
    seconds = time.perf_counter() - started
    difference = plain.p_other - plain.p_given
    warnings.simplefilter("ignore")  # cleanlab's, one a class that has few labels
    flags = {
        "secondlook": compared.ahead > np.float32(choice.margin),
        "margin_0.30": compared.ahead > 0.30,
        "difference_0.10": difference > 0.10,
        "disagrees": plain.ahead > 0,
        "cleanlab": find_label_issues(given, probs, n_jobs=1),
        "cleanlab_confident_learning": find_label_issues(given, probs, n_jobs=1, filter_by="confident_learning"),
    }
    return {
        "n": len(given),
        "k": k,
        "wrong": float(wrong.mean()),
        "differ": float((plain.ahead > 0).mean()),
        "best": best_f1(compared.ahead, wrong).f1,
        "best_of_difference": best_f1(difference, wrong).f1,
        "margin": choice.margin,
        "seconds_to_choose": seconds,
        "f1": {name: float(2 * (flag & wrong).sum() / (flag.sum() + wrong.sum())) for name, flag in flags.items()},
        "share": {"secondlook": estimated_share(sums), "cleanlab": num_label_issues(given, probs) / len(given)},
        "ap": {
            "odds": float(average_precision_score(wrong, compared.ahead)),
            "difference": float(average_precision_score(wrong, difference)),
            "self_confidence": float(average_precision_score(wrong, -plain.p_given)),
        },
    }


def one(spec: Spec, data: Path, features: Path) -> tuple[Spec, dict[str, Any] | None]:
    """A case made and measured, in a worker."""
    import torch

    torch.set_num_threads(1)
    return spec, measured(make(spec, _sources(data, features)))


SOURCES: dict[Path, Sources] = {}


def _sources(data: Path, features: Path) -> Sources:
    return SOURCES.setdefault(features, Sources(data, features))


def run(
    data: Path, features: Path, evidence: Path | None, counts: tuple[int, int], workers: int
) -> Iterator[dict[str, Any]]:
    """All cases, each as a row."""
    for file in sorted(evidence.glob("*.npz")) if evidence else []:
        row = measured(*with_evidence(file))
        if row is not None:
            yield {"part": "evidence", "name": file.stem, "noise": file.stem, "source": "cifar"} | row
    for people in ("aggre", "worse"):
        row = measured(published(data, people))
        assert row is not None
        yield {"part": "public", "name": f"cifar-{people}-resnet18", "noise": people, "source": "cifar"} | row
    made = [*public(), *specs(*counts)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        work = pool.imap_unordered(partial(one, data=data, features=features), made)
        for done, (spec, row) in enumerate(work):
            print(f"{done + 1}/{len(made)} {spec.name}", flush=True)
            if row is not None:
                yield {"part": spec.part, "name": spec.name, "noise": spec.noise, "source": spec.source} | row


def interval(values: list[float]) -> list[float]:
    """95 % bootstrap interval of the mean over cases."""
    draws = generator(7, "flags", "bootstrap").choice(np.array(values), (DRAWS, len(values))).mean(axis=1)
    return [round(float(end), 4) for end in np.quantile(draws, [0.025, 0.975])]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, interval, 90th percentile and worst of the regret of each way, and the errors of the estimated shares."""
    ways = {}
    for way in WAYS:
        regret = [1 - row["f1"][way] / row["best"] for row in rows]
        ways[way] = {
            "mean": round(float(np.mean(regret)), 4),
            "mean_95": interval(regret),
            "median": round(float(np.median(regret)), 4),
            "p90": round(float(np.quantile(regret, 0.9)), 4),
            "worst": round(max(regret), 4),
        }
    off = {
        name: [abs(row["share"][name] - row["wrong"]) for row in rows if np.isfinite(row["share"][name])]
        for name in ("secondlook", "cleanlab")
    }
    ap = {name: round(float(np.mean([row["ap"][name] for row in rows])), 4) for name in rows[0]["ap"]}
    share = {name: {"mean_error": round(float(np.mean(o)), 4), "mean_95": interval(o)} for name, o in off.items()}
    return {"cases": len(rows), "regret": ways, "share": share, "ap": ap}


def groups(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summaries of the parts; within `report`, by who made the mistakes."""
    sane = [row for row in rows if row["best"] >= FINDABLE and row["k"] >= MANY]
    by_people = ("aggre", "worse", "random1", "one1", "one2", "hard1", "hard2")
    report = [row for row in sane if row["part"] == "report"]
    parts = {
        "public": [row for row in sane if row["part"] == "public"],
        "choose": [row for row in sane if row["part"] == "choose"],
        "report": report,
        "report, people's mistakes": [row for row in report if row["noise"] in by_people],
        "report, planted mistakes": [row for row in report if row["noise"] not in by_people],
        "report, all cases": [row for row in rows if row["part"] == "report"],
    }
    return {name: summary(some) for name, some in parts.items() if some}


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--evidence", type=Path, help="what `benchmarks/evidence.py --keep` wrote")
    parser.add_argument("--cases", type=int, nargs=2, default=CASES, help="how many to choose on, to report on")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    rows = list(run(arguments.data, arguments.features, arguments.evidence, tuple(arguments.cases), arguments.workers))
    rows.sort(key=lambda row: (row["part"], row["name"]))
    result = {
        "claim": "flags",
        "groups": groups(rows),
        "cases": [{key: _rounded(value) for key, value in row.items()} for row in rows],
        "seed": 7,
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "cleanlab": metadata.version("cleanlab"),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    text = page(result, FINDABLE, MANY, FEWEST_WRONG)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(text)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, 5) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
