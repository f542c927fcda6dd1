"""What is said when all is done: counts, keyed marks, and what the proof read; nobody is named."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from secondlook.jobs.forget.proof import Proof
from secondlook.jobs.forget.tombstones import buried
from secondlook.jobs.forget.work import Work
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.machine import provenance

OUT_OF_REACH = (
    "exports, reports, review queues and pictures that were written to files outside the lake",
    "students that were copied out (`secondlook distill --export`), and models made elsewhere of what was exported",
    "backups of the lake or of its catalog, and what a disk keeps of deleted files",
)
CLASSES_STAY = "in the class list and its history, the choices of batches, clusters and the class lists of models"


def certificate(
    lake: Lake,
    work: Work,
    version: Version,
    proof: Proof,
    swept: Mapping[str, int],
    elsewhere: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Marks are keyed hashes of ids: who has the lake can check that an id is meant, nobody else can."""
    mark = buried(lake, version).mark
    return {
        "lake": lake.url,
        "version": version.id,
        "time": now.isoformat(timespec="seconds"),
        "begun": work.begun,
        "pictures": len(work.samples),
        "contents": len(work.contents),
        "marks": sorted(
            [mark("sample", one) for one in work.samples] + [mark("content", one) for one in work.contents]
        ),
        "rows": version.summary.get("rows", {}),
        "struck": version.summary.get("struck", {}),
        "versions": version.summary.get("versions", 0),
        "models": len(work.models),
        "classes": len(work.classes),  # whose names stay: see CLASSES_STAY
        "deleted": dict(swept),
        "elsewhere": dict(elsewhere),
        "proof": {
            "files": proof.files,
            "bytes": proof.bytes,
            "rows": proof.rows,
            "findings": proof.findings,
            "alike": proof.alike,
        },
        "sources": dict(work.sources),
        "out_of_reach": list(OUT_OF_REACH),
        "secondlook": provenance.machine()["secondlook"],
    }
