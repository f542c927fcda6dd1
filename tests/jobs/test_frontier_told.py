"""The frontier on a terminal: nothing is cut to nonsense where it is narrow."""

import pytest

from secondlook.jobs.frontier import told
from tests.report.made_frontier import frontier


@pytest.mark.parametrize("width", [100, 400])
def test_what_does_not_fit_is_left_out_and_named(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    told.lines(frontier(), [])
    said = capsys.readouterr().out
    heading = said.splitlines()[0]
    assert "right" in heading
    assert ("multiply-adds" in heading) == (width == 400)
    assert ("in a wider terminal" in said) == (width == 100)
    assert "…" not in heading
