"""SL504: what lint says of properties that tell the class."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lint.carrier import COUNTS, MOST_VALUES, Carrier, Said, to_table
from secondlook.pipeline.audit.classes.giveaways import Property, giveaways
from secondlook.pipeline.audit.classes.properties import KINDS, MEASURES, NUMBERS
from secondlook.pipeline.core.config import LintSettings

ALL = ""  # the `what` of the count of all pictures
NONE = "(none)"  # the value of an attribute that a picture does not have
ATTRIBUTE = "attribute "


def audit(carrier: Carrier, settings: LintSettings) -> Said:
    """SL504, of the pictures with a label and a fingerprint."""
    counts = carrier.propertied(count)
    many = sorted(counts.filter(pc.is_null(counts["label"]))["what"].to_pylist())
    counts = counts.filter(pc.is_valid(counts["label"])).sort_by("label")
    names = pc.unique(counts["label"]).to_pylist()
    if len(names) < 2:
        return Said(to_table([]), {"SL504": "fewer than two classes have pictures to compare"})
    found = giveaways(
        list(_properties(counts, names)), names,
        effect=settings.giveaway, alpha=settings.giveaway_p, least=settings.min_class,
    )  # fmt: skip
    note = (
        f"not compared, for more than {MOST_VALUES:,} different values: {', '.join(many[:5])}{' …' * (len(many) > 5)}"
    )
    return Said(to_table(found), {"SL504": note} if many else {})


def _properties(counts: pa.Table, names: list[str]) -> Iterator[Property]:
    place = pc.index_in(counts["label"], value_set=pa.array(names, pa.string())).to_numpy()
    n, what = counts["n"].to_numpy(), np.array(counts["what"].to_pylist(), object)
    values = np.array(counts["value"].to_pylist(), object)
    whole = np.bincount(place[what == ALL], n[what == ALL], minlength=len(names)).astype(np.int64)
    for name in sorted(set(what.tolist()) - {ALL}):
        rows = np.flatnonzero(what == name)
        ordered = name in MEASURES
        distinct = sorted({*values[rows].tolist()}, key=int if ordered else str)
        column = {value: number for number, value in enumerate(distinct)}
        table = np.zeros((len(names), len(distinct)), np.int64)
        np.add.at(table, (place[rows], [column[value] for value in values[rows].tolist()]), n[rows])
        missing = whole - table.sum(axis=1)
        if ordered:
            yield Property(name, table, tuple(int(value) for value in distinct))
        else:
            full = np.column_stack([table, missing]) if missing.any() else table
            yield Property(name, full, (*distinct, *([NONE] if missing.any() else [])))


def count(rows: pa.Table) -> pa.Table:
    """How many rows of each label have which property, as COUNTS. A measure's value is the number of its bin."""
    label = rows["label"].combine_chunks()
    columns = {name: rows[name].to_numpy() for name in NUMBERS}
    told = {ALL: pa.nulls(len(label), pa.string()).fill_null("")}
    told |= {name: pa.array(measure.bins(columns)).cast(pa.string()) for name, measure in MEASURES.items()}
    told |= {name: rows[column].combine_chunks().cast(pa.string()).fill_null(NONE) for column, name in KINDS.items()}
    told["source"] = rows["source"].combine_chunks().fill_null(NONE)
    parts = [_grouped(pa.nulls(len(label), pa.string()).fill_null(name), label, its) for name, its in told.items()]
    parts.append(_attributes(label, rows["attributes"].combine_chunks()))
    return pa.concat_tables(parts)


def _attributes(label: pa.Array, attributes: pa.MapArray) -> pa.Table:
    entries = attributes.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])))
    flat, owner = pc.list_flatten(entries), pc.list_parent_indices(entries)
    names = pc.binary_join_element_wise(ATTRIBUTE, flat.field("key"), "")
    return _grouped(names, label.take(owner), flat.field("value").fill_null(NONE))


def _grouped(what: pa.Array, label: pa.Array, value: pa.Array) -> pa.Table:
    rows = pa.table({"what": what, "label": label, "value": value})
    summed = rows.group_by(["what", "label", "value"]).aggregate([([], "count_all")])
    return summed.rename_columns({"count_all": "n"}).select(COUNTS.names).cast(COUNTS)
