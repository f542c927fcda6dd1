"""How far probabilities may be believed, and one number that corrects them.

Expected calibration error (ECE): cut the pictures into 15 bins of equal width by their confidence (the probability of
the most probable class); the error is the mean over bins, weighted by their size, of |accuracy - mean confidence|.
Naeini, Cooper, Hauskrecht (2015); temperature scaling after Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of
Modern Neural Networks". The labels are those given, so what is calibrated is the probability of the *given* label.
"""

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.statistics import calibration_error

Reals = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

TINY = 1e-12
RANGE = (0.05, 20.0)  # temperatures that are looked at
ROWS = 65_536  # held as float64 at once
CELLS = 5_000_000  # probabilities that a temperature is fitted on


def expected_calibration_error(labels: Ints, probs: Reals) -> float:
    """ECE of probs (N, K) for labels (N,); nan where there is no row."""
    if not len(labels):
        return float("nan")
    return calibration_error(probs.max(axis=1), probs.argmax(axis=1) == labels)


def nll(labels: Ints, probs: Reals, temperature: float = 1.0) -> float:
    """Mean negative log likelihood of labels (N,) under probs (N, K) at a temperature; nan where there is no row."""
    if not len(labels):
        return float("nan")
    total = 0.0
    for start in range(0, len(labels), ROWS):
        logs = np.log(np.maximum(probs[start : start + ROWS], TINY), dtype=np.float64) / temperature
        logs -= logs.max(axis=1, keepdims=True)
        given = np.take_along_axis(logs, labels[start : start + ROWS, None], axis=1)[:, 0]
        total += float((np.log(np.exp(logs).sum(axis=1)) - given).sum())
    return total / len(labels)


def at_temperature(probs: Reals, temperature: float) -> npt.NDArray[np.float32]:
    """softmax(log(probs) / T), (N, K): above 1 it flattens, below 1 it sharpens; the order of classes stays."""
    logs = np.log(np.maximum(probs, TINY), dtype=np.float64) / temperature
    logs -= logs.max(axis=1, keepdims=True)
    raised = np.exp(logs)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def fit_temperature(labels: Ints, probs: Reals, rounds: int = 30) -> float:
    """The temperature that makes labels (N,) most likely under probs (N, K), by golden section in its logarithm.

    The likelihood has one maximum in 1/T, so that a search by intervals finds it. 1 where there is no row. Of very many
    rows every n-th is used: one number needs no more.
    """
    if not len(labels):
        return 1.0
    step = -(-probs.size // CELLS)
    labels, probs = labels[::step], probs[::step]
    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.log(RANGE[0]), np.log(RANGE[1])

    def loss(at: float) -> float:
        return nll(labels, probs, float(np.exp(at)))

    left, right = high - ratio * (high - low), low + ratio * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    for _ in range(rounds):
        if loss_left < loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - ratio * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + ratio * (high - low)
            loss_right = loss(right)
    return float(np.exp((low + high) / 2))


def cross_fit_temperature(labels: Ints, probs: Reals, folds: Ints) -> tuple[npt.NDArray[np.float32], float]:
    """Calibrate each fold by the temperature of the others: (calibrated probs (N, K), temperature of all rows).

    `labels` and `folds` (N,) are -1 where there is none; such rows get the temperature of all.
    """
    known = (labels >= 0) & (folds >= 0)
    overall = fit_temperature(labels[known], probs[known])
    calibrated = np.empty(probs.shape, np.float32)
    for fold in np.unique(folds):
        own = folds == fold
        others = known & ~own
        temperature = fit_temperature(labels[others], probs[others]) if fold >= 0 and others.any() else overall
        calibrated[own] = at_temperature(probs[own], temperature)
    return calibrated, overall
