"""A frontier of fourteen made points, hostile in every text that comes from data."""

import dataclasses
import math

import numpy as np

from secondlook.pipeline.core.comparison import Estimate
from secondlook.pipeline.core.frontier import Better, Fall, Frontier, Point
from secondlook.pipeline.core.statistics import Interval

from .conftest import BREAKOUT, EVIL

NETS = ("mobilenet-v1:0.25", "mobilenet-v1:0.5", "mobilenet-v2:0.5", "resnet:16", "resnet:8", "squeezenet:1")


def about(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, Interval(max(value - half, -1.0), min(value + half, 1.0)))


def groups(fall: float) -> tuple[Fall, ...]:
    """Twelve groups, the first of which fell by `fall`, the others hardly."""
    names = [
        (EVIL, BREAKOUT),
        ("race", "Black"),
        ("race", "East Asian"),
        ("race", "Indian"),
        ("sex", "f"),
        ("sex", "m"),
    ]
    names += [("age", f"{10 * k}-{10 * k + 9}") for k in range(6)]
    sizes = np.linspace(40, 900, len(names)).astype(int)
    found = []
    for number, ((attribute, value), n) in enumerate(zip(names, sizes.tolist(), strict=True)):
        its = fall if number == 0 else 0.01 * ((-1) ** number)
        half = 1.2 / n**0.5 / 4
        found.append(Fall(value, n, about(0.9), about(0.9 - its), about(its, half), 0.001, attribute))
    return tuple(found)


def frontier() -> Frontier:
    teacher = Point(
        "generalist-0a1b2c3d4e5f", "generalist-0a1b2c3d4e5f", "resnet:64", "teacher", 5000, about(0.94), about(0.021, 0.001),
        about(0.9, 0.05), 6.1e8, 5.2e6, 2.1e7, image_px=64, conditional=about(0.95), gap=about(0.05, 0.02),
        robust=about(0.31), fgsm=about(0.42), calm=about(0.94), note="5 nets, one a fold, averaged",
    )  # fmt: skip
    points = [teacher]
    for number, net in enumerate(NETS):
        for half, numbers in enumerate(("float32", "int8")):
            name = f"student-{net.replace(':', '-')}-64px-1f0c7e2a" + ("-int8" if half else "")
            accuracy = 0.93 - 0.025 * number - 0.004 * half
            fall = 0.18 if number == 4 else 0.01
            point = Point(
                name, name, net, "student", 5000, about(accuracy), about(0.0095 / 2.1**number / (1 + half), 1e-5),
                about(0.3 / 2**number / (1 + half), 1e-3), 2.2e8 / 2**number, 1.9e6 / 2**number, 7.7e6 / 2**number / (1 + 3 * half),
                numbers=numbers, image_px=64, teacher=teacher.name, conditional=about(accuracy + 0.02), gap=about(0.06 + 0.01 * number, 0.03),
                groups=groups(fall), classes=100, robust=about(0.2), fgsm=about(0.3), calm=about(accuracy), taught=about(accuracy - 0.94),
            )  # fmt: skip
            points.append(point)
    gone = Fall(EVIL, 50, about(0.8), about(0.4), about(0.4, 0.15), 0.0001)
    points[5] = dataclasses.replace(
        points[5],
        forgotten=(
            gone,
            dataclasses.replace(gone, name=BREAKOUT),
            *(dataclasses.replace(gone, name=f"n{k}") for k in range(20)),
        ),
    )
    why = f"{EVIL} falls by 18.0 points below the teacher (13.3 to 22.7, n = 40), more than the 2 allowed"
    points[9:11] = [dataclasses.replace(one, refused=why) for one in points[9:11]]
    better = (Better(points[8].name, ("accuracy", "latency", "bytes")), Better(points[3].name, ("accuracy",)))
    points[11] = dataclasses.replace(points[11], better=better, conditional=None, robust=None, madds=math.nan)
    against = {points[3].name: about(0.004, 0.006)}
    points[2] = dataclasses.replace(points[2], against=against)
    return Frontier(
        points, "pictures of the split test", 5000, True, 2, 1000, 30, 0.02, 0.10, 12, 7,
        ("2 groups have fewer than 10 pictures here, or would tell of one that has, and are not compared", EVIL),
        {"cores": 2, "processor": "x86_64"}, "0123456789ab", "2026-01-02T03:04:05+00:00",
    )  # fmt: skip
