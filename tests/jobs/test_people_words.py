"""A finding of groups in words: by hand."""

import dataclasses
import json
import math

import pytest

from secondlook.jobs.lint.people import message, remedies, said
from secondlook.pipeline.bias import measures
from secondlook.pipeline.core.comparison import AuditedAttribute, Compared, Estimate, GroupAudit, Measure
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval

OLD = Group((("race", "Black"), ("age", "70+")))


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, Interval(low, high))


def one(group: Group = OLD, **facts: object) -> Compared:
    told: dict[str, object] = {
        "n": 118,
        "k": 72,
        "raw": estimate(0.61, 0.52, 0.69),
        "against": estimate(0.76, 0.75, 0.77),
        "effect": estimate(-0.15, -0.23, -0.07),
        "p": 0.0001,
        "adjusted": 0.004,
        "smallest_gap": 0.08,
    }
    return Compared(group, **{**told, **facts})  # type: ignore[arg-type]


def audited(measure: Measure, *groups: Compared, estimated: bool = False) -> tuple[GroupAudit, Measure]:
    from dataclasses import replace

    full = replace(measure, groups=groups, n=1000)
    attribute = AuditedAttribute("race", {"Black": 118}, estimated=estimated)
    return GroupAudit(3, 1000, [attribute], [full], 2, 0.05, 0.95, 0.8, "permutation", 0.02, 10, 312, 7), full


ACCURACY = measures.accuracy().measure


def test_a_finding_says_the_figure_its_interval_against_what_how_far_and_how_sure() -> None:
    assert message(*audited(ACCURACY, one()), one()) == (
        "accuracy of race Black, age 70+ is 61 % (52–69 %, n = 118), of the rest 76 %: 15 points lower (7–23), p = 0.004 over 312 comparisons"
    )


@pytest.mark.parametrize(
    ("measure", "begins"),
    [
        (measures.doubts().measure, "doubted labels of race Black, age 70+ are 61 %"),
        (measures.errors(["cat"], others=True)[0].measure, "false negatives of cat on race Black, age 70+ are 61 %"),
        (measures.asked().measure, "the share of race Black, age 70+ that the queue chose is 61 %"),
        (measures.quality("low contrast").measure, "low contrast pictures of race Black, age 70+ are 61 %"),
        (measures.differs("eve"), "answers of eve on race Black, age 70+ that differ from most others' are 61 %"),
        (measures.confidence(), "the model's confidence beyond its accuracy on race Black, age 70+ is 61 %"),
        (measures.disputed().measure, "disagreement of race Black, age 70+ is 61 %"),
    ],
)
def test_each_measure_has_its_words(measure: Measure, begins: str) -> None:
    assert message(*audited(measure, one()), one()).startswith(begins)


def test_an_association_is_told_with_how_many_times_as_often() -> None:
    told = one(
        raw=estimate(0.31, 0.25, 0.36), effect=estimate(0.31, 0.25, 0.36), lift=estimate(2.1, 1.8, 2.5), adjusted=1e-9
    )
    assert message(*audited(measures.association("nurse"), told), told) == (
        "nurse goes with race Black, age 70+ more often than by chance: npmi +0.31 (0.25 to 0.36, n = 118), 2.1 times as often, "
        "p < 0.001 over 312 comparisons"
    )


def test_a_share_says_how_many_are_missing_and_one_that_can_never_be_reached_says_nothing() -> None:
    assert message(*audited(measures.share(), one()), one(missing=4321.0)).endswith("; 4,321 pictures are missing")
    assert "of the reference 76 %" in message(*audited(measures.share(), one()), one(missing=math.inf))
    assert "missing" not in message(*audited(measures.share(), one()), one(missing=math.inf))


def test_how_many_pictures_a_group_of_a_few_has_is_not_told() -> None:
    few = one(n=5003, k=7, raw=estimate(0.0014, 0.0007, 0.0029), against=estimate(0.12, 0.12, 0.12), missing=673.0)
    audit, measure = audited(measures.share(), few)
    (row,) = said(audit).findings.to_pylist()
    assert row["message"] == (
        "fewer than 10 of 5,003 pictures are of race Black, age 70+, of the reference 12 % are: sure over 312 comparisons"
    )
    told = json.loads(row["evidence"])
    assert all(told[name] is None for name in ("k", "raw", "effect", "missing", "p", "adjusted"))
    assert not {"0.0014", "673"} & set(str(row).replace(",", " ").replace("}", " ").split())
    nobody = one(k=0, raw=estimate(0.0, 0.0, 0.001), missing=680.0)
    assert "680 pictures are missing" in message(audit, measure, nobody)


def test_what_others_of_its_attribute_have_does_not_tell_it_either() -> None:
    few = one(Group((("race", "D"),)), n=300, k=3, raw=estimate(0.01, 0.003, 0.03), against=estimate(0.25, 0.25, 0.25))
    more = one(
        Group((("race", "C"),)), n=300, k=51, raw=estimate(0.17, 0.13, 0.22), against=estimate(0.25, 0.25, 0.25),
        effect=estimate(-0.08, -0.12, -0.03), missing=32.0,
    )  # fmt: skip
    audit, measure = audited(measures.share(), few, more)
    assert message(audit, measure, more).endswith("; up to 40 pictures are missing")
    told = {row["key"]: json.loads(row["evidence"]) for row in said(audit).findings.to_pylist()}
    assert told["race C"]["k"] is None
    assert told["race C"]["missing"] is None
    alone, _ = audited(measures.share(), more)
    assert "; 32 pictures are missing" in message(alone, measures.share(), more)


def test_a_corrected_figure_says_what_was_counted() -> None:
    told = one(corrected=estimate(0.5, 0.4, 0.6))
    assert "is 50 % (40–60 %, n = 118), corrected from 61 % as counted, of the rest" in message(
        *audited(ACCURACY, told), told
    )


def test_labels_are_called_wrong_only_where_answers_of_people_say_so() -> None:
    doubts = measures.doubts().measure
    assert message(*audited(doubts, one()), one()).startswith("doubted labels of race Black, age 70+ are 61 %")
    told = one(corrected=estimate(0.5, 0.4, 0.6))
    assert message(*audited(doubts, told), told).startswith(
        "wrong labels of race Black, age 70+ are 50 % (40–60 %, n = 118), corrected from 61 % as counted"
    )


@pytest.mark.parametrize(
    ("k", "told_as"),
    [(7, "fewer than 10 of 118 pictures"), (111, "all but fewer than 10 of 118 pictures")],
)
def test_how_few_of_a_group_bear_a_class_is_not_told(k: int, told_as: str) -> None:
    few = one(k=k, raw=estimate(0.4321, 0.3, 0.5), effect=estimate(0.4321, 0.3, 0.5), lift=estimate(3.456, 2.9, 4.1))
    audit, _ = audited(measures.association("nurse"), few)
    (row,) = said(audit).findings.to_pylist()
    assert row["message"] == (
        f"nurse goes with race Black, age 70+ more often than by chance: {told_as}, sure over 312 comparisons"
    )
    told = json.loads(row["evidence"])
    assert all(told[name] is None for name in ("k", "raw", "effect", "lift", "p", "adjusted"))
    assert "0.43" not in str(row)
    nobody = one(k=0, effect=estimate(-1.0, -1.0, -0.3), raw=estimate(-1.0, -1.0, -0.3))
    assert "npmi -1.00" in message(*audited(measures.association("nurse"), nobody), nobody)


def test_what_other_groups_or_classes_have_does_not_tell_it_either() -> None:
    tie = estimate(0.3, 0.2, 0.4)
    white, black, old = (Group(((name, value),)) for name, value in (("race", "W"), ("race", "B"), ("age", "70+")))
    audit, _ = audited(
        measures.association("nurse"),
        one(white, k=4, effect=tie),
        one(black, k=60, effect=tie),
        one(old, k=60, effect=tie),
    )
    others = dataclasses.replace(measures.association("cook"), groups=[one(old, k=55, effect=tie)], n=1000)
    told = {row["subject"]: json.loads(row["evidence"])["k"] for row in said(audit).findings.to_pylist()}
    assert told == {
        "association: nurse: race W": None,
        "association: nurse: race B": None,
        "association: nurse: age 70+": 60,
    }
    few = dataclasses.replace(others, groups=[one(old, k=5, effect=tie)])
    both = dataclasses.replace(audit, measures=[*audit.measures, few])
    told = {row["subject"]: json.loads(row["evidence"])["k"] for row in said(both).findings.to_pylist()}
    assert told["association: nurse: age 70+"] is None


def test_an_attribute_that_a_model_estimated_is_marked() -> None:
    assert "race Black (estimated), age 70+ is" in message(*audited(ACCURACY, one(), estimated=True), one())


def test_an_interval_that_reaches_the_other_side_shows_its_sign() -> None:
    assert "15 points lower (-2 to 32)" in message(*audited(ACCURACY, one()), one(effect=estimate(-0.15, -0.32, 0.02)))


def test_evidence_is_json_whatever_the_numbers_are() -> None:
    audit, _ = audited(ACCURACY, one(smallest_gap=math.nan, missing=math.inf))
    (row,) = said(audit).findings.to_pylist()
    told = json.loads(row["evidence"], parse_constant=pytest.fail)
    assert (told["smallest_gap"], told["missing"], told["group"]) == (None, None, {"race": "Black", "age": "70+"})
    assert (row["subject"], row["key"], row["subject_kind"]) == (
        "accuracy: race Black, age 70+",
        "race Black, age 70+",
        "group",
    )
    assert row["score"] == pytest.approx(0.15)


def test_the_next_step_is_a_command_that_a_shell_takes_as_it_is() -> None:
    assert remedies(ACCURACY, one())[0] == "secondlook review push --group race=Black,age=70+"
    hostile = one(Group((("race", "a' b\n$(rm)"),)))
    assert remedies(ACCURACY, hostile)[0] == "secondlook review push --group 'race=a'\"'\"' b\n$(rm)'"
    assert remedies(measures.asked().measure, one(Group((('r"\n', "x"),))))[0] == '[review] balance = "r\\"\\U0000000a"'


def test_error_rates_of_single_classes_that_say_what_accuracy_says_are_left_out_and_counted() -> None:
    from dataclasses import replace

    missed = replace(
        measures.errors(["cat"], others=True)[0].measure, groups=(one(effect=estimate(0.16, 0.1, 0.3)),), n=500
    )
    audit, _ = audited(ACCURACY, one())
    both = replace(audit, measures=[*audit.measures, missed])
    told = said(both)
    assert told.findings["subject"].to_pylist() == ["accuracy: race Black, age 70+"]
    assert told.notes["SL403"] == "left out, as it says nothing beyond the others: 1 error rate of single classes"
    worse = replace(missed, groups=(one(effect=estimate(0.4, 0.3, 0.5)),))
    assert len(said(replace(both, measures=[*audit.measures, worse])).findings) == 2


def test_of_two_groups_that_mirror_each_other_the_smaller_is_told() -> None:
    young, old = Group((("age", "young"),)), Group((("age", "old"),))
    less = one(old, n=300, effect=estimate(-0.1, -0.2, -0.05))
    more = one(young, n=700, effect=estimate(0.1, 0.05, 0.2))
    audit, _ = audited(measures.asked().measure, less, more)
    assert said(audit).findings["key"].to_pylist() == ["age old"]


def test_silence_says_how_large_a_gap_could_have_been_missed() -> None:
    quiet = [
        one(Group((("race", str(at)),)), adjusted=1.0, smallest_gap=gap)
        for at, gap in enumerate((0.04, 0.23, math.nan, 0.11))
    ]
    audit, _ = audited(ACCURACY, *quiet)
    assert said(audit).notes["SL403"] == (
        "nothing found in 4 comparisons, which would have shown gaps from 4 to 23 points (the fewer pictures, the wider), "
        "11 in the middle, with 80 % power; smaller ones may be there; 1 is of too few pictures to show any gap"
    )
