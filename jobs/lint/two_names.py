"""SL502: what lint says of classes that may be one."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lint.carrier import COUNTS, Carrier, Said, to_table
from secondlook.jobs.lint.labels import as_judged
from secondlook.pipeline.audit.classes.two_names import Rivals, Seen, rivals, seen, two_names
from secondlook.pipeline.core.config import LintSettings

Synonyms = Mapping[str, Sequence[str]]

NAMES_ONLY = "only names were compared: no model has looked at the pictures; `secondlook train` brings one"


def audit(
    carrier: Carrier, names: Sequence[str], synonyms: Synonyms, model: Model | None, settings: LintSettings
) -> Said:
    """SL502, of all classes by name and `synonyms`, and by a model's predictions where there is one."""
    counts = carrier.counts()
    looks = _seen(carrier, model, names) if model is not None and counts else Seen({}, {})
    found = two_names(names, counts, looks, settings.same_class, synonyms)
    return Said(to_table(found), {"SL502": NAMES_ONLY} if model is None and len(names) > 1 else {})


def _seen(carrier: Carrier, model: Model, names: Sequence[str]) -> Seen:
    """What the model sees, by the places of classes in `names`; of classes that are not in it, nothing."""
    summed = carrier.rivaled(model.name, lambda rows: count(rows, model.classes))
    place = {name: number for number, name in enumerate(names)}
    of = np.array([place.get(name, -1) for name in model.classes], np.int64)
    given, other = (of[_numbers(summed[name])] for name in ("label", "what"))
    value, n = _numbers(summed["value"]), summed["n"].to_numpy()
    known = (given >= 0) & (other >= 0)
    return seen(Rivals(given[known], other[known], value[known] // 2, (value[known] % 2).astype(np.bool_), n[known]))


def _numbers(column: pa.ChunkedArray) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(column.cast(pa.int64()).to_numpy(), np.int64)


def count(rows: pa.Table, names: list[str]) -> pa.Table:
    """How often classes compete for the pictures of some rows of `Carrier.judged`, as COUNTS of numbers of classes."""
    judged = as_judged(rows, names)
    found = rivals(judged.given, judged.classes, judged.probs)
    columns = (found.other, found.given, 2 * found.bin + found.clear)
    return pa.table([*(pa.array(column).cast(pa.string()) for column in columns), pa.array(found.n)], schema=COUNTS)
