"""From rows of pictures to what became of each: the outcome functions that one counting pass carries to the data.

Each takes rows of jobs.bias.counting and says the place of the outcome in `measures.outcomes`, as text; null where a picture is not of
the population.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.pipeline.bias import measures
from secondlook.pipeline.bias.calibration import place
from secondlook.pipeline.bias.measures import Flags, Ints, Reals

Outcome = Callable[[pa.Table], pa.Array]
DOUBTED, IS_VERIFIED, IS_ASKED, LATE = "doubted", "verified", "asked", "late"  # marks


def everything(rows: pa.Table) -> pa.Array:
    """PICTURES."""
    return _told(np.zeros(rows.num_rows, np.int64), np.ones(rows.num_rows, bool))


def labels(classes: Sequence[str], left_out: Sequence[str], rows: pa.Table) -> pa.Array:
    """LABELS, of labeled pictures but those of classes that are left out."""
    there = _there(rows["label"]) & ~_flags(pc.is_in(rows["label"], value_set=pa.array(left_out, pa.string())))
    at = _places(rows["label"], classes)
    return _told(np.where(at < 0, len(classes), at), there)


def doubts(known: Sequence[str], rows: pa.Table) -> pa.Array:
    """DOUBTS."""
    return _yes(_flags(rows[DOUBTED]), _judged(rows, known))


def right(known: Sequence[str], rows: pa.Table) -> pa.Array:
    """RIGHT."""
    return _yes(_right(rows), _judged(rows, known))


def verified(known: Sequence[str], rows: pa.Table) -> pa.Array:
    """VERIFIED."""
    return _yes(_right(rows), _judged(rows, known) & _flags(rows[IS_VERIFIED]))


def predicted(classes: Sequence[str], known: Sequence[str], rows: pa.Table) -> pa.Array:
    """PREDICTED."""
    given, said = _places(rows["label"], classes), _places(rows["predicted"], classes)
    return _told(measures.predicted(given, said, len(classes)), _judged(rows, known))


def confidence(known: Sequence[str], rows: pa.Table) -> pa.Array:
    """CONFIDENCE."""
    there = _judged(rows, known)
    sure = np.where(there, rows["prob"].to_numpy(), 0.0)
    return _told(place(sure, _right(rows)), there)


def asked(rows: pa.Table) -> pa.Array:
    """ASKED, of pictures that were there when a batch was chosen."""
    return _yes(_flags(rows[IS_ASKED]), ~_flags(rows[LATE]))


def levels(name: str, rows: pa.Table) -> pa.Array:
    """The step (measures.level) of a quality, as text."""
    steps = _levels(name, rows)
    return _told(steps, steps >= 0)


def poor(name: str, limit: int, rows: pa.Table) -> pa.Array:
    """Whether a picture is in the worst tenth of a quality: up to this step."""
    steps = _levels(name, rows)
    return _yes(steps <= limit, steps >= 0)


def of_model(classes: Sequence[str], known: Sequence[str], *, checked: bool) -> dict[str, Outcome]:
    """All that a model's predictions tell, by table. known: the classes of the model; checked: people verified labels."""
    told: dict[str, Outcome] = {
        measures.DOUBTS: partial(doubts, known),
        measures.RIGHT: partial(right, known),
        measures.PREDICTED: partial(predicted, classes, known),
        measures.CONFIDENCE: partial(confidence, known),
    }
    return told | ({measures.VERIFIED: partial(verified, known)} if checked else {})


def _judged(rows: pa.Table, known: Sequence[str]) -> Flags:
    """Labeled pictures that the model judged out of sample, of a class that it knows."""
    return _there(rows["predicted"]) & (_places(rows["label"], known) >= 0)


def _right(rows: pa.Table) -> Flags:
    return _flags(pc.equal(rows["predicted"], rows["label"]))


def _levels(name: str, rows: pa.Table) -> Ints:
    column = measures.QUALITIES[name][0]
    values = pc.min_element_wise(rows["width"], rows["height"], skip_nulls=False) if column == "side" else rows[column]
    numbers: Reals = pc.cast(values, pa.float64()).to_numpy()
    return measures.level(name, numbers)


def _places(names: pa.ChunkedArray, classes: Sequence[str]) -> Ints:
    at = pc.index_in(names, value_set=pa.array(classes, pa.string()), skip_nulls=True).fill_null(-1)
    return np.asarray(at.to_numpy(), np.int64)


def _there(values: pa.ChunkedArray) -> Flags:
    return _flags(pc.is_valid(values))


def _flags(values: pa.ChunkedArray) -> Flags:
    return np.asarray(values.fill_null(False).to_numpy(), bool)


def _yes(hit: Flags, there: Flags) -> pa.Array:
    return _told(hit.astype(np.int64), there)


def _told(outcome: npt.NDArray[np.int64], there: Flags) -> pa.Array:
    return pa.array(outcome, mask=~there).cast(pa.string())
