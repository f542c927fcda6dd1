"""Clusters of confused classes → one self-contained page: the confusion matrix in cluster order, and what each cluster holds."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from secondlook.pipeline.core.clusters import Cluster
from secondlook.pipeline.report.charts import svg
from secondlook.pipeline.report.page import environment

Ints = npt.NDArray[np.int64]

CELLS = 400  # cells along a side; where there are more classes, a cell is of several
NAMED = 120  # classes up to which rows bear their names
NAMED_ABOVE = 40  # … and columns
NUMBERED = 3.0  # percent of the side, from which a cluster bears its number in the picture
FRAMED = 0.8  # … and has a frame
LISTED = 100  # clusters that are listed
MEMBERS = 400  # classes of a cluster that are listed


@dataclass(frozen=True)
class ClusterFacts:
    """`summary`: what the verb printed. `clusters`: in their order. `given`, `named`, `counts` (E,): how many pictures of a class
    (its place in `classes`) the model takes for another; `pictures` (K,): of each class."""

    summary: Mapping[str, Any]
    clusters: Sequence[Cluster]
    classes: Sequence[str]
    given: Ints
    named: Ints
    counts: Ints
    pictures: Ints


@dataclass(frozen=True)
class Block:
    """A cluster on the diagonal: its number, and where it begins and how long it is, in percent of the side."""

    number: int
    start: float
    length: float

    @property
    def numbered(self) -> bool:
        """Whether there is room for the number."""
        return self.length >= NUMBERED


def render(facts: ClusterFacts) -> str:
    """The whole page; the same facts give the same text."""
    order, blocks = in_order(facts)
    cells, each = matrix(facts, order)
    labels = [facts.classes[one] for one in order]
    return (
        environment()
        .get_template("clusters.html")
        .render(
            facts=facts,
            its=facts.summary,
            picture=drawn(cells),
            deepest=float(cells.max(initial=0.0)),
            each=each,
            blocks=[one for one in blocks if one.length >= FRAMED],
            unframed=any(one.length < FRAMED for one in blocks),
            rows=labels if len(labels) <= NAMED else [],
            columns=labels if len(labels) <= NAMED_ABOVE else [],
            listed=facts.clusters[:LISTED],
            members=MEMBERS,
            curve=curve(facts.summary["chosen"]["tried"], facts.summary["n"]),
        )
    )


def in_order(facts: ClusterFacts) -> tuple[list[int], list[Block]]:
    """The classes as rows and columns: cluster by cluster, a class with the first of its clusters, then those in none."""
    place = {name: number for number, name in enumerate(facts.classes)}
    order: list[int] = []
    blocks: list[Block] = []
    seen: set[str] = set()
    k = max(1, len(facts.classes))
    for number, cluster in enumerate(facts.clusters, 1):
        new = [place[name] for name in cluster.classes if name in place and name not in seen]
        seen.update(cluster.classes)
        if cluster.level == 0 and new:
            blocks.append(Block(number, 100 * len(order) / k, 100 * len(new) / k))
        order += new
    rest = [number for number, name in enumerate(facts.classes) if name not in seen]
    return order + rest, blocks


def matrix(facts: ClusterFacts, order: Sequence[int]) -> tuple[npt.NDArray[np.float64], int]:
    """(cells, cells) share of a row's pictures that are taken for what is in the column; and how many classes a cell is of."""
    k = len(order)
    each = max(1, -(-k // CELLS))
    side = -(-k // each)
    place = np.empty(k, np.int64)
    place[np.array(order, np.int64)] = np.arange(k) // each
    cells = np.bincount(place[facts.given] * side + place[facts.named], facts.counts, side * side).reshape(side, side)
    rows = np.bincount(place, facts.pictures, side)
    return cells / np.maximum(rows, 1.0)[:, None], each


def drawn(cells: npt.NDArray[np.float64]) -> str:
    """The cells as a PNG in a data URI: the accent's colour, the deeper the larger (by the root: mistakes are few)."""
    tint = np.sqrt(cells / (cells.max(initial=0.0) or 1.0))
    pixels = np.empty((*cells.shape, 4), np.uint8)
    pixels[..., :3] = (200, 64, 31)
    pixels[..., 3] = np.ceil(255 * tint)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def curve(tried: Sequence[Sequence[float]], chosen: int) -> Markup:
    """What each number of clusters holds beyond chance, on a logarithmic axis; nothing where one number was not chosen of many."""
    if len(tried) < 3:
        return Markup("")
    numbers, values = np.array(tried, np.float64).T
    across = 2 + 96 * np.log(numbers) / max(float(np.log(numbers[-1])), 1e-9)
    height = 96 - 88 * np.maximum(values, 0) / max(float(values.max()), 1e-9)
    body = Markup('<line class="axis" x1="0" x2="100%" y1="98%" y2="98%"/>')
    for x, y, number in zip(across, height, numbers, strict=True):
        kind, size = ("accent", 5) if y == height.min() else ("ink", 3)
        body += Markup('<circle class="{}" cx="{:.2f}%" cy="{:.2f}%" r="{}"><title>{}</title></circle>').format(
            kind, x, y, size, int(number)
        )
    best = int(numbers[int(values.argmax())])
    return svg(
        110, body, "curve", f"Of {len(tried)} numbers of clusters, {best} hold most beyond chance ({chosen} were found)"
    )
