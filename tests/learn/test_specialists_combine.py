"""What generalist and specialists say together: against a numerical solver that knows nothing of fixed points."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from secondlook.pipeline.learn.specialists.combine import active, combined

Reals = npt.NDArray[np.float64]


def drawn(seed: int, n: int, n_classes: int, members: list[list[int]], dtype: torch.dtype = torch.float64):  # type: ignore[no-untyped-def]
    rng = torch.Generator().manual_seed(seed)
    p_g = torch.softmax(2 * torch.randn(n, n_classes, generator=rng, dtype=torch.float64), 1).to(dtype)
    said = [
        torch.softmax(2 * torch.randn(n, len(classes) + 1, generator=rng, dtype=torch.float64), 1).to(dtype)
        for classes in members
    ]
    return p_g, said, [torch.tensor(classes) for classes in members]


def divergence(q: Reals, p_g: Reals, said: list[Reals], members: list[list[int]]) -> float:
    total = float((p_g * np.log(p_g / q)).sum())
    for probs, classes in zip(said, members, strict=True):
        rest = [k for k in range(len(q)) if k not in classes]
        ours = np.array([*(q[k] for k in classes), q[rest].sum()])
        total += float((probs * np.log(probs / ours)).sum())
    return total


def solved(p_g: Reals, said: list[Reals], members: list[list[int]]) -> Reals:
    """The same q by a solver over logits, which knows the sum to be minimised and its slope, and nothing else."""

    def value(logits: Reals) -> tuple[float, Reals]:
        q = np.exp(logits - logits.max())
        q /= q.sum()
        slope = -p_g / q
        for probs, classes in zip(said, members, strict=True):
            rest = [k for k in range(len(q)) if k not in classes]
            slope[classes] -= probs[:-1] / q[classes]
            slope[rest] -= probs[-1] / q[rest].sum()
        return divergence(q, p_g, said, members), q * (slope - (q * slope).sum())

    found = minimize(value, np.log(p_g), jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 5000})
    q = np.exp(found.x - found.x.max())
    return np.asarray(q / q.sum())


CLUSTERS = [[[0, 1, 2], [5, 6]], [[0, 1, 2], [2, 3, 4], [4, 0, 7]], [[3]], [[0, 1, 2, 3], [0, 1], [7, 8], [8, 9, 2]]]


@pytest.mark.parametrize("members", CLUSTERS, ids=["apart", "overlapping", "one of one class", "within one another"])
def test_it_is_what_a_numerical_solver_finds(members: list[list[int]]) -> None:
    p_g, said, classes = drawn(3, 6, 11, members)
    found = combined(p_g, said, classes, torch.ones(6, len(members), dtype=torch.bool))
    assert found.apart <= 1e-9
    for row in range(6):
        slow = solved(p_g[row].numpy(), [probs[row].numpy() for probs in said], members)
        assert found.probs[row].numpy() == pytest.approx(slow, abs=1e-7)


def test_with_one_specialist_it_is_known_by_hand() -> None:
    # Half of each on the specialist's class: (0.2 + 0.6) / 2 = 0.4; the rest keeps 0.5 : 0.3.
    p_g, said = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64), torch.tensor([[0.6, 0.4]], dtype=torch.float64)
    found = combined(p_g, [said], [torch.tensor([0])], torch.tensor([[True]]))
    assert found.probs[0].tolist() == pytest.approx([0.4, 0.375, 0.225], abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n_active=st.integers(1, 4), members=st.sampled_from(CLUSTERS))
def test_classes_of_no_specialist_keep_their_proportions_and_nothing_near_is_better(
    seed: int, n_active: int, members: list[list[int]]
) -> None:
    p_g, said, classes = drawn(seed, 5, 11, members)
    asked = active(p_g, classes, n_active)
    q = combined(p_g, said, classes, asked, tolerance=1e-12).probs
    assert q.sum(dim=1).tolist() == pytest.approx([1.0] * 5)
    for row in range(5):
        on = [number for number in range(len(members)) if asked[row, number]]
        outside = [k for k in range(11) if not any(k in members[number] for number in on)]
        ratio = (q[row] / p_g[row])[outside]
        assert ratio.tolist() == pytest.approx([float(ratio[0])] * len(outside), rel=1e-7)
        theirs = p_g[row].numpy(), [said[m][row].numpy() for m in on], [members[m] for m in on]
        least = divergence(q[row].numpy(), *theirs)
        rng = np.random.default_rng(seed)
        for _ in range(5):
            near = q[row].numpy() * np.exp(rng.normal(0, 1e-3, 11))
            assert divergence(near / near.sum(), *theirs) > least - 1e-12


def test_where_nobody_is_asked_the_generalist_speaks_and_what_was_not_asked_is_not_read() -> None:
    p_g, said, classes = drawn(1, 3, 11, CLUSTERS[1])
    for probs in said:
        probs[0] = torch.nan
    asked = torch.tensor([[False] * 3, [True] * 3, [True, False, True]])
    q = combined(p_g, said, classes, asked).probs
    assert q[0].tolist() == pytest.approx(p_g[0].tolist(), abs=1e-12)
    assert torch.isfinite(q).all()
    assert combined(p_g, [], [], torch.zeros(3, 0, dtype=torch.bool)).probs.tolist() == p_g.tolist()


def test_each_picture_gets_what_it_would_get_alone() -> None:
    p_g, said, classes = drawn(5, 40, 11, CLUSTERS[3])
    asked = active(p_g, classes, 2)
    together = combined(p_g, said, classes, asked, tolerance=1e-12).probs
    for row in range(40):
        alone = combined(p_g[[row]], [probs[[row]] for probs in said], classes, asked[[row]], tolerance=1e-12)
        assert together[row].tolist() == pytest.approx(alone.probs[0].tolist(), abs=1e-9)


def test_float32_comes_to_the_same_and_stops() -> None:
    p_g, said, classes = drawn(7, 200, 11, CLUSTERS[1])
    asked = torch.ones(200, 3, dtype=torch.bool)
    exact = combined(p_g, said, classes, asked)
    rough = combined(p_g.float(), [probs.float() for probs in said], classes, asked)
    assert rough.probs.dtype == torch.float32
    assert rough.steps < 100
    assert rough.probs.numpy() == pytest.approx(exact.probs.numpy(), abs=2e-6)


def test_steps_that_were_not_enough_are_told() -> None:
    p_g, said, classes = drawn(7, 50, 11, CLUSTERS[1])
    exact = combined(p_g, said, classes, torch.ones(50, 3, dtype=torch.bool), tolerance=1e-13).probs
    short = combined(p_g, said, classes, torch.ones(50, 3, dtype=torch.bool), most_steps=4)
    off = float((short.probs - exact).abs().max())
    assert short.steps == 4
    assert 1e-4 < off <= 2 * short.apart


def test_classes_that_nobody_believes_in_break_nothing() -> None:
    p_g = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    said = [torch.tensor([[0.0, 0.0, 1.0]])]  # its classes are 0 and 1, and it is sure that it is neither
    q = combined(p_g, said, [torch.tensor([0, 1])], torch.tensor([[True]])).probs
    assert q[0].tolist() == pytest.approx([0.5, 0.0, 0.25, 0.25], abs=1e-5)


def test_asked_are_those_who_know_one_of_the_most_probable_classes() -> None:
    p_g = torch.tensor([[0.5, 0.3, 0.1, 0.1], [0.1, 0.1, 0.3, 0.5]])
    members: list[Tensor] = [torch.tensor([0]), torch.tensor([1, 3]), torch.tensor([2])]
    assert active(p_g, members, 1).tolist() == [[True, False, False], [False, True, False]]
    assert active(p_g, members, 2).tolist() == [[True, True, False], [False, True, True]]
    assert active(p_g, members, 9).tolist() == [[True] * 3] * 2
