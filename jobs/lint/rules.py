"""All rules of lint in one table, and the forms in which people read it."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from secondlook.pipeline.audit import rules as audit_rules
from secondlook.pipeline.bias import rules as bias_rules
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.rules import Rule
from secondlook.pipeline.images import rules as image_rules

RULES: dict[str, Rule] = dict(sorted((audit_rules.RULES | image_rules.RULES | bias_rules.RULES).items()))

FAMILIES = {
    "SL1": "labels",
    "SL2": "copies",
    "SL3": "pictures",
    "SL4": "people",
    "SL5": "classes",
    "SL6": "annotators",
}


def rule(code: str) -> Rule:
    """The rule with this code, in any case; raises UserError where there is none."""
    found = RULES.get(code.strip().upper())
    if found is None:
        raise unknown("rule", code, RULES)
    return found


def chosen(select: Iterable[str], ignore: Iterable[str]) -> list[str]:
    """Codes of the rules that `select` names (all where it names none) and `ignore` doesn't, by code or by its beginning.

    Both take lists such as `SL1,SL203`. Raises UserError for a name that no rule begins with.

    >>> chosen(["SL1,SL503"], ["SL102"])
    ['SL101', 'SL103', 'SL104', 'SL503']
    """
    wanted, unwanted = _codes(select), _codes(ignore)
    return [code for code in RULES if (not wanted or code in wanted) and code not in unwanted]


def _codes(names: Iterable[str]) -> set[str]:
    codes: set[str] = set()
    for name in (part.strip().upper() for text in names for part in text.split(",")):
        matching = {code for code in RULES if name and code.startswith(name)}
        if not matching:
            if not name:
                raise UserError(
                    "--select and --ignore take codes or their beginnings, such as SL1,SL203; got an empty one"
                )
            raise unknown("rule", name, [*RULES, *{code[:3] for code in RULES}])
        codes |= matching
    return codes


def pages() -> dict[str, str]:
    """The folder docs/rules: its files by name, an index and one page a rule."""
    index = [
        "# Rules",
        "",
        "These pages are made by `secondlook rule --pages docs/rules`, from the same place that `secondlook rule CODE`",
        "reads. Thresholds are fields of `[lint]` in `secondlook.toml`, those of SL4 of `[bias]`. Where `limits` gives a figure, the benchmark that",
        "made it stands in [results](../results).",
    ]
    for family, title in FAMILIES.items():
        mine = [one for one in RULES.values() if one.code.startswith(family)]
        if mine:
            index += ["", f"## {family} {title}", "", "| code | name | what |", "|---|---|---|"]
            index += [f"| [{one.code}]({one.code}.md) | {one.name} | {one.what} |" for one in mine]
    files = {f"{one.code}.md": page(one) for one in RULES.values()}
    return {"README.md": "\n".join(index) + "\n"} | files


def page(one: Rule) -> str:
    """One rule's page in Markdown."""
    thresholds = "\n".join(f"* `{name}` = {default(name)}: {_documented(name)}" for name in one.thresholds)
    parts = {title: text for title, text in (*words(one), ("Thresholds", thresholds)) if text}
    body = "".join(f"\n## {title}\n\n{text}\n" for title, text in parts.items())
    return f"# {one.code} {one.name}\n\n{one.what}\n{body}\n[All rules](README.md)\n"


def words(one: Rule) -> list[tuple[str, str]]:
    """A rule's paragraphs under their titles, in the order in which people read them."""
    return [
        ("Why", one.why),
        ("How it decides", one.how),
        ("What to do", one.todo),
        ("Limits", one.limits),
        ("Source", one.source),
    ]


def default(threshold: str) -> str:
    """Default of a threshold, with its unit."""
    field = _field(threshold)
    unit = field.metadata["unit"]
    return f"{_shown(field.default)}{' ' + unit if unit else ''}"


def _shown(value: object) -> str:
    return "“”" if value == "" else str(value)


def section(one: Rule) -> str:
    """The section of the settings that a rule's thresholds are in."""
    return BiasSettings.section if one.code in bias_rules.RULES else LintSettings.section


def _documented(threshold: str) -> str:
    return str(_field(threshold).metadata["doc"])


def _field(threshold: str) -> "dataclasses.Field[Any]":
    both = (*dataclasses.fields(BiasSettings), *dataclasses.fields(LintSettings))
    return {field.name: field for field in both}[threshold]
