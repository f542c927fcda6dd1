"""Who is measured: something that answers and costs something."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.frontier import Role

if TYPE_CHECKING:
    from torch import nn

Pixels = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float32]
Ask = Callable[[Pixels], Reals]  # pictures (n, side, side, 3) → logits or probabilities (n, K)


@dataclass(frozen=True)
class Asked:
    """One model that answers. `classes`: its K outputs, as they are called today. `ask`: what runs on a device. `weights`: names its
    gradient, the same for an int8 student and the one that was quantized; `module`: makes the net of that gradient, None where
    there is none. `note`: what to know of its figures."""

    model: str
    net: str
    role: Role
    classes: Sequence[str]
    image_px: int
    ask: Ask
    params: float
    madds: float
    bytes: float
    numbers: str = "float32"
    teacher: str = ""
    weights: str = ""
    module: "Callable[[], nn.Module] | None" = None
    note: str = ""
