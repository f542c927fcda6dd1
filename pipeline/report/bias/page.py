"""Facts of an audit by groups → one self-contained HTML page, in the frame of the other report: no script, nothing loaded."""

import functools
import math

import jinja2

from secondlook.pipeline.core.comparison import GroupAudit, Unit
from secondlook.pipeline.report.bias import words
from secondlook.pipeline.report.bias.facts import SECTIONS
from secondlook.pipeline.report.bias.view import MOST_LINES, View
from secondlook.pipeline.report.page import environment

MOST_VALUES = 40  # groups of an attribute that are listed where it is said who was compared
CORRECTIONS = {
    "permutation": "smallest p of permutations within a measure, Bonferroni between kinds of measures",
    "benjamini-yekutieli": "Benjamini–Yekutieli",
    "holm": "Holm",
}


def _gap(value: float, unit: Unit) -> str:
    if math.isnan(value):
        return "none"
    return f"{value:.2f}" if unit == "npmi" else f"{value * 100:.1f}"


@functools.cache
def _environment() -> jinja2.Environment:
    made = environment().overlay()
    made.filters = made.filters | {
        "amount": words.amount,
        "bare": words.bare,
        "within": words.reach,
        "between": words.apart,
        "chance": words.chance,
        "valued": words.valued,
        "estimate": words.estimate,
        "points_of": words.points,
        "gap": _gap,
    }
    return made


def _settings(audit: GroupAudit) -> dict[str, str]:
    return {
        "comparisons": f"{audit.tests:,}",
        "false findings": f"any in at most {audit.alpha:.3g} of reports without a difference",
        "correction": CORRECTIONS.get(audit.correction, audit.correction),
        "smallest finding": words.points(audit.least_gap),
        **({"smallest tie": f"npmi {audit.least_npmi:.3g}"} if audit.of("SL404") else {}),
        "smallest group": f"{audit.min_cell:,} pictures",
        "attributes crossed": f"up to {audit.depth}",
        "seed": str(audit.seed),
    }


def render(shown: View) -> str:
    """The whole page. The same view gives the same text."""
    audit = shown.audit
    sections = [
        ("five", "In five sentences"),
        ("worst", "Who fares worst"),
        ("first", "What to do"),
        ("groups", "Who was compared"),
        *((one.anchor, one.title) for one in SECTIONS),
        ("changed", "What changed"),
        ("card", "Data card"),
        ("method", "How it was measured"),
    ]
    return (
        _environment()
        .get_template("bias.html")
        .render(
            v=shown,
            facts=shown.facts,
            audit=audit,
            sections=sections,
            measures=sum(bool(one.groups) for one in audit.measures),
            correction=CORRECTIONS.get(audit.correction, audit.correction),
            settings=_settings(audit),
            most_lines=MOST_LINES,
            most_values=MOST_VALUES,
        )
    )
