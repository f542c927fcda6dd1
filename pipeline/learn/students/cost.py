"""What a net costs: parameters, multiply-adds and bytes, counted; and how long it takes, measured."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

LOW, HIGH = 0.1, 0.9  # quantiles of a latency


@dataclass(frozen=True)
class Cost:
    """For one picture: `multiply_adds` of all convolutions and matrix products. `bytes` of the weights as they are held."""

    parameters: int
    multiply_adds: int
    bytes: int


@dataclass(frozen=True)
class Latency:
    """Seconds for one batch: median, and the quantiles 0.1 and 0.9 over the repeats."""

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
    was = net.training
    places = {key: one.to("meta") for key, one in (*net.named_parameters(), *net.named_buffers())}
    shown = torch.empty(1, 3, image_px, image_px, device="meta")
    net.eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            torch.func.functional_call(net, places, (shown,))
    finally:
        net.train(was)
    return Cost(
        parameters=sum(one.numel() for one in weights),
        multiply_adds=counter.get_total_flops() // 2,
        bytes=sum(one.numel() * one.element_size() for one in held),
    )


def latencies(models: Mapping[str, bytes], batch: int, repeats: int) -> dict[str, Latency]:
    """Seconds that ONNX files take for a batch of pictures, by name, on one thread of this machine's CPU.

    Each repeat asks every model once, beginning with another one each time: a machine that is busy for a while disturbs
    all of them alike. The first two repeats warm up and don't count.
    """
    from secondlook.pipeline.learn.students.onnx_file import Runner  # noqa: PLC0415 — what counts alone needs no runtime

    runners = [Runner(one) for one in models.values()]
    rng = np.random.default_rng(0)
    shown = [rng.integers(0, 256, (batch, one.image_px, one.image_px, 3), dtype=np.uint8) for one in runners]
    took = np.zeros((repeats + 2, len(runners)))
    for repeat in range(repeats + 2):
        for place in range(len(runners)):
            number = (place + repeat) % len(runners)
            began = time.perf_counter()
            runners[number].ask(shown[number])
            took[repeat, number] = time.perf_counter() - began
    low, median, high = np.quantile(took[2:], (LOW, 0.5, HIGH), axis=0)
    return {
        name: Latency(float(median[number]), float(low[number]), float(high[number]))
        for number, name in enumerate(models)
    }
