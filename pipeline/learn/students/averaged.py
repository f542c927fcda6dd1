"""Several nets as one: what an ensemble says, with a gradient, costs that can be counted, and a file that can be timed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Averaged(nn.Module):
    """Nets of the same K classes: (n, 3, side, side) → (n, K), the mean of their log probabilities, as `teachers.together` has it."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, shown: Tensor) -> Tensor:
        """Log probabilities but for a constant, which changes no softmax."""
        said = [torch.log_softmax(net(shown).float(), dim=1) for net in self.nets]
        return torch.stack(said).mean(dim=0)
