"""Training dynamics: how much a net resists a label that it is told.

The area under the margin (Pleiss, Zhang, Elenberg, Weinberger 2020, "Identifying Mislabeled Data using the Area Under the
Margin Ranking"): a label's logit minus the largest other one, averaged over the epochs. Where other pictures speak for
another class, a net learns a wrong label late or never. It comes from the logits that fitting computes anyway.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Margins:
    """Sums of margins of N pictures; to be called with the rows (n,) of a step, their logits (n, K) and labels (n,)."""

    def __init__(self, n: int) -> None:
        self.total = torch.zeros(n)
        self.times = torch.zeros(n)

    @torch.no_grad()
    def __call__(self, rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add what a net said while it was told these labels."""
        where = logits.device
        self.total, self.times, rows = (part.to(where, non_blocking=True) for part in (self.total, self.times, rows))
        own = logits.gather(1, labels[:, None])
        others = logits.scatter(1, labels[:, None], -torch.inf)
        self.total[rows] += (own[:, 0] - others.amax(dim=1)).float()
        self.times[rows] += 1

    def __add__(self, other: "Margins") -> "Margins":
        both = Margins(len(self.total))
        both.total, both.times = (a.cpu() + b.cpu() for a, b in ((self.total, other.total), (self.times, other.times)))
        return both

    def area(self) -> npt.NDArray[np.float32]:
        """(N,) mean margin; nan for pictures that were never shown."""
        total, times = self.total.cpu(), self.times.cpu()
        mean = torch.where(times > 0, total / times.clamp(min=1), torch.nan)
        return np.asarray(mean.numpy(), np.float32)


def on_scale_of(values: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(N,) the values in their own order, but with the distribution of the reference (N,); nan where either is nan.

    What a net says of labels that it was told is too friendly to them, and more so the more it can remember. In ranks it
    is not: the label that is resisted most gets the reference's highest value, and so on.

    >>> on_scale_of(np.array([9.0, 7.0, 8.0], np.float32), np.array([0.5, -1.0, 0.0], np.float32)).tolist()
    [0.5, -1.0, 0.0]
    """
    rows = np.flatnonzero(~np.isnan(values) & ~np.isnan(reference))
    result = np.full(len(values), np.nan, np.float32)
    result[rows[np.argsort(values[rows], kind="stable")]] = np.sort(reference[rows])
    return result
