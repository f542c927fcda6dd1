"""The proof: every file that the lake still has is read, as bytes and as what it holds, for anything of the pictures.

Bytes are looked through in all files; what is compressed, Parquet and Avro, also as it reads. Nothing is taken from what `erase`
believes to have done. A finding says what was found in which file, and not of whom.
"""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from secondlook.jobs.forget.mentions import spellings
from secondlook.jobs.forget.needles import vector_head
from secondlook.jobs.forget.rows import Gone
from secondlook.jobs.forget.search import Needles
from secondlook.jobs.forget.tombstones import Buried, buried
from secondlook.jobs.forget.work import Work, is_list
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.errors import SecondlookError
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.schemas import TABLES

CHUNK_BYTES = 8 * 2**20
BOUND = 15  # letters of a text that a bound of a column surely has: Iceberg keeps 16, and the last of an upper bound is raised
ROWS_AT_ONCE = 256  # pictures may be tens of MB each
AVRO = b"Obj\x01"
ID, KEY, VALUE = "an id", "a key", "a value of an attribute that nobody else has"
PICTURE, VECTOR = "a picture's bytes", "an embedding"


@dataclass
class Proof:
    """What was read and what was found. `alike`: pictures that stay and share bytes or hashes with a forgotten one: near copies."""

    files: int = 0
    bytes: int = 0
    rows: int = 0
    alike: int = 0
    findings: list[dict[str, str]] = field(default_factory=list)

    def found(self, file: str, what: str) -> None:
        """Note a finding, once for each file and kind."""
        one = {"file": file, "what": what}
        if one not in self.findings:
            self.findings.append(one)


def prove(lake: Lake, work: Work) -> Proof:
    """Look for what a work list names in all files below the lake's folder, but for the list itself, and in the catalog."""
    proof, searched = Proof(), _Searched(work)
    alike: set[str] = set()
    for path, facts in sorted(lake.fs.find(lake.root, detail=True).items()):
        if is_list(path):
            continue
        name = path.removeprefix(lake.root).strip("/")
        proof.files += 1
        proof.bytes += facts["size"]
        try:
            _file(lake, path, name, searched, proof, alike)
        except FileNotFoundError:  # a job that runs beside this one: its files come and go
            continue
    _catalog(lake, searched, proof)
    proof.alike = len(alike)
    return proof


class _Searched:
    """What is looked for: in texts and rows as `erase` does, and among bytes."""

    def __init__(self, work: Work) -> None:
        self.gone = Gone(work)
        self.contents = frozenset(work.contents)
        self.hashes = frozenset(work.hashes)
        self.vectors = frozenset(bytes.fromhex(one) for one in work.vectors)
        self.probes = Needles(bytes.fromhex(one) for one in work.probes)
        ids = {one.encode(): ID for one in (*work.samples, *work.contents)}
        keys = {way.encode(): KEY for key in work.telling for way in spellings(key)}
        values = {way.encode(): VALUE for value in work.values for way in spellings(value)}
        self.texts = ids | values | keys
        heads = {one.hex(): PICTURE for one in map(bytes.fromhex, work.probes)} | {
            one.hex(): VECTOR for one in self.vectors
        }
        self.all = self.texts | {bytes.fromhex(one): what for one, what in heads.items()}
        self.bounds = {one[:BOUND]: what for one, what in self.texts.items() if what is ID}
        self.bounds |= {one: what for one, what in (values | keys).items() if len(one) <= BOUND}
        self.needles = {name: Needles(getattr(self, name)) for name in ("texts", "all", "bounds")}

    def among(self, which: str, data: bytes | memoryview) -> Iterator[str]:
        """What is found among bytes."""
        known: dict[bytes, str] = getattr(self, which)
        for _, one in self.needles[which].hits(data):
            yield known[one]


def _file(lake: Lake, path: str, name: str, searched: _Searched, proof: Proof, alike: set[str]) -> None:
    parquet = name.endswith(".parquet")
    # Pictures that stay may share bytes with one that went, a copy with other metadata: those are looked at row by row.
    _bytes(lake, path, name, "texts" if parquet else "all", searched, proof)
    if parquet:
        _parquet(lake, path, name, searched, proof, alike)
    elif name.endswith(".avro"):
        with lake.fs.open(path, "rb") as stream:
            for block in avro_blocks(stream.read()):
                for what in searched.among("bounds", block):
                    proof.found(name, f"{what} in a bound")


def _bytes(lake: Lake, path: str, name: str, which: str, searched: _Searched, proof: Proof) -> None:
    """All bytes of a file, in pieces that overlap by the longest needle."""
    overlap = max(searched.needles[which].longest - 1, 0)
    with lake.fs.open(path, "rb") as stream:
        held = b""
        while chunk := stream.read(CHUNK_BYTES):
            for what in searched.among(which, held + chunk):
                proof.found(name, what)
            held = (held + chunk)[-overlap:] if overlap else b""


def avro_blocks(data: bytes) -> Iterator[bytes]:
    """The blocks of an Avro file as they read, its header's metadata first.

    Source: Apache Avro specification, "Object container files"; codecs null and deflate are what pyiceberg writes.
    """
    if not data.startswith(AVRO):
        yield data
        return
    meta: dict[bytes, bytes] = {}
    at = len(AVRO)
    while True:
        n, at = _long(data, at)
        if n == 0:
            break
        if n < 0:
            n, (_, at) = -n, _long(data, at)
        for _ in range(n):
            size, at = _long(data, at)
            key, at = data[at : at + size], at + size
            size, at = _long(data, at)
            meta[key], at = data[at : at + size], at + size
    yield b"\0".join(meta.values())
    at += 16  # the sync marker
    while at < len(data):
        _, at = _long(data, at)
        size, at = _long(data, at)
        block = data[at : at + size]
        yield zlib.decompress(block, -15) if meta.get(b"avro.codec") == b"deflate" else block
        at += size + 16


def _long(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def _parquet(lake: Lake, path: str, name: str, searched: _Searched, proof: Proof, alike: set[str]) -> None:
    """The rows of a Parquet file, whatever table's it is."""
    table = next((part for part in Path(name).parts if part in TABLES), "")
    with lake.fs.open(path, "rb") as stream:
        try:
            file = pq.ParquetFile(stream)
        except pa.ArrowInvalid:  # half a file of a job that runs: its bytes were looked through
            return
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            rows = pa.Table.from_batches([batch])
            proof.rows += rows.num_rows
            for what in _rows(table, rows, searched, alike):
                proof.found(name, what)


def _rows(table: str, rows: pa.Table, searched: _Searched, alike: set[str]) -> Iterator[str]:
    if table and searched.gone.touched(table, _complete(table, rows)):
        yield "a row"
    for column in rows.column_names:
        values = rows[column].combine_chunks()
        for leaf in _leaves(values):
            if pa.types.is_string(leaf.type) or pa.types.is_large_string(leaf.type):
                for ids in searched.gone.ids.values():
                    if pc.any(pc.is_in(leaf, value_set=ids)).as_py():
                        yield f"{ID} in {column}"
    if table == "images":
        yield from _images(rows, searched, alike)
    if table == "embeddings":
        of_whom = rows["content_id"].to_pylist()
        heads = {content for content, vector in zip(of_whom, rows["vector"].to_pylist(), strict=True)
                 if vector and vector_head(vector) in searched.vectors}  # fmt: skip
        alike |= heads - searched.contents
    if table == "fingerprints":
        pairs = zip(*(rows[one].to_pylist() for one in ("content_id", "phash", "dhash")), strict=True)
        alike |= {content for content, *hashes in pairs if tuple(hashes) in searched.hashes} - searched.contents


def _complete(table: str, rows: pa.Table) -> pa.Table:
    """Rows with the columns that older files lack."""
    for one in TABLES[table].schema:
        if one.name not in rows.column_names:
            rows = rows.append_column(one, pa.nulls(rows.num_rows, one.type))
    return rows


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    """The arrays that nested values are made of."""
    kind = values.type
    if pa.types.is_struct(kind):
        for n in range(kind.num_fields):
            yield from _leaves(values.field(n))
    elif pa.types.is_map(kind):
        yield from _leaves(values.keys)
        yield from _leaves(values.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(values.flatten())
    else:
        yield values


def _images(rows: pa.Table, searched: _Searched, alike: set[str]) -> Iterator[str]:
    """Bytes are hashed anew: a content under another's id would be found, too."""
    for content, image in zip(rows["content_id"].to_pylist(), rows["image"].to_pylist(), strict=True):
        data = image["bytes"] if image else None
        if data is None:
            continue
        if content_id(data) in searched.contents:
            yield PICTURE
        elif searched.probes and next(searched.probes.hits(data), None) is not None:
            alike.add(content)


def _catalog(lake: Lake, searched: _Searched, proof: Proof) -> None:
    """The versions, where they lie in another database than the lake's own file, whose bytes were read."""
    proof.rows += len(versions := lake.versions.all())
    texts = [f"{version.summary} {version.run} {version.inputs}" for version in versions]
    if pc.any(searched.gone.mentions.among(pa.chunked_array([pa.array(texts, pa.string())]))).as_py():
        proof.found("secondlook_versions", f"{KEY} or {VALUE}")
    database = lake.catalog.engine.url.database or ""
    own = f"{lake.root}/catalog.db"
    if lake.catalog.engine.dialect.name == "sqlite" and database != own and Path(database).is_file():
        data = Path(database).read_bytes()
        for what in searched.among("all", data):
            proof.found("the catalog", what)


def recheck(lake: Lake) -> Proof:
    """Look for rows, in any Parquet file below the lake's folder, of what has a tombstone: by marks, since nobody is named any more.

    Bytes of pictures are hashed anew. For files that a job left which ran beside `forget`, and for a lake from a backup.
    """
    proof, stones = Proof(), buried(lake, lake.head())
    for path, facts in sorted(lake.fs.find(lake.root, detail=True).items()):
        if not path.endswith(".parquet"):
            continue
        name = path.removeprefix(lake.root).strip("/")
        proof.files += 1
        proof.bytes += facts["size"]
        with lake.fs.open(path, "rb") as stream:
            file = pq.ParquetFile(stream)
            there = [one for one in ("sample_id", "content_id", "image") if one in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=there) if there else ():
                proof.rows += batch.num_rows
                for what in _with_stones(batch, stones):
                    proof.found(name, what)
    return proof


def _with_stones(batch: pa.RecordBatch, stones: Buried) -> Iterator[str]:
    tests = {"sample_id": stones.sample, "content_id": stones.content}
    for column, has_one in tests.items():
        if column in batch.schema.names and any(map(has_one, pc.unique(batch[column]).drop_null().to_pylist())):
            yield f"{ID} in {column}"
    if "image" in batch.schema.names:
        data = (image["bytes"] for image in batch["image"].to_pylist() if image and image["bytes"] is not None)
        if any(stones.content(content_id(one)) for one in data):
            yield PICTURE


def insist(proof: Proof) -> None:
    """Raise SecondlookError where something was found."""
    if proof.findings:
        counted = Counter(one["what"] for one in proof.findings)
        what = ", ".join(f"{kind} in {n} files" for kind, n in sorted(counted.items()))
        first = proof.findings[0]["file"]
        raise SecondlookError(
            f"the pictures are not gone: {what} (first {first}); nothing reads them any more, and `secondlook forget --resume` tries "
            "again, best when no other job runs"
        )
