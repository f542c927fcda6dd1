"""What people should look at next: doubted labels, pictures without a label, and a random share, as one batch.

The random share keeps later estimates honest, since what is only doubted says nothing of the rest. A batch is in groups of one
pair of classes that get confused, so that people compare like with like; within a group the order is random, so that it
tells nothing of what is doubted.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

import numpy as np

from secondlook.pipeline.core.seeds import generator

# What a look is worth, for equal scores: a label that is wrong teaches more than one that is only hard to tell.
WORTH = {"SL101": 1.0, "SL103": 1.0, "SL102": 0.5}
NO_PAIR = ("", "")


@dataclass(frozen=True)
class Candidate:
    """A picture that could be asked for.

    `strategy` says why: the code of a rule, "again", "unlabeled" or "random". `value`, 0 to 1, is what a look at it is worth; `pair`
    the two classes that get confused, in order.
    """

    sample_id: str
    content_id: str
    strategy: str
    value: float
    pair: tuple[str, str] = NO_PAIR


def choose(
    doubted: Sequence[Candidate],
    unlabeled: Sequence[Candidate],
    rest: Sequence[Candidate],
    *,
    budget: int,
    random_share: float,
    seed: int,
) -> list[Candidate]:
    """At most `budget` candidates, the most valuable first; no content twice. See `arrange` for the order of a queue.

    `random_share` of the budget is drawn from all three lists alike; the remainder goes to `doubted` and `unlabeled` by turns, each from
    its most valuable, and what one does not use the other does. Equal values are in random order. The same
    arguments give the same batch.
    """
    rng = generator(seed, "review", "choose")
    n_random = round(budget * random_share)
    taken: set[str] = set()
    by_turns = (one for pair in zip_longest(_ranked(doubted, rng), _ranked(unlabeled, rng)) for one in pair if one)
    chosen = _take(by_turns, budget - n_random, taken)
    everything = sorted({one.sample_id: one for one in chain(rest, unlabeled, doubted)}.values(), key=_by_id)
    order = (everything[n] for n in rng.permutation(len(everything)))
    chosen += [replace(one, strategy="random") for one in _take(order, n_random, taken)]
    return chosen


def _by_id(one: Candidate) -> str:
    return one.sample_id


def _ranked(candidates: Sequence[Candidate], rng: np.random.Generator) -> list[Candidate]:
    ordered = sorted(candidates, key=_by_id)
    chance = rng.permutation(len(ordered))
    return [ordered[n] for n in sorted(range(len(ordered)), key=lambda n: (-ordered[n].value, chance[n]))]


def _take(candidates: Iterator[Candidate], n: int, taken: set[str]) -> list[Candidate]:
    """The first n whose content is not taken yet; takes them."""
    found: list[Candidate] = []
    for one in candidates:
        if len(found) >= n:
            break
        if one.content_id not in taken:
            taken.add(one.content_id)
            found.append(one)
    return found


def arrange(chosen: Sequence[Candidate], *, seed: int) -> list[Candidate]:
    """The order in which people see a batch: groups of a pair, those worth most first, each in random order."""
    rng = generator(seed, "review", "arrange")
    groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for one in sorted(chosen, key=_by_id):
        groups[one.pair].append(one)
    worth = {pair: sum(one.value for one in group) for pair, group in groups.items()}
    ordered = sorted(groups, key=lambda pair: (pair == NO_PAIR, -worth[pair], pair))
    return [groups[pair][n] for pair in ordered for n in rng.permutation(len(groups[pair]))]
