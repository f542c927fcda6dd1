"""From made answers and seconds to points: what is sure, who is beaten, who paid."""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from secondlook.jobs.frontier.asked import Asked
from secondlook.jobs.frontier.held_out import HeldOut
from secondlook.jobs.frontier.points import Answers, points
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.frontier import Point
from secondlook.pipeline.core.models_config import FrontierSettings

N, CLASSES = 600, 6
SETTINGS = Settings(frontier=FrontierSettings(draws=200))


def held(**changed: Any) -> HeldOut:
    """Pictures of six classes in turn, and of two sites: the first 100 are of the harbour."""
    rows = np.arange(N)
    sites = {"site": {"harbour": rows[:100], "mast": rows[100:]}}
    names = [f"class {k}" for k in range(CLASSES)]
    made = HeldOut(rows, [f"c{k}" for k in rows], names, rows % CLASSES, "pictures", True, attributes=sites)
    return dataclasses.replace(made, **changed)


def model(name: str, role: str = "student", params: float = 100.0, **more: Any) -> Asked:
    facts = {"params": params, "madds": params, "bytes": params, "teacher": "teacher" if role == "student" else ""}
    return Asked(name, name, role, (), 32, lambda shown: shown, **(facts | more))  # type: ignore[arg-type, return-value]


def answers(right: npt.NDArray[np.bool_], seconds: list[float], attacked: dict[int, Any] | None = None) -> Answers:
    rounds = np.tile(seconds, (10, 1)) * np.linspace(1, 1.2, 10)[:, None]
    return Answers(right, right[:, :50], rounds, rounds * 20, attacked or {})


def made(right: npt.NDArray[np.bool_], asked: list[Asked], seconds: list[float], **changed: Any) -> dict[str, Point]:
    found = points(SETTINGS, asked, held(**changed), answers(right, seconds))
    return {one.name: one for one in found}


def all_right(models: int) -> npt.NDArray[np.bool_]:
    return np.ones((models, N), bool)


def test_figures_are_of_the_answers() -> None:
    right = all_right(2)
    right[1, :30] = False
    found = made(right, [model("teacher", "teacher"), model("a")], [0.004, 0.001])
    a = found["a"]
    assert (a.n, a.accuracy.value, found["teacher"].accuracy.value) == (600, 0.95, 1.0)
    assert a.conditional is not None
    assert a.conditional.value == pytest.approx(20 / 50)
    assert a.latency.value == pytest.approx(0.001 * 1.1)
    assert a.latency_64.value == pytest.approx(0.02 * 1.1)
    assert a.gap is not None
    assert a.gap.value == pytest.approx(0.3)
    assert a.gap.interval.low < 0.3 < a.gap.interval.high
    assert a.taught is not None
    assert a.taught.value == pytest.approx(-0.05)
    assert a.taught.interval.low < -0.05 < a.taught.interval.high < 0
    assert found["teacher"].taught is None
    assert math.isnan(found["teacher"].value("forgotten"))
    assert math.isnan(a.value("robust"))


def test_the_group_that_paid_is_refused_and_named() -> None:
    right = all_right(2)
    right[1, :20] = False
    found = made(right, [model("teacher", "teacher"), model("a")], [0.004, 0.001])["a"]
    worst = found.worst
    assert worst is not None
    assert (worst.attribute, worst.name, worst.n, worst.fall.value) == ("site", "harbour", 100, 0.2)
    assert worst.fall.interval.low > 0.02
    assert found.refused.startswith("site harbour falls by 20.0 points below the teacher (")
    assert found.refused.endswith("n = 100), more than the 2 allowed")
    few = right.copy()
    few[1, 3:20] = True
    assert made(few, [model("teacher", "teacher"), model("a")], [0.004, 0.001])["a"].refused == ""


def test_a_class_that_paid_is_forgotten_and_a_class_of_few_pictures_is_not_asked() -> None:
    right = all_right(2)
    right[1, np.flatnonzero(np.arange(N) % CLASSES == 4)[:40]] = False
    found = made(right, [model("teacher", "teacher"), model("a")], [0.004, 0.001])["a"]
    assert [(one.name, one.n, one.fall.value) for one in found.forgotten] == [("class 4", 100, 0.4)]
    assert found.classes == CLASSES
    labels = np.arange(N) % (CLASSES - 1)
    labels[:5] = CLASSES - 1
    assert (
        made(right, [model("teacher", "teacher"), model("a")], [0.004, 0.001], labels=labels)["a"].classes
        == CLASSES - 1
    )


def test_who_is_heavier_and_nowhere_better_is_beaten_and_chance_beats_nobody() -> None:
    right = all_right(4)
    right[2, 0] = right[3, 1] = False
    some = [model("teacher", "teacher", 1000.0), model("a"), model("heavy", params=200.0), model("even")]
    found = made(right, some, [0.009, 0.001, 0.001, 0.001], attributes={})
    assert found["a"].on_frontier
    assert found["even"].on_frontier  # one picture less: chance
    assert [(one.name, one.surely) for one in found["heavy"].better] == [
        (name, ("madds", "params", "bytes")) for name in ("a", "even")
    ]
    assert found["teacher"].on_frontier
    assert found["a"].gap is None


def test_accuracy_beats_where_it_is_sure_and_latency_round_by_round() -> None:
    right = all_right(3)
    right[2, :40] = False
    some = [model("teacher", "teacher"), model("a"), model("b")]
    found = made(right, some, [0.009, 0.001, 0.001], attributes={})
    assert [(one.name, one.surely) for one in found["b"].better] == [("a", ("accuracy", "conditional"))]
    slower = made(all_right(3), some, [0.009, 0.001, 0.00101], attributes={})
    assert [(one.name, one.surely) for one in slower["b"].better] == [("a", ("latency", "latency_64"))]


def test_each_knows_how_much_more_accurate_it_is_than_each_other() -> None:
    right = all_right(3)
    right[2, :60] = False
    found = made(right, [model("teacher", "teacher"), model("a"), model("b")], [0.009, 0.001, 0.0005])
    assert {*found["a"].against} == {"b"}
    assert found["a"].against["b"].value == pytest.approx(0.1)
    assert found["b"].against["a"].value == pytest.approx(-0.1)
    assert found["a"].against["b"].interval.low > 0


def test_what_was_attacked_is_a_column_and_an_axis() -> None:
    calm, broken = np.ones(200, bool), np.zeros(200, bool)
    some = [model("teacher", "teacher"), model("a"), model("b")]
    under = {0: (calm, calm, broken), 1: (calm, calm, calm), 2: (calm, calm, broken)}
    found = {
        one.name: one
        for one in points(SETTINGS, some, held(attributes={}), answers(all_right(3), [0.009, 0.001, 0.001], under))
    }
    a = found["a"]
    assert a.robust is not None
    assert a.fgsm is not None
    assert a.calm is not None
    assert (a.robust.value, a.fgsm.value, a.calm.value, found["b"].value("robust")) == (1.0, 1.0, 1.0, 0.0)
    assert [(one.name, one.surely) for one in found["b"].better] == [("a", ("robust",))]
    some_only = {number: its for number, its in under.items() if number != 2}
    found = {
        one.name: one
        for one in points(SETTINGS, some, held(attributes={}), answers(all_right(3), [0.009, 0.001, 0.002], some_only))
    }
    assert found["b"].on_frontier  # nobody knows how robust it is


def test_the_same_seed_gives_the_same_points() -> None:
    right = np.random.default_rng(0).random((3, N)) < 0.8
    some = [model("teacher", "teacher"), model("a"), model("b")]
    assert made(right, some, [0.009, 0.001, 0.002]) == made(right, some, [0.009, 0.001, 0.002])


def test_pictures_that_are_left_out_are_counted_in_a_note() -> None:
    all_of_them = held(attributes={})
    kept = np.arange(N) % 3 > 0
    found = all_of_them.only(kept, "can't be read")
    assert found.notes == ("200 pictures can't be read and are left out",)
    assert found.content_ids[:3] == ["c1", "c2", "c4"]
    assert found.labels.tolist() == all_of_them.labels[kept].tolist()
    assert all_of_them.only(np.ones(N, bool), "can't be read") is all_of_them
