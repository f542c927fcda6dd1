"""Review: a batch goes out without what would anchor people, answers come back exactly once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import answers_file, batches, commit, status
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.errors import UserError

Fill = Callable[..., dict[str, str]]
PICTURES = [(f"train/{'cat' if i % 2 else 'dog'}/{i}.png", "cat" if i % 2 else "dog", b"%d" % i) for i in range(8)]
UNLABELED = [(f"new/{i}.png", None, b"\x89PNG new %d" % i) for i in range(4)]
NO_RANDOM = Settings(review=ReviewSettings(random_share=0.0))


def answer(folder: Path, *lines: str, name: str = "answers") -> Path:
    file = folder / f"{name}.csv"
    file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
    return file


def pull(lake: Lake, folder: Path, *lines: str, name: str = "answers", **options: Any) -> tuple[int, int, int]:
    summary = answers_file.run_pull(lake, Settings(), answer(folder, *lines, name=name), **options)
    return summary["added"], summary["changed"], summary["known"]


# pull


def test_the_same_file_twice_adds_nothing(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    lines = "ann,0.png,cat,1", "ann,1.png,unsure,", "bob,0.png,dog,3"
    assert pull(lake, tmp_path, *lines) == (3, 0, 0)
    assert pull(lake, tmp_path, *lines) == (0, 0, 3)
    assert pull(lake, tmp_path, *lines, name="copy") == (0, 0, 3)
    assert pull(lake, tmp_path, *reversed(lines)) == (0, 0, 3)
    assert lake.at().id == 2
    assert pull(lake, tmp_path, *lines, "eve,0.png,dog,3") == (1, 0, 3)


def test_a_changed_answer_is_a_new_state_and_the_earlier_one_is_kept(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,0.png,cat,1")
    assert pull(lake, tmp_path, "ann,0.png,bad picture,1") == (0, 1, 0)
    states = lake.read("annotations", lake.at()).sort_by("seq").to_pylist()
    assert [(row["state"], row["answer"], row["label"]) for row in states] == [
        ("submitted", "label", "cat"),
        ("changed", "bad picture", None),
    ]
    assert len({row["annotation_id"] for row in states}) == 1
    assert lake.latest("annotations", lake.at()).num_rows == 1
    assert pull(lake, tmp_path, "ann,0.png,cat,1") == (0, 0, 1), "the first file was pulled before"
    assert pull(lake, tmp_path, "ann,0.png,cat,1", "ann,1.png,cat,1") == (1, 1, 0), "a new file changes it back"


def test_answers_belong_to_the_newest_batch_that_asked(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("a.png", None, b"1"), ("b.png", "cat", b"2")], classes=["cat", "dog"])
    first = batches.run_push(lake, NO_RANDOM)["batch"]
    lines = "ann,a.png,cat,1", "ann,b.png,cat,2"
    assert pull(lake, tmp_path, *lines, name="friday") == (2, 0, 0)
    named = {row["sample_id"]: row["batch"] for row in lake.latest("annotations", lake.at()).to_pylist()}
    assert set(named.values()) == {first, "friday"}
    pull(lake, tmp_path, "bob,a.png,dog,1")
    second = batches.run_push(lake, NO_RANDOM, again=True)["batch"]
    assert pull(lake, tmp_path, *reversed(lines), name="once more") == (0, 0, 2), "known, though asked for again since"
    assert pull(lake, tmp_path, "eve,a.png,cat,1") == (1, 0, 0)
    newest = lake.latest("annotations", lake.at()).to_pylist()
    assert [row["batch"] for row in newest if row["annotator"] == "eve"] == [second]


@pytest.mark.parametrize(
    ("lines", "options", "sentence"),
    [
        (["ann,a.png,cat,1"], {"batch": "batch-9"}, "unknown batch 'batch-9', did you mean 'batch-2'"),
        (["ann,b.png,cat,1"], {"batch": "batch-2"}, "line 2: batch batch-2 did not ask for this picture"),
        (["ann,a.png,cow,1"], {}, "line 2: unknown class 'cow'"),
        (["ann,x.png,cat,1"], {}, "line 2: no picture has the key 'x.png'"),
    ],
)
def test_a_mistake_takes_nothing_of_the_file(
    lake: Lake, fill: Fill, tmp_path: Path, lines: list[str], options: dict[str, str], sentence: str
) -> None:
    fill([("a.png", None, b"1"), ("b.png", "cat", b"2")], classes=["cat", "dog"])
    batches.run_push(lake, NO_RANDOM)
    with pytest.raises(UserError, match=sentence):
        pull(lake, tmp_path, *lines, **options)
    assert lake.latest("annotations", lake.at()).num_rows == 0


def test_classes_that_a_batch_offered_may_be_answered(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("a.png", None, b"1")])
    batches.run_push(lake, NO_RANDOM, classes=["wolf"])
    assert pull(lake, tmp_path, "ann,a.png,wolf,1") == (1, 0, 0)


# status, and the commands


def test_status_counts_asked_answered_decided_and_reverted(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    from secondlook.jobs.history import revert

    fill([("a.png", None, b"1"), ("b.png", None, b"2"), ("c.png", None, b"3")], classes=["cat", "dog"])
    assert status.run_status(lake) == []
    batch = batches.run_push(lake, NO_RANDOM)["batch"]
    pull(lake, tmp_path, "ann,a.png,cat,1", "ann,b.png,unsure,1")
    commit.run(lake, Settings())

    def counts(**options: Any) -> list[tuple[Any, ...]]:
        names = ("batch", "asked", "answered", "decided", "reverted")
        return [tuple(row[name] for name in names) for row in status.run_status(lake, **options)]

    assert counts() == [(batch, 3, 2, 1, 0)]
    assert counts(as_of=2) == [(batch, 3, 0, 0, 0)]
    revert.run_revert(lake, batch)
    assert counts() == [(batch, 3, 2, 1, 1)]


def test_the_commands_end_with_one_line_of_json_and_say_mistakes_in_a_sentence(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(UNLABELED, classes=["cat", "dog"])
    at = ["--lake", lake.root]

    def call(*words: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        status = command([*words, *at])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    status, [line], _ = call("review", "push", "--to", str(tmp_path / "q.csv"), "--budget", "2", "--json")
    assert (status, json.loads(line)["batch"]) == (0, "batch-2")
    assert call("review", "push", "--to", str(tmp_path / "q.csv"))[0] == 2
    status, [line], _ = call("review", "push", "--batch", "batch-2", "--to", str(tmp_path / "again.csv"))
    assert (status, line) == (0, "batch-2: 2 pictures (2 unlabeled)")
    file = answer(tmp_path, "ann,new/0.png,cat,1")
    status, [line], _ = call("review", "pull", "--from", str(file), "--json")
    assert (status, json.loads(line)["added"]) == (0, 1)
    assert call("review", "pull", "--from", str(tmp_path / "none.csv"))[0] == 2
    status, _, err = call("review", "pull", "--from", str(answer(tmp_path, "ann,new/0.png,cta,1")))
    assert (status, "did you mean 'cat'" in err, "Traceback" in err) == (2, True, False)
    status, lines, _ = call("review", "status")
    assert (status, lines[0].split(",")[0], lines[0][-9:]) == (0, "batch-2  2 asked", "0 decided")
