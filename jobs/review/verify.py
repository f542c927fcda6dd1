"""`secondlook review push --verify test`: a test split, or a sample of it, goes to three people until they agree.

What a model is compared on must be right itself. So each picture of the split is asked of three different people, who see neither
its label nor a guess; what most of them say becomes its label at `commit`, and the picture counts as verified.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.files.landing import refuse_taken
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import STRATEGY, agreed, verified
from secondlook.jobs.review.batches import queue_files
from secondlook.jobs.share.adjudicated import STRATEGY as AUDIT
from secondlook.jobs.share.adjudicated import countable, experts
from secondlook.labeling.adjudication import PEOPLE, Adjudicated, Open, Voice, adjudicate
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.seeds import generator

READ = ("samples", "labels", "classes", "batches", "annotations", "annotators")
BLIND = (STRATEGY, AUDIT)  # strategies whose answers are of people who saw neither label nor guess
MORE = 2  # further people who are asked where nobody has a majority
MOST = 7  # people after whom a picture is given up: it is unclear, not unanswered


STATES = {
    "verified": "three people or an expert agree, and it is the label",
    "agreed": "people agree; `secondlook commit` makes it the label",
    "disputed": "people differ; the next round asks two more",
    "waiting": "asked, and not answered by three people yet",
    "changed": "the label was changed since people agreed; the next round asks three more",
    "given up": f"{MOST} people came to no agreement, or it is none of the classes",
    "new": "not asked yet",
}


@dataclass(frozen=True)
class Picture:
    """A picture of the split: one of STATES, and how many further people it needs."""

    sample_id: str
    content_id: str
    state: str
    needs: int


def adjudications(
    lake: Lake, version: Version, chosen_experts: Collection[str]
) -> dict[str, tuple[Adjudicated | Open, list[Voice]]]:
    """For each content that a verification asked for: what people together say, and each one's newest answer.

    Answers to an audit count, too, as they are given alike.
    """
    asked = lake.latest("batches", version, ["batch", "sample_id", "strategy"])
    tasks = zip(asked["batch"].to_pylist(), asked["sample_id"].to_pylist(), strict=True)
    strategy = dict(zip(tasks, asked["strategy"].to_pylist(), strict=True))
    mine = pc.unique(asked["sample_id"].filter(pc.equal(asked["strategy"], STRATEGY)))
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
    wanted = {content[sample_id] for sample_id in mine.to_pylist() if content.get(sample_id)}
    voices: dict[str, dict[str, Voice]] = {one: {} for one in wanted}
    given = countable(lake, version).sort_by([("seq", "ascending"), ("annotation_id", "ascending")])
    for row in given.to_pylist():
        its = content.get(row["sample_id"])
        blind = strategy.get((row["batch"], row["sample_id"])) in BLIND
        if its in voices and blind:
            voices[its][row["annotator"]] = Voice(row["annotator"], row["answer"], row["label"])
    heard = {one: list(its.values()) for one, its in voices.items()}
    return {one: (adjudicate(its, chosen_experts), its) for one, its in heard.items()}


def progress(lake: Lake, version: Version, settings: Settings, split: str) -> list[Picture]:
    """Each different picture of a split and where it stands; in an order that is random, but always the same.

    Pictures whose class waits for a sign-off are left out. Raises UserError where there is no such split.
    """
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "split", "label"])
    splits = {name for name in pc.unique(samples["split"]).to_pylist() if name}
    if split not in splits:
        raise unknown("split", split, splits)
    samples, _ = dataset.without_quarantined(samples, dataset.quarantined(lake, version))
    sure, decided = verified(lake, version), agreed(lake, version)
    told = adjudications(lake, version, experts(settings))
    found: dict[str, Picture] = {}
    for row in samples.filter(pc.equal(samples["split"], split)).to_pylist():
        content = row["content_id"]
        state, needs = _state(row["sample_id"] in sure, told.get(content), decided.get(content))
        found.setdefault(content, Picture(row["sample_id"], content, state, needs))
    return sorted(found.values(), key=lambda one: _drawn_at(split, one.content_id))


def _state(sure: bool, told: tuple[Adjudicated | Open, list[Voice]] | None, decided: str | None) -> tuple[str, int]:
    if sure:
        return "verified", 0
    if told is None:
        return "new", PEOPLE
    result, voices = told
    if isinstance(result, Adjudicated) and result.label is not None:
        return ("changed", PEOPLE) if result.label == decided else ("agreed", 0)
    if len(voices) < PEOPLE and isinstance(result, Open):
        return "waiting", PEOPLE - len(voices)
    return ("given up", 0) if len(voices) >= MOST or isinstance(result, Adjudicated) else ("disputed", MORE)


def _drawn_at(split: str, content_id: str) -> str:
    """The place of a picture in the order of drawing: by a hash, so that a larger sample holds the smaller one."""
    return hashlib.blake2b(f"{split}\0{content_id}".encode(), digest_size=8).hexdigest()


def counted(state: Sequence[Picture]) -> dict[str, int]:
    """How many pictures are in each state."""
    counts = Counter(one.state for one in state)
    return {"pictures": len(state)} | {name: counts[name] for name in STATES}


def _chosen(state: Sequence[Picture], again: bool) -> list[Picture]:
    wanted = ("disputed", "changed", *(("waiting",) if again else ()), "new")
    return [one for name in wanted for one in state if one.state == name]


def run_verify(
    lake: Lake,
    settings: Settings,
    split: str,
    *,
    budget: int | None = None,
    again: bool = False,
    to: Path | None = None,
    pictures: Path | None = None,
    seed: int = 0,
    sending: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Ask three people for pictures of a split that are not verified: first for what is disputed, then for what is new.

    With a `budget`, the new ones are a random sample of the split, which later calls go on with. Pictures that still wait for answers are
    left to the batch that asked for them, unless `again`. `sending` notes that the batch is to go to a labeling tool. Returns batch, asked, strategies, split, how far it is, and the version.
    """
    for target in (to, pictures):
        if target is not None:
            refuse_taken(target)
    version = lake.at()
    choices = dataset.class_names(lake, version)
    if not choices:
        raise UserError("the lake knows no classes yet, so nobody can be asked which it is")
    state = progress(lake, version, settings, split)
    chosen = _chosen(state, again)[:budget]
    summary: dict[str, Any] = {
        "batch": None,
        "asked": len(chosen),
        "strategies": {STRATEGY: len(chosen)} if chosen else {},
        "quarantined": dataset.count_quarantined(lake, version),
        "verify": counted(state) | {"split": split},
        "version": None,
    }
    if not chosen:
        return summary
    inputs = {"verify": split, "budget": budget, "again": again, "seed": seed, "experts": experts(settings)}
    attempt = lake.attempt("review push", inputs | {"tables": {t: version.tables.get(t) for t in READ}}, base=version)
    summary["batch"] = name = f"batch-{attempt.seq}"
    order = generator(seed, "verify", name).permutation(len(chosen)).tolist()
    when = now or datetime.now(UTC)
    tasks = [
        {"batch": name, "sample_id": chosen[at].sample_id, "position": position, "strategy": STRATEGY}
        | {"choices": choices, "people": chosen[at].needs, "time": when}
        for position, at in enumerate(order)
    ]
    attempt.append("batches", rows_of("batches", tasks))
    with queue_files(lake, version, tasks, to, pictures, show_guess=False):
        made = attempt.commit(summary | {"sending": sending})
    return summary | {"version": made.id}
