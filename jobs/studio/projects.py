"""The batches that are answered in the tool, as a version of the lake knows them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling.studio import tasks
from secondlook.labeling.studio.answers import Batch
from secondlook.labeling.studio.settle import Held

ARCHIVED = "archived"


@dataclass(frozen=True)
class Project:
    """A batch where it is answered: its row of `projects`, what was asked of whom, and what is held of the answers."""

    row: Mapping[str, Any]
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

    def understood(self, people: Mapping[int, str]) -> Batch:
        """What it takes to understand its tasks, given the names of annotators."""
        taken = {row["origin"]: row["sample_id"] for row in self.held.live(self.prefix)}
        return Batch(self.batch, self.codes, people, self.prefix, taken)


def open_rows(lake: Lake, version: Version) -> list[dict[str, Any]]:
    """Rows of `projects` of all that are not archived, in the order of their batches."""
    return [row for row in lake.latest("projects", version).to_pylist() if row["project"] and row["state"] != ARCHIVED]


def described(lake: Lake, version: Version, rows: Collection[Mapping[str, Any]], asked: pa.Table) -> list[Project]:
    """Projects with all that the lake knows of them. `asked`: the table `batches`."""
    names = pa.array([row["batch"] for row in rows], pa.string())
    codes: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
    made: dict[tuple[str, ...], Mapping[str, str]] = {}  # choices are the same for most of a batch
    for row in (
        asked.filter(pc.is_in(asked["batch"], value_set=names)).select(["batch", "sample_id", "choices"]).to_pylist()
    ):
        choices = tuple(row["choices"] or ())
        if choices not in made:
            made[choices] = tasks.codes(choices)
        codes[row["batch"]][row["sample_id"]] = made[choices]
    held = _held(lake, version, names)
    return [Project(row, codes[row["batch"]], held.get(row["batch"], Held([], frozenset()))) for row in rows]


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
