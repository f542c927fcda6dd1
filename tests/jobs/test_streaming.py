"""Pictures that are not held: the same ones, by the same numbers, from row groups that are read whole."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train import features, streaming, train
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.identity import content_id
from tests.jobs.test_train import pictures
from tests.jobs.test_train_whole import NET

Fill = Callable[..., dict[str, str]]
CPU = torch.device("cpu")


@pytest.fixture
def some(lake: Lake, fill: Fill) -> list[str]:
    """Contents of three files of the lake, in the order of their ids, one of them broken and one not wanted."""
    for start in (0, 20, 40):
        fill(pictures(20, start))
    fill([("broken.png", "across", b"no picture")])
    return sorted({*(content_id(data) for _, _, data, _ in pictures(59)), content_id(b"no picture")})


def test_a_stream_has_the_pictures_that_memory_has_by_the_same_numbers(lake: Lake, some: list[str]) -> None:
    made, readable = streaming.source(lake, lake.at(), some, 12, Settings().ingest, threads=2)
    held, held_readable = features.pixels(lake, lake.at(), some, 12, Settings().ingest)
    assert len(made) == len(some) == 60
    assert readable.tolist() == held_readable.tolist()
    assert (~readable).sum() == 1
    assert len(made.parts.sizes) == 4
    rows = np.random.default_rng(0).permutation(60)[:37]
    found = np.full((37, 12, 12, 3), 255, np.uint8)
    for places, pixels in made.blocks(rows):
        found[places] = pixels
    assert np.array_equal(found, held[rows])
    epochs = [list(made.shown(rows, 3, 8, CPU).batches(epoch)) for epoch in (0, 1, 0)]
    orders = [torch.cat([shown for shown, _ in batches]).tolist() for batches in epochs]
    assert orders[0] == orders[2] != orders[1]
    assert all(len(order) == 32 and set(order) <= set(rows.tolist()) for order in orders)
    for shown, batch in epochs[0]:
        assert np.array_equal(batch.permute(0, 2, 3, 1).numpy(), held[shown.numpy()])


def test_a_net_is_trained_on_what_is_not_held(lake: Lake, some: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = dataclasses.replace(NET, train=dataclasses.replace(NET.train, hold_mb=0, refits=0))
    summary = train.run(lake, settings)
    assert "[train] hold_mb is 0: decoded anew in each epoch" in capsys.readouterr().err
    assert (summary["contents"], summary["n"], summary["unreadable"]) == (61, 60, 1)
    assert lake.read("predictions", lake.at()).num_rows == lake.read("embeddings", lake.at()).num_rows == 60
