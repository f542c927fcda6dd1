"""`secondlook gc`: remove what no version needs any more, and make small files few."""

from typing import Annotated, Any

import typer

from secondlook.jobs.lake import maintenance
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption, settings
from secondlook.pipeline.core.config import LakeSettings


def run(lake: Lake, chosen: LakeSettings, *, grace_hours: float, dry_run: bool = False) -> dict[str, Any]:
    """Compact, expire, delete; the summary counts what went.

    What is younger than the grace may belong to a job that still runs, and stays.
    """
    head = lake.head()
    compacted = maintenance.compact(lake) if head is not None and not dry_run else []
    versions = maintenance.old_versions(lake, chosen.keep_versions)
    if versions and not dry_run:
        lake.versions.remove(versions)
    kept = lake.versions.all() if not dry_run else [v for v in lake.versions.all() if v.id not in set(versions)]
    summary: dict[str, Any] = {
        "versions": len(versions),
        "snapshots": 0,
        "files": 0,
        "bytes": 0,
        "compacted": compacted,
    }
    for name in maintenance.tables(lake):
        counts = maintenance.sweep(lake, name, kept, grace_hours=grace_hours, dry_run=dry_run)
        for key, value in counts.items():
            summary[key] += value
    for key, value in maintenance.sweep_weights(lake, kept, grace_hours=grace_hours, dry_run=dry_run).items():
        summary[key] += value
    return summary


def gc(
    grace_hours: Annotated[
        float, typer.Option(min=0, help="Leave what is younger: a job that still runs may have written it. [hours]")
    ] = 24.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    lake: LakeOption = None,
    settings_file: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Remove what no version needs any more.

    Files of jobs that died, versions beyond the newest [lake] keep_versions, and their files go; tables of many small
    files are rewritten into few. Nothing that a kept version shows changes. Run it daily, or when disk is short.
    """
    chosen = settings(settings_file, lake)
    summary = run(Lake.open(chosen.lake), chosen.lake, grace_hours=grace_hours, dry_run=dry_run)
    verb = "would remove" if dry_run else "removed"

    def lines() -> None:
        out().print(
            f"{verb} {summary['versions']} versions, {summary['snapshots']} snapshots, "
            f"{summary['files']} files ({summary['bytes'] / 2**20:,.1f} MiB)",
        )
        if summary["compacted"]:
            say(f"made small files few in: {', '.join(summary['compacted'])}")

    finish(summary, as_json=json, lines=lines)
