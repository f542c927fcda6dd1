"""What each person answered, with what it answers: the rows that people are judged by."""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.gold import gold_rows
from secondlook.jobs.lake.store import Lake, Version

SILENT = ("unsure", "bad picture")  # answers that say nothing of the class, and so are neither right nor wrong


@dataclass(frozen=True)
class Given:
    """One person's current answer to one task; `seconds` is None where unknown, `seq` the commit that brought it."""

    annotation_id: str
    annotator: str
    sample_id: str
    content_id: str
    batch: str
    strategy: str
    answer: str
    label: str | None
    seconds: float | None
    when: datetime | None
    seq: int

    @property
    def said(self) -> str:
        """The class, or the answer that is none."""
        return self.label if self.label is not None else self.answer


def given(lake: Lake, version: Version, contents: pa.Array | None = None) -> list[Given]:
    """All answers that were not deleted, those to reverted batches too, in the order in which they were given.

    Classes are called as today; answers that name one that is gone are left out. `contents`: only those for these pictures.
    """
    rows = lake.latest("annotations", version)
    rows = rows.filter(pc.not_equal(rows["state"], "deleted"))
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    if contents is not None:
        samples = samples.filter(pc.is_in(samples["content_id"], value_set=contents))
        rows = rows.filter(pc.is_in(rows["sample_id"], value_set=samples["sample_id"].combine_chunks()))
    label = read_classes(lake, version).read(rows["label"], rows["seq"], reveal=True)
    rows = rows.set_column(rows.column_names.index("label"), "label", label)
    asked = lake.latest("batches", version, ["batch", "sample_id", "strategy"])
    asked = asked.filter(pc.is_in(asked["sample_id"], value_set=pc.unique(rows["sample_id"])))
    tasks = zip(asked["batch"].to_pylist(), asked["sample_id"].to_pylist(), strict=True)
    strategy = dict(zip(tasks, asked["strategy"].to_pylist(), strict=True))
    samples = samples.filter(pc.is_in(samples["sample_id"], value_set=pc.unique(rows["sample_id"])))
    content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
    found = [
        Given(
            row["annotation_id"],
            row["annotator"],
            row["sample_id"],
            content[row["sample_id"]],
            row["batch"],
            strategy.get((row["batch"], row["sample_id"]), ""),
            row["answer"],
            row["label"],
            row["seconds"],
            row["changed"] or row["time"],
            row["seq"],
        )
        for row in rows.sort_by([("annotation_id", "ascending")]).to_pylist()
        if content.get(row["sample_id"]) and (row["label"] is not None or row["answer"] != "label")
    ]
    return sorted(found, key=lambda one: (one.seq if one.when is None else one.when.timestamp(), one.seq))


@dataclass(frozen=True)
class GoldAnswer:
    """One person's first answer to a gold picture. `wrong` is None for an answer that says nothing of the class."""

    annotator: str
    content_id: str
    truth: str
    said: str
    wrong: bool | None
    seq: int


def gold_answers(lake: Lake, version: Version, answered: list[Given]) -> list[GoldAnswer]:
    """What people said of gold pictures, and of equal ones, in their order.

    Gold that was built from people's own answers tells nothing of those people: who had answered by then is not judged by it.
    """
    rows = gold_rows(lake, version).select(["seq", "sample_id", "label", "source"]).to_pylist()
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
    truth = {content[row["sample_id"]]: row for row in rows if content.get(row["sample_id"])}
    found: list[GoldAnswer] = []
    seen: set[tuple[str, str]] = set()
    made_of = {
        (one.annotator, one.content_id)
        for one in answered
        if (row := truth.get(one.content_id)) and row["source"] == "unanimous" and one.seq <= row["seq"]
    }
    for one in answered:
        row, task = truth.get(one.content_id), (one.annotator, one.content_id)
        if row is None or task in seen or task in made_of:
            continue
        seen.add(task)
        wrong = None if one.answer in SILENT else one.label != row["label"]
        found.append(GoldAnswer(one.annotator, one.content_id, row["label"], one.said, wrong, one.seq))
    return found
