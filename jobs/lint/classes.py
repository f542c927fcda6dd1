"""SL503: what lint says of classes."""

from collections.abc import Iterable

from secondlook.jobs.lint.carrier import Carrier, Said, to_table
from secondlook.pipeline.audit.rare_classes import rare_classes
from secondlook.pipeline.core.config import LintSettings


def audit(carrier: Carrier, names: Iterable[str], settings: LintSettings) -> Said:
    """SL503, of every class by name."""
    counts = carrier.counts()
    if not counts:
        return Said(to_table([]), {"SL503": "no picture has a label"})
    return Said(to_table(rare_classes({name: counts.get(name, 0) for name in names}, settings.min_class)))
