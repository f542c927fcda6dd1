"""The label audit for notebooks: arrays and names in, a data frame out."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from secondlook.pipeline.audit.labels.bad_rows import NO_TABLE, UNLABELED, Floats, as_table
from secondlook.pipeline.audit.labels.mislabels import label_errors
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.errors import UserError


def label_issues(
    labels: Any,
    probs: Any,
    classes: Sequence[Any] | None = None,
    margin: float | None = None,
) -> pd.DataFrame:
    """The label audit in a notebook: a row for every image, in the order given.

    `labels`: (n,) names or integers, None or NaN where there is none. `probs`: (n, K) out-of-sample probabilities.
    `classes`: (K,) the labels that the columns of `probs` stand for; by default the columns' names of a DataFrame, else
    the distinct labels, sorted (as scikit-learn's `classes_`). `margin`: flagged above it, -1 to 1; None: chosen from the data;
    `frame.attrs` says which margin it was, and on what basis. Returns the columns `row`, `given`, `suggested`,
    `p_error`, `flagged`; sort by `p_error` to look at the worst first. Raises UserError for what doesn't fit together.

    >>> label_issues(["cat", "cat", None], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], classes=["cat", "dog"])
       row given suggested  p_error  flagged
    0    0   cat       cat      0.1    False
    1    1   cat       dog      0.8     True
    2    2  None       cat      NaN    False
    """
    if isinstance(probs, pd.DataFrame):
        classes = list(probs.columns) if classes is None else classes
        probs = probs.to_numpy()
    table = _float_table(probs)
    values = _values(labels, len(table))
    names = _names(values, classes, table.shape[1])
    code = {name: index for index, name in enumerate(names)}
    for row, value in enumerate(values):
        if value is not None and value not in code:
            raise UserError(f"row {row} has label {value!r}, which is not among the {len(names)} classes")
    given = np.fromiter((UNLABELED if value is None else code[value] for value in values), np.int64, len(values))
    found = label_errors(given, table, margin)
    integers = all(isinstance(name, int) for name in names)
    kind: Any = object if not integers else "Int64" if (given < 0).any() else "int64"
    frame = pd.DataFrame(
        {
            "row": np.arange(len(values)),
            "given": pd.array(values, dtype=kind) if integers else pd.Series(values, dtype=object),
            "suggested": pd.Series([names[index] for index in found.suggested], dtype="int64" if integers else object),
            "p_error": found.p_error,
            "flagged": found.flagged,
        }
    )
    frame.attrs = {"margin": found.margin, "basis": found.basis}
    return frame


def _float_table(probs: Any) -> Floats:
    found = as_table(probs)
    if found.ndim != 2:
        raise UserError(f"probabilities are (n, K); got shape {found.shape}")
    try:
        return found if found.dtype.kind == "f" else found.astype(np.float32)
    except (TypeError, ValueError):
        raise UserError(NO_TABLE) from None


def _values(labels: Any, n: int) -> list[Any]:
    found = labels.tolist() if hasattr(labels, "tolist") else labels
    if not isinstance(found, Iterable) or isinstance(found, str | bytes):
        raise UserError(f"labels are a list, an array or a series with a name or an integer a row; got {found!r}")
    values = [_plain(value) for value in found]
    if len(values) != n:
        raise UserError(f"labels and probabilities go row by row; got {len(values)} labels and {n} rows")
    return values


def _plain(value: Any) -> Any:
    """A label as str, int or None; a float that pandas made of an integer beside missing ones is an integer again."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return None
        if value.is_integer():
            return int(value)
    if type(value).__name__ in {"NAType", "NaTType"}:
        return None
    raise UserError(f"a label is a name or an integer; got {value!r}")


def _names(values: Sequence[Any], classes: Sequence[Any] | None, n_columns: int) -> list[Any]:
    if isinstance(classes, str):
        raise UserError(f"classes are a list of names; got {classes!r}")
    if classes is not None:
        names = [_plain(name) for name in classes]
        if len(names) != n_columns:
            raise UserError(f"classes name the columns of the probabilities; got {len(names)} for {n_columns} columns")
        if len(set(names)) < len(names) or None in names:
            raise UserError("classes must be distinct names, none of them missing")
        return names
    distinct = {str(value): value for value in values if value is not None}
    if len(distinct) != n_columns:
        raise UserError(
            f"there are {len(distinct)} distinct labels but {n_columns} columns of probabilities; pass classes= to name the columns"
        )
    return [distinct[name] for name in in_order(distinct)]
