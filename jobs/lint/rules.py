"""All rules of lint in one table, and the forms in which people read it."""

from collections.abc import Iterable

from secondlook.pipeline.audit import rules as audit_rules
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.rules import Rule
from secondlook.pipeline.images import rules as image_rules

RULES: dict[str, Rule] = dict(sorted((audit_rules.RULES | image_rules.RULES).items()))

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
    ['SL101', 'SL103', 'SL503']
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


def markdown() -> str:
    """The table of rules and every rule's words: what docs/rules.md holds."""
    lines = [
        "# Rules",
        "",
        "This page is made by `secondlook rule --markdown`, from the same place that `secondlook rule CODE` reads.",
        "Thresholds are fields of `[lint]` in `secondlook.toml`.",
        "",
        *table(),
    ]
    for one in RULES.values():
        lines += ["", f"## {one.code} {one.name}", "", one.what, "", f"**Why.** {one.why}", "", f"**How.** {one.how}"]
        lines += ["", f"**What to do.** {one.todo}", ""]
        if one.thresholds:
            lines += ["**Thresholds.** " + ", ".join(f"`{name}` = {default(name)}" for name in one.thresholds), ""]
        lines.append(f"**Source.** {one.source}")
    return "\n".join(lines) + "\n"


def table(link: str = "") -> list[str]:
    """The rules as the lines of a Markdown table; `link` is the page that explains them."""
    rows = ["| code | name | what |", "|---|---|---|"]
    for one in RULES.values():
        anchor = f"{one.code} {one.name}".lower().replace(" ", "-").replace(",", "")
        rows.append(f"| [{one.code}]({link}#{anchor}) | {one.name} | {one.what} |")
    return rows


def default(threshold: str) -> str:
    """Default of a field of [lint], with its unit."""
    import dataclasses

    from secondlook.pipeline.core.config import LintSettings

    field = {field.name: field for field in dataclasses.fields(LintSettings)}[threshold]
    unit = field.metadata["unit"]
    return f"{field.default}{' ' + unit if unit else ''}"
