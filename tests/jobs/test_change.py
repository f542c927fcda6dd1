"""What changed for a group between two versions of a lake: on made labels, findings and models, whose effect is known."""

from collections.abc import Callable
from typing import Any

import pytest

from secondlook.jobs.bias.change import STALE, change
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.comparison import Changed
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id
from tests.jobs.conftest import NOW

Fill = Callable[..., dict[str, str]]
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


def train(lake: Lake, name: str, says: Callable[[str], str], keys: list[str]) -> None:
    attempt = lake.attempt("train", {"name": name})
    facts = {"kind": "generalist", "classes": ["cat", "dog"], "embedder": "e"}
    attempt.append("models", rows("models", [{"model": name} | facts]))
    said = [
        {"content_id": content_id(key.removesuffix(".png").replace("/", " ").encode()), "model": name, "fold": 0}
        | {"classes": [["cat", "dog"].index(says(key)), 1 - ["cat", "dog"].index(says(key))], "probs": [0.9, 0.1]}
        for key in keys
    ]
    attempt.append("predictions", rows("predictions", said))
    attempt.commit({})


def lint(lake: Lake, number: int, *findings: tuple[str, str]) -> None:
    attempt = lake.attempt("lint", {"number": number})
    common = {"subject_kind": "sample", "key": "", "split": "", "message": "", "score": 0.9, "evidence": "{}"}
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


def of(found: Any, measure: str, race: str) -> Changed:
    return next(one for one in found if one.measure == measure and one.group.values == (("race", race),))


@pytest.fixture
def cleaned(lake: Lake, fill: Fill) -> dict[str, str]:
    """Version 3 has the wrong labels, doubted; version 6 has them right, a new model, and nothing to doubt but one of A."""
    ids = fill(pictures(**SIZES))
    train(lake, "old", lambda key: "cat", list(ids))
    lint(lake, 1, *[("SL101", ids[f"B/{i}.png"]) for i in range(20)], ("SL101", ids["A/0.png"]))
    decide(lake, ids, [f"B/{i}.png" for i in range(25)])
    train(lake, "new", truth, list(ids))
    lint(lake, 2, ("SL101", ids["A/1.png"]))
    return ids


def test_cleaning_helped_the_group_whose_labels_were_wrong(lake: Lake, cleaned: dict[str, str]) -> None:
    found = change(lake, lake.at(3), lake.at(6), Settings())
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
    assert "share" not in {one.measure for one in found}, "the same pictures are there"
    assert all(one.adjusted >= one.p and one.paired for one in found)


def test_what_leaked_or_was_waived_is_not_counted(lake: Lake, cleaned: dict[str, str]) -> None:
    attempt = lake.attempt("lint", {"number": 3})
    common = {"subject_kind": "sample", "key": "", "split": "", "message": "", "score": 0.9, "evidence": "{}"}
    said = [{"rule": "SL203", "subject": cleaned["B/0.png"]}]
    said += [{"rule": "SL101", "subject": cleaned[f"A/{i}.png"], "waiver": "a drawing"} for i in range(9)]
    attempt.append("findings", rows("findings", [common | one for one in said]))
    attempt.commit({})
    found = change(lake, lake.at(3), lake.at(7), Settings())
    assert of(found, "accuracy", "B").n == 39
    assert of(found, "label errors", "A").after.value == 0.0


def test_a_lint_that_has_not_seen_the_new_labels_is_said_to_be_old(lake: Lake, cleaned: dict[str, str]) -> None:
    decide(lake, cleaned, ["A/5.png"])
    found = change(lake, lake.at(3), lake.at(7), Settings())
    assert of(found, "label errors", "A").note == STALE.format(7)


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
    assert {(one.before.value, one.after.value) for one in found} == {(1.0, 1.0)}


def test_nothing_changes_where_nothing_happened(lake: Lake, cleaned: dict[str, str]) -> None:
    attempt = lake.attempt("gold", {})
    attempt.append("gold", rows("gold", [{"sample_id": cleaned["A/0.png"], "label": "cat", "time": NOW}]))
    attempt.commit({})
    assert not change(lake, lake.at(6), lake.at(7), Settings())


def test_a_change_goes_forward(lake: Lake, fill: Fill) -> None:
    fill(pictures(A=5))
    with pytest.raises(UserError, match="from an earlier version to a later one, got 1 and 1"):
        change(lake, lake.at(1), lake.at(1), Settings())
