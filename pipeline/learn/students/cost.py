"""What a net costs: parameters, multiply-adds and bytes, counted; and how long it takes, measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from secondlook.pipeline.learn.nets.layers import evaluated
from secondlook.pipeline.learn.students.timing import rounds


@dataclass(frozen=True)
class Cost:
    """For one picture: `multiply_adds` of all convolutions and matrix products. `bytes` of the weights as they are held."""

    parameters: int
    multiply_adds: int
    bytes: int


@dataclass(frozen=True)
class Latency:
    """Seconds for one batch: the median of all rounds, and the quantiles 0.1 and 0.9."""

    median_s: float
    low_s: float
    high_s: float


def cost(net: nn.Module, image_px: int) -> Cost:
    """What a net costs for a picture (3, image_px, image_px).

    Multiply-adds are counted as papers count them: one for a weight that meets a value; normalization, activations and
    additions are not counted. The net is not run: shapes alone go through it, so a large one costs nothing to count.
    """
    weights = list(net.parameters())
    held = [*weights, *net.buffers()]
    places = {key: one.to("meta") for key, one in (*net.named_parameters(), *net.named_buffers())}
    shown = torch.empty(1, 3, image_px, image_px, device="meta")
    with torch.no_grad(), evaluated(net), FlopCounterMode(display=False) as counter:
        torch.func.functional_call(net, places, (shown,))
    return Cost(
        parameters=sum(one.numel() for one in weights),
        multiply_adds=counter.get_total_flops() // 2,
        bytes=sum(one.numel() * one.element_size() for one in held),
    )


def latencies(models: Mapping[str, bytes], batch: int, repeats: int) -> dict[str, Latency]:
    """Seconds that ONNX files take for a batch of pictures, by name, on one thread of this machine's CPU, in the same rounds."""
    from secondlook.pipeline.learn.students.onnx_file import Runner  # noqa: PLC0415 — what counts alone needs no runtime

    rng = np.random.default_rng(0)
    asks = []
    for file in models.values():
        runner = Runner(file)
        shown = rng.integers(0, 256, (batch, runner.image_px, runner.image_px, 3), dtype=np.uint8)
        asks.append(partial(runner.ask, shown))
    low, median, high = np.quantile(rounds(asks, repeats), (0.1, 0.5, 0.9), axis=0).tolist()
    return {name: Latency(*each) for name, *each in zip(models, median, low, high, strict=True)}
