"""What a data card says of a version: what people said in `[card]`, and what the lake knows of what goes out."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import attributes as lake_attributes
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.answers import answers
from secondlook.jobs.lake.dropped import dropped
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.bias.binning import bins
from secondlook.pipeline.bias.binning import in_order as by_number
from secondlook.pipeline.bias.repairs import propose
from secondlook.pipeline.core.bias_config import Attribute
from secondlook.pipeline.core.cells import Cells, cells
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.core.statistics import Interval
from secondlook.pipeline.report.card import facts as c

MOST_FORMATS = 8
MOST_PROPOSED = 1000  # values of an attribute that are looked at for mangled ones; more are names or numbers
MOST_DIFFERENCES = 20
Column = dict[str, int]  # value → pictures


def facts(lake: Lake, version: Version, settings: Settings, samples: pa.Table | None = None) -> c.CardFacts:
    """The facts of a card. `samples`: rows of `dataset.samples` that go out; None: all that `export` writes by itself."""
    goes_out = going_out(lake, version) if samples is None else samples
    versions = [one for one in lake.versions.all() if one.id <= version.id]
    columns, missing = _columns(goes_out)
    said = settings.card
    attributes = _attributes(lake, version, settings, columns, missing)
    found = _found(lake, version, goes_out)
    waiting = dataset.quarantined(lake, version)
    return c.CardFacts(
        said=said,
        title=said.title or _title(goes_out),
        version=version.id,
        date=version.created,
        program=metadata.version("secondlook"),
        samples=goes_out.num_rows,
        contents=int(pc.count_distinct(goes_out["content_id"]).as_py()),
        labeled=goes_out.num_rows - goes_out["label"].null_count,
        rejected=_counted(dataset.rejects(lake, version)["reason"]),
        classes={name: n for name, n in _of_classes(lake, version, goes_out).items() if name not in waiting},
        classes_waiting=len(waiting),
        splits=_counted(goes_out["split"]),
        sources={_public(url): n for url, n in _counted(goes_out["source"]).items()},
        formats=_formats(lake, version, goes_out),
        licenses=_cells_of(columns, missing, said.license_column, settings),
        consents=_cells_of(columns, missing, said.consent_column, settings),
        attributes=attributes,
        labels=_labels(lake, version, goes_out),
        wrong=_wrong(lake, version, settings),
        findings=None if found is None else _findings(found),
        versions=len(versions),
        first=versions[0].created if versions else version.created,
        min_cell=settings.bias.min_cell,
        differences=() if found is None else _differences(found, attributes),
    )


def going_out(lake: Lake, version: Version) -> pa.Table:
    """Rows of `dataset.samples` without those that `export` leaves out by itself: classes that wait, and what people dropped."""
    waiting = dataset.quarantined(lake, version)
    table, _ = dataset.without_quarantined(
        dataset.samples(lake, version, reveal=True), {name: name for name in waiting}
    )
    return table.filter(pc.invert(pc.is_in(table["sample_id"], value_set=dropped(lake, version))))


def _counted(values: pa.ChunkedArray | pa.Array) -> Column:
    """Values and how often each occurs, most frequent first; without null and empty ones."""
    counted = Counter(dict(zip(*(part.to_pylist() for part in pc.value_counts(values).flatten()), strict=True)))
    return {
        value: n
        for value, n in sorted(counted.items(), key=lambda one: (-one[1], str(one[0])))
        if value not in (None, "")
    }


def _title(samples: pa.Table) -> str:
    names = [name for name in _counted(samples["dataset"]) if name != "default"]
    return ", ".join(sorted(names)) or "A dataset without a name"


def _of_classes(lake: Lake, version: Version, samples: pa.Table) -> Column:
    counts = _counted(samples["label"])
    return {name: counts.get(name, 0) for name in dataset.class_names(lake, version)}


def _public(url: str) -> str:
    """A source as a stranger may read it: of a path of this machine the last part, of a URL no password and no query."""
    parts = urlsplit(url.split("#", maxsplit=1)[0])
    if parts.scheme in ("", "file"):
        return parts.path.rstrip("/").rsplit("/", 1)[-1] or "a folder"
    return f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}{parts.path}"


def _formats(lake: Lake, version: Version, samples: pa.Table) -> Column:
    rows = lake.latest("fingerprints", version, ["content_id", "format"])
    rows = rows.filter(pc.is_in(rows["content_id"], value_set=samples["content_id"].combine_chunks()))
    return dict(list(_counted(rows["format"]).items())[:MOST_FORMATS])


# Attributes


def _columns(samples: pa.Table) -> tuple[dict[str, Column], dict[str, int]]:
    """Of each attribute, in order, its values with the pictures that have them, and how many have none."""
    column = samples["attributes"].combine_chunks()
    keys, values, rows = lake_attributes.entries(
        pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    )
    counted: dict[str, Column] = {}
    missing: dict[str, int] = {}
    for name in in_order(pc.unique(keys).drop_null().to_pylist()):
        here = pc.and_(pc.equal(keys, name), pc.not_equal(values, "").fill_null(False))
        counted[name] = _counted(values.filter(here))
        having = len(np.unique(rows[here.to_numpy(zero_copy_only=False)]))
        missing[name] = samples.num_rows - having
    return counted, missing


def _cells_of(columns: Mapping[str, Column], missing: Mapping[str, int], name: str, settings: Settings) -> Cells | None:
    """Groups of a column as the card may show them, those without a value among them; None where there is no such column."""
    if name not in columns:
        return None
    return cells(columns[name] | {NOT_SAID: missing[name]}, settings.bias.min_cell)


def _attributes(
    lake: Lake,
    version: Version,
    settings: Settings,
    columns: Mapping[str, Column],
    missing: Mapping[str, int],
) -> tuple[c.CardAttribute, ...]:
    known = {one.name: one for one in settings.attributes}
    repaired = _repaired(lake, version)
    special = {settings.card.license_column, settings.card.consent_column}
    return tuple(
        _attribute(known.get(name, Attribute(name=name)), columns[name], missing[name], repaired.get(name, 0), settings)
        for name in columns
        if name not in special
    )


def _attribute(told: Attribute, counts: Column, missing: int, repaired: int, settings: Settings) -> c.CardAttribute:
    """One attribute as the card may show it; numbers in their bins, as the audit has them."""
    from secondlook.jobs.bias.groups import validation

    least, binned = settings.bias.min_cell, bins(told.bins, told.name)
    mangled = sum(one.pictures for one in propose(counts).repairs) if len(counts) <= MOST_PROPOSED else 0
    if binned is not None:
        grouped = Counter({NOT_SAID: missing})
        for value, n in counts.items():
            grouped[binned.binned(value)] += n
        missing = grouped.pop(NOT_SAID)
        counts = {name: grouped[name] for name in binned.names if grouped[name]}
    whole = {name: counts[name] for name in by_number(counts)} | {NOT_SAID: missing}
    groups = cells(whole, least) if len(counts) <= settings.bias.most_values else None
    # The whole is known, so how many have a value says how many have none.
    alone = groups or cells({"": sum(counts.values()), NOT_SAID: missing}, least)
    errors: dict[str, tuple[int, int]] = {}
    if told.estimated:
        for value, estimates in validation(told.name, told.estimated, tuple(counts), binned).items():
            n = sum(estimates.values())
            if n >= least:
                errors[value] = (n - estimates.get(value, 0), n)
    return c.CardAttribute(
        name=told.name,
        groups=groups,
        missing=missing if not missing or NOT_SAID in alone.shown else None,
        described=told.described,
        estimated=bool(told.estimated),
        errors=errors,
        repaired=repaired,
        mangled=mangled,
    )


def _repaired(lake: Lake, version: Version) -> dict[str, int]:
    """Pictures whose value a repair changed when it was made, by attribute."""
    counted: Counter[str] = Counter()
    for repair in lake_attributes.read(lake, version).repairs:
        counted[repair.attribute] += repair.pictures
    return dict(counted)


# Labels


def _labels(lake: Lake, version: Version, samples: pa.Table) -> c.CardLabels:
    held = lake.latest("labels", version, ["sample_id", "label", "source"])
    held = held.filter(
        pc.and_(
            pc.is_valid(held["label"]), pc.is_in(held["sample_id"], value_set=samples["sample_id"].combine_chunks())
        )
    )
    holding = _counted(held["source"])
    given = answers(lake, version)
    return c.CardLabels(
        holding=holding,
        reviewed=holding.get("review", 0),
        annotators=int(pc.count_distinct(given["annotator"]).as_py()),
        answers=given.num_rows,
        asked=int(pc.count_distinct(given["sample_id"]).as_py()),
        changed=_changed(lake, version),
        platform=lake.latest("projects", version, ["batch"]).num_rows > 0,
    )


def _changed(lake: Lake, version: Version) -> int:
    """Decisions that turned a label into another one, or took it away."""
    from secondlook.jobs.report.timeline import history

    return history(lake, version).changed


def _wrong(lake: Lake, version: Version, settings: Settings) -> c.WrongLabels | None:
    from secondlook.jobs.share import share

    told = share.run(lake, settings, version)
    if told["called"] is None:
        return None
    interval = Interval(*told["interval"]) if told["interval"] else None
    return c.WrongLabels(told["called"], told["value"], interval, told["answers"])


def _found(lake: Lake, version: Version, samples: pa.Table) -> pa.Table | None:
    """What lint found that nobody has waived, of these samples, of classes, groups and people; None where it never ran."""
    rows = dataset.findings(lake, version)
    if rows is None:
        return None
    here = pc.or_(
        pc.not_equal(rows["subject_kind"], "sample"),
        pc.is_in(rows["subject"], value_set=samples["sample_id"].combine_chunks()),
    )
    return rows.filter(pc.and_(here, pc.equal(pc.fill_null(rows["waiver"], ""), "")))


def _findings(found: pa.Table) -> tuple[c.CardFinding, ...]:
    from secondlook.jobs.lint.rules import RULES

    counts = _counted(found["rule"])
    return tuple(c.CardFinding(code, RULES[code].name, counts[code]) for code in sorted(counts) if code in RULES)


def _differences(found: pa.Table, attributes: Sequence[c.CardAttribute]) -> tuple[str, ...]:
    """The findings of groups in lint's own words, the largest first; none of a group that the card does not show, as it shows no crossed one."""
    shown = {(one.name, value) for one in attributes if one.groups is not None for value in one.groups.shown}
    rows = found.filter(pc.equal(found["subject_kind"], "group")).sort_by([("score", "descending")])
    told = []
    for row in rows.select(["rule", "message", "evidence"]).to_pylist():
        group = json.loads(row["evidence"] or "{}").get("group", {})
        if len(group) == 1 and set(group.items()) <= shown:
            told.append(f"{row['rule']}: {row['message']}")
    return tuple(told[:MOST_DIFFERENCES])
