"""Votes laid out for sums: each item's classes that matter (its pairs), and each vote against each of them (its expansions).

Memory is O(votes x classes that matter of an item), whatever the number of classes and people.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FLOOR = 1e-6  # a model's smallest probability: what it says of a class that it rules out


@dataclass(frozen=True)
class Voice:
    """A model's out-of-sample probabilities of N items: its T most probable classes.

    classes: (N, T), -1 fills a row; probs: (N, T), 0 where filled. What a row leaves is shared by the other classes. A row without any class
    is an item that the model does not know.
    """

    classes: Ints
    probs: Floats

    @classmethod
    def dense(cls, probs: NDArray[np.floating], keep: int = 10) -> "Voice":
        """From probs (N, K), rows that sum to 1; the `keep` most probable stay. Rows of NaN are items that the model does not know."""
        known = ~np.isnan(probs).any(axis=1)
        keep = min(keep, probs.shape[1])
        filled = np.where(known[:, None], probs, 0.0).astype(np.float64)
        top = np.argpartition(-filled, keep - 1, axis=1)[:, :keep].astype(np.int64)
        return cls(np.where(known[:, None], top, -1), np.take_along_axis(filled, top, axis=1))


@dataclass(frozen=True)
class Layout:
    """P pairs by item, E expansions by vote.

    Pairs: `items`, `labels` (P,) (label K: all classes of the item that have no pair), `many` (P,): how many classes a pair stands for, `first`
    (N,): where an item's pairs begin, `model` (P,): the model's probability of one of these classes (uniform where it does not know the item).
    Items: `known` to the model, `entropy` of the model (N,), deviations from the mean; 0 where it does not know.
    Votes: `votes_of` (N,), how many each item has. Expansions: `vote`, `pair` (E,), `right` whether the vote names the pair's class,
    `likely` the share that the vote's class has in what the model leaves to the classes besides the pair's; `group` the pair (person, class) of
    `group_people`, `group_labels`; `habit` and `habits_of` number (class, class named), and `own` (person, class, class named), of wrong ones.
    """

    classes: int
    items: Ints
    labels: Ints
    many: Floats
    first: Ints
    model: Floats
    known: NDArray[np.bool_]
    entropy: Floats
    votes_of: Ints
    vote: Ints
    pair: Ints
    right: NDArray[np.bool_]
    likely: Floats
    group: Ints
    group_people: Ints
    group_labels: Ints
    habit: Ints
    habit_labels: Ints
    own: Ints
    own_groups: Ints
    own_habits: Ints

    def top(self, values: Floats) -> Floats:
        """(P, …) to (N, …): the largest of each item."""
        return np.maximum.reduceat(values, self.first, axis=0)

    def total(self, values: Floats) -> Floats:
        """(P, …) to (N, …): the sum of each item."""
        return np.add.reduceat(values, self.first, axis=0)


def lay_out(items: Ints, people: Ints, labels: Ints, classes: int, n: int, voice: Voice | None) -> Layout:
    """The layout of V votes: vote v is person `people[v]`'s, who named class `labels[v]` for item `items[v]` of n."""
    pair_items, pair_labels, model, many, known = _pairs(items, labels, classes, n, voice)
    first = np.searchsorted(pair_items, np.arange(n))
    sizes = np.diff(np.append(first, len(pair_items)))
    vote = np.repeat(np.arange(len(items)), sizes[items])
    starts = np.cumsum(sizes[items]) - sizes[items]
    pair = first[items][vote] + np.arange(len(vote)) - starts[vote]
    right = pair_labels[pair] == labels[vote]
    said = pair[right]  # of each vote, in order: the pair that it names
    left = 1.0 - model[pair]
    likely = np.clip(model[said][vote] / np.maximum(left, FLOOR), FLOOR, 1.0)
    likely = np.where(known[items][vote], likely, 1.0 / max(classes - 1, 1))
    wide = classes + 1
    groups, group = np.unique(people[vote] * wide + pair_labels[pair], return_inverse=True)
    wrong = ~right
    habits, habit = np.unique(pair_labels[pair][wrong] * wide + labels[vote][wrong], return_inverse=True)
    owns, own = np.unique(group[wrong] * len(habits) + habit, return_inverse=True)
    entropy = -np.add.reduceat(many * model * np.log(np.maximum(model, FLOOR)), first)
    spread = float(entropy[known].std()) if known.any() else 0.0
    entropy = np.where(known, (entropy - entropy[known].mean()) / spread, 0.0) if spread > 0 else np.zeros(n)
    return Layout(
        classes, pair_items, pair_labels, many, first, model, known, entropy, np.bincount(items, minlength=n),
        vote, pair, right, likely, group, groups // wide, groups % wide, habit, habits // wide, own,
        owns // max(len(habits), 1), owns % max(len(habits), 1),
    )  # fmt: skip


def _pairs(
    items: Ints, labels: Ints, classes: int, n: int, voice: Voice | None
) -> tuple[Ints, Ints, Floats, Floats, NDArray[np.bool_]]:
    """Item, class, model's probability and number of classes of each pair; and which items the model knows."""
    wide = classes + 1
    keys = items * wide + labels
    told: Ints = np.zeros(0, np.int64)
    row: Ints = told
    probs: Floats = np.zeros(0)
    known = np.zeros(n, np.bool_)
    if voice is not None:
        row, column = np.nonzero(voice.classes >= 0)
        known[row] = True
        order = np.lexsort((voice.classes[row, column], row))
        row, column = row[order], column[order]
        told, probs = row * wide + voice.classes[row, column], voice.probs[row, column].astype(np.float64)
        keys = np.concatenate([keys, told])
    keys = np.unique(np.concatenate([keys, np.arange(n) * wide + classes]))  # the last: all other classes
    pair_items, pair_labels = keys // wide, keys % wide
    mentioned = np.bincount(pair_items, minlength=n) - 1
    many = np.where(pair_labels == classes, (classes - mentioned)[pair_items], 1).astype(np.float64)
    keep = many > 0
    model: Floats = np.full(len(keys), 1.0 / classes)
    if len(told):
        place = np.searchsorted(told, keys)
        found = told[np.minimum(place, len(told) - 1)] == keys
        model[found] = probs[np.minimum(place, len(told) - 1)][found]
        left = 1.0 - np.bincount(row, probs, minlength=n)
        others = classes - np.bincount(row, minlength=n)
        share = np.clip(left, 0.0, None) / np.maximum(others, 1)
        unsaid = ~found & known[pair_items]
        model[unsaid] = share[pair_items[unsaid]]
    model = np.maximum(model, FLOOR)
    total = np.bincount(pair_items[keep], (model * many)[keep], minlength=n)
    return pair_items[keep], pair_labels[keep], (model / total[pair_items])[keep], many[keep], known
