"""`secondlook review push --audit N`: a sample of all labeled pictures that tells how many labels are wrong.

What people see is a batch like any other, in random order: who knows that it is an audit, or what the model thinks, answers
differently.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from secondlook.jobs.files.landing import refuse_taken
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.review.batches import queue_files
from secondlook.jobs.share.adjudicated import STRATEGY, Audit, audit, calibration, voices_by_content
from secondlook.jobs.share.adjudicated import experts as experts_of
from secondlook.jobs.share.frame import Frame, frame, same_labels
from secondlook.jobs.share.share import ENOUGH
from secondlook.labeling.adjudication import PEOPLE, Adjudicated, adjudicate
from secondlook.pipeline.audit.labels.calibrated import Calibrator
from secondlook.pipeline.audit.share.sampling import Design, draw, united
from secondlook.pipeline.audit.share.share import LEAST
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.seeds import generator

READ = (
    "samples", "labels", "classes", "predictions", "models", "evidence", "batches", "annotations", "annotators", "audit_samples",
)  # fmt: skip
SPARE = 1.5  # as many pictures as the share takes, so that it is told where people don't agree on a third of them


def run_audit(
    lake: Lake,
    settings: Settings,
    n: int,
    *,
    again: bool = False,
    to: Path | None = None,
    pictures: Path | None = None,
    seed: int = 0,
    sending: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Draw up to n samples for an audit of this version's labels, record them, and write their queue.

    Where the newest audit is of these very labels, it grows, and the answers that it has steer the draw; else a new one
    begins. `again` draws nothing and asks once more for what has no adjudicated label yet. `sending` notes that the batch is to go to a
    labeling tool. Three people are asked, among all classes: a few would be the model's choice, and an audit is of the model too.
    Returns batch, asked, strategies, audit, drawn, how they were drawn, why they are fewer than n (`clipped`), and the version.
    """
    for target in (to, pictures):
        if target is not None:
            refuse_taken(target)
    version = lake.at()
    choices = dataset.class_names(lake, version)
    found = audit(lake, version, settings)
    if again:
        chosen = _unsettled(found)[:n]
        made = _Draw(found.name if found else "", [], chosen, "asked again")
    else:
        made = _drawn(lake, version, settings, found, n, seed)
    summary: dict[str, Any] = {
        "batch": None,
        "asked": len(made.asked),
        "strategies": {STRATEGY: len(made.asked)} if made.asked else {},
        "quarantined": dataset.count_quarantined(lake, version),
        "audit": made.audit or None,
        "drawn": sum(row["batch"] is None for row in made.rows),
        "how": made.how,
        "clipped": _clipped(made, n, again),
        "few": _few(made),
        "version": None,
    }
    if not made.asked and not made.rows:
        return summary
    inputs = {"audit": n, "again": again, "seed": seed, "experts": experts_of(settings)}
    attempt = lake.attempt("review push", inputs | {"tables": {t: version.tables.get(t) for t in READ}}, base=version)
    summary["batch"] = name = f"batch-{attempt.seq}"
    order = generator(seed, "audit", "order", name).permutation(len(made.asked))
    when = now or datetime.now(UTC)
    tasks = [
        {"batch": name, "sample_id": made.asked[at], "position": position, "strategy": STRATEGY}
        | {"choices": choices, "people": PEOPLE, "time": when}
        for position, at in enumerate(order.tolist())
    ]
    attempt.append("batches", rows_of("batches", tasks))
    attempt.append(
        "audit_samples", rows_of("audit_samples", [row | {"batch": row["batch"] or name} for row in made.rows])
    )
    with queue_files(lake, version, tasks, to, pictures, show_guess=False):
        committed = attempt.commit(summary | {"sending": sending})
    return summary | {"version": committed.id}


@dataclass(frozen=True)
class _Draw:
    """`rows` of audit_samples to append (without a batch: new ones), and the samples that people are `asked` for."""

    audit: str
    rows: Sequence[dict[str, Any]]
    asked: Sequence[str]
    how: str


def _clipped(made: _Draw, n: int, again: bool) -> str:
    """Why fewer were drawn than asked for; "" where they were not."""
    drawn = sum(row["batch"] is None for row in made.rows)
    if again or drawn >= n:
        return ""
    return f"{n:,} were asked for, and {drawn:,} labeled pictures were left to draw: the audit has all of them now"


def _few(made: _Draw) -> str:
    """Why an audit of so few pictures may say nothing; "" where they are enough, or none was drawn."""
    if not made.rows or len(made.rows) >= SPARE * LEAST:
        return ""
    return (
        f"the audit has {len(made.rows):,} pictures; the share of wrong labels takes {LEAST} on which people agree, and they don't on all: "
        f"draw {ENOUGH} or more"
    )


def _unsettled(found: Audit | None) -> list[str]:
    """Samples of an audit without an adjudicated label, each picture once."""
    if found is None:
        raise UserError("there is no audit to ask again for; `secondlook review push --audit 500` begins one")
    left = {one.content_id: one.sample_id for one in found.drawn if not isinstance(one.adjudicated, Adjudicated)}
    return sorted(left.values())


def _drawn(lake: Lake, version: Version, settings: Settings, found: Audit | None, n: int, seed: int) -> _Draw:
    population = frame(lake, version)
    if not len(population.sample_id):
        raise UserError("an audit draws from labeled pictures, and no picture has a label that may be asked for")
    held = _continued(lake, version, found)
    name = held.name if held else f"audit-{version.id + 1}"
    taken = np.zeros(len(population.sample_id), bool)
    if held:
        taken[population.rows(pa.array([one.sample_id for one in held.drawn], pa.string()))] = True
    curve = calibration(held)
    known = curve if isinstance(curve, Calibrator) else None
    drawn = draw(population.score, n, generator(seed, "audit", name, str(taken.sum())), taken=taken, curve=known)
    before = _before(lake, held, population) if held else np.zeros(len(taken))
    total = united(before, drawn.design.inclusion(population.score))
    rows = [_row(name, population, row, total[row], version.id, drawn.design) for row in drawn.rows.tolist()]
    rows += _grown(lake, version, held, population, total)
    asked = _askable(lake, version, settings, held, population, drawn.rows.tolist())
    return _Draw(name, rows, asked, _how(drawn.design, known))


def _continued(lake: Lake, version: Version, found: Audit | None) -> Audit | None:
    """The audit, where its labels are still those that hold and all that its draws read is kept."""
    if found is None:
        return None
    kept = {one.id: one for one in lake.versions.all()}
    read = [kept.get(number) for number in found.versions]
    return found if all(one is not None and same_labels(one, version) for one in read) else None


def _before(lake: Lake, held: Audit, population: Frame) -> npt.NDArray[np.float64]:
    """Each label's probability that the audit's draws so far took it, (N,)."""
    total: npt.NDArray[np.float64] = np.zeros(len(population.sample_id))
    for read, design in zip(held.versions, held.designs, strict=True):
        total = united(total, design.inclusion(frame(lake, lake.at(read)).score))
    return total


def _row(name: str, population: Frame, row: int, inclusion: float, drawn_from: int, design: Design) -> dict[str, Any]:
    score = float(population.score[row])
    return {
        "audit": name,
        "sample_id": population.sample_id[row].as_py(),
        "batch": None,
        "given": population.label[row].as_py(),
        "score": None if np.isnan(score) else score,
        "inclusion": float(inclusion),
        "drawn_from": drawn_from,
        "design": json.dumps(design.as_json()),
    }


def _grown(
    lake: Lake, version: Version, held: Audit | None, population: Frame, total: npt.NDArray[np.float64]
) -> list[dict[str, Any]]:
    """The rows of earlier draws once more, with the probability that they have by now."""
    if held is None:
        return []
    rows = [row for row in lake.latest("audit_samples", version).to_pylist() if row["audit"] == held.name]
    places = population.rows(pa.array([row["sample_id"] for row in rows], pa.string())).tolist()
    return [row | {"inclusion": float(total[at])} for row, at in zip(rows, places, strict=True)]


def _askable(
    lake: Lake, version: Version, settings: Settings, held: Audit | None, population: Frame, rows: Sequence[int]
) -> list[str]:
    """The drawn samples that people must look at: of equal pictures one, and none that this audit has settled."""
    voices, chosen = voices_by_content(lake, version, held.began) if held else {}, experts_of(settings)
    asked: dict[str, str] = {}
    for row in rows:
        content = population.content_id[row].as_py()
        if not isinstance(adjudicate(voices.get(content, ()), chosen), Adjudicated):
            asked.setdefault(content, population.sample_id[row].as_py())
    return list(asked.values())


def _how(design: Design, curve: Calibrator | None) -> str:
    if design.uniform >= 1:
        return "uniformly"
    return f"by the model's doubt, {'calibrated on the answers so far' if curve else 'uncalibrated'}"
