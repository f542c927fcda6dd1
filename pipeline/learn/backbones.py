"""A pretrained image model of `transformers`, frozen: pictures → one vector each."""

import contextlib
import hashlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import SecondlookError, UnavailableError, UserError
from secondlook.pipeline.learn.torch_setup import mixed

Reals = npt.NDArray[np.float32]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # where a model does not say how pictures are normalized
MIN_PX = 32  # five halvings, as most of these networks make


@dataclass(frozen=True)
class Backbone:
    """A frozen model. `name` is the hub's or a folder; `digest` stands for its weights and how it is fed."""

    name: str
    digest: str
    image_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    net: nn.Module
    where: torch.device
    interpolate: bool

    @property
    def embedder(self) -> str:
        """Name of what makes these embeddings: equal names, equal embeddings of equal pictures."""
        short = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(self.name).name) or "backbone"
        return f"{short}-{self.image_px}px-{self.digest[:12]}"

    @torch.inference_mode()
    def embed(self, pixels: npt.NDArray[np.uint8]) -> Reals:
        """Pictures (n, side, side, 3) RGB → embeddings (n, D)."""
        if not len(pixels):
            return np.empty((0, self.width()), np.float32)
        shown = torch.from_numpy(pixels).to(self.where).permute(0, 3, 1, 2)  # channels-last in memory as it is
        shown = shown.float().div_(255.0)
        shown -= torch.tensor(self.mean, device=self.where).view(1, -1, 1, 1)
        shown /= torch.tensor(self.std, device=self.where).view(1, -1, 1, 1)
        options = {"interpolate_pos_encoding": True} if self.interpolate else {}
        with mixed(self.where):
            output = self.net(pixel_values=shown, **options)
        return pooled(output).float().cpu().numpy()

    def width(self) -> int:
        """D, the length of an embedding."""
        return int(self.embed(np.zeros((1, self.image_px, self.image_px, 3), np.uint8)).shape[1])


def pooled(output: Any) -> Tensor:
    """(n, D): one vector a picture, of what a model of `transformers` gives out."""
    one = getattr(output, "pooler_output", None)
    if one is None:
        hidden = output.last_hidden_state
        one = hidden.mean(dim=1) if hidden.ndim == 3 else hidden.mean(dim=(2, 3))
    return torch.flatten(one, 1)


def load(name: str, image_px: int, where: torch.device) -> Backbone:
    """The model of a hub name or a local folder, ready to embed pictures of `image_px`.

    Raises UserError where there is no such model or it is none for pictures, UnavailableError where the hub does not
    answer.
    """
    net, mean, std = opened(name, image_px)
    net = net.eval().requires_grad_(False)
    digest = _digest(net, image_px, mean, std)
    net = net.to(where).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loaded = Backbone(name, digest, image_px, mean, std, net, where, interpolates(net))
    try:
        loaded.width()
    except (ValueError, RuntimeError) as problem:
        said = str(problem).strip().splitlines()[0][:200]
        raise UserError(f"the backbone {name} does not take pictures of {image_px} px: {said}") from None
    return loaded


def opened(name: str, image_px: int, *, random: bool = False) -> tuple[nn.Module, tuple[float, ...], tuple[float, ...]]:
    """The net of a hub name or a local folder, and the mean and deviation by channel that pictures in 0..1 are normalized by.

    `random`: only its config is read, and its weights are drawn. Raises as `load`.
    """
    if image_px < MIN_PX:
        raise UserError(f"[train] image_px takes at least {MIN_PX} pixels for the backbone {name}, got {image_px}")
    net, settings = _from_transformers(name, random=random)
    net = image_part(net)
    if "pixel_values" not in inspect.signature(net.forward).parameters:
        raise UserError(f"the backbone {name} is no image model: {type(net).__name__} does not take pixel_values")
    mean, std = (
        tuple(float(x) for x in settings.get(key) or default)
        for key, default in zip(("image_mean", "image_std"), IMAGENET, strict=True)
    )
    return net, mean, std


def image_part(net: nn.Module) -> nn.Module:
    """The part that sees pictures, of a model of pictures and text such as CLIP; else the net."""
    part: nn.Module = getattr(net, "vision_model", net)
    return part


def interpolates(net: nn.Module) -> bool:
    """Whether the net takes pictures of other sides than it was made for, if it is asked to."""
    return "interpolate_pos_encoding" in inspect.signature(net.forward).parameters


def _digest(net: nn.Module, image_px: int, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    hashed = hashlib.blake2b(json.dumps([image_px, mean, std]).encode(), digest_size=16)
    for key, value in net.state_dict().items():
        hashed.update(key.encode())
        hashed.update(value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    from transformers.utils import logging  # noqa: PLC0415 — seconds that `small` need not wait

    level = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _from_transformers(name: str, *, random: bool = False) -> tuple[nn.Module, dict[str, Any]]:
    folder = Path(name).expanduser()
    local = folder.is_dir()
    if not local and (re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is None or name.startswith(".")):
        raise UserError(f"there is no folder {name}; --backbone takes small, a folder, or a name of the hub")
    if local and not (folder / "config.json").is_file():
        raise UserError(f"{name} holds no transformers model: there is no config.json in it")
    from transformers import AutoConfig, AutoModel  # noqa: PLC0415 — seconds that `small` need not wait

    try:
        with _quiet():
            source = str(folder) if local else name
            if random:
                net = AutoModel.from_config(AutoConfig.from_pretrained(source, local_files_only=local))
            else:
                net = AutoModel.from_pretrained(source, dtype=torch.float32, local_files_only=local)
            settings = _preprocessor(source)
    except (OSError, ValueError, ImportError, KeyError) as problem:
        raise _complaint(name, problem, local=local) from None
    return net, settings


def _preprocessor(source: str) -> dict[str, Any]:
    """What the model's own preprocessor says; empty where it has none."""
    from transformers.utils import cached_file  # noqa: PLC0415 — seconds that `small` need not wait

    found = cached_file(
        source,
        "preprocessor_config.json",
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return dict(json.loads(Path(found).read_text(encoding="utf-8"))) if found else {}


def _complaint(name: str, problem: Exception, *, local: bool) -> SecondlookError:
    from huggingface_hub import errors as hub  # noqa: PLC0415 — seconds that `small` need not wait

    chain: list[BaseException] = [problem]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    missing = (hub.RepositoryNotFoundError, hub.RevisionNotFoundError, hub.HFValidationError)
    if not local and any(isinstance(one, missing) for one in chain):
        return UserError(f"the hub has no model {name}, or it is not public; check the name on https://huggingface.co")
    away = (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled, hub.HfHubHTTPError, ConnectionError, TimeoutError)
    if not local and any(isinstance(one, away) for one in chain):
        return UnavailableError(
            f"{name} is neither a folder here nor in the local cache, and the hub does not answer; try again, or "
            "download it elsewhere and give its folder"
        )
    said = (str(problem).strip() or type(problem).__name__).splitlines()[0][:200]
    return UserError(f"{name} can't be loaded as an image model: {said}")
