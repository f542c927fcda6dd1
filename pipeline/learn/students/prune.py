"""Nets made smaller by cutting channels out (structured), and weights set to zero (unstructured), for comparison.

Structured: which channels belong together is read from the net's graph. A channel is made by the filters of a convolution,
passes through normalization, activations, pooling and depthwise convolutions, and is read by others or by the last layer;
all of their weights lose it. Where a way around joins (an addition) channels of several layers belong together, and those
are left: they carry what a residual net knows. So are channels that are put side by side (a concatenation).
"""

import copy
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.learn.nets.layers import evaluated

MULTIPLE = 8  # channels that are left are a multiple of it, since processors work on 8 or 16 numbers at a time
MEASURES = ("l1", "scale")
_PASSES = frozenset(  # what leaves every channel in its place
    f"{name}{end}"
    for name in (
        *("relu", "relu6", "hardtanh", "silu", "sigmoid", "hardswish", "hardsigmoid", "gelu", "dropout", "contiguous"),
        *("mul", "add", "sub", "div", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "mean", "flatten", "pad"),
        *("constant_pad_nd", "clone", "to", "_to_copy", "alias", "detach"),
    )
    for end in ("", "_")  # in its place in memory, too
)


@dataclass
class Channels:
    """Channels that belong together: (name of a weight, axis) of all that are indexed by them, and which ones make them."""

    indexed: list[tuple[str, int]] = field(default_factory=list)
    makers: list[str] = field(default_factory=list)
    scales: list[str] = field(default_factory=list)
    stay: bool = False


@dataclass(frozen=True)
class Sparse:
    """Weights that are not zero, of all weights, and bytes of all of them when they are compressed (zlib, level 9)."""

    nonzero: int
    parameters: int
    compressed_bytes: int


def pruned(net: nn.Module, share: float, image_px: int, by: str = "l1") -> nn.Module:
    """A copy of a net without `share` of the channels of each layer where they can be cut out.

    by: `l1`: those whose filters have the least sum of absolute weights (Li et al. 2017); `scale`: those that batch
    normalization scales least (Liu et al. 2017). Of each layer at least 8 channels are left, and a multiple of 8.
    """
    if not 0 <= share < 1:
        raise UserError(f"a share of channels to prune is from 0 to below 1, got {share:g}")
    if by not in MEASURES:
        raise unknown("measure to prune by", by, MEASURES)
    state = dict(net.state_dict())
    found = groups(net, image_px)
    if not found:
        raise UserError(f"no channels of a {type(net).__name__} can be cut out without others: it can't be pruned")
    for channels in found:
        worth = _worth(channels, state, by)
        n = len(worth)
        left = min(n, max(MULTIPLE, -(-round(n * (1 - share)) // MULTIPLE) * MULTIPLE))
        kept = worth.topk(left).indices.sort().values
        for name, axis in channels.indexed:
            state[name] = state[name].index_select(axis, kept.to(state[name].device))
    return shaped(copy.deepcopy(net), state)


def shaped(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The net with weights of other widths, such as a pruned net's: a net made by its name and the weights that were kept."""
    for prefix, module in net.named_modules():
        dot = f"{prefix}." if prefix else ""
        held: dict[str, Any] = {**module._parameters, **module._buffers}
        for name, one in held.items():
            if one is None or dot + name not in state:
                continue
            value = state[dot + name].detach().to(one.device, copy=True)
            if value.ndim == 4:
                value = value.contiguous(memory_format=torch.channels_last)
            setattr(module, name, nn.Parameter(value, one.requires_grad) if name in module._parameters else value)
        if isinstance(module, nn.Conv2d):
            if module.groups > 1:
                module.groups = module.weight.shape[0]
            module.out_channels, module.in_channels = module.weight.shape[0], module.weight.shape[1] * module.groups
        elif isinstance(module, nn.BatchNorm2d):
            module.num_features = len(module.running_mean) if module.running_mean is not None else module.num_features
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape
    return net


def zeroed(net: nn.Module, share: float) -> nn.Module:
    """A copy of a net with `share` of the weights of its convolutions and linear layers at zero, the smallest of all."""
    made = copy.deepcopy(net)
    weights = [one.weight for one in made.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    sizes = torch.cat([one.detach().abs().flatten() for one in weights])
    n = round(share * len(sizes))
    if n:
        most = sizes.kthvalue(n).values
        with torch.no_grad():
            for one in weights:
                one.mul_(one.abs() > most)
    return made


def sparse(net: nn.Module) -> Sparse:
    """What zeros save: neither latency nor the bytes of a plain file, but those of a compressed one."""
    weights = [one.detach().cpu() for one in net.parameters()]
    packed = b"".join(one.contiguous().numpy().tobytes() for one in weights)
    return Sparse(
        sum(int(one.count_nonzero()) for one in weights),
        sum(one.numel() for one in weights),
        len(zlib.compress(packed, 9)),
    )


def _worth(channels: Channels, state: Mapping[str, Tensor], by: str) -> Tensor:
    names = channels.scales if by == "scale" and channels.scales else channels.makers
    return torch.stack([state[name].float().abs().reshape(len(state[name]), -1).mean(dim=1) for name in names]).sum(
        dim=0
    )


def groups(net: nn.Module, image_px: int) -> list[Channels]:
    """Channels that can be cut out, from the graph of the net."""
    shown = torch.zeros(2, 3, image_px, image_px, device=next(net.parameters()).device)
    with evaluated(net):
        program = torch.export.export(net, (shown,))
    signature = program.graph_signature
    weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    bears: dict[Any, Channels] = {}  # node → what it gives
    for node in program.graph.nodes:
        if node.op == "call_function":
            bears[node] = _followed(node, bears, weights)
        elif node.op == "output":
            for one in node.all_input_nodes:
                bears[one].stay = True
    found = {id(one): one for one in bears.values() if one.makers and not one.stay}
    sizes = {key: one.shape for key, one in program.state_dict.items()}
    return [one for one in found.values() if len({sizes[key][axis] for key, axis in one.indexed}) == 1]


def _followed(node: Any, bears: dict[Any, Channels], weights: Mapping[str, str]) -> Channels:
    """The channels that a node gives, with what it does to those that it takes."""
    does = node.target.__name__.partition(".")[0]
    takes = [one for one in node.all_input_nodes if one in bears]
    sizes = {_second(one) for one in (*takes, node)}
    named = [weights.get(one.name) for one in node.args if isinstance(one, torch.fx.Node)]
    here = bears[takes[0]] if takes else Channels(stay=True)
    if does in {"conv2d", "linear"}:
        weight, *bias = [name for name in named if name]
        shape = node.args[1].meta["val"].shape
        if len(node.args) > 6 and node.args[6] > 1:  # each channel by itself, or groups of several, which are left
            here.stay |= shape[1] > 1
            here.indexed += [(weight, 0), *((name, 0) for name in bias)]
            return here
        here.indexed.append((weight, 1))
        return Channels([(weight, 0), *((name, 0) for name in bias)], [weight])
    if does == "batch_norm":
        here.indexed += [(name, 0) for name in named if name]
        here.scales += [name for name in named if name][:1]
        return here
    known = does in _PASSES and len(sizes) == 1 and not any(named)  # a weight beside them would have to be cut, too
    for one in takes:
        bears[one].stay |= not known or (does.startswith("add") and len(takes) > 1)
        _join(here, bears[one], bears)
    return here if known else Channels(stay=True)


def _second(node: Any) -> int | None:
    """Size of the second dimension of what a node gives; None where there is none."""
    shape: tuple[int, ...] = getattr(node.meta.get("val"), "shape", ())
    return int(shape[1]) if len(shape) > 1 else None


def _join(one: Channels, other: Channels, bears: dict[Any, Channels]) -> None:
    if one is other:
        return
    one.indexed += other.indexed
    one.makers += other.makers
    one.scales += other.scales
    one.stay |= other.stay
    for node, channels in bears.items():
        if channels is other:
            bears[node] = one
