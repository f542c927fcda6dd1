"""Answers label the pictures like them: what is written, kept, withdrawn, overridden and told."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.history.history import run_blame
from secondlook.jobs.history.revert import run_revert
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import amplify, batches, commit, margin
from secondlook.jobs.review.take import take
from secondlook.labeling.answers import Answer
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id

from .conftest import Fill

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SETTINGS = Settings(review=ReviewSettings(amplify_error=0.05))
CLASSES = ("cat", "dog")


def truth(n: int) -> str:
    return CLASSES[n % 2]


def key(n: int) -> str:
    return f"{n:04d}.png"


@pytest.fixture
def easy(lake: Lake, fill: Fill) -> dict[str, str]:
    """400 pictures without a label, whose embeddings tell cats from dogs, and a frozen model that made them."""
    ids = fill([(key(n), None, b"%d" % n) for n in range(400)], classes=CLASSES)
    embed(lake, 400)
    return ids


def embed(lake: Lake, count: int, **model: str) -> None:
    rng = np.random.default_rng(3)
    attempt = lake.attempt("train", model)
    facts = {
        "model": "m",
        "kind": "generalist",
        "backbone": "b",
        "classes": list(CLASSES),
        "embedder": "frozen",
    } | model
    attempt.append("models", rows("models", [facts]))
    vectors = rng.normal(size=(count, 6)) + np.array(
        [[4.0 if truth(n) == "cat" else -4.0] + [0] * 5 for n in range(count)]
    )
    attempt.append(
        "embeddings",
        rows(
            "embeddings",
            [
                {"content_id": content_id(b"%d" % n), "model": facts["embedder"], "vector": v.tolist()}
                for n, v in enumerate(vectors)
            ],
        ),
    )
    attempt.commit({})


def ask(
    lake: Lake, ids: dict[str, str], numbers: range, says: Callable[[int], str] = truth, strategy: str = "random"
) -> None:
    """A batch of these pictures, answered by ada and committed."""
    attempt = lake.attempt("review push", {"numbers": list(numbers), "strategy": strategy})
    name = f"batch-{attempt.seq}"
    task = {"batch": name, "strategy": strategy, "choices": list(CLASSES), "time": NOW}
    attempt.append("batches", rows("batches", [task | {"sample_id": ids[key(n)], "position": n} for n in numbers]))
    attempt.commit({})
    given = [answer("ada", ids[key(n)], says(n)) for n in numbers]
    take(lake, lake.at(), given, batch=name, outside="x", inputs={"n": name}, now=NOW)
    commit.run(lake, SETTINGS, now=NOW)


def answer(who: str, sample_id: str, says: str) -> Answer:
    return Answer(who, sample_id, "label", says, 1.0) if says in CLASSES else Answer(who, sample_id, says, None, 1.0)


def labels(lake: Lake) -> dict[str, str | None]:
    table = dataset.samples(lake, lake.at())
    return dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))


def test_answers_label_the_rest_with_all_evidence_once_and_can_be_taken_back(lake: Lake, easy: dict[str, str]) -> None:
    ask(lake, easy, range(200))
    before = labels(lake)
    planned = amplify.run(lake, SETTINGS, dry_run=True)
    assert planned["labeled"] > 190
    assert planned["version"] is None
    assert labels(lake) == before
    made = amplify.run(lake, SETTINGS, now=NOW)
    assert {name: made[name] for name in planned if name not in {"version", "batch"}} == {
        name: planned[name] for name in planned if name not in {"version", "batch"}
    }
    after = labels(lake)
    new = {name: label for name, label in after.items() if label != before[name]}
    assert len(new) == made["labeled"] == 200 - made["margin"]
    assert all(label == truth(int(name[:4])) for name, label in new.items())
    [event] = run_blame(lake, next(iter(new)))["events"]
    assert (event["source"], event["batch"], event["actor"]) == ("amplified", made["batch"], "amplify")
    assert event["evidence"]["answers"] == 200
    assert event["evidence"]["wrong"] == 0
    assert event["evidence"]["error_at_most"] <= event["evidence"]["bound"] == 0.05
    again = amplify.run(lake, SETTINGS)
    assert (again["labeled"], again["kept"], again["withdrawn"], again["version"]) == (0, made["labeled"], 0, None)
    run_revert(lake, made["batch"])
    assert labels(lake) == before


def test_a_later_answer_overrides_and_random_ones_tell_the_error(lake: Lake, easy: dict[str, str]) -> None:
    ask(lake, easy, range(200))
    amplify.run(lake, SETTINGS)
    told = amplify.told(lake, lake.at())
    assert told is not None
    assert (told["checked"], told["error"], told["interval"]) == (0, None, [0.0, 1.0])
    assert told["labels_per_answer"] == round(told["labels"] / 200, 2)
    before = labels(lake)
    checked = sum(before[key(n)] is not None for n in range(200, 230))
    assert checked > 25
    ask(lake, easy, range(200, 230), says=lambda n: "dog" if n == 200 else truth(n))
    ask(lake, easy, range(230, 240), says=lambda n: "dog", strategy="SL101")
    assert labels(lake)[key(200)] == "dog"
    told = amplify.told(lake, lake.at())
    assert told is not None
    assert (told["checked"], told["wrong"]) == (checked, 1)  # what was doubted says nothing of the rest
    assert told["interval"][0] < 1 / checked < told["interval"][1]


def test_labels_that_the_answers_no_longer_show_are_withdrawn(lake: Lake, easy: dict[str, str]) -> None:
    ask(lake, easy, range(160))
    first = amplify.run(lake, SETTINGS)
    assert first["labeled"] > 150
    labels_before = labels(lake)
    ask(lake, easy, range(160, 240), says=lambda n: "none of these")  # a quarter is neither
    second = amplify.run(lake, SETTINGS)
    assert (second["labeled"], second["kept"]) == (0, 0)
    assert second["withdrawn"] == sum(labels_before[key(n)] is not None for n in range(240, 400)) > 100
    assert all("needed" in one for one in second["by_class"].values())
    assert not [name for name, label in labels(lake).items() if label and int(name[:4]) >= 240]


def test_only_pictures_drawn_by_chance_test_a_threshold(lake: Lake, easy: dict[str, str]) -> None:
    ask(lake, easy, range(200), strategy="unlabeled")
    summary = amplify.run(lake, SETTINGS)
    assert (summary["labeled"], summary["random"]) == (0, 0)
    assert summary["by_class"]["cat"] == {
        "answers": 100, "labeled": 0, "kept": 0, "withdrawn": 0, "random": 0, "wrong": 0, "needed": 59,
    }  # fmt: skip


def test_given_labels_and_pictures_that_a_batch_asks_for_are_left_alone(lake: Lake, fill: Fill) -> None:
    ids = fill([(key(n), "cat" if n >= 390 else None, b"%d" % n) for n in range(400)], classes=CLASSES)
    embed(lake, 400)
    ask(lake, ids, range(200))
    attempt = lake.attempt("review push", {"open": True})
    attempt.append(
        "batches",
        rows(
            "batches", [{"batch": "b", "sample_id": ids[key(300)], "strategy": "random", "position": 0, "choices": []}]
        ),
    )
    attempt.commit({})
    amplify.run(lake, SETTINGS)
    after = labels(lake)
    assert after[key(300)] is None
    assert {after[key(n)] for n in range(390, 400)} == {"cat"}


def test_one_class_alone_and_all_together(lake: Lake, easy: dict[str, str]) -> None:
    ask(lake, easy, range(100))
    assert amplify.run(lake, SETTINGS)["labeled"] == 0  # 50 of each, 59 are needed
    cats = amplify.run(lake, SETTINGS, only="cat", error=0.1)
    assert set(cats["by_class"]) == {"cat"}
    assert {label for name, label in labels(lake).items() if int(name[:4]) >= 100} == {"cat", None}
    both = amplify.run(lake, SETTINGS, together=True, error=0.05)
    assert both["labeled"] + both["kept"] > 290
    with pytest.raises(UserError, match="unknown class 'cow'"):
        amplify.run(lake, SETTINGS, only="cow")


def test_the_margin_is_what_people_are_asked_next(lake: Lake, easy: dict[str, str]) -> None:
    with pytest.raises(UserError, match="for 10 pictures and more; there are 0"):
        margin.run_ask(lake, SETTINGS, 5)
    ask(lake, easy, range(60))
    left = margin.margin(lake, lake.at(), SETTINGS)
    assert {one.sample_id for one in left} == {easy[key(n)] for n in range(60, 400)}
    assert {one.pair for one in left} == {("cat", "dog")}
    assert [one.value for one in left] == sorted((one.value for one in left), reverse=True)
    made = margin.run_ask(lake, SETTINGS, 5)
    tasks = [row for row in lake.latest("batches", lake.at()).to_pylist() if row["batch"] == made["batch"]]
    assert {row["sample_id"] for row in tasks} == {one.sample_id for one in left[:5]}
    assert {(row["strategy"], tuple(row["options"]), tuple(row["choices"])) for row in tasks} == {
        ("margin", CLASSES, CLASSES)
    }
    assert margin.run_ask(lake, SETTINGS, 5)["batch"] != made["batch"]  # of others: nobody is asked twice


def test_what_was_amplified_is_checked_by_chance_and_that_says_nothing_of_thresholds(
    lake: Lake, easy: dict[str, str]
) -> None:
    assert margin.run_check(lake, 10)["batch"] is None
    ask(lake, easy, range(200))
    amplify.run(lake, SETTINGS)
    made = margin.run_check(lake, 20)
    tasks = [row for row in lake.latest("batches", lake.at()).to_pylist() if row["batch"] == made["batch"]]
    numbers = {sample: n for n, sample in ((n, easy[key(n)]) for n in range(400))}
    given = [
        answer("ada", row["sample_id"], "none of these" if n == 0 else truth(numbers[row["sample_id"]]))
        for n, row in enumerate(tasks)
    ]
    take(lake, lake.at(), given, batch=made["batch"], outside="x", inputs={}, now=NOW)
    told = amplify.told(lake, lake.at())
    assert told is not None
    assert (told["checked"], told["wrong"]) == (20, 1)
    assert amplify.run(lake, SETTINGS, dry_run=True)["random"] == 200
    assert push_random(lake) >= 150  # and the random share of any batch draws from them, too


def push_random(lake: Lake) -> int:
    """How many amplified labels a batch of random pictures asks for."""
    pushed = batches.run_push(lake, SETTINGS, budget=400, strategy="random")
    before = dict(
        zip(
            *(
                lake.latest("labels", lake.at(), ["sample_id", "source"])[name].to_pylist()
                for name in ("sample_id", "source")
            ),
            strict=True,
        )
    )
    tasks = [row for row in lake.latest("batches", lake.at()).to_pylist() if row["batch"] == pushed["batch"]]
    return sum(before.get(row["sample_id"]) == "amplified" for row in tasks if row["strategy"] == "random")


def test_a_model_that_was_trained_on_the_answers_can_not_vouch_for_them(lake: Lake, fill: Fill) -> None:
    ids = fill([(key(n), None, b"%d" % n) for n in range(400)], classes=CLASSES)
    ask(lake, ids, range(200))
    embed(lake, 400, embedder="m")
    attempt = lake.attempt("train", {"predictions": 1})
    said: list[dict[str, Any]] = [
        {
            "content_id": content_id(b"%d" % n),
            "model": "m",
            "classes": [0, 1],
            "probs": [0.5, 0.5],
            "fold": 0 if n < 200 else -1,
        }
        for n in range(400)
    ]
    attempt.append("predictions", rows("predictions", said))
    attempt.commit({})
    with pytest.raises(UserError, match="the model m was not trained on"):
        amplify.run(lake, SETTINGS)


def test_the_evidence_is_plain_json(lake: Lake, easy: dict[str, str]) -> None:
    ask(lake, easy, range(200))
    amplify.run(lake, SETTINGS)
    events = lake.read("labels", lake.at()).to_pylist()
    assert all(
        json.loads(event["evidence"])["confidence"] == 0.95 for event in events if event["source"] == "amplified"
    )


def test_the_command_says_what_is_sure_and_what_it_takes(
    lake: Lake, easy: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ask(lake, easy, range(200))

    def said(*options: str) -> str:
        assert command(["review", "amplify", "--lake", lake.root, *options]) == 0
        return capsys.readouterr().out

    assert "none is sure yet: cat (100 random answers, 0 differ), dog" in said("--dry-run")
    assert "299 or more, all right, show a bound of 1.00%" in said("--dry-run")
    assert "all together: sure from p = " in said("--error", "0.05", "--together", "--dry-run")
    summary = json.loads(said("--error", "0.05", "--json"))
    assert summary["labeled"] + summary["margin"] == 200
    assert said("--check", "3").startswith("batch-")
    assert said("--ask", "1").startswith("batch-")
    assert command(["review", "amplify", "--lake", lake.root, "--ask", "1", "--error", "0.1"]) == 2
