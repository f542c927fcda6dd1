"""The same figures as the page, as JSON values: for programs, and for who wants more digits."""

import math
from collections.abc import Mapping
from typing import Any

from secondlook.pipeline.core.comparison import AuditedAttribute, Changed, Compared, Estimate, Measure
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.report.bias.summary import findings
from secondlook.pipeline.report.bias.view import View
from secondlook.pipeline.report.bias.words import sentence

FORMAT = 1  # of this JSON; fields are only ever added


def figures(shown: View) -> dict[str, Any]:
    """All figures of the page; what can't be known is null."""
    facts, audit = shown.facts, shown.audit
    return {
        "format": FORMAT,
        "title": facts.title,
        "version": audit.version,
        "created": facts.created,
        "model": facts.model or None,
        "samples": audit.samples,
        "summary": [told for _, told in shown.five],
        "settings": {
            name: getattr(audit, name)
            for name in (
                "depth",
                "alpha",
                "confidence",
                "power",
                "correction",
                "least_gap",
                "min_cell",
                "tests",
                "seed",
            )
        },
        "not_shown": {
            "groups": dict(shown.shown.hidden),
            "too_small": shown.shown.too_small,
            "beside": shown.shown.beside,
            "findings": shown.shown.lost,
        },
        "attributes": [_attribute(one) for one in audit.attributes],
        "findings": [
            {
                "rule": measure.rule,
                "measure": measure.name,
                "group": _group(one.group),
                "sentence": sentence(measure, one, audit),
                "remedies": list(facts.remedies.get((measure.rule, one.group), ())),
            }
            for measure, one in findings(shown.shown)
        ],
        "measures": [_measure(one, {its.group for its in shown.shown.found(one)}) for one in audit.measures],
        "notes": dict(audit.notes),
        "since": facts.since,
        "changes": [_changed(one, audit.alpha) for one in shown.shown.changes],
        "card": {name: dict(pairs) for name, pairs in facts.card.items()},
        "provenance": dict(facts.provenance),
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _estimate(one: Estimate | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {"value": _number(one.value), "interval": [_number(one.interval.low), _number(one.interval.high)]}


def _group(group: Group) -> dict[str, str]:
    return dict(group.values)


def _attribute(one: AuditedAttribute) -> dict[str, Any]:
    return {
        "name": one.name,
        "described": one.described,
        "estimated": one.estimated,
        "missing": one.missing,
        "repaired": one.repaired,
        "groups": dict(one.counts),
    }


def _measure(one: Measure, found: set[Group]) -> dict[str, Any]:
    words = {
        name: getattr(one, name)
        for name in ("rule", "name", "title", "outcome", "population", "worse", "unit", "method", "note")
    }
    return words | {
        "n": one.n,
        "k": _number(one.k),
        "overall": _estimate(one.overall),
        "untested": one.untested,
        "gap": _estimate(one.gap),
        "worst": _group(one.worst) if one.worst else None,
        "facts": {name: _number(value) for name, value in one.facts.items()},
        "groups": [_compared(its, its.group in found) for its in one.groups],
    }


def _compared(one: Compared, found: bool) -> Mapping[str, Any]:
    numbers = {name: _number(getattr(one, name)) for name in ("k", "p", "adjusted", "smallest_gap", "missing")}
    estimates = {name: _estimate(getattr(one, name)) for name in ("raw", "against", "effect", "pooled", "corrected")}
    return {"group": _group(one.group), "name": one.group.name, "n": one.n, "finding": found} | numbers | estimates


def _changed(one: Changed, alpha: float) -> dict[str, Any]:
    estimates = {name: _estimate(getattr(one, name)) for name in ("before", "after", "difference")}
    return {
        "measure": one.measure,
        "rule": one.rule,
        "group": _group(one.group),
        "n": one.n,
        "paired": one.paired,
        "gained": one.gained,
        "lost": one.lost,
        "p": _number(one.p),
        "adjusted": _number(one.adjusted),
        "helped": one.helped(alpha),
        "note": one.note,
    } | estimates
