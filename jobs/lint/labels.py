"""SL101, SL102: what lint says of labels, by a model's predictions."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lint.carrier import Carrier, Said, counted, to_table
from secondlook.pipeline.audit.doubts import Judged, doubts
from secondlook.pipeline.audit.mislabels import MARGIN
from secondlook.pipeline.core.config import LintSettings

LABEL_RULES = ("SL101", "SL102")


def audit(carrier: Carrier, model: Model | None, settings: LintSettings) -> Said:
    """SL101, SL102 by a model's predictions, whose label's version may be older: the given label is today's."""
    counts = carrier.counts()
    if not counts:
        return Said(to_table([]), dict.fromkeys(LABEL_RULES, "no picture has a label"))
    if model is None:
        note = "no model has looked at the labels yet; `secondlook train` brings one"
        return Said(to_table([]), dict.fromkeys(LABEL_RULES, note))
    known = set(model.classes)
    strange = {label: n for label, n in counts.items() if label not in known}
    notes = []
    if strange:
        some = ", ".join(sorted(strange)[:5]) + (" …" if len(strange) > 5 else "")
        notes.append(f"{counted(sum(strange.values()))} of classes that the model has not seen ({some})")
    if unjudged := carrier.unjudged(model.name):
        notes.append(f"{counted(unjudged)} with a label that came after the model")
    note = f"{' and '.join(notes)}; `secondlook train` looks at them"
    found = carrier.judged(model.name, lambda rows: judge(rows, model.classes, settings))
    return Said(found, dict.fromkeys(LABEL_RULES, note) if notes else {})


def judge(rows: pa.Table, names: list[str], settings: LintSettings) -> pa.Table:
    """Findings of labels on rows of sample_id, key, split, label, classes, probs."""
    given = pc.index_in(rows["label"], value_set=pa.array(names, pa.string())).fill_null(-1)
    classes, probs = _padded(rows["classes"], -1), _padded(rows["probs"], 0.0)
    judged = Judged(
        rows["sample_id"].to_pylist(),
        rows["key"].to_pylist(),
        rows["split"].fill_null("").to_pylist(),
        given.to_numpy().astype(np.int64),
        classes.astype(np.int32),
        probs.astype(np.float32),
        names,
    )
    return to_table(
        doubts(
            judged,
            margin=MARGIN if settings.fixed_margin is None else settings.fixed_margin,
            ambiguous_margin=settings.ambiguous_margin,
            ambiguous_mass=settings.ambiguous_mass,
        )
    )


def _padded(lists: pa.ChunkedArray, fill: float) -> npt.NDArray[np.float64]:
    """Lists (n,) of any lengths as an array (n, longest)."""
    lists = lists.combine_chunks()
    sizes = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    table = np.full((len(sizes), int(sizes.max(initial=0))), fill)
    table[np.arange(table.shape[1]) < sizes[:, None]] = lists.flatten().to_numpy()
    return table
