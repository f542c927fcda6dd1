"""What a person sees of a distillation: a table of students beside their teacher, and what to do next."""

from typing import Any

from secondlook.jobs.helped.helped import say as say_helped
from secondlook.jobs.terminal import console

HEADINGS = ("", "accuracy", "95 %", "as teacher", "parameters", "multiply-adds", "file")


def students(summary: dict[str, Any]) -> None:
    """The students of a run, the heaviest first, below their teacher."""
    out, teacher = console.out(), summary["teacher"]
    rows = [HEADINGS, (f"{teacher['model']} (teacher)", *_share(teacher["accuracy"]), "", "", "", "")]
    for one in sorted(summary["students"], key=lambda one: (-one["multiply_adds"], -one["bytes"])):
        agreement = _share(one["agreement"])[0]
        costs = _short(one["parameters"]), _short(one["multiply_adds"]), f"{_short(one['bytes'])}B"
        rows.append((one["model"], *_share(one["accuracy"]), agreement, *costs))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        line = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        out.print(f"{name.ljust(widths[0])}  {line}".rstrip(), markup=False)
    n = teacher["accuracy"]["n"]
    if n:
        out.print(f"accuracy by the given labels of {n:,} pictures of the split `test`, which nobody learned from")
    else:
        out.print(
            "nothing is held out: no labeled picture lies in the split `test`, so how often students are right is not known"
        )
    for name, helped in summary.get("helped", {}).items():
        say_helped(helped, name)
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
