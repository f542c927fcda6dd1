"""The page of clusters: what the lake holds of them, drawn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from secondlook.jobs.clusters.answers import answers
from secondlook.jobs.clusters.stored import clusters
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.report.report import write_atomically
from secondlook.pipeline.report.clusters import ClusterFacts, render


def write(lake: Lake, summary: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """Write the page of a run of `clusters`; returns where it lies. Raises UserError where it can't be written."""
    path = output.expanduser().absolute()
    size = write_atomically(path, render(facts(lake, summary)))
    return {"output": str(output), "url": path.as_uri(), "bytes": size}


def facts(lake: Lake, summary: Mapping[str, Any]) -> ClusterFacts:
    """What the page shows: the clusters of a version, and the mistakes on the pictures that they were found from."""
    version = lake.at(summary["version"])
    model = dataset.model_named(lake, version, summary["model"])
    assert model is not None, "the version with its clusters has the model"
    heard = answers(lake, lake.at(summary["read_version"]), model)
    given, named = heard.labels, heard.best()
    wrong = (given >= 0) & (named >= 0) & (given != named)
    k = len(model.classes)
    cells, counts = np.unique(given[wrong] * k + named[wrong], return_counts=True)
    pictures = np.bincount(given[given >= 0], minlength=k)
    return ClusterFacts(
        summary, clusters(lake, version, model.name), model.classes, cells // k, cells % k, counts, pictures
    )
