"""`secondlook log`, `diff`, `blame`: the history of labels."""

import csv
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from math import exp
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs.history import class_diff
from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import history
from secondlook.labeling.answers import Keys
from secondlook.pipeline.core.errors import unknown
from secondlook.pipeline.report.formats import printable

NO_LABEL = "(none)"
DIFF_COLUMNS = ("key", "old", "new", "source", "batch", "actor", "sample_id")


# log


def run_log(lake: Lake, *, limit: int | None = None, as_of: str | int | None = None) -> list[dict[str, Any]]:
    """Versions, newest first (up to `as_of`): id, time (UTC, ISO 8601), job, change (a line), summary."""
    newest = None if as_of is None else lake.at(as_of).id
    versions = [one for one in lake.versions.all()[::-1] if newest is None or one.id <= newest][:limit]
    classes = class_lists.read(lake, lake.head())
    told = [(v, classes.told(dict(v.summary))) for v in versions]
    return [
        {"id": v.id, "time": v.created, "job": v.job, "change": in_a_line(summary), "summary": summary}
        for v, summary in told
    ]


def in_a_line(summary: Mapping[str, Any]) -> str:
    """A job's summary as one line: its counts that are not zero, its names, and what it lists."""
    told = {name.replace("_", " "): value for name, value in summary.items() if name != "version"}
    counts_first = sorted(told.items(), key=lambda pair: not isinstance(pair[1], int))
    parts = [text for name, value in counts_first if (text := _told(name, value))]
    return ", ".join(parts[:8]) or "nothing"


def _told(name: str, value: Any) -> str:
    if isinstance(value, bool) or not value:
        return ""
    match value:
        case int():
            text = f"{value:,} {name}"
        case float():
            text = f"{name} {value:.4g}"
        case str():
            text = f"{name} {value}"
        case [*items] if all(isinstance(item, str) for item in items):
            text = f"{name} {', '.join(items[:3])}" + (f" and {len(items) - 3} more" if len(items) > 3 else "")
        case Mapping() if all(isinstance(n, int) for n in value.values()):
            counts = sorted(value.items(), key=lambda pair: -pair[1])
            text = f"{name} ({', '.join(f'{part} {n:,}' for part, n in counts[:4])}{' …' if len(counts) > 4 else ''})"
        case _:
            text = ""
    return text


def log(
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Only the newest so many.")] = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Versions, newest first: number, time, job, and what changed in a line.

    Any verb that reads the lake takes such a number as --as-of.

    Example:

        secondlook log --limit 5
    """
    rows = run_log(Lake.open(read_settings(settings, lake).lake), limit=limit, as_of=as_of)

    def lines() -> None:
        width = max((len(row["job"]) for row in rows), default=0)
        for row in rows:
            text = f"{row['id']:>5}  {row['time'][:19].replace('T', ' ')}  {row['job']:<{width}}  {row['change']}"
            out().print(printable(text), markup=False)

    finish({"versions": rows}, as_json=json, lines=lines)


# diff


def run_diff(lake: Lake, old: str | int, new: str | int) -> tuple[dict[str, Any], pa.Table]:
    """What differs between the labels of two versions: a summary, and a row a sample (DIFF_COLUMNS), by key."""
    before, after = lake.at(old), lake.at(new)
    newest = max(before, after, key=lambda version: version.id)
    classes = class_lists.read(lake, newest)
    rows = class_diff.diff(lake, before, after, classes)
    samples = dataset.masked_keys(lake.latest("samples", newest, ["sample_id", "key"]), classes)
    keys = (
        samples["key"]
        .combine_chunks()
        .take(pc.index_in(rows["sample_id"], value_set=samples["sample_id"].combine_chunks()).combine_chunks())
    )
    rows = rows.append_column("key", pc.coalesce(keys, rows["sample_id"].combine_chunks()))
    rows = rows.select(list(DIFF_COLUMNS)).sort_by([("key", "ascending"), ("sample_id", "ascending")])
    pairs = Counter(
        f"{one or NO_LABEL} → {two or NO_LABEL}"
        for one, two in zip(rows["old"].to_pylist(), rows["new"].to_pylist(), strict=True)
    )
    summary = {"from": before.id, "to": after.id, "differ": rows.num_rows, "pairs": dict(pairs.most_common())}
    return summary, rows


def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A version: a number, head or head~N.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The version to compare it with.")] = "head",
    style: Annotated[str, typer.Option("--format", metavar="text|csv", help="Lines for people, or a table.")] = "text",
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Labels that differ between two versions.

    Each line names a picture, its label in A and in B, and where the new one comes from: a review, the source, or `classes`,
    where its class was merged, renamed, split or retired.

    Example:

        secondlook diff head~1 head --format csv > changed.csv
    """
    if style not in {"text", "csv"}:
        raise unknown("format", style, ["text", "csv"])
    summary, rows = run_diff(Lake.open(read_settings(settings, lake).lake), old, new)
    if style == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(DIFF_COLUMNS)
        writer.writerows(tuple(row.values()) for row in rows.to_pylist())

    def lines() -> None:
        if style == "text":
            for row in rows.to_pylist():
                told = f"{row['key']}: {row['old'] or NO_LABEL} → {row['new'] or NO_LABEL}"
                by = ", ".join(filter(None, (row["source"], row["batch"])))
                out().print(printable(f"{told}  ({by})"), markup=False)
        say(f"{summary['differ']:,} labels differ between version {summary['from']} and {summary['to']}")

    finish(summary, as_json=json, lines=lines)


# blame


def run_blame(lake: Lake, image: str, *, as_of: str | int | None = None) -> dict[str, Any]:
    """All that happened to one image's label, in order; the image by key, unique end of a key, or sample_id."""
    version = lake.at(as_of)
    samples = lake.latest("samples", version, ["sample_id", "key"])
    keys = samples["key"].to_pylist()
    classes = class_lists.read(lake, version)
    with classes.complaining():
        sample_id = Keys(keys, samples["sample_id"].to_pylist()).find(image)
    events = history.of_sample(lake.read("labels", version, where=_is(sample_id)), sample_id)
    by_seq = _versions_by_seq(lake, "labels")
    position = samples["sample_id"].to_pylist().index(sample_id)
    told = [
        {"version": by_seq.get(event.seq), "time": event.time.isoformat() if event.time else None}
        | {name: getattr(event, name) for name in ("label", "source", "actor", "batch")}
        | {"evidence": dict(event.evidence)}
        for event in events
    ]
    told += class_diff.of_label(events[-1], classes, _versions_by_seq(lake, "classes")) if events else []
    [key] = dataset.masked_keys(samples.slice(position, 1), classes)["key"].to_pylist()
    return {"sample_id": sample_id, "key": key, "events": [class_diff.masked(one, classes) for one in told]}


def _is(sample_id: str) -> Any:
    from pyiceberg.expressions import EqualTo

    return EqualTo("sample_id", sample_id)  # type: ignore[call-arg, arg-type]


def _versions_by_seq(lake: Lake, table: str) -> dict[int, int]:
    """Which version wrote the events of a table that carry a seq; those whose version has expired are not there."""
    found: dict[int, int] = {}
    before: Version | None = None
    for version in lake.versions.all():
        if version.tables.get(table) != (before.tables.get(table) if before else None):
            found[version.seq] = version.id
        before = version
    return found


def blame(
    image: Annotated[str, typer.Argument(help="Key of the image, the end of it, or its sample_id.")],
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Everything that happened to one image's label: who, when, in which batch, on what evidence.

    Example:

        secondlook blame train/00042.jpg
    """
    summary = run_blame(Lake.open(read_settings(settings, lake).lake), image, as_of=as_of)

    def lines() -> None:
        out().print(printable(summary["key"]), markup=False, style="bold")
        for event in summary["events"]:
            out().print(printable(_blame_line(event)), markup=False)
        if not summary["events"]:
            out().print("  no label, and none before", markup=False)

    finish(summary, as_json=json, lines=lines)


def _blame_line(event: Mapping[str, Any]) -> str:
    version = event["version"] if event["version"] is not None else "?"
    parts = [f"  version {version}", (event["time"] or "")[:16].replace("T", " "), event["label"] or NO_LABEL]
    by = f" by {event['actor']}" if event["actor"] else ""
    parts.append(event["source"] + by + (f", batch {event['batch']}" if event["batch"] else ""))
    return "  ".join([*parts, _evidence_line(event["evidence"])]).rstrip()


def _evidence_line(evidence: Mapping[str, Any]) -> str:
    parts = []
    if "probability" in evidence:
        parts.append(f"p={evidence['probability']:.2f}")
    if "people_alone" in evidence and "model" in evidence:
        parts[-1] += f", people alone {evidence['people_alone']:.2f}"
    if evidence.get("votes"):
        parts.append(", ".join(_vote_in_words(vote, evidence.get("overruled", ())) for vote in evidence["votes"]))
    if evidence.get("silent"):
        parts.append("not heard: " + ", ".join(f"{vote['annotator']}: {vote['answer']}" for vote in evidence["silent"]))
    if "model" in evidence:
        parts.append(f"model: {evidence['model']['says']} {evidence['model']['probability']:.2f}")
    if "adjudicated" in evidence:
        parts.append(f"agreed by {evidence['adjudicated']} people")
    if evidence.get("again"):
        parts.append("weighed anew" + (f", {evidence['undecided']}" if "undecided" in evidence else ""))
    if "spread_from_key" in evidence:
        parts.append(f"equal to {evidence['spread_from_key']}")
    if "reverts" in evidence:
        parts.append(f"takes back {evidence['reverts']}")
    if "class_event" in evidence:
        parts.append(f"{evidence['class_event']}: {evidence['reason']}")
    return f"({'; '.join(parts)})" if parts else ""


def _vote_in_words(vote: Mapping[str, Any], overruled: Collection[str]) -> str:
    """A vote, by how much it made its answer more likely, and whether it was overruled."""
    said = f"{vote['annotator']}: {vote['answer']}"
    odds = exp(min(vote.get("weight") or 0.0, 20.0))
    notes = [f"odds x{odds:,.0f}" if odds >= 10 else f"odds x{odds:.2g}"] if vote.get("weight") else []
    notes += ["overruled"] if vote["annotator"] in overruled else []
    return said + (f" ({', '.join(notes)})" if notes else "")
