"""Which groups may be shown: those with few pictures are kept back, and so is what would give them away."""

from collections.abc import Mapping
from dataclasses import dataclass

from secondlook.pipeline.core.groups import NOT_SAID


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
    """Groups with fewer than `least` pictures kept back, and with them the largest other until nobody can subtract.

    Where the whole is known, a single group that is kept back is what the others leave. So at least two are, and together
    at least `least` pictures (complementary suppression: Cox 1980; Hundepool et al. 2012, Statistical Disclosure Control,
    section 4). There the smallest other goes along, as it loses the fewest pictures. Here it is the largest: small groups
    are whom an audit is about, and the largest is what the others are seen against anyway. Who is NOT_SAID is no group that
    somebody can be pointed at: few of them alone are not kept back. Groups without a picture are no groups. The order of
    `counts` is kept; nothing but the counts decides, so that all that is shared of the same pictures keeps the same groups back.

    >>> cells({"a": 90, "b": 30, "c": 3}, 10)
    Cells(shown={'b': 30}, hidden=2, pictures=93)
    >>> cells({"a": 90, "b": 30}, 10).hidden
    0
    """
    there = {name: n for name, n in counts.items() if n}
    hidden = [name for name in there if there[name] < least]
    if hidden == [NOT_SAID]:
        hidden = []
    others = sorted(there.keys() - set(hidden), key=lambda name: (name == NOT_SAID, -there[name], name))
    for name in others:
        if not hidden or (len(hidden) > 1 and sum(there[one] for one in hidden) >= least):
            break
        hidden.append(name)
    pictures = sum(there.pop(name) for name in hidden)
    return Cells(there, len(hidden), pictures)
