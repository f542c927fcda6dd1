"""A batch of some groups of people only: `review push --group 'race=Black,age=70+'`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import attributes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.bias.binning import Bins, bins
from secondlook.pipeline.bias.cells import said
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.groups import NOT_SAID, Group

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OfGroups:
    """Groups that a batch is of: their names as given, and which samples are of each, (G, S) of `sample_id` (S,)."""

    groups: tuple[Group, ...]
    sample_id: pa.Array
    inside: Flags

    def among(self, sample_ids: pa.Array) -> Flags:
        """(G, n) which of these samples are of which group; one that is not known is of none."""
        at = pc.index_in(sample_ids, value_set=self.sample_id).fill_null(-1).to_numpy()
        return np.where(at >= 0, self.inside[:, at] if len(self.sample_id) else False, False)

    def told(self, sample_ids: pa.Array, candidates: npt.ArrayLike, asked: npt.ArrayLike) -> dict[str, dict[str, int]]:
        """Of each group by name: its pictures of a pool (n,), how many are candidates, and how many are asked for, both as rows."""
        rows, chosen = np.asarray(candidates, np.int64), np.asarray(asked, np.int64)
        return {
            group.name: {
                "pictures": int(its.sum()),
                "candidates": int(its[rows].sum()),
                "asked": int(its[chosen].sum()),
            }
            for group, its in zip(self.groups, self.among(sample_ids), strict=True)
        }


def read(lake: Lake, version: Version, settings: Settings, texts: Sequence[str]) -> OfGroups | None:
    """The groups that `--group` names, each `attribute=value` with commas between; None without one.

    Values are as reports call them: repaired, in bins where `[[attributes]]` has some, and `(not said)`. Raises UserError for an
    attribute or value that no picture has, with the nearest name, and for a group that no picture is of.
    """
    if not texts:
        return None
    rows = lake.latest("samples", version, ["sample_id", "content_id", "attributes"])
    rows = rows.filter(pc.is_valid(rows["content_id"]))
    meant = attributes.read(lake, version).applied(rows["attributes"])
    column = pa.concat_arrays([*meant.chunks, pa.array([], meant.type)])
    known = sorted({*pc.unique(attributes.entries(column)[0]).to_pylist()})
    split = [_pairs(text, known) for text in texts]
    binned = {one.name: its for one in settings.attributes if (its := bins(one.bins, one.name))}
    values = _values(column, sorted({name for pairs in split for name, _ in pairs}), binned)
    groups = tuple(dict.fromkeys(_group(pairs, values) for pairs in split))
    inside = np.stack([_inside(group, values, len(column)) for group in groups])
    for group, members in zip(groups, inside, strict=True):
        if not members.any():
            raise UserError(f"no picture is of the group {group.name}")
    ids = rows["sample_id"]
    return OfGroups(groups, pa.concat_arrays([*ids.chunks, pa.array([], ids.type)]), inside)


def _pairs(text: str, known: Sequence[str]) -> list[tuple[str, str]]:
    """`race=Black,age=70+` as attributes and values. A comma parts two only before another attribute: values may have some."""
    names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    starts = list(re.finditer(rf"(?:^|,)\s*({names})\s*=", text)) if names else []
    if not starts or starts[0].start() > 0:
        name, equals, _ = text.partition("=")
        if not equals:
            raise UserError(
                f"--group takes attribute=value, with commas between, such as 'race=Black,age=70+'; got {text!r}"
            )
        raise unknown("attribute in --group", name.strip(), known)
    ends = [*(found.start() for found in starts[1:]), len(text)]
    return [(found[1], text[found.end() : end].strip()) for found, end in zip(starts, ends, strict=True)]


def _values(column: pa.MapArray, names: list[str], binned: Mapping[str, Bins]) -> dict[str, pa.DictionaryArray]:
    """For each attribute the value of each picture, (N,), as reports call it."""
    found = {}
    for name, its in zip(names, said(column, names), strict=True):
        coded = pc.fill_null(its, "").dictionary_encode()
        called = [
            binned[name].binned(value) if name in binned else value or NOT_SAID
            for value in coded.dictionary.to_pylist()
        ]
        found[name] = pa.array(called, pa.string()).take(coded.indices).dictionary_encode()
    return found


def _group(pairs: Sequence[tuple[str, str]], values: Mapping[str, pa.DictionaryArray]) -> Group:
    names = [name for name, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"--group names {twice[0]} twice; a picture has one value of it, so give two --group for two groups"
        )
    for name, value in pairs:
        there = values[name].dictionary.to_pylist()
        if value not in there:
            raise unknown(f"value of {name} in --group", value, there)
    return Group(tuple(pairs))


def _inside(group: Group, values: Mapping[str, pa.DictionaryArray], n: int) -> Flags:
    inside = np.ones(n, bool)
    for name, value in group.values:
        coded = values[name]
        inside &= np.asarray(coded.indices, np.int64) == coded.dictionary.to_pylist().index(value)
    return inside
