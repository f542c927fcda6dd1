"""The margin of SL101, chosen from the data without truth.

Three steps, all from one table of counts. *Calibrate*: with which power a would the model's odds explain how often labels
differ from its best class? Then a · log(p_other / p_given) has the same meaning for a timid model and for a boastful one.
*Ask for odds*: a label is flagged where these odds exceed those of a right label, (1 - w) / w with w the share of wrong
ones, as Bayes' rule has it. *Agree with itself*: w is not known, so it is taken where flagging at these odds flags about w
of the labels. Limits, from the share of labels that differ, keep this fixed point from running away.

The few constants were chosen on the `choose` cases of benchmarks/flags.py; docs/results/flags.md has what they come to on
others.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.labels.compare import Compared, Floats, Ints, compare, compare_topk

MARGIN = 0.30  # where there are too few labels to choose by; p_error above 0.65
FEWEST = 100  # labels
CHANCE = 1.3  # of K labels, so many or fewer agree with the model's best class: then it knows nothing of them
STEP = 0.1  # of log odds, natural
TOP = 14.0  # log odds from which labels are in one bin; NOTHING in compare.py lets none go higher
LOG_ODDS = np.round(np.arange(-TOP, TOP + STEP / 2, STEP), 1)
EDGES = np.tanh(LOG_ODDS / 2).astype(np.float32)  # the same as margins; bin i holds EDGES[i-1] < ahead <= EDGES[i]
TAILS = 16  # bins of how slowly a row's probabilities fall from its second class on

# u, the calibrated log odds to ask for, is log((1-w)/w) + SHIFT + PER_CLASS · log(K-1), where RATIO · w are flagged …
SHIFT, PER_CLASS, RATIO = -0.6, 0.3, 0.9
# … but no more than BELOW under, ABOVE over a flatter line through the share of labels that differ.
LIMIT_SLOPE, LIMIT_SHIFT, LIMIT_PER_CLASS, BELOW, ABOVE = 0.3, -0.3, 0.45, 0.6, 0.7
LEAST = 0.05  # of the labels that differ are flagged, whatever the odds of a boastful model look like
MANY = 1000  # classes; the lines in log(K-1) were seen up to here and are level from here on

Counts = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tally:
    """Integer sums over labeled rows, from which the margin is chosen: parts add up to the whole, in any order, exactly.

    `n_classes`: K, the same in all parts. `counts`: (len(EDGES) + 1, TAILS) int64, labels by `ahead` and by tail.
    """

    n_classes: int
    counts: Counts

    @property
    def n(self) -> int:
        """Labeled rows."""
        return int(self.counts.sum())

    def __add__(self, other: "Tally") -> "Tally":
        if self.n_classes != other.n_classes:
            raise ValueError(f"tallies of {self.n_classes} and {other.n_classes} classes don't add up")
        return Tally(self.n_classes, self.counts + other.counts)

    def to_bytes(self) -> bytes:
        """The tally as bytes that travel between processes."""
        return np.concatenate([[self.n_classes], self.counts.ravel()]).astype("<i8").tobytes()

    @staticmethod
    def from_bytes(data: bytes) -> "Tally":
        """The tally that `to_bytes` wrote."""
        flat = np.frombuffer(data, "<i8").astype(np.int64)
        return Tally(int(flat[0]), flat[1:].reshape(len(EDGES) + 1, TAILS))


class Choice(NamedTuple):
    """A margin and, in words, where it comes from."""

    margin: float
    basis: str


def empty(n_classes: int) -> Tally:
    """The tally of no rows: where a sum starts."""
    return Tally(n_classes, np.zeros((len(EDGES) + 1, TAILS), np.int64))


def tally(compared: Compared, n_classes: int) -> Tally:
    """The tally of rows that were compared; rows without a label don't count."""
    labeled = compared.labeled
    p_given, p_other, ahead = compared.p_given[labeled], compared.p_other[labeled], compared.ahead[labeled]
    rest = np.maximum(np.float32(1) - p_given - p_other, np.float32(0))
    second = np.minimum(p_given, p_other)
    # If the classes from the second on fall by a constant factor, this is the factor.
    tail = rest / np.maximum(second + rest, np.float32(1e-12))
    at = np.searchsorted(EDGES, ahead) * TAILS + np.minimum((tail * TAILS).astype(np.int64), TAILS - 1)
    counts = np.bincount(at, minlength=(len(EDGES) + 1) * TAILS).astype(np.int64)
    return Tally(n_classes, counts.reshape(len(EDGES) + 1, TAILS))


def tally_dense(given: Ints, probs: Floats, *, first_row: int = 0) -> Tally:
    """The tally of full rows; arguments and errors as in `compare`."""
    return tally(compare(given, probs, first_row=first_row), np.asarray(probs).shape[1])


def tally_topk(
    given: Ints, classes: Ints, probs: Floats, n_classes: int, p_given: Floats | None = None, *, first_row: int = 0
) -> Tally:
    """The tally of rows' most probable classes; arguments and errors as in `compare_topk`."""
    return tally(compare_topk(given, classes, probs, n_classes, p_given, first_row=first_row), n_classes)


def chosen_margin(sums: Tally) -> Choice:
    """The margin above which SL101 flags, without truth."""
    if sums.n < FEWEST:
        return Choice(MARGIN, f"the default of {MARGIN:.2f}, as {sums.n} labels are too few to choose by")
    solved = _solved(sums)
    if solved is None:
        return Choice(MARGIN, f"the default of {MARGIN:.2f}, as the model agrees with every label")
    odds, power, share = solved
    margin = round(float(np.tanh(odds / power / 2)), 6)
    differing = _differing(sums) / sums.n
    basis = f"chosen without truth from {sums.n:,} labels: {differing:.1%} differ from the model's best class"
    if 1 - differing <= CHANCE / sums.n_classes:
        return Choice(margin, f"{basis}, as by chance: are labels and probabilities in the same order?")
    return Choice(margin, f"{basis}, and about {share:.1%} look wrong")


def estimated_share(sums: Tally) -> float:
    """The model's estimate of the share of labels that are wrong, 0 to 1; nan without labels. No audit answer is in it."""
    solved = _solved(sums) if sums.n >= FEWEST else None
    if solved is None:
        return _differing(sums) / sums.n if sums.n else float("nan")
    return solved[2]


def _differing(sums: Tally) -> int:
    return int(sums.counts[len(EDGES) // 2 + 1 :].sum())


def _solved(sums: Tally) -> tuple[float, float, float] | None:
    """Calibrated log odds to flag above, the power that calibrates, and the share of wrong labels at which they agree."""
    n, differing = sums.n, _differing(sums)
    if not differing:
        return None
    power = _power(sums)
    beyond = np.append(np.cumsum(sums.counts.sum(axis=1)[::-1])[::-1][1:], 0)[: len(LOG_ODDS)] / n  # above each edge
    wrong = np.geomspace(0.0005, 0.6, 600)
    per_class = np.log(min(max(sums.n_classes, 2), MANY) - 1)
    odds = np.log((1 - wrong) / wrong) + SHIFT + PER_CLASS * per_class
    flagged = np.interp(odds / power, LOG_ODDS, beyond)
    agrees = np.flatnonzero(flagged >= RATIO * wrong)
    own = odds[agrees[-1]] if len(agrees) else np.inf
    share = min(differing / n, 0.98)
    middle = LIMIT_SLOPE * np.log((1 - share) / share) + LIMIT_SHIFT + LIMIT_PER_CLASS * per_class
    reach = LOG_ODDS[np.flatnonzero(beyond >= LEAST * differing / n)[-1]]
    asked = min(max(float(np.clip(own, middle - BELOW, middle + ABOVE)), 0.0), float(reach) * power)
    return asked, power, min(float(np.interp(asked / power, LOG_ODDS, beyond)) / RATIO, 1.0)


def _power(sums: Tally) -> float:
    """The a for which labels drawn in proportion to p^a would differ from the best class as often as the labels do."""
    middle = len(EDGES) // 2
    agreeing = sums.counts[: middle + 1].astype(np.float64)
    # A row whose second class is z below the first stands for e^(-az) labels that differ, and for those of later classes.
    below = -np.append(-TOP, (LOG_ODDS[:middle] + LOG_ODDS[1 : middle + 1]) / 2)
    tail = (np.arange(TAILS) + 0.5) / TAILS
    later = max(sums.n_classes - 2, 0)
    differing = _differing(sums)
    low, high = np.log(0.02), np.log(50.0)
    for _ in range(60):
        a = np.exp((low + high) / 2)
        fall = tail**a
        expected = agreeing * np.exp(-a * below)[:, None] * (1 + fall * (1 - fall**later) / (1 - fall))
        low, high = ((low + high) / 2, high) if expected.sum() > differing else (low, (low + high) / 2)
    return float(np.exp((low + high) / 2))
