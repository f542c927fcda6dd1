"""What two classes are confused with no reason, and the bonds that are surely more than that.

A model puts a little on every class, and on some more than on others. So between classes that have nothing to do with one
another, a link is about b_i · b_j: a number for each class. These numbers are fitted to all links but the bonds, those that
are more than that by more than chance, over and over until the bonds stay the same. At first they are
taken to be among the links that are in the stronger half for both of their classes: else a few classes that are confused with
one another alone would look like classes that are confused with all, and have no bond. And each class has one
picture more, with itself, than was seen, so that what was seen once is not sure. Without a background, what is small but common
to all classes decides about clusters, and classes that nobody confuses lump together.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.learn.clusters.links import Doubles, Links, of_entries
from secondlook.pipeline.learn.clusters.sums import Sums

FALSE = 0.05  # chance that a pair among all is taken for a bond which is none
ROUNDS = 30
TINY = 1e-300


@dataclass(frozen=True)
class Confused:
    """Links between K classes, and what of them is no background.

    `degrees`, `grain`: of the sums. `usual` (K,): b. `bonds`: the links that surely exceed the background, with what they
    exceed it by as their weights.
    """

    links: Links
    degrees: Doubles
    grain: float
    usual: Doubles
    bonds: Links


def confused(sums: Sums) -> Confused:
    """Links with their background and their bonds."""
    links = sums.links
    usual, beyond = background(sums)
    rows = links.rows()
    weights = np.where(beyond, links.weights - usual[rows] * usual[links.others], 0.0)
    return Confused(links, sums.degrees, sums.grain, usual, of_entries(rows, links.others, weights, links.n_classes))


def background(sums: Sums) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """(b (K,), which entries (E,) of the links are bonds)."""
    links = sums.links
    n, rows = links.n_classes, links.rows()
    needed = math.log(max(1.0, n * (n - 1) / 2) / FALSE)
    beyond = _strong_for_both(links)
    usual = np.sqrt((sums.degrees + sums.grain) / max(1, n))
    for _ in range(ROUNDS):
        weight = sums.degrees - np.bincount(rows[beyond], links.weights[beyond], n) + sums.grain
        expected = usual.sum() - np.bincount(rows[beyond], usual[links.others[beyond]], n)
        fitted = np.sqrt(
            usual * np.maximum(weight, TINY) / np.maximum(expected, TINY)
        )  # half a step, or it would swing
        now = surprise(links.weights / sums.grain, fitted[rows] * fitted[links.others] / sums.grain) > needed
        settled = np.array_equal(now, beyond) and np.allclose(fitted, usual, rtol=1e-3)
        usual, beyond = fitted, now
        if settled:
            break
    return usual, beyond


def _strong_for_both(links: Links) -> npt.NDArray[np.bool_]:
    """(E,) whether each link is in the stronger half of what each of its two classes has with all others."""
    n, rows = links.n_classes, links.rows()
    order = np.lexsort((-links.weights, rows))
    strong = np.empty(len(rows), np.bool_)
    strong[order] = np.arange(len(rows)) - links.starts[rows[order]] < n // 2
    there = np.argsort(links.others * n + rows, kind="stable")  # where the same link stands in the other's row
    return strong & strong[there]


def surprise(counts: Doubles, expected: Doubles) -> Doubles:
    """At least so large is -log of the chance of this many where so many are expected: Chernoff's bound for Poisson counts."""
    more = counts > expected
    ratio = np.where(more, counts, 1.0) / np.where(more, np.maximum(expected, TINY), 1.0)
    return np.where(more, counts * np.log(ratio) - counts + expected, 0.0)
