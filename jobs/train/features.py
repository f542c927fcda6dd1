"""Pictures of the lake on their way to a model: streamed once, embedded once, and kept."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake.pictures import images_by_content, read_reference
from secondlook.jobs.lake.store import Attempt, Lake, Version
from secondlook.jobs.terminal import console
from secondlook.pipeline.core.config import IngestSettings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.schemas import TABLES

if TYPE_CHECKING:
    from secondlook.pipeline.learn.backbones import Backbone

Reals = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

FILE_BYTES = 32 * 2**20  # of vectors in one file of the lake
FEW = 1000  # contents that are looked up by their id instead of reading all images


def limits(settings: IngestSettings) -> Limits:
    """The limits that ingest decoded with."""
    return Limits(settings.max_file_mb * 2**20, settings.max_pixels, settings.decode_timeout_s)


def pictures(lake: Lake, version: Version, content_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """(content_id, bytes) of these contents, each once, read sequentially in the order of the files."""
    missing = set(content_ids)
    if len(missing) <= FEW:
        yield from images_by_content(lake, version, missing).items()
        return
    for batch in lake.batches("images", version, ["content_id", "image"]):
        for place, content in enumerate(batch["content_id"].to_pylist()):
            if content in missing:
                missing.discard(content)
                image = batch["image"][place].as_py()
                yield content, image["bytes"] if image["bytes"] is not None else read_reference(image["path"])


def pixels(
    lake: Lake, version: Version, content_ids: Sequence[str], side_px: int, settings: IngestSettings
) -> tuple[npt.NDArray[np.uint8], Flags]:
    """All contents as (N, side, side, 3), for a net from scratch; and (N,) which could be read."""
    from secondlook.pipeline.learn.batches import picture_batches

    held = np.zeros((len(content_ids), side_px, side_px, 3), np.uint8)
    readable = np.zeros(len(content_ids), np.bool_)
    place = {content: i for i, content in enumerate(content_ids)}
    with console.progress("reading pictures", len(content_ids)) as advance:
        stream = pictures(lake, version, content_ids)
        for batch in picture_batches(stream, side_px, 256, limits(settings)):
            rows = [place[content] for content in batch.ids]
            held[rows] = batch.pixels
            readable[rows] = True
            advance(len(batch.ids) + len(batch.rejected))
    return held, readable


def known(lake: Lake, version: Version, content_ids: Sequence[str], embedder: str, width: int) -> tuple[Reals, Flags]:
    """(N, D) vectors that are kept already, 0 where not; and (N,) where they are."""
    vectors = np.zeros((len(content_ids), width), np.float32)
    found = np.zeros(len(content_ids), np.bool_)
    place = {content: i for i, content in enumerate(content_ids)}
    chosen = EqualTo("model", embedder)  # type: ignore[call-arg, arg-type]
    for batch in lake.batches("embeddings", version, ["content_id", "vector"], chosen):
        lists = batch["vector"]
        rows = [place.get(content, -1) for content in batch["content_id"].to_pylist()]
        block = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
        wanted = np.array(rows, np.int64) >= 0
        vectors[np.array(rows, np.int64)[wanted]] = block[wanted]
        found[np.array(rows, np.int64)[wanted]] = True
    return vectors, found


def embed(
    attempt: Attempt, version: Version, content_ids: Sequence[str], backbone: "Backbone", batch: int, settings: Any
) -> tuple[Reals, Flags, dict[str, Any]]:
    """The backbone's vectors (N, D) of all contents, computed where the lake has none yet, and kept in the attempt.

    Returns with them (N,) which could be read, and how many were computed and reused in how many seconds.
    """
    from secondlook.pipeline.learn.batches import picture_batches

    start = time.monotonic()
    vectors, done = known(attempt.lake, version, content_ids, backbone.embedder, backbone.width())
    reused = int(done.sum())
    if reused:
        console.say(f"{reused:,} embeddings by {backbone.embedder} are in the lake and used again")
    place = {content: i for i, content in enumerate(content_ids)}
    missing = [content for content, there in zip(content_ids, done, strict=True) if not there]
    if missing:
        with console.progress("embedding", len(missing)) as advance:
            stream = pictures(attempt.lake, version, missing)
            for some in picture_batches(stream, backbone.image_px, batch, limits(settings)):
                rows = [place[content] for content in some.ids]
                vectors[rows] = backbone.embed(some.pixels)
                done[rows] = True
                advance(len(some.ids) + len(some.rejected))
        fresh = [i for i in (place[content] for content in missing) if done[i]]
        attempt.add_files("embeddings", write_embeddings(attempt, backbone.embedder, content_ids, vectors, fresh))
    computed = int(done.sum()) - reused
    return vectors, done, {"computed": computed, "reused": reused, "seconds": round(time.monotonic() - start, 2)}


def write_embeddings(
    attempt: Attempt, embedder: str, content_ids: Sequence[str], vectors: Reals, rows: Sequence[int]
) -> list[str]:
    """Files of vectors in the attempt's own folder, a few at a time in memory twice."""
    folder = attempt.folder("embeddings")
    size = max(1, FILE_BYTES // max(1, vectors.shape[1] * 4))
    urls = []
    for number, start in enumerate(range(0, len(rows), size)):
        part = rows[start : start + size]
        table = embedding_rows(attempt.seq, [content_ids[i] for i in part], embedder, vectors[list(part)])
        urls.append(f"{folder}/{number:05d}.parquet")
        write_parquet(urls[-1], table)
    return urls


def write_parquet(url: str, table: pa.Table) -> None:
    """One file of the lake, wherever that is."""
    import fsspec
    import pyarrow.parquet as pq

    with fsspec.open(url, "wb") as stream:
        pq.write_table(table, stream, compression="zstd", row_group_size=4096)


def embedding_rows(seq: int, content_ids: Sequence[str], embedder: str, vectors: Reals) -> pa.Table:
    """Rows of the table `embeddings` for vectors (n, D)."""
    schema = TABLES["embeddings"].schema
    n, width = vectors.shape
    lists = pa.ListArray.from_arrays(
        pa.array(np.arange(n + 1, dtype=np.int32) * width), pa.array(vectors.reshape(-1), pa.float32())
    )
    columns = {"content_id": pa.array(content_ids, pa.string()), "model": pa.array([embedder] * n, pa.string())}
    return _table(schema, seq, n, columns | {"vector": lists})


def prediction_rows(
    seq: int, content_ids: Sequence[str], model: str, probs: Reals, k: int, folds: npt.NDArray[np.int64]
) -> pa.Table:
    """Rows of the table `predictions` for probs (n, K), of which the k most probable classes are kept."""
    from secondlook.pipeline.learn.generalist import top_k

    schema = TABLES["predictions"].schema
    best, values = top_k(probs, k)
    n, kept = best.shape
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * kept)
    columns = {
        "content_id": pa.array(content_ids, pa.string()),
        "model": pa.array([model] * n, pa.string()),
        "classes": pa.ListArray.from_arrays(offsets, pa.array(best.reshape(-1), pa.int32())),
        "probs": pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1), pa.float32())),
        "fold": pa.array(folds, pa.int64()),
    }
    return _table(schema, seq, n, columns)


def _table(schema: pa.Schema, seq: int, n: int, columns: dict[str, pa.Array]) -> pa.Table:
    columns["seq"] = pa.array(np.full(n, seq, np.int64))
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
