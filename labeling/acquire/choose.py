"""What people should look at next, as one batch: a random share, and what is worth most, spread and balanced.

The random share is drawn first, from everything, so that each candidate has the same chance: it keeps later estimates honest,
since what is only doubted says nothing of the rest. The remainder goes to the best by value, see `spread` and `balance`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.labeling.acquire.balance import Groups, floors
from secondlook.labeling.acquire.budget import Limit
from secondlook.labeling.acquire.spread import LEAST_PROBE, PROBE, Singles, Spread, reach

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

SMALL = 5  # pictures from which on a batch has one by chance at least: of fewer it would be too large a part
SHORT = 10  # candidates that are compared with each other at first, for each picture of the batch
LEAST = 200  # pictures that the short list is long enough for, at least
MOST_SHORT = 400_000  # candidates that are compared: 200 MB of places


class Rules(NamedTuple):
    """How a batch is made: shares of 0 to 1, see the settings of [review]."""

    random_share: float = 0.05
    floor: float = 0.8
    spread: float = 0.9


class Chosen(NamedTuple):
    """Rows of the candidates. `best`: by value, in the order they were taken; `random`: by chance; `plain`: as `best` without balance."""

    best: Rows
    random: Rows
    plain: Rows


def pictures(limit: Limit, seconds: npt.ArrayLike) -> int:
    """About how many pictures a batch has, where one takes `seconds` (N,)."""
    if limit.pictures is not None:
        return limit.pictures
    each = np.asarray(seconds, np.float64)
    return int((limit.seconds or 0.0) / each.mean()) if len(each) else 0


def choose(
    value: npt.ArrayLike,
    seconds: npt.ArrayLike,
    limit: Limit,
    rules: Rules,
    rng: np.random.Generator,
    *,
    drawable: npt.NDArray[np.bool_] | None = None,
    groups: Groups | None = None,
    vectors: Callable[[Rows], Singles | None] | None = None,
) -> Chosen:
    """A batch of N candidates that fits the limit.

    value: (N,) what a look is worth, 0 for what is not to be asked for but by chance; seconds: (N,) what it takes. drawable:
    (N,) what the random share is drawn from; None: everything. `vectors` gives the embeddings (n, d) of some rows, nan where there is
    none; it is asked once, for the short list and a random probe. Equal values are taken in random order. The same arguments
    give the same batch.
    """
    worth, cost = np.asarray(value, np.float64), np.asarray(seconds, np.float64)
    counted = limit.pictures is not None
    cost = np.ones(len(worth)) if counted else cost
    room = float(limit.pictures or 0) if counted else float(limit.seconds or 0.0)
    n = min(pictures(limit, cost), len(worth))
    drawn_from = np.arange(len(worth)) if drawable is None else np.flatnonzero(drawable)
    least = int(rules.random_share > 0 and n >= SMALL)  # rounding would leave none of the share in a small batch
    size = min(max(round(n * rules.random_share), least), len(drawn_from))
    by_chance = np.sort(rng.choice(drawn_from, size, replace=False)).astype(np.int64)
    room = max(room - float(cost[by_chance].sum()), 0.0)
    worth = worth.copy()
    worth[by_chance] = 0.0
    cells = groups.cells if groups is not None else np.zeros(len(worth), np.int64)
    left = n - len(by_chance)
    near = _Near(len(worth), left, vectors if rules.spread > 0 else None, rng)
    fair = groups if rules.floor else None
    times = SHORT
    while True:
        short, outside = shortlist(worth, min(times * max(left, LEAST), MOST_SHORT), cells, rng)
        places, reach = near.of(short)
        plain, best = (Spread(worth[short], places, strength=rules.spread, reach=reach, cost=cost[short]) for _ in "ab")
        plain.take(room)
        best.take(_fill_floors(best, short, fair, cells, left, rules.floor, room) if fair is not None else room)
        # Gains only fall: where the last one is above all that was left aside, nothing better was.
        if min(plain.least, best.least) >= outside or len(short) >= MOST_SHORT:
            return Chosen(short[best.chosen], by_chance, short[plain.chosen])
        times *= 4


def shortlist(value: Floats, most: int, cells: Rows, rng: np.random.Generator) -> tuple[Rows, float]:
    """About `most` rows that a batch is chosen from, in random order: the best of all and of each cell; and the best value left aside."""
    shuffled = rng.permutation(len(value))
    order = shuffled[np.argsort(-value[shuffled], kind="stable")]
    order = order[value[order] > 0]
    share = np.bincount(cells) / max(len(cells), 1)
    of_cell = cells[order]
    by_cell = np.argsort(of_cell, kind="stable")
    rank = np.empty(len(order), np.int64)
    starts = np.searchsorted(of_cell[by_cell], np.arange(len(share)))
    rank[by_cell] = np.arange(len(order)) - starts[of_cell[by_cell]]
    kept = (np.arange(len(order)) < most) | (rank < np.ceil(most * share[of_cell]))
    outside = float(value[order[~kept]].max(initial=0.0))
    return np.asarray(rng.permutation(order[kept]), np.int64), outside


class _Near:
    """Places of candidates, read when they are first needed, and the distance that counts as near: of a random probe of all."""

    def __init__(
        self, total: int, n: int, vectors: Callable[[Rows], Singles | None] | None, rng: np.random.Generator
    ) -> None:
        self._probe = np.sort(rng.choice(total, min(max(n, LEAST_PROBE), PROBE, total), replace=False)).astype(np.int64)
        self._vectors = vectors
        self._rows: Rows = np.zeros(0, np.int64)
        self._places: Singles | None = None

    def of(self, rows: Rows) -> tuple[Singles | None, float]:
        """(n, d) places, None where nothing is known; and what is near."""
        wanted = np.setdiff1d(np.union1d(rows, self._probe), self._rows)
        found = self._vectors(wanted) if self._vectors is not None and len(rows) and len(wanted) else None
        if found is not None:
            known = np.concatenate([self._rows, wanted]) if self._places is not None else wanted
            places = found if self._places is None else np.concatenate([self._places, found])
            order = np.argsort(known)
            self._rows, self._places = known[order], places[order]
        if self._places is None:
            return None, 0.0
        probe = self._places[np.searchsorted(self._rows, self._probe)]
        return self._places[np.searchsorted(self._rows, rows)], reach(probe[~np.isnan(probe).any(axis=1)])


def _fill_floors(spread: Spread, short: Rows, groups: Groups, cells: Rows, n: int, floor: float, room: float) -> float:
    """The best of each cell up to its floor, the rarest first, then of each group of each attribute; returns the room left.

    Floors of the cells, the combinations of groups, are rounded down; those of the groups then make up for it.
    """
    for codes in (cells, *groups.codes.T):
        least = floors(codes, n, floor)
        mine = codes[short]
        for code in np.argsort(np.bincount(codes, minlength=len(least)), kind="stable").tolist():
            missing = int(least[code]) - int((mine[spread.chosen] == code).sum())
            if missing > 0:
                taken = spread.take(room, np.flatnonzero(mine == code), most=missing)
                room -= float(spread.cost[taken].sum())
    return room


def arrange(groups: Sequence[str], rng: np.random.Generator) -> list[int]:
    """The order in which people see a batch: like beside like, groups and what is in them in random order.

    So neither the place of a picture nor that of its group tells why it is asked for, and what was answered when people stop
    early is a fair part of the batch.
    """
    names = sorted({*groups})
    places = {names[n]: place for place, n in enumerate(rng.permutation(len(names)).tolist())}
    chance = rng.permutation(len(groups)).tolist()
    return sorted(range(len(groups)), key=lambda n: (places[groups[n]], chance[n]))
