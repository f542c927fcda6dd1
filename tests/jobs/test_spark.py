"""Spark's session: Ctrl-C while it starts, and where the user stands when it does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from secondlook.jobs.machine.spark import _interrupt_later

STAND_IN = """
import sys
sys.path = [place for place in sys.path if place]  # as the installed command has it
from secondlook.jobs.machine.spark import session
from secondlook.pipeline.core.config import SparkSettings

def told(batches):
    import json, pandas
    for batch in batches:
        yield batch

print(session(SparkSettings()).range(3).mapInArrow(told, "id long").count())
"""


def test_ctrl_c_while_the_jvm_starts_waits_until_it_can_be_ended() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def start() -> None:
        with _interrupt_later():
            os.kill(os.getpid(), signal.SIGINT)
            seen.append("here still")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert seen == ["here still"]
    assert signal.getsignal(signal.SIGINT) is before
    with _interrupt_later():
        pass


def test_python_files_where_the_user_stands_are_not_imported(tmp_path: Path) -> None:
    for name in ("json", "pandas", "secondlook", "pipeline", "jobs"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    script = tmp_path / "elsewhere" / "run.py"
    script.parent.mkdir()
    script.write_text(STAND_IN)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr
