"""What of the facts stands where on the page: lanes, lines of tables, sentences. The page lays it out and adds nothing."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from secondlook.pipeline.core.comparison import Changed, Compared, GroupAudit, Measure
from secondlook.pipeline.core.rules import Rule
from secondlook.pipeline.report.advice import Step, many
from secondlook.pipeline.report.bias import plot
from secondlook.pipeline.report.bias.classes import TIES
from secondlook.pipeline.report.bias.facts import SECTIONS, BiasFacts, Section
from secondlook.pipeline.report.bias.glance import Glance, glance
from secondlook.pipeline.report.bias.shareable import Shareable, shareable
from secondlook.pipeline.report.bias.summary import five, lead, steps
from secondlook.pipeline.report.bias.words import amount, estimate, group_name, isolated, seen, sentence, size
from secondlook.pipeline.report.facts import Picture

MOST_LANES = 20  # of one attribute
MOST_CROSSED = 10  # crossed groups that are drawn, beside those that are findings
MOST_LINES = 200  # of a table; the JSON has all
MOST_SENTENCES = 6


@dataclass(frozen=True)
class Line:
    """A group in a measure, as its lane and its line of the table show it.

    kind: found, explained (a crossed group, beyond chance but no more than its attributes are one by one) or quiet.
    """

    one: Compared
    name: str
    kind: str
    drawn: Markup | None = None

    @property
    def found(self) -> bool:
        """Whether it is a finding."""
        return self.kind == "found"


@dataclass(frozen=True)
class Block:
    """Lanes that stand together: those of one attribute, or crossed groups."""

    title: str
    lines: Sequence[Line]
    left: int = 0  # lanes that are not drawn


@dataclass(frozen=True)
class Shown:
    """A measure on the page."""

    measure: Measure
    anchor: str
    blocks: Sequence[Block]
    lines: Sequence[Line]
    on: plot.Scale
    told: Sequence[str]  # its findings as sentences, the most harmful first
    findings: int
    sight: str
    worst: str
    alternative: str
    remedies: Sequence[tuple[str, Sequence[str]]]
    pictures: Sequence[tuple[str, Sequence[Picture]]] = ()

    @property
    def overall(self) -> str:
        """The figure of all groups together, in words; of a class that goes with groups, how many pictures bear it."""
        one = self.measure
        if one.unit != "npmi":
            return f"all together {estimate(one.overall, one.unit)}"
        share = "–" if one.overall is None else amount(one.overall.value, "share")
        return f"{share} of all are {isolated(one.name.removeprefix(TIES))}"

    @property
    def explained(self) -> bool:
        """Whether some groups are beyond chance, but no more than their attributes are one by one."""
        return any(line.kind == "explained" for line in self.lines)

    @property
    def pooled(self) -> bool:
        """Whether some groups have a figure that is drawn towards the others."""
        return any(line.one.pooled is not None for line in self.lines)


@dataclass(frozen=True)
class Part:
    """A section of the page: measures that are shown at once, and `quiet` ones of single classes or people, that open."""

    section: Section
    words: Sequence[Rule]
    loud: Sequence[Shown]
    quiet: Sequence[Shown]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Became:
    """What changed for a group: `kind` is helped, worse or unsure."""

    one: Changed
    name: str
    kind: str
    drawn: Markup


@dataclass(frozen=True)
class View:
    """The whole page."""

    facts: BiasFacts
    shown: Shareable
    lead: tuple[str, str]
    five: Sequence[tuple[str, str]]
    steps: Sequence[Step]
    glance: Glance
    parts: Sequence[Part]
    changes: Sequence[tuple[str, plot.Scale, Sequence[Became]]]

    @property
    def audit(self) -> GroupAudit:
        """The audit without what is not shown."""
        return self.shown.audit

    @property
    def findings(self) -> int:
        """How many findings are shown."""
        return sum(len(self.shown.found(one)) for one in self.audit.measures)


def view(facts: BiasFacts) -> View:
    """All that the page and its JSON show of the facts."""
    shown = shareable(facts.audit, facts.changes, facts.found, names=facts.with_images)
    todo = steps(shown, facts.remedies)
    return View(
        facts,
        shown,
        lead(shown),
        five(shown, todo, facts.title, facts.model),
        todo,
        glance(shown),
        [_part(section, shown, facts) for section in SECTIONS],
        _changes(shown.changes, shown.audit),
    )


# Measures


def _part(section: Section, shown: Shareable, facts: BiasFacts) -> Part:
    audit = shown.audit
    measures = [_shown(one, shown, facts) for code in section.rules for one in audit.of(code)]
    loud = [one for one in measures if one.findings or ": " not in one.measure.name]
    quiet = [one for one in measures if one not in loud]
    words = [facts.rules[code] for code in section.rules if code in facts.rules]
    notes = {code: audit.notes[code] for code in section.rules if code in audit.notes}
    return Part(section, words, loud, quiet, notes)


def _shown(measure: Measure, shown: Shareable, facts: BiasFacts) -> Shown:
    audit, found = shown.audit, shown.found(measure)
    sure = audit.found(measure)
    lines = [
        Line(
            one,
            group_name(one.group, audit.estimated),
            "found" if one in found else "explained" if one in sure else "quiet",
        )
        for one in measure.groups
    ]
    lines = sorted(lines, key=lambda line: (line.one.group.depth, _order(measure, line)))
    chosen = _blocks(measure, lines)
    on = plot.scale([line.one for block in chosen for line in block.lines], measure.unit)
    blocks = [Block(block.title, [_drawn(line, on, measure) for line in block.lines], block.left) for block in chosen]
    worst_first = sorted(found, key=lambda one: -size(one))
    pictures = [
        (group_name(one.group, audit.estimated), facts.pictures.get((measure.name, one.group), ()))
        for one in worst_first
    ]
    return Shown(
        measure=measure,
        anchor=re.sub("[^a-z0-9]+", "-", f"{measure.rule}-{audit.measures.index(measure)}".lower()),
        blocks=blocks,
        lines=lines,
        on=on,
        told=[sentence(measure, one, audit, among=False) for one in worst_first[:MOST_SENTENCES]],
        findings=len(found),
        worst=group_name(measure.worst, audit.estimated) if measure.worst and measure.worse != "either" else "",
        sight=seen(measure, list(measure.groups), audit.power),
        alternative=_alternative(measure, lines, len(found)),
        remedies=[
            (group_name(one.group, audit.estimated), commands)
            for one in worst_first[:MOST_SENTENCES]
            if (commands := facts.remedies.get((measure.rule, one.group)))
        ],
        pictures=[one for one in pictures if one[1]] if facts.with_images else (),
    )


def _order(measure: Measure, line: Line) -> tuple[bool, float, str]:
    """Who fares worst comes first; bins and other numbers keep their order, which shows how a figure runs along them."""
    effect = line.one.effect.value
    worst = {"higher": -effect, "lower": effect, "either": -abs(effect)}[measure.worse]
    return (math.isnan(worst), 0.0 if math.isnan(worst) else worst, line.name)


def _runs(lines: Sequence[Line]) -> bool:
    """Whether the values of an attribute are numbers or bins of them: 20-29, <18, 50+."""
    return sum(bool(re.match(r"[<>≤≥]?\s*-?\d", line.one.group.values[0][1])) for line in lines) > len(lines) / 2


def _number(line: Line) -> tuple[bool, float, str]:
    value = line.one.group.values[0][1]
    found = re.search(r"\d+(\.\d+)?", value)
    below = value.startswith(("<", "≤"))
    return (found is None, float(found[0]) - below / 2 if found else 0.0, value)


def _blocks(measure: Measure, lines: Sequence[Line]) -> list[Block]:
    """What is drawn: the groups of each attribute, and of the crossed ones the findings and the worst beside them."""
    blocks = []
    for name in dict.fromkeys(line.one.group.attributes[0] for line in lines if line.one.group.depth == 1):
        its = [line for line in lines if line.one.group.attributes == (name,)]
        chosen = sorted(its, key=lambda line: not line.found)[:MOST_LANES]
        order = _number if _runs(its) else (lambda line: _order(measure, line))
        blocks.append(Block(name, sorted(chosen, key=order), len(its) - len(chosen)))
    crossed = [line for line in lines if line.one.group.depth > 1]
    chosen = sorted(crossed, key=lambda line: (not line.found, line.kind == "quiet", _pooled(measure, line)))
    most = max(MOST_CROSSED, min(sum(line.found for line in crossed), MOST_LANES))
    if crossed:
        blocks.append(Block("", chosen[:most], max(len(crossed) - most, 0)))
    return blocks


def _pooled(measure: Measure, line: Line) -> float:
    """How badly a crossed group fares, by its pooled figure where there is one: of few pictures the raw one is often extreme."""
    figure = (line.one.pooled or line.one.figure).value - line.one.against.value
    if math.isnan(figure):
        return math.inf
    return {"higher": -figure, "lower": figure, "either": -abs(figure)}[measure.worse]


def _drawn(line: Line, on: plot.Scale, measure: Measure) -> Line:
    return Line(line.one, line.name, line.kind, plot.lane(line.one, on, measure.worse, line.kind))


def _alternative(measure: Measure, lines: Sequence[Line], found: int) -> str:
    """The plot in words, for who does not see it."""
    alone = [line for line in lines if line.one.group.depth == 1 and not math.isnan(line.one.figure.value)]
    told = f"Plot of {measure.title}: {many(len(lines), 'group')}, {many(found, 'finding')}."
    if alone:
        low, high = (pick(alone, key=lambda line: line.one.figure.value) for pick in (min, max))
        told += f" From {amount(low.one.figure.value, measure.unit)} ({low.name}) to {amount(high.one.figure.value, measure.unit)} ({high.name})."
    return told + " The table below has all figures."


# What changed


def _changes(changes: Sequence[Changed], audit: GroupAudit) -> list[tuple[str, plot.Scale, Sequence[Became]]]:
    """By measure: sure changes first, then groups of one attribute."""
    titles = {one.name: one.title for one in audit.measures}
    made: list[tuple[str, plot.Scale, Sequence[Became]]] = []
    for name in dict.fromkeys(one.measure for one in changes):
        its = sorted((one for one in changes if one.measure == name), key=lambda one: _weight(one, audit.alpha))[
            :MOST_LANES
        ]
        on = plot.change_scale([(one.before, one.after) for one in its])
        rows = []
        for one in its:
            helped = one.helped(audit.alpha)
            kind = "unsure" if helped is None else "helped" if helped else "worse"
            drawn = plot.change(one.before, one.after, on, kind=kind)
            rows.append(Became(one, group_name(one.group, audit.estimated), kind, drawn))
        made.append((titles.get(name, name), on, rows))
    return made


def _weight(one: Changed, alpha: float) -> tuple[bool, int, float]:
    return (one.helped(alpha) is None, one.group.depth, -abs(one.difference.value))
