"""Who decides what to ask and what the answers make of the labels: the arms of benchmarks/active_labeling.py.

An arm sees the answers that it has bought and the model's out-of-sample probabilities, never the truth. Answers of one picture come in their
order: the first that is left.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.labeling.acquire.budget import Limit
from secondlook.labeling.acquire.choose import Rules, choose
from secondlook.labeling.acquire.worth import channel, per_second
from secondlook.labeling.consensus.layout import Voice
from secondlook.labeling.consensus.weigh import weigh
from secondlook.pipeline.learn.crossfit import trusted

Array = npt.NDArray[Any]
K = 10
RANDOM_SHARE, SPREAD = 0.05, 0.9  # the defaults of [review]


@dataclass
class Known:
    """What is known at some moment. answers: (N, 3), -1 for one that was not bought; latest: (N,) the newest answer, -1 for none;
    probs: (N, K) of the model, out of sample; look: (N, d) unit vectors; rng: of the seed."""

    answers: Array
    latest: Array
    probs: Array
    look: Array
    rng: np.random.Generator
    left: Array  # (N,) bool: an answer can be bought

    @property
    def bought(self) -> Array:
        """(N,) how many answers there are."""
        return np.asarray((self.answers >= 0).sum(axis=1))


@dataclass(frozen=True)
class Said:
    """What an arm makes of it. decided: (N,) labels of all pictures; targets: (N, K) that the model learns from next; value: (N,) what one
    more answer is worth to it (only the order counts, except to `choose`)."""

    decided: Array
    targets: Array
    value: Array


Arm = Callable[[Known], Said]


def hot(labels: Array) -> Array:
    """(N, K) from labels (N,); -1 gives zeros."""
    return np.asarray((labels[:, None] == np.arange(K)).astype(np.float64))


def _replaced(known: Known, value: Array) -> Said:
    """The newest answer is the label; of pictures without one, the model's guess."""
    decided = np.where(known.latest >= 0, known.latest, known.probs.argmax(axis=1))
    return Said(decided, hot(known.latest), value)


def at_random(known: Known) -> Said:
    """Any order, everybody once before anybody twice; the newest answer is the label."""
    return _replaced(known, known.rng.random(len(known.latest)) - known.bought)


def cleanlab_order(known: Known) -> Said:
    """The labels that cleanlab's self-confidence doubts most, each once before any twice; the newest answer is the label."""
    from cleanlab.rank import get_label_quality_scores

    scores = get_label_quality_scores(known.latest, known.probs, method="self_confidence")
    return _replaced(known, 1.0 - scores - known.bought)


def margin_order(known: Known) -> Said:
    """Pictures between two classes, each once before any twice; the newest answer is the label."""
    best = np.sort(known.probs, axis=1)
    return _replaced(known, best[:, -2] - best[:, -1] - 2.0 * known.bought)


def activelab(known: Known, *, random_first: bool = False) -> Said:
    """cleanlab's ActiveLab says what to ask, its CROWDLAB decides.

    CROWDLAB judges people by how often they agree, and where only doubted pictures were asked for twice they seem to agree by chance. With
    `random_first` the first round is of random pictures.
    """
    import pandas as pd
    from cleanlab.multiannotator import get_active_learning_scores, get_label_quality_multiannotator
    from cleanlab.rank import get_label_quality_scores

    some = known.bought > 0
    rest = known.probs[~some] if (~some).any() else None
    if known.bought.max() < 2:  # it asks for more than one annotator, and names this for one
        decided = np.where(some, known.latest, known.probs.argmax(axis=1))
        value: Array = np.full(len(some), -2.0)
        value[some] -= get_label_quality_scores(known.latest[some], known.probs[some])
        if random_first:
            value = known.rng.random(len(some))
        if rest is not None:
            value[~some] = -get_active_learning_scores(pred_probs_unlabeled=rest)[1]
        return Said(decided, hot(known.latest), value)
    table = pd.DataFrame(np.where(known.answers >= 0, known.answers, np.nan)[some]).dropna(axis=1, how="all")
    value, decided = np.empty(len(some)), known.probs.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_label_quality_multiannotator(
            table, known.probs[some], verbose=False, return_detailed_quality=False, return_annotator_stats=False
        )
        labeled, unlabeled = get_active_learning_scores(table, known.probs[some], rest)
    decided[some] = found["label_quality"]["consensus_label"].to_numpy()
    value[some] = -labeled
    if rest is not None:
        value[~some] = -unlabeled
    return Said(decided, hot(np.where(some, decided, -1)), value)


@dataclass(frozen=True)
class Ours:
    """secondlook's: consensus decides, worth orders. Each field that is off takes away one part."""

    consensus: bool = True  # else the majority, and among equals the model
    voice: bool = True  # else people alone
    worth: bool = True  # else the probability that the label is wrong
    held: dict[str, Any] = field(default_factory=dict)
    random: bool = False  # any order, with consensus

    def __call__(self, known: Known) -> Said:
        """See the fields."""
        beliefs, right = self._weighed(known) if self.consensus else _majority(known)
        decided, bought = beliefs.argmax(axis=1), known.bought
        # What one person says is learned from as it is, since the model's own guess would only tell it what it knows; but for
        # what a refit of `secondlook train` leaves out, the labels that another class clearly beats.
        alone = (bought == 1) & trusted(known.latest, beliefs)
        targets = np.where(alone[:, None], hot(known.latest), beliefs)
        if self.random:
            value = known.rng.random(len(bought)) - bought
        elif self.worth:
            value = per_second(beliefs, channel([right], classes=K))
        else:
            value = 1.0 - beliefs.max(axis=1)
        return Said(decided, targets, value)

    def _weighed(self, known: Known) -> tuple[Array, float]:
        rows, turn = np.nonzero(known.answers >= 0)  # the j-th answers of all pictures are one anonymous pool of people
        voice = Voice.dense(known.probs) if self.voice else None
        found = weigh(rows, turn, known.answers[rows, turn], K, voice, n=len(known.latest), held=self.held)
        return found.dense(K), float(found.reliability.mean())


def _majority(known: Known) -> tuple[Array, float]:
    """Shares of the votes; the model's probabilities count as half of one, so that they decide between equals and where nobody has answered."""
    votes = np.asarray(sum(hot(known.answers[:, turn]) for turn in range(3))) + 0.5 * known.probs
    return votes / votes.sum(axis=1, keepdims=True), 0.8


def batch(known: Known, said: Said, n: int, *, spread: float = SPREAD, random_share: float = RANDOM_SHARE) -> Array:
    """n rows as `review push` chooses them: worth most, spread over the embedding, with a random share."""
    if n >= known.left.sum():
        return np.flatnonzero(known.left)
    value = np.where(known.left, np.maximum(said.value, 1e-9), 0.0)
    rules = Rules(random_share, 0.0, spread)
    found = choose(
        value,
        np.ones(len(value)),
        Limit(pictures=n),
        rules,
        known.rng,
        drawable=known.left,
        vectors=lambda rows: known.look[rows],
    )
    return np.concatenate([found.best, found.random])


def first(known: Known, said: Said, n: int) -> Array:
    """The n rows of most value, equal ones in random order."""
    value = np.where(known.left, said.value, -np.inf)
    order = np.lexsort((known.rng.random(len(value)), -value))
    return np.asarray(order[: min(n, int(known.left.sum()))])
