"""`secondlook attributes`: who and what is in the pictures, as the source said it, and repairs of what was mangled on the way."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from secondlook.jobs.bias import repairing
from secondlook.jobs.bias.groups import Known, attributes
from secondlook.jobs.lake.attributes import Attributes
from secondlook.jobs.lake.attributes import read as read_attributes
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint.carried import carrier
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.bias.binning import bins
from secondlook.pipeline.bias.repairs import RULES, Proposal
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.report.formats import printable

SHOWN = 12  # values of an attribute that a line shows
LONGEST = 60  # characters of a value that are shown


def run(lake: Lake, settings: Settings, *, as_of: str | int | None = None) -> dict[str, Any]:
    """Attributes with their values, what is missing, what is proposed and which repairs hold.

    attributes: a list of name, values (value → pictures, null where there are too many), distinct, missing, repaired, proposed,
    doubts, repairs, whether a model `estimated` it, and of numbers with bins `bins` (bin → pictures) and `unbinned`.
    """
    version = lake.at(as_of)
    with carrier(lake, settings, version) as carried:
        samples, known = attributes(lake, version, carried)
        binned = {one.name: its for one in settings.attributes if (its := bins(one.bins, one.name))}
        in_bins = attributes(lake, version, carried, binned)[1] if binned else {}
    meant = read_attributes(lake, version)
    told = [
        _told(one, meant, in_bins.get(name) if name in binned else None) | {"estimated": name in settings.estimated}
        for name, one in known.items()
    ]
    return {"version": version.id, "pictures": samples, "attributes": told}


def _told(known: Known, meant: Attributes, in_bins: Known | None) -> dict[str, Any]:
    found = repairing.proposed(known)
    told: dict[str, Any] = {
        "name": known.name,
        "values": known.values,
        "distinct": known.distinct,
        "missing": known.missing,
        "repaired": known.repaired,
        "proposed": [_as_told(one) for one in found.repairs],
        "doubts": list(found.doubts),
        "repairs": [repairing.described(one) for one in meant.repairs if one.attribute == known.name],
    }
    return told | ({} if in_bins is None else {"bins": in_bins.values, "unbinned": in_bins.unbinned})


def _as_told(one: Proposal) -> dict[str, Any]:
    return {"value": one.value, "into": one.into, "rule": one.rule, "pictures": one.pictures}


# For people


def _show(summary: Mapping[str, Any]) -> None:
    if not summary["attributes"]:
        out().print("no picture has an attribute; `secondlook ingest SOURCE --labels FILE` brings a table's columns")
    for one in summary["attributes"]:
        _show_attribute(one)
    waiting = [one for one in summary["attributes"] if one["proposed"]]
    if waiting:
        say(
            f"`secondlook attributes --repair {_word(waiting[0]['name'])}` shows a proposal and asks before it is applied"
        )


def _show_attribute(one: Mapping[str, Any]) -> None:
    console = out()
    missing = f", {one['missing']:,} {NOT_SAID}" if one["missing"] else ""
    how = " (estimated by a model)" if one["estimated"] else ""
    console.print(f"{_short(one['name'])}{how}: {_values(one['distinct'])}{missing}", markup=False, style="bold")
    values = one["values"] if one.get("bins") is None else one["bins"]
    for value, n in list((values or {}).items())[:SHOWN]:
        console.print(f"{n:>9,}  {_short(value)}", markup=False)
    if values is None or len(values) > SHOWN:
        more = one["distinct"] - (SHOWN if values else 0)
        console.print(f"{'':>9}  {'and ' if values else ''}{_values(more)}{' more' if values else ''}", markup=False)
    if one.get("unbinned"):
        console.print(f"{one['unbinned']:>9,}  no number of a bin: {NOT_SAID}", markup=False, style="dim")
    for repair in one["repairs"]:
        by = f"{repair['rule']}, {repair['actor']}, {(repair['time'] or '')[:10]}"
        console.print(f"           repaired: {_arrow(repair)} ({by})", markup=False, style="green")
    for found in one["proposed"]:
        console.print(
            f"{found['pictures']:>9,}  mangled? {_arrow(found)} ({found['rule']})", markup=False, style="yellow"
        )
    for doubt in one["doubts"]:
        console.print(f"           {printable(doubt)}", markup=False, style="yellow")


def _values(n: int) -> str:
    return f"{n:,} value{'' if n == 1 else 's'}"


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def _arrow(change: Mapping[str, Any]) -> str:
    return f"'{_short(change['value'])}' → '{_short(change['into'])}'"


def _word(name: str) -> str:
    return name if name.replace("_", "").isalnum() else repr(name)


def _repair(
    lake: Lake, settings: Settings, name: str, rules: Sequence[str], author: str, reason: str, *, yes: bool, quiet: bool
) -> dict[str, Any]:
    """Show what is proposed, ask, and apply it; where nobody can be asked, nothing is applied."""
    version = lake.at()
    with carrier(lake, settings, version) as carried:
        found, doubts = repairing.look(lake, version, name, rules, carried)
    proposed = [_as_told(one) for one in found]
    if not quiet:
        _show_proposal(name, proposed, doubts)
    asked = not yes and not quiet and sys.stdin.isatty() and bool(found)
    if yes or (asked and typer.confirm("Apply this?", err=True)):
        return repairing.apply(lake, version, name, found, author=author, reason=reason)
    return {"action": "propose", "attribute": name, "proposed": proposed, "doubts": list(doubts), "version": None}


def _show_proposal(name: str, proposed: Sequence[Mapping[str, Any]], doubts: Sequence[str]) -> None:
    for one in proposed:
        rules = ", ".join(f"{rule}: {RULES[rule]}" for rule in one["rule"].split("+"))
        out().print(f"{one['pictures']:>9,}  {_arrow(one)}  ({rules})", markup=False)
    for doubt in doubts:
        out().print(f"           {printable(doubt)}", markup=False, style="yellow")
    if not proposed:
        out().print(f"{_short(name)}: nothing to repair that a rule is sure of", markup=False)


def _show_done(summary: Mapping[str, Any]) -> None:
    if summary["version"] is None:
        if summary.get("proposed"):
            say("nothing was changed; --yes applies it")
        return
    for what, n in summary["values"].items() if summary["action"] != "repair" else ():
        out().print(f"{n:>9,}  {_short(what)}", markup=False)
    name = summary["attribute"]
    undone = summary["action"] == "undo"
    tail = "" if undone else f"; `secondlook attributes --undo {_word(name)}` takes it back"
    what = "read as they were found" if undone else "read as repaired"
    say(f"{summary['pictures']:,} pictures {what}: version {summary['version']}{tail}")


def listed(
    repair: Annotated[
        str | None,
        typer.Option(
            "--repair", metavar="NAME", help="Show what is proposed for an attribute, and apply it if you agree."
        ),
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule", metavar="RULE", help=f"With --repair: only by this rule. May be repeated. {', '.join(RULES)}."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --repair: apply it without asking.")] = False,
    by_hand: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME:FROM=TO",
            help="Repair a value by hand; an empty TO: it says nothing. May be repeated.",
        ),
    ] = None,
    undo: Annotated[
        str | None,
        typer.Option("--undo", metavar="NAME[:FROM]", help="Take an attribute's repairs back, or that of one value."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; --set asks for it.")] = "",
    author: Annotated[
        str | None,
        typer.Option("--author", metavar="NAME", help="Who decides this. Default: git's user.name, or yours here."),
    ] = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Attributes of the pictures, who has which value, and repairs of values that were mangled on the way.

    The source's values are never rewritten. A repair is an event with its rule, author and time: `secondlook log` shows
    it, everything that reads the lake reads the repaired value from then on (pictures that come later, too), and
    --undo takes it back. Nothing is repaired that nobody confirmed.

    A spreadsheet makes dates of spans of numbers: 3-9 becomes 03-Sep. Such values are recognized where the other values of
    the attribute show what they were; so are spaces, other dashes, upper and lower case, and ways to write "unknown".

    ```
    secondlook attributes                                        what there is, and what looks mangled
    secondlook attributes --repair age                           what is proposed; asks before it applies it
    secondlook attributes --set "site:Berln=Berlin" --reason typo
    secondlook attributes --undo age
    ```
    """
    if sum(bool(one) for one in (repair, by_hand, undo)) > 1:
        raise UserError("attributes takes one of --repair, --set and --undo at a time")
    if (rule or yes) and not repair:
        raise UserError("--rule and --yes go with --repair")
    if as_of is not None and (repair or by_hand or undo):
        raise UserError("repairs are made on the newest version; leave --as-of away")
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    if not (repair or by_hand or undo):
        summary = run(opened, chosen, as_of=as_of)
        finish(summary, as_json=json, lines=lambda: _show(summary))
        return
    from secondlook.jobs.history.class_changes import author_here  # it knows much else, which --help can do without

    name = author_here(author)
    if repair:
        summary = _repair(opened, chosen, repair, rule or (), name, reason, yes=yes, quiet=json)
    elif by_hand:
        summary = repairing.run_set(opened, by_hand, author=name, reason=reason)
    else:
        summary = repairing.run_undo(opened, undo or "", author=name, reason=reason)
    finish(summary, as_json=json, lines=lambda: _show_done(summary))
