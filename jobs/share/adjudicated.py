"""What an audit has brought: its draw beside the answers that people gave, as a version of the lake shows them."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake.answers import answers
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.annotators import paused
from secondlook.labeling.adjudication import Adjudicated, Open, Voice, adjudicate
from secondlook.pipeline.audit.labels.calibrated import Calibrator, NotYet, fit
from secondlook.pipeline.audit.share.sampling import Design
from secondlook.pipeline.core.config import Settings

STRATEGY = "audit"  # of an audit's rows in the table `batches`; only answers to these count


class Drawn(NamedTuple):
    """A sample that an audit drew, and what came of it.

    `given`, `score` (None without a model): as they were at the draw. `adjudicated`: the label that people agree on (None: none of the
    classes), or why there is none. `wrong`: whether it contradicts the given one; None without one. `disputed`: part of the
    people who name another answer than the given label; None where nobody said anything of it.
    """

    sample_id: str
    content_id: str
    given: str
    score: float | None
    inclusion: float
    adjudicated: Adjudicated | Open
    wrong: bool | None
    disputed: float | None


@dataclass(frozen=True)
class Audit:
    """The newest audit of a version. `drawn_from`: the version whose labels it measures; `designs`: of its draws, in order.

    `versions`: what each draw read, as its scores may be of a newer model. `began`: the number of its first batch.
    """

    name: str
    began: int
    drawn_from: int
    versions: Sequence[int]
    designs: Sequence[Design]
    drawn: Sequence[Drawn]

    @property
    def open(self) -> Mapping[str, int]:
        """How many samples have no adjudicated label, by reason."""
        reasons = Counter(one.adjudicated.reason for one in self.drawn if isinstance(one.adjudicated, Open))
        return dict(sorted(reasons.items()))


def experts(settings: Settings) -> list[str]:
    """The people whose single answer adjudicates a label."""
    return [name.strip() for name in settings.review.experts.split(",") if name.strip()]


def audit(lake: Lake, version: Version, settings: Settings) -> Audit | None:
    """The audit that was begun last, at this version; None where none was.

    Answers to its own batches count for a picture, whichever sample of it they were asked for. Those to an earlier audit do
    not: what it settled was committed since, mostly, and is right more often than what nobody has looked at.
    """
    rows = lake.latest("audit_samples", version)
    if not rows.num_rows:
        return None
    name = max(pc.unique(rows["audit"]).to_pylist(), key=number)
    rows = rows.filter(pc.equal(rows["audit"], name))
    classes = class_lists.read(lake, version)
    given = classes.read(rows["given"], rows["drawn_from"])  # as its class is called today; null where that is gone
    began = min(number(batch) for batch in pc.unique(rows["batch"]).to_pylist())
    voices = voices_by_content(lake, version, began)
    content = _contents(lake, version, rows["sample_id"])
    chosen = experts(settings)
    drawn = [
        _drawn(row, label, content[row["sample_id"]], voices, chosen)
        for row, label in zip(rows.to_pylist(), given.to_pylist(), strict=True)
        if label is not None and row["sample_id"] in content
    ]
    draws = sorted({(row["drawn_from"], row["design"]) for row in rows.select(["drawn_from", "design"]).to_pylist()})
    return Audit(
        name,
        began,
        max(read for read, _ in draws),
        [read for read, _ in draws],
        [Design.from_json(json.loads(design)) for _, design in draws],
        drawn,
    )


def number(name: str) -> int:
    """The place of an audit, or a batch, among those of a lake."""
    return int(name.rsplit("-", 1)[-1])


def _drawn(
    row: Mapping[str, Any], given: str, content: str, voices: Mapping[str, Sequence[Voice]], chosen: Sequence[str]
) -> Drawn:
    heard = voices.get(content, ())
    result = adjudicate(heard, chosen)
    says = [said for voice in heard if (said := voice.contradicts(given)) is not None]
    return Drawn(
        row["sample_id"],
        content,
        given,
        row["score"],
        row["inclusion"],
        result,
        result.label != given if isinstance(result, Adjudicated) else None,
        sum(says) / len(says) if says else None,
    )


def voices_by_content(lake: Lake, version: Version, began: int) -> dict[str, list[Voice]]:
    """For each picture that an audit asked for, the newest answer to its batches of each person who counts: those from `began` on."""
    asked = lake.latest("batches", version, ["batch", "sample_id", "strategy"])
    asked = asked.filter(pc.equal(asked["strategy"], STRATEGY))
    both = zip(asked["batch"].to_pylist(), asked["sample_id"].to_pylist(), strict=True)
    tasks = {(batch, sample_id) for batch, sample_id in both if number(batch) >= began}
    if not tasks:
        return {}
    given = countable(lake, version)
    given = given.filter(pc.is_in(given["batch"], value_set=pc.unique(asked["batch"])))
    content = _contents(lake, version, given["sample_id"])
    newest: dict[str, dict[str, Voice]] = defaultdict(dict)
    for row in given.sort_by([("seq", "ascending"), ("annotation_id", "ascending")]).to_pylist():
        if (row["batch"], row["sample_id"]) in tasks and row["sample_id"] in content:
            mine = newest[content[row["sample_id"]]]
            mine[row["annotator"]] = Voice(row["annotator"], row["answer"], row["label"])
    return {one: list(people.values()) for one, people in newest.items()}


def countable(lake: Lake, version: Version) -> pa.Table:
    """The answers that adjudicate, as a commit counts them: not of paused people, nor of a class that is gone or waits for a sign-off."""
    given = answers(lake, version, reveal=True)
    classes = class_lists.read(lake, version)
    silent = pa.array(sorted(paused(lake, version)), pa.string())
    named = pc.unique(given["label"]).drop_null().to_pylist()
    usable = pa.array([name for name in named if classes.concern(name) is None], pa.string())
    speaks = pc.or_(pc.is_in(given["label"], value_set=usable), pc.not_equal(given["answer"], "label"))
    return given.filter(pc.and_(speaks, pc.invert(pc.is_in(given["annotator"], value_set=silent))))


def _contents(lake: Lake, version: Version, sample_ids: pa.ChunkedArray) -> dict[str, str]:
    rows = lake.latest("samples", version, ["sample_id", "content_id"])
    rows = rows.filter(pc.is_in(rows["sample_id"], value_set=pc.unique(sample_ids)))
    rows = rows.filter(pc.is_valid(rows["content_id"]))
    return dict(zip(rows["sample_id"].to_pylist(), rows["content_id"].to_pylist(), strict=True))


def calibration(found: Audit | None) -> Calibrator | NotYet:
    """What makes a probability of `p_error`, from an audit's adjudicated answers and the scores at its draw."""
    told = [one for one in found.drawn if one.wrong is not None and one.score is not None] if found else []
    return fit(
        np.array([one.score for one in told], np.float64),
        np.array([one.wrong for one in told], bool),
        1 / np.array([one.inclusion for one in told], np.float64),
    )
