"""Properties of pictures that should say nothing about their class, sorted into bins that add up over any parts of a dataset."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Measure:
    """A number of a picture: from columns of `fingerprints`, (n,), to bins, and from the edges of a bin to words."""

    name: str
    bins: Callable[[Columns], Ints]
    low: Callable[[int], str]


def _steps(column: str, steps: int) -> Callable[[Columns], Ints]:
    return lambda columns: np.floor(np.asarray(columns[column], np.float64) * steps).astype(np.int64)


def _octaves(value: Callable[[Columns], npt.NDArray[np.float64]], parts: int) -> Callable[[Columns], Ints]:
    return lambda columns: np.floor(np.log2(np.maximum(value(columns), 1e-9)) * parts).astype(np.int64)


def _real(column: str) -> Callable[[Columns], npt.NDArray[np.float64]]:
    return lambda columns: np.asarray(columns[column], np.float64)


def _pixels(bin_: int) -> str:
    return f"{int(np.ceil(2 ** (bin_ / 16) - 1e-9)):,}"


# Bins are fixed beforehand, so that counts of parts add up. They are finer than any gap between classes that matters.
MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("brightness", _steps("brightness", 50), lambda b: f"{b / 50:.2f}"),
        Measure("width", _octaves(_real("width"), 16), _pixels),
        Measure("height", _octaves(_real("height"), 16), _pixels),
        Measure(
            "width / height",
            _octaves(lambda c: _real("width")(c) / _real("height")(c), 16),
            lambda b: f"{2 ** (b / 16):.2f}",
        ),
        Measure(
            "bytes of the file", _octaves(_real("size_bytes"), 8), lambda b: f"{int(np.ceil(2 ** (b / 8) - 1e-9)):,}"
        ),
        Measure(
            "bytes a pixel",
            _octaves(lambda c: _real("size_bytes")(c) / (_real("width")(c) * _real("height")(c)), 8),
            lambda b: f"{2 ** (b / 8):.3g}",
        ),
    )
}
# Columns of `fingerprints` that the measures look at; those whose values are properties as they are; and all of them.
NUMBERS = ("brightness", "width", "height", "size_bytes")
KINDS = {"format": "file format", "mode": "color mode", "orientation": "EXIF orientation"}
COLUMNS = (*NUMBERS, *KINDS)
