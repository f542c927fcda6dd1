"""What a training depends on: the same inputs give the same model, which is found again and not trained twice."""

import dataclasses
from pathlib import Path
from typing import Any

from secondlook.jobs.lake.store import Version
from secondlook.pipeline.core.config import Settings

# What a training reads and so depends on. Not `embeddings`: they only save work, and are of its own making.
READS = ("samples", "labels", "classes", "images", "fingerprints")
# Settings of nets that are fitted whole, but of `small`.
OF_WHOLE_NETS = ("mode", "optimizer", "rate", "smoothing", "flip", "precision", "sampled", "hold_mb", "compile")


def inputs_of(settings: Settings, version: Version, heard: list[str]) -> dict[str, Any]:
    """All that determines what a training writes; `heard`: models whose evidence stands beside its own."""
    from secondlook.pipeline.learn import generalist

    mode = generalist.mode_of(settings.train)
    chosen = dataclasses.asdict(settings.train)
    del chosen["threads"]
    if mode == "frozen":
        del chosen["epochs"]
    if mode == "frozen" or settings.train.backbone == generalist.SMALL:
        for setting in OF_WHOLE_NETS:  # they don't matter: models of before they were there are known again
            del chosen[setting]
    else:
        chosen["mode"] = mode
    if settings.train.backbone != generalist.SMALL:
        folder = Path(settings.train.backbone).expanduser()
        if folder.is_dir():  # other weights may lie there one day
            facts = [(file.name, file.stat()) for file in sorted(folder.iterdir()) if file.is_file()]
            chosen["files"] = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in facts]
    if not settings.train.reweigh:  # nor do they matter then: models of before they were there are known again
        for name in ("reweigh", "reweigh_to", "reweigh_most"):
            del chosen[name]
    near = [settings.lint.near_bits, settings.lint.near_confirm_bits, settings.lint.entropy]
    inputs = {"train": chosen, "near": near, "tables": {name: version.tables.get(name) for name in READS}}
    if settings.train.reweigh:
        inputs["reweighed"] = _groups_of(settings, version)
    return inputs | ({"heard": heard} if heard else {})


def _groups_of(settings: Settings, version: Version) -> dict[str, Any]:
    """What the groups follow from, by which pictures are weighed."""
    from secondlook.jobs.bias.groups import reference_text

    bins = {one.name: one.bins for one in settings.attributes if one.bins}
    shares = reference_text(settings) if settings.train.reweigh_to == "reference" else None
    return {"bins": bins, "shares": shares, "repairs": version.tables.get("attribute_repairs")}
