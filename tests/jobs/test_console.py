"""Progress where there is no terminal."""

import pytest

from secondlook.jobs.terminal import console


def test_a_job_that_has_done_nothing_yet_has_no_rate_to_go_by(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "LOG_EVERY_S", 0.0)
    with console.progress("reading", 10) as advance:
        advance(0)
        advance(5)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "reading: 0 of 10 pictures, 0/s"
    assert said[1].startswith("reading: 5 of 10 pictures")
    assert said[1].endswith("s left")
