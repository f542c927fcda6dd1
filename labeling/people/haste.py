"""Who answers too fast to have looked: against others on the like, and only where fast is not right as well."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

Floats = npt.NDArray[np.float64]

FLOOR_S = 0.5  # nobody sees a picture, decides and clicks in less
LEAST = 20  # timed answers from which a person is judged
OTHERS = 2  # other people it takes to say what is usual: of two, nobody knows who is the odd one
LEAST_CHECKED = 10  # answers that somebody else's tell something of, below which nothing excuses haste
DOUBT = 0.05  # chance that answers as right as other people's look this wrong, up to which they count as worse


@dataclass(frozen=True)
class Hasty:
    """A person of whose `timed` answers `fast` were fast, in the median of `seconds` where others take `usual_s`.

    Of the fast ones, `checked` can be compared with gold or with other people, and `wrong` of these (not whole where others
    differ) are not what those say; other people's own answers differ by the share `others_wrong`.
    """

    annotator: str
    timed: int
    fast: int
    seconds: float
    usual_s: float
    checked: int
    wrong: float
    others_wrong: float

    @property
    def share(self) -> float:
        """The part of the answers that is fast."""
        return self.fast / self.timed

    @property
    def excused(self) -> bool:
        """Whether enough of the fast answers can be checked, and they are no worse than other people's."""
        if self.checked < LEAST_CHECKED:
            return False
        return bool(binom.sf(np.floor(self.wrong) - 1, self.checked, self.others_wrong) > DOUBT)


def hasty(
    people: Sequence[str],
    kinds: Sequence[str],
    seconds: npt.ArrayLike,
    wrong: npt.ArrayLike,
    *,
    too_fast: float,
    least_share: float,
) -> list[Hasty]:
    """The people at least `least_share` of whose answers is fast and not excused, the worst first.

    people, kinds: (V,), who answered a task of which kind. `seconds`: (V,) nan where unknown. `wrong`: (V,) 0 to 1, the part of those who
    know (gold, or the others) that say otherwise, nan where nobody does. An answer is fast below FLOOR_S, or below `too_fast` times what
    others take: the middle of their medians, on the same kind if at least OTHERS of them have answered it, else on all.
    """
    times, errors = np.asarray(seconds, np.float64), np.asarray(wrong, np.float64)
    who, kind = np.array(people, dtype=object), np.array(kinds, dtype=object)
    known = np.isfinite(times)
    usual = _usual(who, kind, times, known)
    with np.errstate(invalid="ignore"):
        fast = known & ((times < FLOOR_S) | (times < too_fast * usual))
    found = []
    for name in sorted(set(who[known].tolist())):
        mine = who == name
        timed, quick = mine & known & (np.isfinite(usual) | fast), mine & fast
        if timed.sum() < LEAST or quick.sum() < least_share * timed.sum():
            continue
        checked, others = quick & np.isfinite(errors), ~mine & ~fast & np.isfinite(errors)
        one = Hasty(
            name,
            int(timed.sum()),
            int(quick.sum()),
            float(np.median(times[timed])),
            float(np.median(usual[timed & np.isfinite(usual)])) if (timed & np.isfinite(usual)).any() else float("nan"),
            int(checked.sum()),
            float(errors[checked].sum()),
            float(errors[others].mean()) if others.any() else 0.0,
        )
        if not one.excused:
            found.append(one)
    return sorted(found, key=lambda one: (-one.share, one.annotator))


def _usual(
    who: npt.NDArray[np.object_], kind: npt.NDArray[np.object_], times: Floats, known: npt.NDArray[np.bool_]
) -> Floats:
    """For each answer, the seconds that others take for the like, (V,); nan where too few others have answered."""
    by_kind: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    overall: dict[str, list[float]] = defaultdict(list)
    for at in np.flatnonzero(known).tolist():
        by_kind[kind[at]][who[at]].append(times[at])
        overall[who[at]].append(times[at])
    medians = {one: {name: float(np.median(all_of)) for name, all_of in its.items()} for one, its in by_kind.items()}
    everywhere = {name: float(np.median(all_of)) for name, all_of in overall.items()}
    usual: dict[tuple[str, str], float] = {}
    found = np.full(len(times), np.nan)
    for at in range(len(times)):
        pair = (str(kind[at]), str(who[at]))
        if pair not in usual:
            usual[pair] = _middle(medians.get(pair[0], {}), pair[1], _middle(everywhere, pair[1], np.nan))
        found[at] = usual[pair]
    return found


def _middle(medians: dict[str, float], without: str, otherwise: float) -> float:
    others = [seconds for name, seconds in medians.items() if name != without]
    return float(np.median(others)) if len(others) >= OTHERS else otherwise
