"""Facts → one self-contained HTML page. No lake and no network: what is shown is what the facts hold.

Every text is escaped (autoescape; a name that is not there is an error, not an empty string), nothing is loaded from
anywhere, and the page's content security policy would refuse it if it were. There is no script.
"""

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

import jinja2

from secondlook.pipeline.core.statistics import Share
from secondlook.pipeline.report import advice, charts
from secondlook.pipeline.report.facts import ClassCount, Estimated, Facts

BARS = 30  # classes that are drawn; all others are in the full table
TABLE_ROWS = 2000  # beyond this a table of classes is no longer for reading, and would make the page megabytes larger
LONGEST = 160  # characters of a text from data before it is cut; names of files keep their end
# Control characters, and those that turn the writing around: with one a class may pose as another.
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|[\ud800-\udfff]")


def number(value: float) -> str:
    """A count with separators: 50,000."""
    return f"{value:,}"


def percent(value: float, digits: int | None = None) -> str:
    """A share of 0 to 1 in percent, with `digits` after the point or as many as help: 4.2 %, 38 %, < 0.1 %.

    >>> percent(0.0421), percent(0.38), percent(0.0003), percent(0), percent(0.9996), percent(float("nan"))
    ('4.2 %', '38 %', '< 0.1 %', '0 %', '> 99.9 %', '–')
    """
    if math.isnan(value):
        return "–"
    if value in {0, 1}:
        return f"{value * 100:.0f} %"
    if value < 0.001:
        return "< 0.1 %"
    if value > 0.999:
        return "> 99.9 %"
    if digits is None:
        digits = 1 if value < 0.1 or value > 0.9 else 0
    return f"{value * 100:.{digits}f} %"


def reach(share: Share | Estimated) -> str:
    """The interval of a share: `9.8–15.1 %`."""
    return f"{share.interval.low * 100:.1f}–{share.interval.high * 100:.1f} %"


def interval(share: Share | Estimated) -> str:
    """The interval of a share and its n: `9.8–15.1 %, n = 612`."""
    return f"{reach(share)}, n = {share.n:,}"


def clean(text: object, longest: int = LONGEST) -> str:
    """A text from data as a page may show it: control characters visible, cut at `longest` with the end kept.

    >>> clean("a" * 9, 5), clean("a\\x00b"), clean("\\u202egnp")
    ('aa…aa', 'a\N{REPLACEMENT CHARACTER}b', '\N{REPLACEMENT CHARACTER}gnp')
    """
    shown = UNSEEN.sub("\N{REPLACEMENT CHARACTER}", str(text))
    if len(shown) <= longest:
        return shown
    head = longest // 2
    return shown[:head] + "…" + shown[head - longest + 1 :]


def brief(value: float) -> str:
    """A figure with three digits that count: 0.0421, 12.3, 1,234."""
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


@functools.cache
def environment() -> jinja2.Environment:
    """Templates with what they may call: every text is escaped, and a name that is not there is an error."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader(room, "templates")
                for room in (
                    "secondlook.pipeline.report",
                    "secondlook.pipeline.report.bias",
                    "secondlook.pipeline.report.frontier",
                )
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "interval": interval,
        "reach": reach,
        "clean": clean,
        "brief": brief,
        "many": advice.many,
        "sentence": lambda text: text[:1].upper() + text[1:],
    }
    environment.globals |= {
        "bar": charts.bar,
        "whisker": charts.whisker,
        "histogram": charts.histogram,
        "timeline": charts.timeline,
        "heatmap": charts.heatmap,
    }
    return environment


def _drawn(classes: tuple[ClassCount, ...]) -> tuple[ClassCount, ...]:
    """The classes that get a bar: all in their order, or where there are too many the most frequent ones."""
    if len(classes) <= BARS:
        return classes
    return tuple(sorted(classes, key=lambda one: (-one.count, one.name))[:BARS])


def _context(facts: Facts) -> Mapping[str, Any]:
    model = facts.model
    confusion = model.confusion if model is not None else None
    return {
        "facts": facts,
        "headline": advice.headline(facts),
        "steps": advice.steps(facts),
        "drawn": _drawn(facts.classes),
        "listed": facts.classes[:TABLE_ROWS],
        "most_count": max((one.count for one in facts.classes), default=0),
        "has_matrix": confusion is not None and 1 < len(confusion.classes) <= charts.MATRIX_CLASSES,
        "timeline_counts": [
            (str(version.id), sum(version.events.values()), any(s != "ingest" for s in version.events))
            for version in facts.history.versions
        ],
    }


def render(facts: Facts) -> str:
    """The whole page. The same facts give the same text."""
    return environment().get_template("page.html").render(_context(facts))
