"""Crossed groups that say what their attributes say: by hand."""

from secondlook.pipeline.bias.explained import explained
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval

NOTHING = Estimate(0.0, Interval(0.0, 1.0))
OLD, FAR = ("age", "70+"), ("site", "far")


def differs(*values: tuple[str, str], by: float, half: float = 0.05) -> Compared:
    effect = Estimate(by, Interval(by - half, by + half))
    return Compared(Group(values), 100, 10, NOTHING, NOTHING, effect, 0.001, 0.01)


def test_what_its_attribute_explains_says_nothing_more() -> None:
    both = differs(OLD, FAR, by=-0.18)
    assert explained([differs(OLD, by=-0.15), both]) == {both.group: (Group((OLD,)),)}


def test_a_crossed_group_that_is_clearly_worse_is_kept() -> None:
    assert explained([differs(OLD, by=-0.15), differs(OLD, FAR, by=-0.4)]) == {}


def test_two_attributes_that_add_up_explain_it_together() -> None:
    alone = [differs(OLD, by=-0.15), differs(FAR, by=-0.2)]
    assert explained([*alone, differs(OLD, FAR, by=-0.37)]) == {Group((OLD, FAR)): (Group((OLD,)), Group((FAR,)))}
    assert explained([*alone, differs(OLD, FAR, by=-0.45)]) == {}


def test_an_attribute_that_differs_the_other_way_explains_nothing() -> None:
    assert explained([differs(OLD, by=0.15), differs(OLD, FAR, by=-0.1)]) == {}


def test_groups_of_one_attribute_and_of_others_are_left_alone() -> None:
    assert explained([differs(OLD, by=-0.15), differs(FAR, by=-0.15), differs(("sex", "f"), FAR, by=-0.9)]) == {}
    assert explained([]) == {}


def test_three_attributes_are_explained_by_two() -> None:
    two, three = differs(OLD, FAR, by=0.4), differs(OLD, FAR, ("sex", "f"), by=0.42)
    assert explained([two, three]) == {three.group: (two.group,)}
