"""Upkeep of the lake's tables: what is no longer named goes, and many small files become few.

A table's past costs: every snapshot makes its metadata longer, so every commit slower, and every small file is one more
to open. Measured in benchmarks/commits.py.
"""

import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pyiceberg.table import Table as IcebergTable

from secondlook.jobs.lake.store import Lake, Version

COMPACT_FILES = 32  # a table of more files than this …
COMPACT_FILE_BYTES = 16 * 2**20  # … that are smaller than this on average is rewritten


def tables(lake: Lake) -> list[str]:
    """Names of the tables that the lake has."""
    return sorted(name for _, name in lake.catalog.list_tables(lake.namespace))


def old_versions(lake: Lake, keep: int) -> list[int]:
    """Numbers of the versions beyond the newest `keep`; the newest lint and training stay readable through the tables."""
    return [version.id for version in lake.versions.all()[:-keep]]


def compact(lake: Lake) -> list[str]:
    """Rewrite tables of many small files into few, as one new version; images are written large from the start."""
    head = lake.head()
    assert head is not None, "there is something to compact"
    attempt = lake.attempt("gc", {"tables": dict(head.tables)}, head)
    rewritten = []
    for name in head.tables:
        sizes = [task.file.file_size_in_bytes for task in lake.scan(name, head).plan_files()]
        if name != "images" and len(sizes) > COMPACT_FILES and sum(sizes) / len(sizes) < COMPACT_FILE_BYTES:
            attempt.replace(name, lake.scan(name, head).to_arrow_batch_reader())
            rewritten.append(name)
    if rewritten:
        attempt.commit({"compacted": rewritten})
    return rewritten


def sweep(lake: Lake, name: str, kept: Iterable[Version], *, grace_hours: float, dry_run: bool) -> dict[str, int]:
    """Drop branches and snapshots of a table that no kept version names, then the files that no snapshot names.

    Returns counts: snapshots, files, bytes. What is younger than the grace stays: a running job may have written it.
    """
    table = lake.iceberg(name, fresh=True)
    horizon = datetime.now(UTC) - timedelta(hours=grace_hours)
    horizon_ms = int(horizon.timestamp() * 1000)
    root = table.current_snapshot()
    named = {version.tables[name] for version in kept if name in version.tables} | {root.snapshot_id if root else 0}
    doomed = [s.snapshot_id for s in table.snapshots() if s.snapshot_id not in named and s.timestamp_ms <= horizon_ms]
    if doomed and not dry_run:
        branches = [ref for ref, head in table.refs().items() if head.snapshot_id in set(doomed)]
        with table.manage_snapshots() as refs:
            for branch in branches:
                refs.remove_branch(branch)
        table.refresh()
        table.maintenance.expire_snapshots().by_ids(doomed).commit()
        table = lake.iceberg(name, fresh=True)
    orphans = _orphans(lake, table, set(doomed), horizon)
    if not dry_run:
        for path, _ in orphans:
            with contextlib.suppress(FileNotFoundError):  # another sweep was faster
                lake.fs.rm(path)
    return {"snapshots": len(doomed), "files": len(orphans), "bytes": sum(size for _, size in orphans)}


def sweep_weights(lake: Lake, kept: Sequence[Version], *, grace_hours: float, dry_run: bool) -> dict[str, int]:
    """Remove folders of weights, models/MODEL/ATTEMPT, that no model of a kept version names. Returns files, bytes."""
    horizon = datetime.now(UTC) - timedelta(hours=grace_hours)
    trained = [version for version in kept if "models" in version.tables]
    named = {path for version in trained for path in lake.read("models", version, ["path"])["path"].to_pylist()}
    counts = {"files": 0, "bytes": 0}
    top = f"{lake.root}/models"
    for path, facts in (lake.fs.find(top, detail=True) if lake.fs.exists(top) else {}).items():
        folder = path.removeprefix(lake.root).strip("/").rsplit("/", 1)[0]
        if folder not in named and _modified(facts) <= horizon:
            counts["files"] += 1
            counts["bytes"] += facts["size"]
            if not dry_run:
                lake.fs.rm(path)
    return counts


def _orphans(lake: Lake, table: IcebergTable, without: set[int], horizon: datetime) -> Sequence[tuple[str, int]]:
    """(path, bytes) of files below the table that none of its snapshots, but those `without`, names."""
    needed = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    seen: set[str] = set()
    for snapshot in table.snapshots():
        if snapshot.snapshot_id in without:
            continue
        needed.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in seen:
                seen.add(manifest.manifest_path)
                needed.update(entry.data_file.file_path for entry in manifest.fetch_manifest_entry(table.io))
    paths = {lake.strip(url) for url in needed | seen}
    found = lake.fs.find(lake.strip(table.location()), detail=True)
    return [(path, facts["size"]) for path, facts in found.items() if path not in paths and _modified(facts) <= horizon]


def _modified(facts: dict[str, Any]) -> datetime:
    stamp = facts.get("mtime", facts.get("LastModified"))
    return stamp if isinstance(stamp, datetime) else datetime.fromtimestamp(float(stamp or 0), UTC)
