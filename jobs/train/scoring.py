"""`secondlook train --score-only`: a stored model scores, with Spark, the contents that it has no prediction for."""

import functools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.pictures import read_reference
from secondlook.jobs.lake.store import Attempt, Lake, Version
from secondlook.jobs.machine.provenance import commit, machine
from secondlook.jobs.terminal import console
from secondlook.jobs.train import features, stored
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import SecondlookError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TASK = "file string, row_group int, contents array<string>"
GROUPS_A_TASK = 8  # row groups, of some 8 MB: a task lasts seconds, and loading the model is worth it


@dataclass(frozen=True)
class Plan:
    """What a worker needs: where the model is, how pictures are read, and where its rows go."""

    model: str
    model_url: str
    image_px: int
    embedder: str
    top_k: int
    batch: int
    device: str
    limits: Limits
    seq: int
    outputs: dict[str, str]


def run(
    lake: Lake, settings: Settings, spark: "SparkSession | None" = None, *, as_of: str | None = None
) -> dict[str, Any]:
    """Score what the newest generalist has not seen; returns the summary that --json prints.

    Spark is started, if None, where there is something to score. Raises UserError where no model was trained.
    """
    version = lake.at(as_of)
    model = dataset.newest_model(lake, version)
    wanted = _unscored(lake, version, model.name)
    inputs = {"model": model.name, "tables": {name: version.tables.get(name) for name in ("samples", "images")}}
    done = lake.find("score", inputs)
    if done is not None or not len(wanted):
        console.say(f"nothing to do: {model.name} has scored every picture of version {version.id}")
        return {"model": model.name, "scored": 0, "unreadable": 0, "version": done.id if done else version.id}
    attempt = lake.attempt("score", inputs)
    plan = _plan(attempt, settings, model)
    tasks = _tasks(lake, version, wanted)
    if spark is None:
        from secondlook.jobs.machine.spark import session

        spark = session(settings.spark)
    results = _on_workers(spark, plan, tasks, len(wanted))
    for table in plan.outputs:
        attempt.add_files(table, [result[table] for result in results if result["rows"]])
    summary = {
        "model": model.name,
        "scored": sum(result["rows"] for result in results),
        "unreadable": sum(result["unreadable"] for result in results),
        "read_version": version.id,
        "version": (attempt.base.id if attempt.base else 0) + 1,
    }
    made = attempt.commit(summary, {"read": version.id, "machine": machine(), "commit": commit()})
    return dict(made.summary) | {"version": made.id}


def _unscored(lake: Lake, version: Version, model: str) -> pa.Array:
    """Ids of contents of this version's samples without a prediction by the model, sorted."""
    chosen = EqualTo("model", model)  # type: ignore[call-arg, arg-type]
    scored = lake.read("predictions", version, ["content_id"], chosen)["content_id"]
    contents = pc.unique(lake.latest("samples", version, ["content_id"])["content_id"])
    return contents.filter(pc.invert(pc.is_in(contents, value_set=scored.combine_chunks()))).sort()


def _plan(attempt: Attempt, settings: Settings, model: dataset.Model) -> Plan:
    lake = attempt.lake
    with lake.fs.open(f"{lake.root}/{model.path}/model.json", "rb") as stream:
        facts = json.load(stream)
    return Plan(
        model.name,
        f"{lake.url}/{model.path}",
        facts["image_px"],
        model.embedder,
        settings.train.top_k,
        settings.train.batch,
        settings.train.device,
        features.limits(settings.ingest),
        attempt.seq,
        {table: attempt.folder(table) for table in ("embeddings", "predictions")},
    )


def _tasks(lake: Lake, version: Version, wanted: pa.Array) -> list[tuple[str, int, list[str]]]:
    """(file, row group, contents in it) of all wanted contents, each once; only ids are read."""
    tasks, planned = [], set()
    for file in lake.files("images", version):
        with lake.fs.open(lake.strip(file), "rb") as stream:
            reader = pq.ParquetFile(stream)
            for group in range(reader.num_row_groups):
                ids = reader.read_row_group(group, ["content_id"])["content_id"]
                here = [one for one in ids.filter(pc.is_in(ids, value_set=wanted)).to_pylist() if one not in planned]
                planned.update(here)
                if here:
                    tasks.append((file, group, here))
    if len(planned) < len(wanted):
        raise SecondlookError(f"{len(wanted) - len(planned)} contents are named by samples but are not in the lake")
    return tasks


def _on_workers(
    spark: "SparkSession", plan: Plan, tasks: list[tuple[str, int, list[str]]], total: int
) -> list[dict[str, Any]]:
    pieces = max(1, min(len(tasks), max(spark.sparkContext.defaultParallelism, -(-len(tasks) // GROUPS_A_TASK))))
    frame = spark.createDataFrame(tasks, TASK).repartition(pieces)
    results = []
    with console.progress("scoring", total) as advance:
        for row in frame.mapInArrow(partial(score_batches, plan), "result string").toLocalIterator(
            prefetchPartitions=True
        ):
            results.append(json.loads(row["result"]))
            advance(results[-1]["rows"] + results[-1]["unreadable"])
    return results


# On the workers


@functools.lru_cache(maxsize=1)
def _model(plan_url: str, device: str) -> Any:
    """The stored model, loaded once a worker process."""
    import torch

    from secondlook.pipeline.learn import torch_setup

    torch.set_num_threads(1)  # Spark runs a task a core
    return stored.read(plan_url, torch_setup.device(device))[1]


def score_batches(plan: Plan, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For Spark's mapInArrow: rows of `TASK` in, one line of JSON for each out; see `score_group`."""
    for batch in batches:
        for task in batch.to_pylist():
            result = score_group(plan, task["file"], task["row_group"], task["contents"])
            yield pa.RecordBatch.from_pydict({"result": [json.dumps(result)]})


def score_group(plan: Plan, file: str, row_group: int, contents: list[str]) -> dict[str, Any]:
    """Score these contents of a row group, and write their rows; returns counts and the URLs of the files."""
    from secondlook.pipeline.learn.batches import picture_batches

    model = _model(plan.model_url, plan.device)
    ids: list[str] = []
    vectors, probs, unreadable = [], [], 0
    for batch in picture_batches(_pictures(file, row_group, contents), plan.image_px, plan.batch, plan.limits):
        unreadable += len(batch.rejected)
        if batch.ids:
            ids += batch.ids
            embedded, said = model.score(batch.pixels)
            vectors.append(embedded)
            probs.append(said)
    result: dict[str, Any] = {"rows": len(ids), "unreadable": unreadable}
    if ids:
        name = f"{uuid.uuid4().hex}.parquet"
        unseen = np.full(len(ids), -1, np.int64)
        rows = {
            "embeddings": features.embedding_rows(plan.seq, ids, plan.embedder, np.concatenate(vectors)),
            "predictions": features.prediction_rows(
                plan.seq, ids, plan.model, np.concatenate(probs), plan.top_k, unseen
            ),
        }
        for table, folder in plan.outputs.items():
            result[table] = f"{folder}/{name}"
            features.write_parquet(result[table], rows[table])
    return result


def _pictures(file: str, row_group: int, contents: list[str]) -> Iterator[tuple[str, bytes]]:
    wanted = set(contents)
    with fsspec.open(file, "rb") as stream:
        reader = pq.ParquetFile(stream)
        rows = reader.read_row_group(row_group, ["content_id", "image"])
    for content, image in zip(rows["content_id"].to_pylist(), rows["image"], strict=True):
        if content in wanted:
            wanted.discard(content)
            held = image.as_py()
            yield content, held["bytes"] if held["bytes"] is not None else read_reference(held["path"])
