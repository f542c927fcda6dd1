"""What is written of specialists: their weights, the set that says who they are, and its predictions."""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from secondlook.jobs.specialists.making import Made
from secondlook.jobs.specialists.stored import FACTS, FORMAT, KIND, OF_ONE, WEIGHTS
from secondlook.jobs.specialists.tried import Setting, Trial
from secondlook.pipeline.core.config import Settings

if TYPE_CHECKING:
    from secondlook.jobs.lake.dataset import Model
    from secondlook.jobs.lake.store import Attempt, Lake


def store(
    attempt: "Attempt",
    settings: Settings,
    model: "Model",
    name: str,
    setting: Setting,
    trial: Trial,
    made: Made,
    summary: dict[str, Any],
) -> None:
    """Files of the kept specialists and of their set, and rows of `models` and `predictions`, in an attempt."""
    from safetensors.torch import save

    lake, short = attempt.lake, name.rpartition("-")[2]
    told = {one["cluster"]: one for one in summary["specialists"]}
    rows: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    for part, one in zip(made.kept, made.together.specialists, strict=True):
        own = f"{OF_ONE}-{short}-{part.place}"
        path = f"models/{own}/{attempt.id[:12]}"
        weights = {key: value.detach().cpu().contiguous() for key, value in one.net.state_dict().items()}
        members = list(part.members)
        _write(lake, path, {WEIGHTS: save(weights), FACTS: _json({"format": FORMAT, "members": members})})
        kept.append({"name": own, "path": path, "members": members})
        classes = [model.classes[number] for number in members]
        rows.append(_row(own, OF_ONE, model, classes, path, told[part.cluster.name], settings, [model.name]))
    path = f"models/{name}/{attempt.id[:12]}"
    facts = {
        "format": FORMAT,
        "generalist": model.name,
        "active": made.together.n_active,
        "temperature": made.together.temperature,
        "specialists": kept,
    }
    _write(lake, path, {FACTS: _json(facts)})
    figures = {key: summary[key] for key in ("held_out", "test", "kept", "tried_on_folds", "seed", "device", "seconds")}
    made_of = [model.name, *(one["name"] for one in kept)]
    rows.append(_row(name, KIND, model, model.classes, path, figures, settings, made_of))
    _append(attempt, rows)
    _predictions(attempt, settings.train.top_k, name, setting, trial, made)


def _write(lake: "Lake", path: str, files: dict[str, bytes]) -> None:
    folder = lake.folder(*path.split("/"))
    for file, data in files.items():
        lake.fs.pipe_file(f"{folder}/{file}", data)


def _json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, indent=1).encode()


def _row(
    name: str,
    kind: str,
    model: "Model",
    classes: list[str],
    path: str,
    metrics: dict[str, Any],
    settings: Settings,
    made_of: list[str],
) -> dict[str, Any]:
    return {
        "model": name,
        "kind": kind,
        "backbone": model.backbone,
        "classes": classes,
        "path": path,
        "settings": json.dumps(dataclasses.asdict(settings.specialists), sort_keys=True),
        "metrics": json.dumps(metrics, sort_keys=True),
        "embedder": model.embedder,
        "made_of": made_of,
    }


def _append(attempt: "Attempt", rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa

    from secondlook.pipeline.core.schemas import TABLES

    attempt.append("models", pa.Table.from_pylist(rows, TABLES["models"].schema))


def _predictions(attempt: "Attempt", top_k: int, name: str, setting: Setting, trial: Trial, made: Made) -> None:
    """Of pictures that no specialist learned from, and, by specialists of their fold, of those that were held out."""
    from secondlook.jobs.train.features import prediction_rows

    lessons = setting.lessons
    held_out = np.concatenate([trial.chose.rows, trial.others.rows])
    rows = np.concatenate([lessons.unseen, held_out])
    folds = np.concatenate([np.full(len(lessons.unseen), -1), lessons.folds[held_out]])
    probs = np.concatenate([made.unseen, made.held_out])
    ids = [lessons.content_ids[row] for row in rows]
    attempt.append("predictions", prediction_rows(attempt.seq, ids, name, probs, top_k, folds))
