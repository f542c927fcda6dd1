"""All students and their teachers on the same pictures, on the same machine, in the same minutes: the points of a frontier."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from secondlook.jobs.frontier import held_out
from secondlook.jobs.frontier.asked import Asked
from secondlook.jobs.frontier.everyone import clusters_of, everyone
from secondlook.jobs.frontier.held_out import HeldOut
from secondlook.jobs.frontier.points import Answers, points
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal import console
from secondlook.jobs.train import features
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.frontier import Frontier
from secondlook.pipeline.core.seeds import generator

if TYPE_CHECKING:
    import torch

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

BATCH = 64
LEAST_ROUNDS = 6  # of the batch, which takes long and a third of the rounds: fewer could never tell two apart


def measured(lake: Lake, version: Version, settings: Settings, where: "torch.device", *, verified: bool) -> Frontier:
    """The frontier of a version, measured now; nothing is written. Raises UserError where there is nobody or nothing to measure."""
    wanted = settings.frontier
    asked, notes = everyone(lake, version)
    held = held_out.load(lake, version, settings, verified=verified)
    held, before = _teachers(lake, version, asked, held)
    held, pixels, kept = _pixels(lake, version, settings, asked, held)
    held = held_out.grouped(lake, version, settings, held)
    before = {model: said[kept] for model, said in before.items()}
    clusters = _clusters(lake, version, asked, held.classes)
    right, within = _right(asked, held, pixels, before, clusters)
    rows = _attacked_rows(settings, asked, held)
    single = _seconds(asked, 1, wanted.repeats)
    batch = _seconds(asked, BATCH, max(wanted.repeats // 3, LEAST_ROUNDS))
    under_attack = _attacked(lake, version, settings, asked, held, rows, where)
    answers = Answers(right, within, single, batch, under_attack)
    return Frontier(
        points(settings, asked, held, answers), held.words, len(held.labels), held.held_out,
        wanted.attack, len(rows), wanted.repeats, wanted.worst_group, wanted.forgotten, version.id, wanted.seed,
        (*held.notes, *notes),
    )  # fmt: skip


# Answers


def _teachers(
    lake: Lake, version: Version, asked: Sequence[Asked], held: HeldOut
) -> tuple[HeldOut, dict[str, npt.NDArray[np.float32]]]:
    """What teachers said of the pictures, as it is stored: out of sample. Pictures that one of them has not scored are left out."""
    said, kept = {}, np.ones(len(held.labels), np.bool_)
    for one in asked:
        if one.role == "teacher":
            said[one.model], there = held_out.said(lake, version, one.model, held.content_ids, len(one.classes))
            kept &= there
    if not kept.any():
        raise UserError("the teacher has scored none of the pictures; `secondlook train --score-only` does")
    why = "have no score of the teacher (`secondlook train --score-only` gives one)"
    return held.only(kept, why), {model: its[kept] for model, its in said.items()}


def _pixels(
    lake: Lake, version: Version, settings: Settings, asked: Sequence[Asked], held: HeldOut
) -> tuple[HeldOut, dict[int, Pixels], Flags]:
    """The pictures at the sides that students take, without those that can't be read; and which (N,) could."""
    sides = sorted({one.image_px for one in asked if one.role == "student"})
    read = {side: features.pixels(lake, version, held.content_ids, side, settings.ingest) for side in sides}
    kept = np.logical_and.reduce([there for _, there in read.values()])
    if not kept.any():
        raise UserError("none of the pictures can be read")
    return held.only(kept, "can't be read"), {side: its[kept] for side, (its, _) in read.items()}, kept


def _clusters(lake: Lake, version: Version, asked: Sequence[Asked], classes: Sequence[str]) -> list[Ints]:
    """Numbers of the classes of each cluster of the newest teacher that has some; clusters of one class say nothing."""
    place = {name: number for number, name in enumerate(classes)}
    for one in asked:
        found = clusters_of(lake, version, one.model) if one.role == "teacher" else []
        if found:
            inside = [np.array([place[name] for name in names if name in place], np.int64) for names in found]
            return [its for its in inside if len(its) > 1]
    return []


def _right(
    asked: Sequence[Asked],
    held: HeldOut,
    pixels: Mapping[int, Pixels],
    before: Mapping[str, npt.NDArray[np.float32]],
    clusters: Sequence[Ints],
) -> tuple[Flags, Flags]:
    """(M, N) who was right, and (M, P) who was where only the classes of a cluster were allowed."""
    from secondlook.pipeline.learn.specialists.choice import conditional

    right, within = [], []
    students = sum(one.role == "student" for one in asked)
    with console.progress("asking students", students * len(held.labels)) as advance:
        for one in asked:
            said = before[one.model] if one.role == "teacher" else one.ask(pixels[one.image_px])
            scores = _over(said, one.classes, held.classes)
            right.append(scores.argmax(axis=1) == held.labels)
            within.append(conditional(scores, held.labels, clusters)[0])
            advance(len(held.labels) if one.role == "student" else 0)
    return np.stack(right), np.stack(within)


def _over(said: npt.NDArray[np.float32], own: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.float32]:
    """Logits or probabilities (n, k) of a model's own classes as scores (n, K) of all classes: those it does not know come last."""
    place = {name: number for number, name in enumerate(classes)}
    known = [(number, place[name]) for number, name in enumerate(own) if name in place]
    scores = np.full((len(said), len(classes)), -np.inf, np.float32)
    if known:
        mine, theirs = np.array(known).T
        scores[:, theirs] = said[:, mine]
    return scores


# Under attack


def _attacked_rows(settings: Settings, asked: Sequence[Asked], held: HeldOut) -> Ints:
    """Rows of the pictures that are attacked: as many as the settings say, at random, of classes that all know."""
    wanted = settings.frontier
    if not wanted.attack:
        return np.zeros(0, np.int64)
    shared = set(held.classes).intersection(*(one.classes for one in asked))
    known = np.flatnonzero([held.classes[label] in shared for label in held.labels])
    drawn = generator(wanted.seed, "attacked").permutation(known)[: wanted.attacked]
    return np.sort(drawn)


def _attacked(
    lake: Lake,
    version: Version,
    settings: Settings,
    asked: Sequence[Asked],
    held: HeldOut,
    rows: Ints,
    where: "torch.device",
) -> dict[int, tuple[Flags, Flags, Flags]]:
    """Who is right of the attacked pictures, by place; an int8 student is shown what fools the net that it was quantized from."""
    from secondlook.pipeline.learn.students.attack import attacked, fgsm, pgd

    wanted = settings.frontier
    some = [held.content_ids[row] for row in rows]
    attacks = (
        partial(fgsm, epsilon=wanted.attack),
        partial(pgd, epsilon=wanted.attack, steps=wanted.steps, seed=wanted.seed),
    )
    shown: dict[int, Pixels] = {}
    changed: dict[str, tuple[Pixels, ...]] = {}
    found = {}
    nets = {one.weights for one in asked if one.module is not None}
    with console.progress("attacking", len(nets) * len(rows)) as advance:
        for number, one in enumerate(asked):
            if one.module is None or not len(rows):
                continue
            if one.image_px not in shown:
                shown[one.image_px] = features.pixels(lake, version, some, one.image_px, settings.ingest)[0]
            calm = shown[one.image_px]
            if one.weights not in changed:
                own = {name: place for place, name in enumerate(one.classes)}
                labels = np.array([own[held.classes[held.labels[row]]] for row in rows], np.int64)
                net = one.module().to(where)
                changed[one.weights] = tuple(attacked(net, calm, labels, attack, where) for attack in attacks)
                net.cpu()
                advance(len(rows))
            hits = [
                _over(one.ask(pictures), one.classes, held.classes).argmax(axis=1) == held.labels[rows]
                for pictures in (calm, *changed[one.weights])
            ]
            found[number] = (hits[0], hits[1], hits[2])
    return found


# On the clock


def _seconds(asked: Sequence[Asked], batch: int, repeats: int) -> Reals:
    """(R, M) seconds for a batch, on one thread."""
    from secondlook.pipeline.learn import torch_setup
    from secondlook.pipeline.learn.students.timing import rounds

    rng = np.random.default_rng(0)
    shown = [rng.integers(0, 256, (batch, one.image_px, one.image_px, 3), dtype=np.uint8) for one in asked]
    console.say(f"latency of {len(asked)} models, {batch} at a time, {repeats} rounds, on one thread")
    with torch_setup.threads(1):
        return rounds([partial(one.ask, its) for one, its in zip(asked, shown, strict=True)], repeats)
