"""The findings of lint as text, JSON, SARIF 2.1.0 or one HTML page, each from the same facts."""

import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import jinja2

from secondlook.pipeline.core.rules import Finding, Rule

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


@dataclass(frozen=True)
class Shown:
    """A finding, and why it does not count: the reason of a waiver, or that it was known at the baseline."""

    finding: Finding
    waiver: str | None = None
    known: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is held against the dataset."""
        return self.waiver is None and not self.known


@dataclass(frozen=True)
class Listing:
    """What is shown of a run of lint: findings in their order, the words of their rules, the summary, and notes.

    `version` is the version of the lake that was audited; `notes` says by rule what could not be looked at.
    """

    findings: Sequence[Shown]
    rules: Mapping[str, Rule]
    version: int
    program: str
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    compared: bool = False  # with a baseline


def printable(text: str) -> str:
    r"""A text from data for a terminal: what would move the cursor or turn the writing around is shown as an escape.

    >>> print(printable("a\x1b[2Jb\n\u202e"))
    a\x1b[2Jb\n\u202e
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def place(finding: Finding) -> str:
    """Where a finding is: the key of a picture, or the kind and name of another subject."""
    name = printable(finding.key)
    return name if finding.subject_kind == "sample" else f"{finding.subject_kind} {name}"


def text_line(shown: Shown) -> str:
    """A finding as a code linter writes it: `train/00042.jpg: SL101 labeled cat, likely dog (score 0.98)`."""
    return f"{place(shown.finding)}: {shown.finding.rule} {printable(shown.finding.message)}{aside(shown)}"


def aside(shown: Shown) -> str:
    """Why a finding does not count, in brackets; "" where it does."""
    if shown.waiver is not None:
        return f" [waived: {printable(shown.waiver)}]"
    return " [known]" if shown.known else ""


def as_text(listing: Listing) -> Iterator[str]:
    """Plain lines, one a finding, for a file or a pipe."""
    return (text_line(shown) + "\n" for shown in listing.findings)


def as_json(listing: Listing) -> Iterator[str]:
    """One JSON object, a finding a line: version, summary, notes, findings."""
    head = {"version": listing.version, "summary": dict(listing.summary), "notes": dict(listing.notes)}
    yield _dump(head)[:-1] + ', "findings": ['
    for at, shown in enumerate(listing.findings):
        yield (",\n" if at else "\n") + _dump(_fields(shown, listing))
    yield "\n]}\n"


def _fields(shown: Shown, listing: Listing) -> dict[str, Any]:
    finding = shown.finding
    return {
        "rule": finding.rule,
        "name": listing.rules[finding.rule].name,
        "subject_kind": finding.subject_kind,
        "subject": finding.subject,
        "key": finding.key,
        "split": finding.split,
        "score": finding.score if math.isfinite(finding.score) else None,
        "message": finding.message,
        "evidence": dict(finding.evidence),
        "waiver": shown.waiver,
        "known": shown.known,
    }


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_sarif(listing: Listing) -> Iterator[str]:
    """A SARIF 2.1.0 log with one run: what code hosts and editors read. Waived findings are suppressed results."""
    codes = list(listing.rules)
    driver = {
        "name": "secondlook",
        "version": listing.program,
        "rules": [_descriptor(rule) for rule in listing.rules.values()],
    }
    said = [
        {"level": "note", "message": {"text": note}, "associatedRule": {"id": code, "index": codes.index(code)}}
        for code, note in listing.notes.items()
        if code in codes
    ]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolConfigurationNotifications": said}],
        "properties": {"version": listing.version, "summary": dict(listing.summary)},
    }
    yield _dump({"$schema": SARIF_SCHEMA, "version": "2.1.0"})[:-1] + ', "runs": [' + _dump(run)[:-1] + ', "results": ['
    for at, shown in enumerate(listing.findings):
        yield (",\n" if at else "\n") + _dump(_result(shown, codes, compared=listing.compared))
    yield "\n]}]}\n"


def _descriptor(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.replace(",", "").replace("-", " ").split()),
        "shortDescription": {"text": rule.what},
        "fullDescription": {"text": f"{rule.why} {rule.how}"},
        "help": {"text": f"{rule.todo} Source: {rule.source}"},
        "defaultConfiguration": {"level": "warning"},
    }


def _result(shown: Shown, codes: Sequence[str], *, compared: bool) -> dict[str, Any]:
    finding = shown.finding
    name = hashlib.blake2b(f"{finding.rule}\0{finding.subject}".encode(), digest_size=16).hexdigest()
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": codes.index(finding.rule),
        "level": "warning",
        "message": {"text": finding.message},
        "locations": [_location(finding)],
        "partialFingerprints": {"ruleAndSubject/v1": name},
        "properties": {"score": finding.score if math.isfinite(finding.score) else None, **finding.evidence},
    }
    if compared:
        result["baselineState"] = "unchanged" if shown.known else "new"
    if shown.waiver is not None:
        result["suppressions"] = [{"kind": "external", "justification": shown.waiver}]
    return result


def _location(finding: Finding) -> dict[str, Any]:
    if finding.subject_kind != "sample":
        return {"logicalLocations": [{"name": finding.key, "kind": finding.subject_kind}]}
    return {"physicalLocation": {"artifactLocation": {"uri": uri(finding.key)}}}


def uri(key: str) -> str:
    """A picture's key as a URI reference: percent-encoded, and never taken for a host or a scheme.

    >>> uri("a b/ü#1.png"), uri("c:x.png"), uri("//host/x.png")
    ('a%20b/%C3%BC%231.png', 'c%3Ax.png', '/%2Fhost/x.png')
    """
    encoded = quote(key, safe="/")
    return "/%2F" + encoded[2:] if encoded.startswith("//") else encoded


def as_html(listing: Listing) -> Iterator[str]:
    """One self-contained page: a table a rule. Every text is escaped, nothing is loaded, there is no script."""
    by_rule: dict[str, list[Shown]] = {}
    for shown in listing.findings:
        by_rule.setdefault(shown.finding.rule, []).append(shown)
    template = _environment().get_template("listing.html")
    yield from template.generate(listing=listing, by_rule=by_rule)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("secondlook.pipeline.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"printable": printable, "aside": aside, "place": place}
    return environment


FORMATS = {"text": as_text, "json": as_json, "html": as_html, "sarif": as_sarif}
