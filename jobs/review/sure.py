"""What answers make sure: classifiers learned from them, their thresholds, and the pictures that nobody looked at."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.review.answered import AMPLIFIED, Looked, looked
from secondlook.jobs.terminal.console import progress
from secondlook.labeling import amplify as pure
from secondlook.labeling.amplify import Fitted, NotYet, Sure
from secondlook.pipeline.core.errors import UserError, unknown


@dataclass(frozen=True)
class Learned:
    """What people's answers teach about the pictures that nobody looked at.

    `people`: the A answered contents that were learned from, `labels` (A,) the place of each one's class in `classes` or
    NOBODY, `drawn` (A,) whether it stands for the pictures without a label: drawn at random among them.
    """

    classes: list[str]
    embedder: str
    people: list[Looked]
    labels: npt.NDArray[np.int64]
    drawn: npt.NDArray[np.bool_]
    fitted: Fitted
    thresholds: dict[int, Sure | NotYet]


@dataclass(frozen=True)
class Guessed:
    """N contents of the pool: the best class by place, the second, and how probable the best is."""

    contents: list[str]
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]


def learn(lake: Lake, version: Version, error: float, *, only: str | None = None, together: bool = False) -> Learned:
    """Classifiers from the answers of a version, and a threshold for each class, or why there is none."""
    classes = dataset.class_names(lake, version)
    if only is not None and only not in classes:
        raise unknown("class", only, classes)
    model = dataset.newest_model(lake, version)
    people = {one.content_id: one for one in looked(lake, version)}
    if model.embedder == model.name:  # its vectors know the labels that it was trained on
        said = dataset.predictions(lake, version, model.name)
        trained = set(said.filter(pc.greater_equal(said["fold"], 0))["content_id"].to_pylist())
        people = {content: one for content, one in people.items() if content not in trained}
    found = dict(_vectors(lake, version, model.embedder, people))
    chosen = [people[content] for content in sorted(found)]
    if len(chosen) < pure.MIN_ANSWERS:
        raise UserError(
            f"amplifying takes answers that the model {model.name} was not trained on, for {pure.MIN_ANSWERS} pictures and more; there are {len(chosen)}. "
            "`secondlook review push` asks for more; a frozen [train] backbone may learn from all of them"
        )
    place = {name: n for n, name in enumerate(classes)}
    labels = np.array([place.get(one.label or "", pure.NOBODY) for one in chosen], np.int64)
    drawn = np.array([one.chance and one.before[0] in {"", AMPLIFIED} for one in chosen], bool)
    fitted = pure.fit(np.stack([found[one.content_id] for one in chosen]), labels, len(classes))
    wanted = [place[only]] if only is not None else None
    thresholds = pure.thresholds(fitted.held_out, labels, drawn, error=error, together=together, classes=wanted)
    return Learned(classes, model.embedder, chosen, labels, drawn, fitted, thresholds)


def is_sure(learned: Learned, guessed: Guessed) -> npt.NDArray[np.bool_]:
    """Which of the pictures are at or above the threshold of their best class, (N,)."""
    least = np.full(len(learned.classes), np.inf)
    for k, held in learned.thresholds.items():
        if isinstance(held, Sure):
            least[k] = held.threshold
    return guessed.probability >= least[guessed.first]


# The pictures that nobody looked at


def pool(lake: Lake, version: Version) -> dict[str, list[dict[str, Any]]]:
    """Contents that no person and no source gave a label: content → its samples, each with label (null, or an amplified one).

    Without those that a batch asks for: a person is about to look at them.
    """
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "label"])
    ours = amplified(lake, version)
    asked = lake.read("batches", version, ["sample_id"])["sample_id"]
    theirs = pc.and_(pc.is_valid(samples["label"]), pc.invert(pc.is_in(samples["sample_id"], value_set=ours)))
    theirs = pc.or_(theirs, pc.is_in(samples["sample_id"], value_set=pc.unique(asked)))
    taken = pc.unique(samples.filter(theirs)["content_id"])
    left = samples.filter(pc.invert(pc.is_in(samples["content_id"], value_set=taken)))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in left.to_pylist():
        found.setdefault(row["content_id"], []).append(row)
    return found


def amplified(lake: Lake, version: Version) -> pa.Array:
    """The samples whose label is an amplified one; so it is where a revert brought one back."""
    held = lake.latest("labels", version, ["sample_id", "label", "source", "evidence"])
    held = held.filter(pc.is_valid(held["label"]))
    direct = held.filter(pc.equal(held["source"], AMPLIFIED))["sample_id"].to_pylist()
    back = {
        (row["sample_id"], json.loads(row["evidence"])["restores"])
        for row in held.filter(pc.equal(held["source"], "revert")).to_pylist()
    }
    if back:
        events = lake.read("labels", version, ["sample_id", "seq", "source"], EqualTo("source", AMPLIFIED))  # type: ignore[call-arg, arg-type]
        direct += [row["sample_id"] for row in events.to_pylist() if (row["sample_id"], row["seq"]) in back]
    return pa.array(direct, pa.string())


def _vectors(
    lake: Lake, version: Version, embedder: str, wanted: Mapping[str, Any]
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """The embeddings of some contents, in the order in which they lie in the lake."""
    for contents, vectors in _embedded(lake, version, embedder):
        for content, vector in zip(contents, vectors, strict=True):
            if content in wanted:
                yield content, vector


def _embedded(lake: Lake, version: Version, embedder: str) -> Iterator[tuple[list[str], npt.NDArray[np.float32]]]:
    """All embeddings, a batch at a time: contents, and (n, D)."""
    chosen = EqualTo("model", embedder)  # type: ignore[call-arg, arg-type]
    for batch in lake.batches("embeddings", version, ["content_id", "vector"], chosen):
        if batch.num_rows:
            vectors = batch["vector"].flatten().to_numpy(zero_copy_only=False).reshape(batch.num_rows, -1)
            yield batch["content_id"].to_pylist(), vectors.astype(np.float32, copy=False)


def guess(lake: Lake, version: Version, learned: Learned, unseen: Mapping[str, Any]) -> Guessed:
    """What the classifiers say of the pool; its embeddings are read a batch at a time."""
    contents: list[str] = []
    parts: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    with progress("amplify", len(unseen)) as advance:
        for names, vectors in _embedded(lake, version, learned.embedder):
            rows = [n for n, name in enumerate(names) if name in unseen and name not in seen]
            if rows:
                contents += (new := [names[n] for n in rows])
                seen.update(new)
                parts.append(pure.best_two(learned.fitted.classifier.probabilities(vectors[rows])))
                advance(len(rows))
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Guessed([], nothing, nothing, np.zeros(0))
    first, second, probability = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Guessed(contents, first, second, probability)
