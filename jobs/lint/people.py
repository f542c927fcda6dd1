"""SL401 to SL407: what lint says of groups of people, as an audit by groups finds it."""

import dataclasses
import math
import shlex
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from secondlook.jobs.bias import groups
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import Carrier, Said, to_table
from secondlook.pipeline.bias.explained import left_out
from secondlook.pipeline.core.comparison import Compared, Estimate, GroupAudit, Measure
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.rules import Finding

CODES = ("SL401", "SL402", "SL403", "SL404", "SL405", "SL406", "SL407")
TESTS = "bias_tests"  # a fact: comparisons that findings had to stand out of
COUNTED = (
    "k",
    "raw",
    "pooled",
    "effect",
    "lift",
    "missing",
    "bounds",
    "p",
    "adjusted",
)  # evidence of SL401 and SL404 that tells how many pictures a group has
LONGEST = 120  # characters of a group's name in a message; values may be of any length
TARGETS = "secondlook report --bias --targets targets.csv"


def audit(lake: Lake, version: Version, settings: Settings, carrier: Carrier, found: pa.Table) -> Said:
    """SL401 to SL407, beside what lint has found already."""
    from secondlook.jobs.bias.audit import audit as by_groups

    return said(by_groups(lake, version, settings, carrier=carrier, found=found))


def inputs(settings: Settings) -> dict[str, Any]:
    """What findings of groups depend on in the settings, and in the files that these name."""
    described = [dataclasses.asdict(one) for one in settings.attributes]
    return {"bias": dataclasses.asdict(settings.bias), "attributes": described, "files": groups.files(settings)}


def said(audit: GroupAudit) -> Said:
    """Findings of groups, largest difference first; by rule what was left out, and what could not have been seen."""
    found = [finding for measure in audit.measures for finding in _findings(audit, measure)]
    notes = dict(audit.notes)
    there = {one.rule for one in found}
    for code in CODES:
        silence = "" if code in there else _silence(audit, code)
        if told := [part for part in (notes.get(code), _hidden(audit, code), silence) if part]:
            notes[code] = "; ".join(told)
    return Said(to_table(found), notes, {TESTS: float(audit.tests)} if audit.tests else {})


def _findings(audit: GroupAudit, measure: Measure) -> Iterator[Finding]:
    for one in sorted(stands(audit, measure), key=lambda one: (-abs(one.effect.value), one.group)):
        yield Finding(
            measure.rule,
            "group",
            f"{measure.name}: {one.group.name}",
            one.group.name,
            _score(audit, measure, one),
            message(audit, measure, one),
            evidence=_evidence(audit, measure, one),
        )


def _score(audit: GroupAudit, measure: Measure, one: Compared) -> float:
    """How far apart; where that would tell how few there are, only what is known without counting them."""
    if not _few(audit, measure, one):
        return abs(one.effect.value)
    return one.against.value if measure.rule == "SL401" else audit.least_npmi


def stands(audit: GroupAudit, measure: Measure) -> list[Compared]:
    """What a measure finds that says something of its own: no part of what is explained by others, and no mirror of another."""
    without = left_out(audit, measure)
    found = [one for one in audit.found(measure) if one.group not in without]
    return [one for one in found if measure.worse != "either" or not _mirror(measure, one, found)]


def _hidden(audit: GroupAudit, code: str) -> str:
    """How many findings say nothing of their own, in words."""
    without = [group != by[0] for measure in audit.of(code) for group, by in left_out(audit, measure).items()]
    crossed, classes = sum(without), len(without) - sum(without)
    told = []
    if crossed:
        told.append(f"{crossed:,} findings of crossed groups" if crossed > 1 else "1 finding of a crossed group")
    if classes:
        told.append(f"{classes:,} error rate{'s' * (classes > 1)} of single classes")
    if not told:
        return ""
    return (
        f"left out, as {'they say' if len(without) > 1 else 'it says'} nothing beyond the others: {' and '.join(told)}"
    )


def _mirror(measure: Measure, one: Compared, found: list[Compared]) -> bool:
    """Whether it is the whole rest of another finding, which says the same the other way round; the larger group gives way."""
    return any(
        other.group.attributes == one.group.attributes
        and other.n + one.n == measure.n
        and (other.n, other.group) < (one.n, one.group)
        for other in found
        if other is not one
    )


def message(audit: GroupAudit, measure: Measure, one: Compared) -> str:
    """A finding in a sentence: the figure with interval and n, against what, how far apart, and how sure over the whole report."""
    name = named(audit, one.group)
    sure = f"{_p(one.adjusted)} over {audit.tests:,} comparisons"
    if measure.unit == "npmi":
        way = "more" if one.effect.value > 0 else "less"
        its_class = measure.name.removeprefix("association: ")
        if _few(audit, measure, one):
            few = f"{'all but ' if one.k >= audit.min_cell else ''}fewer than {audit.min_cell:,}"
            return f"{its_class} goes with {name} {way} often than by chance: {few} of {one.n:,} pictures, sure over {audit.tests:,} comparisons"
        figure = f"npmi {one.figure.value:+.2f} ({_plain(one.figure)}, n = {one.n:,})"
        times = f", {one.lift.value:.2g} times as often" if one.lift is not None else ""
        return f"{its_class} goes with {name} {way} often than by chance: {figure}{times}, {sure}"
    if _few(audit, measure, one):
        told = f"fewer than {audit.min_cell:,} of {one.n:,} pictures are of {name}, of the reference {_percent(one.against.value)} are"
        return f"{told}: sure over {audit.tests:,} comparisons"
    what = f"{_lead(measure, one, name)} {_percent(one.figure.value)} ({_span(one.figure)}, n = {one.n:,})"
    if one.corrected is not None:
        what += f", corrected from {_percent(one.raw.value)} as counted"
    of = "of the reference" if measure.rule == "SL401" else "of the rest"
    sign = 1 if one.effect.value > 0 else -1
    size = _points(one.effect.value * sign)
    ends = sorted((one.effect.interval.low * sign, one.effect.interval.high * sign))
    way = "higher" if sign > 0 else "lower"
    gap = f"{size} point{'' if size == '1' else 's'} {way} ({_ends(*ends)})"
    told = f"{what}, {of} {_percent(one.against.value)}: {gap}, {sure}"
    if one.missing is not None and 1 <= one.missing < math.inf:
        told += f"; {_missing(one.missing, exact=not _beside_few(audit, measure, one))} missing"
    if measure.rule == "SL403" and _doubted(audit, one.group):
        told += "; its labels are doubted more often, too (SL402), which may be all there is to it"
    return told


def _few(audit: GroupAudit, measure: Measure, one: Compared) -> bool:
    """Whether a group has so few pictures that how many must not be told; that there are none may be.

    Of SL401 the group that it misses; of SL404 those of the group that bear the class, or that do not.
    """
    counts = {"SL401": (one.k,), "SL404": (one.k, one.n - one.k)}.get(measure.rule, ())
    return any(0 < k < audit.min_cell for k in counts)


def _beside_few(audit: GroupAudit, measure: Measure, one: Compared) -> bool:
    """Whether counts of this group, with those of others, would tell how many a group of a few has.

    The others are those of its attribute, and of SL404 the group's other classes, too.
    """
    alike = any(
        _few(audit, measure, other) for other in measure.groups if other.group.attributes == one.group.attributes
    )
    return alike or (
        measure.rule == "SL404"
        and any(
            _few(audit, its, other) for its in audit.of("SL404") for other in its.groups if other.group == one.group
        )
    )


def _missing(n: float, *, exact: bool) -> str:
    """How many pictures are missing, or about how many: whole tens."""
    rounded = n if exact else math.ceil(n / 10) * 10
    return f"{'' if exact else 'up to '}{rounded:,.0f} picture{'s are' if rounded != 1 else ' is'}"


def _lead(measure: Measure, one: Compared, name: str) -> str:
    """What a figure is of, up to its verb; labels are wrong only where people's answers say so, and doubted else."""
    kind, _, its = measure.name.partition(": ")
    labels = "doubted" if one.corrected is None else "wrong"
    own = {
        "SL402": f"{labels} labels of {name} are",
        "SL406": f"the share of {name} that the queue chose is",
        "SL407": f"{kind} pictures of {name} are",
    }
    if measure.rule in own:
        return own[measure.rule]
    if kind == "answers":
        return f"answers of {its} on {name} that differ from most others' are"
    if its:
        return f"{kind} of {its} on {name} are"
    if measure.unit == "difference":
        return f"the model's confidence beyond its accuracy on {name} is"
    return f"{kind} of {name} {'are' if kind.endswith('s') else 'is'}"


def _doubted(audit: GroupAudit, group: Group) -> bool:
    return any(one.group == group for measure in audit.of("SL402") for one in audit.found(measure))


def named(audit: GroupAudit, group: Group) -> str:
    """The group in words, of any values at a bounded length, with what a model estimated marked."""
    parts = [
        f"{attribute} {value}{' (estimated)' if attribute in audit.estimated else ''}"
        for attribute, value in group.values
    ]
    name = ", ".join(parts)
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _evidence(audit: GroupAudit, measure: Measure, one: Compared) -> dict[str, Any]:
    found: dict[str, Any] = {
        "measure": measure.name,
        "group": dict(one.group.values),
        "population": measure.population,
        "outcome": measure.outcome,
        "unit": measure.unit,
        "n": one.n,
        "k": _number(one.k),
        "raw": _estimate(one.raw),
        "corrected": _estimate(one.corrected),
        "pooled": _estimate(one.pooled),
        "against": _estimate(one.against),
        "effect": _estimate(one.effect),
        "overall": _estimate(measure.overall),
        "p": _number(one.p),
        "adjusted": _number(one.adjusted),
        "tests": audit.tests,
        "alpha": audit.alpha,
        "confidence": audit.confidence,
        "smallest_gap": _number(one.smallest_gap),
        "power": audit.power,
        "lift": _estimate(one.lift),
        "answers": one.answers,
        "bounds": None if one.bounds is None else [one.bounds.low, one.bounds.high],
        "calibration_error": None if one.calibration_error is None else _number(one.calibration_error),
        "calibration_chance": None if one.calibration_chance is None else _number(one.calibration_chance),
        "missing": None if one.missing is None else _number(one.missing),
        "correction": audit.correction,
        "method": measure.method,
        "estimated": sorted({name for name, _ in one.group.values} & audit.estimated),
        "next": remedies(measure, one),
    }
    return found | (dict.fromkeys(COUNTED) if _beside_few(audit, measure, one) else {})


def remedies(measure: Measure, one: Compared) -> list[str]:
    """What helps, as commands and settings, the first thing first."""
    wanted = ",".join(f"{attribute}={value}" for attribute, value in one.group.values)
    people = f"secondlook review push --group {shlex.quote(wanted)}"
    names = ",".join(one.group.attributes)
    balance = f"[review] balance = {_toml(names)}"
    weigh = f"[train] reweigh = {_toml(names)}"
    return {
        "SL401": [TARGETS, f'{weigh}, reweigh_to = "reference"'],
        "SL402": [people, "secondlook review push --audit 200"],
        "SL403": [people, TARGETS, f'{weigh}, reweigh_to = "equal"'],
        "SL404": [TARGETS, weigh],
        "SL405": [people],
        "SL406": [balance, people],
        "SL407": [TARGETS],
    }[measure.rule]


def _toml(text: str) -> str:
    escaped = "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text.replace("\\", "\\\\"))
    return '"' + escaped.replace('"', '\\"') + '"'


def _silence(audit: GroupAudit, code: str) -> str:
    """Of a rule that found nothing, how large a gap could have been: a report that says nothing says this."""
    compared = [(one, measure) for measure in audit.of(code) for one in measure.groups]
    if not compared:
        return ""
    told = f"nothing found in {len(compared):,} comparison{'s' * (len(compared) > 1)}"
    # A rule's gaps are told in one unit: confidence, a difference of its own, is left to the page.
    unit = "npmi" if code == "SL404" else "share"
    known = [one.smallest_gap for one, measure in compared if measure.unit == unit]
    gaps = sorted(gap for gap in known if not math.isnan(gap))
    if gaps:
        first, half, last = (
            f"{gap:.2f}" if unit == "npmi" else _points(gap) for gap in (gaps[0], gaps[len(gaps) // 2], gaps[-1])
        )
        what = ("npmi", "") if unit == "npmi" else ("gaps", " points")
        told += (
            f", which would have shown {what[0]} from {first} to {last}{what[1]} (the fewer pictures, the wider), "
            f"{half} in the middle, with {100 * audit.power:.3g} % power; smaller ones may be there"
        )
    if blind := len(known) - len(gaps):
        told += f"; {blind:,} {'are' if blind > 1 else 'is'} of too few pictures to show any gap"
    return told


def _estimate(one: Estimate | None) -> dict[str, float | None] | None:
    if one is None:
        return None
    return {"value": _number(one.value), "low": _number(one.interval.low), "high": _number(one.interval.high)}


def _number(value: float) -> float | None:
    """A number as JSON has it: no nan, no infinity, six digits."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _percent(share: float) -> str:
    return f"{_points(share)} %"


def _points(share: float) -> str:
    """A share in hundredths: whole from ten up, with one digit below.

    >>> _points(0.614), _points(0.0312), _points(0.05)
    ('61', '3.1', '5')
    """
    hundredths = abs(100 * share)
    text = f"{hundredths:.0f}" if hundredths >= 9.95 else f"{hundredths:.1f}".removesuffix(".0")
    return f"-{text}" if share < 0 and text != "0" else text


def _span(one: Estimate) -> str:
    return f"{_ends(one.interval.low, one.interval.high)} %"


def _ends(low: float, high: float) -> str:
    """Two ends in hundredths."""
    if low < 0:
        return f"{_points(low)} to {_points(high)}"
    return f"{_points(low)}–{_points(high)}"


def _plain(one: Estimate) -> str:
    return f"{one.interval.low:.2f} to {one.interval.high:.2f}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
