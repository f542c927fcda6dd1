"""What a generalist and the specialists that are asked say together (Hinton, Vinyals, Dean 2015, section 5.4).

Each of them speaks of the same class, in other words: the generalist p_g of all K classes, specialist m of its classes
S_m and of one dustbin for the rest. The q (K,) that is nearest to all of them minimises

    KL(p_g, q) + Σ_m KL(p_m, q narrowed to S_m and the dustbin).

Set the derivative to zero: q is what comes back when each dustbin is dealt out over its classes as q itself has them,

    q ← normalise(p_g + Σ_m [p_m on S_m; p_m(dustbin) · q / q(outside of S_m) elsewhere]),

which is a step of expectation-maximisation, so that the sum never rises. Classes outside of every specialist keep the
proportions that they have in p_g.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_STEPS = 500
SLOWEST = 0.99  # no step is taken to leave more: float32 stops moving before


@dataclass(frozen=True)
class Combined:
    """q (n, K), rows sum to 1; after how many steps, and how far they left it from the fixed point, at most about."""

    probs: Tensor
    steps: int
    apart: float


def membership(members: Sequence[Tensor], n_classes: int, where: torch.device) -> Tensor:
    """(M, K) bool: which classes each of M specialists tells apart."""
    inside = torch.zeros(len(members), n_classes, dtype=torch.bool, device=where)
    for number, classes in enumerate(members):
        inside[number, classes.to(where)] = True
    return inside


def active(p_g: Tensor, members: Sequence[Tensor], n: int) -> Tensor:
    """(n_pictures, M) bool: specialists that have one of the generalist's n most probable classes; p_g (n_pictures, K)."""
    inside = membership(members, p_g.shape[1], p_g.device)
    best = p_g.topk(min(n, p_g.shape[1]), dim=1).indices
    return inside.T[best].any(dim=1)


@torch.no_grad()
def combined(
    p_g: Tensor,
    said: Sequence[Tensor],
    members: Sequence[Tensor],
    asked: Tensor,
    *,
    tolerance: float = 0.0,
    most_steps: int = MOST_STEPS,
) -> Combined:
    """The fixed point for n pictures at once.

    `p_g` (n, K), rows sum to 1, float32 or float64: all is computed in it, under autocast too. `said`: for each of M specialists (n, C_m + 1),
    its classes as `members` has them (C_m,) and the dustbin; rows where it is not `asked` (n, M) are not read. Clusters
    may overlap. Steps go on until no probability is further than `tolerance` from the fixed point (0: 1e-9 in float64,
    1e-6 in float32), or `most_steps` are over, as `apart` then says.
    """
    kind = p_g.dtype
    tolerance = tolerance or (1e-9 if kind == torch.float64 else 1e-6)
    tiny = torch.finfo(kind).tiny
    if not len(said) or not len(p_g):
        return Combined(p_g.clone(), 0, 0.0)
    outside = (~membership(members, p_g.shape[1], p_g.device)).to(kind)  # (M, K)
    on = asked.to(kind)
    fixed = p_g.clone()  # what no step changes: what is said of a class by its name
    dustbin = torch.empty_like(on)  # (n, M)
    for number, (probs, classes) in enumerate(zip(said, members, strict=True)):
        told = torch.where(asked[:, number, None], probs.to(kind), 0.0)
        fixed.index_add_(1, classes.to(p_g.device), told[:, :-1].contiguous())
        dustbin[:, number] = told[:, -1]
    voices = 1 + on.sum(dim=1, keepdim=True)
    most = float(voices.max()) - 1
    q, step, apart, moved = p_g.clamp_min(tiny), 0, 0.0, 0.0
    with torch.autocast(p_g.device.type, enabled=False):
        while step < most_steps:
            dealt = dustbin / (q @ outside.T).clamp_min(tiny)
            after = (fixed + q * (dealt @ outside)) / voices
            after = after / after.sum(dim=1, keepdim=True)
            # A step leaves a share of the distance, about M/(M+1) of it where M specialists are asked and more where they
            # and the generalist disagree much: then the share that the last step had of the one before tells.
            before, moved = moved, float((after - q).abs().max())
            share = min(max(most / (most + 1), moved / before if before else 0.0), SLOWEST)
            apart = moved * share / (1 - share)
            q, step = after, step + 1
            if apart <= tolerance or moved <= 2 * torch.finfo(kind).eps:
                break
    return Combined(q, step, apart)
