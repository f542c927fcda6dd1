"""What the answers of several people say of each picture's class, when people err together and a model is one more voice.

`weigh` is the array-level door: votes in, probabilities out, every parameter found from the votes themselves.

The model of an answer. A picture has a class y and is easy or hard, which nobody tells us. A person names y with log odds
everybody + class + person + (person, class), plus or minus a spread for easy and hard: effects of a hierarchical logistic regression, each
shrunken by a normal prior whose width is estimated, so that who answered little is judged like everybody and who answered much is
judged class by class. A mistake goes where that person's mistakes go, shrunken to where everybody's go, or, in a share that is estimated, where the
model looks: people take a picture for what it looks like, and so does the model. The confusions are those of Dawid and Skene (1979),
difficulty is GLAD's (Whitehill et al. 2009), the model as the prior of y is Raykar's (2010).

Why that discounts votes. Answers are independent only given class and difficulty: three equal answers for a hard picture are no three
witnesses, nor are people and model who are taken in by the same look. How many pictures are hard shows in how the answers disagree and where the
model is unsure; so the discount is found by likelihood, without one true label.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from secondlook.labeling.consensus.estimate import Beliefs, Parameters, believe, learn, start
from secondlook.labeling.consensus.layout import Floats, Ints, Layout, Voice, lay_out

ROUNDS = 40
SETTLED = 1e-3  # mean change of the items' probabilities that ends the estimate


@dataclass(frozen=True)
class Posterior:
    """What votes and model say of each (item, class) that somebody named or the model mentions.

    `items`, `labels`, `probs`: (P,), by item and class. `rest`: (N,), the probability of all other classes; an item's probabilities and
    its rest sum to 1. `alone`: (P,), the probabilities by people alone, judged as before but without the model's voice. `weights`: (V,), by
    how much each vote moved the log odds of the class that it names, given all others of its item. `reliability`: (A,), how often each person is right on the whole.
    """

    items: Ints
    labels: Ints
    probs: Floats
    rest: Floats
    alone: Floats
    weights: Floats
    reliability: Floats
    parameters: Parameters

    def dense(self, classes: int) -> Floats:
        """(N, K): the probabilities of all classes; those that nobody mentions share the rest equally."""
        mentioned = np.bincount(self.items, minlength=len(self.rest))
        full = np.repeat((self.rest / np.maximum(classes - mentioned, 1))[:, None], classes, axis=1)
        full[self.items, self.labels] = self.probs
        return full


def weigh(
    items: Ints,
    people: Ints,
    labels: Ints,
    classes: int,
    voice: Voice | None = None,
    *,
    n: int | None = None,
    known: Ints | None = None,
    held: Mapping[str, Any] | None = None,
) -> Posterior:
    """The posterior of n items by V votes: vote v says that person `people[v]` named class `labels[v]` for item `items[v]`.

    items, people, labels: (V,) integers from 0. A "person" may be a pool of anonymous people. `voice`: a model's out-of-sample probabilities,
    `Voice.dense(probs)` for an (N, K) array. `n`: the number of items, those without a vote too (then the model alone speaks). `known`:
    (n,) the class of items whose truth is known (gold), -1 elsewhere: they teach how people answer. `held`: `Parameters` that
    are not found but given, by name, such as {"spread": 0.0} for pictures that are all equally hard.

    >>> import numpy as np
    >>> three = weigh(np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([4, 4, 2]), 10)
    >>> three.dense(10).argmax(axis=1).tolist()
    [4]
    """
    size = n if n is not None else len(voice.classes) if voice is not None else int(items.max(initial=-1)) + 1
    persons = int(people.max(initial=-1)) + 1
    layout = lay_out(items, people, labels, classes, size, voice)
    # An answer that stands alone tells nothing of who gave it: it would only teach that others' classes are rare.
    counts = layout.votes_of + layout.known >= 2
    truth = None if known is None else _truth(layout, known)
    if known is not None:
        counts |= (known >= 0) & (layout.votes_of > 0)
    parameters = replace(start(layout, persons), **(held or {}))
    beliefs = _told(layout, believe(layout, parameters), truth)
    for _ in range(ROUNDS):
        parameters = replace(learn(layout, parameters, beliefs, counts), **(held or {}))
        after = _told(layout, believe(layout, parameters), truth)
        moved = float(np.abs(after.of_pairs - beliefs.of_pairs).sum()) / max(size, 1)
        beliefs = after
        if moved < SETTLED:
            break
    return _posterior(layout, parameters, believe(layout, parameters))


def _truth(layout: Layout, known: Ints) -> NDArray[np.bool_]:
    """(P,): the pairs that may be true; of items whose truth is known, one."""
    told = known[layout.items]
    fits = (told < 0) | (layout.labels == told)
    some = layout.total(fits.astype(np.float64)) > 0
    other = (layout.labels == layout.classes) & ~some[layout.items]  # nobody named it: one of the other classes
    return np.asarray(fits | other, np.bool_)


def _told(layout: Layout, beliefs: Beliefs, truth: NDArray[np.bool_] | None) -> Beliefs:
    if truth is None:
        return beliefs
    probs = np.where(truth[:, None], beliefs.probs, 0.0)
    total = layout.total(probs.sum(axis=1))[layout.items]
    probs = probs / np.where(total > 0, total, 1.0)[:, None]
    return Beliefs(probs, beliefs.logs, beliefs.answers, beliefs.copied, beliefs.on)


def _posterior(layout: Layout, parameters: Parameters, beliefs: Beliefs) -> Posterior:
    mentioned = layout.labels < layout.classes
    probs = beliefs.of_pairs
    alone = believe(layout, parameters, model=False).of_pairs if layout.known.any() else probs
    rest = np.zeros(len(layout.first))
    rest[layout.items[~mentioned]] = probs[~mentioned]
    hard = expit(parameters.hard[0])
    middle = parameters.everybody + parameters.by_person
    reliability = (1 - hard) * expit(middle + parameters.spread) + hard * expit(middle - parameters.spread)
    return Posterior(
        layout.items[mentioned],
        layout.labels[mentioned],
        probs[mentioned],
        rest,
        alone[mentioned],
        _weights(layout, beliefs),
        reliability,
        parameters,
    )


def _weights(layout: Layout, beliefs: Beliefs) -> Floats:
    """(V,): log odds of the class that a vote names, less those without the vote."""
    votes = int(layout.vote[-1]) + 1 if len(layout.vote) else 0
    if not votes:
        return np.zeros(0)
    begin = np.searchsorted(layout.vote, np.arange(votes))
    without = np.logaddexp.reduce(beliefs.logs[layout.pair] - beliefs.answers, axis=1)
    with_it = np.logaddexp.reduce(beliefs.logs, axis=1)[layout.pair]
    return _log_odds(with_it, layout.right, begin) - _log_odds(without, layout.right, begin)


def _log_odds(logs: Floats, chosen: NDArray[np.bool_], begin: Ints) -> Floats:
    others = np.logaddexp.reduceat(np.where(chosen, -1e9, logs), begin)
    return np.asarray(logs[chosen] - others, np.float64)
