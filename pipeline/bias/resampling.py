"""Pictures that are copies of one another: one that stands for them in tests, and how many independent ones they amount to.

Copies agree more than strangers do, so that n of them say less than n pictures would. A test takes one picture of each group
of copies (`distinct`), which makes it exact again. An interval takes the number of pictures that would vary as much
(`effective`; Korn and Graubard 1998 for exact intervals): from the variance that a bootstrap of whole groups of copies has, which
for a share is a formula (Efron and Tibshirani 1993, section 6), and needs no draws.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.core.statistics import EXACT_BELOW

BLOCK = 100_000  # groups of copies at once

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Table(NamedTuple):
    """Pictures and hits by cell, (C,) each."""

    n: Ints
    k: Ints


class Effective(NamedTuple):
    """For G groups, (G,) each: how many independent pictures the group's amount to, and those of the rest."""

    n: Floats
    rest: Floats


def table(counts: Counts, hit: Flags, among: Flags) -> Table:
    """Pictures that could count, and those that did."""
    return Table(counts.n[:, among].sum(axis=1), counts.n[:, among & hit].sum(axis=1))


def distinct(counts: Counts, hit: Flags, among: Flags, rng: np.random.Generator) -> Table:
    """The same, where one picture drawn from each group of copies stands for it."""
    whole = table(counts, hit, among)
    if counts.copies is None:
        return whole
    rows = _among(counts.copies, among)
    kept = _one_each(rows, rng)
    cells, hits = len(counts.cells), hit[rows.outcome]
    n = whole.n - np.bincount(rows.cell, minlength=cells) + np.bincount(rows.cell[kept], minlength=cells)
    all_hits, kept_hits = rows.cell[hits], rows.cell[kept][hits[kept]]
    return Table(n, whole.k - np.bincount(all_hits, minlength=cells) + np.bincount(kept_hits, minlength=cells))


def one_each(counts: Counts, rng: np.random.Generator) -> Ints:
    """Counts (C, M) where one picture drawn from each group of copies stands for it."""
    if counts.copies is None:
        return counts.n
    rows, n = counts.copies, counts.n.astype(np.int64)
    kept = _one_each(rows, rng)
    np.subtract.at(n, (rows.cell, rows.outcome), 1)
    np.add.at(n, (rows.cell[kept], rows.outcome[kept]), 1)
    return n


def _one_each(rows: Copies, rng: np.random.Generator) -> Ints:
    """Places in `rows` of a picture drawn from each group of copies."""
    order = np.lexsort((rows.outcome, rows.cell, rows.cluster))  # whatever order the rows came in
    _, first, size = np.unique(rows.cluster[order], return_index=True, return_counts=True)
    return np.asarray(order[first + (rng.random(len(first)) * size).astype(np.int64)], np.int64)


def effective(counts: Counts, hit: Flags, among: Flags, groups: "sp.csr_array") -> Effective:
    """How many independent pictures groups (G, C) amount to, never more than they have.

    From EXACT_BELOW groups of copies and single pictures on by the variance that was seen, and never fewer than if all copies agreed; with less
    than that, as if all copies agreed.
    """
    cells = table(counts, hit, among)
    n, k = (np.asarray(groups @ one, np.float64) for one in cells)
    total, hits = float(cells.n.sum()), float(cells.k.sum())
    if counts.copies is None:
        return Effective(n, total - n)
    inside, outside = _sums(_among(counts.copies, among), hit, groups)
    return Effective(_amount(n, k, inside), _amount(total - n, hits - k, outside))


class _Sums(NamedTuple):
    """Over groups of copies, (G,) each: their pictures and hits, the square of their pictures, these by their hits, the square of hits."""

    n: Floats
    k: Floats
    size: Floats
    both: Floats
    hits: Floats


def _among(copies: Copies, among: Flags) -> Copies:
    kept = among[copies.outcome]
    return Copies(copies.cluster[kept], copies.cell[kept], copies.outcome[kept])


def _sums(rows: Copies, hit: Flags, groups: "sp.csr_array") -> tuple[_Sums, _Sums]:
    """Of copies inside of each group (G, C), and of those outside of it."""
    inside, outside = np.zeros((5, groups.shape[0])), np.zeros((5, groups.shape[0]))
    _, cluster = np.unique(rows.cluster, return_inverse=True)
    order = np.argsort(cluster, kind="stable")
    most = int(cluster.max()) + 1 if len(cluster) else 0
    for begin in range(0, most, BLOCK):
        first, last = np.searchsorted(cluster[order], (begin, begin + BLOCK))
        at = order[first:last]
        place, shape = (cluster[at] - begin, rows.cell[at]), (BLOCK, groups.shape[1])
        size = sp.csr_array((np.ones(len(at)), place), shape=shape)
        right = sp.csr_array((hit[rows.outcome[at]].astype(np.float64), place), shape=shape)
        a, t = size @ groups.T.astype(np.float64), right @ groups.T.astype(np.float64)  # (BLOCK, G)
        all_a, all_t = np.asarray(size.sum(axis=1)), np.asarray(right.sum(axis=1))
        here = np.array([_total(one) for one in (a, t, a * a, a * t, t * t)])
        crossed = [np.asarray(one.T @ other) for one, other in ((a, all_a), (a, all_t), (t, all_a), (t, all_t))]
        whole = [all_a.sum(), all_t.sum(), all_a @ all_a, all_a @ all_t, all_t @ all_t]
        mixed = [here[0], here[1], 2 * crossed[0], crossed[1] + crossed[2], 2 * crossed[3]]
        inside += here
        # (A - a)^2 = A^2 - 2 A a + a^2, summed over groups of copies
        outside += [
            one - other + square for one, other, square in zip(whole, mixed, [0.0, 0.0, *here[2:]], strict=True)
        ]
    return _Sums(*inside), _Sums(*outside)


def _total(matrix: "sp.csr_array") -> Floats:
    return np.asarray(matrix.sum(axis=0), np.float64).reshape(-1)


def _amount(n: Floats, k: Floats, copies: _Sums) -> Floats:
    """n pictures with k hits, some of which are copies."""
    alike = (n - copies.n) + copies.size  # as if all copies agreed
    least = np.where(n > 0, n * n / np.maximum(alike, 1e-300), 0.0)
    share = k / np.maximum(n, 1)
    alone = (k - copies.k) * (1 - share) ** 2 + (n - copies.n - (k - copies.k)) * share**2
    seen = alone + copies.hits - 2 * share * copies.both + share**2 * copies.size
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(seen > 0, n * n * share * (1 - share) / seen, least)
    return np.where(least >= EXACT_BELOW, np.clip(found, least, n), least)
