"""A process that ingests is killed (SIGKILL) at any moment: the lake is as before or as after, and the next run heals it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.ingest import ingest
from secondlook.jobs.lake import gc
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.sources import Source
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.seeds import generator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Rows = dict[str, list[dict[str, Any]]]

# Waits for a word after Spark is up, so that the moments of the test fall into ingest and not into Spark's start.
INGEST = """
import os, signal, sys
from datetime import UTC, datetime
from secondlook.jobs.ingest import ingest
from secondlook.jobs.sources import Source
from secondlook.jobs.machine.spark import session
from secondlook.jobs.lake.store import Attempt, Lake
from secondlook.pipeline.core.config import Settings

where, source, labels, point = sys.argv[1:]
spark = session(Settings().spark) if point == "any" else None

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(name, after):
    real = getattr(Attempt, name)
    def wrapped(*args, **kwargs):
        if after:
            real(*args, **kwargs)
        die()
    setattr(Attempt, name, wrapped)

if point != "any":
    name, when = point.split()
    dying(name, when == "after")
print("ready", flush=True)
sys.stdin.readline()
ingest.run(Lake(where), Settings(), spark, Source(source, labels=labels), now=datetime(2026, 1, 1, tzinfo=UTC))
print("done", flush=True)
"""


def rows(lake: Lake) -> Rows:
    """Every row that the newest version shows, time aside."""
    version = lake.at()
    return {
        name: [{k: v for k, v in row.items() if k != "time"} for row in lake.latest(name, version).to_pylist()]
        for name in sorted(version.tables)
    }


MANY = int(os.environ.get("SECONDLOOK_KILLS", "200"))  # of a soak; each starts a JVM, some ten seconds


class Scene:
    """A lake with one version of 20 pictures, and a source that has other labels by now and may have more pictures."""

    def __init__(self, folder: Path, spark: Any, picture: Callable[..., bytes], pictures: int) -> None:
        self.spark, self.source, self.where, self.kept = spark, folder / "in", folder / "lake", folder / "kept"
        self.source.mkdir()
        self._add(range(20), picture, "first.csv")
        first = Source(str(self.source), labels=str(self.source / "first.csv"))
        ingest.run(Lake(str(self.where), create=True), Settings(), spark, first, now=NOW)
        self._add(range(20, pictures), picture, "second.csv")
        self.before = rows(Lake(str(self.where)))
        shutil.copytree(self.where, self.kept)
        start = time.monotonic()
        self.finish()
        self.seconds = time.monotonic() - start
        self.after = rows(Lake(str(self.where)))
        assert self.before != self.after

    def _add(self, new: range, picture: Callable[..., bytes], table: str) -> None:
        for i in new:
            data = picture(i % 250, 32, 32) if i % 50 else b"no picture"  # those above 250 are copies
            (self.source / f"{i:03d}.png").write_bytes(data)
        lines = [f"{i:03d}.png,{table[0]}{i % 3}" for i in range(new.stop)]
        (self.source / table).write_text("file,label\n" + "\n".join(lines))

    def reset(self) -> None:
        """The lake as it was before; at the same place, since the catalog knows it by its path."""
        shutil.rmtree(self.where)
        shutil.copytree(self.kept, self.where)

    def finish(self) -> None:
        """A run that nobody disturbs."""
        source = Source(str(self.source), labels=str(self.source / "second.csv"))
        ingest.run(Lake(str(self.where)), Settings(), self.spark, source, now=NOW)

    @contextmanager
    def process(self, point: str) -> Iterator[subprocess.Popen[str]]:
        """A process about to ingest."""
        words = [
            sys.executable,
            "-c",
            INGEST,
            str(self.where),
            str(self.source),
            str(self.source / "second.csv"),
            point,
        ]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(words, text=True, **pipes) as child:  # type: ignore[call-overload]
            assert child.stdout.readline() == "ready\n"
            try:
                yield child
            finally:
                child.kill()


@pytest.mark.parametrize("n", [pytest.param(3, id="3"), pytest.param(MANY, id="many", marks=pytest.mark.soak)])
def test_killed_at_random_moments_the_lake_is_as_before_or_as_after(
    tmp_path: Path, spark: Any, picture: Callable[..., bytes], record: Callable[..., None], n: int
) -> None:
    scene = Scene(tmp_path, spark, picture, pictures=320)
    moments = generator(7, "kills")
    seen = {"before": 0, "after": 0}
    longest = 5.0 * scene.seconds  # its Spark is cold
    for _ in range(n):
        scene.reset()
        with scene.process("any") as child:
            child.stdin.write("go\n")  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
            time.sleep(moments.uniform(0.0, longest))
        # Its JVM and workers may live and write for two seconds more; we don't wait for them.
        found = rows(Lake(str(scene.where)))
        assert found in (scene.before, scene.after)
        seen["before" if found == scene.before else "after"] += 1
        scene.finish()
        assert rows(Lake(str(scene.where))) == scene.after
    gc.run(Lake(str(scene.where)), Settings().lake, grace_hours=0)
    assert rows(Lake(str(scene.where))) == scene.after
    record("kills", n=n, lakes_as=seen, lost_or_doubled=0)


def test_killed_around_the_commit_the_lake_is_as_before_or_as_after(
    tmp_path: Path, spark: Any, picture: Callable[..., bytes]
) -> None:
    """New labels alone need no Spark: so the moments around the one commit point can be had exactly."""
    scene = Scene(tmp_path, spark, picture, pictures=20)
    for point, state in (("append after", "before"), ("commit before", "before"), ("commit after", "after")):
        scene.reset()
        with scene.process(point) as child:
            child.communicate("go\n", timeout=60)
            assert child.returncode == -signal.SIGKILL
        assert rows(Lake(str(scene.where))) == (scene.before if state == "before" else scene.after), point
        scene.finish()
        assert rows(Lake(str(scene.where))) == scene.after, point
    assert {row["label"] for row in scene.after["labels"]} == {"s0", "s1", "s2"}
