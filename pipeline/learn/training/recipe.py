"""How a net is fitted to pictures: everything that decides the outcome beside the pictures, in one record."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """`batch`: pictures in one step. `rate`: the highest learning rate; it rises over the share `warm_up` of the steps and
    falls to zero by a cosine. `smoothing`: label smoothing. `flip`: pictures are mirrored half of the time; `shift`: they
    are moved by up to this share of their side; `cut`: a square of this share of their side is greyed out (DeVries & Taylor
    2017); `colour`: brightness, contrast and saturation change by up to this share.
    `precision`: auto is bfloat16 on a GPU that has it (float16 with loss scaling where it has not), float32 on a CPU.
    """

    epochs: int = 12
    batch: int = 128
    optimizer: str = "sgd"  # or adamw
    rate: float = 0.1
    decay: float = 5e-4
    spare: bool = True  # normalization and biases don't decay
    momentum: float = 0.9
    warm_up: float = 0.2
    body: float = 1.0  # the rate of all layers but `last` is this share of it: less where they were pretrained
    smoothing: float = 0.1
    flip: bool = True
    shift: float = 0.125
    cut: float = 0.0
    colour: float = 0.0
    precision: str = "auto"  # float32, bfloat16, float16
    compile: bool = False
    seed: int = 7
