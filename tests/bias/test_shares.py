"""Shares by groups, compared: by hand, against scipy and statsmodels, by properties, and what is hostile."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep

from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison, adjusted
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Worse
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import clopper_pearson, wilson
from tests.bias.made import HIT, Pictures, pictures

SETTINGS = BiasSettings(permutations=400)


def compared(made: Pictures | Counts, settings: BiasSettings = SETTINGS, worse: Worse = "either") -> Comparison:
    counts = made.counts if isinstance(made, Pictures) else made
    return compare(counts, HIT, settings=settings, rng=np.random.default_rng(1), worse=worse)


def by_name(found: Comparison) -> dict[str, Compared]:
    return {one.group.name: one for one in found.groups}


def counts_of(n: dict[str, tuple[int, int]]) -> Counts:
    """Counts of one attribute: value → without and with a hit."""
    grouping = Grouping(("a",), (tuple(n),), {})
    return Counts(
        grouping, np.arange(len(n))[:, None], ("no", "yes"), np.array(list(n.values()), np.int64).reshape(-1, 2)
    )


def test_by_hand() -> None:
    found = by_name(compared(counts_of({"x": (7, 3), "y": (80, 20), "z": (190, 10)})))
    small, large = found["a x"], found["a z"]
    assert (small.n, small.k, small.raw.value) == (10, 3, 0.3)
    assert small.raw.interval == clopper_pearson(3, 10)
    assert small.against.value == pytest.approx(30 / 300)
    assert (small.against.interval.low, small.against.interval.high) == pytest.approx(
        dataclasses.astuple(wilson(30, 300))
    )
    assert small.effect.value == pytest.approx(0.2)
    theirs = confint_proportions_2indep(10, 200, 23, 110, compare="diff", method="newcomb")
    assert (large.effect.interval.low, large.effect.interval.high) == pytest.approx(theirs)


def test_groups_that_are_too_small_or_leave_too_few_are_counted_not_told() -> None:
    found = compared(counts_of({"x": (900, 100), "y": (4, 5), "none": (0, 0)}))
    assert not found.groups
    assert found.untested == 2
    assert found.gap is None
    assert found.n == 1009
    few = compared(counts_of({"x": (900, 100), "y": (5, 5)}))
    assert [one.group.name for one in few.groups] == ["a x", "a y"]


def test_the_same_pictures_and_their_complement_are_one_test() -> None:
    grouping = Grouping(("sex", "team"), (("f", "m"), ("t", "u", "v")), {})
    cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, 2]])
    n = np.array([[40, 10], [35, 5], [44, 6], [50, 20], [30, 3]])
    found = compared(Counts(grouping, cells, ("no", "yes"), n))
    tests = dict(zip((one.group.name for one in found.groups), found.tests or (), strict=True))
    assert tests["sex f"] == tests["sex m"]
    assert tests["team v"] == tests["sex m, team v"]  # nobody else is of that team
    assert len(set(tests.values())) == found.count == len(tests) - 2
    p = {one.group.name: one.p for one in found.groups}
    assert p["sex f"] == pytest.approx(p["sex m"])
    told = {one.group.name: one.adjusted for one in adjusted([found], SETTINGS)[0]}
    assert told["sex f"] == told["sex m"]


def test_a_planted_difference_is_found_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    made = pictures(rng, 3000)
    planted = made.places[:, 1] == 2
    made = dataclasses.replace(made, outcome=np.where(planted, rng.random(3000) < 0.4, made.outcome).astype(np.int64))
    found = compared(made, worse="higher")
    told = adjusted([found], SETTINGS)[0]
    surely = {one.group.name for one in told if one.adjusted <= 0.05 and one.effect.value > 0}
    assert surely == {"b b2", "a a0, b b2", "a a1, b b2"}
    assert found.worst is not None
    assert ("b", "b2") in found.worst.values
    assert found.gap is not None
    assert found.between is not None
    assert found.between[0].values == (("b", "b2"),)
    assert 0.1 < found.gap.interval.low < 0.2 < found.gap.interval.high < 0.3


@pytest.mark.parametrize(("worse", "expected"), [("higher", "a x"), ("lower", "a z"), ("either", "a x")])
def test_the_worst_group_is_by_what_harms(worse: Worse, expected: str) -> None:
    found = compared(counts_of({"x": (50, 50), "y": (75, 25), "z": (95, 5)}), worse=worse)
    assert found.worst is not None
    assert found.worst.name == expected


def test_a_small_group_is_not_the_worst_by_chance() -> None:
    found = compared(counts_of({"tiny": (4, 6), "large": (600, 400), "rest": (1500, 500)}), worse="higher")
    assert found.worst == Group((("a", "large"),))
    assert found.between == (Group((("a", "large"),)), Group((("a", "rest"),)))


def test_only_what_is_asked_about_counts() -> None:
    made = pictures(np.random.default_rng(4), 800)
    counts = made.counts
    more = np.column_stack([counts.n, np.random.default_rng(5).integers(0, 50, len(counts.n))])
    other = Counts(counts.grouping, counts.cells, ("no", "yes", "elsewhere"), more)
    found = compare(
        other, [False, True, False], among=[True, True, False], settings=SETTINGS, rng=np.random.default_rng(1)
    )
    assert found.groups == compared(made).groups
    assert found.within == compared(made).within


def test_a_gap_that_was_chosen_holds_its_promise() -> None:
    """No group differs: the interval of the gap holds 0 at least as often as it promises."""
    held = 0
    for seed in range(200):
        found = compared(pictures(np.random.default_rng([7, seed]), 400), BiasSettings(correction="holm"))
        assert found.gap is not None
        held += found.gap.interval.low <= 0.0
    assert held >= 186


@examples(max_examples=20)
@given(st.integers(0, 10_000), st.integers(0, 400), st.floats(0.0, 1.0), st.integers(1, 3))
def test_figures_are_those_of_the_pictures_one_by_one(seed: int, n: int, share: float, depth: int) -> None:
    made = pictures(np.random.default_rng(seed), n, ((0.6, 0.4), (0.5, 0.3, 0.2), (0.9, 0.1)), share)
    found = compared(made, BiasSettings(depth=depth, permutations=200, min_cell=7))
    expected = {}
    for group in made.grouping.groups(depth):
        inside = made.of(group)
        if inside.sum() >= 7 and (~inside).sum() >= 7:
            expected[group] = (int(inside.sum()), int(made.outcome[inside].sum()), float(made.outcome[~inside].mean()))
    assert [one.group for one in found.groups] == list(expected)
    for one in found.groups:
        assert (one.n, one.k) == expected[one.group][:2]
        assert one.against.value == pytest.approx(expected[one.group][2])
        assert one.raw.interval.low <= one.raw.value <= one.raw.interval.high
        assert one.effect.interval.low <= one.effect.value <= one.effect.interval.high


@examples(max_examples=15)
@given(st.integers(0, 10_000))
def test_names_and_the_order_of_cells_change_nothing(seed: int) -> None:
    """Values in another order, cells in another order: the same figures, p exactly, adjusted as far as draws go."""
    rng = np.random.default_rng(seed)
    made = pictures(rng, 300)
    turn = rng.permutation(4)
    values = (made.grouping.values[0], tuple(made.grouping.values[1][at] for at in turn))
    places = made.places.copy()
    places[:, 1] = np.argsort(turn)[made.places[:, 1]]
    other = Pictures(Grouping(made.grouping.attributes, values, {}), places, made.outcome, made.cluster).counts
    mixed = rng.permutation(len(other.cells))
    other = Counts(other.grouping, other.cells[mixed], other.outcomes, other.n[mixed])
    first, second = compared(made), compared(other)
    one, two = by_name(first), by_name(second)
    assert one.keys() == two.keys()
    for name, its in one.items():
        assert its.p == pytest.approx(two[name].p, rel=1e-9)
        assert its.effect == two[name].effect
    within = [dict(zip(by_name(its), its.within or (), strict=True)) for its in (first, second)]
    assert max(abs(within[0][name] - within[1][name]) for name in one) < 0.17


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_all_or_none_are_hits_nothing_is_found(share: float) -> None:
    found = compared(pictures(np.random.default_rng(1), 200, share=share))
    assert found.groups
    assert all(one.p == 1.0 for one in found.groups)
    assert all(one.adjusted == 1.0 for one in adjusted([found], SETTINGS)[0])


@pytest.mark.parametrize(
    "counts",
    [
        Counts(Grouping((), (), {}), np.zeros((0, 0), np.int64), ("no", "yes"), np.zeros((0, 2), np.int64)),
        Counts(Grouping((), (), {}), np.zeros((1, 0), np.int64), ("no", "yes"), np.array([[50, 50]])),
        counts_of({"x": (0, 0)}),
        counts_of({"only": (50, 50)}),
        counts_of({}),
    ],
    ids=["no cells", "no attributes", "no pictures", "one group", "no values"],
)
def test_where_there_is_nothing_to_compare_there_is_nothing(counts: Counts) -> None:
    found = compared(counts)
    assert not found.groups
    assert found.count == 0
    assert adjusted([found], SETTINGS) == [()]
    assert found.gap is None
    assert found.worst is None


def test_names_may_be_anything() -> None:
    names = ("<script>", "a\nb", "x" * 10_000, "🦎", "")
    found = compared(counts_of({name: (30 + at, 10) for at, name in enumerate(names)}))
    assert [one.group.values[0][1] for one in found.groups] == list(names)


def test_copies_widen_intervals_and_are_one_picture_in_tests() -> None:
    rng = np.random.default_rng(8)
    made = pictures(rng, 600, share=0.3, cluster=[20] * 15)
    single = dataclasses.replace(made, cluster=np.arange(600))
    with_copies, without = by_name(compared(made)), by_name(compared(single))
    assert with_copies.keys() == without.keys()
    for name, one in with_copies.items():
        other = without[name]
        assert (one.n, one.k, one.effect.value) == (other.n, other.k, other.effect.value)
        assert one.raw.interval.high - one.raw.interval.low >= other.raw.interval.high - other.raw.interval.low
    assert "copies" in compared(made).method


def test_one_picture_copied_often_is_no_finding() -> None:
    """Two hundred copies of one picture make a group's share 0.9; without them it is what the rest's is."""
    grouping = Grouping(("a",), (("x", "y"),), {})
    places = np.repeat([0, 1], [240, 800])[:, None]
    outcome = np.concatenate([np.ones(200), np.arange(40) % 5 == 0, np.arange(800) % 5 == 0]).astype(np.int64)
    copied = Pictures(grouping, places, outcome, np.concatenate([np.zeros(200), np.arange(1, 841)]).astype(np.int64))
    first = by_name(compared(copied))["a x"]
    assert first.raw.value > 0.8
    assert first.p > 0.2
    alone = dataclasses.replace(copied, cluster=np.arange(1040))
    assert by_name(compared(alone))["a x"].p < 1e-60


def test_where_copies_turn_the_difference_around_there_is_no_finding() -> None:
    """The copies make the group's share lower; one of each, it would be surely higher: neither is said."""
    grouping = Grouping(("a",), (("x", "y"),), {})
    places = np.repeat([0, 1], [600, 400])[:, None]
    outcome = np.concatenate([np.zeros(500), np.ones(100), np.arange(400) % 2]).astype(np.int64)
    cluster = np.concatenate([np.zeros(500), np.arange(1, 501)]).astype(np.int64)
    found = by_name(compared(Pictures(grouping, places, outcome, cluster)))["a x"]
    assert found.effect.value < 0
    assert found.p == 1.0


def test_many_cells_and_tens_of_millions_of_pictures() -> None:
    rng = np.random.default_rng(9)
    grouping = Grouping(tuple("abcd"), tuple(tuple(map(str, range(12))) for _ in range(4)), {})
    cells = grouping.split(np.arange(12**4))
    weight = np.prod(rng.dirichlet(np.ones(12), 4)[np.arange(4), cells], axis=1)
    n = rng.multinomial(30_000_000, weight)
    hits = rng.binomial(n, np.where(cells[:, 2] == 3, 0.052, 0.05))
    found = compare(
        Counts(grouping, cells, ("no", "yes"), np.column_stack([n - hits, hits])),
        HIT,
        settings=BiasSettings(permutations=200),
        rng=rng,
    )
    told = {one.group.name: one for one in adjusted([found], BiasSettings(permutations=200))[0]}
    assert len(told) > 500
    assert told["c 3"].adjusted < 1e-6
    assert not [name for name, one in told.items() if one.adjusted <= 0.01 and "c " not in name]
    assert math.isfinite(told["c 3"].smallest_gap)
