"""What a student is fitted to: a teacher's logits beside the labels, or alone where a picture has no label.

All losses are means over the pictures of a step, of (1 - soft) · cross-entropy + soft · what the method makes of
teacher and student. A picture without a label (-1) has no first part, so that it weighs in the second as any other.
They read the teacher's logits (n, K) from `shown.said["teacher"]`.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import unknown
from secondlook.pipeline.learn.training.loop import Loss, Shown, by_row

TEACHER = "teacher"
METHODS = ("soft", "logits", "decoupled")
ALPHA, BETA = 1.0, 8.0  # of decoupled distillation, as its paper has them for 100 classes
LITTLE = 1e-6  # variance below which logits say nothing: they stay what they are, and gradients finite

Match = Callable[[Tensor, Tensor, Tensor], Tensor]  # student and teacher (n, K), labels (n,) → (n,)


def soft_loss(
    labels: Tensor, temperature: float, soft: float, *, standardize: bool = False, smoothing: float = 0.0
) -> Loss:
    """Labels (N,), -1 for none, and the teacher's probabilities at a temperature T (Hinton et al. 2015).

    The second part is T² · KL(teacher, student), both evened out by T: gradients of soft targets fall with 1/T², and
    keep their share beside those of labels whatever T is. `soft`: weight of that part, 0..1. `standardize`: logits are
    standardized first (Sun et al. 2024), see `standardized`. `smoothing`: label smoothing of the first part.
    """

    def match(student: Tensor, teacher: Tensor, told: Tensor) -> Tensor:
        return divergence(student / temperature, teacher / temperature) * temperature**2

    return _beside_labels(labels, soft, match, standardize, smoothing)


def logits_loss(labels: Tensor, soft: float, *, standardize: bool = False, smoothing: float = 0.0) -> Loss:
    """Labels and the teacher's logits themselves (Ba & Caruana 2014): what `soft_loss` tends to as T grows.

    The second part is Σ_k (z_k - v_k)² / 2K for logits z of the student and v of the teacher, each with mean 0, since a
    constant added to all logits changes no probability.
    """

    def match(student: Tensor, teacher: Tensor, told: Tensor) -> Tensor:
        apart = centered(student) - centered(teacher)
        return apart.square().mean(dim=1) / 2

    return _beside_labels(labels, soft, match, standardize, smoothing)


def decoupled_loss(
    labels: Tensor,
    temperature: float,
    soft: float,
    *,
    alpha: float = ALPHA,
    beta: float = BETA,
    standardize: bool = False,
    smoothing: float = 0.0,
) -> Loss:
    """Labels and the teacher's probabilities, the right class apart from the others (Zhao et al. 2022).

    KL(teacher, student) is KL of (right, not right) plus p(not right) of the teacher times KL among the other classes:
    the surer the teacher, the less it tells of the others. Here the second part is
    T² · (alpha · the first + beta · the second without its factor). The right class of a picture without a label is
    the teacher's most probable one.
    """

    def match(student: Tensor, teacher: Tensor, told: Tensor) -> Tensor:
        right = torch.where(told >= 0, told, teacher.argmax(dim=1))
        target, others = decoupled(student / temperature, teacher / temperature, right)
        return (alpha * target + beta * others) * temperature**2

    return _beside_labels(labels, soft, match, standardize, smoothing)


def loss_of(
    method: str,
    labels: Tensor,
    *,
    temperature: float,
    soft: float,
    others: float = BETA,
    standardize: bool = False,
    smoothing: float = 0.0,
) -> Loss:
    """The loss of a method of METHODS; UserError for another. `others`: beta of `decoupled_loss`."""
    if method == "soft":
        return soft_loss(labels, temperature, soft, standardize=standardize, smoothing=smoothing)
    if method == "logits":
        return logits_loss(labels, soft, standardize=standardize, smoothing=smoothing)
    if method == "decoupled":
        return decoupled_loss(labels, temperature, soft, beta=others, standardize=standardize, smoothing=smoothing)
    raise unknown("method", method, METHODS)


def remembered(logits: Tensor, loss: Loss) -> Loss:
    """The same loss for a teacher whose logits (N, K), by row, were asked for before: nobody runs it again.

    What it said out of fold repeats no wrong label that it learned; but it saw each picture unchanged only.
    """

    said_of = by_row(logits)

    def told(student: Tensor, shown: Shown) -> Tensor:
        return loss(student, replace(shown, said={**shown.said, TEACHER: said_of(shown)}))

    return told


def _beside_labels(labels: Tensor, soft: float, match: Match, standardize: bool, smoothing: float) -> Loss:
    label_of = by_row(labels)

    def loss(logits: Tensor, shown: Shown) -> Tensor:
        told = label_of(shown)
        total = torch.zeros(len(logits), device=logits.device)
        if soft < 1:
            hard = nn.functional.cross_entropy(
                logits, told, ignore_index=-1, reduction="none", label_smoothing=smoothing
            )
            total = total + (1 - soft) * hard
        if soft > 0:
            student, teacher = logits, shown.said[TEACHER].float()
            if standardize:
                student, teacher = standardized(student), standardized(teacher)
            total = total + soft * match(student, teacher, told)
        return total.mean()

    return loss


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(softmax(teacher), softmax(student)) of each row: logits (n, K) → (n,)."""
    own, taught = torch.log_softmax(student, dim=1), torch.log_softmax(teacher, dim=1)
    return (taught.exp() * (taught - own)).sum(dim=1)


def decoupled(student: Tensor, teacher: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The two parts of KL (n,) each: of (right, not right), and among the classes that are not right.

    Logits (n, K), `right` (n,) class numbers. KL = first + p(not right) of the teacher · second.
    """
    own, taught = _others(student, right), _others(teacher, right)
    return divergence(_two(student, own, right), _two(teacher, taught, right)), divergence(own, taught)


def _others(logits: Tensor, right: Tensor) -> Tensor:
    """(n, K - 1) logits of all classes but the right one; by places, since a mask would make a GPU wait."""
    place = torch.arange(logits.shape[1] - 1, device=logits.device)
    return logits.gather(1, place + (place >= right[:, None]).long())


def _two(logits: Tensor, others: Tensor, right: Tensor) -> Tensor:
    """(n, 2) logits of right and not right."""
    return torch.cat([logits.gather(1, right[:, None]), others.logsumexp(dim=1, keepdim=True)], dim=1)


def centered(logits: Tensor) -> Tensor:
    """Logits (n, K) less their mean over classes."""
    return logits - logits.mean(dim=1, keepdim=True)


def standardized(logits: Tensor) -> Tensor:
    """Logits (n, K) with mean 0 and standard deviation 1 over classes: what is left is their order and proportions.

    A small student need not reach the scale of a large teacher's logits then (Sun et al. 2024, "Logit standardization
    in knowledge distillation").
    """
    apart = centered(logits)
    return apart / (apart.square().mean(dim=1, keepdim=True) + LITTLE).sqrt()
