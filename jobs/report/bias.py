"""`secondlook report --bias`: the audit by groups of a version as one page, and as JSON with the same figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.bias.audit import audit as by_groups
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.people import remedies, stands
from secondlook.jobs.lint.rules import RULES
from secondlook.jobs.report.facts import provenance_of, title_of
from secondlook.jobs.report.gallery import thumbnails_of
from secondlook.jobs.report.timeline import time
from secondlook.pipeline.core.bias_config import CardSettings
from secondlook.pipeline.core.comparison import Changed, GroupAudit
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.report.bias.facts import BiasFacts
from secondlook.pipeline.report.card.facts import CardFacts
from secondlook.pipeline.report.facts import Picture

LABEL_RULE = "SL101"
PICTURED = ("SL402", "SL403")  # findings that doubted labels of the group say more of
THUMBNAILS = 8  # of a finding
MOST_PICTURED = 12  # findings that have pictures


def gather(
    lake: Lake,
    version: Version,
    settings: Settings,
    *,
    since: Version | None = None,
    with_images: bool = False,
) -> BiasFacts:
    """All that the page shows of a version. since: the version that changes are held against."""
    samples = dataset.samples(lake, version)
    audit = by_groups(lake, version, settings)
    if not audit.attributes:
        why = next(iter(audit.notes.values()), "the pictures have no attributes")
        raise UserError(f"no attribute columns to compare by: {why}")
    found = {one.name: frozenset(its.group for its in stands(audit, one)) for one in audit.measures}
    changes, note = _changes(lake, since, version, settings)
    return BiasFacts(
        title=settings.card.title or title_of(samples),
        version=version.id,
        created=time(version.created),
        audit=audit,
        rules=RULES,
        found=found,
        remedies=_remedies(audit),
        model=_model(lake, version),
        since=since.id if since else None,
        since_note=note,
        changes=changes,
        card=_card(lake, version, settings),
        pictures=_pictures(lake, version, settings, audit, found) if with_images else {},
        with_images=with_images,
        provenance=provenance_of(lake, version, settings),
    )


def _remedies(audit: GroupAudit) -> dict[tuple[str, Group], Sequence[str]]:
    return {
        (measure.rule, one.group): remedies(measure, one) for measure in audit.measures for one in audit.found(measure)
    }


def _model(lake: Lake, version: Version) -> str:
    try:
        return dataset.newest_model(lake, version).name
    except UserError:  # there is none
        return ""


def _changes(lake: Lake, since: Version | None, version: Version, settings: Settings) -> tuple[Sequence[Changed], str]:
    from secondlook.jobs.bias.change import change

    if since is None:
        return (), ""
    found = change(lake, since, version, settings)
    return (
        found,
        "" if found else "Nothing that is compared changed between the two: the same pictures, labels and model.",
    )


# The data card


def _card(lake: Lake, version: Version, settings: Settings) -> dict[str, dict[str, str]]:
    """What people said of the dataset, and what the lake knows, in short."""
    from secondlook.jobs.card.facts import facts

    told = facts(lake, version, settings)
    return {"What people said": _said(told.said), "What the lake knows": _known(told)}


def _said(card: CardSettings) -> dict[str, str]:
    from secondlook.pipeline.report.card.text import ASKED

    told = {name: str(getattr(card, name)).strip() for name in ASKED}
    said = {name.replace("_", " "): text for name, text in told.items() if text}
    silent = "; ".join(ASKED[name] for name, text in told.items() if not text)
    return said | ({"nobody said yet": f"{silent} ([card] in secondlook.toml says it)"} if silent else {})


def _known(told: CardFacts) -> dict[str, str]:
    shown = {
        "pictures": f"{told.samples:,}, of {told.contents:,} distinct contents; {told.labeled:,} labeled",
        "classes": f"{len(told.classes):,}",
        "licences": _cells(told.licenses),
        "consents": _cells(told.consents),
        "labels": f"{told.labels.reviewed:,} decided by people, {told.labels.answers:,} answers of {told.labels.annotators:,} people",
    }
    if told.wrong is not None:
        reach = told.wrong.interval
        between = (
            f" ({reach.low * 100:.1f}–{reach.high * 100:.1f} %, n = {told.wrong.n:,})"
            if reach
            else ", nobody has checked it"
        )
        shown[told.wrong.called] = f"{told.wrong.value * 100:.1f} %{between}"
    return shown


def _cells(cells: Any) -> str:
    """Values of a column with their pictures; of rare ones only how many."""
    if cells is None:
        return "no column says it"
    listed = [f"{value} {n:,}" for value, n in cells.shown.items()]
    return ", ".join([*listed, *([f"{cells.hidden} rarer, {cells.pictures:,}"] if cells.hidden else [])])


# Pictures, on demand


def _pictures(
    lake: Lake, version: Version, settings: Settings, audit: GroupAudit, found: Mapping[str, frozenset[Group]]
) -> dict[tuple[str, Group], Sequence[Picture]]:
    """Doubted labels of the groups that findings are of, worst first."""
    wanted = [(one, group) for one in audit.measures if one.rule in PICTURED for group in sorted(found[one.name])][
        :MOST_PICTURED
    ]
    doubted = dataset.findings(lake, version)
    if doubted is None or not wanted:
        return {}
    samples = dataset.samples(lake, version)
    order = doubted["subject"].filter(pc.equal(doubted["rule"], LABEL_RULE)).combine_chunks()
    rows = samples.take(pc.drop_null(pc.index_in(order, value_set=samples["sample_id"].combine_chunks())))
    labels, contents = rows["label"].to_pylist(), rows["content_id"].to_pylist()
    inside = _inside(lake, version, settings, rows["attributes"], [group for _, group in wanted])
    chosen = {(one.name, group): mine[:THUMBNAILS] for (one, group), mine in zip(wanted, inside, strict=True)}
    made = thumbnails_of(lake, version, settings, {contents[row] for its in chosen.values() for row in its})
    return {
        which: [
            Picture("", small.src, small.width, small.height, labels[row])
            for row in its
            if (small := made.get(contents[row]))
        ]
        for which, its in chosen.items()
    }


def _inside(
    lake: Lake, version: Version, settings: Settings, attributes: Any, groups: Sequence[Group]
) -> list[list[int]]:
    """Rows of each group, in their order."""
    from secondlook.jobs.bias.groups import grouping
    from secondlook.pipeline.bias.cells import codes

    known = grouping(lake, version, settings)
    places = known.split(codes(attributes, known))
    column = {name: at for at, name in enumerate(known.attributes)}
    inside = []
    for group in groups:
        mine = [places[:, column[name]] == known.values[column[name]].index(value) for name, value in group.values]
        inside.append([int(row) for row in (sum(mine) == len(mine)).nonzero()[0]])
    return inside


def run(
    lake: Lake,
    settings: Settings,
    output: Path,
    *,
    version: Version | None = None,
    since: Version | None = None,
    with_images: bool = False,
    form: str = "html",
    figures: Path | None = None,
    targets: Path | None = None,
) -> dict[str, Any]:
    """Write the page (or, as `form` json, its figures) of a version to `output`, the figures to `figures`, and how many pictures of whom to `targets`.

    The summary says where it lies and what it found. `findings` counts as lint does, those that can't be shown as well. Where nothing was
    compared, `clean` is None, and `note` says why. Raises UserError where there is no attribute to compare by.
    """
    from secondlook.jobs.bias.targets import table
    from secondlook.jobs.bias.targets import targets as wanted
    from secondlook.jobs.report.report import write_atomically
    from secondlook.pipeline.report.bias.figures import figures as figures_of
    from secondlook.pipeline.report.bias.page import render
    from secondlook.pipeline.report.bias.summary import nothing_compared
    from secondlook.pipeline.report.bias.view import view
    from secondlook.pipeline.report.bias.words import TURNS

    facts = gather(lake, version or lake.at(), settings, since=since, with_images=with_images)
    shown = view(facts)
    told = json.dumps(figures_of(shown), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    path = output.expanduser().absolute()
    size = write_atomically(path, render(shown) if form == "html" else told)
    if figures is not None:
        write_atomically(figures.expanduser().absolute(), told)
    if targets is not None:
        write_atomically(targets.expanduser().absolute(), table(wanted(facts.audit), settings.bias.min_cell))
    findings = sum(len(its) for its in (facts.found or {}).values())
    return {
        "output": str(output),
        "url": path.as_uri(),
        "figures": str(figures) if figures else None,
        "targets": str(targets) if targets else None,
        "bytes": size,
        "version": facts.version,
        "samples": facts.audit.samples,
        "comparisons": facts.audit.tests,
        "findings": findings,
        "not_shown": shown.shown.lost,
        "since": facts.since,
        "fail_above": settings.lint.fail_above,
        "clean": findings <= settings.lint.fail_above if facts.audit.tests else None,
        "note": TURNS.sub("", nothing_compared(facts.audit)),
    }
