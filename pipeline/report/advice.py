"""What a report says first: one sentence about the data, and what to do, most useful first."""

from collections.abc import Iterator
from dataclasses import dataclass

from secondlook.pipeline.report.facts import Facts

MOST_STEPS = 5
LABEL_RULE, CONTRADICTION_RULE, LEAK_RULE, COPY_RULE, SMALL_CLASS_RULE = "SL101", "SL103", "SL203", "SL201", "SL503"
NAME_RULE, TWO_NAMES_RULE = "SL501", "SL502"


@dataclass(frozen=True)
class Step:
    """A thing to do: a sentence, why, the command that does it, and the section that shows it."""

    sentence: str
    why: str
    command: str = ""
    anchor: str = ""


def many(n: int, one: str, more: str = "") -> str:
    """A number and its noun: `1 picture`, `1,200 pictures`."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def count_of(facts: Facts, code: str) -> int:
    """Findings of a rule that nobody has waived; 0 where it found nothing or never ran."""
    if facts.findings is None:
        return 0
    return sum(found.count - found.waived for found in facts.findings.rules if found.rule.code == code)


def headline(facts: Facts) -> tuple[str, str]:
    """The one sentence, in two parts: what there is, and (stressed) what is doubtful."""
    counts = facts.counts
    if not counts.samples:
        return "Nothing could be read yet.", ""
    if not counts.labeled:
        return f"{many(counts.samples, 'picture')}, and none of them has a label yet.", ""
    has = (
        f"{counts.labeled:,} of {many(counts.samples, 'picture')} {'bears' if counts.labeled == 1 else 'bear'} a label."
    )
    if counts.labeled == counts.samples:
        has = f"{many(counts.samples, 'picture')}, all of them labeled."
    if facts.findings is None:
        return has, "Nobody has taken a second look at them."
    doubted = count_of(facts, LABEL_RULE)
    if doubted:
        return has, f"{doubted:,} of those labels {'looks' if doubted == 1 else 'look'} wrong."
    if facts.model is None:
        return has, ""
    return has, "None of those labels looks wrong."


def steps(facts: Facts) -> tuple[Step, ...]:
    """At most five things to do, most useful first."""
    return tuple(step for part in (_ground, _labels, _upkeep) for step in part(facts))[:MOST_STEPS]


def _ground(facts: Facts) -> Iterator[Step]:
    """What the rest rests on: pictures, labels, and a test split that is not known by heart."""
    counts = facts.counts
    if counts.rejected * 20 > counts.found:
        worst = next(iter(facts.rejects.by_reason), "")
        yield Step(
            f"Look at the {many(counts.rejected, 'file')} that could not be read",
            f"That is more than one in twenty; the most frequent reason is “{worst}”.",
            anchor="came-in",
        )
    if counts.samples and not counts.labeled:
        yield Step(
            "Give the pictures labels",
            "Everything else needs some: a table with the columns file and label is enough, and it need not be complete.",
            "secondlook ingest SOURCE --labels labels.csv",
            "classes",
        )
    leaks = count_of(facts, LEAK_RULE)
    if leaks:
        yield Step(
            f"Part {many(leaks, 'picture')} that lie on both sides of a split",
            "The same picture, or nearly, is in more than one split, so a model is tested on what it was taught.",
            f"secondlook export clean/ --format folders --drop {LEAK_RULE}",
            LEAK_RULE,
        )


def _labels(facts: Facts) -> Iterator[Step]:
    waiting = count_of(facts, NAME_RULE)
    if waiting:
        yield Step(
            f"Sign off or rename {many(waiting, 'class', 'classes')} with a name that may offend",
            "Until a person has, training, review and export leave its pictures out.",
            "secondlook classes list",
            NAME_RULE,
        )
    if facts.counts.labeled and facts.model is None:
        yield Step(
            "Train the generalist",
            "Its out-of-sample probabilities are what finds wrong labels.",
            "secondlook train",
            "model",
        )
    if facts.counts.samples and facts.findings is None:
        yield Step(
            "Lint",
            "Copies, leaks, unreadable and odd pictures are found without a model; wrong labels with one.",
            "secondlook lint",
            "findings",
        )
    contradictions, doubted = count_of(facts, CONTRADICTION_RULE), count_of(facts, LABEL_RULE)
    if doubted:
        yield Step(
            f"Let people look at the {many(doubted, 'label')} most likely wrong",
            "They are ordered: the first ones teach most for a minute of somebody’s time.",
            f"secondlook review push --budget {min(doubted, 200)}",
            LABEL_RULE,
        )
    if contradictions:
        yield Step(
            f"Settle {many(contradictions, 'picture')} that contradict{'s itself' if contradictions == 1 else ' each other'}",
            "Identical pictures bear different labels, so at least one of each is wrong, whatever any model thinks.",
            f"secondlook lint --select {CONTRADICTION_RULE}",
            CONTRADICTION_RULE,
        )


def _upkeep(facts: Facts) -> Iterator[Step]:
    doubles = count_of(facts, TWO_NAMES_RULE)
    if doubles:
        yield Step(
            f"Say whether {many(doubles, 'pair')} of classes {'is' if doubles == 1 else 'are'} one thing",
            "Two names for one thing split its pictures, and every model is wrong on half of them.",
            "secondlook classes merge ONE OTHER --reason …",
            TWO_NAMES_RULE,
        )
    if facts.findings is not None and (facts.findings.stale or (facts.model is not None and facts.model.stale)):
        yield Step(
            "Train and lint again",
            "Labels changed since the newest model or the newest lint, so what stands here is a little old.",
            "secondlook train && secondlook lint",
            "findings",
        )
    small = count_of(facts, SMALL_CLASS_RULE)
    if small:
        yield Step(
            f"Find more pictures for {many(small, 'small class', 'small classes')}",
            "Too few pictures to learn from, and too few to tell how well it went.",
            anchor=SMALL_CLASS_RULE,
        )
    copies = count_of(facts, COPY_RULE)
    if copies:
        yield Step(
            f"Decide about {many(copies, 'exact copy', 'exact copies')}",
            "Copies weigh what they show more than the rest, mostly without anybody having meant it.",
            f"secondlook lint --select {COPY_RULE}",
            COPY_RULE,
        )
    if facts.counts.unlabeled and facts.counts.labeled:
        yield Step(
            f"Label some of the {many(facts.counts.unlabeled, 'picture')} without a label",
            "`review push` chooses those that would teach most.",
            "secondlook review push",
            "classes",
        )
