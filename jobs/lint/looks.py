"""Which contents look the same: hashes and an embedding propose pairs, their pixels decide."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.pictures import present_images
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import SEPARATOR
from secondlook.pipeline.audit.copies.candidates import NEIGHBORS, STRICTER, bits_between, decided, likely, together
from secondlook.pipeline.audit.copies.duplicates import near_hashes
from secondlook.pipeline.audit.copies.findings import apart as different_splits
from secondlook.pipeline.audit.copies.groups import HASH_BITS, Flags, Ints, NearDuplicates, Pairs, Reals, grouped
from secondlook.pipeline.audit.embedding.neighbors import neighbors
from secondlook.pipeline.audit.embedding.whitening import learned, whitened
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.decode import Limits, Rejected, decode
from secondlook.pipeline.images.hashes import hamming, mirrored, mirrored_dhash
from secondlook.pipeline.images.likeness import SIDE_PX, Thumbnails, likeness, thumbnail

Thumbs = Callable[[pa.Array], pa.Table]  # Carrier.thumbnails

PROPOSED = pa.schema([("one", pa.string()), ("other", pa.string()), ("cosine", pa.float32())])
THUMBNAILS = pa.schema([("content_id", pa.string()), ("pixels", pa.binary(SIDE_PX * SIDE_PX * 3))])
AT_ONCE = 2048  # pairs whose pixels are held at once by a thread
EMBEDDING_ROWS = 20_000  # that the whitening is learned from
MATCHES_EACH = 0.5  # pairs by the embedding alone for each picture, beyond which they are no copies
TRIED = 400  # pairs that are compared to see whether there are so many
IDS_IN_A_FILTER = 2_000  # beyond, reading all pictures' rows is cheaper than asking for some


class Comparable(NamedTuple):
    """Contents that may look the same as another, and pairs of them that an embedding proposes (PROPOSED).

    `contents` has content_id, phash, dhash, key, splits, width, height; it may be some of `n`. `flat` more have too little
    information.
    """

    contents: pa.Table
    proposed: pa.Table
    n: int
    flat: int


class Alike(NamedTuple):
    """Near-duplicates of the contents, and how many of them could not be compared by their pixels.

    `lookalikes`: unlike pictures are so alike here that only hashes were asked.
    """

    near: NearDuplicates
    unread: int
    lookalikes: bool


def alike(thumbs: Thumbs, contents: pa.Table, proposed: pa.Table, n: int, settings: LintSettings) -> Alike:
    """Near-duplicates of `n` contents (see Comparable), in whose order survivors are chosen; `thumbs` brings pixels."""
    phash, dhash = (contents[name].to_numpy().astype(np.int64) for name in ("phash", "dhash"))
    codes = contents["splits"].combine_chunks().dictionary_encode()
    sides = codes.indices.to_numpy().astype(np.int64)
    apart = different_splits([set(splits.split(SEPARATOR)) - {""} for splits in codes.dictionary.to_pylist()])
    mirror = mirrored(phash), mirrored_dhash(dhash)
    look, first, pairs = near_hashes(
        (phash, dhash), mirror, settings.near_bits, settings.near_confirm_bits, sides, apart
    )
    by_hash: Flags = np.ones(len(pairs.first), np.bool_)
    if proposed.num_rows:
        ids = contents["content_id"].combine_chunks()
        one, other = (
            pc.index_in(proposed[name], value_set=ids).to_numpy().astype(np.int64) for name in ("one", "other")
        )
        bits, turned = bits_between(phash, mirror[0], one, other)
        pairs, by_hash = together(pairs, look[one], look[other], proposed["cosine"].to_numpy(), bits, turned)
    looks = contents["content_id"].take(pa.array(first))
    dhashes = dhash[first], mirror[1][first]
    lookalikes = _lookalikes(thumbs, looks, dhashes, pairs.chosen(~by_hash), n, settings)
    if lookalikes:
        pairs, by_hash = pairs.chosen(by_hash), by_hash[by_hash]
    pairs, unread = _by_pixels(thumbs, looks, dhashes, pairs, by_hash, settings)
    return Alike(grouped(look, first, pairs, sides[first], apart), unread, lookalikes)


def _lookalikes(
    thumbs: Thumbs, looks: pa.ChunkedArray, dhashes: tuple[Ints, Ints], embedded: Pairs, n: int, settings: LintSettings
) -> bool:
    """Whether so many neighbors match that copies can't be told from pictures that are only alike: see MATCHES_EACH.

    Plain drawings of a few kinds are so. A sample of the pairs that only the embedding proposes answers.
    """
    total = len(embedded.first)
    if total <= MATCHES_EACH * n or total <= TRIED:
        return False
    tried = embedded.chosen(np.linspace(0, total - 1, TRIED).astype(np.int64))
    near, _ = _by_pixels(thumbs, looks, dhashes, tried, np.zeros(TRIED, np.bool_), settings)
    return len(near.first) / TRIED * total > MATCHES_EACH * n


def proposals(contents: pa.Table, vectors: Iterable[pa.Table]) -> pa.Table:
    """Pairs of contents (content_id, phash) that may be copies by their embedding and hash: PROPOSED.

    `vectors` are tables of content_id and vector; only what is left of them after the whitening is held.
    """
    ids = contents["content_id"].combine_chunks()
    place, space = _placed(vectors, ids)
    return likely_pairs(ids.take(pa.array(place)), contents["phash"].to_numpy().astype(np.int64)[place], space)


def likely_pairs(names: pa.Array | pa.ChunkedArray, phash: Ints, space: Reals) -> pa.Table:
    """Pairs of neighbors in the space (n, d) that are worth a look: PROPOSED, each in one order or in both."""
    found = neighbors(space, NEIGHBORS)
    one, at = np.nonzero(found.ids >= 0)
    other, cosine = found.ids[one, at], found.similarity[one, at]
    bits, _ = bits_between(phash, mirrored(phash), one, other)
    worth = likely(cosine, bits)
    both = (names.take(pa.array(side[worth])) for side in (one, other))
    return pa.table([*both, pa.array(cosine[worth])], schema=PROPOSED)


def _placed(vectors: Iterable[pa.Table], ids: pa.Array) -> tuple[Ints, Reals]:
    """Whitened vectors of the contents that have one: (m,) which of `ids`, (m, d)."""
    held: list[tuple[Ints, Reals]] = []
    whitening, learning = None, True
    for table in vectors:
        place = pc.index_in(table["content_id"], value_set=ids)
        known = pc.is_valid(place)
        rows = matrix(table["vector"].filter(known))
        if len(rows):
            held.append((place.filter(known).to_numpy().astype(np.int64), rows))
        if learning and sum(len(at) for at, _ in held) >= EMBEDDING_ROWS:
            whitening, learning = learned(np.concatenate([rows for _, rows in held])), False
            held = [(at, whitened(rows, whitening)) for at, rows in held]
        elif not learning and len(rows):
            held[-1] = held[-1][0], whitened(rows, whitening)
    if not held:
        return np.empty(0, np.int64), np.empty((0, 1), np.float32)
    space = np.concatenate([rows for _, rows in held])
    place = np.concatenate([at for at, _ in held])
    order = np.argsort(place)  # the same vectors give the same answer, however they lie in files
    place, space = place[order], space[order]
    return place, whitened(space, learned(space)) if learning else space


def matrix(vectors: pa.ChunkedArray) -> Reals:
    """Lists of equal length as rows (n, D)."""
    flat: Reals = pc.list_flatten(vectors).to_numpy().astype(np.float32)
    return flat.reshape(len(vectors), -1) if len(vectors) else flat.reshape(0, 1)


def _by_pixels(
    thumbs: Thumbs,
    looks: pa.ChunkedArray,
    dhashes: tuple[Ints, Ints],
    pairs: Pairs,
    by_hash: Flags,
    settings: LintSettings,
) -> tuple[Pairs, int]:
    """The pairs that the pixels of each look's first picture confirm; how many of these could not be read.

    `dhashes` (L,), (L,): those of the looks and of their mirror images.
    """
    used = np.unique(np.concatenate([pairs.first, pairs.second]))
    seen = thumbs(looks.take(pa.array(used)).combine_chunks())
    row = pc.index_in(looks.combine_chunks(), value_set=seen["content_id"].combine_chunks())
    row = row.fill_null(-1).to_numpy().astype(np.int64)
    pixels = np.frombuffer(b"".join(seen["pixels"].to_pylist()), np.uint8).reshape(-1, SIDE_PX, SIDE_PX, 3)
    one, other = row[pairs.first], row[pairs.second]
    compared = (one >= 0) & (other >= 0)
    match, turned = _matches(pixels, one[compared], other[compared], settings)
    every, mirror = np.full(len(one), np.nan, np.float32), np.zeros(len(one), np.bool_)
    every[compared], mirror[compared] = match, turned
    further = hamming(np.where(mirror, dhashes[1][pairs.first], dhashes[0][pairs.first]), dhashes[0][pairs.second])
    near = decided(pairs, by_hash, every, mirror, further.astype(np.int64), settings.near_match)
    return near, int((row[used] < 0).sum())


def _matches(pixels: Thumbnails, one: Ints, other: Ints, settings: LintSettings) -> tuple[Reals, Flags]:
    enough = float(np.tanh(np.arctanh(settings.near_match) + STRICTER * HASH_BITS))
    starts = range(0, len(one), AT_ONCE)

    def part(start: int) -> tuple[Reals, Flags]:
        block = slice(start, start + AT_ONCE)
        found = likeness(pixels[one[block]], pixels[other[block]], enough)
        return found.match, found.mirrored

    with ThreadPoolExecutor(cpu_count()) as threads:  # OpenCV lets go of Python's lock
        parts = list(threads.map(part, starts))
    if not parts:
        return np.empty(0, np.float32), np.empty(0, np.bool_)
    return np.concatenate([match for match, _ in parts]), np.concatenate([turned for _, turned in parts])


def thumbnails(lake: Lake, version: Version, content_ids: pa.Array, limits: Limits) -> pa.Table:
    """The contents at 32 x 32 pixels: THUMBNAILS, without those that can't be read now."""
    few = content_ids if len(content_ids) <= IDS_IN_A_FILTER else None
    wanted = set(content_ids.to_pylist())
    parts = [THUMBNAILS.empty_table()]
    with ThreadPoolExecutor(cpu_count()) as threads:
        for images in present_images(lake, version, wanted, ask=few is not None):
            made = list(threads.map(lambda image: small_pixels(image[1], limits), images))
            rows = [(content, pixels) for (content, _), pixels in zip(images, made, strict=True) if pixels is not None]
            ids, values = zip(*rows, strict=True) if rows else ((), ())
            parts.append(
                pa.table([pa.array(ids, pa.string()), pa.array(values, THUMBNAILS[1].type)], schema=THUMBNAILS)
            )
    return pa.concat_tables(parts)


def small_pixels(data: bytes, limits: Limits) -> bytes | None:
    """A picture's thumbnail as bytes, or None where it can't be decoded."""
    picture = decode(data, limits, min_side_px=SIDE_PX)
    return None if isinstance(picture, Rejected) else thumbnail(picture.pixels).tobytes()
