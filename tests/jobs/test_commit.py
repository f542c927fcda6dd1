"""Commit: answers become label events, each answer once, equal pictures alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.history import history, revert
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import answers_file, commit
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import ConflictError, UserError
from secondlook.pipeline.core.identity import content_id

Fill = Callable[..., dict[str, str]]
LabelsOf = Callable[..., dict[str, str | None]]
PICTURES = [("a.png", "cat", b"1"), ("b.png", "dog", b"2"), ("c.png", None, b"3")]


def pull(lake: Lake, folder: Path, *lines: str, name: str = "answers", **options: Any) -> dict[str, Any]:
    file = folder / f"{name}.csv"
    file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
    return answers_file.run_pull(lake, Settings(), file, **options)


def counts(summary: dict[str, Any]) -> tuple[int, ...]:
    return tuple(summary[name] for name in ("decided", "changed", "confirmed", "first", "spread"))


def evidence(lake: Lake, image: str) -> list[dict[str, Any]]:
    return [event["evidence"] for event in history.run_blame(lake, image)["events"]]


def test_an_answer_changes_confirms_or_gives_the_first_label(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,dog,1.5", "ann,b.png,dog,1", "ann,c.png,cat,2")
    summary = commit.run(lake, Settings())
    assert counts(summary) == (3, 1, 1, 1, 0)
    assert summary["version"] == 3
    assert labels_of() == {"a.png": "dog", "b.png": "dog", "c.png": "cat"}
    assert labels_of(1) == {"a.png": "cat", "b.png": "dog", "c.png": None}
    [event] = [e for e in history.run_blame(lake, "a.png")["events"] if e["source"] == "review"]
    assert (event["actor"], event["batch"], event["version"]) == ("ann", "answers", 3)
    assert [(v["annotator"], v["answer"], v["seconds"]) for v in event["evidence"]["votes"]] == [("ann", "dog", 1.5)]


def test_nothing_to_decide_makes_no_version(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    assert commit.run(lake, Settings())["version"] is None
    pull(lake, tmp_path, "ann,a.png,unsure,1", "ann,b.png,cat,1", "bob,b.png,dog,1")
    summary = commit.run(lake, Settings())
    assert (summary["version"], summary["undecided"]) == (None, {"disagreement": 1, "unsure": 1})
    assert commit.told(summary) == "nothing to decide: 2 left open (1 disagreement, 1 unsure); no version made"
    assert lake.at().id == 2


def test_the_same_answers_are_committed_once(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,dog,1")
    assert commit.run(lake, Settings())["decided"] == 1
    assert commit.run(lake, Settings())["version"] is None
    assert commit.run(lake, Settings(), min_probability=0.5)["version"] is None
    assert len(history.run_blame(lake, "a.png")["events"]) == 2


def test_an_open_case_is_decided_when_one_more_answer_comes(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,cat,1", "bob,a.png,dog,1")
    assert commit.run(lake, Settings())["decided"] == 0
    pull(lake, tmp_path, "eve,a.png,dog,1", name="more")
    assert counts(commit.run(lake, Settings())) == (1, 1, 0, 0, 0)
    assert labels_of()["a.png"] == "dog"
    [_, event] = history.run_blame(lake, "a.png")["events"]
    assert (event["actor"], event["evidence"]["overruled"]) == ("consensus", ["ann"])


def test_a_changed_answer_is_decided_anew_and_the_new_one_counts(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,dog,1")
    commit.run(lake, Settings())
    pull(lake, tmp_path, "ann,a.png,cat,1")
    assert counts(commit.run(lake, Settings())) == (1, 1, 0, 0, 0)
    assert labels_of()["a.png"] == "cat"


def test_a_decision_goes_to_equal_pictures_by_events_of_their_own(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    ids = fill([*PICTURES, ("copy.png", "cat", b"2"), ("same.png", "bird", b"2"), ("new.png", None, b"2")])
    pull(lake, tmp_path, "ann,b.png,bird,1")
    assert counts(commit.run(lake, Settings())) == (1, 1, 0, 0, 2)
    held = labels_of()
    assert [held[key] for key in ("b.png", "copy.png", "same.png", "new.png")] == ["bird"] * 4
    spread = evidence(lake, "copy.png")[-1]
    assert (spread["spread_from"], spread["spread_from_key"]) == (ids["b.png"], "b.png")
    assert len(evidence(lake, "same.png")) == 1, "a copy that has the label already needs no event"
    revert.run_revert(lake, "answers")
    assert labels_of() == labels_of(1)


def test_answers_for_two_equal_pictures_are_one_case(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill([("a.png", "cat", b"1"), ("b.png", "dog", b"1")])
    pull(lake, tmp_path, "ann,a.png,dog,1", "bob,b.png,dog,1", "eve,b.png,cat,1")
    assert counts(commit.run(lake, Settings())) == (2, 1, 1, 0, 0)
    assert labels_of() == {"a.png": "dog", "b.png": "dog"}
    assert len(evidence(lake, "a.png")[-1]["votes"]) == 3
    assert commit.run(lake, Settings())["version"] is None


def test_answers_whose_decision_was_reverted_are_no_evidence_any_more(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "bad,a.png,dog,1", "worse,a.png,dog,1", name="round1")
    commit.run(lake, Settings())
    revert.run_revert(lake, "round1")
    assert commit.run(lake, Settings())["version"] is None
    attempt = lake.attempt("review push", {})
    ids = history.run_blame(lake, "a.png")["sample_id"]
    attempt.append("batches", rows("batches", [{"batch": "two", "sample_id": ids, "position": 0, "choices": []}]))
    attempt.commit({})
    pull(lake, tmp_path, "ann,a.png,bird,1", name="round2", batch="two", new_classes=True)
    assert counts(commit.run(lake, Settings(), new_classes=True)) == (1, 1, 0, 0, 0)
    assert labels_of()["a.png"] == "bird"


def test_a_new_class_is_refused_unless_asked_for(lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,wolf,1", new_classes=True)
    with pytest.raises(UserError, match="the answers name 1 new class: wolf; --new-classes adds them"):
        commit.run(lake, Settings())
    assert lake.at().id == 2
    assert commit.run(lake, Settings(), new_classes=True)["new_classes"] == ["wolf"]
    assert labels_of()["a.png"] == "wolf"
    assert "wolf" in lake.latest("classes", lake.at(), ["name"])["name"].to_pylist()


def test_min_probability_leaves_the_less_sure_open(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,dog,1", "ann,b.png,dog,1", "bob,b.png,dog,1")
    summary = commit.run(lake, Settings(), min_probability=0.9)
    assert (summary["decided"], summary["undecided"]) == (1, {"disagreement": 1})
    assert commit.run(lake, Settings(), min_probability=0.6)["decided"] == 1


def test_the_model_s_voice_settles_a_disagreement(lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,cat,1", "bob,a.png,dog,1")
    assert commit.run(lake, Settings())["undecided"] == {"disagreement": 1}
    with pytest.raises(UserError, match="no generalist"):
        commit.run(lake, Settings(), with_model=True)
    attempt = lake.attempt("train", {})
    attempt.append("models", rows("models", [{"model": "m", "kind": "generalist", "classes": ["cat", "dog"]}]))
    guess = {"content_id": content_id(b"1"), "model": "m", "classes": [1, 0], "probs": [0.95, 0.05]}
    attempt.append("predictions", rows("predictions", [guess]))
    attempt.commit({})
    summary = commit.run(lake, Settings(), with_model=True)
    assert counts(summary) == (1, 1, 0, 0, 0)
    assert labels_of()["a.png"] == "dog"


def test_labels_that_change_while_a_commit_runs_are_not_overruled(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,dog,1")
    decide = commit._decide

    def meanwhile(*arguments: Any) -> Any:
        other = lake.attempt("ingest", {"again": True})
        other.append("labels", rows("labels", [{"sample_id": ids["a.png"], "label": "bird", "source": "ingest"}]))
        other.commit({})
        return decide(*arguments)

    monkeypatch.setattr(commit, "_decide", meanwhile)
    with pytest.raises(ConflictError, match="another job changed labels meanwhile"):
        commit.run(lake, Settings())
    assert labels_of()["a.png"] == "bird"


def test_answers_that_come_while_a_commit_runs_wait_for_the_next(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,dog,1")
    decide = commit._decide

    def meanwhile(*arguments: Any) -> Any:
        pull(lake, tmp_path, "ann,b.png,cat,1", name="late")
        return decide(*arguments)

    monkeypatch.setattr(commit, "_decide", meanwhile)
    assert commit.run(lake, Settings())["decided"] == 1
    monkeypatch.undo()
    assert commit.run(lake, Settings())["decided"] == 1
    assert (labels_of()["a.png"], labels_of()["b.png"]) == ("dog", "cat")


def test_the_command_ends_with_one_line_of_json(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,a.png,dog,1")
    at = ["--lake", lake.root]
    capsys.readouterr()
    assert command(["commit", *at, "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["changed"] == 1
    assert command(["commit", *at]) == 0
    assert capsys.readouterr().out == "nothing to decide; no version made\n"
    assert command(["commit", *at, "--min-probability", "2"]) == 2
    assert "--min-probability" in capsys.readouterr().err
