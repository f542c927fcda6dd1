"""The part of `ingest` that Spark does: slices of the listing go out, paths of files and counts come back."""

import contextlib
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from secondlook.jobs.forget.tombstones import Buried
from secondlook.jobs.ingest.books import Books, repeated
from secondlook.jobs.ingest.worker import OWN_TABLES, Plan, drop_contents, work
from secondlook.jobs.lake.store import Attempt, Lake
from secondlook.jobs.sources.listing import Listing
from secondlook.jobs.terminal import console
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import UnavailableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SLICE_PICTURES = 4096  # few enough that the progress bar moves, enough that starting a task costs nothing
SLICES_A_CORE = 4  # so that the cores end at about the same time
MIN_SLICE = 128
POLL_S = 0.2


def read_new(
    attempt: Attempt,
    settings: Settings,
    spark: "SparkSession | None",
    listing: Listing,
    books: Books,
    buried: Buried,
) -> dict[str, Any]:
    """Read what is new with Spark and add its files to the attempt; see ingest_worker for what a slice returns."""
    todo, wanted = books.todo, settings.ingest
    if not todo.num_rows:
        return {"samples": 0, "rejects": Counter(), "rejected": [], "forgotten": [], "contents": 0, "run": {}}
    if spark is None:
        from secondlook.jobs.machine.spark import session

        spark = session(settings.spark)
    plan = Plan(
        folder=f"{attempt.folder('samples')}/plan",
        outputs={table: attempt.folder(table) for table in OWN_TABLES},
        seq=attempt.seq,
        dataset=settings.lake.dataset,
        source=listing.url,
        by_reference=wanted.store == "reference",
        buried=buried,
        limits=Limits(wanted.max_file_mb * 2**20, wanted.max_pixels, wanted.decode_timeout_s),
        file_bytes=wanted.file_mb * 2**20,
        row_group_bytes=wanted.row_group_mb * 2**20,
    )
    started = datetime.now(UTC)
    try:
        slices = _write_slices(attempt.lake, plan, todo, spark.sparkContext.defaultParallelism)
        sizes = [piece.stop - piece.start for piece in slices]
        with console.progress("reading", todo.num_rows) as advance:
            results = _on_workers(spark, partial(work, plan), sizes, advance)
        rejects: Counter[str] = sum((Counter(result["rejects"]) for result in results), Counter())
        if "://" in listing.url and not listing.url.startswith("file:") and rejects["unreadable"] == todo.num_rows:
            raise UnavailableError(f"not one of {todo.num_rows:,} pictures of {listing.url} could be read")
        parts = _each_content_once(attempt, spark, plan, results, partial(drop_contents, plan))
    finally:
        with contextlib.suppress(OSError):
            attempt.lake.fs.rm(attempt.lake.strip(plan.folder), recursive=True)
    files = {table: [url for result in results for url in result["files"].get(table, ())] for table in OWN_TABLES}
    files |= {table: [part[table] for part in parts] for table in ("images", "fingerprints")}
    for table in OWN_TABLES:
        attempt.add_files(table, files[table])
    seconds = (datetime.now(UTC) - started).total_seconds()
    return {
        "samples": sum(result["samples"] for result in results),
        "rejects": rejects,
        "rejected": [sample for result in results for sample in result["rejected"]],
        "forgotten": [sample for result in results for sample in result["forgotten"]],
        "contents": sum(part["rows"] for part in parts),
        "run": {
            "read_s": round(seconds, 3),
            "pictures_read": todo.num_rows,
            "pictures_a_second": round(todo.num_rows / max(seconds, 1e-3)),
            "workers_cpu_s": round(sum(result["cpu_s"] for result in results), 3),
            "worker_peak_mb": max(result["peak_mb"] for result in results),
            "bytes": sum(result["bytes"] for result in results),
        },
    }


def _write_slices(lake: Lake, plan: Plan, todo: pa.Table, cores: int) -> list[slice]:
    """The rows to read, as one small Parquet file a slice: no listing passes through the JVM."""
    lake.fs.makedirs(lake.strip(plan.folder), exist_ok=True)
    most = min(max(todo.num_rows // (SLICES_A_CORE * cores), MIN_SLICE), SLICE_PICTURES)
    slices = list(_slices(todo["length"].to_pylist(), todo["group"].to_pylist(), plan.file_bytes, most))
    rows = todo.drop_columns(["group"])
    for number, piece in enumerate(slices):
        with lake.fs.open(lake.strip(f"{plan.folder}/{number:05d}.parquet"), "wb") as stream:
            pq.write_table(rows.slice(piece.start, piece.stop - piece.start), stream, compression="zstd")
    return slices


def _slices(lengths: Sequence[int], groups: Sequence[str | None], most_bytes: int, most: int) -> Iterator[slice]:
    """Runs of at most `most` rows and `most_bytes` bytes, or more where a group, which is read at once, is larger.

    >>> list(_slices([4, 4, 4, 4], [None] * 4, 10, 9)), list(_slices([4, 4, 4], ["a", "a", "b"], 4, 9))
    ([slice(0, 2, None), slice(2, 4, None)], [slice(0, 2, None), slice(2, 3, None)])
    """
    start = held = 0
    for i, (length, group) in enumerate(zip(lengths, groups, strict=True)):
        together = group is not None and i > start and groups[i - 1] == group
        if i > start and not together and (held + length > most_bytes or i - start >= most):
            yield slice(start, i)
            start, held = i, 0
        held += max(length, 0)
    if start < len(lengths):
        yield slice(start, len(lengths))


def _on_workers(
    spark: "SparkSession", task: Callable[..., Any], sizes: Sequence[int], advance: console.Advance
) -> list[dict[str, Any]]:
    """One Spark task a slice; the results in the order of the slices."""
    with _followed(spark, sizes, advance):
        try:
            rows = spark.range(0, len(sizes), 1, len(sizes)).mapInArrow(task, "result string").collect()
        except Exception as problem:
            if "No space left on device" in str(problem):
                raise UnavailableError("there is no space left where the lake lies; nothing was added") from None
            raise
    return [json.loads(row["result"]) for row in rows]


@contextlib.contextmanager
def _followed(spark: "SparkSession", sizes: Sequence[int], advance: console.Advance) -> Iterator[None]:
    """While a job runs, tell how many pictures its finished tasks had; tasks are started in order."""
    context = spark.sparkContext
    group, over, told = f"secondlook-{uuid.uuid4().hex}", threading.Event(), 0
    tracker = context.statusTracker()

    def follow() -> None:
        nonlocal told
        while not over.wait(POLL_S):
            stages = [stage for job in tracker.getJobIdsForGroup(group) for stage in _stages(tracker, job)]
            done = sum(sizes[: sum(stage.numCompletedTasks for stage in stages)])
            advance(max(done - told, 0))
            told = max(told, done)

    context.setJobGroup(group, "secondlook ingest")
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        context.cancelJobGroup(group)
        raise
    finally:
        over.set()
        thread.join()
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]  # None takes it away
    advance(sum(sizes) - told)


def _stages(tracker: Any, job: int) -> list[Any]:
    info = tracker.getJobInfo(job)
    stages = [tracker.getStageInfo(stage) for stage in info.stageIds] if info else []
    return [stage for stage in stages if stage]


def _each_content_once(
    attempt: Attempt, spark: "SparkSession", plan: Plan, results: list[dict[str, Any]], task: Callable[..., Any]
) -> list[dict[str, Any]]:
    """The parts without contents that the lake or an earlier part has: those parts alone are written again."""
    parts = [part for result in results for part in result["parts"]]
    drop = repeated(attempt.lake, attempt.base, [(part["fingerprints"], part["rows"]) for part in parts])
    again = [i for i, ids in enumerate(drop) if ids and len(ids) < parts[i]["rows"]]
    for number, i in enumerate(again):
        with attempt.lake.fs.open(attempt.lake.strip(f"{plan.folder}/drop-{number:05d}.json"), "w") as stream:
            json.dump(parts[i] | {"drop": drop[i]}, stream)
    written = _on_workers(spark, task, [1] * len(again), lambda _: None) if again else []
    replaced = dict(zip(again, written, strict=True))
    for i, ids in enumerate(drop):
        if ids:
            for table in ("images", "fingerprints"):
                attempt.lake.fs.rm(attempt.lake.strip(parts[i][table]))
    return [replaced.get(i, part) for i, part in enumerate(parts) if len(drop[i]) < part["rows"]]
