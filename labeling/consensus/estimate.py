"""The two steps of the estimate: what each item is, given people and model; and people and model, given the items."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit

from secondlook.labeling.consensus.layout import Floats, Layout

RIGHT = 0.8  # before anything is known of them, people are right this often
SPREAD = 0.75  # a hard picture takes so much off the log odds of a right answer, an easy one adds as much
EVERYBODY = float(logit(RIGHT)) + 0.16758  # with SPREAD and half of the pictures hard, that is RIGHT on the whole
WIDTH = 0.8  # deviation of the log odds between people and between classes, where too few have answered to tell
WORTH = 10.0  # people (classes, pairs) whose differences WIDTH counts as when the width is estimated
HABIT = 10.0  # mistakes of one's own that are worth as much as everybody's
COPIED = 0.2  # of the mistakes, how many go where the model looks, before any is seen …
OFF = 0.02  # and how often the model is off its ground, so that its probabilities say nothing
SEEN = 20.0  # … as if that had been seen so many times
LOOSE = 0.5  # deviation of what is believed beforehand of spread, sharpness and tilt
HARD = (0.0, 0.5)  # log odds that a picture is hard: of an average one, and for a deviation of the model's entropy


@dataclass(frozen=True)
class Parameters:
    """All that is estimated. K classes, A people, G pairs (person, class) of the layout.

    Log odds of a right answer: `everybody` + `by_class` (K + 1,) + `by_person` (A,) + `by_both` (G,), plus `spread` for an easy picture, minus it
    for a hard one; `widths` are the deviations of the three effects. `hard`: intercept and slope of the log odds that a picture is hard.
    `habit`: (H,) shares of mistakes, `own`: (O,) those of single people; `copied`: the share of mistakes that the model foretells.
    Prior of a class: the model's probability to the power of `sharpness` times exp(`tilt`) (K + 1,), with probability 1 - `off`, else uniform.
    """

    everybody: float
    by_class: Floats
    by_person: Floats
    by_both: Floats
    widths: tuple[float, float, float]
    spread: float
    hard: tuple[float, float]
    habit: Floats
    own: Floats
    copied: float
    sharpness: float
    tilt: Floats
    off: float


@dataclass(frozen=True)
class Beliefs:
    """What the items are: `probs` (P, 2) of each pair, easy and hard; `logs` (P, 2) the same, not normalised."""

    probs: Floats
    logs: Floats
    answers: Floats  # (E, 2): log probability of each vote, were the pair's class and the difficulty true
    copied: Floats  # (E of wrong ones,): the share of such a mistake that the model foretells
    on: Floats  # (P,): the share of the pair's prior that comes from the model

    @property
    def of_pairs(self) -> Floats:
        """(P,): each pair's probability, easy or hard."""
        return np.asarray(self.probs.sum(axis=1), np.float64)


def start(layout: Layout, people: int) -> Parameters:
    """What is believed before any vote is seen."""
    k = layout.classes
    return Parameters(
        EVERYBODY,
        np.zeros(k + 1),
        np.zeros(people),
        np.zeros(len(layout.group_people)),
        (WIDTH, WIDTH, WIDTH / 2),
        SPREAD,
        HARD,
        np.full(len(layout.habit_labels), 1.0 / max(k - 1, 1)),
        np.full(len(layout.own_groups), 1.0 / max(k - 1, 1)),
        COPIED,
        1.0,
        np.zeros(k + 1),
        OFF,
    )


def odds(layout: Layout, p: Parameters) -> Floats:
    """(G, 2): log odds of a right answer, easy and hard."""
    middle = p.everybody + p.by_class[layout.group_labels] + p.by_person[layout.group_people] + p.by_both
    return np.asarray(middle[:, None] + np.array([p.spread, -p.spread]), np.float64)


def prior(layout: Layout, p: Parameters, *, model: bool = True) -> tuple[Floats, Floats]:
    """(P,) log probability of each pair before its votes, and (P,) the share of it that the model answers for."""
    uniform = layout.many / layout.classes
    if not model:
        return np.log(uniform), np.zeros(len(uniform))
    score = p.sharpness * np.log(layout.model) + p.tilt[layout.labels] + np.log(layout.many)
    score = np.exp(score - layout.top(score)[layout.items])
    told = score / layout.total(score)[layout.items]
    told = np.where(layout.known[layout.items], told, uniform)
    mixed = (1.0 - p.off) * told + p.off * uniform
    return np.log(mixed), (1.0 - p.off) * told / mixed


def believe(layout: Layout, p: Parameters, *, model: bool = True) -> Beliefs:
    """What each item is, given the parameters; without the model's voice if `model` is False."""
    before, on = prior(layout, p, model=model)
    lean = p.hard[0] + (p.hard[1] * layout.entropy if model else 0.0) * np.ones(len(layout.first))
    logs = before[:, None] + np.stack([log_expit(-lean), log_expit(lean)], axis=1)[layout.items]
    x = odds(layout, p)
    sure, err = log_expit(x), log_expit(-x)
    wrong = ~layout.right
    share = p.copied if model else 0.0
    foretold = share * np.where(layout.known[layout.items[layout.pair[wrong]]], layout.likely[wrong], p.own[layout.own])
    mistake = (1.0 - share) * p.own[layout.own] + foretold
    answers = np.where(layout.right[:, None], sure[layout.group], err[layout.group])
    answers[wrong] += np.log(mistake)[:, None]
    for d in (0, 1):
        logs[:, d] += np.bincount(layout.pair, answers[:, d], minlength=len(logs))
    weight = np.exp(logs - layout.top(logs.max(axis=1))[layout.items, None])
    probs = weight / layout.total(weight.sum(axis=1))[layout.items, None]
    return Beliefs(probs, logs, answers, foretold / mistake, on)


def learn(layout: Layout, p: Parameters, beliefs: Beliefs, counts: NDArray[np.bool_]) -> Parameters:
    """Parameters that make the votes more likely; `counts` (N,): the items that tell anything of people."""
    probs = beliefs.probs * counts[layout.items, None]
    p = _people(layout, p, probs)
    p = _habits(layout, p, probs, beliefs.copied)
    p = _difficulty(layout, p, probs)
    return _model(layout, p, probs.sum(axis=1), beliefs.on) if layout.known.any() else p


def _people(layout: Layout, p: Parameters, probs: Floats) -> Parameters:
    """One Newton step for each effect in turn, and the widths of the effects from what the effects are."""
    groups = len(layout.group_people)
    right = np.zeros((groups, 2))
    asked = np.zeros((groups, 2))
    for d in (0, 1):
        weight = probs[layout.pair, d]
        asked[:, d] = np.bincount(layout.group, weight, minlength=groups)
        right[:, d] = np.bincount(layout.group[layout.right], weight[layout.right], minlength=groups)

    def slope() -> tuple[Floats, Floats]:
        chance = expit(odds(layout, p))
        return right - asked * chance, asked * chance * (1.0 - chance)

    gradient, bend = slope()
    moved = (gradient.sum() - (p.everybody - EVERYBODY) / WIDTH**2) / (bend.sum() + 1.0 / WIDTH**2)
    p = replace(p, everybody=p.everybody + float(moved))
    widths: list[float] = []
    for name, index, size, first in (
        ("by_class", layout.group_labels, layout.classes + 1, WIDTH),
        ("by_person", layout.group_people, len(p.by_person), WIDTH),
        ("by_both", np.arange(groups), groups, WIDTH / 2),
    ):
        width = p.widths[len(widths)]
        gradient, bend = slope()
        value = getattr(p, name)
        g: Floats = np.bincount(index, gradient.sum(axis=1), minlength=size).astype(np.float64)
        h: Floats = np.bincount(index, bend.sum(axis=1), minlength=size).astype(np.float64)
        if name != "by_person":  # a class that nobody named may be any of them
            g, h = _shared(layout, g, name), _shared(layout, h, name)
        g, h = g - value / width**2, h + 1.0 / width**2
        value = value + np.clip(g / h, -1.0, 1.0)
        moves: dict[str, Any] = {name: _averaged(layout, value, name)}
        p = replace(p, **moves)
        used = np.bincount(index, asked.sum(axis=1), minlength=size) > 0
        square = (value**2 + 1.0 / h)[used].sum() + WORTH * first**2
        widths.append(float(np.sqrt(square / (used.sum() + WORTH))))
    gradient, bend = slope()
    apart = float((gradient[:, 0] - gradient[:, 1]).sum()) - (p.spread - SPREAD) / LOOSE**2
    spread = p.spread + float(np.clip(apart / (float(bend.sum()) + 1.0 / LOOSE**2), -0.5, 0.5))
    return replace(p, spread=max(spread, 0.0), widths=(widths[0], widths[1], widths[2]))


def _shared(layout: Layout, sums: Floats, name: str) -> Floats:
    """What was found of classes that nobody named, in equal parts to all classes."""
    if name == "by_class":
        return np.append(sums[:-1] + sums[-1] / layout.classes, sums[-1])
    rest = layout.group_labels == layout.classes
    people = layout.group_people
    by_person = np.bincount(people[rest], sums[rest], minlength=int(people.max(initial=0)) + 1) / layout.classes
    return np.where(rest, sums, sums + by_person[people])


def _averaged(layout: Layout, effects: Floats, name: str) -> Floats:
    """The effects, with the mean of all classes for a class that nobody named."""
    if name == "by_class":
        return np.append(effects[:-1], effects[:-1].mean())
    if name == "by_both":
        rest = layout.group_labels == layout.classes
        people = layout.group_people
        mean = np.bincount(people[~rest], effects[~rest], minlength=int(people.max(initial=0)) + 1) / layout.classes
        return np.where(rest, mean[people], effects)
    return effects


def _habits(layout: Layout, p: Parameters, probs: Floats, copied: Floats) -> Parameters:
    """Where mistakes go: of each person and class, shrunken to everybody's of that class, and that to all classes alike."""
    weight = probs.sum(axis=1)[layout.pair[~layout.right]]
    known = layout.known[layout.items[layout.pair[~layout.right]]]
    foretold = float((weight * copied)[known].sum())
    share = (COPIED * SEEN + foretold) / (SEEN + float(weight[known].sum()))
    weight = weight * np.where(known, 1.0 - copied, 1.0)
    by_habit = np.bincount(layout.habit, weight, minlength=len(p.habit))
    by_habit[layout.habit_labels == layout.classes] = 0.0
    by_class = np.bincount(layout.habit_labels, by_habit, minlength=layout.classes + 1)
    habit = (by_habit + HABIT / max(layout.classes - 1, 1)) / (by_class + HABIT)[layout.habit_labels]
    by_own = np.bincount(layout.own, weight, minlength=len(p.own))
    by_own[layout.group_labels[layout.own_groups] == layout.classes] = 0.0
    by_group = np.bincount(layout.own_groups, by_own, minlength=len(layout.group_people))
    own = (by_own + HABIT * habit[layout.own_habits]) / (by_group + HABIT)[layout.own_groups]
    return replace(p, habit=habit, own=own, copied=share)


def _difficulty(layout: Layout, p: Parameters, probs: Floats) -> Parameters:
    """One Newton step for the two numbers that say how likely a picture is hard."""
    easy_hard = layout.total(probs)
    asked = easy_hard.sum(axis=1)
    chance = expit(p.hard[0] + p.hard[1] * layout.entropy)
    features = np.stack([np.ones_like(layout.entropy), layout.entropy])
    gradient = features @ (easy_hard[:, 1] - asked * chance) - (np.array(p.hard) - HARD)
    bend = (features * (asked * chance * (1.0 - chance))) @ features.T + np.eye(2)
    step = np.clip(np.linalg.solve(bend, gradient), -0.5, 0.5)
    return replace(p, hard=(p.hard[0] + float(step[0]), p.hard[1] + float(step[1])))


def _model(layout: Layout, p: Parameters, probs: Floats, on: Floats) -> Parameters:
    """One Newton step for how sharp the model's probabilities are and for each class's tilt; how often it is off."""
    known = layout.known[layout.items]
    weight = np.where(known, probs * on, 0.0)
    seen = float(probs[known].sum())
    off = (OFF * SEEN + float(probs[known].sum() - weight.sum())) / (SEEN + seen)
    before, _ = prior(layout, replace(p, off=0.0))
    told = np.exp(before)
    of_item = layout.total(weight)
    logs = np.log(layout.model)
    mean = layout.total(told * logs)
    variance = layout.total(told * logs**2) - mean**2
    gradient = float((weight * logs).sum() - of_item @ mean) - (p.sharpness - 1.0) / LOOSE**2
    sharpness = p.sharpness + float(np.clip(gradient / (float(of_item @ variance) + 1.0 / LOOSE**2), -0.3, 0.3))
    size = layout.classes + 1
    g = np.bincount(layout.labels, weight - of_item[layout.items] * told, minlength=size) - p.tilt / LOOSE**2
    h = np.bincount(layout.labels, of_item[layout.items] * told * (1.0 - told), minlength=size) + 1.0 / LOOSE**2
    return replace(p, sharpness=max(sharpness, 0.05), tilt=p.tilt + np.clip(g / h, -0.3, 0.3), off=off)
