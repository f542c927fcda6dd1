"""What answers of people are worth, by who chooses what they are asked: real answers of CIFAR-10N replayed.

    .venv/bin/python benchmarks/active_labeling.py --json docs/results/active_labeling.json

Two starts. `given`: all 50,000 pictures have a label by one person (random1, 17.2 % wrong), and what can be bought are a second and a third
answer for each (random2, random3). `few`: 1,000 pictures have one, the others none, and all answers can be bought. Every arm sees the same
model (benchmarks/active_model.py), fitted again on its own labels after each round; nobody sees the published labels, which are only counted
against at the end. Features are made from ../shared where no file is given: `--features train.npy test.npy` keeps them.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import active_arms as arms
import active_page
import numpy as np
import numpy.typing as npt
from active_arms import Known, Ours, Said
from active_model import Model, Prepared, features, labels, prepare
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from secondlook.jobs.machine import provenance
from secondlook.pipeline.core.seeds import generator

Array = npt.NDArray[Any]
SEED = 7
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MARKS = (0, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000)  # answers bought when the figures are taken
ROUNDS = (
    1_000,
    2_500,
    5_000,
    7_500,
    10_000,
    15_000,
    20_000,
    35_000,
    50_000,
    100_000,
)  # and when the model is fitted again
LANDMARKS, FEW_LANDMARKS = 5_000, 2_000  # of the kernel machine
FEW = 1_000  # labels at the start
Choice = Callable[[Known, Said, int], Array]


@dataclass(frozen=True)
class Plan:
    """An arm: who judges, who takes a round from its values, how many seeds, and up to how many answers."""

    title: str
    judge: arms.Arm
    take: Choice = arms.first
    seeds: int = 1
    most: int = 100_000
    refit: bool = True


OURS = Plan("secondlook", Ours(), arms.batch, seeds=5)
GIVEN = {
    "random": Plan("random order, replaced", arms.at_random, seeds=5),
    "cleanlab": Plan("cleanlab's order, replaced", arms.cleanlab_order, seeds=5),
    "activelab": Plan("ActiveLab + CROWDLAB", arms.activelab, seeds=2),
    "activelab after chance": Plan("… after 1,000 random answers", partial(arms.activelab, random_first=True)),
    "ours": OURS,
    "ours at random": Plan("our consensus, random order", Ours(random=True)),
    "no consensus": Plan("majority instead of consensus", Ours(consensus=False, worth=False), arms.batch),
    "no model": Plan("without the model's voice", Ours(voice=False), arms.batch, most=10_000),
    "no difficulty": Plan("all pictures equally hard", Ours(held={"spread": 0.0}), arms.batch, most=10_000),
    "no worth": Plan("least sure first", Ours(worth=False), arms.batch, most=10_000),
    "no spread": Plan("not spread out", Ours(), partial(arms.batch, spread=0.0), most=10_000),
    "no random share": Plan("no random share", Ours(), partial(arms.batch, random_share=0.0), most=10_000),
    "no refit": Plan("the model stays as it was", Ours(), arms.batch, most=10_000, refit=False),
}
FEW_LABELS = {
    "random": Plan("random order, replaced", arms.at_random, seeds=2),
    "margin": Plan("smallest margin, replaced", arms.margin_order, seeds=2),
    "activelab": Plan("ActiveLab + CROWDLAB", arms.activelab),
    "ours": Plan("secondlook", Ours(), arms.batch, seeds=2),
    "no spread": Plan("not spread out", Ours(), partial(arms.batch, spread=0.0), most=10_000),
    "no worth": Plan("least sure first", Ours(worth=False), arms.batch, most=10_000),
}
STARTS = {"given": GIVEN, "few": FEW_LABELS}


class World:
    """What the jobs of one process share; answers[i, j] is what the j-th person says of picture i."""

    def __init__(self, prepared: Prepared, truth: dict[str, Array], look: Array, landmarks: int) -> None:
        """`look`: (N, d) unit vectors."""
        self.prepared, self.look, self._landmarks = prepared, look, landmarks
        self.answers = np.stack([truth[f"random{n}"] for n in (1, 2, 3)], axis=1)
        self.clean, self.test = truth["clean"], truth["test"]
        self._model: tuple[Any, Model] | None = None

    def model(self, start: str, seed: int) -> Model:
        """A new one for each start and seed; `few` changes it, so it is never kept."""
        if start == "few" or self._model is None or self._model[0] != seed:
            made = Model(self.prepared, seed, arms.K, FEW_LANDMARKS if start == "few" else self._landmarks)
            if start == "few":
                return made
            self._model = seed, made
        return self._model[1]

    def begin(self, start: str, seed: int) -> Known:
        """What is known before anything is bought."""
        n = len(self.clean)
        has = np.arange(n) if start == "given" else generator(seed, "few").choice(n, FEW, replace=False)
        answers = np.full((n, 3), -1)
        answers[has, 0] = self.answers[has, 0]
        rng = generator(seed, "arm")
        return Known(answers, answers[:, 0].copy(), np.full((n, arms.K), np.nan), self.look, rng, np.ones(n, bool))

    def buy(self, known: Known, rows: Array) -> None:
        """The next answer for each of these pictures."""
        turn = known.bought[rows]
        known.answers[rows, turn] = known.latest[rows] = self.answers[rows, turn]
        known.left = known.bought < 3


WORLDS: list[World] = []  # the one of this process; forked, so that nothing is sent
MOST: list[int] = []  # answers, where somebody wants fewer than a plan buys
DECIDED: list[Path] = []  # the folder for the labels that arms decided on, where somebody wants them


def run(job: tuple[str, str, int]) -> dict[str, Any]:
    """One arm from one start with one seed: its figures at MARKS, and which labels are wrong then (packed bits)."""
    start, name, seed = job
    plan, began = STARTS[start][name], time.perf_counter()
    world = WORLDS[0]
    known, model = world.begin(start, seed), world.model(start, seed)
    known.probs, tested = _learn(model, start, known, arms.hot(known.latest))
    said, bought = plan.judge(known), 0
    if plan.refit:
        known.probs, tested = _learn(model, start, known, said.targets)
        said = plan.judge(known)
    marks = [_mark(world, bought, said, tested)]
    for goal in (goal for goal in ROUNDS if goal <= min([plan.most, *MOST])):
        world.buy(known, plan.take(known, said, goal - bought))
        bought, said = goal, plan.judge(known)
        if plan.refit:
            known.probs, tested = _learn(model, start, known, said.targets)
            said = plan.judge(known)
        if goal in MARKS:
            marks.append(_mark(world, goal, said, tested))
            if DECIDED:
                _write_labels(DECIDED[0] / f"{start}-{name}-{seed}-{goal}.csv", said.decided)
    seconds = round(time.perf_counter() - began, 1)
    print(
        f"{start:6} {name:16} seed {seed}: {seconds:6.1f} s  " + " ".join(f"{100 * m['wrong']:.2f}" for m in marks),
        flush=True,
    )
    return {"start": start, "arm": name, "seed": seed, "seconds": seconds, "marks": marks}


def _write_labels(file: Path, decided: Array) -> None:
    rows = (f"train/{i:05d}.jpg,{CLASSES[label]}" for i, label in enumerate(decided))
    file.write_text("\n".join(["file,label", *rows]) + "\n", encoding="utf-8")


def _mark(world: World, answers: int, said: Said, tested: Array) -> dict[str, Any]:
    wrong = said.decided != world.clean
    test = float((tested.argmax(axis=1) != world.test).mean())
    return {"answers": answers, "wrong": float(wrong.mean()), "test_wrong": test, "bits": np.packbits(wrong)}


def _learn(model: Model, start: str, known: Known, targets: Array) -> tuple[Array, Array]:
    if start == "few":
        model.only(known.latest >= 0)
    return model.learn(targets)


def main() -> None:
    """Run all arms, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--features", type=Path, nargs=2, metavar="FILE", help=".npy of train and test, made where missing"
    )
    parser.add_argument("--only", nargs="*", default=[], metavar="START/ARM")
    parser.add_argument("--seeds", type=int, help="at most so many")
    parser.add_argument("--landmarks", type=int, default=LANDMARKS, help="fewer are faster, and a little less right")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--most", type=int, help="answers, at most")
    parser.add_argument(
        "--decided", type=Path, metavar="FOLDER", help="write each arm's labels there, a table file,label"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began = time.perf_counter()
    train, test = (features(part, (options.features or [None, None])[n]) for n, part in enumerate(("train", "test")))
    prepared, look = prepare(train, test, options.landmarks, SEED)
    WORLDS.append(World(prepared, labels(), look, options.landmarks))
    print(f"prepared in {time.perf_counter() - began:.0f} s", flush=True)
    DECIDED.extend([options.decided] if options.decided else [])
    MOST.extend([options.most] if options.most else [])
    jobs = [
        (start, name, SEED + n)
        for n in range(5)
        for start, plans in STARTS.items()
        for name, plan in plans.items()
        if n < min(plan.seeds, options.seeds or 5) and (not options.only or f"{start}/{name}" in options.only)
    ]
    found: list[dict[str, Any]] = []
    with multiprocessing.get_context("fork").Pool(options.processes, partial(threadpool_limits, 1)) as pool:
        for one in pool.imap_unordered(run, jobs):  # what is done is written: a run that is cut short has its figures
            found.append(one)
            if options.json:
                _write(_report(found, began), options.json)
    print(active_page.page(_report(found, began)))


def _report(found: list[dict[str, Any]], began: float) -> dict[str, Any]:
    titles = {start: {name: plan.title for name, plan in plans.items()} for start, plans in STARTS.items()}
    places = [(start, name) for start, plans in STARTS.items() for name in plans]
    ordered = sorted(found, key=lambda one: (places.index((one["start"], one["arm"])), one["seed"]))
    return {
        "claim": "active_labeling",
        "n": len(WORLDS[0].clean),
        "seeds": sorted({one["seed"] for one in found}),
        "seconds": round(time.perf_counter() - began),
        "figures": active_page.summary(ordered, titles),
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }


def _write(report: dict[str, Any], file: Path) -> None:
    file.write_text(json.dumps(report, indent=1) + "\n")
    file.with_suffix(".md").write_text(active_page.page(report))
    if any("ours" in arms_ for arms_ in report["figures"].values()):
        active_page.plot(report, file.with_suffix(".svg"))


if __name__ == "__main__":
    main()
