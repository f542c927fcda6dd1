"""The README's commands, as they stand there, on a small dataset."""

import csv
import shlex
from pathlib import Path

import pytest

from secondlook.jobs.cli import run
from secondlook.jobs.demo.digits import plant
from secondlook.pipeline.core.seeds import generator

README = Path(__file__).parents[2] / "README.md"
PICTURES = 240


def commands() -> list[list[str]]:
    """The block of commands below "Your own pictures"."""
    block = (
        README.read_text(encoding="utf-8").split("## Your own pictures", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    )
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    return [words[1:] for words in lines if words and words[0] == "secondlook"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user: my_images/, labels.csv, and settings for a quick training."""
    planted = plant(tmp_path / "made", seed=3)
    keep = sorted(planted.given)
    generator(3, "keep").shuffle(keep)
    wanted = {*keep[:PICTURES], *planted.broken}
    for key in wanted:
        target = tmp_path / "my_images" / key
        target.parent.mkdir(parents=True, exist_ok=True)
        (planted.folder / key).rename(target)
    with planted.labels.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["file"] in wanted]
    _write(tmp_path / "labels.csv", rows)
    (tmp_path / "secondlook.toml").write_text(
        "[train]\nfolds = 2\nepochs = 2\n[review]\nbudget = 30\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _answer(home: Path) -> None:
    """Somebody answers the queue: the first thirty are sevens."""
    with (home / "queue.csv").open(encoding="utf-8") as stream:
        asked = list(csv.DictReader(stream))
    name = next(column for column in ("key", "sample_id") if column in asked[0])
    _write(
        home / "answers.csv",
        [{"annotator": "ada", "key": row[name], "label": "7", "seconds": "2"} for row in asked[:30]],
    )


@pytest.mark.usefixtures("spark")
def test_the_lines_work_as_they_stand(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = commands()
    assert [words[0] for words in lines] == [
        "ingest",
        "train",
        "lint",
        "report",
        "review",
        "review",
        "commit",
        "diff",
        "export",
        "review",
        "share",
    ]
    for words in lines:
        if words[:2] == ["review", "pull"]:
            _answer(home)
        expected = 1 if words[0] == "lint" else 0
        assert run(words) == expected, f"secondlook {' '.join(words)}: {capsys.readouterr().err}"
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        if words[0] == "diff":
            assert "7" in printed.out
        if words[0] == "share":
            assert "estimate" in printed.out  # nobody has answered the audit yet
    assert (home / "report.html").stat().st_size > 20_000
    sevens = [path for path in (home / "clean").rglob("*") if path.is_file() and path.parent.name == "7"]
    assert len(sevens) >= 30
