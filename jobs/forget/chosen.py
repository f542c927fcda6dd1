"""Whom a call of `forget` means: pictures by name or attribute, and those that are the same picture."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import attributes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling.answers import Keys
from secondlook.pipeline.audit.copies.groups import HASH_BITS
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.images.hashes import hamming

COPIES = ("exact", "near", "none")
AT_ONCE = 1_000_000  # pairs of hashes that are compared at once


@dataclass(frozen=True)
class Chosen:
    """Samples and contents to forget, by id. `copies`: samples that were not named and are the same picture, or near to it.

    `near`: keys of near copies that stay. `shared`: contents that stay since other samples have them.
    """

    samples: frozenset[str]
    contents: frozenset[str]
    copies: frozenset[str]
    near: tuple[str, ...]
    shared: frozenset[str]


def chosen(
    lake: Lake, version: Version, settings: LintSettings, names: Sequence[str], where: Mapping[str, str], copies: str
) -> Chosen:
    """What the names (keys or sample ids) and all conditions together mean.

    Raises UserError for an unknown name, attribute, value or kind of copies, and where nothing is asked for.
    """
    if copies not in COPIES:
        raise unknown("kind of copies", copies, COPIES)
    if not names and not where:
        raise UserError("name the pictures to forget, or say which: --where person=42")
    places = lake.read("samples", version, ["sample_id", "content_id", "key"])
    named = _named(lake, version, places, names) | _where(lake, version, where)
    had = places.filter(pc.is_valid(places["content_id"])).select(["sample_id", "content_id"])
    samples, contents = _closed(had, named, exact=copies != "none")
    near = _near(lake, version, settings, contents)
    beside = _having(had, near) - samples
    if copies == "near" and beside:
        samples, contents = _closed(had, samples | beside, exact=True)
        beside = frozenset()
    keys = dict(zip(places["sample_id"].to_pylist(), places["key"].to_pylist(), strict=True))
    shared = _had_by(had, samples) - contents
    return Chosen(samples, contents, samples - named, tuple(sorted({keys[one] for one in beside})), shared)


def _named(lake: Lake, version: Version, places: pa.Table, names: Sequence[str]) -> frozenset[str]:
    """Also a file that could not be read has a key, and so a row that names it."""
    refused = lake.read("rejects", version, ["sample_id", "key"])
    known = dict(zip(places["sample_id"].to_pylist(), places["key"].to_pylist(), strict=True))
    known |= dict(zip(refused["sample_id"].to_pylist(), refused["key"].to_pylist(), strict=True))
    keys = Keys(list(known.values()), list(known))
    return frozenset(keys.find(name) for name in names)


def _where(lake: Lake, version: Version, where: Mapping[str, str]) -> frozenset[str]:
    if not where:
        return frozenset()
    # Those too that are served no more since their consent was withdrawn: they are whom this is for.
    rows = lake.latest("samples", version, ["sample_id", "attributes"])
    told = [dict(pairs or ()) for pairs in attributes.read(lake, version).applied(rows["attributes"]).to_pylist()]
    for attribute, value in where.items():
        there = {one[attribute] for one in told if attribute in one}
        if not there:
            raise unknown("attribute", attribute, {name for one in told for name in one})
        if value not in there:
            near = get_close_matches(value, sorted(str(one) for one in there), n=3, cutoff=0.4)
            hint = f"; near values: {', '.join(near)}" if near else f"; there are {len(there):,} others"
            raise UserError(f"no picture has {attribute}={value!r}{hint}")
    pairs = zip(rows["sample_id"].to_pylist(), told, strict=True)
    found = frozenset(
        sample for sample, one in pairs if all(one.get(attribute) == value for attribute, value in where.items())
    )
    if not found:
        raise UserError("no picture has all of " + ", ".join(f"{name}={value!r}" for name, value in where.items()))
    return found


def _closed(had: pa.Table, named: frozenset[str], *, exact: bool) -> tuple[frozenset[str], frozenset[str]]:
    """Samples and contents: what the named ones ever were, under whatever name (`exact`), and what nobody else was.

    Not what such other names were before: a file that was written over showed somebody else once.
    """
    samples = named | _having(had, _had_by(had, named)) if exact else named
    others = had.filter(pc.invert(pc.is_in(had["sample_id"], value_set=_array(samples))))
    return samples, _had_by(had, samples) - frozenset(others["content_id"].to_pylist())


def _had_by(had: pa.Table, samples: Collection[str]) -> frozenset[str]:
    """The contents that these samples ever had."""
    return frozenset(had.filter(pc.is_in(had["sample_id"], value_set=_array(samples)))["content_id"].to_pylist())


def _having(had: pa.Table, contents: Collection[str]) -> frozenset[str]:
    """The samples that ever had one of these contents."""
    return frozenset(had.filter(pc.is_in(had["content_id"], value_set=_array(contents)))["sample_id"].to_pylist())


def _array(ids: Collection[str]) -> pa.Array:
    return pa.array(sorted(ids), pa.string())


def _near(lake: Lake, version: Version, settings: LintSettings, contents: frozenset[str]) -> frozenset[str]:
    """Other contents whose two hashes are as near as lint asks of a near copy, before it looks at the pixels."""
    rows = lake.latest("fingerprints", version, ["content_id", "phash", "dhash"])
    mine = pc.is_in(rows["content_id"], value_set=_array(contents))
    ours, others = rows.filter(mine), rows.filter(pc.invert(mine))
    bits = (
        (name, settings.near_bits if name == "phash" else settings.near_confirm_bits) for name in ("phash", "dhash")
    )
    limits = {name: min(most, HASH_BITS) for name, most in bits}
    if not ours.num_rows or not others.num_rows:
        return frozenset()
    hashes = {name: (ours[name].to_numpy(), others[name].to_numpy()) for name in limits}
    step = max(AT_ONCE // ours.num_rows, 1)
    found: list[str] = []
    for start in range(0, others.num_rows, step):
        part = slice(start, start + step)
        close = [hamming(one[:, None], other[part]) <= limits[name] for name, (one, other) in hashes.items()]
        hit = np.flatnonzero(np.logical_and(*close).any(axis=0)) + start
        found += others["content_id"].take(pa.array(hit)).to_pylist()
    return frozenset(found)
