"""A data card as Markdown for a dataset hub: what people said of a dataset, and what its lake knows. Facts in, text out.

Sections follow Datasheets for Datasets (Gebru et al. 2021) and the Data Cards Playbook (Pushkarna et al. 2022); the front matter is that of
Hugging Face's dataset cards. What nobody said is told as such, and never made up.
"""

import re
from collections.abc import Iterator, Mapping

from secondlook.pipeline.core.bias_config import CardSettings
from secondlook.pipeline.core.cells import Cells
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.core.statistics import share
from secondlook.pipeline.report.advice import many
from secondlook.pipeline.report.card.facts import CardAttribute, CardFacts
from secondlook.pipeline.report.card.licenses import HUB_LICENSES, hub_license
from secondlook.pipeline.report.card.markdown import front_matter, line, prose, table
from secondlook.pipeline.report.page import percent

MOST_CLASSES = 200  # that are listed, in their order
LONGEST_FINDING = 600  # characters: figures stand at its end
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
         (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"))  # fmt: skip
# What people are asked for: the field of [card], and what is missing where it is empty.
ASKED = {
    "purpose": "what this dataset was made for",
    "not_for": "what it must not be used for",
    "origin": "where, when and how the pictures were made or collected",
    "collected": "when they were made or collected",
    "consent": "whether and how the people in it agreed",
    "license": "under which licence the whole may be used",
    "sensitive": "what in it is personal or sensitive",
    "annotation": "how labels and attributes were asked for",
    "annotators": "who annotated, and how they were chosen and paid",
    "impact": "whom it may help and whom it may harm",
    "maintenance": "who looks after it, and until when",
    "creators": "who made it",
    "contact": "whom to ask, or to tell of a picture that is to be forgotten",
    "citation": "how to cite it",
    "limits": "what is missing, wrong or one-sided in it",
}
SOURCES = {
    "ingest": "came with the pictures",
    "review": "were decided by people in a review",
    "revert": "were restored when a decision was taken back",
    "amplified": "were given by a model trained on people's answers, tested on random ones",
}


def as_markdown(facts: CardFacts, data_files: Mapping[str, str] | None = None) -> str:
    """The card. `data_files`: split → pattern of its Parquet files beside the card, for the hub's viewer."""
    parts = [
        front_matter(_front(facts, data_files or {})),
        f"# {line(facts.title)}",
        _overview(facts),
        *(
            f"## {title}\n\n" + "\n\n".join(part for part in section(facts) if part)
            for title, section in SECTIONS.items()
        ),
    ]
    return "\n\n".join(parts) + "\n"


def unsaid(said: CardSettings, field: str) -> str:
    """That nobody filled in a field, in a sentence."""
    return f"Nobody has said {ASKED[field]}; set `[card] {field}`."


def said_or(facts: CardFacts, field: str) -> str:
    """What people said, as prose, or that nobody did."""
    text = str(getattr(facts.said, field))
    return prose(text) if text.strip() else f"*{unsaid(facts.said, field)}*"


# The front matter


def _front(facts: CardFacts, data_files: Mapping[str, str]) -> dict[str, object]:
    front: dict[str, object] = {"pretty_name": facts.title} | _license(facts)
    front["task_categories"] = ["image-classification"]
    front["size_categories"] = [next((name for most, name in SIZES if facts.samples < most), "n>1B")]
    front["annotations_creators"] = _annotated(facts)
    front["tags"] = ["image", *facts.tags]
    if data_files:
        files = [{"split": split, "path": pattern} for split, pattern in data_files.items()]
        front["configs"] = [{"config_name": "default", "data_files": files}]
    return front


def _license(facts: CardFacts) -> dict[str, object]:
    """The licence of the whole, or those that its pictures bear, in the hub's names."""
    if not facts.license:
        borne = facts.licenses.shown if facts.licenses is not None else {}
        names = [hub_license(name) if name != NOT_SAID else "unknown" for name in borne]
        return {"license": list(dict.fromkeys(n if n in HUB_LICENSES else "other" for n in names)) or "unknown"}
    name = facts.license
    if hub_license(name) in HUB_LICENSES:
        return {"license": hub_license(name)}
    other: dict[str, object] = {
        "license": "other",
        "license_name": re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")[:80] or "other",
    }
    return other | ({"license_link": name} if name.startswith(("https://", "http://")) else {})


def _annotated(facts: CardFacts) -> list[str]:
    holding = facts.labels.holding
    kinds = [("found", "ingest"), ("other", "review"), ("machine-generated", "amplified")]
    return [name for name, source in kinds if holding.get(source)] or ["no-annotation"]


# The sections


def _overview(facts: CardFacts) -> str:
    labeled = "all of them labeled" if facts.labeled == facts.samples else f"{facts.labeled:,} of them labeled"
    made = f"Version {facts.version} of {facts.date[:10]}"
    who = f", by {line(', '.join(facts.creators))}" if facts.creators else ""
    return (
        f"{many(facts.samples, 'picture')} ({facts.contents:,} different ones), {labeled}, in "
        f"{many(len(facts.classes), 'class', 'classes')}. {made}{who}."
    )


def _purpose(facts: CardFacts) -> Iterator[str]:
    yield said_or(facts, "purpose")
    yield f"**Not for:** {said_or(facts, 'not_for')}"
    yield f"**Whom it may help or harm:** {said_or(facts, 'impact')}"


def _collection(facts: CardFacts) -> Iterator[str]:
    yield said_or(facts, "origin")
    yield f"**When:** {said_or(facts, 'collected')}"
    if facts.sources:
        told = "; ".join(f"{line(name)} ({many(n, 'picture')})" for name, n in facts.sources.items())
        yield f"Taken into the lake from: {told}."
    if facts.rejected:
        reasons = ", ".join(f"{n:,} {line(reason)}" for reason, n in facts.rejected.items())
        yield f"{many(sum(facts.rejected.values()), 'file')} found there did not come in: {reasons}."


def _consent(facts: CardFacts) -> Iterator[str]:
    yield f"**Consent:** {said_or(facts, 'consent')}"
    yield _by_column(facts, facts.consents, facts.said.consent_column, "whether the people in it agreed")
    yield f"**Licence:** {line(facts.license)}" if facts.license else f"**Licence:** {said_or(facts, 'license')}"
    yield _by_column(facts, facts.licenses, facts.said.license_column, "its licence")
    yield f"**To have a picture forgotten:** {said_or(facts, 'contact')}"


def _by_column(facts: CardFacts, values: Cells | None, column: str, what: str) -> str:
    if values is None:
        return f"No column says of each picture {what} (`{line(column)}` would)."
    rows = [(line(value), f"{n:,}") for value, n in values.shown.items()]
    listed = table((line(column), "pictures"), rows) if rows else ""
    return "\n\n".join(part for part in (listed, hidden(values, facts.min_cell)) if part)


def hidden(values: Cells, min_cell: int) -> str:
    """That groups are not shown, and why; "" where all are."""
    if not values.hidden:
        return ""
    verb = "is" if values.hidden == 1 else "are"
    return (
        f"{many(values.hidden, 'further group')} with {many(values.pictures, 'picture')} {verb} not shown: groups with fewer than {min_cell} pictures "
        "never are, nor what would give them away."
    )


def _composition(facts: CardFacts) -> Iterator[str]:
    listed = list(facts.classes.items())[:MOST_CLASSES]
    if listed:
        yield table(("class", "pictures"), [(line(name), f"{n:,}") for name, n in listed])
    if len(facts.classes) > len(listed):
        yield f"And {many(len(facts.classes) - len(listed), 'further class', 'further classes')}."
    if facts.classes_waiting:
        yield f"{many(facts.classes_waiting, 'class', 'classes')} with a name that waits for a sign-off, and the pictures that bear it, are not in it."
    if facts.splits:
        yield table(("split", "pictures"), [(line(name), f"{n:,}") for name, n in facts.splits.items()])
    if facts.formats:
        yield (
            "Formats: " + ", ".join(f"{line(name)} {n:,}" for name, n in facts.formats.items()) + " different pictures."
        )


def _groups(facts: CardFacts) -> Iterator[str]:
    yield f"**Personal or sensitive:** {said_or(facts, 'sensitive')}"
    if not facts.attributes:
        yield "No attributes are known of the pictures, so nothing can be said of who is in them."
        return
    yield "Groups are as annotated: somebody's answer to a question, not what people are. Pictures are counted, not people."
    for attribute in facts.attributes:
        yield from _attribute(facts, attribute)


def _attribute(facts: CardFacts, attribute: CardAttribute) -> Iterator[str]:
    yield f"### {line(attribute.name)}{' (estimated by a model)' if attribute.estimated else ''}"
    if attribute.described:
        yield prose(attribute.described)
    elif not attribute.estimated:
        yield f"*Nobody has said what its values mean and who gave them; set `described` of `[[attributes]]` {line(attribute.name)}.*"
    if attribute.groups is None:
        yield "Almost every picture has a value of its own, so there are no groups to count."
    else:
        rows = [
            (line(name), f"{n:,}", percent(n / facts.samples)) for name, n in attribute.groups.shown.items()
        ]  # of all pictures, those without a value too
        yield table((line(attribute.name), "pictures", "share"), rows) if rows else ""
        yield hidden(attribute.groups, facts.min_cell)
    if attribute.groups is None and attribute.missing:
        yield f"{many(attribute.missing, 'picture')} without a value."
    if attribute.repaired:
        yield f"Values of {many(attribute.repaired, 'picture')} were repaired by a rule that people confirmed."
    if attribute.errors:
        yield _errors(attribute)


def _errors(attribute: CardAttribute) -> str:
    rows = []
    for value, (wrong, n) in attribute.errors.items():
        measured = share(wrong, n)
        reach = f"{measured.interval.low * 100:.1f} to {measured.interval.high * 100:.1f} %"
        rows.append((line(value), f"{n:,}", percent(measured.value), reach))
    head = ("said by people", "n", "estimated otherwise", "95 % interval")
    return "How often the model was wrong where people said it themselves:\n\n" + table(head, rows)


def _labels(facts: CardFacts) -> Iterator[str]:
    labels = facts.labels
    yield said_or(facts, "annotation")
    yield f"**Annotators:** {said_or(facts, 'annotators')}"
    told = [f"{n:,} {SOURCES.get(source, line(source))}" for source, n in labels.holding.items()]
    if told:
        yield f"Of the labels that hold, {'; '.join(told)}."
    if labels.answers:
        yield (
            f"{many(labels.annotators, 'person', 'people')} gave {many(labels.answers, 'answer')} about {many(labels.asked, 'picture')} "
            f"({labels.answers / labels.asked:.1f} a picture); {many(labels.changed, 'label')} changed by decisions of people."
        )
    yield wrong_labels(facts)
    yield f"The history has {many(facts.versions, 'version')}, the first of {facts.first[:10]}; `secondlook blame` tells it for each picture."


def wrong_labels(facts: CardFacts) -> str:
    """How many labels are wrong, in a sentence: what was measured, or that nobody did."""
    wrong = facts.wrong
    if wrong is None:
        return "How many labels are wrong is not known: nobody has audited them, and no model was trained."
    if wrong.interval is None:
        return f"How many labels are wrong is not known: nobody has audited them. {line(wrong.called).capitalize()} is {percent(wrong.value)}, which has no interval."
    low, high = wrong.interval.low * 100, wrong.interval.high * 100
    return f"{line(wrong.called).capitalize()}: {percent(wrong.value)} (95 % interval {low:.1f} to {high:.1f} %), from answers to {many(wrong.n, 'picture')} drawn at random."


def _checked(facts: CardFacts) -> Iterator[str]:
    if facts.findings is None:
        yield "Nobody has run a check over it; `secondlook lint` does."
    elif not facts.findings:
        yield "The last run of `secondlook lint` left no findings open. What it did not look for, or had too few pictures to see, it can't have found."
    else:
        rows = [(f"{one.rule} {line(one.name)}", f"{one.count:,}") for one in facts.findings]
        yield "Findings of `secondlook lint` that are still open:"
        yield table(("rule", "findings"), rows)
    if facts.differences:
        yield "Of the groups above, on these pictures and labels, by the tests and corrections of that run:"
        yield "\n".join(f"- {line(told, LONGEST_FINDING)}" for told in facts.differences)
        yield "A difference says where to look, not why it is there. That other groups are not named may be for want of pictures."


def _limits(facts: CardFacts) -> Iterator[str]:
    yield said_or(facts, "limits")
    yield "\n".join(f"- {text}" for text in known_limits(facts))


def known_limits(facts: CardFacts) -> list[str]:
    """What the lake itself knows of a dataset's limits, a sentence each, as Markdown."""
    limits = [wrong_labels(facts)]
    if facts.samples > facts.contents:
        n = facts.samples - facts.contents
        limits.append(f"{many(n, 'picture')} repeat{'s' if n == 1 else ''} another one, byte for byte.")
    for one in facts.attributes:
        if one.missing:
            limits.append(
                f"{many(one.missing, 'picture')} ({percent(one.missing / facts.samples)}) say nothing of {line(one.name)}."
            )
        if one.mangled:
            limits.append(mangled(facts, line(one.name), one.mangled))
        if one.estimated:
            limits.append(f"{line(one.name)} was estimated by a model; nobody said it.")
    if any(one.groups is not None and one.groups.hidden for one in facts.attributes):
        limits.append(f"Groups with fewer than {facts.min_cell} pictures are not shown; nothing can be said of them.")
    return limits


def mangled(facts: CardFacts, name: str, pictures: int) -> str:
    """That values look mangled and nobody has said what they were."""
    verb = "has" if pictures == 1 else "have"
    return f"{many(pictures, 'picture')} ({percent(pictures / facts.samples)}) {verb} a value of {name} that looks mangled, and nobody has confirmed what it was."


def _upkeep(facts: CardFacts) -> Iterator[str]:
    yield said_or(facts, "maintenance")
    yield f"**Cite as:** {said_or(facts, 'citation')}"
    yield prose(facts.said.url) if facts.said.url else ""
    yield (
        f"This card was made by secondlook {line(facts.program)} from version {facts.version} of the lake. It says what was recorded and counted on these pictures, "
        "and nothing of others."
    )


SECTIONS = {
    "Purpose": _purpose,
    "Where it comes from": _collection,
    "Consent and licences": _consent,
    "What is in it": _composition,
    "Who is in it": _groups,
    "Labels": _labels,
    "What was checked": _checked,
    "Known limits": _limits,
    "Upkeep": _upkeep,
}
