"""What a person would score, as the page shows it beside the model: what `secondlook review status` says."""

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.human import human_error
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.statistics import Interval, Share
from secondlook.pipeline.report import facts as f

SOURCES = {"gold": "by supplied gold", "agreement": "by what others answered"}


def person(lake: Lake, version: Version, settings: Settings) -> f.HumanFacts | None:
    """The human error rate of a version; None where answers tell too little."""
    told = human_error(lake, version, settings)
    if told is None:
        return None
    known = {source: told[source] for source in SOURCES if told[source]}
    people = tuple(
        f.PersonFacts(SOURCES[source], one["value"], Interval(*one["interval"]), one["answers"], one["pictures"])
        for source, one in known.items()
    )
    spent = next(iter(known.values()))["by_seconds"]
    model = told["model"]
    return f.HumanFacts(
        people,
        {
            (one["from"], one["to"]): f.Estimated(one["value"], one["answers"], Interval(*one["interval"]))
            for one in spent
        },
        Share(model["wrong"], model["n"], Interval(*model["interval"])) if model else None,
    )
