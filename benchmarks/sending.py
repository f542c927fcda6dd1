"""What sending a batch costs: tasks a second, with and without pictures to upload, beside one import of everything by the SDK.

A real Label Studio of its own on this machine (SQLite). N made pictures of 64 pixels, each another. In turn: `send` uploads pictures and imports tasks in pages;
`send` again, which finds all there; `send` after all tasks were deleted, where pictures are there already; and the peer, label_studio_sdk's
import_tasks with all tasks in one request, no pictures and no check.

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


def made(rng: np.random.Generator) -> bytes:
    """A made picture."""
    stream = io.BytesIO()
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
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


def run(server: LabelStudio, folder: Path, n: int) -> dict[str, float]:
    """Seconds of each way."""
    rng = np.random.default_rng(SEED)
    known = [(f"{i}.jpg", CLASSES[i % 4], made(rng)) for i in range(n)]
    with waiting(server, folder / f"lake{n}", known, CLASSES) as waits:
        waits.record("batch-2", waits.samples, options=["cat", "dog"])

        def sent() -> dict[str, Any]:
            return send(waits.lake, waits.settings, waits.studio, "batch-2")

        seconds = {}
        seconds["pictures and tasks"], first = timed(sent)
        seconds["all there"], _ = timed(sent)
        data = [{"data": one["data"]} for one in waits.tasks(first["project"])]
        headers = {"X-CSRFToken": server.admin.cookies()["csrftoken"]}
        server.admin.session.delete(f"/api/projects/{first['project']}/tasks/", headers=headers, timeout=600)
        seconds["tasks alone"], again = timed(sent)
        assert (first["tasks"], again["sent"], again["tasks"]) == (n, n, n)
        seconds["sdk, one request"], _ = timed(lambda: by_sdk(waits, data * (n // len(data))))
    return seconds


def main() -> None:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", type=Path)
    options.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000])
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = LabelStudio(Path(folder))
        try:
            found = {n: run(server, Path(folder), n) for n in chosen.tasks}
        finally:
            server.close()
    for n, seconds in found.items():
        for way, took in seconds.items():
            print(f"{n:>7,} tasks  {way:<20} {took:8.1f} s  {n / took:8,.0f} tasks/s")
    largest = found[max(found)]
    print(
        f"tasks alone against one request of the SDK: {largest['tasks alone'] / largest['sdk, one request']:.2f} times the seconds"
    )
    if chosen.json:
        facts = {"seconds": {str(n): seconds for n, seconds in found.items()}, "seed": SEED}
        facts |= {"machine": provenance.machine(), "commit": provenance.commit()}
        chosen.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
