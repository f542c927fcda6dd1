"""`secondlook settings`: the settings file, documented, from the one place that defines it."""

from secondlook.jobs.terminal.console import out
from secondlook.pipeline.core.config import documented


def settings() -> None:
    """Print a secondlook.toml with every field, its meaning, unit and default.

    `secondlook settings > secondlook.toml` is a good start.
    """
    out().print(documented(), markup=False)
