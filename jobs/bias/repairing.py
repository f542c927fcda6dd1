"""What values of attributes were meant to be, written down as events: proposed by rules, or said by hand, and taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from secondlook.jobs.bias.groups import Known, attributes
from secondlook.jobs.lake.attributes import Repair
from secondlook.jobs.lake.attributes import read as read_attributes
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import Carrier
from secondlook.pipeline.bias.repairs import RULES, Proposal, Proposed, propose
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.groups import NOT_SAID

BY_HAND = "by hand"
JOB = "attributes"
LONGEST_REASON = 1000  # characters
LONGEST_VALUE = 1000


@dataclass(frozen=True)
class Change:
    """What one commit does: `value` of `attribute` reads as `into`, None to take the repair of it back."""

    attribute: str
    value: str
    into: str | None
    rule: str
    pictures: int


def proposed(known: Known) -> Proposed:
    """What is proposed for an attribute, of its values as they read now."""
    return Proposed() if known.values is None else propose(known.values)


def run_repair(
    lake: Lake, name: str, *, author: str, reason: str = "", rules: Sequence[str] = (), carrier: Carrier | None = None
) -> dict[str, Any]:
    """Apply what is proposed for an attribute, of the rules that are named or of all. Returns what `apply` does."""
    version = lake.at()
    return apply(lake, version, name, look(lake, version, name, rules, carrier)[0], author=author, reason=reason)


def look(
    lake: Lake, version: Version, name: str, rules: Sequence[str] = (), carrier: Carrier | None = None
) -> tuple[list[Proposal], tuple[str, ...]]:
    """What is proposed for an attribute, and what looks mangled but is not clear."""
    known = attributes(lake, version, carrier)[1]
    if name not in known:
        raise unknown("attribute", name, known)
    found = proposed(known[name])
    return chosen(found, rules), found.doubts


def apply(
    lake: Lake, version: Version, name: str, found: Sequence[Proposal], *, author: str, reason: str = ""
) -> dict[str, Any]:
    """Repair what was proposed of this version. Returns what `_commit` does."""
    changes = [Change(name, one.value, one.into, one.rule, one.pictures) for one in found]
    return _commit(lake, version, "repair", changes, author, reason) | {"attribute": name}


def chosen(found: Proposed, rules: Sequence[str]) -> list[Proposal]:
    """The proposals that follow from these rules alone; all, where none is named. Raises UserError for an unknown rule."""
    for rule in rules:
        if rule not in RULES:
            raise unknown("rule of repairs", rule, RULES)
    return [one for one in found.repairs if not rules or {*one.rule.split("+")} <= {*rules}]


def run_set(
    lake: Lake, asked: Sequence[str], *, author: str, reason: str, carrier: Carrier | None = None
) -> dict[str, Any]:
    """Repair by hand: each of `asked` is NAME:FROM=TO; an empty TO, that the value says nothing."""
    if not reason.strip():
        raise UserError("--set needs --reason: why the value was meant to be another")
    version = lake.at()
    known = attributes(lake, version, carrier)[1]
    changes = [_by_hand(one, known) for one in asked]
    if len({(one.attribute, one.value) for one in changes}) < len(changes):
        raise UserError("--set names one value twice; say once what it was meant to be")
    return _commit(lake, version, "set", changes, author, reason)


def _by_hand(asked: str, known: Mapping[str, Known]) -> Change:
    """NAME:FROM=TO as a change; names and values may have : and = in them, so they are looked for among those that are there."""
    names = [name for name in known if asked.startswith(name + ":")]
    if not names:
        if ":" not in asked or "=" not in asked:
            raise UserError(f"--set takes NAME:FROM=TO, such as 'age:03-Sep=3-9', got {asked!r}")
        raise unknown("attribute", asked.split(":", 1)[0], known)
    name = max(names, key=len)
    rest, values = asked[len(name) + 1 :], known[name].values
    if values is None:
        raise UserError(f"{name} has {known[name].distinct:,} values, too many to be repaired one by one")
    if "=" not in rest:
        raise UserError(f"--set takes NAME:FROM=TO, such as 'age:03-Sep=3-9', got {asked!r}")
    fits = [value for value in values if rest.startswith(value + "=")]
    if not fits:
        raise unknown(f"value of {name}", rest.rsplit("=", 1)[0], values)
    value = max(fits, key=len)
    into = rest[len(value) + 1 :]
    if value == into or len(into) > LONGEST_VALUE:
        why = "is what it is already" if value == into else f"is longer than {LONGEST_VALUE:,} characters"
        raise UserError(f"--set {name}: {into[:40]!r} {why}")
    return Change(name, value, into or NOT_SAID, BY_HAND, values[value])


def run_undo(lake: Lake, asked: str, *, author: str, reason: str = "") -> dict[str, Any]:
    """Take repairs back: all of an attribute (NAME), or of one value as it was found (NAME:FROM)."""
    version = lake.at()
    held = read_attributes(lake, version).repairs
    found = [one for one in held if asked in (one.attribute, f"{one.attribute}:{one.value}")]
    if not found:
        there = {one.attribute for one in held} | {f"{one.attribute}:{one.value}" for one in held}
        raise unknown("repair to undo", asked, there)
    changes = [Change(one.attribute, one.value, None, one.rule, one.pictures) for one in found]
    return _commit(lake, version, "undo", changes, author, reason)


def _commit(
    lake: Lake, version: Version, action: str, changes: Sequence[Change], author: str, reason: str
) -> dict[str, Any]:
    """Write the changes as one version; the same again, of the same lake, is that version.

    Returns action, pictures (that had the values), attribute, values ("FROM → TO" → pictures), rules, author, reason and the
    version: None where there was nothing to do.
    """
    if len(reason) > LONGEST_REASON:
        raise UserError(f"--reason takes up to {LONGEST_REASON:,} characters, got {len(reason):,}")
    if not author.strip():
        raise UserError("--author takes the name of who decides this, got nothing")
    summary: dict[str, Any] = {
        "action": action,
        "pictures": sum(one.pictures for one in changes),
        "attribute": ", ".join(sorted({one.attribute for one in changes})),
        "values": {_arrow(one): one.pictures for one in changes},
        "rules": sorted({one.rule for one in changes}),
        "author": author,
        "reason": reason,
    }
    if not changes:
        return summary | {"version": None}
    inputs = {"tables": version.tables.get("attribute_repairs"), "what": [action, *sorted(summary["values"].items())]}
    attempt = lake.attempt(JOB, inputs | {"attribute": summary["attribute"]}, base=version)
    now = datetime.now(UTC)
    facts = {"actor": author, "reason": reason, "time": now}
    names = ("attribute", "value", "into", "rule", "pictures")
    rows = [{name: getattr(one, name) for name in names} | facts for one in changes]
    attempt.append("attribute_repairs", rows_of("attribute_repairs", rows))
    return summary | {"version": attempt.commit(summary).id}


def _arrow(change: Change) -> str:
    return f"{change.value} as it was found" if change.into is None else f"{change.value} → {change.into}"


def is_about(line: str, value: str) -> bool:
    """Whether a line of a summary's `values` speaks of a value, as what was found or as what it reads as.

    >>> is_about("03-Sep → 3-9", "3-9"), is_about("03-Sep as it was found", "03-Sep"), is_about("03-Sep → 3-9", "9")
    (True, True, False)
    """
    return line.startswith(f"{value} → ") or line.endswith(f" → {value}") or line == f"{value} as it was found"


def described(repair: Repair) -> dict[str, Any]:
    """A repair that holds, for a summary."""
    names = ("value", "into", "rule", "actor", "reason", "pictures")
    return {name: getattr(repair, name) for name in names} | {"time": repair.time.isoformat() if repair.time else None}
