"""The audit by groups on 5,000 real faces, errors that are planted in some groups, and what the remedies bring.

.venv/bin/python benchmarks/bias_faces.py --work DIR --json docs/results/bias-faces.json

Everything real goes through secondlook itself: ingest (the ages that a spreadsheet mangled are repaired as `secondlook attributes
--repair` does), training on a frozen MobileNetV2, the audit, training again with weights, and what changed. `--part` runs one part;
each keeps its figures in DIR, and the page is written from all of them. The faces are FairFace's (CC BY 4.0); neither they nor
the weights come with this project: `--data` and `--model` say where they are.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bias_faces_planted import Faces, batches, planted

from secondlook.jobs.bias import repairing
from secondlook.jobs.bias.audit import audit
from secondlook.jobs.bias.change import change
from secondlook.jobs.bias.groups import grouping
from secondlook.jobs.ingest import ingest
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.machine import provenance
from secondlook.jobs.sources import Source
from secondlook.jobs.sources.labels import Columns
from secondlook.jobs.train import train
from secondlook.pipeline.bias.cells import codes
from secondlook.pipeline.core.comparison import Changed, Compared, Estimate, GroupAudit, Measure
from secondlook.pipeline.core.config import Settings, from_mapping

SHARED = Path(__file__).parents[2] / "shared"
SEED = 7
ATTRIBUTES = "race,age"
SHOWN = ("SL402", "SL403", "SL404", "SL407")
WEIGHTS = {
    "race, equal": ("race", "equal"),
    "race and age, equal": ("race,age", "equal"),
    "age, independent": ("age", "independent"),
}
FIRST = {  # of the issue: a linear head on MobileNetV2, 2,000 faces to fit and 1,000 to test
    "accuracy": 0.757,
    "worst_of_seven": [0.678, 0.703],
    "best_of_seven": 0.814,
    "n": 1000,
}
PARTS = ["real", "audit", "planted", "batches", "weights", "page"]
LEAST = 10  # faces of a group that figures are given of


def settings_of(work: Path, model: Path, **training: Any) -> Settings:
    """Settings of the lake of faces; `training`: fields of [train]."""
    return from_mapping(
        {
            "lake": {"url": str(work / "lake"), "dataset": "faces"},
            "train": {"backbone": str(model), "seed": SEED} | training,
            "bias": {"attributes": ATTRIBUTES, "seed": SEED, "min_cell": LEAST},
        }
    )


# The parts


def real(work: Path, data: Path, model: Path) -> dict[str, Any]:
    """Ingest, repair, train."""
    settings, seconds = settings_of(work, model), {}

    def timed(name: str, run: Callable[[], Any]) -> Any:
        start = time.monotonic()
        made = run()
        seconds[name] = round(time.monotonic() - start, 1)
        return made

    lake = Lake.open(settings.lake, create=True)
    columns = Columns(label="gender", attributes=("age", "race"))
    source = Source(str(data / "images.zip"), labels=str(data / "labels.csv"), columns=columns)
    timed("ingest", lambda: ingest.run(lake, settings, None, source))
    repaired = timed(
        "repair", lambda: repairing.run_repair(lake, "age", author="benchmark", reason="as the source says")
    )
    trained = timed("train", lambda: train.run(lake, settings))
    kept = ("n", "folds", "accuracy_given", "ece_before", "ece_after")
    return {
        "seconds": seconds,
        "repaired": {"pictures": repaired["pictures"], "values": repaired["values"]},
        "trained": {name: trained[name] for name in kept} | {"version": trained["version"]},
    }


def audited(work: Path, model: Path) -> dict[str, Any]:
    """The audit of the version that the first training made."""
    settings = settings_of(work, model)
    lake = Lake.open(settings.lake)
    return figures(audit(lake, _trained(lake, settings), settings))


def figures(found: GroupAudit) -> dict[str, Any]:
    """Groups of one attribute in all measures; of crossed ones those that are findings, and the five that fare worst."""
    told: dict[str, Any] = {
        name: getattr(found, name) for name in ("samples", "tests", "alpha", "correction", "min_cell")
    }
    told["groups"] = {one.name: {value: n for value, n in one.counts.items() if n >= LEAST} for one in found.attributes}
    told["measures"] = {one.name: _measure(found, one) for one in found.measures if one.rule in SHOWN and one.groups}
    told["measures_compared"] = sum(bool(one.groups) for one in found.measures)
    return told


def _measure(found: GroupAudit, one: Measure) -> dict[str, Any]:
    named = {its.group for its in found.found(one)}
    crossed = [its for its in one.groups if its.group.depth > 1]
    order = sorted(crossed, key=lambda its: _ends(its.effect, one), reverse=True)[:5]
    shown = [its for its in one.groups if its.group.depth == 1 or its.group in named or its in order]
    gaps = sorted(its.smallest_gap for its in one.groups if its.smallest_gap == its.smallest_gap)
    return {
        "rule": one.rule, "n": one.n, "overall": _estimate(one.overall), "compared": len(one.groups), "untested": one.untested,
        "gap": _estimate(one.gap), "worst": one.worst.name if one.worst else None, "worse": one.worse, "unit": one.unit,
        "smallest_gap": [round(gaps[0], 4), round(gaps[len(gaps) // 2], 4), round(gaps[-1], 4)] if gaps else None,
        "findings": len(named),
        "groups": [_group(its) | {"finding": its.group in named} for its in shown if its.n >= LEAST],
    }  # fmt: skip


def _ends(effect: Estimate, one: Measure) -> float:
    return effect.interval.low if one.worse != "lower" else -effect.interval.high


def _group(one: Compared) -> dict[str, Any]:
    return {
        "group": one.group.name, "n": one.n, "value": _estimate(one.raw), "effect": _estimate(one.effect), "p": _round(one.p),
        "adjusted": _round(one.adjusted), "smallest_gap": _round(one.smallest_gap), "pooled": _estimate(one.pooled),
    }  # fmt: skip


def _estimate(one: Estimate | None) -> list[float | None] | None:
    return None if one is None else [_round(one.value), _round(one.interval.low), _round(one.interval.high)]


def _round(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None


def weights(work: Path, data: Path, model: Path) -> dict[str, Any]:
    """Training with weights, held against training without: the same faces, judged by both."""
    plain = settings_of(work, model)
    lake = Lake.open(plain.lake)
    before = _trained(lake, plain)
    told = {}
    for name, (by, to) in WEIGHTS.items():
        chosen = settings_of(work, model, reweigh=by, reweigh_to=to)
        after = _trained(lake, chosen)
        found = change(lake, before, after, plain)
        summary = dict(after.summary)
        told[name] = {
            "weights": summary["reweighed"],
            "accuracy": summary["accuracy_given"],
            "changed": [_changed(one) for one in found if one.measure == "accuracy" and one.group.depth == 1],
            "missed": [
                _changed(one) for one in found if one.measure.startswith("false negatives") and one.group.depth == 1
            ],
            "comparisons": len(found),
            "sure": [_changed(one) for one in found if one.adjusted <= plain.bias.alpha],
        }
    return told


def _trained(lake: Lake, settings: Settings) -> Version:
    """The version that a training makes, or made before, of the labels as they were found."""
    return lake.at(train.run(lake, settings)["version"])


def _changed(one: Changed) -> dict[str, Any]:
    return {
        "measure": one.measure, "group": one.group.name, "n": one.n, "before": _estimate(one.before), "after": _estimate(one.after),
        "difference": _estimate(one.difference), "gained": one.gained, "lost": one.lost, "p": _round(one.p),
        "adjusted": _round(one.adjusted),
    }  # fmt: skip


def faces_of(work: Path, model: Path) -> Faces:
    """The faces as the lake has them: vectors of the backbone, gender as annotated, and cells of race and (repaired) age."""
    settings = settings_of(work, model)
    lake = Lake.open(settings.lake)
    version = lake.at()
    rows = dataset.samples(lake, version)
    known = grouping(lake, version, settings)
    kept = dataset.embeddings(lake, version, dataset.newest_model(lake, version).embedder)
    place = pc.index_in(rows["content_id"], value_set=kept["content_id"].combine_chunks()).combine_chunks()
    there = np.asarray(place.is_valid().to_numpy(zero_copy_only=False), bool)
    lists = kept["vector"].combine_chunks().take(place.filter(pa.array(there)))
    vectors = np.asarray(lists.flatten(), np.float32).reshape(int(there.sum()), -1)
    names = sorted(pc.unique(rows["label"]).to_pylist())
    label = np.asarray(pc.index_in(rows["label"], value_set=pa.array(names)).to_numpy(), np.int64)
    return Faces(vectors, label[there], codes(rows["attributes"], known)[there], known)


def main() -> None:
    """Run the parts that are asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="a folder for the lake and the parts' figures")
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "faces")
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "mobilenet_v2")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chosen = given.part or PARTS
    given.work.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "real": lambda: real(given.work, given.data, given.model),
        "audit": lambda: audited(given.work, given.model),
        "weights": lambda: weights(given.work, given.data, given.model),
        "planted": lambda: planted(faces_of(given.work, given.model), given.repeats, _measures(given.work)),
        "batches": lambda: batches(faces_of(given.work, given.model), given.repeats),
    }
    for name, run in parts.items():
        if name in chosen:
            start = time.monotonic()
            made = {"figures": run(), "seconds": round(time.monotonic() - start, 1)} | _provenance()
            (given.work / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")
    if "page" in chosen and given.json:
        from bias_faces_page import page

        told = {name: json.loads((given.work / f"{name}.json").read_text()) for name in parts}
        told |= {"seed": SEED, "first": FIRST}
        given.json.write_text(json.dumps(told, indent=1) + "\n")
        given.json.with_suffix(".md").write_text(page(told))


def _measures(work: Path) -> int:
    return int(json.loads((work / "audit.json").read_text())["figures"]["measures_compared"])


def _provenance() -> dict[str, Any]:
    return {"machine": provenance.machine(), "commit": provenance.commit()}


if __name__ == "__main__":
    main()
