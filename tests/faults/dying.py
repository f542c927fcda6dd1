"""What a process runs that is to die at a moment of its commit: imported by it alone, from a server that has loaded the rest."""

import os
import signal
from typing import Any

from secondlook.jobs.clusters import clusters
from secondlook.jobs.distill import distill
from secondlook.jobs.lake.store import Attempt, Lake
from secondlook.jobs.specialists import specialists
from secondlook.pipeline.core.config import Settings

JOBS = {"clusters": clusters.run, "specialists": specialists.run, "distill": distill.run}


def die(url: str, settings: Settings, job: str, when: str) -> None:
    """Run a job, and be killed just `before` or just `after` it commits."""
    real = Attempt.commit

    def commit(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    Attempt.commit = commit  # type: ignore[assignment, method-assign]
    JOBS[job](Lake(url), settings)
