"""Fitting to very many classes: in each step only some of them are compared with the right one.

The plain head asks every class about every picture. With 15,000 of them that is a fifth to a third of the work of a small
net on a CPU, and what it learns in the same time is more (docs/results/many-classes.md): so it is what is used unless its
memory is too much. Predictions are always by all classes.
"""

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.training.loop import Learner, Loss, Shown, by_row

STEPS = 60  # of Newton's method, which needs some ten


def inclusion(shares: Tensor, n: int) -> Tensor:
    """(K,) how probable it is that a class is among n that are drawn without replacement by shares (K,), which sum to 1.

    Each class waits for an exponential time of rate share, and the first n are taken (Rosén 1997): 1 - exp(-λ share), with λ
    such that they sum to n. Exact where all shares are equal.
    """
    if n >= len(shares):
        return torch.ones_like(shares)
    exact = shares.double()
    rate = torch.tensor(float(n), dtype=torch.float64)
    for _ in range(STEPS):  # the sum is concave in λ, and n is below its root: Newton rises to it
        stay = torch.exp(-rate * exact)
        rate = rate + (n - (1 - stay).sum()) / (exact * stay).sum()
    return (1 - torch.exp(-rate * exact)).to(shares.dtype)


class Embeds(nn.Module):
    """A `Classifier` that stops before its last layer, which its loss asks about some classes only: (n, 3, …) → (n, D)."""

    def __init__(self, net: Classifier, rng: torch.Generator) -> None:
        super().__init__()
        self.net, self.rng = net, rng

    def forward(self, shown: Tensor) -> Tensor:
        """What the last layer would see."""
        out: Tensor = self.net.drop(self.net.embed(shown))
        return out


def sampled(net: Classifier, labels: Tensor, n: int, seed: int, shares: Tensor | None = None) -> Learner:
    """Fit a net to labels (N,) by a softmax over the right class and n others that are drawn anew in each step.

    `shares` (K,), summing to 1: how often each is drawn; None: all alike. The logits are corrected by the logarithm of how
    probable each class was to be drawn (Bengio & Senécal 2008): the net learns the same probabilities as by all classes.
    There is no label smoothing: over the few that are drawn it would be another one.
    """
    last = net.last
    where = last.weight.device
    rng = torch.Generator(where).manual_seed(seed)
    shares = torch.full((last.out_features,), 1 / last.out_features) if shares is None else shares
    return Learner(Embeds(net, rng), sampled_loss(last, labels, n, shares.to(where), rng))


def sampled_loss(last: nn.Linear, labels: Tensor, n: int, shares: Tensor, rng: torch.Generator) -> Loss:
    """The loss of `sampled` on what comes before the layer `last`."""
    told = by_row(labels)
    n = min(n, last.out_features)
    rarity = -inclusion(shares, n).log()

    def loss(seen: Tensor, shown: Shown) -> Tensor:
        right = told(shown)
        waited = torch.empty_like(shares).exponential_(generator=rng) / shares
        others = waited.topk(n, largest=False, sorted=False).indices
        of_right = (seen * last.weight[right]).sum(dim=1) + last.bias[right] + rarity[right]
        of_others = nn.functional.linear(seen, last.weight[others], last.bias[others] + rarity[others])
        of_others = of_others.masked_fill(others == right[:, None], -torch.inf)
        return (torch.logaddexp(of_right, of_others.logsumexp(dim=1)) - of_right).mean()

    return loss
