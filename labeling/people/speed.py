"""How long an answer takes, learned from answers: what a budget of minutes buys.

Times of answers are skewed, and some are no work at all: somebody went for a coffee with the picture open. So each time
is cut at what is far above the middle of its like (in logarithms, by the median and its deviation), and the mean of what is
left is the cost. For a budget, few answers of a kind lean on all of them, and few answers at all on what was assumed; what is told of the
answers that are there (`mean`, and its interval) leans on nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from secondlook.labeling.answers import LONGEST_S
from secondlook.pipeline.core.statistics import Interval

DEFAULT_S = 6.0  # an answer's seconds while nobody has answered
LEAN = 20.0  # answers that what is known already counts for
FAR = 3.0  # deviations above the median from which a time is cut: 1 in 700 of log-normal times
SPREAD = 0.25  # least deviation of log seconds, so that equal times don't cut all others
TO_DEVIATION = 1.4826  # of a normal distribution: median absolute deviation → standard deviation

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Speeds:
    """Seconds of an answer: over all, by kind of task, and by kind and number of classes shown.

    `overall` and what `of` says are for budgets, and lean on what was assumed. `mean` is of the `answers` times that are known alone (`overall`
    where there is none), and `interval`, of 95 %, is of it.
    """

    overall: float
    mean: float
    answers: int
    interval: Interval
    by_kind: Mapping[str, float] = field(default_factory=dict)
    by_options: Mapping[tuple[str, int], float] = field(default_factory=dict)

    def of(self, kind: str = "", options: int = 0) -> float:
        """Seconds that an answer to a task of this kind, with so many classes shown first, is expected to take."""
        return self.by_options.get((kind, options), self.by_kind.get(kind, self.overall))


def worked(seconds: npt.ArrayLike) -> Floats:
    """Times of answers (N,) in seconds, cut at what nobody works on one of them.

    >>> worked([4, 5, 6, 5, 4, 3600]).round(1).tolist()
    [4.0, 5.0, 6.0, 5.0, 4.0, 12.3]
    """
    times = np.minimum(np.asarray(seconds, np.float64), LONGEST_S)
    if not len(times):
        return times
    logs = np.log(np.maximum(times, 0.1))
    middle = np.median(logs)
    deviation = max(TO_DEVIATION * float(np.median(np.abs(logs - middle))), SPREAD)
    return np.asarray(np.minimum(times, np.exp(middle + FAR * deviation)), np.float64)


def seconds_per_answer(
    seconds: npt.ArrayLike,
    kinds: Sequence[str] = (),
    options: Sequence[int] = (),
    people: Sequence[str] = (),
    *,
    default: float = DEFAULT_S,
) -> Speeds:
    """What answers cost: `seconds` (N,) of each, nan where unknown; its task's kind, number of classes shown, and who it is of.

    Kinds, options and people are (N,) or empty. Without a known time, everything takes `default` seconds.
    """
    times = np.asarray(seconds, np.float64)
    known = np.flatnonzero(np.isfinite(times))
    kind = np.array([kinds[n] if kinds else "" for n in known], dtype=object)
    shown = np.array([options[n] if options else 0 for n in known], np.int64)
    cost = worked(times[known])
    for one in set(kind.tolist()):  # what is long for one kind may be usual for another
        mine = kind == one
        cost[mine] = worked(times[known][mine]) if mine.sum() >= LEAN else cost[mine]
    overall = _leaning(cost, default)
    by_kind = {str(one): _leaning(cost[kind == one], overall) for one in set(kind.tolist())}
    by_options = {
        (str(one), n): _leaning(cost[(kind == one) & (shown == n)], by_kind[str(one)])
        for one, n in set(zip(kind.tolist(), shown.tolist(), strict=True))
    }
    who = [people[n] for n in known] if people else [str(n) for n in range(len(known))]
    mean = float(cost.mean()) if len(cost) else overall
    return Speeds(overall, mean, len(known), _interval(cost, who, mean), by_kind, by_options)


def _leaning(cost: Floats, known: float) -> float:
    return float((cost.sum() + LEAN * known) / (len(cost) + LEAN))


def _interval(cost: Floats, people: Sequence[str], mean: float) -> Interval:
    """95 % of the mean cost, on a log scale; of several people, as people differ more than their answers."""
    if len(cost) < 2:
        return Interval(mean / 4, mean * 4)
    _, who = np.unique(np.array(people, dtype=object), return_inverse=True)
    groups = int(who.max()) + 1
    error = _standard_error(cost - mean)
    if groups > 2:  # three people may be alike by chance: they are never surer than their answers are
        sums = np.bincount(who, cost - mean, minlength=groups).astype(np.float64)
        error = max(error, _standard_error(sums) * groups / len(cost))
    freedom = (groups if groups > 2 else len(cost)) - 1
    factor = float(np.exp(min(float(student.ppf(0.975, freedom)) * error / max(mean, 1e-9), 10.0)))
    return Interval(mean / factor, mean * factor)


def _standard_error(off: Floats) -> float:
    """Of the mean of N values, by how far each is off."""
    return float(np.sqrt(np.square(off).sum() * len(off) / (len(off) - 1))) / len(off)
