"""Lakes of people who were made up: groups by attributes, with what is planted in one of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.identity import content_id, sample_id

CLASSES = ("cat", "dog", "yak")
Ints = npt.NDArray[np.int64]
RACES, AGES = ("green", "blue", "grey"), ("young", "old")


@dataclass
class People:
    """N pictures. `truth`, `given`, `said`: class of each, its label, and what the model says; `race`, `age`: places."""

    n: int
    seed: int = 1
    races: Sequence[str] = RACES
    ages: Sequence[str] = AGES
    names: tuple[str, str] = ("race", "age")
    rng: np.random.Generator = field(init=False)
    prints: dict[str, npt.NDArray[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.race, self.age = (
            self.rng.integers(0, len(self.races), self.n),
            self.rng.integers(0, len(self.ages), self.n),
        )
        self.truth: Ints = self.rng.integers(0, 3, self.n)
        self.given: Ints = self.truth.copy()
        self.said: Ints = self.truth.copy()
        self.sure: npt.NDArray[np.float64] = np.full(self.n, 0.9)
        self.prints = {
            "brightness": self.rng.uniform(0.2, 0.8, self.n),
            "contrast": self.rng.uniform(0.1, 0.3, self.n),
            "blur": self.rng.uniform(0.2, 2.0, self.n),
            "width": self.rng.integers(80, 200, self.n),
        }
        self.mislabel(np.full(self.n, 0.05))
        self.confuse(np.full(self.n, 0.05))

    def group(self, **values: str) -> npt.NDArray[np.bool_]:
        """Who has these values, as race="blue"."""
        found = np.ones(self.n, bool)
        for name, value in values.items():
            own, its = (self.race, self.races) if name == "race" else (self.age, self.ages)
            found &= own == list(its).index(value)
        return found

    def mislabel(self, share: npt.NDArray[np.float64]) -> None:
        """Labels that are wrong where the model is right and sure."""
        chosen = self.rng.random(self.n) < share
        self.given = np.where(chosen, (self.truth + 1) % 3, self.given)

    def confuse(self, share: npt.NDArray[np.float64]) -> None:
        """Pictures on which the model is wrong but unsure, so that no label is doubted for it."""
        chosen = (self.rng.random(self.n) < share) & (self.given == self.truth)
        self.said = np.where(chosen, (self.truth + 2) % 3, self.said)
        self.sure = np.where(chosen, 0.5, self.sure)

    def keys(self) -> list[str]:
        """Of the pictures."""
        return [f"{at:05d}.png" for at in range(self.n)]

    def contents(self) -> list[str]:
        """Of the pictures."""
        return [content_id(key.encode()) for key in self.keys()]

    def ids(self) -> list[str]:
        """Of the samples."""
        return [sample_id("default", key) for key in self.keys()]

    def attributes(self) -> list[list[tuple[str, str]]]:
        """Of the pictures, those of which nobody said a value left out ("")."""
        both = zip(self.race.tolist(), self.age.tolist(), strict=True)
        return [
            [(name, value) for name, value in zip(self.names, (self.races[race], self.ages[age]), strict=True) if value]
            for race, age in both
        ]

    def write(self, lake: Lake, *, attributes: bool = True, model: bool = True) -> "People":
        """Everything into the lake, and the model's predictions."""
        ids, contents, told = self.ids(), self.contents(), self.attributes()
        put(
            lake,
            "ingest",
            samples=[
                {"sample_id": one, "dataset": "default", "source": "here", "key": key, "content_id": content, "split": "",
                 "attributes": its if attributes else []}
                for one, key, content, its in zip(ids, self.keys(), contents, told, strict=True)
            ],
            labels=[{"sample_id": one, "label": CLASSES[at], "source": "ingest"} for one, at in zip(ids, self.given.tolist(), strict=True)],
            classes=[{"name": name, "event": "added"} for name in CLASSES],
            fingerprints=[self._print(at, content) for at, content in enumerate(contents)],
        )  # fmt: skip
        if model:
            self.train(lake)
        return self

    def train(self, lake: Lake, name: str = "m1") -> None:
        """A model that says what `said` and `sure` say; an unsure one has the label right behind."""
        facts = {"model": name, "kind": "generalist", "classes": list(CLASSES), "settings": "{}", "metrics": "{}"}
        predictions = []
        for content, said, given, sure in zip(
            self.contents(), self.said.tolist(), self.given.tolist(), self.sure.tolist(), strict=True
        ):
            second = given if given != said else (said + 1) % 3
            third = 3 - said - second
            left = 1 - sure
            probs = [sure, 0.9 * left, 0.1 * left]
            predictions.append(
                {"content_id": content, "model": name, "classes": [said, second, third], "probs": probs, "fold": 0}
            )
        put(lake, "train", models=[facts], predictions=predictions)

    def answer(
        self,
        lake: Lake,
        says: Mapping[str, Callable[[int], str]],
        items: Sequence[int],
        strategy: str = "random",
        batch: str = "batch-1",
    ) -> None:
        """People's answers to some of the pictures, by person: from its place to what is said."""
        ids = self.ids()
        put(
            lake,
            "review",
            batches=[{"batch": batch, "sample_id": ids[at], "position": at, "strategy": strategy, "choices": list(CLASSES)} for at in items],
            annotations=[
                {"annotation_id": f"{batch}-{name}-{at}", "batch": batch, "sample_id": ids[at], "annotator": name, "answer": "label",
                 "label": what(at), "state": "submitted"}
                for name, what in says.items() for at in items
            ],
        )  # fmt: skip

    def ask(self, lake: Lake, items: Sequence[int], strategy: str = "doubted", batch: str = "batch-9") -> None:
        """A batch that nobody has answered."""
        self.answer(lake, {}, items, strategy, batch)

    def _print(self, at: int, content: str) -> dict[str, Any]:
        bits = np.random.default_rng((self.seed, at)).integers(-(2**62), 2**62, 2).tolist()
        facts = {
            "content_id": content,
            "format": "PNG",
            "mode": "RGB",
            "orientation": 1,
            "size_bytes": 1000,
            "height": 300,
        }
        facts |= {"phash": bits[0], "dhash": bits[1], "entropy": 6.0, "brightness_p01": 0.1, "brightness_p99": 0.9}
        facts |= dict.fromkeys(("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b"), 0.5)
        return facts | {name: its[at].item() for name, its in self.prints.items()}


def put(lake: Lake, job: str, **tables: list[dict[str, Any]]) -> None:
    """Rows into tables, as one version."""
    attempt = lake.attempt(job, {"n": len(lake.versions.all()), "tables": sorted(tables)})
    for table, records in tables.items():
        attempt.append(table, rows(table, records))
    attempt.commit({})
