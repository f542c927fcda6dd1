"""Whoever teaches, as one thing: pictures of a step → {"teacher": logits (n, K)}.

A teacher is asked live, of the pictures as they were changed for the students (Beyer et al. 2022: "a good teacher is
patient and consistent"), once for all students. Its probabilities are logits by their logarithm.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.students.distill import TEACHER
from secondlook.pipeline.learn.training.loop import Teach

Reals = npt.NDArray[np.float32]
Score = Callable[[npt.NDArray[np.uint8]], tuple[Reals, Reals]]  # (n, side, side, 3) → embeddings, probs (n, K)

# Probabilities below count as this one: what a model says beyond one in a million is noise, and its logarithm would
# pull at the student's logits as hard as all that it knows.
LEAST = 1e-6


def alone(net: nn.Module) -> Teach:
    """One net."""
    net.eval()
    return lambda pictures: {TEACHER: net(pictures).float()}


def together(nets: Sequence[nn.Module]) -> Teach:
    """Several nets of the same classes: the mean of their probabilities, as a generalist's nets of folds score together."""
    for net in nets:
        net.eval()

    def teach(pictures: Tensor) -> dict[str, Tensor]:
        each = torch.stack([torch.log_softmax(net(pictures).float(), dim=1) for net in nets])
        return {TEACHER: each.logsumexp(dim=0) - math.log(len(nets))}

    return teach


def said(ask: Callable[[Tensor], Tensor]) -> Teach:
    """Whatever gives probabilities (n, K) of pictures on the device, such as a generalist with its specialists."""
    return lambda pictures: {TEACHER: as_logits(ask(pictures))}


def scored(score: Score) -> Teach:
    """A stored generalist of any kind by its `score`: heads on a frozen backbone, nets of several folds, calibrated.

    Its pictures leave the device and come back: for teachers of which there is no single net.
    """

    def teach(pictures: Tensor) -> dict[str, Tensor]:
        pixels = pictures.permute(0, 2, 3, 1).float().round().clamp(0, 255).to(torch.uint8).cpu().contiguous().numpy()
        return {TEACHER: as_logits(torch.from_numpy(score(pixels)[1]).to(pictures.device))}

    return teach


def at_px(teach: Teach, side_px: int) -> Teach:
    """The teacher at another resolution than the pictures of the fit."""
    return lambda pictures: teach(resized(pictures, side_px))


def as_logits(probs: Tensor) -> Tensor:
    """Probabilities (n, K) → logits in float32."""
    return probs.float().clamp_min(LEAST).log()


def spread(best: npt.NDArray[np.integer[Any]], values: Reals, n_classes: int) -> Reals:
    """Probabilities (N, K) of which only some classes were kept: `best` (N, k) their numbers, `values` (N, k).

    What is missing to 1 is spread evenly over the others: nothing more is known of them.
    """
    kept = best.shape[1]
    rest = np.clip(1 - values.sum(axis=1, dtype=np.float64), 0, None) / max(1, n_classes - kept)
    probs = np.repeat(rest[:, None], n_classes, axis=1).astype(np.float32)
    np.put_along_axis(probs, best.astype(np.int64), values.astype(np.float32), axis=1)
    return probs


class Resized(nn.Module):
    """A net that sees pictures at its own resolution, whatever that of the fit is: students of several ρ side by side."""

    def __init__(self, net: nn.Module, side_px: int) -> None:
        super().__init__()
        self.net, self.side_px = net, side_px

    def forward(self, shown: Tensor) -> Tensor:
        """(n, 3, any, any) → (n, K) logits."""
        out: Tensor = self.net(resized(shown, self.side_px))
        return out


def resized(pictures: Tensor, side_px: int) -> Tensor:
    """(n, 3, side, side) → (n, 3, side_px, side_px): shrunk by the mean over areas, grown bilinearly, as pictures are read.

    Where the sides don't divide one another, areas overlap by whole pixels here, and are cut in reading.
    """
    side = pictures.shape[-1]
    if side == side_px:
        return pictures
    mode = {"mode": "area"} if side_px < side else {"mode": "bilinear", "align_corners": False}
    got: Tensor = nn.functional.interpolate(pictures.float(), (side_px, side_px), **mode)
    return got.contiguous(memory_format=torch.channels_last)
