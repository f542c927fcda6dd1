"""SL501, SL503: what lint says of classes."""

from collections.abc import Iterable, Mapping

from secondlook.jobs.lake.classes import Classes
from secondlook.jobs.lint.carrier import Carrier, Said, to_table
from secondlook.pipeline.audit.classes.offensive_names import Doubtful, offensive_names
from secondlook.pipeline.audit.classes.rare_classes import rare_classes
from secondlook.pipeline.core.config import LintSettings


def audit(carrier: Carrier, names: Iterable[str], settings: LintSettings) -> Said:
    """SL503, of every class by name."""
    counts = carrier.counts()
    if not counts:
        return Said(to_table([]), {"SL503": "no picture has a label"})
    return Said(to_table(rare_classes({name: counts.get(name, 0) for name in names}, settings.min_class)))


def named(carrier: Carrier, classes: Classes, waiting: Mapping[str, str]) -> Said:
    """SL501, of the classes that wait for a sign-off: name → how it may be shown."""
    counts = carrier.counts()
    found = (
        Doubtful(classes.listed.numbers.get(name), shown, concern, counts.get(shown, 0))
        for name, shown in waiting.items()
        if (concern := classes.concern(name)) is not None
    )
    return Said(to_table(offensive_names(found)))
