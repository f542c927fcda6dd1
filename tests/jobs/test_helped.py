"""Did cleaning help: on made models and labels whose effect is known."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.helped import helped
from secondlook.jobs.helped.comparing import Comparison, Part
from secondlook.jobs.helped.told import sentence, summary
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id
from tests.jobs.conftest import NOW

Fill = Callable[..., dict[str, str]]
CLASSES = ["cat", "dog", "yak"]
N = 300


class Scene:
    """300 test pictures of three classes, the first half of them of race A; `right`: what a model of so many right says."""

    def __init__(self, lake: Lake, fill: Fill, split: str = "test") -> None:
        self.lake = lake
        self.truth = {f"{at:03d}.png": CLASSES[at % 3] for at in range(N)}
        facts = [{"split": split, "attributes": [("race", "A" if at < N // 2 else "B")]} for at in range(N)]
        learned = [(f"t{at}.png", CLASSES[at % 3], f"t{at}".encode(), {"split": "train"}) for at in range(30)]
        pictures = [
            (key, label, key.encode(), its) for (key, label), its in zip(self.truth.items(), facts, strict=True)
        ]
        self.ids = fill([*pictures, *learned])

    def train(
        self,
        name: str,
        wrong: Mapping[str, str] | range,
        kind: str = "generalist",
        fold: int = -1,
        classes: list[str] = CLASSES,
        **facts: Any,
    ) -> None:
        """A model that has all right but some: by key what it says instead, or by place the next class."""
        if isinstance(wrong, range):
            wrong = {f"{at:03d}.png": CLASSES[(at + 1) % 3] for at in wrong}
        model = {
            "model": name,
            "kind": kind,
            "classes": classes,
            "embedder": "e",
            "settings": "{}",
            "backbone": "small",
        } | facts
        says = {key: wrong.get(key, label) for key, label in self.truth.items()}
        said = [
            {"content_id": content_id(key.encode()), "model": name, "fold": fold, "classes": [classes.index(one)], "probs": [0.9]}
            for key, one in says.items() if one in classes
        ]  # fmt: skip
        self.commit("train", models=[model], predictions=said)

    def verify(self, keys: list[str]) -> None:
        """Three people agree on these labels."""
        votes = [{"annotator": who, "answer": self.truth[keys[0]]} for who in "abc"]
        events = []
        for key in keys:
            votes = [{"annotator": who, "answer": self.truth[key]} for who in "abc"]
            mark = json.dumps({"adjudicated": 3, "votes": votes})
            events.append(
                {
                    "sample_id": self.ids[key],
                    "label": self.truth[key],
                    "source": "review",
                    "actor": "consensus",
                    "time": NOW,
                    "evidence": mark,
                }
            )
        self.commit("commit", labels=events)

    def commit(self, job: str, **tables: list[dict[str, Any]]) -> None:
        attempt = self.lake.attempt(job, {"n": len(self.lake.versions.all())})
        for table, records in tables.items():
            attempt.append(table, rows(table, records))
        attempt.commit({})

    def compared(self, **options: Any) -> Comparison:
        return helped.run(self.lake, Settings(), **options)


@pytest.fixture
def scene(lake: Lake, fill: Fill) -> Scene:
    return Scene(lake, fill)


def part(found: Comparison, name: str) -> Part:
    return next(one for one in found.parts if one.name == name)


def test_a_model_that_is_right_more_often_helped(scene: Scene) -> None:
    scene.train("old", range(60))
    scene.train("new", range(20))
    found = scene.compared()
    assert (found.pair.before.name, found.pair.after.name, found.on) == ("old", "new", "test")
    assert (found.whole.n, found.whole.gained, found.whole.lost) == (300, 40, 0)
    assert sentence(found).startswith("helped: +13.3 points (9.7 to 17.3) on 300 pictures of the split test")
    assert {(one.kind, one.name): one.found.difference for one in found.parts} == {
        ("class", "cat"): pytest.approx(0.13),
        ("class", "dog"): pytest.approx(0.13),
        ("class", "yak"): pytest.approx(0.14),
        ("group", "race A"): pytest.approx(40 / 150),
        ("group", "race B"): 0.0,
    }
    assert part(found, "race B").found.helped(found.alpha) is None
    assert part(found, "race A").found.helped(found.alpha) is True
    assert all(one.found.adjusted >= one.found.p for one in found.parts)


def test_one_that_is_worse_hurt_and_one_that_is_as_good_claims_nothing(scene: Scene) -> None:
    scene.train("first", range(20))
    scene.train("second", range(60))
    assert sentence(scene.compared()).startswith("hurt: -13.3 points (-17.3 to -9.7) on 300")
    scene.train("third", range(2, 62))
    found = scene.compared()
    assert sentence(found).startswith("no claim: +0.0 points (")
    assert sentence(found).endswith("the interval spans zero")
    assert summary(found)["helped"] is None


def test_verified_labels_count_where_there_are_enough(scene: Scene) -> None:
    scene.train("old", range(60))
    scene.train("new", range(20))
    scene.verify([f"{at:03d}.png" for at in range(99)])
    few = scene.compared()
    assert (few.on, few.whole.n, few.verified) == ("test", 300, 99)
    scene.verify([f"{at:03d}.png" for at in range(99, 120)])
    enough = scene.compared()
    assert (enough.on, enough.whole.n, enough.whole.gained) == ("verified", 120, 40)
    assert "on 120 verified pictures" in sentence(enough)


def test_without_a_test_split_pictures_that_both_were_held_out_of_are_judged(lake: Lake, fill: Fill) -> None:
    scene = Scene(lake, fill, split="train")
    scene.train("old", range(60), fold=1)
    scene.train("new", range(20), fold=2)
    found = scene.compared()
    assert (found.on, found.whole.n) == ("out of fold", 300)
    assert "that both models were held out of" in sentence(found)


def test_what_a_student_learned_from_is_no_proof(lake: Lake, fill: Fill) -> None:
    scene = Scene(lake, fill, split="train")
    scene.train("generalist", range(3))
    for name, wrong in (("student-a-0123456789ab", range(60)), ("student-a-ba9876543210", range(20))):
        scene.train(name, wrong, kind="student", fold=-2)
    found = scene.compared(model="student-a-ba9876543210")
    assert (found.on, found.whole.n) == ("nothing", 0)
    assert sentence(found) == "no claim: there is no labeled picture that both models were held out of"


def test_a_student_is_compared_with_its_own_earlier_self(scene: Scene) -> None:
    scene.train("generalist-000000000000", range(3))
    scene.train("student-a-0123456789ab", range(60), kind="student")
    scene.train("student-b-0123456789ab", range(90), kind="student")
    scene.train("student-a-0123456789ab-int8", range(70), kind="student")
    scene.train("student-a-ba9876543210", range(20), kind="student")
    assert scene.compared(model="student-a-ba9876543210").pair.before.name == "student-a-0123456789ab"
    with pytest.raises(UserError, match="is the first student of its kind"):
        scene.compared(model="student-b-0123456789ab")
    with pytest.raises(UserError, match="is the first generalist of its kind"):
        scene.compared()


def test_what_leaked_is_left_out(scene: Scene) -> None:
    scene.train("old", range(60))
    scene.train("new", range(20))
    leak = {"rule": "SL203", "subject_kind": "sample", "key": "", "message": "", "score": 0.9, "evidence": "{}"}
    scene.commit("lint", findings=[leak | {"subject": scene.ids[f"{at:03d}.png"]} for at in range(20, 50)])
    found = scene.compared()
    assert (found.whole.n, found.whole.gained, found.leaked) == (270, 10, 30)


def test_classes_are_those_of_today(scene: Scene) -> None:
    """A dog that was called dog by the old model is right now that dogs and yaks are one class, and so is a yak."""
    scene.train("old", {f"{at:03d}.png": "yak" for at in range(1, 150, 3)})  # half of the dogs are yaks to it
    event = {"name": "yak", "event": "merged", "into": "dog", "actor": "me", "time": NOW}
    scene.commit("classes merge", classes=[event])
    scene.truth = {key: "dog" if label == "yak" else label for key, label in scene.truth.items()}
    scene.train("new", {}, classes=["cat", "dog"])
    found = scene.compared()
    assert (found.whole.gained, found.whole.lost, found.whole.n) == (0, 0, 300)
    assert {one.name for one in found.parts if one.kind == "class"} == {"cat", "dog"}


def test_a_class_that_the_earlier_model_did_not_know_it_has_wrong(scene: Scene) -> None:
    known = {key: "cat" for key, label in scene.truth.items() if label == "yak"}
    scene.train("old", known, classes=["cat", "dog"])
    scene.train("new", {})
    found = scene.compared()
    assert (found.unknown, found.whole.gained, part(found, "yak").found.before) == (100, 100, 0.0)


def test_the_earlier_model_of_the_same_settings_is_preferred_and_others_are_named(scene: Scene) -> None:
    small, large = (
        '{"backbone": "small", "epochs": 3, "threads": 1, "teacher": "generalist-000000000000"}',
        '{"backbone": "resnet:8", "epochs": 3, "threads": 2}',
    )
    scene.train("first", range(60), settings=small)
    scene.train("second", range(50), settings=large)
    scene.train("third", range(20), settings=small.replace("1,", "2,").replace("000000000000", "111111111111"))
    found = scene.compared()
    assert (found.pair.before.name, list(found.pair.differ)) == ("first", [])
    other = scene.compared(since="second")
    assert list(other.pair.differ) == ["backbone resnet:8 → small"]
    assert scene.compared(since="2").pair.before.name == "first"
    assert scene.compared(since="head~1").pair.before.name == "second"
    for since, why in (
        ("third", "third is not earlier than third"),
        ("thrid", "unknown model or version 'thrid'. Choose from: first, second"),
        ("1", "version 1 has no generalist like third"),
        ("99", "unknown model or version '99'"),
    ):
        with pytest.raises(UserError, match=why):
            scene.compared(since=since)


def test_copies_are_one_decision(scene: Scene) -> None:
    """Three pictures each that look the same: 14 groups are put right, not 40 pictures."""
    looks = np.random.default_rng(1).integers(-(2**62), 2**62, (N // 3, 2)).tolist()
    prints = [
        {"content_id": content_id(key.encode()), "phash": looks[at // 3][0], "dhash": looks[at // 3][1], "entropy": 6.0}
        for at, key in enumerate(scene.truth)
    ]
    scene.commit("fingerprint", fingerprints=prints)
    scene.train("old", range(60))
    scene.train("new", range(20))
    found = scene.compared()
    assert (found.whole.n, found.whole.gained, found.whole.p) == pytest.approx((300, 40, 2 * 0.5**14))
    assert found.whole.interval.low < 0.08, "alone they say 0.097"


def test_the_command_prints_the_sentence_and_one_line_of_json(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.train("old", range(60))
    scene.train("new", range(20))
    assert command(["helped", "--lake", scene.lake.root]) == 0
    printed = capsys.readouterr()
    assert "helped: +13.3 points (9.7 to 17.3) on 300 pictures" in printed.out
    assert (
        "surely changed, of 2 groups (corrected over all comparisons):\n  helped  race A: +26.7 points" in printed.out
    )
    assert command(["helped", "--lake", scene.lake.root, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["overall"]["gained"] == 40
    assert told["groups"][0] == {"name": "race A"} | told["groups"][0]
    assert [one["name"] for one in told["classes"]] == CLASSES


def test_a_training_says_it_of_what_it_made_where_there_was_one_before(scene: Scene) -> None:
    scene.train("only", range(3))
    version = scene.lake.at().id
    assert helped.after(scene.lake, Settings(), version, ["only"]) == {}
    scene.train("next", range(3))
    told = helped.after(scene.lake, Settings(), scene.lake.at().id, ["next"])["next"]
    assert (told["before"], told["classes"], told["overall"]["n"]) == ("only", [], 300)
    strange = dataclasses.replace(Settings(), bias=BiasSettings(attributes="shoe"))
    told = helped.after(scene.lake, strange, scene.lake.at().id, ["next"])["next"]
    assert told["sentence"].startswith("no claim: unknown attribute in [bias] attributes 'shoe'")
    assert helped.after(scene.lake, Settings(), version, ["only"]) == {}, "what came later is no earlier self"
