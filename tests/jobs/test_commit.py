"""Commit: answers become label events, exactly once."""

from collections.abc import Callable
from pathlib import Path

from secondlook.jobs import commit, review
from secondlook.jobs.store import Lake
from secondlook.pipeline.core.config import Settings

Fill = Callable[..., dict[str, str]]
LabelsOf = Callable[..., dict[str, str | None]]
PICTURES = [("a.png", "cat", b"1"), ("b.png", "dog", b"2"), ("c.png", None, b"3"), ("copy.png", "cat", b"2")]


def pull(lake: Lake, tmp_path: Path, *lines: str, **options: object) -> dict[str, object]:
    file = tmp_path / "answers.csv"
    file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
    return review.run_pull(lake, Settings(), file, **options)  # type: ignore[arg-type]


def test_an_answer_changes_confirms_or_gives_the_first_label(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(PICTURES[:3])
    pull(lake, tmp_path, "ann,a.png,dog,1.5", "ann,b.png,dog,1", "ann,c.png,cat,2")
    summary = commit.run(lake, Settings())
    assert {name: summary[name] for name in ("decided", "changed", "confirmed", "first", "spread")} == {
        "decided": 3,
        "changed": 1,
        "confirmed": 1,
        "first": 1,
        "spread": 0,
    }
    assert labels_of() == {"a.png": "dog", "b.png": "dog", "c.png": "cat"}
    assert labels_of(1) == {"a.png": "cat", "b.png": "dog", "c.png": None}
