"""ONNX files answer as their nets do, about real pictures, and hold what one has to know to use them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from secondlook.pipeline.learn.nets import family
from secondlook.pipeline.learn.nets.family import NetSpec
from secondlook.pipeline.learn.nets.from_config import Maps
from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.students.onnx_file import Runner, agreement, exported
from secondlook.pipeline.learn.torch_setup import Dropout
from tests.learn.students.made import CLASSES, CPU, FITTED, SIDE, digits, file_of, learned, made, shown


@pytest.fixture(scope="module")
def file() -> bytes:
    return file_of("resnet:8")


@pytest.mark.parametrize("name", ["quick:4", "resnet:8", "mobilenet-v1:0.25", "short"])
def test_a_file_answers_as_its_net(name: str) -> None:
    found = agreement(learned(name), file_of(name), digits()[0][FITTED:])
    assert found.n == 1797 - FITTED
    assert found.largest_difference < 1e-4
    assert found.same == 1.0


@pytest.mark.soak
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet-v2:0.35",
        "squeezenet:0.25",
        "efficientnet:b0",
        "convnext:atto",
        "vit:tiny",
        "resnet-deep:18",
        "resnet-deep:50",
    ],
)
def test_large_nets_too(name: str) -> None:
    net = family.make(NetSpec(name, 10, 32), 1, CPU)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        net.train()(shown(pixels))  # statistics of normalization that are those of pictures
    assert agreement(net.eval(), exported(net, 32), pixels).largest_difference < 1e-4


def test_nets_of_transformers_too() -> None:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=SIDE,
        patch_size=4,
    )
    net = Classifier(Maps(ViTModel(config, add_pooling_layer=False)), 16, 10).eval()
    assert agreement(net, exported(net, SIDE), digits()[0][:30]).largest_difference < 1e-5


def test_any_number_of_pictures_may_be_asked_at_a_time(file: bytes) -> None:
    runner, pixels = Runner(file), digits()[0][:23]
    whole = runner.ask(pixels)
    assert whole.dtype == np.float32
    assert np.allclose(np.concatenate([runner.ask(pixels[:1]), runner.ask(pixels[1:], size=4)]), whole, atol=1e-5)
    assert runner.ask(pixels[:0]).shape == (0, 10)


def test_names_of_classes_and_the_input_are_in_the_file(file: bytes) -> None:
    runner = Runner(file)
    assert runner.classes == CLASSES
    assert runner.image_px == SIDE
    assert runner.input == {"name": "pictures", "type": "uint8", "layout": "NHWC", "colour": "RGB", "side_px": SIDE}


def test_equal_nets_make_equal_bytes_and_the_net_is_left_as_it_was(file: bytes) -> None:
    net = learned("resnet:8")
    before = {key: one.clone() for key, one in net.state_dict().items()}
    net.train()
    again = exported(net, SIDE, CLASSES)
    assert again == file
    assert net.training
    assert all(torch.equal(before[key], one) for key, one in net.state_dict().items())
    net.eval()


def test_nothing_of_this_machine_is_in_the_file(file: bytes) -> None:
    assert str(Path(__file__).parents[3]).encode() not in file
    assert b".py" not in file
    assert b"torch.onnx" not in file


def test_normalization_is_folded_and_scaling_is_inside(file: bytes) -> None:
    kinds = [node.op_type for node in onnx.load_from_string(file).graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds[:2] == ["Transpose", "Cast"]


def test_dropout_is_no_part_of_the_file() -> None:
    net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), 4, 10, lambda: Dropout(0.5, torch.Generator()))
    assert agreement(net, exported(net, SIDE), digits()[0][:9]).largest_difference < 1e-5


def test_agreement_tells_another_net(file: bytes) -> None:
    other = made("resnet:8", seed=2)
    found = agreement(other, file, digits()[0][:200])
    assert found.largest_difference > 0.5
    assert found.same < 0.5
