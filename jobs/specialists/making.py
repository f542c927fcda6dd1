"""The set that is kept: specialists from the net of all labels, measured on the split that nothing learns from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.specialists import choosing, fitting
from secondlook.jobs.specialists.tried import Part, Setting, Trial
from secondlook.pipeline.core.seeds import generator

if TYPE_CHECKING:
    from secondlook.pipeline.core.clusters import Cluster
    from secondlook.pipeline.learn.specialists.together import Together

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float32]


def parts_of(
    clusters: "Sequence[Cluster]", classes: Sequence[str], setting: Setting
) -> tuple[list[Part], list[tuple[str, str]]]:
    """The clusters that a specialist can be made for, and (name, why) of those that it can't."""
    place = {name: number for number, name in enumerate(classes)}
    lessons = setting.lessons
    parts: list[Part] = []
    left_out: list[tuple[str, str]] = []
    for cluster in clusters:
        if cluster.level >= setting.wanted.levels:
            continue
        members = tuple(sorted(place[name] for name in cluster.classes if name in place))
        learned = np.isin(lessons.labels[lessons.learned], members)
        folds = lessons.folds[lessons.learned][learned]
        if len(members) < 2:
            left_out.append((cluster.name, "fewer than two of its classes are known to the generalist"))
        elif len(members) == len(classes):
            left_out.append((cluster.name, "it has all classes: there is nothing beside it"))
        elif any(not (folds != fold).any() for fold in range(-1, setting.wanted.folds)):
            left_out.append((cluster.name, "there is no picture of it to learn from"))
        else:
            parent = next((part.place for part in parts if part.cluster.name == cluster.parent), -1)
            parts.append(Part(len(parts), cluster, members, parent))
    return parts, left_out


@dataclass(frozen=True)
class Made:
    """A generalist's net with the `kept` specialists, and their calibrated probabilities (n, K) of pictures that nothing learned
    from: `unseen`, and by specialists of the folds `held_out`."""

    together: "Together"
    kept: tuple[Part, ...]
    unseen: Reals
    held_out: Reals
    test: Mapping[str, Any] | None


def made(setting: Setting, trial: Trial, epochs: int) -> Made:
    """Fit the specialists that are kept, from the net of all labels, and ask them. `epochs`: of the generalist's net."""
    from secondlook.pipeline.learn.calibration import at_temperature, fit_temperature
    from secondlook.pipeline.learn.specialists.together import Together

    lessons, parts = setting.lessons, trial.parts
    first = trial.chose.together(trial.kept)
    temperature = fit_temperature(trial.chose.labels, first)
    begun = {parts[number].parent for number in trial.kept} - {-1}
    tasks = [parts[number].task(0, lessons, setting.wanted.seed, parts) for number in sorted({*trial.kept, *begun})]
    found = setting.fitted(tasks, "fitting those that are kept", lambda task, one: one)
    by_name = {task.name: one for task, one in zip(tasks, found, strict=True)}
    kept = [parts[number] for number in trial.kept]
    specialists = [by_name[part.task(0, lessons, setting.wanted.seed, parts).name] for part in kept]
    together = Together(setting.nets[0], specialists, setting.wanted.active, temperature)
    n_classes = setting.how.n_classes
    unseen = (
        setting.ask(together.probs, lessons.unseen) if len(lessons.unseen) else np.zeros((0, n_classes), np.float32)
    )
    held_out = np.concatenate([first, trial.others.together(trial.kept)])
    nets = cost(setting, kept, parts) / (epochs * max(1, len(lessons.learned)))
    test = _on_test(setting, kept, unseen, nets) if len(lessons.asked) else None
    return Made(together, tuple(kept), unseen, at_temperature(held_out, temperature), test)


def _on_test(setting: Setting, kept: Sequence[Part], unseen: Reals, nets: float) -> dict[str, Any]:
    """The set beside its own net, and beside that net averaged with others of the generalist's that cost as much to fit.

    `unseen` (n, K): of the lessons' rows of that name; `nets`: what the specialists cost, in nets of the generalist.
    """
    lessons = setting.lessons
    after = unseen[np.searchsorted(lessons.unseen, lessons.asked)]
    before = setting.probs(0, lessons.asked)
    further = range(1, 1 + min(len(setting.nets) - 1, max(1, math.ceil(nets))))
    control = np.mean([before, *(setting.probs(net, lessons.asked) for net in further)], axis=0)
    right = [probs.argmax(axis=1) == lessons.told for probs in (control, after)]
    seed = setting.wanted.seed
    return {
        **choosing.figures(before, after, lessons.told, [np.array(part.members) for part in kept], seed),
        "cost_in_nets": round(nets, 2),
        "control_nets": 1 + len(further),
        "over_control": choosing.gain_of(right[0], right[1], generator(seed, "gain over control")),
    }


def cost(setting: Setting, parts: Sequence[Part], all_parts: Sequence[Part], net: int = 0) -> float:
    """What it takes to fit specialists of parts, in pictures that a net alone is shown."""
    from secondlook.pipeline.learn.specialists import choice

    tasks = [part.task(net, setting.lessons, setting.wanted.seed, all_parts) for part in parts]
    pictures = sum(fitting.shown(task, setting.lessons.labels, setting.how) for task in tasks)
    return choice.spent(pictures, taught=setting.how.soft > 0)
