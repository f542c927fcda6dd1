"""The trial: specialists of every cluster from the nets of some folds, asked about what these folds held out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.specialists import choosing, fitting
from secondlook.jobs.specialists.choosing import Asked
from secondlook.jobs.specialists.fitting import How, Task
from secondlook.jobs.specialists.lessons import Lessons
from secondlook.jobs.train.checkpoints import Checkpoints
from secondlook.pipeline.core.clusters import Cluster, name_of
from secondlook.pipeline.core.models_config import SpecialistSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from secondlook.pipeline.learn.specialists.choice import Tried
    from secondlook.pipeline.learn.specialists.fit import Specialist

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float32]

HARD = 0.1  # a cluster stays hard where more than this share of its pictures is wrong even among its classes alone
DIVISIBLE = 4  # classes that a cluster has at least to be divided

# Makes sure that tasks are fitted somewhere else, as far as they are not yet.
Elsewhere = Callable[[Sequence[Task]], None]


@dataclass(frozen=True)
class Part:
    """A cluster that gets a specialist: its place among all, its `members`, class numbers, ascending; `parent`: the place of the one
    that it is a part of, -1 for none."""

    place: int
    cluster: Cluster
    members: tuple[int, ...]
    parent: int = -1

    def task(self, net: int, lessons: Lessons, seed: int, parts: "Sequence[Part]") -> Task:
        """The fit of its specialist from one of the generalist's nets, 0 or 1 + fold, without the pictures of that fold."""
        rows = lessons.learned[lessons.folds[lessons.learned] != net - 1] if net else lessons.learned
        start = _name(net, parts[self.parent]) if self.parent >= 0 else ""
        return Task(_name(net, self), net, self.members, rows, (seed * 100 + net) * 1000 + self.place, start)


def _name(net: int, part: Part) -> str:
    return f"{f'fold-{net - 1}' if net else 'whole'}.cluster-{part.place}"


@dataclass(frozen=True)
class Setting:
    """Where and by what specialists are fitted: the generalist's `nets`, that of all labels and those of each fold, asked in a
    `precision`; `elsewhere`: who fits them first, None where it is done here."""

    wanted: SpecialistSettings
    nets: "Sequence[nn.Module]"
    lessons: Lessons
    how: How
    where: "torch.device"
    precision: str
    checkpoints: Checkpoints
    elsewhere: Elsewhere | None = None

    def fitted(self, tasks: Sequence[Task], title: str, then: "Callable[[Task, Specialist], Any]") -> list[Any]:
        """What `then` makes of the specialists of tasks, those that others start from first."""
        found: dict[str, Any] = {}
        for begun in (False, True):
            some = [task for task in tasks if bool(task.start) == begun]
            if some and self.elsewhere is not None:
                self.elsewhere(some)
            if some:
                made = fitting.fit_here(
                    some, self.nets, self.lessons, self.how, self.where, self.checkpoints, title, then
                )
                found |= {task.name: one for task, one in zip(some, made, strict=True)}
        return [found[task.name] for task in tasks]

    def ask(self, ask: Any, rows: Ints) -> Reals:
        """(n, …) what `ask`, pictures → values, says of rows (n,)."""
        from secondlook.pipeline.learn.specialists.together import asked

        return asked(ask, self.lessons.pixels, rows, self.precision, self.where)

    def probs(self, net: int, rows: Ints) -> Reals:
        """(n, K) probabilities by one of the generalist's nets."""
        import torch

        one = self.nets[net].eval()
        return self.ask(lambda shown: torch.softmax(one(shown).float(), dim=1), rows)


@dataclass(frozen=True)
class Trial:
    """`parts` that were tried, in the order of what their specialists `said`; what became of each; held-out pictures by halves."""

    parts: tuple[Part, ...]
    tried: "tuple[Tried, ...]"
    chose: Asked
    others: Asked

    @property
    def kept(self) -> list[int]:
        """Places of those that are kept, ascending."""
        return sorted(one.specialist for one in self.tried if one.kept)


def trial(setting: Setting, parts: Sequence[Part], names: Sequence[str]) -> Trial:
    """Fit specialists of all parts from the nets of the first folds, and choose. `names`: of the K classes."""
    wanted, lessons = setting.wanted, setting.lessons
    rows = [lessons.held_out(fold) for fold in range(wanted.folds)]
    there = np.concatenate(rows)
    p_g = np.concatenate([setting.probs(1 + fold, rows[fold]) for fold in range(wanted.folds)])
    asked = Asked(there, lessons.labels[there], p_g, (), (), wanted.active)
    asked = _beside(asked, setting, parts, parts, "trying specialists")
    chose, others = choosing.halves(asked, lessons)
    tried = choosing.chosen(chose, wanted.confidence)
    if wanted.levels > 1 and (deeper := _divided(parts, chose, [one.specialist for one in tried if one.kept], names)):
        parts = [*parts, *deeper]
        asked = _beside(asked, setting, deeper, parts, "trying specialists of parts")
        chose, others = choosing.halves(asked, lessons)
        tried = choosing.chosen(chose, wanted.confidence)
    return Trial(tuple(parts), tuple(tried), chose, others)


def _beside(asked: Asked, setting: Setting, new: Sequence[Part], parts: Sequence[Part], title: str) -> Asked:
    """What the specialists of `new` parts say of the same pictures, too."""
    wanted, lessons = setting.wanted, setting.lessons
    tasks = [part.task(1 + fold, lessons, wanted.seed, parts) for part in new for fold in range(wanted.folds)]

    def then(task: Task, one: "Specialist") -> Reals:
        one.net.eval()
        return setting.ask(one.probs, lessons.held_out(task.net - 1))

    said = setting.fitted(tasks, title, then)
    by_part = [np.concatenate(said[at : at + wanted.folds]) for at in range(0, len(said), wanted.folds)]
    return asked.with_said(by_part, [np.array(part.members) for part in new])


def _divided(parts: Sequence[Part], chose: Asked, kept: Sequence[int], names: Sequence[str]) -> list[Part]:
    """Parts of the kept clusters that stay hard: classes that are confused even among the cluster's alone."""
    from secondlook.pipeline.learn.clusters.answers import Answers
    from secondlook.pipeline.learn.clusters.find import find, links_of
    from secondlook.pipeline.learn.specialists import choice

    probs = chose.together(kept)
    found: list[Part] = []
    for number in sorted(kept):
        part, members = parts[number], np.array(parts[number].members)
        right, rows = choice.conditional(probs, chose.labels, [members])
        if len(members) < DIVISIBLE or not len(rows) or 1 - right.mean() <= HARD:
            continue
        within = probs[np.ix_(rows, members)]
        within = within / within.sum(axis=1, keepdims=True)
        links = links_of(Answers.whole(within, np.searchsorted(members, chose.labels[rows])), "greedy")
        for some in find(links, "greedy", 0, len(members) // 2):
            classes = tuple(names[i] for i in members[list(some)])
            name = name_of(classes, {one.cluster.name for one in [*parts, *found]})
            place = len(parts) + len(found)
            found.append(
                Part(place, Cluster(name, classes, 1, part.cluster.name), tuple(members[list(some)].tolist()), number)
            )
    return found
