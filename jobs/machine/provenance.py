"""What a figure carries with it: the machine, the versions and the commit that made it."""

import functools
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any


@functools.cache
def machine() -> dict[str, Any]:
    """Cores, memory and processor of this machine, without its name."""
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(pages * page_bytes / 2**30),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "secondlook": metadata.version("secondlook"),
    }


@functools.cache
def commit() -> str:
    """The commit of the checkout that runs, with + where it was changed; "" outside a checkout."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603, S607

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
