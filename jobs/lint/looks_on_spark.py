"""Which contents may look the same, found by Spark: what comes back are those alone, not every hash and vector.

Hashes meet by bands: those that differ in few bits agree in some of their blocks (pipeline/audit/copies/duplicates.py), so rows
are sent to each choice of blocks, and only those that agree meet. Vectors meet by cells: each goes to the cells of its
nearest centroids, and only vectors of one cell are compared. Both grow with the number of pictures, not with its square.
The pairs themselves are then looked for among the contents that came back, by the same function as everywhere.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lint.carrier import columns
from secondlook.jobs.lint.looks import EMBEDDING_ROWS, PROPOSED, Comparable, likely_pairs, matrix
from secondlook.pipeline.audit.copies.duplicates import bands, having_near
from secondlook.pipeline.audit.embedding.neighbors import Cells, cells_of, nearest_cells
from secondlook.pipeline.audit.embedding.whitening import Whitening, learned, whitened
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.images import checks
from secondlook.pipeline.images.hashes import mirrored, mirrored_dhash

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROWS_IN_A_TASK = 500_000  # banded hashes, about 20 MB
VECTORS_IN_A_TASK = 50_000
_BANDED = "band int, key long, phash long, dhash long, look long, turned boolean"
_CELLED = "cell int, content_id string, phash long, vector binary"


def comparable(prints: "DataFrame", vectors: "DataFrame | None", settings: LintSettings) -> Comparable:
    """The contents that may look the same as another, and pairs that an embedding proposes.

    `prints`: content_id, key, splits and PRINTS of all contents; `vectors`: content_id and vector.
    """
    from pyspark.sql import functions as f

    informative = prints.mapInArrow(partial(_informative, settings), prints.schema).persist()
    try:
        shown = informative.withColumn("look", f.xxhash64("phash", "dhash", "splits"))
        near = _near_looks(shown, settings)
        twice = shown.groupBy("look").count().where("count > 1").select("look")
        by_hash = shown.join(near.union(twice).distinct(), "look", "left_semi").drop("look")
        proposed = PROPOSED.empty_table() if vectors is None else _proposed(informative, vectors)
        named = pa.table(
            {
                "content_id": pc.unique(
                    pa.chunked_array([*proposed["one"].chunks, *proposed["other"].chunks], pa.string())
                )
            }
        )
        by_vector = informative.join(prints.sparkSession.createDataFrame(named), "content_id", "left_semi")
        contents = by_hash.unionByName(by_vector).dropDuplicates(["content_id"]).toArrow()
        n = informative.count()
        return Comparable(contents, proposed, n, prints.count() - n)
    finally:
        informative.unpersist()


def _informative(settings: LintSettings, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        flat = checks.empty(columns(pa.Table.from_batches([batch])), settings.entropy, settings.flat).flagged
        yield batch.filter(pa.array(~flat))


def _near_looks(shown: "DataFrame", settings: LintSettings) -> "DataFrame":
    """The looks that have a near one: `look`."""
    looks = shown.select("look", "phash", "dhash").dropDuplicates(["look"])
    n = looks.count()
    masks = bands(settings.near_bits, 2 * n)
    banded = looks.mapInArrow(partial(_banded, masks), _BANDED)
    tasks = max(2, 2 * len(masks) * n // ROWS_IN_A_TASK)
    met = banded.repartition(tasks, "band", "key")
    return met.mapInArrow(partial(_met, settings.near_bits, settings.near_confirm_bits), "look long").distinct()


def _banded(masks: list[int], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each hash, and its mirror image's, under each mask."""
    for batch in batches:
        phash, dhash = (batch[name].to_numpy().astype(np.int64) for name in ("phash", "dhash"))
        for turned, p, d in ((False, phash, dhash), (True, mirrored(phash), mirrored_dhash(dhash))):
            for band, mask in enumerate(masks):
                key = (p.view(np.uint64) & np.uint64(mask)).view(np.int64)
                arrays = [np.full(len(p), band, np.int32), key, p, d, batch["look"], np.full(len(p), turned)]
                yield pa.record_batch(
                    [pa.array(a) for a in arrays], ["band", "key", "phash", "dhash", "look", "turned"]
                )


def _met(bits: int, confirm_bits: int, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    rows = pa.Table.from_batches(
        [*batches],
        pa.schema(
            [
                ("band", pa.int32()),
                ("key", pa.int64()),
                ("phash", pa.int64()),
                ("dhash", pa.int64()),
                ("look", pa.int64()),
                ("turned", pa.bool_()),
            ]
        ),
    )
    phash, dhash, look, key, band = (
        rows[n].to_numpy().astype(np.int64) for n in ("phash", "dhash", "look", "key", "band")
    )
    turned = rows["turned"].to_numpy().astype(np.bool_)
    yield pa.record_batch(
        [pa.array(having_near((band, key), (phash, dhash), look, turned, bits, confirm_bits))], ["look"]
    )


def _proposed(informative: "DataFrame", vectors: "DataFrame") -> pa.Table:
    """Pairs by the embedding, each once with its cosine."""
    rows = informative.select("content_id", "phash").join(vectors, "content_id")
    n = rows.count()
    sample = rows.select("content_id", "vector").orderBy("content_id").limit(EMBEDDING_ROWS).toArrow()
    whitening = learned(matrix(sample["vector"]))
    cells = cells_of(whitened(matrix(sample["vector"]), whitening), n)
    celled = rows.mapInArrow(partial(_celled, whitening, cells), _CELLED)
    tasks = max(1, cells.overlap * n // VECTORS_IN_A_TASK)
    near = celled.repartition(tasks, "cell").mapInArrow(_near_in_cells, "one string, other string, cosine float")
    return near.groupBy("one", "other").agg({"cosine": "max"}).toArrow().rename_columns(PROPOSED.names).cast(PROPOSED)


def _celled(whitening: Whitening | None, cells: Cells, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        space = whitened(matrix(pa.chunked_array([batch["vector"]])), whitening)
        nearest = nearest_cells(space, cells)
        packed = pa.array([row.tobytes() for row in space], pa.binary())
        for cell in nearest.T:
            yield pa.record_batch(
                [pa.array(cell.astype(np.int32)), batch["content_id"], batch["phash"], packed],
                ["cell", "content_id", "phash", "vector"],
            )


def _near_in_cells(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    rows = pa.Table.from_batches(
        [*batches],
        pa.schema([("cell", pa.int32()), ("content_id", pa.string()), ("phash", pa.int64()), ("vector", pa.binary())]),
    )
    rows = rows.sort_by([("cell", "ascending"), ("content_id", "ascending")])
    cell = rows["cell"].to_numpy()
    for start, stop in zip(*_runs(cell), strict=True):
        part = rows.slice(start, stop - start)
        space = np.frombuffer(b"".join(part["vector"].to_pylist()), np.float32).reshape(len(part), -1)
        found = likely_pairs(part["content_id"], part["phash"].to_numpy().astype(np.int64), space)
        yield from found.to_batches()


def _runs(values: "np.ndarray[tuple[int, ...], np.dtype[np.int32]]") -> tuple[list[int], list[int]]:
    """Where runs of equal values start and stop."""
    if not len(values):
        return [], []
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return starts.tolist(), [*starts[1:].tolist(), len(values)]
