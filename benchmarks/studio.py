"""What a pull costs where few answers changed, against reading everything by the export API as integrations do. Claim: it is a small part.

A real Label Studio of its own on this machine, 5,000 answered tasks in one project, of which 50 answers are changed. Each way is taken in turn, ROUNDS times.
The peers read the same project through label_studio_sdk or the export API and would have to find out themselves what changed.

.venv/bin/python benchmarks/studio.py --json docs/results/studio.json
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from secondlook.jobs.lake.records import rows
from secondlook.jobs.machine import provenance
from secondlook.jobs.studio import changes, pull
from secondlook.labeling.studio import tasks
from secondlook.labeling.studio.tasks import Option
from secondlook.labeling.tickets import tickets
from tests.services.asking import CLASSES, Asked, ask, said
from tests.services.label_studio import LabelStudio

ANSWERED, CHANGED, ROUNDS, SEED = 5_000, 50, 5, 7


def answered(server: LabelStudio, folder: Path, n: int) -> Asked:
    """A batch of n tasks, all but one answered: by an import, as people take 0.2 s each through the API."""
    asked = ask(server, folder / "lake", 1)
    secret, samples = asked.lake.versions.secret(), [f"{i:032x}" for i in range(n - 1)]
    options = [Option(tasks.code(name), name) for name in CLASSES]
    named = tickets(secret, asked.batch, samples)
    made = [tasks.task(secret, asked.batch, named[one], "/static/0.png", options) for one in samples]
    made = [one | {"annotations": [said(CLASSES[i % 3])]} for i, one in enumerate(made)]
    for start in range(0, len(made), 500):
        asked.studio.post(f"/api/projects/{asked.project}/import", json=made[start : start + 500])
    attempt = asked.lake.attempt("review push", {"more": True})
    same = {"batch": asked.batch, "strategy": "SL101", "choices": list(CLASSES)}
    attempt.append(
        "batches", rows("batches", [same | {"sample_id": one, "position": i} for i, one in enumerate(samples, 1)])
    )
    attempt.commit({})
    return asked


def by_export(asked: Asked) -> int:
    """The export API, JSON, all annotated tasks."""
    return len(asked.studio.get(f"/api/projects/{asked.project}/export", exportType="JSON"))


def by_sdk(asked: Asked) -> int:
    """The SDK's list of tasks, 100 a page, with all fields."""
    return sum(1 for _ in asked.studio.sdk.tasks.list(project=asked.project, fields="all", page_size=100))


def by_pull(asked: Asked) -> int:
    """What people touched since the cursor: what `secondlook review pull` reads and compares."""
    return int(pull.run(asked.lake, asked.settings, asked.studio)["answers"])


def by_ids(asked: Asked) -> int:
    """All ids compared, as `secondlook commit` does."""
    return int(pull.run(asked.lake, asked.settings, asked.studio, full=True)["answers"])


WAYS: Mapping[str, Callable[[Asked], int]] = {
    "pull": by_pull,
    "reconcile": by_ids,
    "export": by_export,
    "sdk_list": by_sdk,
}


def measured(asked: Asked) -> dict[str, Any]:
    """Seconds of each way, and what it read, in turns."""
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    read: dict[str, int] = {}
    for _ in range(ROUNDS):
        for way, run in WAYS.items():
            start = time.perf_counter()
            read[way] = run(asked)
            taken[way].append(time.perf_counter() - start)
    return {
        way: {
            "seconds": round(statistics.median(times), 3),
            "least": round(min(times), 3),
            "most": round(max(times), 3),
            "tasks_read": read[way],
        }
        for way, times in taken.items()
    }


def main() -> None:
    """Run all ways, print the ratios, and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--answered", type=int, default=ANSWERED)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = LabelStudio(Path(folder) / "label-studio")
        try:
            asked = answered(server, Path(folder), arguments.answered)
            start = time.perf_counter()
            first = pull.run(asked.lake, asked.settings, asked.studio, full=True)
            first_s = time.perf_counter() - start
            listed, _ = changes.listed(asked.studio, asked.project)
            for number in sorted(listed)[:: max(len(listed) // CHANGED, 1)][:CHANGED]:
                asked.change(server.admin, number, tasks.UNSURE)
            changed = pull.run(asked.lake, asked.settings, asked.studio)
            ways = measured(asked)
            asked.close()
        finally:
            server.close()
    figures = {
        "answered": arguments.answered,
        "first_pull": {"seconds": round(first_s, 2), "added": first["added"]},
        "changed": changed["changed"],
        "rounds": ROUNDS,
        "pull": ways,
        "export_over_pull": round(ways["export"]["seconds"] / ways["pull"]["seconds"], 1),
        "sdk_over_pull": round(ways["sdk_list"]["seconds"] / ways["pull"]["seconds"], 1),
        "export_over_reconcile": round(ways["export"]["seconds"] / ways["reconcile"]["seconds"], 1),
        "label_studio": "1.23.2, SQLite, on the same machine",
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    print(json.dumps(figures, indent=2))
    if arguments.json:
        before = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
        arguments.json.write_text(json.dumps(before | {"pulling": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
