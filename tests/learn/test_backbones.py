"""Frozen backbones: real ones of transformers, made here with random weights, and the MobileNetV2 of this machine."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import UnavailableError, UserError
from secondlook.pipeline.learn import backbones
from secondlook.pipeline.learn.batches import picture_batches, square

CPU = torch.device("cpu")
LIMITS = Limits(2**24, 10**8, 20.0)


def tiny_resnet() -> object:
    from transformers import ResNetConfig, ResNetModel

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"}
    return ResNetModel(ResNetConfig(**sizes))


def tiny_vit() -> object:
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return ViTModel(ViTConfig(image_size=64, patch_size=16, **sizes))


def tiny_clip() -> object:
    from transformers import CLIPConfig, CLIPModel

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=sizes | {"vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0},
        vision_config=sizes | {"image_size": 64, "patch_size": 16},
        projection_dim=8,
    )
    return CLIPModel(config)


def saved(make: Callable[[], object], folder: Path) -> str:
    torch.manual_seed(0)
    make().save_pretrained(folder)  # type: ignore[attr-defined]
    return str(folder)


def some_pixels(side_px: int, n: int = 5) -> npt.NDArray[Any]:
    return np.random.default_rng(0).integers(0, 255, (n, side_px, side_px, 3), dtype=np.uint8)


@pytest.mark.parametrize(("make", "width"), [(tiny_resnet, 12), (tiny_vit, 16), (tiny_clip, 16)])
@pytest.mark.parametrize("side_px", [64, 96])
def test_image_models_of_several_kinds_give_a_vector_a_picture(
    make: Callable[[], object], width: int, side_px: int, tmp_path: Path
) -> None:
    backbone = backbones.load(saved(make, tmp_path), side_px, CPU)
    vectors = backbone.embed(some_pixels(side_px))
    assert vectors.shape == (5, width)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert backbone.embed(some_pixels(side_px)[:0]).shape == (0, width)
    one_by_one = np.concatenate([backbone.embed(one[None]) for one in some_pixels(side_px)])
    assert vectors == pytest.approx(one_by_one, abs=1e-4)


def test_pictures_are_normalized_as_the_model_s_own_preprocessor_says(tmp_path: Path) -> None:
    name = saved(tiny_resnet, tmp_path)
    pixels = some_pixels(64)
    plain = backbones.load(name, 64, CPU)
    assert (plain.mean, plain.std) == backbones.IMAGENET
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.1, 0.4]})
    )
    own = backbones.load(name, 64, CPU)
    shown = (pixels / 255.0 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.1, 0.4])
    with torch.inference_mode():
        expected = own.net(pixel_values=torch.from_numpy(shown).permute(0, 3, 1, 2).float()).pooler_output.flatten(1)
    assert own.embed(pixels) == pytest.approx(expected.numpy(), abs=1e-4)
    assert own.embedder != plain.embedder


def test_the_embedder_s_name_changes_with_weights_and_side_only(tmp_path: Path) -> None:
    name = saved(tiny_resnet, tmp_path / "model")
    first = backbones.load(name, 64, CPU).embedder
    assert first == backbones.load(name, 64, CPU).embedder
    assert first.startswith("model-64px-")
    assert first != backbones.load(name, 96, CPU).embedder
    torch.manual_seed(1)
    tiny_resnet().save_pretrained(tmp_path / "model")  # type: ignore[attr-defined]
    assert first != backbones.load(name, 64, CPU).embedder


def test_mobilenet_gives_the_features_that_transformers_gives(shared_model: Callable[[str], Path]) -> None:
    from transformers import AutoModel

    folder = str(shared_model("mobilenet_v2"))
    pixels = some_pixels(128, 2)
    vectors = backbones.load(folder, 128, CPU).embed(pixels)
    shown = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255.0 - torch.tensor(backbones.IMAGENET[0]).view(1, 3, 1, 1)) / (
        torch.tensor(backbones.IMAGENET[1]).view(1, 3, 1, 1)
    )  # fmt: skip
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(folder).eval()(pixel_values=shown).pooler_output
    assert vectors.shape == (2, 1280)
    assert vectors == pytest.approx(expected.numpy(), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("./no/such/folder", "there is no folder ./no/such/folder"),
        ("a b", "there is no folder a b"),
        ("EMPTY", "there is no config.json in it"),
        ("BROKEN", "can't be loaded as an image model"),
        ("TEXT", "is no image model"),
    ],
)
def test_what_is_no_image_model_is_refused_in_one_sentence(name: str, sentence: str, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    if name == "BROKEN":
        (tmp_path / "config.json").write_text('{"model_type": "nonesuch"}')
    if name == "TEXT":
        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        BertModel(BertConfig(vocab_size=10, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=sentence) as caught:
        backbones.load(str(tmp_path) if name.isupper() else name, 64, CPU)
    assert "\n" not in str(caught.value)


def test_pictures_that_are_too_small_for_a_backbone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image_px takes at least 32 pixels"):
        backbones.load(saved(tiny_resnet, tmp_path), 16, CPU)


def test_a_hub_that_does_not_answer_is_told_from_a_name_that_it_does_not_know() -> None:
    from huggingface_hub import errors as hub

    def wrapped(cause: Exception) -> Exception:
        try:
            try:
                raise cause
            except Exception as inner:
                raise OSError("can't load") from inner
        except OSError as outer:
            return outer

    away = backbones._complaint("who/what", wrapped(hub.LocalEntryNotFoundError("no")), local=False)
    assert isinstance(away, UnavailableError)
    assert "the hub does not answer" in str(away)
    unknown = backbones._complaint("who/what", wrapped(hub.HFValidationError("no")), local=False)
    assert isinstance(unknown, UserError)
    assert "the hub has no model who/what" in str(unknown)


def png(pixels: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_batches_keep_the_order_and_name_what_could_not_be_read() -> None:
    pictures = [(f"p{i}", png(some_pixels(8 + i, 1)[0])) for i in range(7)]
    pictures[3] = ("p3", b"not a picture")
    batches = list(picture_batches(iter(pictures), 10, 3, LIMITS, threads=2))
    assert [batch.ids for batch in batches] == [("p0", "p1", "p2"), ("p4", "p5"), ("p6",)]
    assert [batch.pixels.shape for batch in batches] == [(3, 10, 10, 3), (2, 10, 10, 3), (1, 10, 10, 3)]
    assert [name for batch in batches for name, _ in batch.rejected] == ["p3"]
    assert (batches[0].pixels[2] == some_pixels(10, 1)[0]).all()


def test_no_more_than_two_batches_of_pictures_are_read_ahead() -> None:
    taken = 0

    def stream() -> object:
        nonlocal taken
        for i in range(100):
            taken += 1
            yield f"p{i}", png(some_pixels(8, 1)[0])

    first = next(picture_batches(stream(), 8, 5, LIMITS))  # type: ignore[arg-type]
    assert len(first.ids) == 5
    assert taken <= 10


def test_the_whole_picture_is_squeezed_into_the_square() -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, :30, 0] = 255
    small = square(wide, 10)
    assert small.shape == (10, 10, 3)
    assert (small[:, :4, 0] > 250).all()
    assert (small[:, 6:, 0] < 5).all()
    assert square(small, 10) is small
