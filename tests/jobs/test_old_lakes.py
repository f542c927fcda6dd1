"""A lake that was made before students, clusters and frontiers: what came later reads it, and writes on."""

import dataclasses
from pathlib import Path

import pytest

from secondlook.jobs.clusters import stored as clusters
from secondlook.jobs.distill import stored as students
from secondlook.jobs.export import export
from secondlook.jobs.forget import forget
from secondlook.jobs.helped import helped
from secondlook.jobs.lake import dataset, gc
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.config import LakeSettings, Settings
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.schemas import TABLES
from tests.jobs.conftest import filler

KEYS = {f"{at:02d}.png": "cat" if at % 2 else "dog" for at in range(40)}
NEW = ("clusters", "frontier")


def train(lake: Lake, name: str, **more: object) -> None:
    model = {
        "model": name,
        "kind": "generalist",
        "classes": ["cat", "dog"],
        "settings": "{}",
        "backbone": "small",
        "path": f"models/{name}/a",
    }
    said = [
        {"content_id": content_id(key.encode()), "model": name, "classes": [0], "probs": [0.9], "fold": 1}
        for key in KEYS
    ]
    attempt = lake.attempt("train", {"name": name})
    attempt.append("models", rows("models", [model | more]))
    attempt.append("predictions", rows("predictions", said))
    attempt.commit({})


def test_a_lake_from_before_models_were_made_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dict(TABLES)
    models = TABLES["models"]
    older = dataclasses.replace(models, schema=models.schema.remove(models.schema.get_field_index("made_of")))
    monkeypatch.setitem(TABLES, "models", older)
    for name in NEW:
        monkeypatch.delitem(TABLES, name)
    url = str(tmp_path / "old")
    old = Lake(url, create=True)
    filler(old)([(key, label, key.encode()) for key, label in KEYS.items()])
    train(old, "first")
    old.close()
    for name, table in whole.items():
        monkeypatch.setitem(TABLES, name, table)
    lake = Lake(url)
    version = lake.at()
    assert dataset.newest_model(lake, version).name == "first"
    assert clusters.clusters(lake, version, "first") == []
    assert students.students(lake, version) == []
    assert lake.latest("models", version)["made_of"].to_pylist() == [None]
    assert forget.plan(lake, Settings(), ["00.png"]).trained == {"first": [1]}
    train(lake, "student-a", kind="student", made_of=["first"])
    train(lake, "second")
    assert dataset.newest_model(lake, lake.at()).name == "second", "a student is no generalist"
    assert helped.run(lake, Settings()).whole.n == 40
    assert forget.plan(lake, Settings(), ["00.png"]).trained == {"first": [1], "second": [1], "student-a": [1]}
    export.run(lake, str(tmp_path / "patch.csv"), as_of=2)
    assert (tmp_path / "patch.csv").exists()
    gc.run(lake, LakeSettings(), grace_hours=0)
    assert dataset.newest_model(lake, lake.at(2)).name == "first"
