"""A generalist and its specialists as one model: pictures in, probabilities of all classes out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.specialists.combine import active, combined
from secondlook.pipeline.learn.specialists.fit import Specialist
from secondlook.pipeline.learn.training.loop import autocast
from secondlook.pipeline.learn.training.recipe import Recipe

BLOCK = 512  # pictures that are asked about at once


@dataclass(frozen=True)
class Together:
    """`generalist`: a net of all K classes; of each picture those specialists are asked that know one of its `n_active`
    most probable classes. `temperature`: what the logarithms of the result are divided by."""

    generalist: nn.Module
    specialists: Sequence[Specialist]
    n_active: int
    temperature: float = 1.0

    def probs(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 3, side, side) on the nets' device → (n, K) in float32, rows sum to 1."""
        return self.log_probs(pictures).exp()

    @torch.no_grad()
    def log_probs(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 3, side, side) on the nets' device → (n, K) in float32, log probabilities.

        A specialist looks only at the pictures that it is asked about.
        """
        self.eval()
        p_g = torch.softmax(self.generalist(pictures).float(), dim=1)
        members = [one.members for one in self.specialists]
        asked = active(p_g, members, self.n_active)
        said = []
        for number, one in enumerate(self.specialists):
            rows = asked[:, number].nonzero()[:, 0]
            probs = p_g.new_zeros(len(p_g), len(one.members) + 1)
            if len(rows):
                probs[rows] = one.log_probs(pictures[rows]).exp()
            said.append(probs)
        q = combined(p_g, said, members, asked).probs.clamp_min(torch.finfo(torch.float32).tiny)
        return torch.log_softmax(q.log() / self.temperature, dim=1)

    def eval(self) -> None:
        """Make all nets ready to be asked."""
        for net in self.modules():
            net.eval()

    def modules(self) -> Iterator[nn.Module]:
        """The generalist's net, then each specialist's."""
        yield self.generalist
        for one in self.specialists:
            yield one.net


@torch.inference_mode()
def asked(
    ask: Callable[[Tensor], Tensor],
    pixels: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    precision: str,
    where: torch.device,
) -> npt.NDArray[np.float32]:
    """(n, …) what `ask` says of pictures `rows` (n,) of (N, side, side, 3), some at a time; n is above 0."""
    said = []
    recipe = Recipe(precision=precision)
    for start in range(0, len(rows), BLOCK):
        shown = torch.from_numpy(pixels[rows[start : start + BLOCK]]).permute(0, 3, 1, 2).to(where)
        with autocast(recipe, where):
            said.append(ask(shown).float().cpu().numpy())
    return np.concatenate(said)
