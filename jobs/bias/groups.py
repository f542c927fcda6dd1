"""Who is compared with whom: settings held against the attributes that a version has."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.attributes import Attributes, entries
from secondlook.jobs.lake.attributes import read as read_attributes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import COUNTS, Carrier
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.pipeline.bias import reference
from secondlook.pipeline.bias.binning import Bins, bins, in_order
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.comparison import AuditedAttribute
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.groups import NOT_SAID

# What `counted` counts: pictures, and of an attribute, whose name follows, those of a value, of a value that has no bin, and
# of a value that a repair changed.
ALL, VALUE, UNBINNED, REPAIRED = "all", "value ", "unbinned ", "repaired "
MOST_CODES = 2**62  # that an integer holds
CELLS_BY_DEFAULT = (
    100_000  # so that where no attribute is named the counts fit, of 20 classes by 20 predicted ones, too
)
VALIDATION = ("true", "estimated", "n")


@dataclass(frozen=True)
class Known:
    """What a version knows of one attribute.

    values: pictures of each value as it reads, in order, without NOT_SAID; None where there are more than Carrier.attributed
    tells of. distinct: how many values. missing: pictures without one. unbinned: pictures, among the missing, whose value has no
    bin. repaired: pictures whose value a repair changed.
    """

    name: str
    values: Mapping[str, int] | None
    distinct: int
    missing: int
    unbinned: int = 0
    repaired: int = 0


@dataclass(frozen=True)
class Grouped:
    """The groups of an audit, and what is to be said of their attributes. samples: all pictures."""

    grouping: Grouping
    audited: tuple[AuditedAttribute, ...]
    samples: int


def grouping(lake: Lake, version: Version, settings: Settings, carrier: Carrier | None = None) -> Grouping:
    """The grouping that the settings ask for, of the values that are there. Raises UserError, in one sentence."""
    return grouped(lake, version, settings, carrier).grouping


def grouped(lake: Lake, version: Version, settings: Settings, carrier: Carrier | None = None) -> Grouped:
    """The groups and what is known of their attributes, from one pass over the attributes."""
    described = {one.name: one for one in settings.attributes}
    asked = [name.strip() for name in settings.bias.attributes.split(",") if name.strip()]
    binned = {name: its for name, one in described.items() if (its := bins(one.bins, name))}
    samples, known = attributes(lake, version, carrier, binned)
    for name in asked:
        if name not in known:
            raise unknown("attribute in [bias] attributes", name, known)
    chosen, notes = _chosen(known, asked, samples, settings.bias.most_values)
    text = reference_text(settings)
    expected = {} if text in (None, reference.UNIFORM) else reference.read(str(text))
    values = {one.name: _values(one, expected.get(one.name, ()), binned.get(one.name)) for one in chosen}
    estimated = {
        name: validation(name, described[name].estimated, values[name], binned.get(name))
        for name in values
        if name in described and described[name].estimated
    }
    its_bins = {name: binned[name] for name in values if name in binned}
    strange = [name for name in described if name not in known]
    if strange and known:
        notes.append(f"[[attributes]] describes {', '.join(strange)}, which no picture has")
    left_out = tuple(name for name in known if name not in values)
    made = Grouping(tuple(values), tuple(values.values()), estimated, its_bins, tuple(notes), left_out)
    audited = (
        AuditedAttribute(
            one.name,
            {
                value: one.missing if value == NOT_SAID else (one.values or {}).get(value, 0)
                for value in values[one.name]
            },
            estimated=one.name in estimated,
            described=described[one.name].described if one.name in described else "",
            missing=one.missing,
            repaired=one.repaired,
        )
        for one in chosen
    )
    return Grouped(made, tuple(audited), samples)


def reference_text(settings: Settings) -> str | None:
    """`uniform`, or the text of the file of shares that [bias] reference names; None where it names none."""
    asked = settings.bias.reference.strip()
    if asked in ("", reference.UNIFORM):
        return asked or None
    return _text(asked, "[bias] reference")


def files(settings: Settings) -> dict[str, str]:
    """The text of every file that the settings of an audit name, by its path. Raises UserError where one can't be read."""
    found = (
        {}
        if reference_text(settings) in (None, reference.UNIFORM)
        else {settings.bias.reference: str(reference_text(settings))}
    )
    named = ((one.name, one.estimated) for one in settings.attributes if one.estimated)
    return found | {path: _text(path, f"[[attributes]] estimated of {name}") for name, path in named}


# What is there


def attributes(
    lake: Lake, version: Version, carrier: Carrier | None = None, binned: Mapping[str, Bins] | None = None
) -> tuple[int, dict[str, Known]]:
    """How many pictures there are, and what is known of each attribute, by name in order; numbers in bins where asked for."""
    meant = read_attributes(lake, version)
    rows = (carrier or LocalTables(lake, version)).attributed(partial(counted, meant, binned or {}))
    told: dict[str, dict[str | None, int]] = {}
    for what, value, n in zip(*(rows[name].to_pylist() for name in ("what", "value", "n")), strict=True):
        told.setdefault(what, {})[value] = n
    samples = told.get(ALL, {}).get("", 0)
    names = sorted({what.split(" ", 1)[1] for what in told if what != ALL})
    return samples, {name: _known(name, told, samples) for name in names}


def _known(name: str, told: Mapping[str, Mapping[str | None, int]], samples: int) -> Known:
    its = told.get(VALUE + name, {})
    unbinned, repaired = (told.get(what + name, {}).get("", 0) for what in (UNBINNED, REPAIRED))
    if None in its:  # too many: only their number came back
        return Known(name, None, its[None], 0, unbinned, repaired)
    values = {str(value): n for value, n in its.items()}
    missing = max(samples - sum(values.values()), 0)
    return Known(name, {value: values[value] for value in in_order(values)}, len(values), missing, unbinned, repaired)


def counted(meant: Attributes, binned: Mapping[str, Bins], rows: pa.Table) -> pa.Table:
    """How many rows of Carrier.attributed have which value of which attribute, as COUNTS; see Known."""
    found = rows["attributes"].combine_chunks()
    told = [(ALL, "", rows.num_rows)]
    keys, values, _ = entries(found)
    for name in sorted({one.attribute for one in meant.repairs}):
        changed = pc.is_in(values, value_set=pa.array(meant.meaning(name), pa.string()))
        told.append((REPAIRED + name, "", pc.sum(pc.and_(pc.equal(keys, name), changed)).as_py() or 0))
    keys, values, _ = entries(meant.applied(found).combine_chunks())
    said = pa.table({"key": keys, "value": values}).filter(pc.not_equal(values, ""))
    summed = said.group_by(["key", "value"]).aggregate([([], "count_all")])
    numbers = pc.is_in(summed["key"], value_set=pa.array(binned, pa.string()))
    for key, value, n in zip(*(column.to_pylist() for column in summed.filter(numbers).columns), strict=True):
        name = binned[key].binned(value)
        told.append((UNBINNED + key, "", n) if name == NOT_SAID else (VALUE + key, name, n))
    plain = summed.filter(pc.invert(numbers))
    what, value, n = (pa.array(column) for column in zip(*told, strict=True))
    return pa.concat_tables([_counts(what, value, n), _counts(
        pc.binary_join_element_wise(VALUE, plain["key"], ""), plain["value"], plain["count_all"]
    )])  # fmt: skip


def _counts(what: pa.Array, value: pa.Array, n: pa.Array) -> pa.Table:
    return pa.table([what, pa.nulls(len(what), pa.string()), value, n], schema=COUNTS)


# What is asked for


def _chosen(
    known: Mapping[str, Known], asked: Sequence[str], samples: int, most_values: int
) -> tuple[list[Known], list[str]]:
    """The attributes that are compared, and in sentences why others are not. Raises UserError for one that was asked for."""
    reasons = {name: why for name, one in known.items() if (why := _no_groups(one, most_values))}
    for name in asked:
        if name in reasons:
            raise UserError(f"[bias] attributes names {name}, which {reasons[name]}")
    wanted = list(dict.fromkeys(asked)) or [name for name in known if name not in reasons]
    notes = [] if asked else [f"{name} is not compared: it {why}" for name, why in sorted(reasons.items())]
    few = samples <= CELLS_BY_DEFAULT  # pictures, so cells as well
    crossed = _crossable([known[name] for name in wanted], MOST_CODES if asked or few else CELLS_BY_DEFAULT)
    left_out = [name for name in wanted if name not in crossed]
    if left_out and asked:
        raise UserError(
            f"[bias] attributes names {len(asked)} attributes whose values cross into more cells than can be told apart; "
            f"leave out {', '.join(left_out)}, or give a number bins"
        )
    if left_out:
        notes.append(
            f"{', '.join(left_out)} not compared: crossed with the others they would make too many cells; "
            "[bias] attributes names those that matter"
        )
    unbinned = [f"{one.unbinned:,} pictures have a value of {one.name} that no bin holds, and count as {NOT_SAID}"
                for name in crossed if (one := known[name]).unbinned]  # fmt: skip
    return [known[name] for name in wanted if name in crossed], notes + unbinned


def _no_groups(one: Known, most_values: int) -> str:
    """Why an attribute has no groups to compare, in words that follow its name; "" where it has some."""
    if one.values is None or one.distinct > most_values:
        return (
            f"has {one.distinct:,} values, more than [bias] most_values = {most_values}; "
            f"if it is a number, give it bins: [[attributes]] name = {one.name!r}, bins = '18,30,50'"
        )
    if one.distinct + (one.missing > 0) < 2:
        return "has one value only, so there is nobody to compare"
    return ""


def _crossable(wanted: Sequence[Known], limit: int) -> set[str]:
    """Of the attributes, those with the fewest values first, as many as cannot cross into more than `limit` cells."""
    cells, taken = 1, set()
    for one in sorted(wanted, key=lambda one: (one.distinct, one.name)):
        if cells * (one.distinct + 1) <= limit:
            cells *= one.distinct + 1
            taken.add(one.name)
    return taken


def _values(one: Known, expected: Iterable[str], binned: Bins | None) -> tuple[str, ...]:
    """The values of an attribute, in order, those that only the reference has too: nobody being there is what it is for."""
    there = {*(one.values or {}), *expected}
    said = [name for name in binned.names if name in there] if binned else in_order(there)
    return (*said, *in_order(there.difference(said)), *([NOT_SAID] if one.missing else []))


# Files that the settings name


def _text(path: str, setting: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{setting} names {path}, and there is no such file") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{setting} names {path}, which can't be read: {problem}") from None


def validation(name: str, path: str, values: Sequence[str], binned: Bins | None) -> dict[str, dict[str, int]]:
    """true value → estimated value → n, of a model that estimated an attribute. Raises UserError where it says too little."""
    setting = f"[[attributes]] estimated of {name}"
    text = _text(path, setting)
    try:
        return _validated(setting, path, text, values, binned)
    except csv.Error as problem:
        raise UserError(f"{setting}: {path} can't be read as CSV: {problem}") from None


def _validated(
    setting: str, path: str, text: str, values: Sequence[str], binned: Bins | None
) -> dict[str, dict[str, int]]:
    rows = csv.DictReader(io.StringIO(text))
    if missing := [column for column in VALIDATION if column not in (rows.fieldnames or ())]:
        raise UserError(f"{setting}: {path} needs the columns true, estimated, n; it lacks {', '.join(missing)}")
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        true, estimated, n = (row[column] or "" for column in VALIDATION)
        if not n.strip().isdecimal():
            raise UserError(f"{setting}: line {rows.line_num} of {path} has n = {n!r}; it takes a number of pictures")
        true, estimated = ((binned.binned(one) if binned else one.strip()) for one in (true, estimated))
        its = found.setdefault(true, {})
        its[estimated] = its.get(estimated, 0) + int(n)
    checked = {value for value in found if sum(found[value].values())}
    if left_out := [value for value in values if value not in checked and value != NOT_SAID]:
        raise UserError(
            f"{setting}: {path} says nothing of {', '.join(map(repr, left_out[:5]))}; "
            "every estimated value needs pictures whose true value is known"
        )
    return found
