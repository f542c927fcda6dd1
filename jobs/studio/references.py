"""Pictures that surely show a class, to stand beside its choice: decided by people, or those that the model is surest of."""

from collections import defaultdict
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.gold import gold
from secondlook.jobs.lake.store import Lake, Version

SURE = 0.8  # probability of the label, out of sample, from which a picture is shown as an example
AMONG = 40  # of the surest, some are drawn: the very surest are often copies of one another


def chosen(
    lake: Lake, version: Version, classes: Collection[str], asked: Collection[str], n: int
) -> dict[str, list[str]]:
    """Up to n contents for each class. Never what is asked (contents), and never gold: an example would give it away."""
    rows = dataset.samples(lake, version).select(["sample_id", "content_id", "label"])
    of_classes = pc.is_in(rows["label"], value_set=pa.array(sorted(classes), pa.string()))
    known = gold(lake, version)
    rows = rows.filter(of_classes)
    is_gold = pc.is_in(rows["sample_id"], value_set=pa.array(sorted(known), pa.string()))
    hidden = {*asked, *rows.filter(is_gold)["content_id"].to_pylist()}
    sure = _sure(lake, version)
    ranked: dict[str, dict[str, float]] = defaultdict(dict)
    reviewed = _reviewed(lake, version)
    for row in rows.to_pylist():
        content, label = row["content_id"], row["label"]
        held = sure.get(content)
        trust = 1.0 if row["sample_id"] in reviewed else held[1] if held is not None and held[0] == label else 0.0
        if trust >= SURE and content not in hidden:
            ranked[label][content] = max(trust, ranked[label].get(content, 0.0))
    return {label: _drawn(found, n) for label, found in ranked.items()}


def _drawn(found: dict[str, float], n: int) -> list[str]:
    surest = sorted(found, key=lambda content: (-found[content], content))[:AMONG]
    return sorted(surest)[:n]  # a content's id is a hash, so this order is as good as a draw


def _reviewed(lake: Lake, version: Version) -> frozenset[str]:
    labels = lake.latest("labels", version, ["sample_id", "label", "source"])
    held = pc.and_(pc.equal(labels["source"], "review"), pc.is_valid(labels["label"]))
    return frozenset(labels.filter(held)["sample_id"].to_pylist())


def _sure(lake: Lake, version: Version) -> dict[str, tuple[str, float]]:
    """Content → class and probability, of contents that the newest model is sure of."""
    if not lake.latest("models", version, ["model"]).num_rows:
        return {}
    model = dataset.newest_model(lake, version)
    rows = dataset.predictions(lake, version, model.name)
    best = pc.list_element(rows["probs"], 0)
    rows = rows.filter(pc.greater_equal(best, SURE))
    places, probs = pc.list_element(rows["classes"], 0).to_pylist(), pc.list_element(rows["probs"], 0).to_pylist()
    found = zip(rows["content_id"].to_pylist(), places, probs, strict=True)
    return {content: (model.classes[place], float(p)) for content, place, p in found}
