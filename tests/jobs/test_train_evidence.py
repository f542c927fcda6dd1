"""What training writes of evidence: for which pictures, of which label, and by whom."""

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train import evidence, train
from secondlook.pipeline.audit.labels.evidence import KINDS, combine
from tests.jobs.test_train import SMALL, Fill, backbone, frozen, pictures

__all__ = ["backbone"]


def written(lake: Lake, model: str) -> dict[str, dict[str, Any]]:
    rows = dataset.evidence(lake, lake.at(), model)
    return {row["content_id"]: row for row in rows.to_pylist()}


def test_every_judged_label_has_its_evidence(lake: Lake, fill: Fill) -> None:
    some = pictures(60)
    some[5] = (some[5][0], "across", *some[5][2:])  # shows "upright"
    fill([*some, *pictures(8, 100, label=False), *pictures(10, 200, split="test")])
    longer = dataclasses.replace(SMALL, train=dataclasses.replace(SMALL.train, epochs=8))
    found = written(lake, train.run(lake, longer)["model"])
    samples = {row["content_id"]: row for row in dataset.samples(lake, lake.at()).to_pylist()}
    labeled = {name for name, row in samples.items() if row["label"] is not None and row["split"] != "test"}
    assert found.keys() == labeled
    kinds = ("held_out", "refit", "dynamics")
    for name, row in found.items():
        assert row["label"] == samples[name]["label"]
        assert {kind for kind in KINDS if row[kind] is not None} == set(kinds)
    said = {kind: np.array([row[kind] for row in found.values()]) for kind in kinds}
    assert [row["p_error"] for row in found.values()] == pytest.approx(combine(said), abs=1e-6)
    doubted = max(found, key=lambda name: found[name]["p_error"])
    assert samples[doubted]["key"] == some[5][0]
    assert found[doubted]["p_error"] > 0.5


def test_a_model_with_another_backbone_is_heard_for_the_label_that_it_spoke_of(
    lake: Lake, fill: Fill, backbone: str
) -> None:
    fill(pictures(40))
    first = train.run(lake, SMALL)["model"]
    second = train.run(lake, frozen(backbone))["model"]
    before, after = written(lake, first), written(lake, second)
    for name, row in after.items():
        own = {kind: np.array([before[name][kind]]) for kind in ("held_out", "refit", "dynamics")}
        assert row["others"] == pytest.approx(float(combine(own)[0]), abs=1e-6)
        assert row["neighbors"] is not None
    ids = list(after)
    labels = pa.array([after[name]["label"] for name in ids[:-2]] + ["something else", None], pa.string())
    heard = evidence.of_others(lake, lake.at(), [first], ids, labels)
    assert np.isfinite(heard[:-2]).all()
    assert np.isnan(heard[-2:]).all()
    assert evidence.other_models(lake, lake.at(), "small") == [second]
    again = train.run(lake, frozen(backbone))["model"]
    assert again == second
