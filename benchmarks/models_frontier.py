"""Students as files: every net of a run of benchmarks/gpu.py as ONNX in float and int8, measured in one run, and what none of them beats."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_data import Array, Pictures
from gpu_plan import Plan
from safetensors.torch import load_file
from torch import nn

from secondlook.pipeline.learn.nets.family import NetSpec, make
from secondlook.pipeline.learn.students.cost import cost, latencies
from secondlook.pipeline.learn.students.fallen import falls, forgotten
from secondlook.pipeline.learn.students.frontier import dominates, sure, sure_of_answers, sure_of_draws
from secondlook.pipeline.learn.students.onnx_file import Runner, agreement, exported
from secondlook.pipeline.learn.students.prune import pruned
from secondlook.pipeline.learn.students.quantize import quantized
from secondlook.pipeline.learn.students.teachers import resized

CPU = torch.device("cpu")
CALIBRATION = 500  # pictures of the training set
REPEATS = 50
DRAWS = 1000
AXES = ("accuracy", "conditional", "ms_1", "ms_64", "multiply_adds", "parameters", "bytes", "gap", "forgotten", "pgd_1")
HIGHER = ("accuracy", "conditional", "pgd_1")


def net_of(row: dict[str, Any], plan: Plan, kept: Path, n_classes: int) -> nn.Module:
    """The net of a row of the JSON with its weights; the teacher's lie under its own name."""
    net = make(NetSpec(row["net"], n_classes, row["image_px"]), row["seed"], CPU)
    weights = load_file(kept / f"{row['file'] or 'generalist-' + str(row['seed'])}.safetensors")
    net.load_state_dict({key.removeprefix("net."): value for key, value in weights.items()})
    return net.eval()


def at_px(pixels: Array, side_px: int) -> Array:
    """Pictures (n, side, side, 3) at another resolution, as students saw them."""
    if pixels.shape[1] == side_px:
        return pixels
    shown = resized(torch.from_numpy(pixels).permute(0, 3, 1, 2), side_px).round().to(torch.uint8)
    return np.ascontiguousarray(shown.permute(0, 2, 3, 1).numpy())


def files(
    rows: list[dict[str, Any]], plan: Plan, kept: Path, pictures: Pictures
) -> dict[str, tuple[dict[str, Any], bytes]]:
    """Name → (row, ONNX file), in float and in int8."""
    found: dict[str, tuple[dict[str, Any], bytes]] = {}
    rng = np.random.default_rng(0)
    shown = pictures.train.pixels[rng.choice(len(pictures.train.labels), CALIBRATION, replace=False)]
    for row in rows:
        net = net_of(row, plan, kept, len(pictures.classes))
        one = exported(net, row["image_px"], pictures.classes)
        seen = at_px(shown, row["image_px"])
        told = agreement(net, one, seen[:200])
        kind = "teacher" if row["way"] == "teacher" else row["way"]
        name = f"{row['net']} @ {row['image_px']}" + ("" if kind == "soft" else f", {kind}")
        found[name] = (row | {"precision": "float32", "apart": round(float(told.largest_difference), 6)}, one)
        found[f"{name}, int8"] = (row | {"precision": "int8"}, quantized(one, seen))
    return found


def groups(pictures: Pictures) -> dict[str, Array]:
    """Rows of the test pictures by how bright they are: the darkest fifth, the brightest, and the rest."""
    light = pictures.test.pixels.reshape(len(pictures.test.labels), -1).mean(axis=1)
    low, high = np.quantile(light, (0.2, 0.8))
    return {
        "dark": np.flatnonzero(light < low),
        "between": np.flatnonzero((light >= low) & (light <= high)),
        "bright": np.flatnonzero(light > high),
    }


def points(
    found: dict[str, tuple[dict[str, Any], bytes]], plan: Plan, kept: Path, pictures: Pictures, clusters: list[Array]
) -> list[dict[str, Any]]:
    """A point for each file: all axes, measured in this run."""
    test = pictures.test
    held = groups(pictures)
    right, made = [], []
    times = {batch: latencies({name: data for name, (_, data) in found.items()}, batch, REPEATS) for batch in (1, 64)}
    members = [np.flatnonzero(test.labels == label) for label in range(len(pictures.classes))]
    for name, (row, data) in found.items():
        said = Runner(data).ask(at_px(test.pixels, row["image_px"]))
        hit = said.argmax(axis=1) == test.labels
        right.append(hit)
        fallen = falls(right[0], hit, [("class", one) for one in pictures.classes], members)
        lost = forgotten(fallen, 0.1)
        by_group = {group: float(hit[rows].mean()) for group, rows in held.items()}
        net = net_of(row, plan, kept, len(pictures.classes))
        costs = cost(net, row["image_px"])
        made.append(
            {
                "name": name,
                "net": row["net"],
                "image_px": row["image_px"],
                "way": row["way"],
                "precision": row["precision"],
                "apart_from_torch": row.get("apart"),
                "accuracy": round(float(hit.mean()), 4),
                "conditional": round(conditional(said, test.labels, clusters), 4),
                "ms_1": round(1000 * times[1][name].median_s, 4),
                "ms_64": round(1000 * times[64][name].median_s, 3),
                "ms_1_80": [round(1000 * one, 4) for one in (times[1][name].low_s, times[1][name].high_s)],
                "multiply_adds": costs.multiply_adds,
                "parameters": costs.parameters,
                "bytes": len(data),
                "by_group": {group: round(value, 4) for group, value in by_group.items()},
                "gap": round(max(by_group.values()) - min(by_group.values()), 4),
                "forgotten": len(lost),
                "forgotten_classes": [one.value if hasattr(one, "value") else one.name for one in lost][:5],
                "worst_fall": round(max(one.fall.value for one in fallen), 3),
                "pgd_1": row["attacked"]["pgd 1"] if row["precision"] == "float32" else None,
            }
        )
    on = pareto(made, np.array(right), held)
    return [one | {"frontier": bool(flag)} for one, flag in zip(made, on, strict=True)]


def conditional(said: Array, labels: Array, clusters: list[Array]) -> float:
    """Accuracy where only the classes of the cluster are allowed that the picture's class is in, over all such pairs."""
    hits = [
        classes[said[np.ix_(rows, classes)].argmax(axis=1)] == labels[rows]
        for classes in clusters
        for rows in [np.flatnonzero(np.isin(labels, classes))]
    ]
    return float(np.concatenate(hits).mean())


def pareto(made: list[dict[str, Any]], right: Array, held: dict[str, Array]) -> Array:
    """(M,) whether a point is on the frontier over all axes: none beats it, surely on at least one."""
    values = np.array(
        [
            [(1 if axis in HIGHER else -1) * (np.nan if one[axis] is None else one[axis]) for axis in AXES]
            for one in made
        ]
    )
    certain = sure(values)
    certain[AXES.index("accuracy")] = sure_of_answers(right)
    rng, gaps = np.random.default_rng(0), np.zeros((len(made), DRAWS))
    for draw in range(DRAWS):
        shares = [right[:, rng.choice(rows, len(rows))].mean(axis=1) for rows in held.values()]
        gaps[:, draw] = np.max(shares, axis=0) - np.min(shares, axis=0)
    certain[AXES.index("gap")] = sure_of_draws(gaps)
    for axis in ("conditional", "pgd_1", "forgotten"):  # as noisy as accuracy is: only what is sure there is sure here
        certain[AXES.index(axis)] &= certain[AXES.index("accuracy")]
    return np.asarray(~dominates(values, certain).any(axis=0))


def thinned(net: nn.Module, share: float, image_px: int) -> nn.Module:
    """A net without the weakest channels."""
    return pruned(net, share, image_px)
