"""Gold questions: who fails them, by a test that may be looked at after every answer, for as long as a person works.

Each gold answer is right or wrong. Beside it stands how often an acceptable person is wrong on this question: `acceptable`, or what
people in general are wrong on it, where that is more. The evidence against a person is a betting score (Ville 1939; Wald's
likelihood ratio 1945, mixed): it starts at 1, and as long as somebody is no worse than acceptable it can't be expected to grow, so it ever
reaches 1 / alpha with probability alpha at most, over a whole life of questions (Ville's inequality). It bets on two kinds of
failing, sloppy and guessing, and on each answer as the first of a bad time (Shiryaev 1963, Roberts 1966), so that a good
past is no credit: half of the stake on failing from the start, the rest spread over later beginnings.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FROM_START = 0.5  # of the stake
SLOPPY = 2 / 3  # of the stake is on the error `unacceptable`, the rest halfway between it and always wrong
LEAN = 4.0  # answers that people's error over all gold counts for, in their error on one question
DOUBTFUL = 0.5  # a question that more people than this get wrong tells nothing of a person: its gold may be wrong
SKIPPED = 1.0  # the usual error of such a question
HUGE = 1e290


@dataclass(frozen=True)
class Rates:
    """What the test promises: an error up to `acceptable` is paused with probability `alpha` at most, ever.

    An error from `unacceptable` up is called passed with probability `beta` at most, ever.
    """

    acceptable: float = 0.10
    unacceptable: float = 0.30
    alpha: float = 0.01
    beta: float = 0.05


@dataclass(frozen=True)
class Verdict:
    """What gold says of a person: "failed", "passed" or "open", after `asked` questions of which `wrong` were wrong.

    `evidence`: the largest that it came to; 1 / alpha fails. `expected`: wrong answers of an acceptable person on the same questions.
    `decided_at`: the number of the question that decided; 0 where nothing is.
    """

    state: str
    asked: int
    wrong: int
    expected: float
    evidence: float
    decided_at: int = 0


def evidence(wrong: npt.ArrayLike, usual: npt.ArrayLike, rates: Rates) -> Floats:
    """The score against people after each of T gold answers, (…, T).

    `wrong`: (…, T) whether it was; `usual`: (…, T) how often an acceptable person is wrong there, 0 to 1.

    >>> evidence([True, True, True], [0.1, 0.1, 0.1], Rates()).round(1).tolist()
    [2.6, 11.3, 60.3]
    """
    was, known = np.asarray(wrong, bool), np.asarray(usual, np.float64)
    stakes = (SLOPPY, rates.unacceptable), (1 - SLOPPY, (1 + rates.unacceptable) / 2)
    scores = [np.zeros(was.shape[:-1]) for _ in stakes]
    found = np.empty(was.shape)
    for n in range(was.shape[-1]):
        begins, waits = _stake(n + 1)
        for at, (share, error) in enumerate(stakes):
            ratio = _ratio(was[..., n], known[..., n], error, rates)
            scores[at] = np.minimum((scores[at] + share * begins) * ratio, HUGE)
        found[..., n] = sum(scores) + waits
    return found


def cleared(wrong: npt.ArrayLike, usual: npt.ArrayLike, rates: Rates) -> Floats:
    """Likelihood ratio of unacceptable to acceptable after each answer, (…, T): at beta or below, a person passes."""
    was, known = np.asarray(wrong, bool), np.asarray(usual, np.float64)
    return np.asarray(np.exp(np.cumsum(np.log(_ratio(was, known, rates.unacceptable, rates)), axis=-1)), np.float64)


def _stake(n: int) -> tuple[float, float]:
    """The part of the stake that bets on failing from answer n on, and the part that bets on later beginnings."""
    if n == 1:
        return FROM_START, 1 - FROM_START
    return (1 - FROM_START) / (n * (n - 1)), (1 - FROM_START) / n


def _ratio(wrong: Flags, usual: Floats, error: float, rates: Rates) -> Floats:
    """Likelihood of the answers under an error rate to that under the usual one; the rate is as much harder as `usual` is."""
    told = usual < SKIPPED
    known = np.where(told, usual, DOUBTFUL)
    failing = expit(logit(error) + logit(known) - logit(rates.acceptable))
    return np.where(told, np.where(wrong, failing / known, (1 - failing) / (1 - known)), 1.0)


def verdict(wrong: Sequence[bool], usual: Sequence[float], rates: Rates) -> Verdict:
    """What T answers say, in the order in which they were given; empty: open."""
    if not wrong:
        return Verdict("open", 0, 0, 0.0, 1.0)
    against, ratio = evidence(wrong, usual, rates), cleared(wrong, usual, rates)
    failed, passed = against >= 1 / rates.alpha, ratio <= rates.beta
    state, flags = ("failed", failed) if failed.any() else ("passed", passed) if passed.any() else ("open", failed)
    at = int(np.argmax(flags)) + 1 if flags.any() else 0
    return Verdict(state, len(wrong), int(np.sum(wrong)), _expected(usual), float(against.max()), at)


def _expected(usual: Sequence[float]) -> float:
    return float(sum(error for error in usual if error < SKIPPED))


def usual_errors(
    questions: Sequence[str],
    people: Sequence[str],
    wrong: Sequence[bool],
    rates: Rates,
    without: Collection[str] = (),
) -> list[float]:
    """For each of V gold answers, how often an acceptable person is wrong on its question, from the answers of the others.

    questions, people, wrong: (V,). It is the others' error on the question (few answers of it lean on all gold), and `acceptable`
    where that is more; SKIPPED where most others are wrong. Who is in `without` (paused) sets no standard.
    """
    answers = [row for row in zip(questions, people, map(bool, wrong), strict=True) if row[1] not in without]
    here = Counter(question for question, _, _ in answers)
    here_wrong = Counter(question for question, _, was in answers if was)
    own = Counter(who for _, who, _ in answers)
    own_wrong = Counter(who for _, who, was in answers if was)
    total, total_wrong = len(answers), sum(here_wrong.values())
    found = []
    for question, who, was in zip(questions, people, wrong, strict=True):
        counts = who not in without  # then nobody is measured against themselves
        general = (total_wrong - own_wrong[who] + LEAN * rates.acceptable) / (total - own[who] + LEAN)
        others, others_wrong = here[question] - counts, here_wrong[question] - (counts and bool(was))
        error = (others_wrong + LEAN * general) / (others + LEAN)
        found.append(SKIPPED if error > DOUBTFUL else max(error, rates.acceptable))
    return found
