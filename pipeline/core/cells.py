"""Which groups may be shown: those with few pictures are kept back, and so is what would give them away."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cells:
    """Groups of one attribute as they may be shown: `shown` by name, and of the others only how many there are.

    `pictures`: those of the `hidden` groups together, 0 where none is hidden.
    """

    shown: Mapping[str, int]
    hidden: int = 0
    pictures: int = 0

    @property
    def total(self) -> int:
        """All pictures, shown or not."""
        return sum(self.shown.values()) + self.pictures


def cells(counts: Mapping[str, int], least: int) -> Cells:
    """Groups with fewer than `least` pictures kept back, and with them the smallest others until nobody can subtract.

    Where the whole is known, a single group that is kept back is what the others leave. So at least two are, and together
    at least `least` pictures (complementary suppression: Cox 1980; Hundepool et al. 2012, Statistical Disclosure Control,
    section 4). Groups without a picture are no groups. The order of `counts` is kept.

    >>> cells({"a": 90, "b": 30, "c": 3}, 10)
    Cells(shown={'a': 90}, hidden=2, pictures=33)
    >>> cells({"a": 90, "b": 30}, 10).hidden
    0
    """
    there = {name: n for name, n in counts.items() if n}
    by_size = sorted(there, key=lambda name: (there[name], name))
    hidden = [name for name in by_size if there[name] < least]
    for name in by_size[len(hidden) :]:
        if not hidden or (len(hidden) > 1 and sum(there[one] for one in hidden) >= least):
            break
        hidden.append(name)
    pictures = sum(there.pop(name) for name in hidden)
    return Cells(there, len(hidden), pictures)
