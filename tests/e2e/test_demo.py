"""The demo: the whole loop in one process, and what a newcomer is told at its end."""

import json
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The demo's line of JSON."""
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("demo") / "demo"
    command = [
        sys.executable,
        "-c",
        "from secondlook.jobs.cli import main; main()",
        "demo",
        "--folder",
        str(folder),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return dict(json.loads(done.stdout))


def part(summary: dict[str, object], name: str) -> dict[str, Any]:
    value = summary[name]
    assert isinstance(value, dict)
    return value


def test_what_was_planted_is_found(summary: dict[str, object]) -> None:
    planted, found = part(summary, "planted"), part(summary, "found")
    assert found["mistakes"] >= 0.85 * planted["mistakes"]
    assert found["mistakes"] >= 0.75 * found["flagged"]
    for name in ("copies", "relabeled_copies", "leaks", "broken"):
        assert found[name] == planted[name] > 0, name


def test_the_books_of_ingest_balance(summary: dict[str, object]) -> None:
    counts, planted = part(summary, "ingested"), part(summary, "planted")
    assert counts["found"] == counts["samples"] + counts["rejects"] + counts["known"]
    assert counts["rejects"] == planted["broken"]


def test_labels_and_model_are_better_after_review(summary: dict[str, object]) -> None:
    before, after = part(summary, "before"), part(summary, "after")
    assert before["labels_right"] / before["labels"] < 0.92
    assert after["labels_right"] / after["labels"] > 0.975
    assert after["held_out_right"] / after["held_out"] > 0.95
    assert after["labels"] > before["labels"], "pictures without a label got one"


def test_mistakes_are_seen_to_be_more_frequent_at_one_site(summary: dict[str, object]) -> None:
    sites = part(summary, "found")["flagged_by_site"]
    assert isinstance(sites, dict)
    share = {site: counts["flagged"] / counts["pictures"] for site, counts in sites.items()}
    assert share["south"] > 1.7 * share["north"]
    assert part(summary, "found")["groups"] == ["site south"], "SL402 names the site, and no other group"


def test_the_report_lies_where_it_is_said_to(summary: dict[str, object]) -> None:
    assert "</html>" in Path(str(summary["report"])).read_text(encoding="utf-8")


def test_a_folder_that_is_somebody_elses_is_not_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    assert run(["demo", "--folder", str(tmp_path)]) == 2
    assert "is not empty and not of an earlier demo" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "mine"
