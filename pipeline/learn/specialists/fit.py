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
from typing import Self

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.torch_setup import Advance
from secondlook.pipeline.learn.training import loop
from secondlook.pipeline.learn.training.kept import Keep, Kept
from secondlook.pipeline.learn.training.loop import Learner, Loss, Shown, by_row
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

    def probs(self, pictures: Tensor) -> Tensor:
        """The same as probabilities."""
        return self.log_probs(pictures).exp()


def narrowed(logits: Tensor, members: Tensor) -> Tensor:
    """Logits (n, K) of all classes → (n, C + 1) of `members` (C,) and the dustbin: see `Cut`."""
    return Cut.of(members, logits.shape[1]).to(logits.device).narrowed(logits)


@dataclass(frozen=True)
class Cut:
    """All K classes as those of a cluster, `members` (C,), and the rest, `outside` (K - C,), as indices on a device."""

    members: Tensor
    outside: Tensor

    @classmethod
    def of(cls, members: Tensor, n_classes: int) -> Self:
        """The cut of K classes at a cluster's."""
        rest = torch.ones(n_classes, dtype=torch.bool)
        rest[members.cpu()] = False
        return cls(members.cpu(), rest.nonzero()[:, 0])

    def to(self, where: torch.device) -> Self:
        """The same on a device."""
        return type(self)(self.members.to(where), self.outside.to(where))

    def narrowed(self, logits: Tensor) -> Tensor:
        """Logits (n, K) of all classes → (n, C + 1): those of the cluster, then the dustbin's.

        Softmax of it is softmax of `logits` with the probabilities outside added up.
        """
        dustbin = torch.logsumexp(logits[:, self.outside], dim=1, keepdim=True)
        return torch.cat([logits[:, self.members], dustbin], dim=1)


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


def smoothed_targets(n_members: int, n_classes: int, shift: float, smoothing: float) -> Tensor:
    """(C + 1, C + 1): what a net is told of a picture of each class of the cluster, and of the dustbin, as pictures are shown.

    Label smoothing over K classes, the dustbin with its classes' sum, then shifted as the logits are.
    """
    even = torch.tensor([1.0] * n_members + [float(n_classes - n_members)]) / n_classes
    target = (1 - smoothing) * torch.eye(n_members + 1) + smoothing * even
    target[:, -1] *= math.exp(shift)
    return target / target.sum(dim=1, keepdim=True)


def specialist_loss(
    members: Tensor, labels: Tensor, n_classes: int, shift: float, *, smoothing: float, soft: float
) -> Loss:
    """Cross-entropy over the cluster's classes and the dustbin, and the generalist's soft targets for the rest.

    `labels` (N,): class numbers by row. `shift`: the log of how much more often the rest is shown than it is there: it is
    added to the dustbin's logit here, in training, so that the net itself speaks of the data as they are and is asked
    without it. `smoothing`: label smoothing over all K classes, as the generalist's: the dustbin gets its classes' sum, and this
    target is shifted, too. Else the net would be told of a picture that is surely of the cluster to give the dustbin its
    share of smoothing *as shown*, and undoing the shift would make much of it: a third of all that is the cluster's.
    `soft`: weight of KL(generalist, specialist) among the classes outside, on pictures of classes outside.
    """
    at_home = Cut.of(members, n_classes)
    n_members = len(members)
    place = torch.full((n_classes,), n_members)
    place[members] = torch.arange(n_members)
    told_by_row = by_row(place[labels])
    targets = smoothed_targets(n_members, n_classes, shift, smoothing)
    held: dict[torch.device, tuple[Cut, Tensor]] = {}  # a copy to a GPU in each step would wait for it

    def loss(logits: Tensor, shown: Shown) -> Tensor:
        where = logits.device
        if where not in held:
            held[where] = at_home.to(where), targets.to(where)
        cut, target = held[where]
        narrow = cut.narrowed(logits)
        log_p = torch.log_softmax(torch.cat([narrow[:, :-1], narrow[:, -1:] + shift], dim=1), dim=1)
        told = told_by_row(shown)
        hard = -(target[told] * log_p).sum(dim=1).mean()
        if not soft or GENERALIST not in shown.said:
            return hard
        theirs = torch.log_softmax(shown.said[GENERALIST].float()[:, cut.outside], dim=1)
        ours = torch.log_softmax(logits[:, cut.outside], dim=1)
        apart = (theirs.exp() * (theirs - ours)).sum(dim=1)
        return hard + soft * (apart * (told == n_members)).mean()

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
    start: nn.Module | None = None,
    on_epoch: Callable[[int, Sequence[float]], None] = lambda epoch, losses: None,
    keep: Keep | None = None,
    resume: Kept | None = None,
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
    net = copy.deepcopy(start or generalist)
    loss = specialist_loss(asked, labels, n_classes, shift, smoothing=recipe.smoothing, soft=soft)
    generalist.eval()

    def teach(shown: Tensor) -> Mapping[str, Tensor]:
        return {GENERALIST: generalist(shown)}

    loop.fit(
        [Learner(net, loss)], pictures(order), recipe, where,
        teach=teach if soft else None, on_epoch=on_epoch, keep=keep, resume=resume, advance=advance,
    )  # fmt: skip
    return Specialist(net, asked)
