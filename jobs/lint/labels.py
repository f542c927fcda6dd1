"""SL101, SL102: what lint says of labels, by a model's predictions and the evidence of its fitting."""

import contextlib
import math
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lint.carrier import EVIDENCE, Carrier, Said, counted, to_table
from secondlook.pipeline.audit.labels.bad_rows import RowError
from secondlook.pipeline.audit.labels.calibrated import Calibrator, NotYet
from secondlook.pipeline.audit.labels.doubts import Decision, Judged, doubts, tallied
from secondlook.pipeline.audit.labels.evidence import KINDS
from secondlook.pipeline.audit.labels.flags import Choice, Tally, chosen_margin, empty, estimated_share
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.errors import UserError

LABEL_RULES = ("SL101", "SL102")
SHARE = "estimated_share"  # of labels that are wrong, as the model has it: a fact beside SL101's findings


def audit(
    carrier: Carrier,
    model: Model | None,
    waiting: Collection[str],
    settings: LintSettings,
    calibrated: Calibrator | NotYet,
) -> Said:
    """SL101, SL102 by a model's predictions, whose label's version may be older: the given label is today's.

    Two passes over the labeled samples: the margin is chosen, unless the settings fix it, and then each is judged.
    `waiting` are the classes in quarantine, as they are shown: no model learns them.
    """
    counts = carrier.counts()
    if not counts:
        return Said(to_table([]), dict.fromkeys(LABEL_RULES, "no picture has a label"))
    if model is None:
        note = "no model has looked at the labels yet; `secondlook train` brings one"
        return Said(to_table([]), dict.fromkeys(LABEL_RULES, note))
    nothing = empty(len(model.classes))
    sums = carrier.tallied(model.name, lambda rows: count(rows, model), nothing)
    choice = chosen_margin(sums)
    if settings.fixed_margin is not None:
        choice = Choice(settings.fixed_margin, "the setting mislabel_margin")
    calibrator = calibrated if isinstance(calibrated, Calibrator) else None
    decision = Decision(*choice, settings.ambiguous_margin, settings.ambiguous_mass, calibrator)
    found = carrier.judged(model.name, lambda rows: judge(rows, model, decision))
    left_out = _left_out(carrier, model, waiting, counts)
    told = f"flagged above a margin of {choice.margin:.3g} ({choice.basis}); {_meaning(calibrated)}"
    notes = {"SL101": f"{told}; {left_out}" if left_out else told}
    share = estimated_share(sums)
    return Said(found, notes | ({"SL102": left_out} if left_out else {}), {} if math.isnan(share) else {SHARE: share})


def _meaning(calibrated: Calibrator | NotYet) -> str:
    """What p_error is, in words."""
    if isinstance(calibrated, NotYet):
        return f"p_error is a score: fewer than {calibrated.needed} audit answers ({calibrated.answers})"
    return f"p_error is a probability, calibrated on {calibrated.answers:,} audit answers"


def _left_out(carrier: Carrier, model: Model, waiting: Collection[str], counts: Mapping[str, int]) -> str:
    """The labels that the model can't speak of, in words."""
    known = {*model.classes, *waiting}
    strange = {label: n for label, n in counts.items() if label not in known}
    notes = []
    if strange:
        some = ", ".join(sorted(strange)[:5]) + (" …" if len(strange) > 5 else "")
        notes.append(f"{counted(sum(strange.values()))} of classes that the model has not seen ({some})")
    if unjudged := carrier.unjudged(model.name):
        notes.append(f"{counted(unjudged)} with a label that came after the model")
    parts = [f"{' and '.join(notes)}; `secondlook train` looks at them"] if notes else []
    if held := sum(counts.get(name, 0) for name in waiting):
        parts.append(f"{counted(held)} of classes that wait for a sign-off (SL501) are not judged")
    return "; ".join(parts)


def count(rows: pa.Table, model: Model) -> Tally:
    """What rows of `Carrier.judged` add to the choice of the margin."""
    with _named(rows, model.name):
        return tallied(as_judged(rows, model.classes))


def judge(rows: pa.Table, model: Model, decision: Decision) -> pa.Table:
    """Findings of labels on rows of `Carrier.judged`."""
    with _named(rows, model.name):
        return to_table(doubts(as_judged(rows, model.classes), decision))


@contextlib.contextmanager
def _named(rows: pa.Table, model: str) -> Iterator[None]:
    """A row that can't be used is one of a picture's predictions."""
    try:
        yield
    except RowError as problem:
        key = rows["key"][problem.row].as_py()
        raise UserError(
            f"what {model} predicts of {key} {problem.what}; `secondlook train` makes predictions"
        ) from None


def as_judged(rows: pa.Table, names: list[str]) -> Judged:
    """Rows of `Carrier.judged` as arrays. Evidence that is of another label than the one that holds is left out."""
    label = rows["label"]
    given = pc.index_in(label, value_set=pa.array(names, pa.string())).fill_null(-1)
    holds = pc.fill_null(pc.equal(rows["evidence_label"], label), False).to_numpy()
    said = {name: np.where(holds, rows[name].to_numpy(), np.nan) for name in EVIDENCE[1:]}
    return Judged(
        rows["sample_id"].to_pylist(),
        rows["key"].to_pylist(),
        rows["split"].fill_null("").to_pylist(),
        given.to_numpy().astype(np.int64),
        _padded(rows["classes"], -1).astype(np.int32),
        _padded(rows["probs"], 0.0).astype(np.float32),
        names,
        said["p_error"],
        {name: said[name] for name in KINDS},
    )


def _padded(lists: pa.ChunkedArray, fill: float) -> npt.NDArray[np.float64]:
    """Lists (n,) of any lengths as an array (n, longest)."""
    lists = lists.combine_chunks()
    sizes = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    longest = int(sizes.max(initial=0))
    values = lists.flatten().to_numpy()
    if (sizes == longest).all():
        return values.reshape(len(sizes), longest)  # type: ignore[no-any-return]
    table = np.full((len(sizes), longest), fill)
    table[np.arange(longest) < sizes[:, None]] = values
    return table
