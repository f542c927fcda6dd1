"""The contracts of the command: exit status, one sentence, one line of JSON, and a cheap --help."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from secondlook.jobs.cli import run, verbs


@pytest.mark.parametrize("name", sorted(verbs()))
def test_every_verb_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"secondlook {name}" in text
    assert len(text.splitlines()) > 6


def test_the_list_of_verbs_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in verbs())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lnt"], "unknown command 'lnt', did you mean 'lint'?"),
        (["review", "psh"], "unknown command 'review psh', did you mean 'review push'?"),
        (["settings", "--jsn"], "No such option: --jsn"),
        (["gc", "--grace-hours", "soon"], "Invalid value for '--grace-hours'"),
        (["--lake", "x"], "unknown option '--lake' before a command"),
        (["log", "--lake", "/nonexistent/lake"], "there is no lake at /nonexistent/lake"),
        (["log", "--settings", "/nonexistent.toml"], "there is no settings file /nonexistent.toml"),
    ],
)
def test_a_mistake_gets_one_sentence_and_status_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_mistyped_setting_names_the_file_the_field_and_the_near_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secondlook.toml"
    file.write_text("[train]\nfold = 3\n")
    assert run(["log", "--settings", str(file)]) == 2
    assert f"{file}: unknown setting in [train] 'fold', did you mean 'folds'?" in capsys.readouterr().err


def test_a_bug_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from secondlook.jobs.terminal import settings

    def broken() -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(settings, "settings", broken)
    assert run(["settings"]) == 70
    assert "this is a bug of secondlook (ZeroDivisionError: no)" in capsys.readouterr().err


def test_a_complaint_stays_one_line_whatever_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", "--lake", "two\nlines\x1b[2J"]) == 2
    assert r"two\nlines\x1b[2J" in capsys.readouterr().err


def test_a_catalog_that_fails_in_the_middle_is_a_service_that_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    import sqlalchemy as sa

    from secondlook.jobs.terminal import settings

    def full() -> None:
        raise sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(settings, "settings", full)
    assert run(["settings"]) == 3
    shown = capsys.readouterr().err
    assert (
        shown == "error: the catalog of the lake does not answer: (sqlite3.OperationalError) database or disk is full\n"
    )


def test_ctrl_c_is_said_and_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from secondlook.jobs.terminal import settings

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(settings, "settings", interrupted)
    assert run(["settings"]) == 130
    assert "interrupted; nothing half-done is visible in the lake" in capsys.readouterr().err


def test_help_imports_neither_torch_nor_spark() -> None:
    code = (
        "import sys; from secondlook.jobs.cli import run, verbs\n"
        "run([]); [run([*name.split(), '--help']) for name in verbs()]\n"
        "heavy = {'torch', 'pyspark', 'transformers', 'fiftyone', 'label_studio_sdk'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_json_is_exactly_one_line_on_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(["doctor", "--json", "--lake", str(tmp_path / "none")])
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out)["Python"]["state"] == "ok"


def test_the_settings_file_that_is_printed_can_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from secondlook.pipeline.core.config import Settings, load

    assert run(["settings"]) == 0
    file = tmp_path / "secondlook.toml"
    text = capsys.readouterr().out
    file.write_text(text)
    assert load(file) == Settings()
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    keep = [line for line in lines if line.startswith("[") or " = " in line.split("(")[0][:40]]
    start = next(
        n for n, line in enumerate(keep) if line.startswith("[[")
    )  # a block of its own needs more than defaults
    file.write_text("\n".join(keep[:start]))
    assert load(file) == Settings()


SECONDLOOK = [sys.executable, "-c", "from secondlook.jobs.cli import main; main()"]


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $SL is the command."""
    code = f"SL() {{ '{SECONDLOOK[0]}' -c '{SECONDLOOK[2]}' \"$@\"; }}; {line}"
    return subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, check=False, env=os.environ | environment
    )


@pytest.mark.parametrize("words", ["rule", "rule --json", "rule SL101", "lint --help", "settings"])
def test_a_reader_that_leaves_early_is_no_finding_and_no_complaint(words: str) -> None:
    done = shell(f"SL {words} | true; echo ${{PIPESTATUS[0]}}")
    assert done.stdout == "0\n"
    assert done.stderr == ""


def test_a_closed_standard_output_or_error_is_no_bug() -> None:
    assert shell("SL rule --json >&-").returncode == 0
    assert shell("SL rule SL101 >&- 2>&-").returncode == 0
    assert shell("SL lnt 2>&-").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["rule", "rule --json", "settings"])
def test_a_full_disk_below_standard_output_is_status_3(words: str) -> None:
    done = shell(f"SL {words} > /dev/full")
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_in_every_script_go_through_a_pipe_in_any_locale(tmp_path: Path) -> None:
    done = shell(f"SL log --lake '{tmp_path}/Katze-猫-🐈' 2>&1", PYTHONIOENCODING="latin-1", LC_ALL="C")
    assert done.returncode == 2
    assert "Katze-猫-🐈" in done.stdout


@pytest.mark.parametrize(
    ("lake", "sentence"),
    [
        ("", "the lake's folder or URL is empty"),
        ("nonsense://there/lake", "a lake at nonsense://there/lake can't be opened: Protocol not known: nonsense"),
    ],
)
def test_a_lake_that_can_not_be_is_the_user_s_mistake(
    lake: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["log", "--lake", lake]) == 2
    assert sentence in capsys.readouterr().err
