"""What is measured of a generalist, out of sample, with n and intervals."""

from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.train.fitting import Fitted
from secondlook.jobs.train.training_set import TrainingSet

Reals = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def calibrated(data: TrainingSet, fitted: Fitted) -> tuple[Reals, float]:
    """(probabilities (N, K) of each fold at the temperature of the others, the temperature of all)."""
    from secondlook.pipeline.learn.calibration import cross_fit_temperature

    return cross_fit_temperature(np.where(fitted.folds >= 0, data.labels, -1), fitted.probs, fitted.folds)


def metrics(data: TrainingSet, fitted: Fitted, probs: Reals, temperature: float) -> dict[str, Any]:
    """What was measured, with n and intervals; see docs/guide/training.md for what each figure means."""
    from secondlook.pipeline.learn.calibration import expected_calibration_error, nll

    rows = np.flatnonzero(fitted.folds >= 0)
    labels = data.labels[rows]
    right = probs.argmax(axis=1)
    return {
        "n": len(rows),
        "contents": len(data.content_ids),
        "unlabeled": int(((data.labels < 0) & ~data.held_out).sum()),
        "held_out": int(data.held_out.sum()),
        "unreadable": int((~fitted.readable).sum()),
        "labels_level": data.level,
        "learned_from": int(fitted.learned.sum()),
        "classes": len(data.classes),
        "folds": len(np.unique(fitted.folds[rows])),
        "accuracy_given": _share(int((right[rows] == labels).sum()), len(rows)),
        "accuracy_by_split": _by_split(data, fitted.readable, right),
        "accuracy_verified": _by_split(data, fitted.readable, right, data.sample_verified),
        "leaked": int(data.leaked.sum()),
        "ece_before": round(expected_calibration_error(labels, fitted.probs[rows]), 4),
        "ece_after": round(expected_calibration_error(labels, probs[rows]), 4),
        "nll_before": round(nll(labels, fitted.probs[rows]), 4),
        "nll_after": round(nll(labels, probs[rows]), 4),
        "temperature": round(temperature, 4),
    }


def _share(k: int, n: int) -> dict[str, Any]:
    from secondlook.pipeline.core.statistics import share

    found = share(k, n)
    interval = [round(found.interval.low, 4), round(found.interval.high, 4)]
    return {"value": round(found.value, 4) if n else None, "n": n, "interval": interval}


def _by_split(data: TrainingSet, readable: Flags, right: Ints, only: Flags | None = None) -> dict[str, Any]:
    """Agreement of out-of-sample predictions with the given labels of each split's samples, without leaked ones.

    `only` (S,): the samples to look at; None: all. Of these, a label that the model has not learned counts as wrong.
    """
    splits = np.array(data.sample_split)
    looked = data.sample_label >= 0 if only is None else only
    usable = looked & (readable & ~data.leaked)[data.sample_content]
    shares = {}
    for split in sorted(set(data.sample_split)):
        rows = usable & (splits == split)
        hits = right[data.sample_content[rows]] == data.sample_label[rows]
        if rows.any():
            shares[split] = _share(int(hits.sum()), int(rows.sum()))
    return shares
