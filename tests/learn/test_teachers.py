"""Teachers: one net, several, a stored model, at another resolution; each says logits by picture."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.nets.family import NetSpec, make
from secondlook.pipeline.learn.students import distill, teachers
from secondlook.pipeline.learn.training.loop import Learner, fit
from secondlook.pipeline.learn.training.pictures import Held, shuffled
from secondlook.pipeline.learn.training.recipe import Recipe

CPU = torch.device("cpu")
K = 3


def net(seed: int) -> nn.Module:
    return make(NetSpec("quick:4", K, 8), seed, CPU)


def pictures(n: int = 6, side: int = 8) -> Tensor:
    return torch.randint(0, 256, (n, 3, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@torch.no_grad()
def test_one_net_teaches_what_it_says_when_it_is_asked() -> None:
    """In evaluation: what it says of a picture hangs on no other of the batch, and it learns nothing itself."""
    one = net(0).train()
    whole = teachers.alone(one)(pictures())["teacher"]
    assert torch.allclose(whole[:2], teachers.alone(one)(pictures()[:2])["teacher"], atol=1e-5)


@torch.no_grad()
def test_several_nets_teach_the_mean_of_their_probabilities() -> None:
    nets = [net(0), net(1), net(2)]
    probs = torch.stack([torch.softmax(one.eval()(pictures()), dim=1) for one in nets])
    logits = teachers.together(nets)(pictures())["teacher"]
    assert torch.allclose(logits.exp(), probs.mean(dim=0), atol=1e-5)


def test_a_stored_model_is_asked_of_pictures_as_they_lie_in_files() -> None:
    """Height, width, colour, in whole numbers; and what it is sure of is no infinite logit."""
    seen = []

    def score(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        seen.append(pixels)
        return np.zeros((len(pixels), 1), np.float32), np.tile(np.array([1.0, 0.0, 0.0], np.float32), (len(pixels), 1))

    shown = pictures().float() - 0.4
    logits = teachers.scored(score)(shown)["teacher"]
    assert seen[0].dtype == np.uint8
    assert np.array_equal(seen[0], pictures().permute(0, 2, 3, 1).numpy())
    assert logits.isfinite().all()
    assert (logits.argmax(dim=1) == 0).all()


def test_probabilities_said_of_the_pictures_are_taught_as_logits() -> None:
    probs = torch.tensor([[0.7, 0.2, 0.1]])
    logits = teachers.said(lambda shown: probs)(pictures(1))["teacher"]
    assert torch.allclose(torch.softmax(logits, dim=1), probs)


@pytest.mark.parametrize("side", [2, 8, 16])
def test_another_resolution_is_what_reading_at_it_gives(side: int) -> None:
    """As pictures are read from the lake: by areas where they shrink, bilinear where they grow."""
    one = pictures(1)
    method = cv2.INTER_AREA if side < 8 else cv2.INTER_LINEAR
    read = cv2.resize(one[0].permute(1, 2, 0).float().numpy(), (side, side), interpolation=method)
    got = teachers.resized(one, side)[0].permute(1, 2, 0).float().numpy()
    assert np.abs(got - read).max() < 1e-2
    seen = teachers.at_px(lambda shown: {"teacher": shown}, side)(one)["teacher"]
    assert torch.equal(seen, teachers.resized(one, side))
    assert torch.equal(teachers.Resized(nn.Identity(), side)(one), seen)


def test_what_was_not_kept_of_probabilities_is_spread_evenly() -> None:
    best, values = np.array([[2, 0], [1, 3]], np.int32), np.array([[0.6, 0.3], [1.0, 0.0]], np.float32)
    assert teachers.spread(best, values, 4) == pytest.approx(
        np.array([[0.3, 0.05, 0.6, 0.05], [0.0, 1.0, 0.0, 0.0]]), abs=1e-6
    )
    assert teachers.spread(best[:, ::-1], values[:, ::-1], 2 + 2).sum(axis=1) == pytest.approx([1, 1])


def test_students_side_by_side_learn_what_each_would_learn_alone() -> None:
    """At resolutions of their own, from one pass of the teacher: the same bytes."""
    shown = pictures(16).permute(0, 2, 3, 1).contiguous().numpy()
    labels = torch.arange(16) % K
    recipe = Recipe(epochs=2, batch=8, rate=0.05, precision="float32")
    teach = teachers.alone(net(9))
    loss = distill.soft_loss(labels, 4.0, 0.9)

    def taught(seeds: list[int]) -> list[nn.Module]:
        students = [teachers.Resized(net(seed), 8 if seed % 2 else 12) for seed in seeds]
        held = Held(shown, shuffled(torch.arange(16), 0), 8, CPU)
        fit([Learner(student, loss) for student in students], held, recipe, CPU, teach=teach)
        return [student.net for student in students]

    together, apart = taught([1, 2]), [*taught([1]), *taught([2])]
    for one, other in zip(together, apart, strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
