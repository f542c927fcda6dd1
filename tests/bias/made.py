"""Made counts: pictures with attributes and outcomes, and the same as rows, for slow definitions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.groups import Group

Ints = npt.NDArray[np.int64]
HIT = np.array([False, True])


@dataclass(frozen=True)
class Pictures:
    """N pictures: places of their values (N, A), outcomes (N,), and of which cluster of copies each is (N,)."""

    grouping: Grouping
    places: Ints
    outcome: Ints
    cluster: Ints

    @property
    def counts(self) -> Counts:
        codes, cell = np.unique(self.grouping.join(self.places), return_inverse=True)
        n = np.zeros((len(codes), 2), np.int64)
        np.add.at(n, (cell, self.outcome), 1)
        _, which, size = np.unique(self.cluster, return_inverse=True, return_counts=True)
        many = size[which] > 1
        copies = Copies(self.cluster[many], cell[many], self.outcome[many]) if many.any() else None
        return Counts(self.grouping, self.grouping.split(codes), ("no", "yes"), n, copies)

    def of(self, group: Group) -> npt.NDArray[np.bool_]:
        """Which pictures are of a group."""
        inside = np.ones(len(self.places), bool)
        for attribute, value in group.values:
            at = self.grouping.attributes.index(attribute)
            inside &= self.places[:, at] == self.grouping.values[at].index(value)
        return inside


def pictures(
    rng: np.random.Generator,
    n: int,
    shares: Sequence[Sequence[float]] = ((0.6, 0.4), (0.5, 0.25, 0.15, 0.1)),
    share: float = 0.2,
    *,
    cluster: Sequence[int] = (),
) -> Pictures:
    """n pictures with independent attributes, whose values have these shares, and hits that have nothing to do with them.

    cluster: sizes of clusters of copies, which are alike in all; the other pictures are single.
    """
    names = tuple("abcdef"[: len(shares)])
    grouping = Grouping(
        names,
        tuple(tuple(f"{name}{at}" for at in range(len(its))) for name, its in zip(names, shares, strict=True)),
        {},
    )
    which = np.concatenate(
        [np.repeat(np.arange(len(cluster)), cluster), np.arange(len(cluster), len(cluster) + n - sum(cluster))]
    ).astype(np.int64)
    units = int(which.max()) + 1 if n else 0
    places = np.stack([rng.choice(len(its), units, p=np.array(its) / sum(its)) for its in shares], axis=1)
    outcome = (rng.random(units) < share).astype(np.int64)
    return Pictures(grouping, places[which].astype(np.int64), outcome[which], which)


def bootstrap(counts: Counts, rng: np.random.Generator, times: int) -> Iterator[Ints]:
    """So many bootstrap samples (C, M) of the counts: single pictures one by one, copies with all of their group."""
    singles = counts.n.astype(np.int64)
    rows = counts.copies
    if rows is not None:
        singles = singles.copy()
        np.subtract.at(singles, (rows.cell, rows.outcome), 1)
        _, cluster = np.unique(rows.cluster, return_inverse=True)
    alone = int(singles.sum())
    units = alone + (int(cluster.max()) + 1 if rows is not None and len(cluster) else 0)
    share = singles.reshape(-1) / max(alone, 1)
    for _ in range(times):
        of_copies = rng.binomial(units, 1 - alone / units) if units else 0
        drawn = rng.multinomial(units - of_copies, share).reshape(singles.shape).astype(np.int64)
        if rows is not None and of_copies:
            times_each = np.bincount(rng.integers(0, units - alone, of_copies), minlength=units - alone)
            np.add.at(drawn, (rows.cell, rows.outcome), times_each[cluster])
        yield drawn
