"""Whoever taught, as something that answers and costs something: nets of folds, specialists, or heads on a frozen backbone."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from secondlook.jobs.frontier.asked import Ask, Asked, Pixels, Reals
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version

if TYPE_CHECKING:
    from torch import Tensor, nn

    from secondlook.jobs.train.stored import Stored

UNKNOWN = float("nan")


def teacher(lake: Lake, version: Version, model: Model) -> Asked:
    """The model that taught, on the CPU."""
    import torch

    from secondlook.jobs.train import stored

    if model.kind == "specialists":
        return _specialists(lake, version, model)
    found = stored.load(lake, model, torch.device("cpu"))
    return _nets(model, found.image_px, found.fold_nets) if found.fold_nets else _heads(model, found)


def _nets(model: Model, px: int, nets: "Sequence[nn.Module]") -> Asked:
    """Nets of all folds, averaged: one file, timed as students are; by torch where it can't be exported."""
    from secondlook.pipeline.learn.students.averaged import Averaged
    from secondlook.pipeline.learn.students.cost import cost
    from secondlook.pipeline.learn.students.onnx_file import Runner

    together = Averaged(nets)
    costs, file = cost(together, px), _file(together, px)
    note = f"{len(nets)} nets, one a fold, averaged"
    return Asked(
        model.name, model.backbone, "teacher", model.classes, px, Runner(file).ask if file else _by_torch(together),
        costs.parameters, costs.multiply_adds, len(file) or UNKNOWN,
        weights=model.path, module=lambda: together, note=note if file else f"{note}, timed by torch",
    )  # fmt: skip


def _specialists(lake: Lake, version: Version, model: Model) -> Asked:
    """How many specialists are asked differs from picture to picture, and so do multiply-adds."""
    import torch

    from secondlook.jobs.specialists import stored

    found = stored.load(lake, version, model, torch.device("cpu"))
    nets = list(found.together.modules())
    return Asked(
        model.name, model.backbone, "teacher", model.classes, found.image_px, _by_torch(found.log_probs),
        sum(weights.numel() for net in nets for weights in net.parameters()), UNKNOWN, UNKNOWN,
        weights=model.path, module=lambda: nets[0],
        note=f"a generalist and {len(nets) - 1} specialists, timed by torch, attacked by the generalist's gradient",
    )  # fmt: skip


def _heads(model: Model, found: "Stored") -> Asked:
    return Asked(
        model.name, model.backbone, "teacher", model.classes, found.image_px, lambda shown: found.score(shown)[1],
        UNKNOWN, UNKNOWN, UNKNOWN, note="heads on a frozen backbone, timed by torch",
    )  # fmt: skip


def _by_torch(ask: "nn.Module | Callable[[Tensor], Tensor]") -> Ask:
    import torch

    def answer(shown: Pixels) -> Reals:
        with torch.inference_mode():
            said = [ask(part.permute(0, 3, 1, 2)).float().cpu().numpy() for part in torch.from_numpy(shown).split(256)]  # type: ignore[no-untyped-call]
        return np.concatenate(said)

    return answer


def _file(net: "nn.Module", px: int) -> bytes:
    """The ONNX file of a net; empty where torch can't export it, as some backbones of transformers."""
    import torch

    from secondlook.pipeline.learn.students.onnx_file import exported

    try:
        return exported(net, px)
    except torch.onnx.OnnxExporterError:
        return b""
