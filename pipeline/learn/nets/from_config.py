"""Nets whose architecture `transformers` has, with random weights: nothing is loaded. Its modules are imported when one is made."""

from typing import Any

from torch import Tensor, nn

from secondlook.pipeline.learn.nets.layers import SMALL_PX

RESNETS = {  # table 1 of He et al. 2016: kind of block, blocks of each stage, channels of the first
    "18": ("basic", (2, 2, 2, 2), 64),
    "34": ("basic", (3, 4, 6, 3), 64),
    "50": ("bottleneck", (3, 4, 6, 3), 256),
}
CONVNEXTS = {  # table of ConvNeXt V2 (Woo et al. 2023): blocks of each stage, channels of the first
    "atto": ((2, 2, 6, 2), 40),
    "femto": ((2, 2, 6, 2), 48),
    "pico": ((2, 2, 6, 2), 64),
    "nano": ((2, 2, 8, 2), 80),
    "tiny": ((3, 3, 9, 3), 96),
}
VITS = {"tiny": (192, 3), "small": (384, 6)}  # table 1 of DeiT (Touvron et al. 2021): width, heads


class Maps(nn.Module):
    """A model of `transformers` as features: its last maps, or its tokens as a map that is one place high."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, shown: Tensor) -> Tensor:
        """(n, 3, side, side) → (n, D, h, w)."""
        hidden: Tensor = self.body(pixel_values=shown).last_hidden_state
        return hidden if hidden.ndim == 4 else hidden.transpose(1, 2).unsqueeze(2)


def resnet_deep(size: str, image_px: int) -> tuple[nn.Module, int]:
    """ResNet-18, -34 or -50: (features, D). For small pictures without the first stride and the pooling, as usual there."""
    from transformers import ResNetConfig, ResNetModel  # noqa: PLC0415 — seconds that other nets need not wait

    block, depths, first = RESNETS[size]
    widths = [first * 2**stage for stage in range(4)]
    body = ResNetModel(ResNetConfig(layer_type=block, depths=list(depths), hidden_sizes=widths, embedding_size=64))
    if image_px < SMALL_PX:
        body.embedder.embedder.convolution.stride = (1, 1)
        body.embedder.pooler = nn.Identity()
    return Maps(body), widths[-1]


def convnext(size: str, image_px: int) -> tuple[nn.Module, int]:
    """ConvNeXt V2: (features, D). Small pictures are cut into patches of 2 pixels in place of 4."""
    from transformers import ConvNextV2Config, ConvNextV2Model  # noqa: PLC0415 — as above

    depths, first = CONVNEXTS[size]
    widths = [first * 2**stage for stage in range(4)]
    patch = 2 if image_px < SMALL_PX else 4
    config: Any = ConvNextV2Config(depths=list(depths), hidden_sizes=widths, image_size=image_px, patch_size=patch)
    body = ConvNextV2Model(config)
    body.layernorm = (
        nn.Identity()
    )  # of its own pooling, which is not asked: weights without a gradient stop a fit on several GPUs
    return Maps(body), widths[-1]


def vit(size: str, image_px: int) -> tuple[nn.Module, int]:
    """A vision transformer of 12 layers: (features, D). Small pictures are cut into patches of 4 pixels in place of 16."""
    from transformers import ViTConfig, ViTModel  # noqa: PLC0415 — as above

    width, heads = VITS[size]
    config: Any = ViTConfig(
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        image_size=image_px,
        patch_size=4 if image_px < SMALL_PX else 16,
    )
    return Maps(ViTModel(config, add_pooling_layer=False)), width
