"""No group of people is left out of a batch: floors, and what they changed.

Who is worth asking about most is often of few groups, as models err alike on alike people; labels of all others then never
get better. So each group gets at least a part (`floor`) of the batch that it would have by chance.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Groups:
    """What group each of N candidates is of, in each of A attributes.

    codes: (N, A) places in `values`, which are A lists of names.
    """

    attributes: Sequence[str]
    values: Sequence[Sequence[str]]
    codes: Codes

    @property
    def cells(self) -> Codes:
        """(N,) a number for each combination of groups that occurs: what floors are kept for."""
        if not len(self.attributes):
            return np.zeros(len(self.codes), np.int64)
        cell = np.zeros(len(self.codes), np.int64)
        for column, names in zip(self.codes.T, self.values, strict=True):
            cell = np.unique(cell * max(len(names), 1) + column, return_inverse=True)[1].reshape(-1).astype(np.int64)
        return cell


def floors(cells: Codes, n: float, floor: float) -> Codes:
    """How many of a batch of n each cell has at least, (C,), of all candidates' cells (N,).

    `floor` times its share of the candidates, rounded down, and never more than it has.

    >>> floors(np.array([0, 0, 0, 1]), 20, 0.8).tolist()
    [3, 1]
    """
    counts = np.bincount(cells)
    return np.minimum(np.floor(floor * n * counts / max(len(cells), 1) + 1e-9).astype(np.int64), counts)


def rates(groups: Groups, plain: Codes, chosen: Codes) -> dict[str, dict[str, dict[str, float]]]:
    """What balance changed, by attribute and group: candidates, and how many of them the batch has `without` and `with` it.

    plain, chosen: rows of the batch as it would be without balance, and as it is. `kept` is the group's rate of selection
    without balance beside that of all: 1 is as often as the rest, 0 is left out.
    """
    told: dict[str, dict[str, dict[str, float]]] = {}
    for at, name in enumerate(groups.attributes):
        size = len(groups.values[at])
        there, without, those = (
            np.bincount(codes, minlength=size)
            for codes in (groups.codes[:, at], groups.codes[plain, at], groups.codes[chosen, at])
        )
        rate = len(plain) / max(len(groups.codes), 1)
        told[name] = {
            value: {
                "candidates": int(there[n]),
                "without": int(without[n]),
                "with": int(those[n]),
                "kept": round(float(without[n] / there[n] / rate), 3) if there[n] and rate else 1.0,
            }
            for n, value in enumerate(groups.values[at])
            if there[n]
        }
    return told


def left_out(
    told: Mapping[str, Mapping[str, Mapping[str, float]]], floor: float, estimated: Collection[str] = ()
) -> list[str]:
    """Which groups would have been asked about less than `floor` times as often as chance, a sentence each, the worst first.

    `estimated`: attributes that a model estimated, which the sentence says.
    """
    found = sorted(
        (one["kept"], name, value, one)
        for name, values in told.items()
        for value, one in values.items()
        if one["kept"] < floor and one["with"] > one["without"]
    )
    return [
        f"{name}{' (estimated)' if name in estimated else ''} {value}: {one['with']:.0f} asked for; without balance {one['without']:.0f}, {kept:.2f} times as often as chance"
        for kept, name, value, one in found
    ]
