"""What sending a batch costs: tasks a second, with pictures uploaded or in a folder, and without, beside one import by the SDK.

A real Label Studio of its own on this machine (SQLite). N made pictures of 64 pixels, each another. In turn, once with pictures uploaded and once with pictures in a folder that the server serves: `send` with all of it;
`send` again, which finds all there; `send` after all tasks were deleted, where pictures are there already; and the peer, label_studio_sdk's import_tasks with
the same tasks in one request, without pictures and without a check. Last, one large batch with small pictures in a folder, sent once.

.venv/bin/python benchmarks/sending.py --json docs/results/sending.json
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from secondlook.jobs.machine import provenance
from secondlook.jobs.studio.send import send
from tests.services.label_studio import LabelStudio
from tests.services.sending import Waiting, waiting

CLASSES, SEED = ("bird", "cat", "dog", "eel"), 7


def made(rng: np.random.Generator, *, small: bool = False) -> bytes:
    """A made picture."""
    stream = io.BytesIO()
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    if small:
        coarse.save(stream, "PNG")
        return stream.getvalue()
    coarse.resize((64, 64), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it gives."""
    start = time.perf_counter()
    found = what()
    return time.perf_counter() - start, found


def by_sdk(waits: Waiting, data: list[dict[str, Any]]) -> None:
    """The peer: all tasks in one request."""
    project = waits.studio.sdk.projects.create(
        title="peer", label_config='<View><Image name="i" value="$image"/></View>'
    )
    waits.studio.sdk.projects.import_tasks(id=int(project.id or 0), request=data)  # type: ignore[arg-type]


def run(server: LabelStudio, folder: Path, n: int, way: str) -> dict[str, float]:
    """Seconds of each way."""
    rng = np.random.default_rng(SEED)
    known = [(f"{i}.jpg", CLASSES[i % 4], made(rng)) for i in range(n)]
    tool = {"pictures": way, "folder": str(server.folder)}
    with waiting(server, folder / f"lake-{way}-{n}", known, CLASSES, **tool) as waits:
        waits.record("batch-2", waits.samples, options=["cat", "dog"])

        def sent() -> dict[str, Any]:
            return send(waits.lake, waits.settings, waits.studio, "batch-2")

        seconds = {}
        seconds[f"pictures ({way}) and tasks"], first = timed(sent)
        seconds["all there"], _ = timed(sent)
        data = [{"data": one["data"]} for one in waits.tasks(first["project"])]
        server.admin.delete(f"/api/projects/{first['project']}/tasks/")
        seconds["tasks alone"], again = timed(sent)
        assert (first["tasks"], again["sent"], again["tasks"]) == (n, n, n)
        seconds["sdk, one request"], _ = timed(
            lambda: by_sdk(waits, [*data * (n // len(data)), *data[: n % len(data)]])
        )
    return seconds


def large(server: LabelStudio, folder: Path, n: int) -> float:
    """Seconds of sending one batch of n tasks."""
    rng = np.random.default_rng(SEED)
    known = [(f"{i}.png", CLASSES[i % 4], made(rng, small=True)) for i in range(n)]
    tool = {"pictures": "folder", "folder": str(server.folder)}
    with waiting(server, folder / "lake-large", known, CLASSES, **tool) as waits:
        waits.record("batch-2", waits.samples, options=["cat", "dog"])
        seconds, found = timed(lambda: send(waits.lake, waits.settings, waits.studio, "batch-2"))
        there = waits.studio.get(f"/api/projects/{found['project']}/")["task_number"]
    assert (found["sent"], found["lost"], there) == (n, 0, n)
    return seconds


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path)
    options.add_argument("--upload", type=int, default=1_000, help="tasks whose pictures are uploaded")
    options.add_argument("--folder", type=int, default=10_000, help="tasks whose pictures go into a folder")
    options.add_argument("--large", type=int, default=100_000, help="tasks of the large batch")
    chosen = options.parse_args()
    sizes = {"upload": chosen.upload, "folder": chosen.folder}
    with tempfile.TemporaryDirectory() as folder:
        server = LabelStudio(Path(folder))
        try:
            found = {way: run(server, Path(folder), n, way) for way, n in sizes.items()}
            found["large"] = {"pictures (folder, small) and tasks": large(server, Path(folder), chosen.large)}
        finally:
            server.close()
    sizes["large"] = chosen.large
    for place, seconds in found.items():
        n = sizes[place]
        for way, took in seconds.items():
            print(f"{n:>7,} tasks  {way:<28} {took:8.1f} s  {n / took:8,.0f} tasks/s")
    largest = found["folder"]
    print(
        f"tasks alone against one request of the SDK: {largest['tasks alone'] / largest['sdk, one request']:.2f} times the seconds"
    )
    if chosen.json:
        facts = {"seconds": found, "tasks": sizes, "seed": SEED}
        facts |= {"machine": provenance.machine(), "commit": provenance.commit()}
        chosen.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
