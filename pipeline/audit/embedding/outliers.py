"""SL308: pictures that are like no class of the dataset, by how far they lie from a sample of each.

A picture is compared with at most SAMPLED pictures of each class (and of those without a label), drawn by the hash of
their bytes: so one picture's judgment needs nothing but the picture and the sample, however large the dataset is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from secondlook.pipeline.audit.embedding.neighbors import directions
from secondlook.pipeline.core.rules import Finding

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

SAMPLED = 5000  # pictures that others are compared with, over all classes, where classes are few
LEAST_SAMPLED = 20  # of a class, where they are many
MOST_CLASSES = 1000  # more than that are compared as one
DIMENSIONS = 128
# A group of odd pictures that are like one another must not pass as a kind of picture: so a picture is as near to a class
# as to its k-th nearest there, where k is this share of the sample of the class, and at least LEAST_NEAR.
NEAR_SHARE = 0.05
LEAST_NEAR = 5
SHRINK = 20  # the looseness of all classes counts as much as this many pictures of each
GRID = 4000.0  # see `Space.place`
BLOCK_CELLS = 2**23  # similarities that are held at once: 32 MB


def sample_size(classes: int) -> int:
    """How many pictures of each class to compare with; pictures without a label are one more class."""
    return max(SAMPLED // classes, LEAST_SAMPLED) if classes <= MOST_CLASSES else max(2 * SAMPLED // classes, 1)


@dataclass(frozen=True)
class Space:
    """`basis` (D, d): the directions along which a sample of the dataset reaches farthest, not centered."""

    basis: Reals

    def place(self, vectors: npt.NDArray[np.floating]) -> tuple[Singles, npt.NDArray[np.bool_]]:
        """Where vectors (n, D) point, (n, d), and (n,) whether they point anywhere.

        On a grid of whole numbers, no longer than GRID: their dot products stay below 2^24, so that float32 holds them
        and every part of their sum exactly, and similarities don't depend on how rows are cut into blocks.
        """
        unit, usable = directions(vectors)
        return np.rint((unit.astype(np.float64) @ self.basis) * GRID).astype(np.float32), usable


@dataclass(frozen=True)
class Reference:
    """What pictures are compared with: `names` of K classes (None: no label), the `places` (R, d) of each.

    `members`: class and place of each content that is part of it.
    `near` (K,) is the k of each class, `usual` (K,) the distance from which its own pictures usually lie, `threshold` the
    multiple of it above which a picture is unlike the rest.
    """

    space: Space
    names: tuple[str | None, ...]
    places: tuple[Singles, ...]
    members: Mapping[str, tuple[int, int]]
    near: Ints
    usual: Reals
    threshold: float


def fit(
    contents: Sequence[str], vectors: npt.NDArray[np.floating], labels: Sequence[str | None], tail: float
) -> Reference | None:
    """A reference from a sample: ids, vectors (R, D) and labels of contents. None where too few of it can be compared.

    `tail`: pictures count as unlike the rest where the logarithm of their distance, in multiples of what is usual in the
    nearest class, is this many deviations above the median of the sample. The deviation is that of the upper half's middle
    (the upper quartile less the median, over 0.6745), so that the odd ones among the sample don't raise it.
    """
    unit, usable = directions(vectors)
    rows = np.flatnonzero(usable)
    if len(rows) < 2 * LEAST_SAMPLED:
        return None
    moments = unit[rows].T.astype(np.float64) @ unit[rows].astype(np.float64)
    last = len(moments) - 1
    _, basis = eigh(moments, subset_by_index=(max(last - DIMENSIONS + 1, 0), last), driver="evx")
    space = Space(np.ascontiguousarray(basis))
    places, _ = space.place(vectors)
    groups: dict[str | None, list[int]] = {}
    for row in rows.tolist():
        groups.setdefault(labels[row], []).append(row)
    names = sorted(groups, key=lambda name: (name is None, name or ""))
    parts = tuple(places[groups[name]] for name in names)
    members = {contents[row]: (k, place) for k, name in enumerate(names) for place, row in enumerate(groups[name])}
    near = np.array([_near(len(part)) for part in parts])
    own = [_kth(part, part, int(k), np.arange(len(part))) for part, k in zip(parts, near, strict=True)]
    reference = Reference(space, tuple(names), parts, members, near, _usual(own), np.inf)
    distance = compare(reference, np.concatenate(parts), np.array([*members.values()], np.int64)).distance
    logs = np.log(np.maximum(distance[np.isfinite(distance)], 1e-9))
    middle, upper = np.quantile(logs, (0.5, 0.75))
    return replace(reference, threshold=float(np.exp(middle + tail * (upper - middle) / 0.6745)))


def _near(n: int) -> int:
    return max(1, min(max(LEAST_NEAR, int(np.ceil(NEAR_SHARE * n))), (n - 1) // 2))


def _usual(own: Sequence[Reals]) -> Reals:
    """Median distance of each class's pictures from their own class, drawn towards that of all where they are few."""
    known = [distance[np.isfinite(distance)] for distance in own]
    overall = max(float(np.median(np.concatenate(known))), 1e-6)
    weight = np.array([len(part) / (len(part) + SHRINK) for part in known])
    middle = np.array([max(float(np.median(part)), 1e-6) if len(part) else overall for part in known])
    return np.asarray(np.exp(weight * np.log(middle) + (1 - weight) * np.log(overall)), np.float64)


@dataclass(frozen=True)
class Compared:
    """For n pictures: `nearest` (n,) their nearest class by number, `distance` (n,) in multiples of what is usual there."""

    nearest: Ints
    distance: Reals


def compare(reference: Reference, places: Singles, member: Ints) -> Compared:
    """How far pictures at `places` (n, d) lie from the nearest class.

    `member`: (n, 2) class and place in the reference of those pictures that are part of it, -1 for others: nobody is their
    own neighbor.
    """
    n = len(places)
    nearest, distance = np.zeros(n, np.int64), np.full(n, np.inf)
    for k, part in enumerate(reference.places):
        place = np.where(member[:, 0] == k, member[:, 1], -1)
        multiple = _kth(places, part, int(reference.near[k]), place) / reference.usual[k]
        closer = multiple < distance
        nearest[closer], distance[closer] = k, multiple[closer]
    return Compared(nearest, distance)


def _kth(places: Singles, part: Singles, k: int, own: Ints) -> Reals:
    """1 - cosine of each of n places with its k-th nearest of `part` (R, d); `own` (n,) is the place to leave out, or -1.

    Infinite for a picture that has no other to be compared with.
    """
    n, size = len(places), len(part)
    found = np.full(n, np.inf)
    step = max(1, BLOCK_CELLS // max(size, 1))
    for start in range(0, n, step):
        similar = places[start : start + step] @ part.T
        left_out = own[start : start + step]
        rows = np.flatnonzero(left_out >= 0)
        similar[rows, left_out[rows]] = -np.inf
        kth = np.partition(similar, size - k, axis=1)[:, size - k]
        found[start : start + step] = np.where(np.isfinite(kth), 1 - kth.astype(np.float64) / GRID**2, np.inf)
    return np.asarray(np.maximum(found, 0.0), np.float64)


@dataclass(frozen=True)
class Placed:
    """n samples beside the ids and vectors (n, D) of their contents."""

    sample_id: Sequence[str]
    key: Sequence[str]
    split: Sequence[str]
    content: Sequence[str]
    vectors: npt.NDArray[np.floating[Any]]


def unlike_the_rest(placed: Placed, reference: Reference) -> Iterator[Finding]:
    """SL308, in the order of the samples."""
    if not placed.sample_id:
        return
    places, usable = reference.space.place(placed.vectors)
    member = np.array([reference.members.get(content, (-1, -1)) for content in placed.content], np.int64).reshape(-1, 2)
    found = compare(reference, places, member)
    far = usable & np.isfinite(found.distance) & (found.distance > reference.threshold)
    for row in np.flatnonzero(far).tolist():
        distance, name = float(found.distance[row]), reference.names[found.nearest[row]]
        rest = f"its nearest class, {name}," if name is not None else "the pictures without a label"
        message = f"unlike the rest: {distance:.2f} times as far from {rest} as is usual there"
        evidence = {"distance": round(distance, 4), "threshold": round(reference.threshold, 4), "nearest": name}
        score = round(1 - reference.threshold / distance, 6)
        yield Finding(
            "SL308", "sample", placed.sample_id[row], placed.key[row], score, message, placed.split[row], evidence
        )
