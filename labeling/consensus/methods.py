"""The ways to weigh answers that `[review] consensus` chooses from: ours, the majority, and three of crowd-kit's.

crowd-kit (Apache-2.0) is an extra, `pip install 'secondlook[crowd]'`: Dawid and Skene (1979) with full confusions, GLAD (Whitehill et al.
2009), MACE (Hovy et al. 2013). They know no probabilities: the model is one more worker there, who names its most probable class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from secondlook.labeling.consensus.layout import Floats, Ints, Voice
from secondlook.labeling.consensus.weigh import weigh
from secondlook.pipeline.core.errors import UserError, unknown

SEED = 7
MACE_STARTS = 10  # crowd-kit's default


@dataclass(frozen=True)
class Weighed:
    """What a method says: the probability of each (item, class) that it names, and of all classes besides.

    `items`, `labels`, `probs`, `alone` (by people alone): (P,), by item; `rest`: (N,). `weights`: (V,), by how much each vote moved the log odds of
    its class, and `reliability`: (A,), how often each person is right; both None where the method has no such thing. `found`:
    the parameters that say most, for the evidence.
    """

    items: Ints
    labels: Ints
    probs: Floats
    alone: Floats | None
    rest: Floats
    weights: Floats | None
    reliability: Floats | None
    found: dict[str, float]


def weighed(
    items: Ints, people: Ints, labels: Ints, classes: int, voice: Voice | None, n: int, known: Ints | None
) -> Weighed:
    """Ours: see `weigh`."""
    result = weigh(items, people, labels, classes, voice, n=n, known=known)
    p = result.parameters
    found = {"everybody": p.everybody, "spread": p.spread, "copied": p.copied, "sharpness": p.sharpness}
    return Weighed(
        result.items,
        result.labels,
        result.probs,
        None if voice is None else result.alone,
        result.rest,
        result.weights,
        result.reliability,
        {name: round(value, 4) for name, value in found.items()},
    )


def majority(
    items: Ints, people: Ints, labels: Ints, classes: int, voice: Voice | None, n: int, known: Ints | None
) -> Weighed:
    """The share of votes; the model is one more vote. Nothing is known of people, and nothing is learned."""
    items, _, labels = _with_model(items, people, labels, voice)
    keys, counts = np.unique(items * (classes + 1) + labels, return_counts=True)
    where = keys // (classes + 1)
    total = np.bincount(items, minlength=n)
    return Weighed(where, keys % (classes + 1), counts / total[where], None, np.zeros(n), None, None, {})


def crowd_kit(
    name: str, items: Ints, people: Ints, labels: Ints, classes: int, voice: Voice | None, n: int, known: Ints | None
) -> Weighed:
    """One of crowd-kit's aggregators. Its memory is O(items x classes)."""
    import pandas as pd

    items, people, labels = _with_model(items, people, labels, voice)
    table = _aggregator(name).fit_predict_proba(pd.DataFrame({"task": items, "worker": people, "label": labels}))
    probs = np.asarray(table, np.float64)
    row, column = np.nonzero(probs > 0)
    tasks, names = np.asarray(table.index, np.int64)[row], np.asarray(table.columns, np.int64)[column]
    order = np.lexsort((names, tasks))
    return Weighed(tasks[order], names[order], probs[row, column][order], None, np.zeros(n), None, None, {})


def _aggregator(name: str) -> Any:
    try:
        from crowdkit.aggregation.classification.dawid_skene import DawidSkene
        from crowdkit.aggregation.classification.glad import GLAD
        from crowdkit.aggregation.classification.mace import MACE
    except ImportError:
        raise UserError(
            f"[review] consensus = {name!r} needs crowd-kit: pip install 'secondlook[crowd]'; without it, choose from majority, weighed"
        ) from None
    if name == "dawid-skene":
        return DawidSkene(n_iter=100)
    return GLAD(silent=True) if name == "glad" else MACE(n_restarts=MACE_STARTS, random_state=SEED)


def _with_model(items: Ints, people: Ints, labels: Ints, voice: Voice | None) -> tuple[Ints, Ints, Ints]:
    if voice is None:
        return items, people, labels
    knows = np.flatnonzero((voice.classes >= 0).any(axis=1))
    best = np.where(voice.classes[knows] >= 0, voice.probs[knows], -1.0).argmax(axis=1)
    model = np.full(len(knows), int(people.max(initial=-1)) + 1)
    return (
        np.concatenate([items, knows]),
        np.concatenate([people, model]),
        np.concatenate([labels, voice.classes[knows, best]]),
    )


METHODS: dict[str, Callable[..., Weighed]] = {
    "weighed": weighed,
    "majority": majority,
    "dawid-skene": partial(crowd_kit, "dawid-skene"),
    "glad": partial(crowd_kit, "glad"),
    "mace": partial(crowd_kit, "mace"),
}


def method(name: str) -> Callable[..., Weighed]:
    """A method by its name in the settings; raises UserError for one that there is not."""
    if name not in METHODS:
        raise unknown("[review] consensus", name, METHODS)
    return METHODS[name]
