"""By what the rest of a picture would be found: pieces of its bytes, its vectors, its hashes."""

import importlib
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import In

from secondlook.jobs.forget.rows import FREE
from secondlook.jobs.forget.search import Needles
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.attributes import entries
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.schemas import TABLES

PIECE_BYTES = 32
TELLING = 16  # different bytes in a piece: fewer may be in any picture
PLACES = (0.25, 0.5, 0.75)
LEAST_KEY = 8  # bytes: among bytes, any few letters may stand beside one another
LEAST_VALUE = 6  # letters
NUMBERS = re.compile(r"[0-9a-fA-F.,:+\s-]*")  # also what may be a piece of an id or a time
TEXTS = (pa.string(), pa.list_(pa.string()))


def of(lake: Lake, version: Version, contents: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    """`probes` and `vectors` (hexadecimal), and `hashes` (pHash, dHash) of contents, as Work holds them."""
    wanted = sorted(set(contents))
    if not wanted:
        return {}
    chosen = In("content_id", wanted)  # type: ignore[call-arg, arg-type]
    probes: list[bytes] = []
    for batch in lake.batches("images", version, ["content_id", "image"], chosen):
        for image in batch["image"].to_pylist():
            probes += pieces(image["bytes"] or b"")
    vectors: list[bytes] = []
    for batch in lake.batches("embeddings", version, ["content_id", "vector"], chosen):
        vectors += [head for vector in batch["vector"].to_pylist() if (head := vector_head(vector))]
    rows = lake.read("fingerprints", version, ["content_id", "phash", "dhash"], chosen)
    both = rows.filter(pc.and_(pc.is_valid(rows["phash"]), pc.is_valid(rows["dhash"])))
    return {
        "probes": tuple(sorted({one.hex() for one in probes})),
        "vectors": tuple(sorted({one.hex() for one in vectors})),
        "hashes": tuple(sorted(set(zip(both["phash"].to_pylist(), both["dhash"].to_pylist(), strict=True)))),
    }


def telling(lake: Lake, version: Version, keys: Collection[str], samples: Collection[str]) -> tuple[str, ...]:
    """The keys that can be looked for anywhere, also among bytes: long enough, and no part of what stays in the lake."""
    wanted = {key for key in keys if len(key.encode()) >= LEAST_KEY and key not in lake.url}
    if not wanted:
        return ()
    mine = pa.array(sorted(samples), pa.string())
    texts = [lake.read("labels", version, ["label"])["label"], lake.read("classes", version, ["name"])["name"]]
    for table in ("samples", "rejects"):
        rows = lake.read(table, version, ["sample_id", "key", "source"])
        stay = rows.filter(pc.invert(pc.is_in(rows["sample_id"], value_set=mine)))
        texts += [stay["key"], rows["source"]]
    found = Needles(key.encode() for key in wanted)
    for column in texts:
        for value in pc.unique(column).drop_null().to_pylist():
            wanted -= {one.decode() for _, one in found.hits(value.encode())}
    return tuple(sorted(wanted))


def values(lake: Lake, version: Version, wanted: Collection[str], samples: Collection[str]) -> tuple[str, ...]:
    """The values of attributes, of those that only the samples have, that can be looked for anywhere, as `telling` says it of keys.

    Not those that could be a piece of an id, a number or a time, or that secondlook or the lake's format may write itself.
    """
    left = {one for one in wanted if len(one) >= LEAST_VALUE and not NUMBERS.fullmatch(one) and one not in lake.url}
    if left:
        found = Needles(one.encode() for one in left)
        for text in (*_own_words(lake), *_staying(lake, version, samples)):
            left -= {one.decode() for _, one in found.hits(text.encode())}
    return tuple(sorted(left))


def _staying(lake: Lake, version: Version, samples: Collection[str]) -> Iterator[str]:
    """All texts that nothing is struck out of: columns of names, and what places that stay are called and have as attributes."""
    mine = pa.array(sorted(samples), pa.string())
    for table in sorted(set(version.tables) & set(TABLES)):
        free = {*FREE.get(table, ()), "sample_id", "content_id"}
        kinds = {field.name: field.type for field in TABLES[table].schema if field.name not in free}
        there = lake.iceberg(table).schema().column_names
        names = [name for name, kind in kinds.items() if kind in TEXTS and name in there]
        if table == "attribute_repairs":
            names = ["rule", "actor"]
        places = ["sample_id"] * (table in ("samples", "rejects"))
        rows = lake.read(table, version, [*names, *places])
        if places:
            rows = rows.filter(pc.invert(pc.is_in(rows["sample_id"], value_set=mine)))
        for name in names:
            column = rows[name] if kinds[name] == pa.string() else pc.list_flatten(rows[name])
            yield from pc.unique(column).drop_null().to_pylist()
    for rows in (
        lake.read("samples", version, ["sample_id", "attributes"]),
        dataset.samples(lake, version, reveal=True),
    ):
        stay = rows.filter(pc.invert(pc.is_in(rows["sample_id"], value_set=mine)))["attributes"]
        for chunk in stay.chunks:
            for part in entries(chunk)[:2]:
                yield from pc.unique(part).drop_null().to_pylist()


def _own_words(lake: Lake) -> Iterator[str]:
    """What code and format write: names of columns, jobs and states, and the words of messages."""
    for name in ("jobs", "labeling", "pipeline"):
        for file in sorted(Path(importlib.import_module(f"secondlook.{name}").__path__[0]).rglob("*.py")):
            yield file.read_text(encoding="utf-8")
    yield lake.iceberg("samples").metadata.model_dump_json(by_alias=True)


def pieces(data: bytes) -> list[bytes]:
    """Up to three pieces from within a file that hardly any other file has: none where it is too plain for that."""
    places = [int(len(data) * share) for share in PLACES] if len(data) > 2 * PIECE_BYTES else [0]
    found = [data[place : place + PIECE_BYTES] for place in places]
    return [one for one in found if len(set(one)) >= TELLING]


def vector_head(vector: list[float]) -> bytes:
    """The first bytes of an embedding as they are stored; empty where they tell nothing."""
    head = np.asarray(vector[: PIECE_BYTES // 4], np.float32).tobytes()
    return head if len(head) == PIECE_BYTES and len(set(head)) >= TELLING else b""
