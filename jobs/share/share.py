"""`secondlook share`: how many labels are wrong, as far as people's answers to an audit tell, with an interval."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.labels import count
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.jobs.share.adjudicated import Audit, Drawn, audit, calibration
from secondlook.jobs.share.frame import Frame, frame
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling.adjudication import REASONS
from secondlook.pipeline.audit.labels.calibrated import Calibrator
from secondlook.pipeline.audit.labels.flags import empty, estimated_share
from secondlook.pipeline.audit.share.share import LEAST, Answers, Share
from secondlook.pipeline.audit.share.share import share as estimate
from secondlook.pipeline.audit.share.share import shares as by_group
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

ENOUGH = 100  # pictures that an audit should have: of fewer, the interval is wide, and some come out without agreement
WRONG, DISPUTED, MODEL = "share of wrong labels", "share that one more person disputes", "the model's estimate"


def run(lake: Lake, settings: Settings, version: Version | None = None) -> dict[str, Any]:
    """What is known of the share of wrong labels at a version.

    `called` says what `value` is: WRONG (adjudicated answers, with `interval`), DISPUTED (people's single answers, with
    `interval`), MODEL (no audit answers, no interval), or None where there is neither audit nor model. `answers` counts the pictures that were
    answered, however many people looked at each. `classes`: the same for each class
    with enough answers. `audit`: how far the audit is. `p_error`: whether it is a score or a probability.
    """
    at = version or lake.at()
    return _told(lake, settings, at, _by_model(lake, at))


def _told(lake: Lake, settings: Settings, at: Version, model: float | None) -> dict[str, Any]:
    found = audit(lake, at, settings)
    curve = calibration(found)
    population = population_of(lake, found) if found else None
    measured = _measured(found, population) if found else {}
    told = measured or {"called": None, "value": None, "interval": None, "answers": 0, "method": "", "classes": []}
    if not measured and model is not None:
        told |= {
            "called": MODEL,
            "value": model,
            "method": "the scores of all labels alone; no person looked",
        }
    return {
        "version": at.id,
        **told,
        "model": model,
        "audit": progress(lake, at, found, population) if found else None,
        "p_error": {"answers": curve.answers, "is": "score", "needed": 100}
        if not isinstance(curve, Calibrator)
        else {"answers": curve.answers, "is": "probability", **curve.as_json()},
    }


def brief(lake: Lake, settings: Settings, version: Version, model: float | None) -> dict[str, Any]:
    """The part of `run` that lint shows beside its own: called, value, interval, answers. `model`: the model's estimate."""
    told = _told(lake, settings, version, model)
    return {name: told[name] for name in ("called", "value", "interval", "answers")}


def _by_model(lake: Lake, version: Version) -> float | None:
    """The model's estimate; None where there is no model, or no label that it knows."""
    if not lake.latest("models", version, ["model"]).num_rows:
        return None
    model = dataset.newest_model(lake, version)
    sums = LocalTables(lake, version).tallied(model.name, lambda rows: count(rows, model), empty(len(model.classes)))
    value = estimated_share(sums)
    return None if math.isnan(value) else value


def _measured(found: Audit, population: Frame | None) -> dict[str, Any]:
    """What the answers say: of adjudicated labels where there are enough of them, else of people's single answers."""
    for called, of in ((WRONG, _wrong), (DISPUTED, _disputed)):
        told = [(one, value) for one in found.drawn if (value := of(one)) is not None]
        if len(told) >= LEAST:
            return {"called": called} | _estimated(found, population, told)
    return {}


def _wrong(one: Drawn) -> float | None:
    return None if one.wrong is None else float(one.wrong)


def _disputed(one: Drawn) -> float | None:
    return one.disputed


def _estimated(found: Audit, population: Frame | None, told: Sequence[tuple[Drawn, float]]) -> dict[str, Any]:
    """The estimate over the labels that were drawn from, and of the classes that they were then."""
    ids = pa.array([one.sample_id for one, _ in told], pa.string())
    rows = population.rows(ids) if population else np.arange(len(told))
    # What is not answered is taken to be like the rest: every label is answered with this part of its probability.
    part = len(told) / max(len(found.drawn), 1)
    inclusion = np.array([one.inclusion for one, _ in told]) * part
    answers = Answers(rows, np.array([value for _, value in told]), inclusion)
    scores = population.score if population else _alone(answers)
    whole = estimate(scores, answers)
    modelled = bool(population is not None and not np.isnan(scores).all())
    groups = _classes(population, scores, answers) if population else []
    return _shown(whole) | {
        "population": len(scores) if population else None,
        "method": METHODS[modelled],
        "classes": groups,
        "pooled": len(pc.unique(population.label)) - len(groups) if population else None,
    }


METHODS = {
    True: "inverse-probability weights, and the model's score of every label, calibrated on the answers",
    False: "inverse-probability weights alone: no model's scores of the labels that were drawn from",
}


def population_of(lake: Lake, found: Audit) -> Frame | None:
    """What the audit drew from; None where that version is not kept any more."""
    kept = [one for one in lake.versions.all() if one.id == found.drawn_from]
    return frame(lake, kept[0]) if kept else None


def _alone(answers: Answers) -> npt.NDArray[np.float64]:
    """As many labels without a score as the weights say that there are."""
    return np.full(max(round(float((1 / answers.inclusion).sum())), len(answers.row)), np.nan)


def _classes(population: Frame, scores: npt.NDArray[np.float64], answers: Answers) -> list[dict[str, Any]]:
    names = in_order(pc.unique(population.label).to_pylist())
    group = pc.index_in(population.label, value_set=pa.array(names, pa.string())).to_numpy()
    found = by_group(scores, answers, group)
    return [{"class": names[n]} | _shown(one) | {"population": one.population} for n, one in sorted(found.items())]


def _shown(one: Share) -> dict[str, Any]:
    ends = [round(one.interval.low, 6), round(one.interval.high, 6)]
    return {"value": round(one.value, 6), "interval": ends, "answers": one.answers, "wrong": round(one.wrong, 3)}


def progress(lake: Lake, version: Version, found: Audit, population: Frame | None) -> dict[str, Any]:
    """How far an audit is: drawn, answered, adjudicated, open by reason, and how many labels of its population changed since."""
    return {
        "audit": found.name,
        "drawn_from": found.drawn_from,
        "drawn": len(found.drawn),
        "answered": sum(one.disputed is not None or one.wrong is not None for one in found.drawn),
        "adjudicated": sum(one.wrong is not None for one in found.drawn),
        "open": found.open,
        "changed_since": _changed(lake, version, population),
    }


def _changed(lake: Lake, version: Version, population: Frame | None) -> int | None:
    """How many of the labels that were drawn from are others by now; None where that version is not kept."""
    if population is None:
        return None
    now = dataset.samples(lake, version).select(["sample_id", "label"])
    place = pc.index_in(population.sample_id, value_set=now["sample_id"].combine_chunks())
    labels = now["label"].combine_chunks().take(place)
    same = pc.fill_null(pc.equal(labels, population.label), False)
    return len(population.label) - int(pc.sum(same).as_py() or 0)


def share(
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """How many labels are wrong, with a 95 % interval.

    What it can say depends on the answers to `review push --audit N`. With adjudicated labels (three people of whom most agree, or one
    answer of somebody in [review] experts) it is the share of wrong labels. One person's answers are no truth: with those it is the share
    that one more person disputes. Without answers it is the model's estimate, which has no interval. Classes are told of alone from 30
    answers. It is of the labels as they were when the audit was drawn.

    Example:

        secondlook review push --audit 500 --to audit.csv --pictures audit/
        secondlook share
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    summary = run(opened, chosen, opened.at(as_of))
    if summary["called"] is None and summary["audit"] is None:
        raise UserError(
            "nothing is known of wrong labels: no model, no audit; `secondlook train`, or `review push --audit`"
        )
    finish(summary, as_json=json, lines=lambda: out().print("\n".join(told(summary)), markup=False))


def told(summary: Mapping[str, Any]) -> list[str]:
    """The summary in lines."""
    lines = told_share(summary)
    if summary["called"] not in {None, MODEL}:
        lines.append(f"  of {_many(summary)} as of version {summary['audit']['drawn_from']}; {summary['method']}")
        lines += [f"  {one['class']}: {_figure(one)}, {one['answers']} pictures" for one in summary["classes"]]
        if summary["classes"] and summary["pooled"]:
            lines.append(
                f"  {summary['pooled']} classes have fewer than {LEAST} answered pictures and are in the whole only"
            )
    state = summary["audit"]
    if state:
        lines += [*told_progress(state), *_missing(summary["called"], state)]
        if state["changed_since"]:
            lines.append(_since(summary))
    return [*lines, told_p_error(summary)]


def told_share(summary: Mapping[str, Any]) -> list[str]:
    """What `run` and `brief` say of the share, in a line, or in none where nothing is known."""
    if summary["called"] == MODEL:
        return [
            f"{MODEL}: {summary['value']:.1%} of the labels are wrong; nobody has checked it, so it has no interval"
        ]
    if summary["called"] is None:
        return []
    return [f"{summary['called']}: {_figure(summary)}, from answers to {summary['answers']:,} pictures"]


def _missing(called: str | None, state: Mapping[str, Any]) -> list[str]:
    """What an audit lacks to tell the share of wrong labels, in a line; none where it tells it."""
    lacks = LEAST - state["adjudicated"]
    if called == WRONG or lacks <= 0:
        return []
    line = f"  {lacks} more adjudicated label{'s make' if lacks > 1 else ' makes'} it the {WRONG}: "
    left = state["drawn"] - state["adjudicated"]
    if left >= lacks:
        return [f"{line}answers to what is open (`secondlook review push --audit {left} --again` asks once more)"]
    return [line + f"`secondlook review push --audit {ENOUGH}` draws enough"]


def told_progress(state: Mapping[str, Any]) -> list[str]:
    """How far an audit is, in lines."""
    counts = ", ".join(f"{state[name]:,} {name}" for name in ("drawn", "answered", "adjudicated"))
    return [
        f"{state['audit']}: {counts}",
        *(f"  {n:,} without an adjudicated label: {REASONS[reason]}" for reason, n in state["open"].items()),
    ]


def told_p_error(summary: Mapping[str, Any]) -> str:
    """Whether p_error is a score or a probability, in words."""
    kind = summary["p_error"]
    if kind["is"] == "score":
        return f"p_error is a score: {kind['needed']} adjudicated answers make it a probability, {kind['answers']} are there"
    return f"p_error is a probability, calibrated on {kind['answers']:,} adjudicated answers"


def _figure(one: Mapping[str, Any]) -> str:
    low, high = one["interval"]
    return f"{one['value']:.1%} (95 % interval {low:.1%} to {high:.1%})"


def _many(summary: Mapping[str, Any]) -> str:
    return f"{summary['population']:,} labels" if summary["population"] else "all labels"


def _since(summary: Mapping[str, Any]) -> str:
    """What changed since the draw, and what that would leave if every change was right."""
    line = (
        f"  {summary['audit']['changed_since']:,} labels were changed since; a new audit measures the labels of today"
    )
    ends = left(summary)
    return line + (f" (if every change corrected a wrong label: {ends[0]:.1%} to {ends[1]:.1%})" if ends else "")


def left(summary: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval of the share of wrong labels if every label that changed since the draw was wrong and is right now.

    The most that corrections can have done, as nobody has checked them; None where nothing changed or it isn't known.
    """
    if summary["called"] != WRONG or not summary["population"] or not summary["audit"]["changed_since"]:
        return None
    gone = summary["audit"]["changed_since"] / summary["population"]
    low, high = summary["interval"]
    return max(low - gone, 0.0), max(high - gone, 0.0)
