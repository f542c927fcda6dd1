"""What nets cost: counted by hand, against shapes; and measured."""

import pytest
import torch
from torch import nn

from secondlook.pipeline.learn.nets import family
from secondlook.pipeline.learn.nets.family import NetSpec
from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.students.cost import cost, latencies
from secondlook.pipeline.learn.students.onnx_file import exported
from tests.learn.students.made import CPU, file_of


def test_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),  # 108 weights, 108 × 8 × 8 multiply-adds
        nn.BatchNorm2d(4),  # 8 weights, 8 statistics of 4 bytes and a count of 8
        nn.Conv2d(4, 4, 3, padding=1, groups=4),  # 36 + 4, 36 × 8 × 8
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),  # 20 + 5, 20
    )
    found = cost(net, 16)
    assert found.parameters == 108 + 8 + 40 + 25
    assert found.multiply_adds == 108 * 64 + 36 * 64 + 20
    assert found.bytes == 4 * (found.parameters + 8) + 8


def test_counting_leaves_the_net_as_it_was() -> None:
    net = family.make(NetSpec("resnet:4", 3, 32, drop=0.5), 1, CPU).train()
    net.features.eval()  # type: ignore[union-attr]
    before = {key: one.clone() for key, one in net.state_dict().items()}
    modes = [one.training for one in net.modules()]
    cost(net, 32)
    assert [one.training for one in net.modules()] == modes
    assert all(torch.equal(before[key], one) for key, one in net.state_dict().items())


def test_attention_is_counted() -> None:
    """A vision transformer: 12 layers of 4 + 2 × 4 products of D × D for each token, and two of tokens × tokens × D."""
    with torch.device("meta"):
        body, width = family.features("vit:tiny", 32)
        net = Classifier(body, width, 10)
    tokens = 65
    layers = 12 * (12 * tokens * width**2 + 2 * tokens**2 * width)
    assert cost(net, 32).multiply_adds == layers + 64 * (3 * 4 * 4) * width + width * 10


def test_larger_models_are_measured_to_be_slower_in_the_same_rounds() -> None:
    found = latencies({"small": file_of("resnet:8"), "large": file_of("resnet:48", fitted=False)}, 4, 9)
    assert list(found) == ["small", "large"]
    assert found["large"].low_s > 3 * found["small"].low_s > 0
    assert all(one.low_s <= one.median_s <= one.high_s for one in found.values())


@pytest.mark.soak
def test_a_batch_takes_as_long_as_its_pictures() -> None:
    file = exported(family.make(NetSpec("resnet:16", 10, 32), 1, CPU).eval(), 32)
    alone, many = (latencies({"one": file}, batch, 30)["one"].median_s for batch in (1, 64))
    assert 16 < many / alone < 128
