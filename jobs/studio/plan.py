"""What a batch asks, as it is sent: in which order, of which contents, with which choices, under which mark."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling.studio import tasks
from secondlook.labeling.studio.tasks import Option
from secondlook.labeling.tickets import tickets
from secondlook.pipeline.core.errors import unknown

MANY = 20  # classes that are offered at once where a batch names no few of its own


@dataclass(frozen=True)
class Plan:
    """A batch as it is sent.

    rows: of the table `batches`, in the batch's order. tickets: sample_id → what it is called in the tool. secret: the lake's. contents: sample_id → content_id. today: class as the batch recorded it →
    what it is called today; several may be one by now. options: a choice for each class of today, by its name.
    """

    batch: str
    mark: str
    rows: Sequence[Mapping[str, Any]]
    tickets: Mapping[str, str]
    secret: bytes
    contents: Mapping[str, str]
    today: Mapping[str, str]
    options: Mapping[str, Option]

    @property
    def few(self) -> bool:
        """Whether a task shows choices of its own: those of its row, or all classes where there are few."""
        return len(self.options) <= MANY or all(row["options"] for row in self.rows)

    @property
    def listed(self) -> list[Option]:
        """The classes of the full list; none where each task offers all of them anyway."""
        whole = all(len(self.names(row)) == len(self.options) for row in self.rows)
        return [] if whole else list(self.options.values())

    def names(self, row: Mapping[str, Any]) -> list[str]:
        """Today's classes that a task offers first, in the order of all classes: their order tells nothing of the label."""
        if not row["options"]:
            return list(self.options) if self.few else []
        wanted = {self.today.get(name) for name in row["options"]}
        return [name for name in self.options if name in wanted]

    def offered(self, row: Mapping[str, Any], beside: Mapping[str, Sequence[str]]) -> list[Option]:
        """The few choices of a task, each with its reference pictures (class → URLs)."""
        found = [(self.options[name], tuple(beside.get(name, ()))) for name in self.names(row)]
        return [Option(option.code, option.text, pictures) for option, pictures in found]


def plan_of(lake: Lake, version: Version, batch: str) -> Plan:
    """What a batch asks; raises UserError where there is none of this name."""
    asked = lake.latest("batches", version)
    rows = sorted(asked.filter(pc.equal(asked["batch"], batch)).to_pylist(), key=lambda row: int(row["position"]))
    if not rows:
        raise unknown("batch", batch, pc.unique(asked["batch"]).to_pylist())
    wanted = pa.array([row["sample_id"] for row in rows], pa.string())
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    samples = samples.filter(pc.is_in(samples["sample_id"], value_set=wanted))
    contents = {row["sample_id"]: row["content_id"] for row in samples.to_pylist() if row["content_id"]}
    classes = read_classes(lake, version)
    today: dict[str, str] = {}
    for name in dict.fromkeys(choice for row in rows for choice in row["choices"] or ()):
        now = classes.listed.now(name)
        if now is not None and classes.concern(now) is None:
            today[name] = now
    # The code is of the name that the batch recorded, so that a class may be renamed while people answer.
    recorded: dict[str, str] = {}
    for name, now in today.items():
        recorded.setdefault(now, name)
    texts = tasks.shown([*recorded])
    options = {now: Option(tasks.code(name), text) for (now, name), text in zip(recorded.items(), texts, strict=True)}
    secret = lake.versions.secret()
    named = tickets(secret, batch, (row["sample_id"] for row in rows))
    kept = lake.latest("projects", version, ["batch", "mark"])
    mark = kept.filter(pc.equal(kept["batch"], batch))["mark"].drop_null().to_pylist()
    return Plan(batch, mark[0] if mark else mark_of(lake, rows), rows, named, secret, contents, today, options)


def mark_of(lake: Lake, rows: Sequence[Mapping[str, Any]]) -> str:
    """What tells the project of this batch of this lake from all others: it follows from what the lake recorded of the batch.

    Where `forget` took rows of the batch, its row of `projects` has the mark of before.
    """
    first = rows[0]
    told = [lake.url, first["batch"], str(first["time"]), *(row["sample_id"] for row in rows)]
    return hashlib.blake2b("\0".join(told).encode(), digest_size=8).hexdigest()
