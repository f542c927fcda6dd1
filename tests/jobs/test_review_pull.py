"""`review pull` where no labeling tool is set up, and answers of a file after the tool had its say."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import answers_file
from secondlook.jobs.studio import reconcile
from secondlook.labeling.answers import annotation_id
from secondlook.pipeline.core.config import LabelStudioSettings, Settings

Fill = Callable[..., dict[str, str]]
PICTURES = [("a.png", "cat", b"a"), ("b.png", "dog", b"b")]


def test_without_a_tool_answers_come_from_a_file(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(PICTURES)
    where = ["--lake", lake.root]
    assert command(["review", "pull", *where]) == 2
    assert "answers come from a file (--from answers.csv), or from Label Studio" in capsys.readouterr().err
    for words in (["--batch", "b"], ["--new-classes"]):
        assert command(["review", "pull", *words, *where]) == 2
        assert "give it with --from" in capsys.readouterr().err
    file = tmp_path / "answers.csv"
    file.write_text("annotator,key,label,seconds\nann,a.png,dog,1\n")
    assert command(["review", "pull", "--from", str(file), "--watch", "5", *where]) == 2
    assert "of Label Studio, not of a file" in capsys.readouterr().err
    assert command(["review", "pull", "--from", str(file), *where]) == 0


def test_a_commit_asks_no_tool_where_none_is_set_up_or_nothing_is_open_there(lake: Lake, fill: Fill) -> None:
    fill(PICTURES)
    assert reconcile.before_commit(lake, Settings()) is None
    away = Settings(label_studio=LabelStudioSettings(url="http://127.0.0.1:9"))
    assert reconcile.before_commit(lake, away) is None


def test_an_answer_that_was_deleted_in_the_tool_can_be_given_again_by_a_file(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    ids = fill(PICTURES)
    sample = ids["a.png"]
    said: dict[str, Any] = {
        "annotation_id": annotation_id("batch-2", sample, "ann"),
        "batch": "batch-2",
        "sample_id": sample,
    }
    said |= {"annotator": "ann", "answer": "label", "label": "dog", "seconds": 1.0}
    attempt = lake.attempt("review push", {})
    asked = {"batch": "batch-2", "sample_id": sample, "position": 0, "strategy": "SL101", "choices": ["cat", "dog"]}
    attempt.append("batches", rows("batches", [asked]))
    attempt.append("annotations", rows("annotations", [said | {"state": "deleted", "time": datetime.now(UTC)}]))
    attempt.commit({})
    file = tmp_path / "answers.csv"
    file.write_text("annotator,key,label,seconds\nann,a.png,dog,1\n")
    summary = answers_file.run_pull(lake, Settings(), file)
    assert (summary["added"], summary["changed"], summary["known"]) == (0, 1, 0)
