"""Before decisions are made of answers, all ids in the tool are compared with those that are held."""

import contextlib
from typing import Any

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.pull import complaints, told
from secondlook.jobs.studio import pull
from secondlook.jobs.studio.client import connect
from secondlook.jobs.studio.projects import open_rows
from secondlook.jobs.terminal.console import say
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import ConflictError, UnavailableError


def before_commit(lake: Lake, settings: Settings, *, offline: bool = False) -> dict[str, Any] | None:
    """Bring the lake to what the tool says, and say what came of it: see `pull.run`, whose summary this returns.

    None, and nothing done, where no server is set up, where no batch is open there, or where told `offline`.
    Raises UnavailableError where the server is away.
    """
    if offline or not settings.label_studio.url or lake.head() is None or not open_rows(lake, lake.at()):
        return None
    try:
        with contextlib.closing(connect(settings)) as studio:
            summary = pull.run(lake, settings, studio, full=True)
    except ConflictError:
        raise
    except UnavailableError as problem:
        raise UnavailableError(f"{problem}; --offline decides on the answers that are here") from None
    if summary["version"]:
        say(f"pulled from Label Studio: {told(summary)}")
    for line in complaints(summary):
        say(line, style="yellow")
    return summary
