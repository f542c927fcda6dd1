"""Label errors by group, corrected by people's answers for the errors that the detector itself makes on the group (SL402).

How often labels are doubted is not how often they are wrong: on a group with harder pictures a detector doubts more right
labels. Where an audit has answers, the share of wrong labels among pictures of one outcome of the detector (doubted or not, or
finer, a bin of its score) is counted by group, and a group's figure is the mean of these over all of its pictures: a
difference estimator (Särndal, Swensson and Wretman 1992), stratified by what the detector said, as prediction-powered inference
does (Angelopoulos et al. 2023). What all groups' answers say of an outcome counts like TRUST answers
of the group's own: it decides where a group has none, and then the interval says how little that is. All groups' answers are not
trusted further, as that a detector errs alike on all groups is what is asked.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.bias.combined import Combined, differences, p_values
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.power import smallest_gap
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.errors import UserError

METHOD = (
    "label errors: difference estimator on {n} audit answers, in strata of doubted and not doubted; intervals: Wilson's of each stratum, "
    "put together after Zou and Donner; p: where the interval of the difference reaches 0, Holm within the measure"
)
TINY = 0.005  # share of wrong labels below which no answers are taken to vary less
TRUST = 1.0  # answers of its own that those of all groups count for, in each outcome of each group

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Answers(NamedTuple):
    """n answers of an audit, (n,) each.

    cell, outcome: places in the counts' cells and outcomes. wrong: whether the adjudicated label contradicts the given one, 0
    or 1. inclusion: the probability that the picture was drawn and answered, above 0 and at most 1.
    """

    cell: Ints
    outcome: Ints
    wrong: Floats
    inclusion: Floats


def corrected(comparison: Comparison, counts: Counts, answers: Answers, settings: BiasSettings) -> Comparison:
    """The comparison of doubted labels by groups, told of wrong ones: `corrected`, `against`, `effect` and `p` are of these.

    `counts`: labeled pictures by what the detector said of them. `answers` of each group says how many answers are of its
    own pictures. Raises UserError for no answers at all, or for inclusion probabilities that are none.
    """
    if not comparison.groups:
        return comparison
    inside = counts.membership([one.group for one in comparison.groups])
    n = np.asarray(inside @ counts.n, np.int64)
    mine = np.asarray(inside[:, answers.cell].toarray(), bool)
    everything = counts.n.sum(axis=0)
    own, rest = wrong(n, mine, answers), wrong(everything - n, ~mine, answers)
    level = settings.confidence
    figures = zip(own.estimates(level), rest.estimates(level), differences(own, rest, level), strict=True)
    heard, p = mine.sum(axis=1).tolist(), p_values(own, rest).tolist()
    groups = tuple(
        dataclasses.replace(one, corrected=value, against=against, effect=effect, p=chance, answers=many)
        for one, many, chance, (value, against, effect) in zip(comparison.groups, heard, p, figures, strict=True)
    )
    alone = wrong(everything[None], np.ones((1, len(answers.cell)), bool), answers)
    return dataclasses.replace(
        comparison,
        groups=groups,
        overall=alone.estimates(level)[0],
        gap=None,
        between=None,
        worst=max(groups, key=lambda one: one.effect.interval.low).group,
        method=METHOD.format(n=f"{len(answers.cell):,}"),
        within=None,
        level=None,
        gaps=lambda alpha: _smallest_gaps(own, rest, alpha, settings),
    )


def wrong(n: Ints, mine: Flags, answers: Answers) -> Combined:
    """Shares of wrong labels of R sets of pictures: `n` (R, M) pictures by outcome, `mine` (R, n) which answers are of them."""
    _check(answers)
    outcome = np.eye(n.shape[1])[answers.outcome]  # (n, M)
    weight = outcome / answers.inclusion[:, None]
    total, squares = mine @ weight, mine @ np.square(weight)
    heard = total > 0
    share = np.divide(mine @ (weight * answers.wrong[:, None]), total, out=np.zeros_like(total), where=heard)
    effective = np.divide(np.square(total), squares, out=np.zeros_like(total), where=heard)  # Kish 1965
    k, size = effective * share + TRUST * _of_all(weight, answers.wrong), effective + TRUST
    pictures = np.maximum(n.sum(axis=1, keepdims=True), 1)
    part = n / pictures
    # How many pictures of a group are doubted is chance as well: a group is a sample, as in the measures without correction.
    between = (part * np.square(k / size)).sum(axis=1) - np.square((part * k / size).sum(axis=1))
    return Combined(k, size, part, np.maximum(between, 0) / pictures[:, 0])


def _of_all(weight: Floats, wrong_: Floats) -> Floats:
    """(M,) share of wrong labels of an outcome, of all answers; it is drawn towards that of all outcomes like by one answer."""
    total, hits, heard = weight.sum(axis=0), weight.T @ wrong_, (weight > 0).sum(axis=0)
    share = np.divide(hits, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray((heard * share + hits.sum() / total.sum()) / (heard + 1), np.float64)


def _smallest_gaps(own: Combined, rest: Combined, alpha: float, settings: BiasSettings) -> Floats:
    """(G,) differences that are found so often at this p, as of two plain shares of as many answers as vary as much.

    By the exact test's power: of few answers the normal distribution is off by a fifth.
    """
    n, others = (_alike(one) for one in (own, rest))
    return smallest_gap(n, others, rest.value, alpha, settings.power, worse="higher", least=settings.least_gap)


def _alike(one: Combined) -> Floats:
    """(R,) how many answers of a plain sample vary as much."""
    share = np.clip(one.value, TINY, 1 - TINY)
    return np.asarray(share * (1 - share) / one.variance, np.float64)


def _check(answers: Answers) -> None:
    if not len(answers.cell):
        raise UserError("a correction needs answers of an audit, got none")
    if not ((answers.inclusion > 0) & (answers.inclusion <= 1)).all():
        raise UserError("inclusion probabilities are above 0 and at most 1")
