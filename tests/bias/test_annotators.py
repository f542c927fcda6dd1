"""People beside people, group by group: by hand, and against the statistics of one group alone."""

import dataclasses

import numpy as np
import pytest

from secondlook.pipeline.bias.annotators import Answer, against_the_others, differing, first_two_differ
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import adjusted
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.stratified import Strata, difference, p_value
from secondlook.pipeline.core.bias_config import BiasSettings

GROUPING = Grouping(("race", "age"), (("green", "blue"), ("young", "old")), {})
SETTINGS = BiasSettings(min_cell=10)


def counts(*n: tuple[int, ...]) -> Counts:
    """Of the four cells green young, green old, blue young, blue old, by outcome."""
    cells = GROUPING.split(np.arange(4))
    return Counts(GROUPING, cells, tuple(f"{at}" for at in range(len(n[0]))), np.array(n, np.int64))


@pytest.mark.parametrize(
    ("said", "differ"),
    [
        ({"ada": "cat"}, None),
        ({"ada": "cat", "bob": "dog"}, True),
        ({"ada": "cat", "bob": "cat", "eve": "dog"}, False),
        ({"ada": "unsure", "bob": "unsure"}, True),
        ({"ada": "bad picture", "bob": "bad picture"}, False),
    ],
)
def test_the_first_two_contradict_each_other_or_not(said: dict[str, str], differ: bool | None) -> None:
    assert first_two_differ(said) is differ


def test_a_person_is_held_against_most_of_two_others_or_more() -> None:
    items = [
        {"ada": "cat", "bob": "cat", "eve": "dog"},
        {"ada": "cat", "bob": "dog"},  # one other is no majority
        {"ada": "cat", "bob": "dog", "eve": "yak"},  # nor are two who differ
        {"ada": "cat", "bob": "cat", "eve": "unsure", "ian": "cat"},  # who is unsure says nothing
    ]
    found = against_the_others(items)
    assert found["eve"] == [Answer(0, ("cat", True), True)]
    assert found["ada"] == [Answer(3, ("cat", True), False)]
    assert {name: len(its) for name, its in found.items()} == {"eve": 1, "ada": 1, "bob": 1, "ian": 1}


def test_a_group_is_compared_stratum_by_stratum() -> None:
    told = counts((30, 2, 10, 8), (28, 4, 12, 6), (20, 12, 5, 13), (22, 10, 6, 12))
    comparison = differing(told, SETTINGS)
    (blue,) = [one for one in comparison.groups if one.group.name == "race blue"]
    strata = Strata(np.array([22, 25]), np.array([64, 36]), np.array([6, 14]), np.array([64, 36]))
    assert blue.p == p_value(strata)
    effect, interval = difference(strata, 0.95)
    assert (blue.effect.value, blue.effect.interval) == (effect, interval)
    assert (blue.n, blue.k, comparison.n, comparison.k) == (100, 47, 200, 67)
    assert blue.raw.value == pytest.approx(0.47)
    assert blue.against.value == pytest.approx(0.20)


def test_blue_and_green_are_one_test_of_the_same_two_sides() -> None:
    comparison = differing(counts((30, 2), (28, 4), (20, 12), (22, 10)), SETTINGS)
    assert len(comparison.groups) == 8
    assert comparison.count == 6
    by_name = {one.group.name: one for one in comparison.groups}
    assert by_name["race blue"].p == pytest.approx(by_name["race green"].p)


def test_groups_of_few_are_not_tested_and_counted() -> None:
    comparison = differing(counts((30, 2), (28, 4), (3, 2), (22, 10)), SETTINGS)
    assert comparison.untested == 1
    assert "race blue, age young" not in {one.group.name for one in comparison.groups}


def test_someone_who_differs_alike_everywhere_is_rarely_found() -> None:
    rng = np.random.default_rng(11)
    false = 0
    for _ in range(300):
        n = rng.multinomial(240, [0.1, 0.4, 0.3, 0.2])
        wrong = rng.binomial(n, 0.2)
        comparison = differing(counts(*zip((n - wrong).tolist(), wrong.tolist(), strict=True)), SETTINGS)
        (groups,) = adjusted([comparison], dataclasses.replace(SETTINGS, correction="holm"))
        false += any(one.adjusted <= 0.05 for one in groups)
    assert false / 300 <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5
