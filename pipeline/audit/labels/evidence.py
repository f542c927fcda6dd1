"""What speaks for and against a given label, kind by kind, and all of it as one score.

Each kind of evidence is a score in 0..1 that the label is wrong, p_other / (p_other + p_given): 0.5 where the given label
and the best other class tie, nan where the kind has nothing to say of a picture. Models measure it while they are fitted
(pipeline.learn); it is of one label, and says nothing of a label that was given later.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.odds import as_score

Scores = npt.NDArray[np.floating[Any]]

KINDS = {
    "held_out": "models that never saw this label",
    "refit": "models that never saw this label, and learned only from labels that held up",
    "neighbors": "labels of the nearest pictures",
    "dynamics": "how long models that were told this label resisted it",
    "others": "models with another backbone",
}
"""The kinds of evidence: names (columns of the table `evidence`), and who speaks."""

# Of the mean. Chosen on a half of CIFAR-10N's random1 (docs/results/evidence.md), where the optimum is flat: the first fit
# adds little to the refit, neighbours err elsewhere and so count as much. Another model is as loud as all of this.
WEIGHTS = {"held_out": 0.25, "refit": 1.0, "neighbors": 1.0, "dynamics": 0.5, "others": 3.0}
TINY = 1e-6  # no kind is surer than this
UNDECIDED = 0.05  # so near to 0.5 a kind of evidence speaks for neither side


class Spoke(NamedTuple):
    """Names of the kinds of evidence `against` a label and `supporting` it, the clearest first."""

    against: tuple[str, ...]
    supporting: tuple[str, ...]


def combine(evidence: Mapping[str, Scores]) -> npt.NDArray[np.float32]:
    """p_error (n,) float32 in 0..1 of some of the KINDS, each (n,): their log odds' mean by WEIGHTS over those there.

    0.5 is a tie, nan where no kind is there. It grows with every kind. Log odds, not scores, are what independent
    evidence adds up in: a kind that is nearly sure outweighs one that hardly leans to the other side.

    >>> combine({"refit": np.array([0.9, 0.2]), "neighbors": np.array([0.5, np.nan])}).round(2).tolist()
    [0.75, 0.20000000298023224]
    """
    names = [name for name in KINDS if name in evidence]
    if not names:
        raise ValueError(f"no kind of evidence to combine; the kinds are {', '.join(KINDS)}")
    scores = np.stack([np.asarray(evidence[name], np.float64) for name in names])
    weights = np.array([[WEIGHTS[name]] for name in names]) * ~np.isnan(scores)
    clipped = np.clip(np.nan_to_num(scores, nan=0.5), TINY, 1 - TINY)
    log_odds = weights * (np.log(clipped) - np.log1p(-clipped))
    with np.errstate(invalid="ignore"):  # 0 / 0 where no kind is there: nan
        mean = log_odds.sum(axis=0) / weights.sum(axis=0)
    return as_score(mean)


def spoke(scores: Mapping[str, float | None]) -> Spoke:
    """Which of the KINDS speak for and against one label, by its scores; None and nan say nothing.

    >>> spoke({"held_out": 0.7, "refit": 0.9, "neighbors": 0.1, "dynamics": 0.51, "others": None})
    Spoke(against=('refit', 'held_out'), supporting=('neighbors',))
    """
    said = [(name, float(score)) for name in KINDS if (score := scores.get(name)) is not None]
    against = sorted((0.5 - score, name) for name, score in said if score > 0.5 + UNDECIDED)
    supporting = sorted((score - 0.5, name) for name, score in said if score < 0.5 - UNDECIDED)
    return Spoke(tuple(name for _, name in against), tuple(name for _, name in supporting))
