"""Multiply-adds and parameters are those of the papers' tables."""

import pytest
import torch

from secondlook.pipeline.learn.nets import family
from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.students.cost import Cost, cost


def costs(name: str, side: int, n_classes: int = 1000) -> tuple[Cost, int]:
    """What a net costs, and its parameters without those of batch normalization, which some tables leave out."""
    with torch.device("meta"):
        features, width = family.features(name, side)
        net = Classifier(features, width, n_classes)
    plain = sum(one.numel() for key, one in net.named_parameters() if one.ndim > 1 or key.startswith("last"))
    return cost(net, side), plain


# Howard et al. 2017, tables 6 (width) and 7 (resolution), in millions. 290 stands there for 290.7.
@pytest.mark.parametrize(
    ("alpha", "side", "multiply_adds", "parameters"),
    [
        (1.0, 224, 569, 4.2),
        (0.75, 224, 325, 2.6),
        (0.5, 224, 149, 1.3),
        (0.25, 224, 41, 0.5),
        (1.0, 192, 418, 4.2),
        (1.0, 160, 290, 4.2),
        (1.0, 128, 186, 4.2),
    ],
)
def test_mobilenet_v1(alpha: float, side: int, multiply_adds: int, parameters: float) -> None:
    found, _ = costs(f"mobilenet-v1:{alpha}", side)
    assert found.multiply_adds / 1e6 == pytest.approx(multiply_adds, abs=0.75)
    assert round(found.parameters / 1e6, 1) == parameters


# The table that its authors publish beside their weights, in millions; parameters without those of normalization.
@pytest.mark.parametrize(
    ("alpha", "side", "multiply_adds", "parameters"),
    [
        (1.4, 224, 582, 6.06),
        (1.0, 224, 300, 3.47),
        (1.0, 96, 56, 3.47),
        (0.75, 224, 209, 2.61),
        (0.5, 192, 71, 1.95),
        (0.35, 160, 30, 1.66),
    ],
)
def test_mobilenet_v2(alpha: float, side: int, multiply_adds: int, parameters: float) -> None:
    found, plain = costs(f"mobilenet-v2:{alpha}", side)
    assert found.multiply_adds / 1e6 == pytest.approx(multiply_adds, rel=0.02, abs=0.9)
    assert plain / 1e6 == pytest.approx(parameters, abs=0.006)


# Tan and Le 2019, table 2: millions of parameters, billions of "FLOPS", which are multiply-adds, at the paper's resolutions.
@pytest.mark.parametrize(
    ("size", "side", "multiply_adds", "parameters"),
    [("b0", 224, 0.39, 5.3), ("b2", 260, 1.0, 9.2), ("b7", 600, 37, 66)],
)
def test_efficientnet(size: str, side: int, multiply_adds: float, parameters: float) -> None:
    found, _ = costs(f"efficientnet:{size}", side)
    assert found.multiply_adds / 1e9 == pytest.approx(multiply_adds, rel=0.025)
    assert found.parameters / 1e6 == pytest.approx(parameters, rel=0.01)


# He et al. 2016: table 6 (ResNet-20 and -56 on CIFAR-10, millions of parameters), and table 1 (billions of multiply-adds). Its
# ResNet-50 had the stride in the first convolution of a block, 3.8; in the second one, as all have it since, it is 4.1.
@pytest.mark.parametrize(("name", "parameters"), [("resnet-3:16", 0.27), ("resnet-9:16", 0.85)])
def test_residual_nets_for_small_pictures(name: str, parameters: float) -> None:
    assert costs(name, 32, 10)[0].parameters / 1e6 == pytest.approx(parameters, abs=0.006)


@pytest.mark.parametrize(
    ("size", "multiply_adds", "parameters"), [("18", 1.81, 11.69), ("34", 3.66, 21.80), ("50", 4.09, 25.56)]
)
def test_residual_nets_for_large_pictures(size: str, multiply_adds: float, parameters: float) -> None:
    found, _ = costs(f"resnet-deep:{size}", 224)
    assert found.multiply_adds / 1e9 == pytest.approx(multiply_adds, abs=0.011)
    assert found.parameters / 1e6 == pytest.approx(parameters, abs=0.006)


def test_squeezenet() -> None:
    """Its authors' version 1.1 has 1,235,496 parameters, of which 3,944 are biases; here only the last layer has one."""
    assert costs("squeezenet:1", 224)[1] == 1_235_496 - 3_944 + 1_000


# Of each kind the parameters that the authors state, in millions (DeiT's with a token for distillation left out).
@pytest.mark.parametrize(
    ("name", "parameters"), [("convnext:atto", 3.7), ("convnext:nano", 15.6), ("vit:tiny", 5.7), ("vit:small", 22)]
)
def test_newer_nets(name: str, parameters: float) -> None:
    assert costs(name, 224)[0].parameters / 1e6 == pytest.approx(parameters, rel=0.02)
