"""What benchmarks/gpu.py does at three sizes: a GPU's ten minutes, a CPU's hours, and a minute for a test."""

from dataclasses import dataclass, replace

from secondlook.pipeline.learn.training.recipe import Recipe


@dataclass(frozen=True)
class Student:
    """A net that is taught, and the side of its pictures."""

    net: str
    image_px: int


@dataclass(frozen=True)
class Plan:
    """`image_px`, `net`, `recipe`: of the generalist. `most`: pictures of a class and split, None for all.

    `choice`: share of the training pictures that no generalist is fitted on, for choices. `specialist`, `distilled`: recipes of
    these. `main`: the student that is fitted in other ways beside; `others`: for the frontier.
    """

    image_px: int
    net: str
    recipe: Recipe
    specialist: Recipe
    distilled: Recipe
    main: Student
    others: tuple[Student, ...]
    most: int | None = None
    choice: float = 0.1
    clusters: int = 12
    largest: int = 12
    method: str = "greedy"
    active: int = 3
    soft: float = 0.5
    temperature: float = 4.0
    taught: float = 0.9
    way: str = "soft"
    columns: tuple[str, ...] = ("random1", "after", "clean")
    attacked: int = 1000


def _students(*names: str) -> tuple[Student, ...]:
    return tuple(Student(name.partition("@")[0], int(name.partition("@")[2])) for name in names)


ON_CPU = Recipe(epochs=12, rate=0.1, batch=128, precision="bfloat16")
ON_GPU = Recipe(epochs=40, rate=0.4, batch=512, precision="auto", compile=False)

PLANS: dict[str, dict[str, Plan]] = {
    "tinyimagenet100": {
        "gpu": Plan(
            64,
            "quick:64",
            ON_GPU,
            replace(ON_GPU, epochs=10, rate=0.05),
            replace(ON_GPU, epochs=80, rate=0.2),
            Student("resnet:40", 64),
            _students(
                "resnet:16@64", "resnet:24@64", "resnet:32@64", "resnet:40@48", "resnet:24@32", "quick:16@64",
                "quick:24@64", "mobilenet-v1:0.25@64", "mobilenet-v1:0.5@64", "mobilenet-v1:0.5@48", "mobilenet-v1:1@64",
            ),
        ),
        "cpu": Plan(
            32,
            "quick:24",
            ON_CPU,
            replace(ON_CPU, epochs=6, rate=0.02, warm_up=0.1),
            replace(ON_CPU, epochs=14),
            Student("resnet:16", 32),
            _students(
                "resnet:8@32", "resnet:12@32", "resnet:16@24", "quick:8@32", "quick:12@32", "quick:8@24",
                "mobilenet-v1:0.25@24",
            ),
        ),
        "tiny": Plan(
            32,
            "resnet:8",
            replace(ON_CPU, epochs=4, precision="float32", batch=32),
            replace(ON_CPU, epochs=1, rate=0.02, precision="float32", batch=32),
            replace(ON_CPU, epochs=1, precision="float32", batch=32),
            Student("resnet:4", 32),
            _students("resnet:4@24"),
            most=40,
            choice=0.5,
            clusters=2,
            largest=5,
            attacked=20,
        ),
    },
}  # fmt: skip
PLANS["cifar10n"] = {
    "gpu": replace(PLANS["tinyimagenet100"]["gpu"], image_px=32, recipe=replace(ON_GPU, epochs=16), main=Student("resnet:32", 32), others=()),
    "cpu": replace(PLANS["tinyimagenet100"]["cpu"], net="quick:16", recipe=replace(ON_CPU, epochs=10), distilled=replace(ON_CPU, epochs=12), others=(), most=20_000),
    "tiny": replace(PLANS["tinyimagenet100"]["tiny"], others=(), most=240),
}  # fmt: skip
