"""`[train] reweigh`: a planted gap between groups gets smaller on held-out pictures, and the model says how it was made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs import cli
from secondlook.jobs.bias.change import change
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train import train
from secondlook.pipeline.core.config import Settings, from_mapping
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id
from tests.jobs.test_train import backbone, pictures  # noqa: F401 - a fixture

Fill = Callable[..., dict[str, str]]
SIZES = {("train", "A"): 700, ("train", "B"): 70, ("test", "A"): 300, ("test", "B"): 300}


def planted(lake: Lake, fill: Fill, folder: str, part: int = 1) -> None:
    """Two groups whose classes lie in other directions, so that what the many teach is wrong of the few."""
    from secondlook.pipeline.learn import backbones
    from secondlook.pipeline.learn.torch_setup import device

    rng = np.random.default_rng(4)
    loaded = backbones.load(folder, 32, device("cpu"))
    made, vectors = [], []
    for (split, race), n in SIZES.items():
        for i in range(n // part):
            data = f"{split} {race} {i}".encode()
            side = 1 if i % 2 else -1
            vector = rng.normal(0, 1, loaded.width())
            vector[:2] += side * np.array([1.5, 0.0] if race == "A" else [-0.8, 1.5])
            made.append(
                (
                    f"{split}/{race}{i}.png",
                    ("cat", "dog")[i % 2],
                    data,
                    {"split": split, "attributes": [("race", race)]},
                )
            )
            vectors.append({"content_id": content_id(data), "model": loaded.embedder, "vector": vector.tolist()})
    fill(made)
    attempt = lake.attempt("train", {"planted": True})
    attempt.append("embeddings", rows("embeddings", vectors))
    attempt.commit({})


def settings(folder: str, **more: Any) -> Settings:
    return from_mapping({"train": {"backbone": folder, "folds": 2, "refits": 0, "image_px": 32} | more})


def test_a_planted_gap_gets_smaller_and_the_same_table_says_so(lake: Lake, fill: Fill, backbone: str) -> None:  # noqa: F811
    planted(lake, fill, backbone)
    train.run(lake, settings(backbone))
    before = lake.at()
    summary = train.run(lake, settings(backbone, reweigh="race", reweigh_to="equal"))
    assert summary["reweighed"] == {
        "by": ["race"], "to": "equal", "groups": 2, "n": 770, "effective": 254.5, "largest": 5.5, "capped": 0,
    }  # fmt: skip
    changed = change(lake, before, lake.at(), Settings())
    found = {one.group.values[0][1]: one for one in changed if one.measure == "accuracy"}
    few, many = found["B"], found["A"]
    assert few.n == 370
    assert few.before.value < 0.6 < many.before.value, "the planted gap"
    assert few.difference.interval.low > 0.1
    assert few.helped(0.05) is True
    assert few.difference.value > -many.difference.value, "the few gain more than the many lose"
    model = dataset.newest_model(lake, lake.at())
    assert json.loads(model.settings)["reweigh"] == "race"
    assert json.loads(model.metrics)["reweighed"]["effective"] == 254.5


def test_weights_that_say_nothing_change_nothing(lake: Lake, fill: Fill, backbone: str) -> None:  # noqa: F811
    """Class and group are independent already: weights of 1, and the same probabilities to the last digits."""
    planted(lake, fill, backbone, part=5)
    train.run(lake, settings(backbone))
    first = dataset.predictions(lake, lake.at(), dataset.newest_model(lake, lake.at()).name)
    train.run(lake, settings(backbone, reweigh="race"))
    second = dataset.predictions(lake, lake.at(), dataset.newest_model(lake, lake.at()).name)
    one, two = (dict(zip(t["content_id"].to_pylist(), t["probs"].to_pylist(), strict=True)) for t in (first, second))
    assert max(abs(one[key][0] - two[key][0]) for key in one) < 1e-4


def test_the_small_net_takes_weights_and_settings_are_part_of_the_model(lake: Lake, fill: Fill) -> None:
    made = [
        (*one[:3], one[3] | {"attributes": [("race", "B" if i < 12 else "A")]}) for i, one in enumerate(pictures(60))
    ]
    fill(made)
    small = {"folds": 2, "epochs": 1, "image_px": 16, "batch": 16, "refits": 0}
    plain = train.run(lake, from_mapping({"train": small}))
    weighed = train.run(lake, from_mapping({"train": small | {"reweigh": "race", "reweigh_to": "equal"}}))
    assert weighed["model"] != plain["model"]
    assert weighed["reweighed"]["largest"] == 2.5
    assert train.run(lake, from_mapping({"train": small}))["model"] == plain["model"]
    assert "reweighed" not in plain


def test_what_can_not_be_weighed_is_refused_before_anything_is_read(
    lake: Lake, fill: Fill, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fill([(*one[:3], one[3] | {"attributes": [("race", "AB"[i % 2])]}) for i, one in enumerate(pictures(12))])
    with pytest.raises(UserError, match=r"unknown attribute in \[train\] reweigh 'rase', did you mean 'race'"):
        train.run(lake, from_mapping({"train": {"reweigh": "rase"}}))
    file = tmp_path / "secondlook.toml"
    file.write_text('[train]\nreweigh = "race"\nreweigh_to = "reference"\nepochs = 1\nfolds = 2\n')
    assert cli.run(["train", "--lake", lake.url, "--settings", str(file)]) == 2
    assert "needs shares of race in [bias] reference" in " ".join(capsys.readouterr().err.split())
