"""What a report by groups says first: five sentences for somebody who has one minute, and what to do."""

import math
from collections.abc import Mapping, Sequence

from secondlook.pipeline.core.comparison import Compared, GroupAudit, Measure
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.report.advice import Step, many
from secondlook.pipeline.report.bias.facts import SECTIONS
from secondlook.pipeline.report.bias.shareable import Shareable
from secondlook.pipeline.report.bias.words import group_name, isolated, points, sentence, size
from secondlook.pipeline.report.page import percent

Finding = tuple[Measure, Compared]
MOST_STEPS = 6
NAMED = 3  # groups that a step names
ANCHOR = {code: section.anchor for section in SECTIONS for code in section.rules}


def findings(shown: Shareable) -> list[Finding]:
    """All findings, the most harmful first: by how large the difference is at least; what harms nobody by itself comes last.

    Of what harms alike, rates of all pictures come before those of single classes or people, which say it again of a part. Groups
    of one attribute come before crossed ones, of which there are many and small ones, but for one that differs by more, at
    least, than any group of one attribute seems to.
    """
    found = [(measure, one) for measure in shown.audit.measures for one in shown.found(measure)]
    alone: dict[tuple[int, bool], float] = {}
    for measure, one in found:
        if one.group.depth == 1:
            alone[_rank(measure)] = max(alone.get(_rank(measure), 0.0), abs(one.effect.value))

    def order(finding: Finding) -> tuple[tuple[int, bool], bool, float, str, Group]:
        measure, one = finding
        part = one.group.depth > 1 and size(one) <= alone.get(_rank(measure), 0.0)
        return _rank(measure), part, -size(one), measure.name, one.group

    return sorted(found, key=order)


def _rank(measure: Measure) -> tuple[int, bool]:
    return _mildness(measure), ": " in measure.name


def _mildness(measure: Measure) -> int:
    """A wrong label or a failing model harms; a share, a tie or a picked picture tells where harm may come from."""
    return {"SL402": 0, "SL403": 0, "SL405": 0, "SL407": 1, "SL401": 1}.get(measure.rule, 2)


def lead(shown: Shareable) -> tuple[str, str]:
    """The line below the title: what was compared, and (stressed) who fares worst."""
    audit = shown.audit
    has = f"{many(audit.samples, 'picture')}, compared by {_named([one.name for one in audit.attributes])}."
    worst = next(iter(findings(shown)), None)
    if not audit.tests:
        return has, "Nothing could be compared."
    if worst is None:
        return has, "No group stands out beyond chance."
    measure, one = worst
    who = isolated(group_name(one.group, audit.estimated))
    if measure.unit == "npmi":
        return has, f"{who} and a class go together {'more' if one.effect.value > 0 else 'less'} often than by chance."
    verb = "has" if measure.rule == "SL401" else "fares worst:"
    direction = "less" if one.effect.value < 0 else "more"
    if measure.rule == "SL401":
        return has, f"{who} {verb} {points(one.effect.value)} {direction} than its share."
    return has, f"{who} {verb} {_short(measure)}, {points(one.effect.value)} {direction} than for the others."


def _short(measure: Measure) -> str:
    return isolated(measure.name, 80)


def five(shown: Shareable, todo: Sequence[Step], title: str, model: str = "") -> tuple[tuple[str, str], ...]:
    """Five sentences, each with the word that it stands under."""
    return (
        ("Audited", _audited(shown, title, model)),
        ("Worst", _worst(shown)),
        ("No finding", _quiet(shown)),
        ("Not known", _unknown(shown)),
        ("Next", _next(shown.audit, todo)),
    )


def _audited(shown: Shareable, title: str, model: str) -> str:
    audit = shown.audit
    crossed = f", alone and crossed up to {audit.depth} at a time" if audit.depth > 1 else ""
    judged = f", with the model {isolated(model)}" if model else ""
    attributes = [f"{one.name} (estimated by a model)" if one.estimated else one.name for one in audit.attributes]
    return (
        f"Version {audit.version} of {isolated(title)}, {many(audit.samples, 'picture')}, was compared by {_named(attributes)}{crossed}{judged}: "
        f"{many(audit.tests, 'comparison')} in {many(sum(bool(one.groups) for one in audit.measures), 'measure')}."
    )


def _named(names: Sequence[str], most: int = 6) -> str:
    shown = [isolated(name, 40) for name in names[:most]]
    shown += [f"{len(names) - most} more"] if len(names) > most else []
    if not shown:
        return "no attribute"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def nothing_compared(audit: GroupAudit) -> str:
    """That nothing was compared, and why, in a sentence; "" where something was."""
    if audit.tests:
        return ""
    why = list(dict.fromkeys(audit.notes.values()))
    if any(one.untested for one in audit.measures):
        why.insert(0, f"no group has {many(audit.min_cell, 'picture')} beside as many others")
    told = "; ".join(isolated(one, 200) for one in why[:3])
    return f"Nothing was compared, so nothing can be said{': ' + told if told else ''}."


def _worst(shown: Shareable) -> str:
    audit, found = shown.audit, findings(shown)
    if not found:
        return (
            f"No group differs from the others by {points(audit.least_gap)} or more beyond what {many(audit.tests, 'comparison')} show by chance"
            + (", of the groups that can be shown." if shown.lost else ".")
            if audit.tests
            else "No finding, since nothing was compared."
        )
    told = sentence(*found[0], audit).rstrip(".")
    more = len(found) - 1
    return (
        f"{told}; {many(more, 'more finding is', 'more findings are')} below."
        if more
        else f"{told}; it is the only finding."
    )


def _quiet(shown: Shareable) -> str:
    audit = shown.audit
    if not audit.tests:
        return nothing_compared(audit)
    if not any(one.groups for one in audit.measures):
        return "No group that was compared can be shown, so nothing is said of any here."
    silent = [one for one in audit.measures if one.groups and not shown.found(one)]
    if not silent:
        return "Every measure has a finding, so of none can be said that its groups look alike."
    told = _named(list(dict.fromkeys(_section(one) for one in silent)))
    gaps = [one.smallest_gap for measure in silent if measure.unit != "npmi" for one in measure.groups]
    known = sorted(gap for gap in gaps if not math.isnan(gap))
    begins = f"In {many(len(silent), 'measure')} ({told}) no group stands out as far as this many pictures can show"
    if not known:
        return f"{begins}; no gap would have been likely to be seen, so this says little."
    typical = known[len(known) // 2]
    span = f"{points(typical)} in half of these comparisons, of {points(known[-1])} in the smallest group"
    return f"{begins}: with {percent(audit.power, 0)} power a gap of {span} would have been seen, and smaller ones mostly missed."


def _section(measure: Measure) -> str:
    return next((one.title.lower() for one in SECTIONS if measure.rule in one.rules), measure.rule)


def _unknown(shown: Shareable) -> str:
    audit = shown.audit
    parts = []
    if shown.too_small:
        parts.append(
            f"groups with fewer than {many(audit.min_cell, 'picture')} ({many(shown.too_small, 'comparison')} less)"
        )
    if shown.beside:
        parts.append(f"groups that would give a small one’s number away ({many(shown.beside, 'comparison')} less)")
    without = [
        f"{many(one.missing, 'picture')} without {isolated(one.name, 40)}" for one in audit.attributes if one.missing
    ]
    if without:
        parts.append(f"who is in {_listed(without[:6])}")
    if audit.estimated:
        parts.append(f"what is so of people where a model estimated it ({_named(sorted(audit.estimated))})")
    silent = sorted(code for code in audit.notes if not audit.of(code))
    if silent:
        parts.append(f"what {_named(silent, 7)} would look at, for the reasons below")
    parts.append("what nobody wrote down, or other pictures than these")
    return f"Nothing is said of {'; of '.join(parts)}."


def _next(audit: GroupAudit, todo: Sequence[Step]) -> str:
    first = next(iter(todo), None)
    if not audit.tests:
        return "First bring attributes that say who is in the pictures, or more pictures of each group; then make this report again."
    if first is None:
        return "Nothing presses: make this report again when pictures, labels or the model change."
    told = first.sentence[0].lower() + first.sentence[1:]
    return f"First {told}; then train, lint, and make this report again to see for whom it helped."


# What to do


SAYS = {
    "SL401": ("Collect pictures of", "They have fewer pictures than the reference says, and a model is worst on whom it has seen least."),
    "SL402": ("Let people look at the labels of", "Their labels are doubted more often, and a model learns the mistakes as the truth about them."),
    "SL403": ("Look at the labels of", "The model is right less often on them; where their labels hold, it needs more pictures of them, or weighs them more."),
    "SL404": ("Collect what is missing between classes and", "A class goes together with them, and a model takes the one for a sign of the other."),
    "SL405": ("Read the disputed pictures of", "People answer differently there: the classes may fit these pictures badly."),
    "SL406": ("Balance the queue for", "Who is never asked for is never corrected. Where more labels are wrong, more questions are right."),
    "SL407": ("Take better pictures of", "Their pictures are worse, and no labeling repairs that."),
}  # fmt: skip


def steps(shown: Shareable, remedies: Mapping[tuple[str, Group], Sequence[str]]) -> tuple[Step, ...]:
    """What to do, most harmful first: a step for each rule that found something, with the command for its worst group."""
    audit, by_rule = shown.audit, dict[str, list[Finding]]()
    for measure, one in findings(shown):
        by_rule.setdefault(measure.rule, []).append((measure, one))
    made = []
    for rule, its in by_rule.items():
        if rule not in SAYS:
            continue
        groups = _widest([one.group for _, one in its])
        names = [isolated(group_name(group, audit.estimated)) for group in groups[:NAMED]]
        more = len(groups) - len(names)
        whom = _listed([*names, *([many(more, "more group")] if more else [])])
        verb, why = SAYS[rule]
        commands = remedies.get((rule, groups[0]), ())
        made.append(Step(f"{verb} {whom}", why, commands[0] if commands else "", ANCHOR.get(rule, "")))
    return tuple(made[:MOST_STEPS])


def _widest(groups: Sequence[Group]) -> list[Group]:
    """Groups without those that are a part of another one; the first, which is the worst, stays."""
    return [
        one
        for one in dict.fromkeys(groups)
        if one == groups[0] or not any(set(other.values) < set(one.values) for other in groups)
    ]


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{'; '.join(parts[:-1])} and {parts[-1]}"
