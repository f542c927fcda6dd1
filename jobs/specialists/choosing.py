"""Which specialists are kept, by pictures that neither the generalist's fold nets nor theirs have learned from.

The held-out pictures of some folds are cut into halves. The first half chooses; what the second half says of those kept took no
part in that choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.specialists.lessons import Lessons
from secondlook.pipeline.core.seeds import generator

if TYPE_CHECKING:
    from secondlook.pipeline.learn.specialists.choice import Tried

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Asked:
    """What a generalist's net and M specialists that began as it said of n pictures, `rows` (n,) with `labels` (n,): `p_g` (n, K),
    `said`: each (n, C_m + 1), for its `members` (C_m,) and the dustbin."""

    rows: Ints
    labels: Ints
    p_g: Reals
    said: tuple[Reals, ...]
    members: tuple[Ints, ...]
    n_active: int

    def together(self, kept: Sequence[int]) -> Reals:
        """(n, K) probabilities with these of the specialists."""
        import torch

        from secondlook.pipeline.learn.specialists.combine import active, combined

        if not len(kept) or not len(self.rows):
            return self.p_g
        p_g = torch.from_numpy(self.p_g)
        members = [torch.from_numpy(self.members[number]) for number in kept]
        said = [torch.from_numpy(self.said[number]) for number in kept]
        return np.asarray(combined(p_g, said, members, active(p_g, members, self.n_active)).probs.numpy(), np.float32)

    def at(self, chosen: Flags) -> "Asked":
        """Of some of the pictures (n,)."""
        said = tuple(one[chosen] for one in self.said)
        return Asked(self.rows[chosen], self.labels[chosen], self.p_g[chosen], said, self.members, self.n_active)

    def with_said(self, said: Sequence[Reals], members: Sequence[Ints]) -> "Asked":
        """And what further specialists said of the same pictures."""
        return Asked(self.rows, self.labels, self.p_g, (*self.said, *said), (*self.members, *members), self.n_active)


def halves(asked: Asked, lessons: Lessons) -> tuple[Asked, Asked]:
    """Of all that was asked the half that chooses, and the other."""
    first = lessons.first[asked.rows]
    return asked.at(first), asked.at(~first)


def chosen(half: Asked, confidence: float) -> "list[Tried]":
    """Each specialist, in the order in which it was tried, by the half that chooses."""
    from secondlook.pipeline.learn.specialists import choice

    return choice.chosen(half.labels, lambda kept: half.together(kept).argmax(axis=1), len(half.members), confidence)


def figures(before: Reals, after: Reals, labels: Ints, members: Sequence[Ints], seed: int) -> dict[str, Any]:
    """What specialists bring on n pictures that took no part in their choice: accuracy, conditional accuracy, gain by cover.

    `before`, `after` (n, K): probabilities of the generalist, and with its specialists for `members`; labels (n,), -1 for a class
    that the generalist does not know: it counts as wrong.
    """
    from secondlook.pipeline.learn.specialists import choice

    rng = generator(seed, "gain of specialists")
    was, now = before.argmax(axis=1) == labels, after.argmax(axis=1) == labels
    in_cluster = [choice.conditional(probs, labels, members)[0] for probs in (before, after)]
    known = labels >= 0
    return {
        "gain": gain_of(was, now, rng),
        "conditional": gain_of(in_cluster[0], in_cluster[1], rng),
        "by_cover": [
            {
                "specialists": one.specialists,
                "n": one.n,
                "right_before": one.right_before,
                "right_after": one.right_after,
                "relative": _rounded(one.relative),
            }
            for one in choice.by_cover(labels[known], was[known], now[known], members)
        ],
    }


def gain_of(before: Flags, after: Flags, rng: np.random.Generator) -> dict[str, Any]:
    """Right answers (n,) before and after, as accuracy, difference in pictures and relative gain with its interval."""
    from secondlook.pipeline.learn.specialists import choice

    found = choice.gain(before, after, rng)
    return {
        "n": found.n,
        "before": _rounded(found.before) if found.n else None,
        "after": _rounded(found.after) if found.n else None,
        "righted": int((after & ~before).sum()),
        "wronged": int((before & ~after).sum()),
        "relative": _rounded(found.relative),
        "interval": [_rounded(found.low), _rounded(found.high)],
    }


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
