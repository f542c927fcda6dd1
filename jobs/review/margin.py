"""Batches for amplification: its doubtful margin, to be labeled by people, and a random part of what it labeled, to be checked."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.review.answered import CHECK
from secondlook.jobs.review.sure import amplified, guess, is_sure, learn, pool
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.seeds import generator

MARGIN = "margin"  # in the table `batches`


class Doubtful(NamedTuple):
    """A picture that answers don't make sure, with the doubt as `value`, 0 to 1, and the `pair` of classes that it is between."""

    sample_id: str
    content_id: str
    value: float
    pair: tuple[str, str]


def margin(lake: Lake, version: Version, settings: Settings) -> list[Doubtful]:
    """The pictures without a label that the answers don't make sure,, the most doubtful first.

    Those lead of which the classifier of their best class can't tell. Raises UserError where there is nothing to learn from yet.
    """
    learned = learn(lake, version, settings.review.amplify_error)
    unseen = pool(lake, version)
    guessed = guess(lake, version, learned, unseen)
    names = learned.classes
    found = [
        Doubtful(
            unseen[content][0]["sample_id"],
            content,
            float(1.0 - abs(2.0 * probability - 1.0)),
            (min(names[a], names[b]), max(names[a], names[b])),
        )
        for content, a, b, probability, fine in zip(
            guessed.contents,
            guessed.first.tolist(),
            guessed.second.tolist(),
            guessed.probability.tolist(),
            is_sure(learned, guessed).tolist(),
            strict=True,
        )
        if not fine and all(row["label"] is None for row in unseen[content])
    ]
    return sorted(found, key=lambda one: (-one.value, one.sample_id))


def run_ask(lake: Lake, settings: Settings, n: int) -> dict[str, Any]:
    """Make a batch of the n most doubtful pictures; returns batch, asked and version."""
    version = lake.at()
    found = margin(lake, version, settings)[:n]
    return _batch(lake, version, MARGIN, [(one.sample_id, one.pair) for one in found])


def run_check(lake: Lake, n: int, seed: int = 0) -> dict[str, Any]:
    """Make a batch of n amplified labels that nobody was asked for, drawn at random; a content once."""
    version = lake.at()
    samples = dataset.samples(lake, version).select(["sample_id", "content_id"])
    asked = lake.read("batches", version, ["sample_id"])["sample_id"]
    seen = pc.unique(samples.filter(pc.is_in(samples["sample_id"], value_set=pc.unique(asked)))["content_id"])
    mine = pc.is_in(samples["sample_id"], value_set=amplified(lake, version))
    left = samples.filter(pc.and_(mine, pc.invert(pc.is_in(samples["content_id"], value_set=seen))))
    once = dict(zip(left["content_id"].to_pylist(), left["sample_id"].to_pylist(), strict=True))
    order = generator(seed, "amplify", "check").permutation(sorted(once))[:n].tolist()
    return _batch(lake, version, CHECK, [(once[content], None) for content in order])


def _batch(
    lake: Lake, version: Version, strategy: str, asked: Sequence[tuple[str, tuple[str, str] | None]]
) -> dict[str, Any]:
    """Record a batch; pairs are the classes shown first. Recorded once: the same of the same version is the same batch."""
    inputs = {"strategy": strategy, "asked": [one for one, _ in asked], "batches": version.tables.get("batches")}
    attempt = lake.attempt("review amplify ask", inputs, base=version)
    name = f"batch-{attempt.seq}"
    summary: dict[str, Any] = {
        "batch": name if asked else None,
        "asked": len(asked),
        "strategy": strategy,
        "version": None,
    }
    if not asked:
        return summary
    choices, now = dataset.class_names(lake, version), datetime.now(UTC)
    tasks = [
        {"batch": name, "sample_id": one, "position": n, "strategy": strategy, "choices": choices, "time": now}
        | ({"options": list(pair), "group": " / ".join(pair)} if pair else {})
        for n, (one, pair) in enumerate(sorted(asked, key=lambda one: one[1] or ("", "")))
    ]
    attempt.append("batches", rows_of("batches", tasks))
    return summary | {"version": attempt.commit(summary).id}


def told(summary: Mapping[str, Any]) -> str:
    """What was made, in a line."""
    if not summary["asked"]:
        return "nothing to ask for; no batch made"
    return (
        f"{summary['batch']}: {summary['asked']} pictures ({summary['strategy']}); "
        f"`secondlook review push --batch {summary['batch']}` sends it, with --to FILE writes its queue"
    )
