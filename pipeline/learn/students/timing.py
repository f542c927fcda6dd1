"""Latency of several models beside each other: a machine that is busy for a while disturbs all of them alike."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

WARM_UP = 2  # rounds that don't count: memory is laid out, caches are filled


def rounds(
    asks: Sequence[Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> npt.NDArray[np.float64]:
    """(R, M) seconds of M calls in R rounds: each round calls all of them once, beginning with another one each time."""
    took = np.zeros((repeats + WARM_UP, len(asks)))
    for turn in range(repeats + WARM_UP):
        for place in range(len(asks)):
            number = (place + turn) % len(asks)
            began = clock()
            asks[number]()
            took[turn, number] = clock() - began
    return took[WARM_UP:]
