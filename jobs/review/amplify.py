"""`secondlook review amplify`: answers of people label the pictures like them, where that is shown to be safe.

What is decided here is decided anew by each run: the labels that earlier runs gave, and no person has looked at since, stay only where
the answers of now still show the bound. So the bound always is about all amplified labels.
"""

import json as json_format
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import typer
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.review.answered import Looked, looked
from secondlook.jobs.terminal.console import finish, out, progress
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import amplify as pure
from secondlook.labeling.amplify import Fitted, NotYet, Sure
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.statistics import share

SOURCE = "amplified"  # of label events; see schemas.LABEL_SOURCES
JOB = "review amplify"
READ = ("samples", "labels", "classes", "annotations", "annotators", "batches", "models", "embeddings", "predictions")


class Doubtful(NamedTuple):
    """A picture that answers don't make sure, with the doubt as `value`, 0 to 1, and the `pair` of classes that it is between."""

    sample_id: str
    content_id: str
    value: float
    pair: tuple[str, str]


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


def run(
    lake: Lake,
    settings: Settings,
    *,
    only: str | None = None,
    error: float | None = None,
    together: bool = False,
    dry_run: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Label what the answers make sure, as events of source `amplified`; returns what that comes to.

    answers (pictures that people looked at), random (of them, those that the thresholds are tested on), labeled (new labels), kept and withdrawn
    (of earlier runs), margin (pictures left to people), by_class, error (the bound), batch and version (None where nothing changed).
    Raises UserError where there is nothing to learn from.
    """
    bound = settings.review.amplify_error if error is None else error
    version = lake.at()
    inputs = {"error": bound, "together": together, "class": only} | {
        "tables": {t: version.tables.get(t) for t in READ}
    }
    done = lake.find(JOB, inputs)
    if done:
        return dict(done.summary) | {"version": done.id}
    learned = learn(lake, version, bound, only=only, together=together)
    pool = _pool(lake, version, learned)
    guessed = _guess(lake, version, learned, pool)
    attempt = lake.attempt(JOB, inputs, base=version)
    batch = f"amplify-{attempt.seq}"
    rows, counts = _events(learned, guessed, pool, bound, batch, now or datetime.now(UTC))
    summary = _summary(learned, guessed, counts, bound, together=together)
    if dry_run or not rows:
        return summary
    attempt.append("labels", rows_of("labels", rows))
    summary["batch"] = batch
    return summary | {"version": attempt.commit(summary).id}


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
    drawn = np.array([one.chance and one.before[0] in {"", SOURCE} for one in chosen], bool)
    fitted = pure.fit(np.stack([found[one.content_id] for one in chosen]), labels, len(classes))
    wanted = [place[only]] if only is not None else None
    thresholds = pure.thresholds(fitted.held_out, labels, drawn, error=error, together=together, classes=wanted)
    return Learned(classes, model.embedder, chosen, labels, drawn, fitted, thresholds)


def margin(lake: Lake, version: Version, settings: Settings) -> list[Doubtful]:
    """The pictures without a label that the answers don't make sure, as candidates of a batch: the doubtful margin.

    Worth most: those of which the classifier of their best class can't tell. Empty where there is nothing to learn from yet.
    """
    try:
        learned = learn(lake, version, settings.review.amplify_error)
    except UserError:
        return []
    pool = _pool(lake, version, learned)
    guessed = _guess(lake, version, learned, pool)
    names = learned.classes
    return [
        Doubtful(
            pool[content][0]["sample_id"],
            content,
            float(1.0 - abs(2.0 * probability - 1.0)),
            (min(names[a], names[b]), max(names[a], names[b])),
        )
        for content, a, b, probability, fine in zip(
            guessed.contents,
            guessed.first.tolist(),
            guessed.second.tolist(),
            guessed.probability.tolist(),
            _is_sure(learned, guessed).tolist(),
            strict=True,
        )
        if not fine and all(row["label"] is None for row in pool[content])
    ]


def _is_sure(learned: Learned, guessed: Guessed) -> npt.NDArray[np.bool_]:
    least = np.full(len(learned.classes), np.inf)
    for k, held in learned.thresholds.items():
        if isinstance(held, Sure):
            least[k] = held.threshold
    return guessed.probability >= least[guessed.first]


# The pictures that nobody looked at


def _pool(lake: Lake, version: Version, learned: Learned) -> dict[str, list[dict[str, Any]]]:
    """Contents that no person and no source gave a label: content → its samples, each with label (null, or an amplified one).

    Without those that a batch asks for: a person is about to look at them.
    """
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "label"])
    ours = _amplified(lake, version)
    asked = lake.read("batches", version, ["sample_id"])["sample_id"]
    theirs = pc.and_(pc.is_valid(samples["label"]), pc.invert(pc.is_in(samples["sample_id"], value_set=ours)))
    theirs = pc.or_(theirs, pc.is_in(samples["sample_id"], value_set=pc.unique(asked)))
    taken = pc.unique(samples.filter(theirs)["content_id"])
    left = samples.filter(pc.invert(pc.is_in(samples["content_id"], value_set=taken)))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in left.to_pylist():
        found.setdefault(row["content_id"], []).append(row)
    return found


def _amplified(lake: Lake, version: Version) -> pa.Array:
    """The samples whose label is an amplified one; so it is where a revert brought one back."""
    held = lake.latest("labels", version, ["sample_id", "label", "source", "evidence"])
    held = held.filter(pc.is_valid(held["label"]))
    direct = held.filter(pc.equal(held["source"], SOURCE))["sample_id"].to_pylist()
    back = {
        (row["sample_id"], json_format.loads(row["evidence"])["restores"])
        for row in held.filter(pc.equal(held["source"], "revert")).to_pylist()
    }
    if back:
        events = lake.read("labels", version, ["sample_id", "seq", "source"], EqualTo("source", SOURCE))  # type: ignore[call-arg, arg-type]
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


def _guess(lake: Lake, version: Version, learned: Learned, pool: Mapping[str, Any]) -> Guessed:
    """What the classifiers say of the pool; its embeddings are read a batch at a time."""
    contents: list[str] = []
    parts: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    with progress("amplify", len(pool)) as advance:
        for names, vectors in _embedded(lake, version, learned.embedder):
            rows = [n for n, name in enumerate(names) if name in pool and name not in seen]
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


# What becomes of them


def _events(
    learned: Learned,
    guessed: Guessed,
    pool: Mapping[str, Sequence[Mapping[str, Any]]],
    bound: float,
    batch: str,
    now: datetime,
) -> tuple[list[dict[str, Any]], Counter[tuple[str, str]]]:
    """Label events, and how many samples were labeled, kept or withdrawn, by class."""
    names = learned.classes
    wanted = {names[k] for k in learned.thresholds}
    why = {
        names[k]: _evidence(learned, held, bound) for k, held in learned.thresholds.items() if isinstance(held, Sure)
    }
    of_all = {"source": SOURCE, "actor": "amplify", "time": now, "batch": batch}
    rows: list[dict[str, Any]] = []
    counts: Counter[tuple[str, str]] = Counter()
    sure = _is_sure(learned, guessed).tolist()
    for content, k, p, fine in zip(
        guessed.contents, guessed.first.tolist(), guessed.probability.tolist(), sure, strict=True
    ):
        label = names[k] if fine else None
        for sample in pool[content]:
            had = sample["label"]
            if had is not None and had not in wanted:
                continue  # of a class that this run is not about
            if label == had:
                counts["kept", had] += label is not None
                continue
            evidence = why[label] | {"p": round(p, 6)} if label is not None else {"withdrawn": had}
            text = json_format.dumps(evidence, ensure_ascii=False)
            rows.append(of_all | {"sample_id": sample["sample_id"], "label": label, "evidence": text})
            counts["withdrawn" if had is not None else "labeled", had or str(label)] += 1
            counts["labeled", str(label)] += had is not None and label is not None
    return rows, counts


def _evidence(learned: Learned, held: Sure, bound: float) -> dict[str, Any]:
    return {
        "classifier": f"ridge on {learned.embedder}",
        "threshold": round(held.threshold, 6),
        "answers": len(learned.people),
        "random": held.answers,
        "wrong": held.wrong,
        "error_at_most": round(held.error, 6),
        "bound": bound,
        "confidence": pure.CONFIDENCE,
    }


def _summary(
    learned: Learned, guessed: Guessed, counts: Counter[tuple[str, str]], bound: float, *, together: bool
) -> dict[str, Any]:
    totals: Counter[str] = Counter()
    for (kind, _), n in counts.items():
        totals[kind] += n
    by_class = {}
    for k, held in learned.thresholds.items():
        name = learned.classes[k]
        told: dict[str, Any] = {"answers": int((learned.labels == k).sum())}
        told |= {kind: counts[kind, name] for kind in ("labeled", "kept", "withdrawn")}
        told |= {"random": held.answers, "wrong": held.wrong}
        told |= (
            {"threshold": round(held.threshold, 6), "error_at_most": round(held.error, 6)}
            if isinstance(held, Sure)
            else {"needed": held.needed}
        )
        by_class[name] = told
    return {
        "answers": len(learned.people),
        "random": int(learned.drawn.sum()),
        **{kind: totals[kind] for kind in ("labeled", "kept", "withdrawn")},
        "margin": int((~_is_sure(learned, guessed)).sum()),
        "bound": bound,
        "together": together,
        "by_class": by_class,
        "batch": None,
        "version": None,
    }


def told(lake: Lake, version: Version) -> dict[str, Any] | None:
    """What amplification has come to: None where no label is an amplified one and none was checked.

    labels (amplified ones that hold), answers (that the newest run learned from), labels_per_answer, bound, and of the pictures that were drawn at
    random after they had been amplified and people answered: checked, wrong, error and its 95 % interval.
    """
    held = len(_amplified(lake, version))
    newest = lake.newest(JOB, version)
    if newest is None:
        return None
    known = [one for one in looked(lake, version) if one.before[0] == SOURCE and one.chance]
    wrong = share(sum(one.label != one.before[1] for one in known), len(known))
    answers = int(newest.summary["answers"])
    return {
        "labels": held,
        "answers": answers,
        "labels_per_answer": round(held / answers, 2) if answers else None,
        "bound": newest.summary["bound"],
        "checked": wrong.n,
        "wrong": wrong.k,
        "error": round(wrong.value, 6) if wrong.n else None,
        "interval": [round(wrong.interval.low, 6), round(wrong.interval.high, 6)],
    }


def amplify(
    only: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Label only pictures of this class.")
    ] = None,
    error: Annotated[
        float | None,
        typer.Option("--error", min=0.0001, max=0.5, help="Bound of the error. Default: [review] amplify_error."),
    ] = None,
    together: Annotated[
        bool,
        typer.Option("--together", help="One bound for the labels of all classes, which takes far fewer answers."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would come to, and label nothing.")] = False,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """People's answers label the pictures without a label that are surely like them.

    For each class, a classifier learns from what people answered, and random ones among their answers say from where on it is sure: with 95 %
    confidence fewer labels than the bound are not what people would answer. The rest stays for people, the most doubtful first. A later
    answer overrides such a label, `secondlook revert amplify-12` takes a run back, and each run checks the labels of the runs before it.

    Example:

        secondlook review amplify --error 0.02 --dry-run
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    summary = run(opened, chosen, only=only, error=error, together=together, dry_run=dry_run)

    def lines() -> None:
        for line in _lines(summary, dry_run=dry_run):
            out().print(line, markup=False)

    finish(summary, as_json=json, lines=lines)


def _lines(summary: Mapping[str, Any], *, dry_run: bool) -> Iterator[str]:
    from secondlook.pipeline.report.formats import printable

    for name, one in summary["by_class"].items():
        if "threshold" in one:
            of = f"{one['wrong']} of {one['random']} random answers differ, error at most {one['error_at_most']:.2%}"
            yield printable(f"{name}: {one['labeled']:,} labeled from p = {one['threshold']:.3f} up ({of})")
        else:
            more = (
                f"{one['random']} random answers, {one['wrong']} of them differ; {one['needed']} or more show the bound"
            )
            yield printable(f"{name}: none is sure yet ({more})")
    changed = f"{summary['labeled']:,} labeled, {summary['kept']:,} kept, {summary['withdrawn']:,} withdrawn"
    made = f" (version {summary['version']}, batch {summary['batch']})" if summary["version"] else ""
    would = "; nothing written: --dry-run" if dry_run else made or "; no version made"
    yield f"{changed}, {summary['margin']:,} left to people, from {summary['answers']:,} answered pictures{would}"
