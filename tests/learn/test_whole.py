"""Nets that are fitted whole: cross-fitted on real digits, kept and gone on from, started from pretrained weights."""

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import TrainSettings
from secondlook.pipeline.learn import backbones, fold_nets, generalist, tuned, whole
from secondlook.pipeline.learn.crossfit import assign_folds
from secondlook.pipeline.learn.fold_nets import CrossFit
from secondlook.pipeline.learn.sources import InMemory
from secondlook.pipeline.learn.training.kept import Kept
from secondlook.pipeline.learn.training.loop import Shown
from secondlook.pipeline.learn.training.recipe import Recipe
from secondlook.pipeline.learn.training.steps import optimizer

CPU = torch.device("cpu")
DIGITS = TrainSettings(backbone="resnet:4", image_px=8, batch=32, flip=False, rate=0.05)
LOOK_ALIKE = np.array([6, 7, 3, 8, 9, 6, 5, 1, 3, 4])
Arrays = dict[str, npt.NDArray[Any]]


@cache
def digits(n: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    data = load_digits()
    pixels = (data.images[:n] * 15.9).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., None].repeat(3, axis=3)), data.target[:n].astype(np.int64)


def crossed(n: int, epochs: int, refits: int = 0, seed: int = 7, **options: Any) -> CrossFit:
    pixels, labels = digits(n)
    labels = options.pop("labels", labels)
    fitter = generalist.plan(DIGITS, 10).fitter(pixels, labels, CPU, checkpoint=options.pop("checkpoint", None))
    folds = assign_folds(labels, np.arange(n), 2, np.random.default_rng(0))
    return fold_nets.cross_fit(fitter, labels, folds, 10, refits=refits, epochs=epochs, seed=seed, where=CPU, **options)


def all_of(result: CrossFit) -> dict[str, bytes]:
    arrays = fold_nets.to_arrays(result.nets) | dict(result.evidence) | {"probs": result.probs}
    return {name: value.tobytes() for name, value in arrays.items()}


def test_a_net_by_name_reads_digits_out_of_sample_and_doubts_wrong_labels() -> None:
    _, clean = digits(400)
    wrong = np.random.default_rng(1).random(400) < 0.1
    result = crossed(400, epochs=10, refits=1, labels=np.where(wrong, LOOK_ALIKE[clean], clean))
    assert (result.probs.argmax(axis=1) == clean).mean() > 0.85
    assert result.probs.sum(axis=1) == pytest.approx(np.ones(400), abs=1e-4)
    assert wrong[~result.learned].mean() > 0.4
    for kind in ("held_out", "dynamics", "refit"):
        score = result.evidence[kind]
        assert np.median(score[wrong]) > 0.5 > np.median(score[~wrong]), kind


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads() -> None:
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(threads)
            made.append(all_of(crossed(60, epochs=1, refits=1)))
            assert torch.initial_seed() == threads
    finally:
        torch.set_num_threads(before)
    assert made[0] == made[1]
    assert all_of(crossed(60, epochs=1, refits=1, seed=8)) != made[0]


class Kepts:
    """Checkpoints as a dictionary, by the name of the fit."""

    def __init__(self) -> None:
        self.all: dict[str, Kept] = {}

    def __call__(self, fit: str) -> "OneOf":
        return OneOf(self.all, fit)


@dataclasses.dataclass
class OneOf:
    all: dict[str, Kept]
    fit: str

    def kept(self) -> Kept | None:
        return self.all.get(self.fit)

    def keep(self, kept: Kept) -> None:
        self.all[self.fit] = kept


class Stopped(Exception):  # noqa: N818 — as if somebody interrupted
    pass


def stopping(after: int) -> Callable[[int], None]:
    left = after

    def advance(n: int) -> None:
        nonlocal left
        left -= n
        if left < 0:
            raise Stopped

    return advance


def test_a_fit_that_diverged_is_no_model() -> None:
    pixels, labels = digits(64)
    plan = generalist.plan(dataclasses.replace(DIGITS, rate=10.0), 10)
    assert plan.net is not None
    start = {name: value.numpy() for name, value in plan.net.make(0, CPU).state_dict().items()}
    start["last.bias"][:] = np.inf
    one = fold_nets.Fit("0.0", np.arange(64), seed=1, epochs=1, start=start)
    with pytest.raises(
        UserError, match=r"resnet:4 diverged: its loss is no number any more; set \[train\] rate below 10"
    ):
        plan.fitter(pixels, labels, CPU).fit(one, lambda n: None)


@pytest.mark.parametrize("after", [40, 100, 200])
def test_a_cross_fit_that_was_stopped_anywhere_ends_with_the_same_bytes(after: int) -> None:
    """In the first fit, in the second when one is done, in the refit: weights, probabilities, evidence."""
    kept = Kepts()
    with pytest.raises(Stopped):
        crossed(64, epochs=2, refits=1, checkpoint=kept, advance=stopping(after))
    assert kept.all
    again = crossed(64, epochs=2, refits=1, checkpoint=kept)
    assert all_of(again) == all_of(_never_stopped())
    done = {name: one for name, one in kept.all.items() if one.facts["epoch"] == one.facts["recipe"]["epochs"]}
    assert done.keys() == {"0.0", "0.1", "1.0", "1.1", "whole"}
    assert not any("optimizer" in name for one in done.values() for name in one.arrays)


@cache
def _never_stopped() -> CrossFit:
    return crossed(64, epochs=2, refits=1)


def test_what_another_version_kept_is_not_gone_on_from() -> None:
    kept = Kepts()
    crossed(64, epochs=2, refits=1, checkpoint=kept)
    for name, one in kept.all.items():
        zeros = {key: torch.zeros_like(value) for key, value in one.arrays.items()}
        kept.all[name] = Kept(zeros, one.facts | {"recipe": one.facts["recipe"] | {"of old": 1}})
    assert all_of(crossed(64, epochs=2, refits=1, checkpoint=kept)) == all_of(_never_stopped())


def test_labels_that_are_compared_with_some_classes_are_learned_too_and_go_on() -> None:
    """The net is the same net, wherever it was stopped; margins, which are of all classes, are not known."""
    pixels, labels = digits(300)
    few = generalist.plan(dataclasses.replace(DIGITS, sampled=4), 10)
    folds = np.arange(300) % 2
    options: dict[str, Any] = {"refits": 0, "epochs": 8, "seed": 7, "where": CPU}
    kept, alone = Kepts(), fold_nets.cross_fit(few.fitter(pixels, labels, CPU), labels, folds, 10, **options)
    assert (alone.probs.argmax(axis=1) == labels).mean() > 0.3  # after 70 steps; chance is 0.1
    assert np.isnan(alone.evidence["dynamics"]).all()
    fitter = few.fitter(pixels, labels, CPU, checkpoint=kept)
    with pytest.raises(Stopped):
        fold_nets.cross_fit(fitter, labels, folds, 10, advance=stopping(1600), **options)
    for _ in range(2):  # from the middle, and from what is done
        again = fold_nets.cross_fit(fitter, labels, folds, 10, **options)
        assert all_of(again) == all_of(alone)


def test_a_loss_that_counts_twice_is_that_of_two() -> None:
    labels, counts = np.array([2, 0, 1]), np.array([0.75, 1.5, 0.75], np.float32)
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    shown = Shown(torch.tensor([0, 1, 2]), torch.zeros(3, 3, 2, 2))
    twice = Shown(torch.tensor([0, 1, 1, 2]), torch.zeros(4, 3, 2, 2))
    weighed = whole.Told(labels, Recipe(), 1, counts)(logits, shown)
    assert float(weighed) == pytest.approx(
        float(whole.Told(labels, Recipe(), 1)(logits[[0, 1, 1, 2]], twice)), abs=1e-6
    )


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    from transformers import ResNetConfig, ResNetModel

    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    ResNetModel(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5] * 3})
    )
    return str(folder)


def test_a_tuned_net_starts_as_the_frozen_backbone_with_its_normalization_inside(backbone: str) -> None:
    net, pretrained = whole.of_backbone(backbone, 5, 32, random=False)
    assert pretrained is not None
    made = net.make(3, CPU)
    made.load_state_dict({k: torch.from_numpy(v) for k, v in pretrained.items()}, strict=False)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    embedded, probs = whole.ask(made.eval(), InMemory(pixels), "auto", CPU, np.arange(4))
    assert embedded == pytest.approx(backbones.load(backbone, 32, CPU).embed(pixels), abs=1e-5)
    assert probs.shape == (4, 5)


def test_pretrained_layers_learn_a_tenth_as_fast_as_the_new_one(backbone: str) -> None:
    plan = generalist.plan(TrainSettings(backbone=backbone, mode="finetune", image_px=32), 3)
    assert plan.net is not None
    made = plan.net.make(0, CPU)
    rates = {
        id(weight): group["lr"] * group["share"]
        for group in optimizer(made, plan.recipe).param_groups
        for weight in group["params"]
    }
    assert plan.recipe.optimizer == "adamw"
    assert {name.partition(".")[0]: rates[id(weight)] for name, weight in made.named_parameters()} == pytest.approx(
        {"features": 1e-4, "last": 1e-3}
    )


def test_a_body_that_takes_no_share_of_the_rate_stays_as_it_was(backbone: str) -> None:
    plan = generalist.plan(TrainSettings(backbone=backbone, mode="finetune", image_px=32), 2)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    still = dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, body=0.0))
    one = fold_nets.Fit("0.0", np.arange(16), seed=1, epochs=1)
    moved, left = (each.fitter(pixels, np.arange(16) % 2, CPU).fit(one, lambda n: None) for each in (plan, still))
    kernels = [name for name, value in left.items() if value.ndim == 4]
    assert plan.pretrained is not None
    assert all(np.array_equal(left[name], plan.pretrained[name]) for name in kernels)
    assert not any(np.array_equal(moved[name], plan.pretrained[name]) for name in kernels)


def test_finetune_goes_on_from_pretrained_weights_and_scratch_does_not(backbone: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    labels, moved = np.arange(16) % 2, {}
    for mode in ("finetune", "scratch"):
        plan = generalist.plan(TrainSettings(backbone=backbone, mode=mode, image_px=32, rate=1e-5), 2)
        start = whole.of_backbone(backbone, 2, 32, random=False)[1]
        assert start is not None
        one = fold_nets.Fit("0.0", np.arange(16), seed=1, epochs=1)
        done = plan.fitter(pixels, labels, CPU).fit(one, lambda n: None)
        kernels = [name for name, value in start.items() if value.ndim == 4]
        moved[mode] = max(float(np.abs(done[name] - start[name]).max()) for name in kernels)
        assert {"finetune": "from its pretrained weights", "scratch": "nothing pretrained is used"}[mode] in plan.told
    assert 0 < moved["finetune"] < 1e-3 < moved["scratch"]


@pytest.mark.parametrize("kind", ["family", "backbone"])
def test_what_is_stored_comes_back_from_json_and_says_the_same(kind: str, backbone: str) -> None:
    name, side = ("resnet:4", 8) if kind == "family" else (backbone, 32)
    mode = "scratch" if kind == "family" else "finetune"
    plan = generalist.plan(TrainSettings(backbone=name, mode=mode, image_px=side), 3)
    assert plan.net is not None
    weights = [
        {key: value.numpy() for key, value in plan.net.make(seed, CPU).state_dict().items()} for seed in range(3)
    ]
    arrays = generalist.stored(fold_nets.FoldNets((weights[0], weights[1]), weights[2]), 1.5)
    restored = generalist.restored(json.loads(json.dumps(plan.facts())), arrays, CPU)
    pixels = np.random.default_rng(0).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    embedded, probs = restored.score(pixels)
    source, rows = InMemory(pixels), np.arange(5)
    asked = [whole.ask(plan.net.with_weights(one, CPU), source, "auto", CPU, rows) for one in weights]
    mean = (asked[0][1] + asked[1][1]) / 2
    expected = mean ** (1 / 1.5) / (mean ** (1 / 1.5)).sum(axis=1, keepdims=True)
    assert embedded == pytest.approx(asked[2][0], abs=1e-6)
    assert probs == pytest.approx(expected, abs=1e-5)


def test_dropout_of_others_is_seeded_too(tmp_path: Path) -> None:
    """A transformer drops by torch's one generator: the same seed must give the same bytes all the same."""
    from transformers import ViTConfig, ViTModel

    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    sizes |= {"intermediate_size": 8, "image_size": 32, "patch_size": 16, "hidden_dropout_prob": 0.5}
    ViTModel(ViTConfig(**sizes)).save_pretrained(tmp_path / "vit")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    plan = generalist.plan(TrainSettings(backbone=str(tmp_path / "vit"), mode="finetune", image_px=32), 2)
    fitter = plan.fitter(pixels, np.arange(32) % 2, CPU)
    assert fitter.at_once == 1
    done = []
    for noise in range(2):
        torch.manual_seed(noise)
        weights = fitter.fit(fold_nets.Fit("0.0", np.arange(32), seed=1, epochs=1), lambda n: None)
        done.append({name: value.tobytes() for name, value in weights.items()})
    assert done[0] == done[1]


def test_nets_without_batch_normalization_are_not_fitted_by_large_steps() -> None:
    steady, bare = whole.Net("resnet:4", 2, 8).make(0, CPU), nn.Linear(1, 1)
    assert whole.recipe_of(DIGITS, "scratch", steady).optimizer == "sgd"
    assert whole.recipe_of(DIGITS, "scratch", bare).optimizer == "adamw"
    chosen = dataclasses.replace(DIGITS, rate=0.0, optimizer="adamw", smoothing=0.3, precision="bfloat16")
    recipe = whole.recipe_of(chosen, "scratch", steady)
    assert (recipe.rate, recipe.smoothing, recipe.flip, recipe.precision) == (2e-3, 0.3, False, "bfloat16")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"backbone": "resnat:8"}, "unknown net 'resnat', did you mean 'resnet'"),
        ({"backbone": "resnet"}, "a net resnet takes its channels of the first of three stages after a colon"),
        ({"sampled": 9, "reweigh": "site"}, "sampled and reweigh don't go together"),
        ({"mode": "frozen"}, "mode is frozen, and resnet:4 is a net from random weights: there is nothing in it to freeze"),
        ({"mode": "finetune"}, "mode is finetune, and resnet:4 is .*: it has no pretrained weights to start from"),
        ({"backbone": "small", "mode": "finetune"}, "mode is finetune, and small is a net from random weights"),
        ({"backbone": "quick:8", "image_px": 4}, "a net quick takes pictures of at least 8 pixels a side, got 4"),
        ({"backbone": "./nowhere", "mode": "finetune", "image_px": 32}, "there is no folder ./nowhere"),
    ],
)  # fmt: skip
def test_what_can_not_be_fitted_is_refused_in_one_sentence(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        generalist.plan(dataclasses.replace(DIGITS, **changed), 3)


def test_a_hub_model_is_frozen_unless_told_and_a_folder_may_be_called_as_a_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generalist.mode_of(TrainSettings(backbone="google/mobilenet_v2_1.0_224")) == "frozen"
    assert generalist.mode_of(TrainSettings(backbone="mobilenet-v2:0.5")) == "scratch"
    assert generalist.mode_of(TrainSettings(backbone="small")) == "scratch"
    (tmp_path / "resnet").mkdir()
    monkeypatch.chdir(tmp_path)
    assert generalist.mode_of(TrainSettings(backbone="resnet")) == "frozen"


def test_the_body_of_a_model_of_pictures_and_text_is_the_part_that_sees() -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 32}
    body = backbones.image_part(CLIPVisionModel(CLIPVisionConfig(**sizes, intermediate_size=8, patch_size=16)))
    again = tuned.body_of(json.loads(json.dumps(tuned.described(body))))
    again.load_state_dict(body.state_dict())
    shown = torch.rand(2, 3, 32, 32)
    assert torch.equal(
        backbones.pooled(body.eval()(pixel_values=shown)), backbones.pooled(again.eval()(pixel_values=shown))
    )
