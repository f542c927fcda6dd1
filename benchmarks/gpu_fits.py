"""The fits of benchmarks/gpu.py, each kept: weights and what they say of the test pictures, so that a run that was cut short goes on."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_data import Array, Pictures
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from secondlook.pipeline.learn.nets.family import NetSpec, make
from secondlook.pipeline.learn.training.loop import Learner, Loss, Teach, ask, fit
from secondlook.pipeline.learn.training.pictures import Held, Order, shuffled
from secondlook.pipeline.learn.training.recipe import Recipe


@dataclass
class Bench:
    """What all fits share. `kept`: the folder of weights; `rows`: of the training pictures that may be fitted on."""

    pictures: Pictures
    where: torch.device
    kept: Path
    rows: Array
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.pictures.classes)

    def shown(self, pixels: Array) -> Tensor:
        """Pictures (n, side, side, 3) as nets take them."""
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def said(self, net: nn.Module, pixels: Array, recipe: Recipe) -> Array:
        """(n, K) probabilities."""
        return np.asarray(torch.softmax(ask(net, self.shown(pixels), recipe, self.where), dim=1).numpy())

    def net(self, name: str, image_px: int, seed: int) -> nn.Module:
        """A net of the family with random weights."""
        return make(NetSpec(name, self.n_classes, image_px), seed, self.where)

    def fitted(
        self,
        names: Sequence[str],
        nets: Sequence[nn.Module],
        losses: Sequence[Loss],
        recipe: Recipe,
        *,
        teach: Teach | None = None,
        order: Order | None = None,
    ) -> None:
        """Fit nets side by side, or take their weights from the folder where all of them are there."""
        files = [self.kept / f"{name}.safetensors" for name in names]
        if not all(file.exists() for file in files):
            began = time.perf_counter()
            source = self.source(recipe, order)
            say = self.progress(names, recipe, began)
            learners = [Learner(net, loss) for net, loss in zip(nets, losses, strict=True)]
            fit(learners, source, recipe, self.where, teach=teach, on_epoch=say)
            seconds = time.perf_counter() - began
            for net, file in zip(nets, files, strict=True):
                self.keep(file, net, seconds, len(nets))
        for name, net in zip(names, nets, strict=True):
            self.restore(name, net)

    def restore(self, name: str, net: nn.Module) -> None:
        """Give a net the weights that were kept under a name."""
        file = self.kept / f"{name}.safetensors"
        net.load_state_dict(load_file(file))
        net.eval()
        self.seconds[name] = json.loads(file.with_suffix(".json").read_text())["seconds"]

    def keep(self, file: Path, net: nn.Module, seconds: float = float("nan"), beside: int = 1) -> None:
        """Weights in a file, and how long the fit took that `beside` nets went through."""
        file.with_suffix(".json").write_text(json.dumps({"seconds": round(seconds, 1), "beside": beside}))
        save_file({key: value.contiguous() for key, value in net.state_dict().items()}, file)

    def source(self, recipe: Recipe, order: Order | None) -> Held:
        """The training pictures in an order, all of them shuffled where none is given."""
        chosen = order or shuffled(torch.from_numpy(self.rows), recipe.seed)
        return Held(self.pictures.train.pixels, chosen, recipe.batch, self.where)

    def progress(self, names: Sequence[str], recipe: Recipe, began: float) -> Callable[[int, Sequence[float]], None]:
        """A line an epoch."""

        def say(epoch: int, losses: Sequence[float]) -> None:
            what = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} others"
            took = time.perf_counter() - began
            print(
                f"{what}: epoch {epoch + 1} of {recipe.epochs}, losses {' '.join(f'{one:.3f}' for one in losses)}, {took:.0f} s",
                flush=True,
            )

        return say


def ten_lines(
    bench: Bench, student: nn.Module, teach: Teach, labels: Tensor, recipe: Recipe, temperature: float
) -> nn.Module:
    """The peer: distillation as tutorials have it, with the same pictures, changes and number of steps."""
    from secondlook.pipeline.learn.training.augment import augmented
    from secondlook.pipeline.learn.training.loop import autocast

    rng, source = torch.Generator().manual_seed(recipe.seed), bench.source(recipe, None)
    steps = torch.optim.Adam(student.parameters(), lr=1e-3)
    student.train()
    for epoch in range(recipe.epochs):
        for rows, pictures in source.batches(epoch):
            shown = augmented(pictures, recipe, rng)
            with autocast(recipe, bench.where):
                with torch.no_grad():
                    soft = torch.softmax(teach(shown)["teacher"] / temperature, dim=1)
                said = student(shown).float()
            told = torch.log_softmax(said / temperature, dim=1)
            matched = (soft * (soft.clamp_min(1e-9).log() - told)).sum(dim=1).mean() * temperature**2
            loss = 0.25 * matched + 0.75 * nn.functional.cross_entropy(said, labels[rows].to(said.device))
            steps.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            steps.step()
    return student.eval()


def of_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe with another seed."""
    return replace(recipe, seed=seed)


def share(right: Array) -> dict[str, Any]:
    """Share of (n,) with a Wilson interval; of none it is none."""
    if not len(right):
        return {"value": None, "n": 0, "interval": None}
    n, p, z = len(right), float(np.mean(right)), 1.959964
    middle, half = (p + z * z / (2 * n)), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (float((middle - half) / (1 + z * z / n)), float((middle + half) / (1 + z * z / n)))
    return {"value": round(p, 4), "n": n, "interval": [round(low, 4), round(high, 4)]}
