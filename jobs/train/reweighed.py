"""How much each picture counts in training, where `[train] reweigh` names attributes: what it says, held against a version."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.bias.groups import grouping as grouping_of
from secondlook.jobs.bias.groups import reference_text
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.train.training_set import TrainingSet
from secondlook.pipeline.bias import reference
from secondlook.pipeline.bias.cells import codes
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.reweigh import Reweighed, reweigh, targets
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Importance:
    """`weights` (N,) of contents, mean 1 over those that are fitted on and 1 for all others; `facts` for the model's metrics."""

    weights: npt.NDArray[np.float32]
    facts: Mapping[str, Any]


def groups(lake: Lake, version: Version, settings: Settings) -> tuple[Grouping, reference.Shares] | None:
    """The groups that pictures are weighed by, and the shares that they should have; None where nothing is weighed.

    Raises UserError for an attribute that is not there, or of which shares are wanted and none are given.
    """
    wanted = settings.train
    if not any(name.strip() for name in wanted.reweigh.split(",")):
        return None
    narrowed = dataclasses.replace(settings, bias=dataclasses.replace(settings.bias, attributes=wanted.reweigh))
    try:
        grouping = grouping_of(lake, version, narrowed)
    except UserError as problem:
        raise UserError(str(problem).replace("[bias] attributes", "[train] reweigh")) from None
    if wanted.reweigh_to != "reference":
        return grouping, {}
    text = reference_text(settings)
    shares = reference.shares(grouping, text) if text else {}
    if not shares:
        names = " or ".join(grouping.attributes)
        raise UserError(f'[train] reweigh_to = "reference" needs shares of {names} in [bias] reference')
    return grouping, shares


def importance(lake: Lake, version: Version, settings: Settings, data: TrainingSet, fitted: Ints) -> Importance | None:
    """How much each content counts, (N,), by the attributes of its first sample; None where nothing is weighed.

    fitted: contents that are fitted on. Raises UserError as `groups` does, and for shares that can't be reached.
    """
    wanted, chosen = settings.train, groups(lake, version, settings)
    if chosen is None:
        return None
    grouping, shares = chosen
    cell = codes(dataset.samples(lake, version)["attributes"], grouping)
    first = np.full(len(data.content_ids), -1, np.int64)
    owners, at = np.unique(data.sample_content, return_index=True)
    first[owners] = cell[at]
    there, group, n = np.unique(first[fitted], return_inverse=True, return_counts=True)
    target = targets(grouping, grouping.split(there), n, wanted.reweigh_to, shares)  # type: ignore[arg-type]
    found = reweigh(group.reshape(-1), data.labels[fitted], target, wanted.reweigh_most)
    weights = np.ones(len(data.content_ids), np.float32)
    weights[fitted] = found.weights
    return Importance(weights, _facts(found, list(grouping.attributes), wanted.reweigh_to, len(there), len(fitted)))


def _facts(found: Reweighed, names: list[str], to: str, groups: int, n: int) -> dict[str, Any]:
    return {
        "by": names,
        "to": to,
        "groups": groups,
        "n": n,
        "effective": round(found.effective, 1),
        "largest": round(found.largest, 3),
        "capped": found.capped,
    }
