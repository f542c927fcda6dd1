"""What changed for a group between two versions of a lake: on made labels, findings and models, whose effect is known."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from secondlook.jobs.bias.change import change
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.comparison import Changed
from secondlook.pipeline.core.config import LintSettings, Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id
from tests.jobs.conftest import NOW

Fill = Callable[..., dict[str, str]]
FIXED = Settings(lint=LintSettings(mislabel_margin=0.5))
SIZES = {"A": 60, "B": 40}  # pictures of each race; of the first half of B the label is wrong


def pictures(**sizes: int) -> list[tuple[str, str, bytes, dict[str, Any]]]:
    return [
        (f"{race}/{i}.png", "cat", f"{race} {i}".encode(), {"attributes": [("race", race)]})
        for race, n in sizes.items()
        for i in range(n)
    ]


def truth(key: str) -> str:
    race, number = key.removesuffix(".png").split("/")
    return "dog" if race == "B" and int(number) < 20 else "cat"


def train(lake: Lake, name: str, says: Callable[[str], str], keys: list[str], doubts: Sequence[str] = ()) -> None:
    """A model that says this of pictures, and doubts the label `cat` of some."""
    attempt = lake.attempt("train", {"name": name})
    facts = {"kind": "generalist", "classes": ["cat", "dog"], "embedder": "e"}
    attempt.append("models", rows("models", [{"model": name} | facts]))
    said = [
        {"content_id": content_id(key.removesuffix(".png").replace("/", " ").encode()), "model": name, "fold": 0}
        | {"classes": [["cat", "dog"].index(says(key)), 1 - ["cat", "dog"].index(says(key))], "probs": [0.9, 0.1]}
        for key in keys
    ]
    attempt.append("predictions", rows("predictions", said))
    against = [
        {"content_id": content_id(key.removesuffix(".png").replace("/", " ").encode()), "model": name, "label": "cat"}
        | {"held_out": 0.9, "p_error": 0.9}
        for key in doubts
    ]
    attempt.append("evidence", rows("evidence", against))
    attempt.commit({})


def lint(lake: Lake, *findings: tuple[str, str], evidence: str = "{}") -> None:
    attempt = lake.attempt("lint", {})
    common = {"subject_kind": "sample", "key": "", "split": "", "message": "", "score": 0.9, "evidence": evidence}
    attempt.append("findings", rows("findings", [common | {"rule": r, "subject": s} for r, s in findings]))
    attempt.commit({})


def decide(lake: Lake, ids: dict[str, str], keys: list[str], adjudicated: bool = True) -> None:
    """People look at pictures, and say what they show."""
    mark = (
        '{"adjudicated": 3, "votes": [' + ", ".join(f'{{"annotator": "{who}", "answer": "%s"}}' for who in "abc") + "]}"
    )
    events = [
        {"sample_id": ids[key], "label": truth(key), "source": "review", "actor": "consensus", "time": NOW}
        | {"batch": "batch-1", "evidence": mark.replace("%s", truth(key)) if adjudicated else "{}"}
        for key in keys
    ]
    attempt = lake.attempt("review commit", {"n": len(keys)})
    attempt.append("labels", rows("labels", events))
    attempt.commit({})


def of(found: Sequence[Changed], measure: str, race: str) -> Changed:
    return next(one for one in found if one.measure == measure and one.group.values == (("race", race),))


@pytest.fixture
def cleaned(lake: Lake, fill: Fill) -> dict[str, str]:
    """Version 2 has the wrong labels, doubted; version 4 has them right, a new model, and nothing to doubt but one of A."""
    ids = fill(pictures(**SIZES))
    train(lake, "old", lambda key: "cat", list(ids), [*(f"B/{i}.png" for i in range(20)), "A/0.png"])
    decide(lake, ids, [f"B/{i}.png" for i in range(25)])
    train(lake, "new", truth, list(ids), ["A/1.png"])
    return ids


def test_cleaning_helped_the_group_whose_labels_were_wrong(lake: Lake, cleaned: dict[str, str]) -> None:
    found = change(lake, lake.at(2), lake.at(4), FIXED)
    doubted = of(found, "label errors", "B")
    assert (doubted.n, doubted.lost, doubted.gained) == (40, 20, 0)
    assert (doubted.before.value, doubted.after.value, doubted.difference.value) == (0.5, 0.0, -0.5)
    assert doubted.helped(0.05) is True
    other = of(found, "label errors", "A")
    assert (other.lost, other.gained, other.helped(0.05)) == (1, 1, None)
    wrong = of(found, "labels that people found wrong", "B")
    assert (wrong.n, wrong.lost, wrong.gained) == (40, 20, 0)
    sure = of(found, "wrong labels, verified", "B")
    assert (sure.n, sure.before.value, sure.after.value) == (25, 0.8, 0.0)
    right = of(found, "accuracy", "B")
    assert (right.before.value, right.after.value, right.gained) == (0.5, 1.0, 20)
    assert right.helped(0.05) is True
    assert of(found, "accuracy on verified labels", "B").n == 25
    missed = of(found, "false negatives: dog", "B")
    assert (missed.n, missed.before.value, missed.after.value) == (20, 1.0, 0.0)
    assert of(found, "false negatives: cat", "B").n == 20
    assert "share" not in {one.measure for one in found}, "the same pictures are there"
    assert all(one.adjusted >= one.p and one.paired for one in found)


def test_what_leaked_says_nothing_of_accuracy(lake: Lake, cleaned: dict[str, str]) -> None:
    lint(lake, ("SL203", cleaned["B/0.png"]))
    found = change(lake, lake.at(2), lake.at(5), FIXED)
    assert of(found, "accuracy", "B").n == 39


def test_copies_that_lint_found_are_no_independent_pictures(lake: Lake, cleaned: dict[str, str]) -> None:
    alone = of(change(lake, lake.at(2), lake.at(4), FIXED), "accuracy", "B")
    near = [("SL202", cleaned[f"B/{i}.png"]) for i in range(20)]
    lint(lake, *near, evidence=json.dumps({"kept": cleaned["B/0.png"]}))
    tied = of(change(lake, lake.at(2), lake.at(5), FIXED), "accuracy", "B")
    assert tied.difference.value == alone.difference.value
    assert alone.p == pytest.approx(2 * 0.5**20)
    assert tied.p == 1.0


def test_more_pictures_of_a_group_raise_its_share(lake: Lake, fill: Fill) -> None:
    fill(pictures(A=190, B=10))
    fill(pictures(B=60))
    found = change(lake, lake.at(1), lake.at(2), Settings())
    assert {one.measure for one in found} == {"share"}
    share = of(found, "share", "B")
    assert (share.before.value, share.after.value, share.gained, share.lost) == (10 / 200, 60 / 250, 50, 0)
    assert share.helped(0.05) is True
    assert of(found, "share", "A").helped(0.05) is False


def test_a_class_that_was_renamed_is_no_change(lake: Lake, fill: Fill) -> None:
    ids = fill(pictures(**SIZES))
    train(lake, "old", lambda key: "cat", list(ids))
    attempt = lake.attempt("classes rename", {})
    event = {"name": "cat", "event": "renamed", "into": "kitty", "actor": "me", "time": NOW}
    attempt.append("classes", rows("classes", [event]))
    attempt.commit({})
    train(lake, "new", lambda key: "cat", list(ids))
    found = change(lake, lake.at(2), lake.at(4), Settings())
    assert {(one.measure, one.before.value, one.after.value) for one in found} == {
        ("label errors", 0.0, 0.0),
        ("accuracy", 1.0, 1.0),
        ("false negatives: kitty", 0.0, 0.0),
    }


def test_nothing_changes_where_nothing_happened(lake: Lake, cleaned: dict[str, str]) -> None:
    attempt = lake.attempt("gold", {})
    attempt.append("gold", rows("gold", [{"sample_id": cleaned["A/0.png"], "label": "cat", "time": NOW}]))
    attempt.commit({})
    assert not change(lake, lake.at(4), lake.at(5), FIXED)


def test_a_change_goes_forward(lake: Lake, fill: Fill) -> None:
    fill(pictures(A=5))
    with pytest.raises(UserError, match="from an earlier version to a later one, got 1 and 1"):
        change(lake, lake.at(1), lake.at(1), Settings())
