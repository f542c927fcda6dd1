"""Small charts as inline SVG, drawn in percent of their box: they fit a phone and a desk without scaling their lines.

Every chart stands beside the same figures as text, so it is hidden from screen readers, except where it says more.
Colours are classes of the page's style sheet: `ink`, `accent`, `faint`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from secondlook.pipeline.core.statistics import Share
from secondlook.pipeline.report.facts import Confusion, Estimated, Histogram

MATRIX_CLASSES = 30  # beyond this a matrix can't be read, and the page lists the top confusions alone
SAME = 0.12  # opacity where all agree
DEEPEST = 0.55  # opacity of the darkest cell: text on it still has a contrast of 4.5


def svg(height_px: int, body: Markup, kind: str, label: str = "") -> Markup:
    """A chart of all the width there is; without a label it is hidden from screen readers."""
    spoken = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="{}" width="100%" height="{}" {}>{}</svg>').format(kind, height_px, spoken, body)


def rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A rectangle; all in percent of the chart."""
    return Markup('<rect class="{}" x="{:.2f}%" y="{:.2f}%" width="{:.2f}%" height="{:.2f}%"/>').format(
        kind, x, y, width, height
    )


def bar(value: float, most: float, part: float = 0.0) -> Markup:
    """A horizontal bar of `value` on a scale that ends at `most`; the first `part` of it in the accent colour."""
    scale = 100.0 / most if most > 0 else 0.0
    body = rect(0, 0, value * scale, 100, "ink")
    if part > 0:
        body += rect(0, 0, max(part * scale, 0.6), 100, "accent")
    return svg(10, body, "bar")


def whisker(share: Share | Estimated, most: float) -> Markup:
    """A share as a dot with its interval as a line, on a scale from 0 to `most`."""
    if not share.n:
        return svg(14, Markup(""), "whisker")
    scale = 100.0 / most if most > 0 else 0.0
    low, high, at = (min(value * scale, 100.0) for value in (share.interval.low, share.interval.high, share.value))
    body = rect(0, 50, 100, 0, "axis") + rect(low, 43, max(high - low, 0.4), 14, "reach")
    body += Markup('<circle class="accent" cx="{:.2f}%" cy="50%" r="4"/>').format(min(max(at, 1.0), 99.0))
    return svg(14, body, "whisker")


def histogram(spread: Histogram) -> Markup:
    """Columns of equal width; a column that holds a single picture can still be seen."""
    width, most = 100.0 / max(len(spread.counts), 1), max([*spread.counts, 1])
    body = Markup("")
    for place, count in enumerate(spread.counts):
        height = max(100.0 * count / most, 1.5) if count else 0.0
        body += rect(place * width + width * 0.06, 100 - height, width * 0.88, height, "ink")
    label = f"{spread.name} of {sum(spread.counts):,} pictures, from {spread.edges[0]:.3g} to {spread.edges[-1]:.3g}"
    return svg(90, body, "histogram", label)


def timeline(counts: Sequence[tuple[str, int, bool]]) -> Markup:
    """A column for each version, as high as the root of its label events: (name, events, by people) from the oldest."""
    if not counts:
        return Markup("")
    width, most = 100.0 / len(counts), max(1.0, *(events**0.5 for _, events, _ in counts))
    body = rect(0, 100, 100, 0, "axis")
    for place, (_, events, people) in enumerate(counts):
        height = max(96.0 * events**0.5 / most, 4.0) if events else 1.5
        kind = "accent" if people and events else "ink" if events else "faint"
        drawn = min(width * 0.8, 1.6)
        at = place * (100.0 - drawn) / max(len(counts) - 1, 1)
        body += rect(at, 100 - height, drawn, height, kind)
    people_events = sum(events for _, events, people in counts if people)
    label = f"Label events of {len(counts)} versions; {people_events:,} of them are decisions of people"
    return svg(56, body, "timeline", label)


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: its count, how strongly it is tinted (opacity), and whether it is agreement."""

    count: int
    tint: float
    agrees: bool


def heatmap(confusion: Confusion) -> list[tuple[str, int, list[Cell]]]:
    """Rows of the confusion matrix: the given class, its total, its cells.

    Agreement is tinted by its share of the row; disagreement by the root of its share, on a scale that ends at the
    largest one: the errors are what is looked for, and they are few.
    """
    counts = confusion.matrix()
    totals = counts.sum(axis=1)
    shares = counts / totals.clip(min=1)[:, None]
    wrong = shares.copy()
    for same in range(len(totals)):
        wrong[same, same] = 0.0
    most = float(wrong.max(initial=0.0)) or 1.0
    rows = []
    for given, name in enumerate(confusion.classes):
        cells = [
            Cell(
                int(count),
                float(shares[given, predicted]) * SAME
                if given == predicted
                else DEEPEST * float(wrong[given, predicted] / most) ** 0.5,
                given == predicted,
            )
            for predicted, count in enumerate(counts[given])
        ]
        rows.append((name, int(totals[given]), cells))
    return rows
