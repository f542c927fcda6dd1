"""Pictures changed a little, a batch at a time and on the device: mirrored, moved, in other light.

What is drawn is drawn apart from what is changed, so that each of several processes can draw for a whole batch and change
its own share of it: together they show what one alone would show.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from secondlook.pipeline.learn.training.recipe import Recipe


@dataclass(frozen=True)
class Changes:
    """How each of n pictures is changed. `moved` (2, n): places down and to the right that the window lies off its upper
    left end, 0..2 × the most; `mirrored` (n,); `lit` (3, n): factors of brightness, contrast and saturation; `cut` (2, n):
    the square's upper left corner. What the recipe leaves out is None."""

    moved: Tensor | None = None
    mirrored: Tensor | None = None
    lit: Tensor | None = None
    cut: Tensor | None = None

    def of(self, part: slice) -> "Changes":
        """Those of some of the pictures."""
        both = [
            value if value is None else value[..., part] for value in (self.moved, self.mirrored, self.lit, self.cut)
        ]
        return Changes(*both)


def drawn(n: int, side: int, recipe: Recipe, rng: torch.Generator) -> Changes:
    """Changes for n pictures, drawn on the device of the generator: on the pictures' own nothing has to be copied."""
    where, most, cut = rng.device, round(recipe.shift * side), round(recipe.cut * side)
    moved = torch.randint(0, 2 * most + 1, (2, n), generator=rng, device=where) if most else None
    mirrored = torch.rand(n, generator=rng, device=where) < 0.5 if recipe.flip else None
    lit = None
    if recipe.colour:
        lit = 1 + (torch.rand(3, n, generator=rng, device=where) * 2 - 1) * recipe.colour
    corner = torch.randint(0, side - cut + 1, (2, n), generator=rng, device=where) if cut else None
    return Changes(moved, mirrored, lit, corner)


def augmented(pictures: Tensor, recipe: Recipe, rng: torch.Generator) -> Tensor:
    """Pictures (n, 3, side, side) uint8 → the same shape, changed as the recipe says, each by its own draw.

    `rng` may be of the CPU, so that every device draws the same, or of the pictures' device, which waits for no copy.
    """
    return changed(pictures, drawn(len(pictures), pictures.shape[2], recipe, rng), recipe)


def changed(pictures: Tensor, changes: Changes, recipe: Recipe) -> Tensor:
    """Pictures (n, 3, side, side) changed; channels-last in memory. Over an edge that it is moved off, a picture is mirrored."""
    side, where = pictures.shape[2], pictures.device
    if changes.moved is not None or changes.mirrored is not None:
        pictures = _looked_up(pictures, changes, round(recipe.shift * side))
    if changes.lit is not None:
        pictures = _lit(pictures, changes.lit.to(where))
    if changes.cut is not None:
        pictures = _cut(pictures, changes.cut.to(where), round(recipe.cut * side))
    return pictures.contiguous(memory_format=torch.channels_last)


def _looked_up(pictures: Tensor, changes: Changes, most: int) -> Tensor:
    """Moved and mirrored by one look-up: where each place of the new picture lies in the old one."""
    n, _, side, _ = pictures.shape
    where = pictures.device
    along = torch.arange(side, device=where).expand(n, side)
    down, right = along, along
    if changes.moved is not None:
        moved = changes.moved.to(where)[:, :, None] - most
        down, right = (_within(along + one, side) for one in moved)
    if changes.mirrored is not None:
        right = torch.where(changes.mirrored.to(where)[:, None], right.flip(1), right)
    each = torch.arange(n, device=where)[:, None, None]
    return pictures.permute(0, 2, 3, 1)[each, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)


def _within(places: Tensor, side: int) -> Tensor:
    """Places off an edge, mirrored at it: -2 is 2."""
    places = places.abs()
    return torch.where(places >= side, 2 * (side - 1) - places, places)


def _lit(pictures: Tensor, factors: Tensor) -> Tensor:
    bright, contrast, saturation = factors[..., None, None, None].unbind()
    shown: Tensor = pictures.float() * bright
    shown = (shown - (mean := shown.mean(dim=(1, 2, 3), keepdim=True))) * contrast + mean
    shown = (shown - (grey := shown.mean(dim=1, keepdim=True))) * saturation + grey
    return shown.clamp(0, 255)


def _cut(pictures: Tensor, corner: Tensor, size: int) -> Tensor:
    along = torch.arange(pictures.shape[2], device=pictures.device)
    down, right = ((along >= one[:, None]) & (along < one[:, None] + size) for one in corner)
    return pictures.masked_fill((down[:, :, None] & right[:, None, :])[:, None], 128)
