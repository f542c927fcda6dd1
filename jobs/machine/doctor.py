"""`secondlook doctor`: what this machine has, what is missing, and what to do about it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption, settings
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import SecondlookError, UnavailableError

PACKAGES = (
    "pandas",
    "scikit-learn",
    "torch",
    "label-studio-sdk",
    "pyspark",
    "fiftyone",
    "pyiceberg",
    "pyarrow",
    "transformers",
)
MIN_FREE_GIB = 5


class Check(NamedTuple):
    """One thing that was looked at: `state` is ok, note (works without) or missing."""

    what: str
    state: str
    found: str
    hint: str = ""


def _python(_: Settings) -> Check:
    return Check("Python", "ok", f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}")


def _packages(_: Settings) -> Check:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", "missing", ", ".join(missing), "run `make setup` again")
    return Check("packages", "ok", ", ".join(found))


def _java(_: Settings) -> Check:
    from secondlook.jobs.machine.spark import java_home

    home = java_home()
    if home is None:
        return Check(
            "Java for Spark", "missing", "none", "install Java 17 or newer, or `pip install 'secondlook[java]'`"
        )
    program = str(Path(home, "bin", "java")) if home else "java"
    answer = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    first = (answer.stderr or answer.stdout).splitlines()[:1]
    return Check("Java for Spark", "ok" if answer.returncode == 0 else "missing", first[0] if first else "does not run")


def _memory(_: Settings) -> Check:
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    state = "ok" if gib >= 4 else "note"
    return Check(
        "memory, cores",
        state,
        f"{gib:.0f} GiB, {os.cpu_count()} cores",
        "" if state == "ok" else "4 GiB are comfortable",
    )


def _gpu(_: Settings) -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("GPU", "ok", torch.cuda.get_device_name(0))
    return Check("GPU", "note", "none; training runs on the CPU")


def _disk(chosen: Settings) -> Check:
    folder = Path(chosen.lake.url).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    state = "ok" if free >= MIN_FREE_GIB else "note"
    return Check("free disk", state, f"{free:,.0f} GiB", "" if state == "ok" else "`secondlook gc` may give some back")


def _lake(chosen: Settings) -> Check:
    from secondlook.jobs.lake.store import Lake

    try:
        head = Lake.open(chosen.lake).head()
    except UnavailableError as problem:
        return Check("lake", "missing", str(problem), "is the database of [lake] catalog up?")
    except SecondlookError as problem:
        return Check("lake", "note", str(problem))
    return Check("lake", "ok", f"{chosen.lake.url}, version {head.id if head else 'none yet'}")


def _label_studio(chosen: Settings) -> Check:
    from secondlook.jobs.studio.client import connect

    if not chosen.label_studio.url:
        return Check("Label Studio", "note", "none named", "[label_studio] url; without it, answers come as files")
    try:
        studio = connect(chosen)
        version = studio.get("/api/version").get("release", "of unknown version")
        studio.close()
    except SecondlookError as problem:
        return Check("Label Studio", "missing", str(problem))
    return Check("Label Studio", "ok", f"{version} at {studio.url}, and it takes the token")


def _explore(_: Settings) -> Check:
    from secondlook.jobs.explore.database import URI, found

    database = found()
    if database is None:
        return Check("MongoDB for FiftyOne", "note", "none", f"`explore` takes a mongod on the PATH, or {URI}")
    return Check("MongoDB for FiftyOne", "ok", "named by " + URI if "://" in database else database)


CHECKS: tuple[Callable[[Settings], Check], ...] = (
    _python,
    _packages,
    _java,
    _memory,
    _gpu,
    _disk,
    _lake,
    _label_studio,
    _explore,
)
STYLES = {"ok": "green", "note": "yellow", "missing": "bold red"}


def doctor(lake: LakeOption = None, settings_file: SettingsOption = None, json: JsonOption = False) -> None:
    """Look at this machine: Python, packages, Java, memory, GPU, disk; and whether the lake and Label Studio answer.

    Exit status 3 where something that secondlook needs is missing.
    """
    chosen = settings(settings_file, lake)
    checks = [check(chosen) for check in CHECKS]

    def lines() -> None:
        table = Table(box=None, show_header=False, pad_edge=False)
        for check in checks:
            hint = f" → {check.hint}" if check.hint else ""
            table.add_row(Text(check.state, style=STYLES[check.state]), Text(check.what), Text(check.found + hint))
        out().print(table)

    finish({check.what: {"state": check.state, "found": check.found} for check in checks}, as_json=json, lines=lines)
    missing = [check.what for check in checks if check.state == "missing"]
    if missing:
        raise UnavailableError(f"missing: {', '.join(missing)}")
