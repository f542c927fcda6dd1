"""Gold, pausing, verified splits and what status says of people, on small lakes."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.history import history, revert
from secondlook.jobs.lake.gold import gold as gold_of
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lake.verified import verified
from secondlook.jobs.lint import annotators as lint_annotators
from secondlook.jobs.people import gold, human, pausing, roster
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.people.compare import on_verified
from secondlook.jobs.people.given import given, gold_answers
from secondlook.jobs.people.pace import speeds
from secondlook.jobs.report.facts import gather
from secondlook.jobs.review import answers_file, commit, status, verify
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.report.page import render

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Fill = Callable[..., dict[str, str]]
CLASSES = ("cat", "dog")


def pictures(n: int, split: str = "") -> list[tuple[Any, ...]]:
    return [(f"p/{i:03d}.png", CLASSES[i % 2], b"%d" % i, {"split": split}) for i in range(n)]


def truth(i: int) -> str:
    return CLASSES[i % 2]


def other(i: int) -> str:
    return CLASSES[1 - i % 2]


def csv(folder: Path, name: str, lines: Sequence[str], head: str = "annotator,key,label,seconds") -> Path:
    file = folder / name
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return file


def pull(lake: Lake, folder: Path, name: str, lines: Sequence[str], **options: Any) -> dict[str, Any]:
    return answers_file.run_pull(lake, Settings(), csv(folder, name, lines), **options)


def supply(lake: Lake, folder: Path, n: int) -> None:
    lines = [f"p/{i:03d}.png,{truth(i)}" for i in range(n)]
    gold.run_supplied(lake, csv(folder, "gold.csv", lines, "key,label"), now=NOW)


def says(who: str, wrong: set[int], n: int, seconds: float = 3) -> list[str]:
    return [f"{who},p/{i:03d}.png,{other(i) if i in wrong else truth(i)},{seconds}" for i in range(n)]


# Gold


def test_gold_is_supplied_changed_and_withdrawn_and_the_same_file_twice_adds_nothing(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    ids = fill(pictures(4))
    file = csv(tmp_path, "g.csv", ["p/000.png,cat", "001.png,dog"], "key,label")
    assert gold.run_supplied(lake, file)["added"] == 2
    assert gold.run_supplied(lake, file) == {"added": 0, "changed": 0, "known": 2, "version": None}
    assert gold_of(lake, lake.at()) == {ids["p/000.png"]: "cat", ids["p/001.png"]: "dog"}
    before = lake.at()
    assert gold.run_supplied(lake, csv(tmp_path, "g.csv", ["p/000.png,dog"], "key,label"))["changed"] == 1
    assert gold.run_withdrawn(lake, ["p/001.png"], "two things in it")["withdrawn"] == 1
    assert gold_of(lake, lake.at()) == {ids["p/000.png"]: "dog"}
    assert len(gold_of(lake, before)) == 2
    with pytest.raises(UserError, match=r"'p/001.png' is not gold"):
        gold.run_withdrawn(lake, ["p/001.png"])


@pytest.mark.parametrize(
    ("head", "line", "sentence"),
    [
        ("key,label", "p/000.png,cta", "line 2: unknown class 'cta', did you mean 'cat'"),
        ("key,label", "none.png,cat", "line 2: no picture has the key 'none.png'"),
        ("key,label", "p/000.png,", "line 2: label is empty"),
        ("key,label", "p/000.png", "line 2: 1 values where the header has 2"),
        ("key,label", "p/000.png,cat\np/000.png,dog", "line 3: this picture is 'cat' in an earlier line"),
        ("key,class", "p/000.png,cat", "label is missing"),
    ],
)
def test_a_file_of_gold_is_read_strictly(
    lake: Lake, fill: Fill, tmp_path: Path, head: str, line: str, sentence: str
) -> None:
    fill(pictures(2))
    with pytest.raises(UserError, match=sentence):
        gold.run_supplied(lake, csv(tmp_path, "g.csv", [line], head))
    assert gold_of(lake, lake.at()) == {}


def test_unanimous_answers_of_three_make_gold_and_its_makers_are_not_judged_by_it(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    ids = fill(pictures(3))
    lines = [line for who in ("ann", "bob", "cleo") for line in says(who, {1} if who == "bob" else set(), 2)]
    pull(lake, tmp_path, "a.csv", [*lines, "ann,p/002.png,cat,1", "bob,p/002.png,cat,1"])
    assert gold.run_built(lake)["added"] == 1
    assert gold_of(lake, lake.at()) == {ids["p/000.png"]: "cat"}
    assert gold.run_built(lake)["added"] == 0
    pull(lake, tmp_path, "b.csv", ["dan,p/000.png,dog,1", "ann,p/000.png,dog,1"])
    told = gold_answers(lake, lake.at(), given(lake, lake.at()))
    assert [(one.annotator, one.wrong) for one in told if one.annotator != "ann"] == [("dan", True)]


def test_gold_that_was_withdrawn_is_not_built_again(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(1))
    pull(lake, tmp_path, "a.csv", [line for who in ("ann", "bob", "cleo") for line in says(who, set(), 1)])
    assert gold.run_built(lake)["added"] == 1
    gold.run_withdrawn(lake, ["p/000.png"])
    assert gold.run_built(lake)["added"] == 0


def test_gold_of_a_class_that_is_merged_or_retired_follows_or_goes(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    from secondlook.jobs.history import class_changes

    ids = fill([*pictures(2), ("w.png", "wolf", b"w")])
    supply(lake, tmp_path, 2)
    gold.run_supplied(lake, csv(tmp_path, "w.csv", ["w.png,wolf"], "key,label"))
    class_changes.run(lake, "merged", "wolf", into="dog", reason="one", author="me")
    assert gold_of(lake, lake.at())[ids["w.png"]] == "dog"
    class_changes.run(lake, "retired", "cat", reason="none", author="me")
    assert set(gold_of(lake, lake.at())) == {ids["w.png"], ids["p/001.png"]}


# Pausing


def test_who_fails_gold_is_paused_at_pull_once_and_begins_afresh_when_resumed(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    fill(pictures(40))
    supply(lake, tmp_path, 20)
    lines = [*says("ann", {3}, 20), *says("bob", set(range(20)), 20), *says("cleo", set(), 20)]
    assert pull(lake, tmp_path, "a.csv", lines, now=NOW)["paused"] == ["bob"]
    assert paused(lake, lake.at()) == {"bob"}
    event = next(iter(lake.latest("annotators", lake.at()).to_pylist()))
    assert (event["actor"], event["time"]) == ("gold", NOW)
    assert json.loads(event["evidence"])["wrong"] == 20
    head = lake.at().id
    assert pausing.pause_failing(lake, Settings()) == []
    assert lake.at().id == head, "pausing twice changes nothing"
    roster.run_change(lake, "bob", "resumed", "the gold was mirrored", author="me")
    assert paused(lake, lake.at()) == frozenset()
    assert pausing.pause_failing(lake, Settings()) == [], "answers from before do not count again"


def test_a_hard_question_is_no_fault_and_gold_that_most_contradict_tells_nothing(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    fill(pictures(40))
    supply(lake, tmp_path, 12)
    people = [f"p{n}" for n in range(6)]
    lines = [line for who in people for line in says(who, {0, 1, 2, 3, 4}, 12)]
    assert pull(lake, tmp_path, "a.csv", lines)["paused"] == []
    assert [one["doubtful"] for one in gold.run_list(lake)["gold"]] == [True] * 5 + [False] * 7


def test_unsure_is_neither_right_nor_wrong_and_none_of_these_is_wrong(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(3))
    supply(lake, tmp_path, 3)
    lines = ["ann,p/000.png,unsure,1", "ann,p/001.png,bad picture,1", "ann,p/002.png,none of these,1"]
    pull(lake, tmp_path, "a.csv", lines)
    told = gold_answers(lake, lake.at(), given(lake, lake.at()))
    assert sorted(str(one.wrong) for one in told) == ["None", "None", "True"]


def test_acceptable_below_unacceptable_is_asked_for(lake: Lake) -> None:
    settings = Settings(review=ReviewSettings(gold_acceptable=0.4, gold_unacceptable=0.3))
    with pytest.raises(UserError, match=r"gold_acceptable is below gold_unacceptable, got 0.4 and 0.3"):
        pausing.rates(settings)


def test_a_paused_person_counts_for_nothing_at_commit(lake: Lake, fill: Fill, tmp_path: Path, labels_of: Any) -> None:
    fill(pictures(30))
    supply(lake, tmp_path, 20)
    pull(lake, tmp_path, "a.csv", [*says("bob", set(range(20)), 20), "bob,p/025.png,cat,1"])
    assert paused(lake, lake.at()) == {"bob"}
    commit.run(lake, Settings(), with_model=False)
    assert labels_of()["p/025.png"] == "dog"


def test_the_roster_knows_answers_gold_agreement_and_who_is_paused(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(10))
    supply(lake, tmp_path, 4)
    pull(lake, tmp_path, "a.csv", [*says("ann", {0}, 10, 4), *says("bob", set(), 5, 2)])
    roster.run_change(lake, "bob", "paused", "left us", author="me")
    ann, bob = roster.run_roster(lake, Settings())
    assert (ann["answers"], ann["seconds"], ann["gold"]["k"], ann["gold"]["n"]) == (10, 4.0, 3, 4)
    assert ann["agreement"]["n"] == 0, "who is paused is nobody to agree with"
    assert (bob["paused"], bob["why"], bob["agreement"]["share"]) == (True, "left us", 0.8)
    assert "PAUSED: left us" in "; ".join(roster.told(bob))


@pytest.mark.parametrize(
    ("name", "event", "reason", "sentence"),
    [
        ("bob", "paused", " ", "--pause needs --reason"),
        ("bbo", "paused", "why", "unknown annotator 'bbo', did you mean 'bob'"),
        ("bob", "resumed", "why", "'bob' is not paused"),
    ],
)
def test_pausing_by_hand_is_strict(
    lake: Lake, fill: Fill, tmp_path: Path, name: str, event: str, reason: str, sentence: str
) -> None:
    fill(pictures(1))
    pull(lake, tmp_path, "a.csv", ["bob,p/000.png,cat,1"])
    with pytest.raises(UserError, match=sentence):
        roster.run_change(lake, name, event, reason, author="me")


# Lint


def test_lint_names_who_fails_gold_and_who_is_too_fast(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(60))
    supply(lake, tmp_path, 20)
    lines = [*says("bob", set(range(20)), 20, 4), *says("quick", set(range(30)), 60, 0.9)]
    lines += [*says("ann", set(), 60, 5), *says("cleo", set(), 60, 6), *says("swift", set(), 60, 0.8)]
    pull(lake, tmp_path, "a.csv", lines)
    said = lint_annotators.audit(lake, lake.at(), Settings())
    found = {(row["rule"], row["subject"]) for row in said.findings.to_pylist()}
    assert ("SL601", "bob") in found
    assert ("SL602", "quick") in found
    assert ("SL602", "swift") not in found, "fast and right is fine"
    assert {row["subject_kind"] for row in said.findings.to_pylist()} == {"annotator"}


def test_lint_says_what_it_could_not_look_at(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(2))
    assert "nobody has answered" in lint_annotators.audit(lake, lake.at(), Settings()).notes["SL601"]
    pull(lake, tmp_path, "a.csv", ["ann,p/000.png,cat,"])
    notes = lint_annotators.audit(lake, lake.at(), Settings()).notes
    assert "gold question" in notes["SL601"]
    assert notes["SL602"] == "no answer has a time"


# A test split that can be trusted


def ask(lake: Lake, **options: Any) -> dict[str, Any]:
    return verify.run_verify(lake, Settings(), "test", now=NOW, **options)


def test_a_split_is_asked_until_three_agree_and_then_is_verified(
    lake: Lake, fill: Fill, tmp_path: Path, labels_of: Any
) -> None:
    ids = fill([*pictures(4, "test"), ("copy.png", "cat", b"0"), ("t.png", "cat", b"t", {"split": "train"})])
    made = ask(lake)
    assert (made["asked"], made["strategies"]) == (4, {"verify": 4})
    asked = lake.latest("batches", lake.at()).to_pylist()
    assert {row["people"] for row in asked} == {3}
    assert ask(lake)["asked"] == 0, "what waits for answers is not asked twice"
    assert ask(lake)["verify"]["waiting"] == 4
    three = [line for who in ("ann", "bob") for line in says(who, {1}, 4)] + says("cleo", {1, 2}, 4)
    pull(lake, tmp_path, "a.csv", three[:-1])  # cleo has not answered the last one
    assert verified(lake, lake.at()) == set()
    assert verify.counted(verify.progress(lake, lake.at(), Settings(), "test"))["agreed"] == 3
    assert commit.run(lake, Settings(), with_model=False)["verified"] == 3
    assert "3 verified" in history.run_log(lake)[0]["change"]
    sure = verified(lake, lake.at())
    assert sure == {ids[key] for key in ("p/000.png", "p/001.png", "p/002.png", "copy.png")}
    assert labels_of()["p/001.png"] == "cat", "what three people say is the label"
    assert ask(lake, again=True)["asked"] == 1


def test_the_disputed_are_asked_of_more_people_and_given_up_in_the_end(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("p/000.png", "cat", b"0", {"split": "test"})], classes=["cat", "dog", "fox", "wolf"])
    ask(lake)
    labels = ["cat", "dog", "fox", "wolf", "cat", "dog", "fox"]
    for n in (3, 5):
        lines = [f"p{i},p/000.png,{label},2" for i, label in enumerate(labels[:n])]
        pull(lake, tmp_path, f"{n}.csv", lines)
        assert ask(lake)["asked"] == 1
        assert max(row["people"] for row in lake.latest("batches", lake.at()).to_pylist()[-1:]) == verify.MORE
    pull(lake, tmp_path, "7.csv", [f"p{i},p/000.png,{label},2" for i, label in enumerate(labels)])
    assert ask(lake)["asked"] == 0
    assert ask(lake)["verify"]["given up"] == 1


def test_a_sample_of_a_split_grows_and_a_label_changed_by_hand_is_verified_no_more(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    ids = fill(pictures(10, "test"))
    ask(lake, budget=3)
    first = set(lake.latest("batches", lake.at())["sample_id"].to_pylist())
    ask(lake, budget=3)
    both = set(lake.latest("batches", lake.at())["sample_id"].to_pylist())
    assert (len(first), len(both), first < both) == (3, 6, True)
    keys = {sample_id: key for key, sample_id in ids.items()}
    one = sorted(first)[0]
    pull(lake, tmp_path, "a.csv", [f"{who},{keys[one]},cat,1" for who in ("ann", "bob", "cleo")])
    made = commit.run(lake, Settings(), with_model=False)
    assert verified(lake, lake.at()) == {one}
    event = {"sample_id": one, "label": "dog", "source": "ingest", "actor": "me", "time": NOW}
    attempt = lake.attempt("ingest", {"by": "hand"})
    attempt.append("labels", rows("labels", [event]))
    attempt.commit({})
    assert verified(lake, lake.at()) == set()
    assert verified(lake, lake.at(made["version"])) == {one}
    assert [p.state for p in verify.progress(lake, lake.at(), Settings(), "test") if p.sample_id == one] == ["changed"]


def test_a_reverted_verification_is_none(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(1, "test"))
    batch = ask(lake)["batch"]
    pull(lake, tmp_path, "a.csv", [f"{who},p/000.png,cat,1" for who in ("ann", "bob", "cleo")])
    commit.run(lake, Settings(), with_model=False)
    assert len(verified(lake, lake.at())) == 1
    revert.run_revert(lake, batch)
    assert verified(lake, lake.at()) == set()


def test_two_who_are_left_of_three_verify_nothing_until_a_third_answers(
    lake: Lake, fill: Fill, tmp_path: Path, labels_of: Any
) -> None:
    ids = fill(pictures(2, "test"))
    predict(lake, {"0": "cat", "1": "dog"})
    ask(lake)
    three = [line for who in ("ann", "bob", "cleo") for line in says(who, set(), 2)]
    pull(lake, tmp_path, "a.csv", [*three, "dan,p/001.png,dog,1"])
    commit.run(lake, Settings())
    assert len(verified(lake, lake.at())) == 2
    roster.run_change(lake, "cleo", "paused", "errs", author="me")
    assert verified(lake, lake.at()) == {ids["p/001.png"]}, "three are left of four"
    commit.run(lake, Settings(), again=True)
    assert labels_of()["p/000.png"] == "cat", "two and the model decide it still"
    assert verified(lake, lake.at()) == {ids["p/001.png"]}, "but the model has a voice in that"
    assert ask(lake, again=True)["asked"] == 1
    pull(lake, tmp_path, "b.csv", ["dan,p/000.png,cat,1"])
    assert commit.run(lake, Settings())["verified"] == 1
    assert len(verified(lake, lake.at())) == 2


def test_who_is_resumed_verifies_again(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(1, "test"))
    predict(lake, {"0": "cat"})
    ask(lake)
    pull(lake, tmp_path, "a.csv", [f"{who},p/000.png,cat,1" for who in ("ann", "bob", "cleo")])
    commit.run(lake, Settings())
    for event, sure in (("paused", 0), ("resumed", 1), ("paused", 0)):
        roster.run_change(lake, "cleo", event, "why", author="me")
        assert len(verified(lake, lake.at())) == sure
    commit.run(lake, Settings(), again=True)
    roster.run_change(lake, "cleo", "resumed", "why", author="me")
    assert verified(lake, lake.at()) == set(), "the decision that holds is of two people and the model"
    commit.run(lake, Settings(), again=True)
    assert len(verified(lake, lake.at())) == 1


def test_an_unknown_split_is_one_sentence(lake: Lake, fill: Fill) -> None:
    fill(pictures(2, "test"))
    with pytest.raises(UserError, match="unknown split 'tset', did you mean 'test'"):
        verify.run_verify(lake, Settings(), "tset")


# What status says


def test_seconds_are_learned_by_strategy_and_deleted_answers_are_not(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(60, "test"))
    assert speeds(lake, lake.at(), default=7.0).overall == 7.0
    ask(lake)
    pull(lake, tmp_path, "a.csv", says("ann", set(), 60, 2))
    told = speeds(lake, lake.at(), default=7.0)
    assert told.answers == 60
    assert told.of("verify") < told.of("never seen") < 7.0
    shown = status.everything(lake, Settings(review=ReviewSettings(seconds_per_label=60.0)))
    assert (shown["seconds"]["mean"], shown["seconds"]["interval"]) == (2.0, [2.0, 2.0]), "no interval without its mean"
    assert any(line.startswith("an answer takes 2.0 s (2.0 to 2.0), from 60 answers") for line in status.lines(shown))
    delete(lake, "p/000.png")
    assert speeds(lake, lake.at()).answers == len(given(lake, lake.at())) == 59


def delete(lake: Lake, key: str) -> None:
    """All answers for a picture are deleted in the tool."""
    samples = lake.latest("samples", lake.at(), ["sample_id", "key"]).to_pylist()
    mine = {row["sample_id"] for row in samples if row["key"] == key}
    held = [row for row in lake.latest("annotations", lake.at()).to_pylist() if row["sample_id"] in mine]
    attempt = lake.attempt("review pull", {"delete": key})
    attempt.append("annotations", rows("annotations", [row | {"state": "deleted"} for row in held]))
    attempt.commit({})


def test_people_are_compared_with_each_other_and_with_gold_beside_the_model(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    fill(pictures(80, "test"))
    assert human.human_error(lake, lake.at(), Settings()) is None
    ask(lake)
    rng = np.random.default_rng(0)
    people = {who: set(np.flatnonzero(rng.random(80) < 0.1).tolist()) for who in ("ann", "bob", "cleo")}
    lines = [line for who, wrong in people.items() for line in says(who, wrong, 80, 3 if who == "ann" else 8)]
    pull(lake, tmp_path, "a.csv", lines)
    supply(lake, tmp_path, 40)
    told = human.human_error(lake, lake.at(), Settings())
    assert told is not None
    true = sum(len(wrong) for wrong in people.values()) / 240
    for source in ("gold", "agreement"):
        low, high = told[source]["interval"]
        assert low <= true <= high
        assert abs(told[source]["value"] - true) < 0.06
    assert told["model"] is None
    assert any("a person is wrong on" in line for line in human.told(told))


def predict(lake: Lake, said: dict[str, str]) -> None:
    """A model that says these classes of contents, out of sample."""
    from secondlook.pipeline.core.identity import content_id

    attempt = lake.attempt("train", {"said": said})
    model = {
        "model": "m",
        "kind": "generalist",
        "backbone": "none",
        "classes": list(CLASSES),
        "path": "",
        "embedder": "m",
    }
    attempt.append("models", rows("models", [model | {"settings": "{}", "metrics": "{}"}]))
    predictions = [
        {
            "content_id": content_id(data.encode()),
            "model": "m",
            "classes": [at, 1 - at],
            "probs": [0.9, 0.1],
            "fold": -1,
        }
        for data, label in said.items()
        for at in (CLASSES.index(label),)
    ]
    attempt.append("predictions", rows("predictions", predictions))
    attempt.commit({})


def test_models_are_compared_on_verified_pictures_by_the_labels_of_now(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(pictures(40, "test"))
    predict(lake, {str(i): truth(i) if i < 30 else other(i) for i in range(40) if i != 5})
    assert on_verified(lake, lake.at()) == {}
    ask(lake)
    lines = [line for who in ("ann", "bob", "cleo") for line in says(who, {0}, 38)]  # p/000 is a dog to all of them
    pull(lake, tmp_path, "a.csv", lines)
    commit.run(lake, Settings(), with_model=False)
    found = on_verified(lake, lake.at())["test"]
    assert (found.k, found.n) == (28, 37)
    told = human.human_error(lake, lake.at(), Settings())
    assert told is not None
    assert (told["model"]["wrong"], told["model"]["n"]) == (9, 37)
    page = render(gather(lake, lake.at(), Settings(), thumbnails=0))
    assert "three people, or an expert, agreed on" in page
    assert "one person’s answer is wrong, by what others answered" in page
    lines_of_status = list(status.lines(status.everything(lake, Settings())))
    assert any(
        "38 of 40 of split test; the newest model is right on 75.7% of 37 of them" in line for line in lines_of_status
    )


def test_gold_is_not_built_where_the_model_is_sure_of_another_class(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill(pictures(2))
    predict(lake, {"0": "dog", "1": "dog"})
    pull(lake, tmp_path, "a.csv", [line for who in ("ann", "bob", "cleo") for line in says(who, set(), 2)])
    assert gold.run_built(lake)["disputed"] == 1
    assert gold_of(lake, lake.at()) == {ids["p/001.png"]: "dog"}


def test_status_says_go_on_while_labels_are_fixed_and_stop_when_they_are_not(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    fill(pictures(120))
    lines = [f"ann,p/{i:03d}.png,{other(i) if i % 3 == 0 else truth(i)},10" for i in range(120)]
    pull(lake, tmp_path, "w.csv", lines)
    assert status.everything(lake, Settings())["worth"]["stop"] is None, "nothing is decided yet"
    commit.run(lake, Settings(), with_model=False)
    found = status.everything(lake, Settings())["worth"]
    assert (found["fixed"], round(found["hours"], 3)) == (40, 0.333)
    low, high = found["per_hour"]["interval"]
    assert low < 120 < high
    assert found["stop"] is False
    rich = Settings(review=ReviewSettings(worth_per_label=0.1, price_per_hour=20.0))
    told = status.everything(lake, rich)
    assert told["worth"]["stop"] is True
    assert any(line.startswith("stop: the next hour is expected to fix") for line in status.lines(told))
    dear = Settings(review=ReviewSettings(least_fixed=5000.0))
    assert status.everything(lake, dear)["worth"]["stop"] is True


def test_fixed_labels_count_copies_once_decided_and_until_reverted(
    lake: Lake, fill: Fill, tmp_path: Path, labels_of: Any
) -> None:
    fill([("a.png", "cat", b"1"), ("copy.png", "cat", b"1"), ("b.png", "dog", b"2"), ("c.png", None, b"3")])
    lines = ["ann,a.png,dog,1800", "ann,b.png,dog,1200", "ann,c.png,cat,600"]
    pull(lake, tmp_path, "a.csv", lines)
    commit.run(lake, Settings(), with_model=False)
    assert labels_of()["copy.png"] == "dog"
    pull(lake, tmp_path, "b.csv", ["bob,b.png,cat,9000"])  # waits for a decision

    def brought() -> tuple[int, float]:
        told = status.everything(lake, Settings())["worth"]
        return told["fixed"], told["hours"]

    assert brought() == (3, 1.0)
    revert.run_revert(lake, "a")
    assert brought() == (0, 1.0)


def test_an_hour_is_expected_to_fix_no_more_than_is_left_and_less_once_work_is_undone(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    fill([*pictures(120), ("none.png", None, b"none")])
    predict(lake, {str(i): other(i) if i % 12 == 1 else truth(i) for i in range(120)})
    lines = [f"ann,p/{i:03d}.png,{other(i) if i % 12 == 0 else truth(i)},3" for i in range(120)]
    for n, part in enumerate((lines[:60], lines[60:])):
        pull(lake, tmp_path, f"w{n}.csv", part)
        commit.run(lake, Settings(), with_model=False)

    def told() -> dict[str, Any]:
        return dict(status.everything(lake, Settings())["worth"])

    found = told()
    assert found["fixed"] == 10
    left = found["errors_left"]["value"] + 1  # one picture has no label
    assert found["unlabeled"] == 1
    assert found["all_of_it"] is True
    assert found["next_hour"]["value"] == left < found["per_hour"]["value"]
    assert found["next_hour"]["interval"][1] <= left
    last = list(status.lines(status.everything(lake, Settings())))[-1]
    assert "all that is left, a guess from 6 minutes of work" in last
    for word in ("w0", "w1"):
        revert.run_revert(lake, word)
        after = told()
        assert after["next_hour"] is None or after["next_hour"]["value"] <= after["errors_left"]["value"] + 1
    assert (after["fixed"], after["next_hour"], after["stop"]) == (0, None, None), "nothing is left to go by"


def test_time_that_measures_and_time_that_waits_is_said(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([*pictures(30, "test"), *((f"q/{i}.png", "cat", b"q%d" % i) for i in range(30))])
    ask(lake)
    pull(lake, tmp_path, "v.csv", says("ann", set(), 30, 12))
    pull(lake, tmp_path, "w.csv", [f"bob,q/{i}.png,{'dog' if i % 3 else 'cat'},24" for i in range(30)])
    commit.run(lake, Settings(), with_model=False)
    pull(lake, tmp_path, "late.csv", [f"cleo,q/{i}.png,cat,36" for i in range(30)])
    told = status.everything(lake, Settings())
    assert told["worth"]["hours"] == 0.2
    assert told["worth"]["hours_left_out"] == {"measuring": 0.1, "waiting": 0.3}
    shown = "20 labels fixed in 0.2 hours of people's time (without 0.1 of audits and verifications and 0.3 that wait for a commit): "
    assert any(line.startswith(shown) for line in status.lines(told))


def test_what_is_not_decided_any_more_is_neither_fixed_nor_decided(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([*pictures(30), ("copy.png", "cat", b"0")])
    pull(lake, tmp_path, "w.csv", says("eve", {0, 1, 2, 3, 4}, 10, 60))
    pull(lake, tmp_path, "x.csv", says("ann", {12}, 20, 60)[10:])
    commit.run(lake, Settings(), with_model=False)

    def told() -> tuple[int, list[tuple[int, int]]]:
        found = status.everything(lake, Settings())
        return found["worth"]["fixed"], [(one["decided"], one["reverted"]) for one in found["batches"]]

    assert told() == (7, [(10, 0), (10, 0)]), "five, a copy and one"
    roster.run_change(lake, "eve", "paused", "errs", author="me")
    summary = commit.run(lake, Settings(), with_model=False, again=True)
    assert summary["restored"] == 11
    assert told() == (1, [(0, 0), (10, 0)])
    roster.run_change(lake, "eve", "resumed", "not her", author="me")
    commit.run(lake, Settings(), with_model=False, again=True)
    assert told() == (7, [(10, 0), (10, 0)])


def test_a_label_that_answers_change_back_was_not_fixed_twice(
    lake: Lake, fill: Fill, tmp_path: Path, labels_of: Any
) -> None:
    fill(pictures(1), classes=CLASSES)
    seen = []
    for n, (who, label) in enumerate([("ann", "dog"), ("bob", "cat"), ("cleo", "cat")]):
        pull(lake, tmp_path, f"{n}.csv", [f"{who},p/000.png,{label},60"])
        commit.run(lake, Settings(), with_model=False)
        seen.append((labels_of()["p/000.png"], status.everything(lake, Settings())["worth"]["fixed"]))
    assert (seen[0], seen[-1]) == (("dog", 1), ("cat", 0))


def test_the_commands_list_change_and_complain_in_a_sentence(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(pictures(4))
    at = ["--lake", lake.root]

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = command([*words, *at])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    assert "no gold yet" in call("review", "gold")[1]
    assert "nobody has answered yet" in call("review", "annotators")[1]
    file = str(csv(tmp_path, "g.csv", ["p/000.png,cat"], "key,label"))
    code, out, _ = call("review", "gold", "--from", file, "--json")
    assert (code, json.loads(out)["added"]) == (0, 1)
    assert call("review", "gold")[1].startswith("p/000.png  cat  supplied, not asked yet")
    assert call("review", "gold", "--from", file, "--build")[0] == 2
    assert call("review", "gold", "--withdraw", "p/000.png", "--reason", "odd")[1] == "1 withdrawn\n"
    pull(lake, tmp_path, "a.csv", ["a[bold]b,p/000.png,cat,2"])
    assert call("review", "annotators")[1].startswith("a[bold]b: 1 answers, 2.0 s each")
    assert call("review", "annotators", "--pause", "a[bold]b")[0] == 2
    assert call("review", "annotators", "--pause", "a[bold]b", "--reason", "x", "--author", "me")[0] == 0
    code, out, _ = call("review", "status")
    assert code == 0
    assert "PAUSED: x" in out
    assert "an answer takes" in out
    code, out, _ = call("review", "status", "--json")
    assert set(json.loads(out)) >= {"batches", "annotators", "human", "worth", "verified", "amplified", "seconds"}
