"""Pictures changed a little, a batch at a time and on the device: mirrored, moved, in other light."""

import torch
from torch import Tensor

from secondlook.pipeline.learn.training.recipe import Recipe


def augmented(pictures: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Pictures (n, 3, side, side) uint8 → the same shape, changed as the recipe says, each by its own draw.

    `rng` is a generator of the CPU, so that every device draws the same.
    """
    n, _, side, _ = pictures.shape
    most = round(recipe.shift * side)
    if most:
        padded = torch.nn.functional.pad(pictures.float(), (most,) * 4, mode="reflect").to(pictures.dtype)
        moved = torch.randint(0, 2 * most + 1, (2, n), generator=rng)
        along = torch.arange(side)
        rows = (moved[0, :, None] + along).to(pictures.device)
        columns = (moved[1, :, None] + along).to(pictures.device)
        each = torch.arange(n, device=pictures.device)[:, None, None]
        pictures = padded.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if recipe.flip:
        mirrored = (torch.rand(n, generator=rng) < 0.5).to(pictures.device)
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(3), pictures)
    if recipe.colour:
        pictures = _lit(pictures, recipe.colour, rng)
    return pictures.contiguous(memory_format=torch.channels_last)


def _lit(pictures: Tensor, most: float, rng: torch.Generator) -> Tensor:
    factors = 1 + (torch.rand(3, len(pictures), 1, 1, 1, generator=rng) * 2 - 1).to(pictures.device) * most
    bright, contrast, saturation = factors
    shown = pictures.float() * bright
    shown = (shown - (mean := shown.mean(dim=(1, 2, 3), keepdim=True))) * contrast + mean
    shown = (shown - (grey := shown.mean(dim=1, keepdim=True))) * saturation + grey
    return shown.clamp(0, 255)
