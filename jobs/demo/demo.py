"""`secondlook demo`: the whole loop on handwritten digits with planted faults, and how much of them was found."""

import csv
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich.table import Table

from secondlook.jobs.demo.digits import Planted, plant
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal.console import err, finish, out, say
from secondlook.jobs.terminal.options import JsonOption
from secondlook.pipeline.core.config import LakeSettings, LintSettings, Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import TrainSettings
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import share

MARKER = ".secondlook-demo"  # only a folder that bears it is cleared
BUDGET = 340
SLIPS = 0.02  # share of answers that the replayed annotators get wrong


def demo(
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Where pictures, lake and report go.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that is planted and trained.")] = 7,
    json: JsonOption = False,
) -> None:
    """Run the whole loop once on small real pictures, in about a minute.

    scikit-learn's handwritten digits are written out as class folders, with planted faults: wrong labels between
    look-alikes (more of them at one site), copies, leaks, broken files, pictures without a label. Then: ingest, train, lint,
    review (the truth answers, with slips), commit, train again, report. At the end it says how much of what was planted was found.
    """
    start = time.monotonic()
    summary = run(folder, seed)
    summary["seconds"] = round(time.monotonic() - start, 1)
    finish(summary, as_json=json, lines=lambda: _show(summary))


def run(folder: Path, seed: int) -> dict[str, Any]:
    """The loop; returns what was planted, what was found, and accuracies before and after."""
    from secondlook.jobs.ingest import ingest
    from secondlook.jobs.lint import lint
    from secondlook.jobs.machine.spark import session
    from secondlook.jobs.report import report
    from secondlook.jobs.review import answers_file, batches, commit
    from secondlook.jobs.sources import Source
    from secondlook.jobs.train import train

    _clear(folder)
    _step("plant", "writing digits with faults")
    planted = plant(folder, seed)
    settings = Settings(
        lake=LakeSettings(url=str(folder / "lake"), dataset="digits"),
        train=TrainSettings(seed=seed, folds=3, epochs=8),
        # Plain drawings of ten kinds are alike without being copies: docs/results/near_duplicates.md.
        lint=LintSettings(near_bits=2, near_confirm_bits=4),
    )
    lake = Lake.open(settings.lake, create=True)

    _step("ingest", "pictures and labels into the lake (Spark)")
    spark = session(settings.spark)
    ingested = ingest.run(lake, settings, spark, Source(str(planted.folder), labels=str(planted.labels)))
    _step("train", "the generalist, cross-fitted")
    train.run(lake, settings)
    before = _accuracies(lake, planted)
    _step("lint", "what is wrong with the labels")
    lint.run(lake, settings)
    found = _found(lake, planted)
    _step("review", "a batch for people; here the truth answers, with slips")
    pushed = batches.run_push(lake, settings, budget=BUDGET, seed=seed)
    answers_file.run_pull(lake, settings, _answers(lake, planted, folder / "answers.csv", pushed["batch"], seed))
    _step("commit", "answers become decisions")
    decided = commit.run(lake, settings)
    _step("train", "again, with the corrected labels")
    train.run(lake, settings)
    lint.run(lake, settings)
    after = _accuracies(lake, planted)
    _step("report", "one page")
    page = folder / "report.html"
    report.run(lake, settings, output=page)
    spark.stop()
    return {
        "planted": {name: len(getattr(planted, name)) for name in ("mistakes", "copies", "relabeled_copies", "leaks", "broken", "unlabeled")},
        "found": found, "ingested": ingested, "asked": pushed["asked"], "decided": decided,
        "before": before, "after": after, "report": str(page.absolute()), "lake": str(folder / "lake"),
    }  # fmt: skip


def _step(name: str, what: str) -> None:
    err().rule(f"[bold]{name}[/]  {what}", align="left", style="dim")


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UserError(f"{folder} is not empty and not of an earlier demo; choose another with --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKER).write_text(
        "`secondlook demo` made this folder, and clears it when it runs again\n", encoding="utf-8"
    )


def _answers(lake: Lake, planted: Planted, file: Path, batch: str, seed: int) -> Path:
    """A file of answers as two people would give them: right, but for slips to a look-alike."""
    from secondlook.jobs.demo.digits import LOOK_ALIKES

    rng = generator(seed, "answers")
    keys = dict(zip(*_columns(dataset.samples(lake, lake.at()), "sample_id", "key"), strict=True))
    asked = lake.latest("batches", lake.at(), ["batch", "sample_id", "position"])
    asked = asked.filter(pc.equal(asked["batch"], batch)).sort_by("position")
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["annotator", "key", "label", "seconds"])
        for sample in asked["sample_id"].to_pylist():
            right = planted.truth[keys[sample]]
            label = str(LOOK_ALIKES[int(right)]) if rng.random() < SLIPS else right
            writer.writerow([rng.choice(["ada", "grace"]), keys[sample], label, f"{rng.gamma(4, 0.8):.1f}"])
    return file


def _columns(rows: pa.Table, *names: str) -> list[list[Any]]:
    return [rows[name].to_pylist() for name in names]


def _accuracies(lake: Lake, planted: Planted) -> dict[str, Any]:
    """Labels right among the training pictures; predictions right among the held-out ones, whose labels are never fitted."""
    version = lake.at()
    rows = dataset.samples(lake, version)
    keys, labels, splits, contents = _columns(rows, "key", "label", "split", "content_id")
    labeled = [
        (label, planted.truth[key])
        for key, label, split in zip(keys, labels, splits, strict=True)
        if label and split != "test"
    ]
    model = dataset.newest_model(lake, version)
    predicted = dataset.predictions(lake, version, model.name)
    top = dict(
        zip(
            predicted["content_id"].to_pylist(),
            (classes[0] for classes in predicted["classes"].to_pylist()),
            strict=True,
        )
    )
    held = [
        (model.classes[top[content]], planted.truth[key])
        for key, split, content in zip(keys, splits, contents, strict=True)
        if split == "test" and key not in planted.leaks
    ]
    return {
        "labels_right": sum(a == b for a, b in labeled), "labels": len(labeled),
        "held_out_right": sum(a == b for a, b in held), "held_out": len(held),
    }  # fmt: skip


def _found(lake: Lake, planted: Planted) -> dict[str, Any]:
    version: Version = lake.at()
    findings = dataset.findings(lake, version)
    assert findings is not None, "lint has run"
    by_rule: dict[str, set[str]] = {}
    for rule, key in zip(*_columns(findings, "rule", "key"), strict=True):
        by_rule.setdefault(rule, set()).add(key)
    flagged = by_rule.get("SL101", set())
    rejected = dict(zip(*_columns(lake.latest("rejects", version), "key", "reason"), strict=True))
    sites = dict(zip(*_columns(dataset.samples(lake, version), "key", "attributes"), strict=True))
    return {
        "mistakes": len(planted.mistakes & flagged), "flagged": len(flagged),
        "copies": len(planted.copies & by_rule.get("SL201", set())),
        "relabeled_copies": len(planted.relabeled_copies & by_rule.get("SL103", set())),
        "leaks": len(planted.leaks & by_rule.get("SL203", set())),
        "broken": sum(rejected.get(key) == reason for key, reason in planted.broken.items()),
        "flagged_by_site": _by_site(flagged, sites), "groups": sorted(by_rule.get("SL402", set())),
    }  # fmt: skip


def _by_site(flagged: set[str], sites: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for key, attributes in sites.items():
        site = dict(attributes or {}).get("site")
        if site and key.startswith("train/"):
            mine = counts.setdefault(site, {"flagged": 0, "pictures": 0})
            mine["pictures"] += 1
            mine["flagged"] += key in flagged
    return dict(sorted(counts.items()))


def _share(right: int, n: int) -> str:
    found = share(right, n)
    return f"{right}/{n}  {found.value:.1%} ({found.interval.low:.0%}–{found.interval.high:.0%})"


def _show(summary: Mapping[str, Any]) -> None:
    planted, found, before, after = (summary[name] for name in ("planted", "found", "before", "after"))
    table = Table(title="What was planted, and what was found", title_justify="left", box=None, pad_edge=False)
    for column in ("planted", "pictures", "found", "by"):
        table.add_column(column, justify="right" if column in {"pictures", "found"} else "left")
    table.add_row(
        "wrong labels",
        f"{planted['mistakes']}",
        f"{found['mistakes']}",
        f"SL101, among {found['flagged']} that it flags",
    )
    table.add_row("copies", f"{planted['copies']}", f"{found['copies']}", "SL201")
    table.add_row(
        "copies with another label", f"{planted['relabeled_copies']}", f"{found['relabeled_copies']}", "SL103"
    )
    table.add_row("test pictures copied from train", f"{planted['leaks']}", f"{found['leaks']}", "SL203")
    table.add_row("broken files", f"{planted['broken']}", f"{found['broken']}", "rejected with the right reason")
    out().print(table)
    sites = ", ".join(
        f"{site} {c['flagged'] / c['pictures']:.1%} of {c['pictures']}" for site, c in found["flagged_by_site"].items()
    )
    named = f"; SL402 names {', '.join(found['groups'])}" if found["groups"] else ""
    out().print(f"labels flagged by site: {sites}{named}\n", markup=False)
    table = Table(box=None, pad_edge=False)
    for column in ("", "before", "after"):
        table.add_column(column, justify="right" if column else "left")
    for title, right, n in (
        ("training labels right", "labels_right", "labels"),
        ("held-out digits right", "held_out_right", "held_out"),
    ):
        table.add_row(title, *(_share(side[right], side[n]) for side in (before, after)))
    out().print(table)
    out().print(
        "in brackets: 95% intervals; the small net, fitted again on labels that held up, hardly minds the mistakes",
        style="dim",
    )
    say(f"\n{summary['asked']} pictures were shown to people; the whole loop took {summary['seconds']:.0f} s")
    out().print(f"report: {Path(summary['report']).as_uri()}", markup=False)
    out().print(f"go on:  secondlook log --lake {summary['lake']}", markup=False)
