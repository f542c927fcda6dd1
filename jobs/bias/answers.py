"""What people answered, by group: whether they contradict each other, and who answers otherwise than the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from secondlook.jobs.bias.counting import cells_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import Carrier
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.people.given import given
from secondlook.pipeline.bias.annotators import MOST_PEOPLE, Answer, against_the_others, first_two_differ
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.grouping import Codes, Grouping
from secondlook.pipeline.bias.measures import NO_YES


@dataclass(frozen=True)
class Answered:
    """What people said of pictures. disputed: those that two people answered, None where there are none; by_person: see differing."""

    disputed: Counts | None
    by_person: dict[str, Counts]
    answers: int


def answered(lake: Lake, version: Version, carrier: Carrier, grouping: Grouping, least: int) -> Answered:
    """The answers of everybody who is not paused, a picture once; of people with at least `least` answers beside two others'."""
    silent = paused(lake, version)
    said: dict[str, dict[str, str]] = {}
    asked: dict[str, str] = {}
    n = 0
    for one in given(lake, version):
        if one.annotator not in silent:
            asked.setdefault(one.content_id, one.sample_id)
            said.setdefault(one.content_id, {})[one.annotator] = one.said
            n += 1
    if not said:
        return Answered(None, {}, 0)
    cells = cells_of(carrier, grouping, pa.array([asked[content] for content in said], pa.string()))
    items = list(said.values())
    two = [
        (at, differ) for at, its in enumerate(items) if (differ := first_two_differ(its)) is not None and cells[at] >= 0
    ]
    disputed = tabled(grouping, cells[[at for at, _ in two]], np.array([int(it) for _, it in two], np.int64), NO_YES)
    people = against_the_others(items)
    most = sorted(people, key=lambda name: (-len(people[name]), name))[:MOST_PEOPLE]
    counts = {name: _counts(grouping, cells, people[name]) for name in sorted(most) if len(people[name]) >= least}
    return Answered(disputed if two else None, counts, n)


def _counts(grouping: Grouping, cells: Codes, answers: Sequence[Answer]) -> Counts:
    there = [one for one in answers if cells[one.item] >= 0]
    strata = sorted({one.stratum for one in there})
    place = {stratum: at for at, stratum in enumerate(strata)}
    outcome = np.array([2 * place[one.stratum] + one.differs for one in there], np.int64)
    names = tuple(
        f"{label}, {'of one mind' if agree else 'not'}: {what}"
        for label, agree in strata
        for what in ("agrees", "differs")
    )
    return tabled(grouping, cells[[one.item for one in there]], outcome, names)


def tabled(grouping: Grouping, cell: Codes, outcome: Codes, outcomes: Sequence[str]) -> Counts:
    """Counts of n pictures by the codes of their cells (n,) and the places of their outcomes (n,)."""
    cells, at = np.unique(cell, return_inverse=True)
    table = np.zeros((len(cells), len(outcomes)), np.int64)
    np.add.at(table, (at, outcome), 1)
    return Counts(grouping, grouping.split(cells), tuple(outcomes), table)
