"""A net of `transformers` that is fitted as a whole: its body, and a linear layer on what it embeds."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn import backbones
from secondlook.pipeline.learn.nets.layers import Classifier


class Tuned(Classifier):
    """Pictures (n, 3, side, side) in 0..255 → logits (n, K); they are normalized inside, by `mean` and `std` of 0..1."""

    mean: Tensor
    std: Tensor

    def __init__(
        self, body: nn.Module, width: int, n_classes: int, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__(body, width, n_classes)
        self.options = {"interpolate_pos_encoding": True} if backbones.interpolates(body) else {}
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, 255 * torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def embed(self, shown: Tensor) -> Tensor:
        """(n, 3, side, side) → (n, D)."""
        return backbones.pooled(self.features(pixel_values=(shown.float() - self.mean) / self.std, **self.options))


def described(body: nn.Module) -> dict[str, Any]:
    """What the body is made of, for JSON: its config."""
    text: str = body.config.to_json_string(use_diff=False)  # type: ignore[operator, union-attr]
    facts: dict[str, Any] = json.loads(text)
    return facts


def body_of(config: Mapping[str, Any]) -> nn.Module:
    """The body of a config, with weights drawn from torch's generator."""
    from transformers import AutoConfig, AutoModel  # noqa: PLC0415 — seconds that other nets need not wait

    made = AutoConfig.for_model(**dict(config))
    return backbones.image_part(AutoModel.from_config(made)).float()


@torch.no_grad()
def width_of(body: nn.Module, image_px: int) -> int:
    """D, the length of an embedding of pictures of this side."""
    options = {"interpolate_pos_encoding": True} if backbones.interpolates(body) else {}
    was, shown = body.training, torch.zeros(1, 3, image_px, image_px)
    width = backbones.pooled(body.eval()(pixel_values=shown, **options)).shape[1]
    body.train(was)
    return int(width)
