"""SL401 to SL407 over lakes of people who were made up: what was planted is found, and nothing else."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.bias import marks
from secondlook.jobs.bias.audit import audit
from secondlook.jobs.lake.dataset import newest_model
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import lint
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.jobs.lint.on_spark import SparkTables
from secondlook.pipeline.core.bias_config import Attribute, BiasSettings
from secondlook.pipeline.core.comparison import GroupAudit
from secondlook.pipeline.core.config import LintSettings, Settings, Waiver
from secondlook.pipeline.core.errors import UserError
from tests.jobs.people_lake import CLASSES, RACES, People, put

SETTINGS = Settings(lint=LintSettings(mislabel_margin=0.3), bias=BiasSettings(permutations=400))
Pair = tuple[str, str]


def found(lake: Lake, settings: Settings = SETTINGS, **options: Any) -> set[Pair]:
    """(rule, group) of every finding of SL4 that counts."""
    shown = lint.listing(lake, settings, select=["SL4"], **options).findings
    return {(one.finding.rule, one.finding.key) for one in shown if one.counts}


def evidence(lake: Lake, rule: str, settings: Settings = SETTINGS) -> list[dict[str, Any]]:
    told = lint.audit(lake, settings).findings.to_pylist()
    return [{"message": row["message"], **json.loads(row["evidence"])} for row in told if row["rule"] == rule]


def with_bias(**values: Any) -> Settings:
    return dataclasses.replace(SETTINGS, bias=dataclasses.replace(SETTINGS.bias, **values))


def answers(people: People, biased: str = "") -> dict[str, Callable[[int], str]]:
    """Four people who are right nine times in ten; the one who is biased says yak of every second of the blue."""

    def one(name: str, seed: int) -> Callable[[int], str]:
        rng = np.random.default_rng(seed)
        wrong, odd = rng.random(people.n) < 0.1, rng.random(people.n) < 0.5

        def say(at: int) -> str:
            if name == biased and people.group(race="blue")[at] and odd[at]:
                return "yak"
            return CLASSES[(people.truth[at] + (1 if wrong[at] else 0)) % 3]

        return say

    return {name: one(name, seed) for seed, name in enumerate(("ada", "bob", "eve", "ian"))}


def test_nothing_is_found_where_nothing_was_planted_and_it_says_what_could_not_have_been_seen(lake: Lake) -> None:
    people = People(1500).write(lake)
    people.answer(lake, answers(people), range(0, 1500, 5))
    people.ask(lake, range(0, 1500, 4))
    assert found(lake) == set()
    notes = lint.run(lake, SETTINGS)["notes"]
    assert "nothing found in" in notes["SL403"]
    assert "80 % power; smaller ones may be there" in notes["SL403"]
    assert "[bias] reference is not set" in notes["SL401"]


def test_a_group_whose_labels_are_wrong_more_often_is_found(lake: Lake) -> None:
    people = People(1500)
    people.mislabel(np.where(people.group(race="blue"), 0.15, 0.0))
    people.write(lake)
    assert ("SL402", "race blue") in found(lake)
    assert {rule for rule, _ in found(lake)} <= {
        "SL402",
        "SL403",
    }  # what is labeled wrong agrees less with the model, too
    assert {group for _, group in found(lake)} == {"race blue"}
    (told,) = evidence(lake, "SL402")
    n, k = told["n"], told["k"]
    assert n == int(people.group(race="blue").sum())
    assert told["raw"]["value"] == pytest.approx(k / n, rel=1e-5)
    assert told["effect"]["low"] > 0.05
    assert told["p"] <= told["adjusted"] < 0.001
    assert told["next"][0] == "secondlook review push --group race=blue"
    assert f"n = {n:,}" in told["message"]
    assert f"over {told['tests']:,} comparisons" in told["message"]
    assert "its labels are doubted more often, too" in evidence(lake, "SL403")[0]["message"]


def test_a_group_that_the_model_fails_is_found_though_its_labels_are_right(lake: Lake) -> None:
    people = People(1500)
    people.confuse(np.where(people.group(race="grey", age="old"), 0.35, 0.0))
    people.write(lake)
    assert found(lake, ignore=["SL403"]) == set()
    assert ("SL403", "race grey, age old") in {(rule, _ordered(group)) for rule, group in found(lake)}
    kept = {_ordered(group) for _, group in found(lake)}
    assert kept <= {"race grey, age old", "race grey", "age old"}


def _ordered(group: str) -> str:
    """The name of a group with race before age."""
    return ", ".join(sorted(group.split(", "), reverse=True))


def test_a_class_that_goes_with_a_group_is_found(lake: Lake) -> None:
    people = People(1500)
    grey = people.group(race="grey")
    moved = grey & (people.rng.random(people.n) < 0.4)
    people.truth = np.where(moved, 2, people.truth)
    people.given, people.said, people.sure = (
        np.where(moved, one, its) for one, its in ((2, people.given), (2, people.said), (0.9, people.sure))
    )
    people.write(lake, model=False)
    assert ("SL404", "race grey") in found(lake)
    assert {rule for rule, _ in found(lake)} == {"SL404"}
    told = evidence(lake, "SL404")
    assert any(one["measure"] == "association: yak" and one["group"] == {"race": "grey"} for one in told)


def test_people_who_contradict_each_other_on_a_group_are_found(lake: Lake) -> None:
    people = People(1500).write(lake, model=False)
    says = answers(people)
    hard = people.group(age="old") & (people.rng.random(people.n) < 0.4)
    says["bob"] = lambda at, say=says["bob"]: CLASSES[(people.truth[at] + 2) % 3] if hard[at] else say(at)  # type: ignore[misc]
    people.answer(lake, {name: says[name] for name in ("ada", "bob")}, range(0, 1500, 2))
    assert found(lake) == {("SL405", "age old")}


def test_one_who_answers_otherwise_than_the_others_on_a_group_is_found_by_name(lake: Lake) -> None:
    people = People(1500).write(lake, model=False)
    says = answers(people, biased="eve")
    people.answer(lake, says, range(0, 1500, 2))
    told = [one for one in evidence(lake, "SL405") if one["measure"].startswith("answers: ")]
    assert [(one["measure"], one["group"]) for one in told] == [("answers: eve", {"race": "blue"})]
    assert told[0]["effect"]["value"] > 0.2


def test_a_queue_that_leaves_a_group_out_is_found(lake: Lake) -> None:
    people = People(1500).write(lake, model=False)
    rng = np.random.default_rng(5)
    chosen = np.flatnonzero(rng.random(people.n) < np.where(people.group(race="green"), 0.1, 0.3))
    people.ask(lake, chosen.tolist())
    people.ask(lake, np.flatnonzero(people.group(age="old")).tolist(), "audit", "batch-10")  # drawn, not chosen
    assert ("SL406", "race green") in found(lake)
    assert {(rule, group.split()[0]) for rule, group in found(lake)} == {
        ("SL406", "race")
    }  # the others are picked more often for it
    told = evidence(lake, "SL406")[0]
    assert (told["group"], told["effect"]["value"] < 0) == ({"race": "green"}, True)
    assert told["next"][0] == '[review] balance = "race"'


def test_a_batch_that_somebody_wanted_of_one_group_is_no_choice_of_the_queue(lake: Lake) -> None:
    people = People(600).write(lake, model=False)
    people.ask(lake, range(0, 600, 4))
    wanted = np.flatnonzero(people.group(race="green")).tolist()
    attempt = lake.attempt("review push", {"of": "green"})
    attempt.append(
        "batches",
        rows("batches", [{"batch": "batch-10", "sample_id": people.ids()[at], "strategy": "doubted"} for at in wanted]),
    )
    attempt.commit({"batch": "batch-10", "of_groups": {"race green": {"asked": len(wanted)}}})
    assert found(lake) == set()
    (measure,) = audit(lake, lake.at(), SETTINGS).of("SL406")
    assert measure.k == 150


def test_pictures_that_came_after_the_batch_could_not_be_chosen(lake: Lake) -> None:
    people = People(600).write(lake, model=False)
    people.ask(lake, range(0, 600, 4))
    late = People(200, seed=2)
    facts = {"dataset": "default", "source": "late", "split": "", "attributes": [("race", "green"), ("age", "old")]}
    put(
        lake,
        "ingest",
        samples=[
            {"sample_id": f"late{at}", "key": f"late{at}", "content_id": f"late{at}", **facts} for at in range(late.n)
        ],
    )
    (measure,) = audit(lake, lake.at(), SETTINGS).of("SL406")
    assert (measure.n, measure.k) == (600, 150)
    assert found(lake) == set()


def test_a_camera_that_serves_a_group_badly_is_found(lake: Lake) -> None:
    people = People(1500)
    people.prints["brightness"] = np.where(
        people.group(race="grey"), people.prints["brightness"] * 0.7, people.prints["brightness"]
    )
    people.prints["width"] = np.full(people.n, 224)
    people.write(lake, model=False)
    assert found(lake) == {("SL407", "race grey")}
    assert "small not compared" in lint.run(lake, SETTINGS)["notes"]["SL407"]


def test_a_group_that_is_missing_is_found_with_how_many_pictures_it_lacks(lake: Lake, tmp_path: Path) -> None:
    people = People(1500)
    people.race = np.where(people.group(race="grey") & (people.rng.random(people.n) < 0.6), 0, people.race)
    people.write(lake, model=False)
    file = tmp_path / "census.csv"
    file.write_text(
        "attribute,value,share\nrace,green,1\nrace,blue,1\nrace,grey,1\nage,old,1\nage,young,1\n".replace(
            ",1\n", ",0.5\n"
        )
        .replace("green,0.5", "green,0.34")
        .replace("blue,0.5", "blue,0.33")
        .replace("grey,0.5", "grey,0.33")
    )
    settings = with_bias(reference=str(file))
    assert found(lake, settings) == {("SL401", "race grey")}
    (told,) = evidence(lake, "SL401", settings)
    there, n = told["k"], told["n"]
    assert (there + told["missing"]) / (n + told["missing"]) == pytest.approx(0.33, abs=0.001)
    assert "pictures are missing" in told["message"]
    file.write_text(file.read_text().replace("0.34", "0.8").replace("0.33", "0.1"))
    assert ("SL401", "race grey") not in found(lake, settings), "the file is a part of what lint read"


def test_attributes_that_were_dealt_out_anew_say_nothing(lake: Lake) -> None:
    people = People(1500)
    people.mislabel(np.where(people.group(race="blue"), 0.15, 0.0))
    people.confuse(np.where(people.group(age="old"), 0.2, 0.0))
    order = people.rng.permutation(people.n)
    people.race, people.age = people.race[order], people.age[order]
    people.write(lake)
    assert found(lake) == set()


def test_both_carriers_say_the_very_same(lake: Lake, spark: Any) -> None:
    people = People(400)
    people.mislabel(np.where(people.group(race="blue"), 0.3, 0.0))
    people.races = ("green", "blue", "")
    people.write(lake)
    people.answer(lake, answers(people), range(0, 400, 3))
    people.ask(lake, range(0, 400, 4))
    local, carried = LocalTables(lake, lake.at()), SparkTables(lake, lake.at(), spark)
    found = marks.findings(lake, lake.at(), SETTINGS, local, newest_model(lake, lake.at()))
    told, by_spark = (audit(lake, lake.at(), SETTINGS, carrier=one, found=found) for one in (local, carried))
    carried.close()
    assert by_spark == told
    assert {one.rule for one in told.measures} == {"SL402", "SL403", "SL404", "SL405", "SL406", "SL407"}
    assert told.found(told.of("SL402")[0])


def test_lint_and_the_audit_beside_it_have_the_same_figures(lake: Lake) -> None:
    people = People(600)
    people.mislabel(np.where(people.group(race="blue"), 0.3, 0.0))
    people.write(lake)
    told = audit(lake, lake.at(), SETTINGS)
    assert isinstance(told, GroupAudit)
    (measure,) = told.of("SL402")
    (shown,) = evidence(lake, "SL402")
    one = next(one for one in measure.groups if one.group.name == "race blue")
    assert (shown["n"], shown["k"], shown["adjusted"]) == (one.n, one.k, pytest.approx(one.adjusted, rel=1e-5))
    assert audit(lake, lake.at(told.version), SETTINGS) == told, "the same again"


def test_an_old_version_is_audited_as_it_was(lake: Lake) -> None:
    people = People(600).write(lake)
    before = lake.at().id
    blue = people.group(race="blue") & (np.random.default_rng(1).random(600) < 0.4)
    put(
        lake,
        "commit",
        labels=[
            {"sample_id": people.ids()[at], "label": CLASSES[(people.truth[at] + 1) % 3], "source": "review"}
            for at in np.flatnonzero(blue)
        ],
    )
    assert ("SL402", "race blue") in found(lake)
    assert found(lake, version=lake.at(before)) == set()


def test_a_group_is_waived_by_its_name(lake: Lake) -> None:
    people = People(600)
    people.mislabel(np.where(people.group(race="blue"), 0.3, 0.0))
    people.write(lake)
    waived = dataclasses.replace(
        SETTINGS, waivers=(Waiver("SL402", "race b*", "known"), Waiver("SL403", "race b*", "known"))
    )
    assert found(lake)
    assert found(lake, waived) == set()


def test_without_attributes_it_says_so_and_nothing_else(lake: Lake) -> None:
    People(60).write(lake, attributes=False)
    told = audit(lake, lake.at(), SETTINGS)
    assert (told.measures, told.tests, told.attributes) == ([], 0, ())
    assert found(lake) == set()
    assert all("no attributes" in lint.run(lake, SETTINGS)["notes"][f"SL40{n}"] for n in range(1, 8))


def test_without_a_model_or_people_the_rules_say_what_is_missing(lake: Lake) -> None:
    People(60).write(lake, model=False)
    notes = lint.run(lake, SETTINGS)["notes"]
    assert "secondlook train" in notes["SL402"]
    assert "secondlook train" in notes["SL403"]
    assert "nobody has answered yet" in notes["SL405"]
    assert "no batch was chosen by score yet" in notes["SL406"]


def test_groups_of_few_are_not_compared(lake: Lake) -> None:
    people = People(300)
    people.race = np.where(np.arange(300) < 9, 2, people.race % 2)
    people.mislabel(np.where(people.group(race="grey"), 1.0, 0.0))
    people.write(lake)
    told = audit(lake, lake.at(), SETTINGS)
    assert not any("grey" in one.group.name for measure in told.measures for one in measure.groups)
    assert told.of("SL402")[0].untested > 0


HOSTILE = ("<script>alert(1)</script>", "a,b=\"c'\n\x1b[2J", "é" * 10_000)


def test_hostile_names_of_groups_come_through_whole_and_bounded(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    people = People(900, races=HOSTILE, names=("[red]race\n", "age"))
    people.mislabel(np.where(people.race == 1, 0.3, 0.0) + np.where(people.race == 2, 0.3, 0.0))
    people.write(lake)
    told = [row for row in lint.audit(lake, SETTINGS).findings.to_pylist() if row["rule"] == "SL402"]
    assert {json.loads(row["evidence"])["group"].get("[red]race\n") for row in told} <= {*HOSTILE, None}
    assert told
    assert all(len(row["message"]) < 500 for row in told)
    from secondlook.pipeline.report.formats import FORMATS

    listing = lint.listing(lake, SETTINGS, select=["SL4"])
    for name, write in FORMATS.items():
        text = "".join(write(listing))
        assert "\x1b" not in text, name
        assert "<script>alert" not in text or name in {"json", "sarif", "text"}


def test_settings_that_the_attributes_do_not_meet_are_one_sentence(lake: Lake) -> None:
    People(60).write(lake, model=False)
    with pytest.raises(UserError, match=r"unknown attribute in \[bias\] attributes 'rase'"):
        lint.audit(lake, with_bias(attributes="rase"))
    with pytest.raises(UserError, match="there is no such file"):
        lint.audit(lake, with_bias(reference="nowhere.csv"))


def test_the_settings_of_bias_are_a_part_of_what_lint_read(lake: Lake) -> None:
    People(300).write(lake, model=False)
    assert not lint.audit(lake, SETTINGS).reused
    assert lint.audit(lake, SETTINGS).reused
    assert not lint.audit(lake, with_bias(depth=1)).reused


def test_labels_that_the_model_cannot_judge_are_of_no_population(lake: Lake) -> None:
    people = People(300).write(lake)
    events = [(at, "zebra") for at in range(20)] + [(at, None) for at in range(20, 30)]
    put(
        lake,
        "commit",
        labels=[{"sample_id": people.ids()[at], "label": label, "source": "review"} for at, label in events],
    )
    told = {one.name: one for one in audit(lake, lake.at(), SETTINGS).measures}
    assert told["label errors"].n == told["accuracy"].n == told["confidence"].n == 270
    assert told["association: zebra"].k == 20
    assert told["association: zebra"].n == 290
    assert told["false positives: cat"].n + told["false negatives: cat"].n == 270


def test_of_two_classes_one_is_compared(lake: Lake) -> None:
    people = People(300)
    people.given = people.given % 2
    people.write(lake, model=False)
    model = {"model": "m1", "kind": "generalist", "classes": ["cat", "dog"], "settings": "{}", "metrics": "{}"}
    says = {"model": "m1", "classes": [0, 1], "probs": [0.8, 0.2], "fold": -1}
    put(lake, "train", models=[model], predictions=[{"content_id": one, **says} for one in people.contents()])
    told = {one.name: one for one in audit(lake, lake.at(), SETTINGS).measures}
    assert [name for name in told if ":" in name] == [
        "false negatives: cat",
        "false negatives: dog",
        "association: cat",
    ]
    assert told["accuracy"].n == 300, "what no fold held out was never fitted on either: the test split is such"


def test_a_class_that_waits_for_a_sign_off_is_compared_nowhere(lake: Lake) -> None:
    people = People(300).write(lake, model=False)
    put(
        lake,
        "commit",
        labels=[{"sample_id": people.ids()[at], "label": "cock", "source": "review"} for at in range(40)],
    )
    told = audit(lake, lake.at(), SETTINGS)
    assert {one.name for one in told.of("SL404")} == {f"association: {name}" for name in CLASSES}
    assert told.of("SL404")[0].n == 260
    assert "cock" not in str(told)


def test_answers_of_who_is_paused_are_not_compared(lake: Lake) -> None:
    people = People(600).write(lake, model=False)
    people.answer(lake, answers(people, biased="eve"), range(0, 600, 2))
    assert "answers: eve" in {one.name for one in audit(lake, lake.at(), SETTINGS).of("SL405")}
    put(lake, "pause", annotators=[{"annotator": "eve", "event": "paused", "actor": "me", "reason": "gold"}])
    told = audit(lake, lake.at(), SETTINGS)
    assert {one.name for one in told.of("SL405")} == {"disagreement", "answers: ada", "answers: bob", "answers: ian"}


def test_audit_answers_tell_a_group_with_wrong_labels_from_one_that_the_detector_doubts(lake: Lake) -> None:
    """Of the blue, right labels are doubted; of the old, wrong ones are."""
    people = People(1500)
    people.mislabel(np.where(people.group(age="old"), 0.2, 0.0))
    surely = people.group(race="blue") & (people.rng.random(people.n) < 0.2) & (people.given == people.truth)
    people.said, people.sure = np.where(surely, (people.truth + 1) % 3, people.said), np.where(surely, 0.9, people.sure)
    people.write(lake)
    assert {("SL402", "race blue"), ("SL402", "age old")} <= found(lake)
    drawn = np.random.default_rng(3).choice(1500, 400, replace=False).tolist()
    people.answer(lake, {"ada": lambda at: CLASSES[people.truth[at]]}, drawn, "audit")
    ids, design = people.ids(), json.dumps({"scale": 1, "uniform": 1, "mean": 1, "slope": 1, "intercept": 0})
    facts = {
        "audit": "audit-1",
        "batch": "batch-1",
        "score": 0.5,
        "inclusion": 400 / 1500,
        "drawn_from": 2,
        "design": design,
    }
    put(
        lake,
        "audit",
        audit_samples=[{"sample_id": ids[at], "given": CLASSES[people.given[at]], **facts} for at in drawn],
    )
    heard = dataclasses.replace(SETTINGS, review=dataclasses.replace(SETTINGS.review, experts="ada"))
    assert {group for rule, group in found(lake, heard) if rule == "SL402"} == {"age old"}
    told = next(one for one in evidence(lake, "SL402", heard))
    wrong = (people.given != people.truth)[people.group(age="old")].mean()
    assert told["corrected"]["low"] < wrong < told["corrected"]["high"]
    assert told["answers"] > 100
    assert "corrected from" in told["message"]


def test_labels_that_people_verified_have_an_accuracy_of_their_own(lake: Lake) -> None:
    people = People(300).write(lake)
    votes = json.dumps({"adjudicated": 1, "votes": [{"annotator": "ada", "answer": CLASSES[0]}]})
    events = [
        {"sample_id": people.ids()[at], "label": CLASSES[0], "source": "review", "evidence": votes} for at in range(60)
    ]
    put(lake, "commit", labels=events)
    told = {one.name: one for one in audit(lake, lake.at(), SETTINGS).measures}
    assert told["accuracy on verified labels"].n == 60
    assert told["accuracy on verified labels"].k == int((people.said[:60] == 0).sum())


def test_copies_that_all_are_of_one_group_are_no_finding(lake: Lake) -> None:
    """Two hundred copies of one picture say what one picture says."""
    people = People(600)
    people.race[:40], people.given[:40] = 1, (people.truth[:40] + 1) % 3
    contents = people.contents()
    people.contents = lambda: [contents[0]] * 40 + contents[40:]  # type: ignore[method-assign]
    people.truth[:40] = people.truth[0]
    people.given[:40], people.said[:40], people.sure[:40] = (people.truth[0] + 1) % 3, people.truth[0], 0.9
    people.write(lake)
    told = audit(lake, lake.at(), SETTINGS)
    (measure,) = told.of("SL402")
    blue = next(one for one in measure.groups if one.group.name == "race blue")
    assert blue.k >= 40
    assert not told.found(measure)
    assert "copies count" in measure.method


def test_near_copies_are_one_group_as_sl202_says(lake: Lake) -> None:
    people = People(60).write(lake, model=False)
    ids, contents, keys = people.ids(), people.contents(), people.keys()
    evidence_ = json.dumps({"kept": keys[3]})
    rows_ = [{"rule": "SL202", "subject": ids[at], "evidence": evidence_} for at in (3, 5)]
    rows_ += [{"rule": "SL202", "subject": ids[at], "evidence": json.dumps({"kept": keys[9]})} for at in (9, 8)]
    groups = marks.near(LocalTables(lake, lake.at()), rows("findings", rows_))
    assert sorted(groups) == sorted([sorted([contents[3], contents[5]]), sorted([contents[8], contents[9]])])


def test_an_attribute_that_a_model_estimated_is_marked_and_needs_its_validation(lake: Lake, tmp_path: Path) -> None:
    people = People(900, races=("green", "blue"))
    people.mislabel(np.where(people.group(race="blue"), 0.3, 0.0))
    people.write(lake)
    file = tmp_path / "validation.csv"
    estimated = dataclasses.replace(SETTINGS, attributes=(Attribute(name="race", estimated=str(file)),))
    with pytest.raises(UserError, match="there is no such file"):
        lint.audit(lake, estimated)
    file.write_text("true,estimated,n\ngreen,green,450\ngreen,blue,50\nblue,green,50\nblue,blue,450\n")
    assert ("SL402", "race blue") in found(lake, estimated)
    told = evidence(lake, "SL402", estimated)[0]
    assert told["estimated"] == ["race"]
    assert told["corrected"]["value"] > told["raw"]["value"]  # mistakes of the model make groups look alike
    assert "race blue (estimated)" in told["message"]
    assert abs(told["effect"]["value"]) > told["raw"]["value"] - told["overall"]["value"], (
        "mistakes of the model had hidden a part"
    )


def test_a_missing_value_is_a_group_of_its_own(lake: Lake) -> None:
    people = People(900, races=("green", "blue", ""))
    people.mislabel(np.where(people.race == 2, 0.3, 0.0))
    people.write(lake)
    assert ("SL402", "race (not said)") in found(lake)
    assert RACES[0] in {value for one in audit(lake, lake.at(), SETTINGS).attributes for value in one.counts}
