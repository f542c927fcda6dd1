"""Losses of students: against the papers' formulas written out, and what one tends to as the other's limit."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax
from torch import Tensor

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.students import distill
from secondlook.pipeline.learn.training.loop import Loss, Shown

N, K = 6, 5

Reals = npt.NDArray[np.float64]


def drawn(seed: int, n: int = N, k: int = K) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of a student and of a teacher, and labels of which one is missing."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, k, (n,), generator=rng)
    labels[0] = -1
    return torch.randn(n, k, generator=rng) * 3, torch.randn(n, k, generator=rng) * 3, labels


def shown(teacher: Tensor) -> Shown:
    return Shown(torch.arange(len(teacher)), torch.zeros(len(teacher), 3, 1, 1), {"teacher": teacher})


def gradient(loss: Loss, student: Tensor, teacher: Tensor) -> Tensor:
    at = student.clone().requires_grad_(True)
    loss(at, shown(teacher)).backward()  # type: ignore[no-untyped-call]
    assert at.grad is not None
    return at.grad


def slow(student: Tensor, teacher: Tensor, labels: Tensor, soft: float, part: Callable[..., float]) -> float:
    """The mean over pictures of (1 - soft) · -log p(label), where there is one, + soft · part, one by one."""
    total = 0.0
    for z, v, y in zip(student.double().numpy(), teacher.double().numpy(), labels.tolist(), strict=True):
        hard = 0.0 if y < 0 else -(z[y] - logsumexp(z))
        total += (1 - soft) * hard + soft * part(z, v, y)
    return total / len(labels)


def kl(p: Reals, q: Reals) -> float:
    return float(np.sum(p * np.log(p / q)))


def test_soft_targets_are_hintons_formula() -> None:
    student, teacher, labels = drawn(0)
    t, w = 3.0, 0.7
    expected = slow(student, teacher, labels, w, lambda z, v, y: t**2 * kl(softmax(v / t), softmax(z / t)))
    assert float(distill.soft_loss(labels, t, w)(student, shown(teacher))) == pytest.approx(expected, rel=1e-5)


def test_decoupled_is_its_papers_formula() -> None:
    student, teacher, labels = drawn(1)
    t, w, alpha, beta = 4.0, 0.5, 1.5, 6.0

    def part(z: Reals, v: Reals, y: int) -> float:
        p, q = softmax(v / t), softmax(z / t)
        right = y if y >= 0 else int(np.argmax(v))
        others = [k for k in range(K) if k != right]
        target = kl(np.array([p[right], 1 - p[right]]), np.array([q[right], 1 - q[right]]))
        rest = kl(p[others] / p[others].sum(), q[others] / q[others].sum())
        return t**2 * (alpha * target + beta * rest)

    loss = distill.decoupled_loss(labels, t, w, alpha=alpha, beta=beta)
    assert float(loss(student, shown(teacher))) == pytest.approx(slow(student, teacher, labels, w, part), rel=1e-5)


@given(st.integers(0, 10_000))
def test_the_decoupled_parts_make_up_the_divergence(seed: int) -> None:
    """KL = KL of (right, not right) + p(not right) of the teacher · KL among the others: equation 6 of the paper."""
    student, teacher, _ = drawn(seed)
    right = torch.arange(N) % K
    first, second = distill.decoupled(student, teacher, right)
    not_right = 1 - torch.softmax(teacher, dim=1).gather(1, right[:, None])[:, 0]
    assert first + not_right * second == pytest.approx(distill.divergence(student, teacher), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("standardize", [False, True])
def test_matching_logits_is_the_limit_of_a_high_temperature(standardize: bool) -> None:
    """The gradient of T² · KL tends to that of ½ mean (z - v)², both centered (Hinton et al. 2015, section 2.1)."""
    student, teacher, labels = drawn(2)
    student, teacher = student.double(), teacher.double() + 7  # a constant added to all logits changes nothing
    limit = gradient(distill.logits_loss(labels, 1.0, standardize=standardize), student, teacher)
    apart = [
        float((gradient(distill.soft_loss(labels, t, 1.0, standardize=standardize), student, teacher) - limit).norm())
        for t in (10.0, 100.0, 1000.0)
    ]
    assert apart[0] > 5 * apart[1] > 25 * apart[2]
    assert apart[2] < 3e-3 * float(limit.norm())


def test_gradients_of_soft_targets_keep_their_size_at_any_temperature() -> None:
    """What T² is for: without it they would fall ten thousand times from T = 10 to T = 1000."""
    student, teacher, labels = drawn(3)
    at = [float(gradient(distill.soft_loss(labels, t, 1.0), student, teacher).norm()) for t in (10.0, 1000.0)]
    assert at[0] == pytest.approx(at[1], rel=0.2)


@pytest.mark.parametrize("method", distill.METHODS)
def test_standardized_logits_forget_scale_and_place(method: str) -> None:
    student, teacher, labels = drawn(4)
    loss = distill.loss_of(method, labels, temperature=2.0, soft=1.0, standardize=True)
    assert float(loss(student, shown(teacher))) == pytest.approx(
        float(loss(student * 5 - 3, shown(teacher / 4 + 1))), rel=1e-4
    )
    assert distill.standardized(student).std(dim=1, correction=0) == pytest.approx(torch.ones(N), rel=1e-5)


@pytest.mark.parametrize("method", distill.METHODS)
@pytest.mark.parametrize("standardize", [False, True])
def test_a_student_that_says_what_the_teacher_says_has_nothing_to_learn(method: str, standardize: bool) -> None:
    _, teacher, labels = drawn(5)
    loss = distill.loss_of(method, labels, temperature=4.0, soft=1.0, standardize=standardize)
    assert float(loss(teacher + 2, shown(teacher))) == pytest.approx(0, abs=1e-5)
    assert float(gradient(loss, teacher + 2, teacher).abs().max()) < 1e-5


@pytest.mark.parametrize("method", distill.METHODS)
def test_a_picture_without_a_label_learns_from_the_teacher_alone(method: str) -> None:
    student, teacher, labels = drawn(6)
    hard = gradient(distill.loss_of(method, labels, temperature=4.0, soft=0.0), student, teacher)
    assert not hard[0].any()
    assert hard[1:].any(dim=1).all()
    both = gradient(distill.loss_of(method, labels, temperature=4.0, soft=0.5), student, teacher)
    taught = gradient(distill.loss_of(method, torch.full((N,), -1), temperature=4.0, soft=0.5), student, teacher)
    assert both[0].any()
    assert torch.allclose(both[0], taught[0])


def test_without_a_teachers_share_it_is_label_smoothing() -> None:
    """And nobody is asked: what a teacher would have said need not be there."""
    student, _, labels = drawn(7)
    told = labels.clamp_min(0)
    loss = distill.soft_loss(told, 4.0, 0.0, smoothing=0.1)(student, Shown(torch.arange(N), torch.zeros(0)))
    assert torch.isclose(loss, torch.nn.functional.cross_entropy(student, told, label_smoothing=0.1))


@pytest.mark.parametrize("method", distill.METHODS)
def test_logits_that_say_nothing_or_all_too_much_leave_gradients_finite(method: str) -> None:
    student, teacher, labels = torch.zeros(N, K), torch.zeros(N, K), drawn(0)[2]
    teacher[1] = torch.tensor([1e4, 0, 0, 0, -1e4])
    for standardize in (False, True):
        loss = distill.loss_of(method, labels, temperature=4.0, soft=0.5, standardize=standardize)
        assert gradient(loss, student, teacher).isfinite().all()


def test_what_a_teacher_said_before_is_looked_up_by_row() -> None:
    student, teacher, labels = drawn(8)
    rows = torch.tensor([4, 1, 3])
    loss = distill.soft_loss(labels, 4.0, 0.9)
    live = loss(student[rows], Shown(rows, torch.zeros(3), {"teacher": teacher[rows]}))
    assert torch.equal(distill.remembered(teacher, loss)(student[rows], Shown(rows, torch.zeros(3))), live)


def test_a_method_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="unknown method 'sotf', did you mean 'soft'"):
        distill.loss_of("sotf", torch.zeros(1), temperature=4.0, soft=0.9)
