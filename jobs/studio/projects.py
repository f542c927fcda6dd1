"""The batches that are answered in the tool, as a version of the lake knows them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.studio.plan import mark_of
from secondlook.labeling.studio import tasks
from secondlook.labeling.studio.answers import Batch
from secondlook.labeling.studio.settle import Held
from secondlook.labeling.tickets import tickets

ARCHIVED = "archived"


@dataclass(frozen=True)
class Project:
    """A batch where it is answered: its row of `projects`, what was asked, and what is held of the answers.

    mark: what its project in the tool is known by. tickets: sample_id → what it is called there. codes: sample_id → code → class of
    what may be answered. secret: the lake's.
    """

    row: Mapping[str, Any]
    mark: str
    tickets: Mapping[str, str]
    secret: bytes
    codes: Mapping[str, Mapping[str, str]]
    held: Held

    @property
    def batch(self) -> str:
        """The batch that is answered there."""
        return str(self.row["batch"])

    @property
    def number(self) -> int:
        """The project's number in the tool."""
        return int(self.row["project"])

    @property
    def prefix(self) -> str:
        """What the origins of its answers begin with; the tool's id of an annotation follows."""
        return f"label-studio:{urlsplit(self.row['server']).netloc}/{self.number}/"

    def live(self) -> dict[int, Mapping[str, Any]]:
        """The rows of `annotations` that hold and came from here, by the tool's id of each."""
        return {int(row["origin"].removeprefix(self.prefix)): row for row in self.held.live(self.prefix)}

    @property
    def samples(self) -> Mapping[str, str]:
        """Ticket → sample_id."""
        return {ticket: sample_id for sample_id, ticket in self.tickets.items()}

    def understood(self, people: Mapping[int, str], owner: int) -> Batch:
        """What it takes to understand its tasks, given the names of annotators and the number of who sends."""
        taken = {row["origin"]: row["sample_id"] for row in self.held.live(self.prefix)}
        return Batch(self.batch, self.samples, self.codes, people, self.prefix, taken, self.secret, owner)


def open_rows(lake: Lake, version: Version) -> list[dict[str, Any]]:
    """Rows of `projects` of all that are not archived, in the order of their batches."""
    return [row for row in lake.latest("projects", version).to_pylist() if row["project"] and row["state"] != ARCHIVED]


def described(lake: Lake, version: Version, rows: Collection[Mapping[str, Any]], asked: pa.Table) -> list[Project]:
    """Projects with all that the lake knows of them. `asked`: the table `batches`."""
    names = pa.array([row["batch"] for row in rows], pa.string())
    queues: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in asked.filter(pc.is_in(asked["batch"], value_set=names)).sort_by("position").to_pylist():
        queues[row["batch"]].append(row)
    held = _held(lake, version, names)
    nothing = Held([], frozenset())
    secret = lake.versions.secret()
    found = []
    for row in rows:
        if queue := queues[row["batch"]]:
            named = tickets(secret, row["batch"], (task["sample_id"] for task in queue))
            known = held.get(row["batch"], nothing)
            found.append(Project(row, row["mark"] or mark_of(lake, queue), named, secret, _codes(queue), known))
    return found


def _codes(queue: Collection[Mapping[str, Any]]) -> dict[str, Mapping[str, str]]:
    made: dict[tuple[str, ...], Mapping[str, str]] = {}  # choices are the same for most of a batch
    for row in queue:
        choices = tuple(row["choices"] or ())
        if choices not in made:
            made[choices] = tasks.codes(choices)
    return {row["sample_id"]: made[tuple(row["choices"] or ())] for row in queue}


def _held(lake: Lake, version: Version, names: pa.Array) -> dict[str, Held]:
    rows = lake.read("annotations", version)
    states: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.filter(pc.is_in(rows["batch"], value_set=names)).sort_by("seq").to_pylist():
        states[row["batch"]].append(row)
    return {
        batch: Held(
            list({row["annotation_id"]: row for row in its}.values()),
            frozenset((row["origin"], row["changed"]) for row in its if row["origin"] is not None),
        )
        for batch, its in states.items()
    }
