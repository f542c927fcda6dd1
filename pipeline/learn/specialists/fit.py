"""A specialist: the generalist's net, fitted further to tell the classes of one cluster apart.

Hinton, Vinyals, Dean (2015), "Distilling the Knowledge in a Neural Network", section 5. All classes outside of the cluster
are one class, the dustbin. Its logit is not a new row of the last layer but the log of the sum of the exponentials of the rows
outside, which the net keeps: so a specialist begins as exactly the generalist (a single row can't say that), whatever
the net is made of, and the rows outside are still there to be held by the generalist's soft targets.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.torch_setup import Advance
from secondlook.pipeline.learn.training import loop
from secondlook.pipeline.learn.training.loop import Learner, Loss, Shown
from secondlook.pipeline.learn.training.pictures import Order, Pictures
from secondlook.pipeline.learn.training.recipe import Recipe

GENERALIST = "generalist"  # what the generalist says of a picture, among what is said in a step


@dataclass(frozen=True)
class Specialist:
    """A net of all K classes, and the C classes that it is asked about (`members`, class numbers, ascending)."""

    net: nn.Module
    members: Tensor

    def log_probs(self, pictures: Tensor) -> Tensor:
        """Pictures (n, 3, side, side) → (n, C + 1) in float32: its classes, then the dustbin, in the data's shares."""
        return torch.log_softmax(narrowed(self.net(pictures).float(), self.members), dim=1)


def narrowed(logits: Tensor, members: Tensor) -> Tensor:
    """Logits (n, K) of all classes → (n, C + 1): those of `members` (C,), then the dustbin's.

    Softmax of it is softmax of `logits` with the probabilities outside added up.
    """
    outside = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
    outside[members.to(logits.device)] = False
    dustbin = torch.logsumexp(logits[:, outside], dim=1, keepdim=True)
    return torch.cat([logits[:, members.to(logits.device)], dustbin], dim=1)


def shares(n_inside: int, n_outside: int, inside: float) -> tuple[int, float]:
    """Of a cluster with `n_inside` pictures: how many of the others an epoch shows for `inside` to be the cluster's share,
    and the log of how much more (above 0) or less often a picture of the others is shown than one of the cluster."""
    others = max(1, round(n_inside * (1 - inside) / inside)) if n_outside else 0
    return others, math.log(others / n_outside) if n_outside else 0.0


def mixed_order(inside: Tensor, outside: Tensor, share: float, seed: int) -> Order:
    """Each epoch all rows of the cluster (`inside`) once, and as many of the rest as make `share` the cluster's.

    The rest goes through all its rows before any comes again. What an epoch shows follows from the seed and its number.
    """
    others, _ = shares(len(inside), len(outside), share)

    def drawn(*numbers: int) -> torch.Generator:
        mixed = seed
        for number in numbers:
            mixed = mixed * 1_000_003 + number
        return torch.Generator().manual_seed(mixed % 2**63)

    def of_others(epoch: int) -> Tensor:
        if not others:
            return outside
        start, stop = epoch * others, (epoch + 1) * others
        first = start // len(outside)
        rounds = range(first, (stop - 1) // len(outside) + 1)
        passes = torch.cat([outside[torch.randperm(len(outside), generator=drawn(1, number))] for number in rounds])
        return passes[start - first * len(outside) : stop - first * len(outside)]

    def order(epoch: int) -> Tensor:
        rows = torch.cat([inside, of_others(epoch)])
        return rows[torch.randperm(len(rows), generator=drawn(2, epoch))]

    return order


def specialist_loss(
    members: Tensor, labels: Tensor, n_classes: int, shift: float, *, smoothing: float, soft: float
) -> Loss:
    """Cross-entropy over the cluster's classes and the dustbin, and the generalist's soft targets for the rest.

    `labels` (N,): class numbers by row. `shift`: the log of how much more often the rest is shown than it is there: it is
    added to the dustbin's logit here, in training, so that the net itself speaks of the data as they are and is asked
    without it. `smoothing`: label smoothing over all K classes, as the generalist's: the dustbin gets its classes' sum.
    `soft`: weight of KL(generalist, specialist) among the classes outside, on pictures of classes outside.
    """
    place = torch.full((n_classes,), len(members))
    place[members] = torch.arange(len(members))
    even = torch.ones(len(members) + 1)
    even[-1] = n_classes - len(members)
    outside = torch.ones(n_classes, dtype=torch.bool)
    outside[members] = False

    def loss(logits: Tensor, shown: Shown) -> Tensor:
        narrow = narrowed(logits, members)
        moved = torch.zeros_like(narrow)
        moved[:, -1] = shift
        log_p = torch.log_softmax(narrow + moved, dim=1)
        told = place[labels[shown.rows]].to(logits.device)
        target = nn.functional.one_hot(told, len(members) + 1) * (1 - smoothing)
        target = target + (smoothing / n_classes) * even.to(logits.device)
        hard = -(target * log_p).sum(dim=1).mean()
        if not soft or GENERALIST not in shown.said:
            return hard
        rest = outside.to(logits.device)
        theirs = torch.log_softmax(shown.said[GENERALIST].float()[:, rest], dim=1)
        ours = torch.log_softmax(logits[:, rest], dim=1)
        apart = (theirs.exp() * (theirs - ours)).sum(dim=1)
        return hard + soft * (apart * (told == len(members))).mean()

    return loss


def fit(
    generalist: nn.Module,
    members: Sequence[int],
    labels: Tensor,
    rows: Tensor,
    n_classes: int,
    pictures: Callable[[Order], Pictures],
    recipe: Recipe,
    where: torch.device,
    *,
    inside: float = 0.5,
    soft: float = 0.5,
    on_epoch: Callable[[int, Sequence[float]], None] = lambda epoch, losses: None,
    advance: Advance = lambda n: None,
) -> Specialist:
    """A specialist for the classes `members`, from the generalist's weights, which stay as they are.

    `labels` (N,): class numbers of all pictures; `rows` (n,): those that may be learned from, of which some are of the
    cluster and some are not. `pictures` makes what the loop goes through of an order, such as Held. `inside`: share of the
    cluster's pictures in what is shown. `soft`: weight of the generalist's soft targets, for which the generalist looks
    at what is shown, as it is changed; 0: it is not asked.
    """
    asked = torch.tensor(sorted(members))
    within = torch.isin(labels[rows], asked)
    ins, outs = rows[within], rows[~within]
    order = mixed_order(ins, outs, inside, recipe.seed)
    shift = shares(len(ins), len(outs), inside)[1]
    net = copy.deepcopy(generalist)
    loss = specialist_loss(asked, labels, n_classes, shift, smoothing=recipe.smoothing, soft=soft)
    generalist.eval()

    def teach(shown: Tensor) -> Mapping[str, Tensor]:
        return {GENERALIST: generalist(shown)}

    loop.fit(
        [Learner(net, loss)], pictures(order), recipe, where,
        teach=teach if soft else None, on_epoch=on_epoch, advance=advance,
    )  # fmt: skip
    return Specialist(net, asked)
