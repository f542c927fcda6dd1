"""Attacks that know a net's gradient: pictures changed by a little so that the net errs.

FGSM (Goodfellow, Shlens and Szegedy 2015, "Explaining and Harnessing Adversarial Examples") takes one step along the sign of
the gradient. PGD (Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks") takes several small ones
from a random start and stays within reach. Distillation hides gradients more than it defends (Carlini and Wagner 2016), so what
survives is an upper bound of robustness: a stronger attack finds more.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Pixels = npt.NDArray[np.uint8]
Attack = Callable[
    [nn.Module, Tensor, Tensor], Tensor
]  # net, pictures (n, 3, side, side), labels (n,) → pictures changed

STRIDE = 2.5  # steps of 2.5 ε / steps can reach the far side of the box and come back (Madry et al. 2018)


def fgsm(net: nn.Module, pictures: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Pictures (n, 3, side, side) 0..255 → float pictures whose pixels moved by ε (0..255) where that raises the loss."""
    clean = pictures.float()
    uphill, _ = _gradient(net, clean, labels)
    return (clean + epsilon * uphill.sign()).clamp(0, 255)


def pgd(
    net: nn.Module,
    pictures: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int = 10,
    step: float | None = None,
    seed: int = 0,
) -> Tensor:
    """As `fgsm`, by `steps` of size `step` (None: 2.5 ε / steps) from a random start within ε, projected back each time.

    Of each picture the one with the highest loss is kept, the unchanged one among them: nothing gets easier. The start is drawn on
    the CPU, so that every device draws the same.
    """
    clean = pictures.float()
    size = STRIDE * epsilon / max(steps, 1) if step is None else step
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.empty(clean.shape).uniform_(-1, 1, generator=rng).to(clean.device)
    worst, most = clean, _gradient(net, clean, labels)[1]
    now = (clean + epsilon * drawn).clamp(0, 255)
    for left in range(steps, -1, -1):
        uphill, loss = _gradient(net, now, labels)
        higher = loss > most
        worst = torch.where(higher[:, None, None, None], now, worst)
        most = torch.where(higher, loss, most)
        if left:
            moved = now + size * uphill.sign()
            now = torch.clamp(torch.clamp(moved, clean - epsilon, clean + epsilon), 0, 255)
    return worst


def attacked(
    net: nn.Module, pixels: Pixels, labels: npt.NDArray[np.int64], attack: Attack, where: torch.device, size: int = 64
) -> Pixels:
    """Pictures (n, side, side, 3) under an attack, as pictures again: whole numbers, as a file would hold them.

    With a whole ε they stay within it. `labels` (n,) are of the net's own classes.
    """
    net.eval()
    parts = []
    for start in range(0, len(pixels), size):
        shown = torch.from_numpy(pixels[start : start + size]).permute(0, 3, 1, 2).to(where)
        told = torch.from_numpy(labels[start : start + size]).to(where)
        changed = attack(net, shown, told).round().to(torch.uint8)
        parts.append(changed.permute(0, 2, 3, 1).cpu().numpy())
    return np.ascontiguousarray(np.concatenate(parts)) if parts else pixels[:0]


def _gradient(net: nn.Module, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the loss by pixels (n, 3, side, side), and the loss (n,). The net's own gradients are left alone."""
    with torch.enable_grad():
        asked = pictures.detach().requires_grad_()
        loss: Tensor = nn.functional.cross_entropy(net(asked).float(), labels, reduction="none")
        found: Any = torch.autograd.grad(loss.sum(), asked)
    return found[0], loss.detach()
