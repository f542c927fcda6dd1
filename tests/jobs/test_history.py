"""log, diff, blame, revert and the classes, as a person types them."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.history import classes, history, revert
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import answers_file, batches, commit
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

Fill = Callable[..., dict[str, str]]
LabelsOf = Callable[..., dict[str, str | None]]
PICTURES = [
    ("train/a.png", "cat", b"1"),
    ("train/b.png", "dog", b"2"),
    ("test/a.png", "cat", b"3"),
    ("c.png", None, b"4"),
]


@pytest.fixture
def decide(lake: Lake, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Pull answers as a batch and commit them: `decide("one", "ann,train/a.png,dog,1")`."""

    def run(batch: str, *lines: str) -> dict[str, Any]:
        file = tmp_path / f"{batch}.csv"
        file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
        answers_file.run_pull(lake, Settings(), file)
        return commit.run(lake, Settings())

    return run


@pytest.fixture
def call(lake: Lake, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], str]]:
    """Type a command on the lake: (status, lines of standard output, standard error)."""

    def run(*words: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        status = command([*words, "--lake", lake.root])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    return run


Decide = Callable[..., dict[str, Any]]
Call = Callable[..., tuple[int, list[str], str]]


def test_log_is_newest_first_with_a_line_of_what_changed(fill: Fill, decide: Decide, call: Call) -> None:
    fill(PICTURES)
    decide("one", "ann,train/a.png,dog,1")
    status, lines, _ = call("log")
    assert status == 0
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert "commit" in lines[0]
    assert "1 changed, 1 decided, batches one" in lines[0]
    assert "4 samples" in lines[2]
    assert [line.split() for line in call("log", "--limit", "1")[1]] == [lines[0].split()]
    [line] = call("log", "--json", "-n", "2")[1]
    assert [row["id"] for row in json.loads(line)["versions"]] == [3, 2]


def test_diff_shows_what_a_commit_changed(lake: Lake, fill: Fill, decide: Decide, call: Call) -> None:
    fill(PICTURES)
    decide("one", "ann,train/a.png,dog,1", "ann,train/b.png,dog,1", "ann,c.png,cat,1")
    status, lines, err = call("diff", "1", "head")
    assert (status, lines) == (0, ["c.png: (none) → cat  (review, one)", "train/a.png: cat → dog  (review, one)"])
    assert "2 labels differ between version 1 and 3" in err
    rows = list(csv.DictReader(io.StringIO("\n".join(call("diff", "head", "head~2", "--format", "csv")[1]))))
    assert [(row["key"], row["old"], row["new"]) for row in rows] == [
        ("c.png", "cat", ""),
        ("train/a.png", "dog", "cat"),
    ]
    [line] = call("diff", "1", "3", "--json")[1]
    assert json.loads(line) == {"from": 1, "to": 3, "differ": 2, "pairs": {"(none) → cat": 1, "cat → dog": 1}}
    assert history.run_diff(lake, 3, 3)[0]["differ"] == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["diff", "1", "9"], "there is no version 9; this lake has 1 to 1"),
        (["diff", "1", "1", "--format", "yaml"], "unknown format 'yaml'"),
        (["blame", "train/x.png"], "no picture has the key 'train/x.png'; near names: train/"),
        (["blame", "a.png"], "2 pictures match 'a.png' (test/a.png, train/a.png)"),
        (["revert", "one"], "unknown batch 'one'"),
        (["log", "--limit", "0"], "--limit"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(fill: Fill, call: Call, words: list[str], sentence: str) -> None:
    fill(PICTURES)
    status, lines, err = call(*words)
    assert (status, lines) == (2, [])
    assert sentence in err
    assert "Traceback" not in err


def test_blame_names_who_when_and_why(fill: Fill, decide: Decide, call: Call) -> None:
    ids = fill(PICTURES)
    decide("one", "ann,train/b.png,cat,1")
    decide("two", "ann,train/b.png,dog,1", "bob,train/b.png,dog,1")
    call("revert", "two")
    status, lines, _ = call("blame", "b.png")
    assert (status, lines[0]) == (0, "train/b.png")
    assert [line.split("  ")[1:4:2] for line in lines[1:]] == [
        ["version 1", "dog"],
        ["version 3", "cat"],
        ["version 5", "dog"],
        ["version 6", "cat"],
    ]
    assert "review by ann, batch one" in lines[2]
    assert "p=0.80; ann: cat" in lines[2]
    assert "takes back two" in lines[4]
    assert len(call("blame", ids["train/b.png"], "--as-of", "3")[1]) == 3
    [line] = call("blame", "c.png", "--json")[1]
    assert json.loads(line) == {"sample_id": ids["c.png"], "key": "c.png", "events": []}


@pytest.mark.parametrize("first", ["labels", "findings"])
def test_blame_finds_the_version_of_an_event_when_two_jobs_shared_a_number(lake: Lake, fill: Fill, first: str) -> None:
    from secondlook.jobs.lake.records import rows

    ids = fill(PICTURES)
    attempts = {"labels": lake.attempt("ingest", {"labels": 2}), "findings": lake.attempt("lint", {})}
    event = {"sample_id": ids["c.png"], "label": "cat", "source": "ingest"}
    attempts["labels"].append("labels", rows("labels", [event]))
    attempts["findings"].append("findings", rows("findings", [{"rule": "SL101", "subject": "x"}]))
    assert attempts["labels"].seq == attempts["findings"].seq
    made = {name: attempts[name].commit({}).id for name in sorted(attempts, key=lambda name: name != first)}
    assert [event["version"] for event in history.run_blame(lake, "c.png")["events"]] == [made["labels"]]


def test_revert_says_what_it_kept(fill: Fill, decide: Decide, call: Call, labels_of: LabelsOf) -> None:
    fill(PICTURES)
    decide("one", "ann,train/a.png,dog,1", "ann,train/b.png,cat,1", "ann,c.png,cat,1")
    decide("two", "bob,train/b.png,dog,1", "eve,train/b.png,dog,1")
    status, lines, _ = call("revert", "one")
    assert status == 0
    assert lines == [
        "2 reverted, 1 kept because a later decision holds there (two: revert that first) (version 6, batch revert-6)",
        "  kept: train/b.png",
    ]
    assert labels_of() == labels_of(1) | {"train/b.png": "dog"}
    [line] = call("revert", "one", "--json")[1]
    assert {n: json.loads(line)[n] for n in ("reverted", "kept", "already", "version")} == {
        "reverted": 0,
        "kept": 1,
        "already": 2,
        "version": None,
    }


def test_reverting_a_just_committed_batch_gives_exactly_the_labels_before(
    lake: Lake, fill: Fill, decide: Decide, labels_of: LabelsOf
) -> None:
    fill([*PICTURES, ("copy.png", "dog", b"1")])
    decide("one", "ann,train/a.png,dog,1", "ann,c.png,dog,1")
    before = labels_of()
    decide("two", "bob,train/a.png,cat,1", "eve,train/a.png,cat,1", "ann,train/b.png,cat,1", "bob,c.png,cat,1")
    assert labels_of() != before
    revert.run_revert(lake, "two")
    assert labels_of() == before
    revert.run_revert(lake, "one")
    assert labels_of() == labels_of(1)


def test_a_batch_without_decisions_has_nothing_to_revert(lake: Lake, fill: Fill) -> None:
    fill(PICTURES)
    batch = batches.run_push(lake, Settings())["batch"]
    with pytest.raises(UserError, match="has no decisions yet, so there is nothing to revert"):
        revert.run_revert(lake, batch)


def test_classes_list_counts_labels(fill: Fill, decide: Decide, call: Call, lake: Lake) -> None:
    fill(PICTURES, classes=["bird"])
    decide("one", "ann,train/a.png,dog,1")
    status, lines, _ = call("classes", "list")
    assert (status, [line.split(maxsplit=1) for line in lines]) == (
        0,
        [["0", "bird"], ["1", "cat"], ["2", "dog"], ["1", "without a label"]],
    )
    before = classes.run(lake, as_of=1)
    assert before == {"version": 1, "classes": {"bird": 0, "cat": 2, "dog": 1}, "unlabeled": 1, "quarantined": []}
    [line] = call("classes", "list", "--json", "--as-of", "1")[1]
    assert json.loads(line)["classes"]["cat"] == 2


@pytest.mark.parametrize(
    ("summary", "line"),
    [
        ({}, "nothing"),
        (
            {"version": 3, "samples": 1200, "rejects": 0, "source": "file:///x", "ok": True},
            "1,200 samples, source file:///x",
        ),
        (
            {"by_reason": {"truncated": 2, "empty": 1}, "accuracy": 0.98765},
            "by reason (truncated 2, empty 1), accuracy 0.9877",
        ),
        ({"batches": ["a", "b", "c", "d"], "other": [1, 2], "nested": {"a": []}}, "batches a, b, c and 1 more"),
    ],
)
def test_any_job_s_summary_fits_a_line(summary: dict[str, Any], line: str) -> None:
    assert history.in_a_line(summary) == line


def test_a_class_s_name_stays_in_its_line(fill: Fill, call: Call) -> None:
    fill([("a.png", "line\nbreak\x1b[2J", b"1")])
    assert call("classes", "list")[1] == [r"        1  line\nbreak\x1b[2J"]
    assert call("blame", "a.png")[1][1].count(r"line\nbreak\x1b[2J") == 1
    assert len(call("diff", "1", "1")[1]) == 0
