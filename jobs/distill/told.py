"""What a person sees of a distillation: a table of students beside their teacher, and what to do next."""

from typing import Any

from rich.table import Table

from secondlook.jobs.terminal import console


def students(summary: dict[str, Any]) -> None:
    """The students of a run, the heaviest first, below their teacher."""
    out, teacher = console.out(), summary["teacher"]
    table = Table(box=None, pad_edge=False)
    for heading, align in (
        ("", "left"), ("accuracy", "right"), ("95 %", "right"), ("as teacher", "right"), ("parameters", "right"),
        ("multiply-adds", "right"), ("file", "right"),
    ):  # fmt: skip
        table.add_column(heading, justify=align, no_wrap=True)  # type: ignore[arg-type]
    table.add_row(f"{teacher['model']} (teacher)", *_share(teacher["accuracy"]), "", "", "", "")
    for one in sorted(summary["students"], key=lambda one: (-one["multiply_adds"], -one["bytes"])):
        agreement = _share(one["agreement"])[0]
        costs = [_short(one["parameters"]), _short(one["multiply_adds"]), f"{_short(one['bytes'])}B"]
        table.add_row(one["model"], *_share(one["accuracy"]), agreement, *costs)
    out.print(table)
    n = teacher["accuracy"]["n"]
    if n:
        out.print(f"accuracy by the given labels of {n:,} pictures of the split `test`, which nobody learned from")
    else:
        out.print(
            "nothing is held out: no labeled picture lies in the split `test`, so how often students are right is not known"
        )
    out.print(f"version {summary['version']}; next: secondlook frontier")


def exported(summary: dict[str, Any]) -> None:
    """Which students were copied, and where to begin reading."""
    for name in summary["exported"]:
        console.out().print(name, markup=False)
    readme = "README.md" if len(summary["exported"]) == 1 else "README.md in each folder"
    console.out().print(f"copied to {summary['to']}; {readme} says what it takes and what it answers", markup=False)


def _share(found: dict[str, Any]) -> tuple[str, str]:
    if not found["n"]:
        return "", ""
    low, high = (100 * end for end in found["interval"])
    return f"{100 * found['value']:.1f} %", f"{low:.1f} to {high:.1f}"


def _short(number: float) -> str:
    """1,234,567 → 1.2 M."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g} {letter}"
    return f"{number:.0f} "
