"""What a person would score on this dataset, beside what the model scores, as a version of the lake shows it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.gold import gold_rows
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import STRATEGY as VERIFY
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.people.given import SILENT, Given, given, gold_answers
from secondlook.jobs.share.adjudicated import STRATEGY as AUDIT
from secondlook.jobs.share.adjudicated import experts
from secondlook.labeling.adjudication import Adjudicated, Voice, adjudicate
from secondlook.labeling.people.human_error import HumanError, by_agreement, by_gold
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import share

SOURCES = {AUDIT: "a random sample of all labeled pictures", VERIFY: "a random sample of a test split"}


def human_error(
    lake: Lake, version: Version, settings: Settings, answered: Sequence[Given] | None = None
) -> dict[str, Any] | None:
    """How often one person's answer is wrong, from each source that tells enough; None where none does.

    `gold`, `agreement` (either None): value, interval, answers, pictures, by_seconds; `of` says which pictures these are. `model`: how often the newest
    model is wrong on the pictures of `agreement` that people agree on, out of sample, k of n with its interval; None where there is none.
    """
    heard = given(lake, version) if answered is None else answered
    silent = paused(lake, version)
    heard = [one for one in heard if one.annotator not in silent]
    gold = _by_gold(lake, version, heard)
    strategy, agreement, model = "", None, None
    for strategy in (AUDIT, VERIFY):
        mine = [one for one in heard if one.strategy == strategy]
        weights = _weights(lake, version) if strategy == AUDIT else {}
        agreement = _by_agreement(lake, version, mine, weights)
        if agreement is not None:
            model = _model_error(lake, version, mine, experts(settings))
            break
    if gold is None and agreement is None:
        return None
    return {
        "gold": _told(gold, "gold that was supplied") if gold else None,
        "agreement": _told(agreement, SOURCES[strategy]) if agreement else None,
        "model": model,
    }


def _told(found: HumanError, of: str) -> dict[str, Any]:
    return {
        "value": round(found.value, 4),
        "interval": [round(found.interval.low, 4), round(found.interval.high, 4)],
        "answers": found.answers,
        "pictures": found.pictures,
        "of": of,
        "by_seconds": [
            {"from": round(one.low_s, 2), "to": round(one.high_s, 2), "value": round(one.value, 4)}
            | {"interval": [round(one.interval.low, 4), round(one.interval.high, 4)], "answers": one.answers}
            for one in found.by_seconds
        ],
    }


def _by_gold(lake: Lake, version: Version, heard: Sequence[Given]) -> HumanError | None:
    """From gold that somebody supplied: what people agreed on unanimously is the easy part."""
    rows = gold_rows(lake, version)
    supplied = set(rows.filter(pc.equal(rows["source"], "supplied"))["sample_id"].to_pylist())
    if not supplied:
        return None
    known = {one.content_id for one in heard if one.sample_id in supplied}
    seconds = {(one.annotator, one.content_id): one.seconds for one in reversed(heard)}
    told = [
        one for one in gold_answers(lake, version, list(heard)) if one.wrong is not None and one.content_id in known
    ]
    times = [_seconds(seconds[one.annotator, one.content_id]) for one in told]
    return by_gold(
        [bool(one.wrong) for one in told], [one.annotator for one in told], [one.content_id for one in told], times
    )


def _by_agreement(
    lake: Lake, version: Version, heard: Sequence[Given], weights: Mapping[str, float]
) -> HumanError | None:
    first: dict[tuple[str, str], Given] = {}
    for one in heard:
        if one.answer not in SILENT:
            first.setdefault((one.content_id, one.annotator), one)
    told = list(first.values())
    if not told:
        return None
    return by_agreement(
        [one.content_id for one in told],
        [one.said for one in told],
        [_seconds(one.seconds) for one in told],
        generator(0, "human error"),
        classes=len(dataset.class_names(lake, version)),
        weights=[weights.get(one.content_id, 1.0) for one in told] if weights else (),
    )


def _seconds(value: float | None) -> float:
    return math.nan if value is None else value


def _weights(lake: Lake, version: Version) -> dict[str, float]:
    """1 / the probability with which audits drew a content."""
    rows = lake.latest("audit_samples", version, ["sample_id", "inclusion"])
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
    drawn = zip(rows["sample_id"].to_pylist(), rows["inclusion"].to_pylist(), strict=True)
    return {content[sample_id]: 1 / inclusion for sample_id, inclusion in drawn if content.get(sample_id)}


def _model_error(lake: Lake, version: Version, heard: Sequence[Given], chosen: Sequence[str]) -> dict[str, Any] | None:
    """How often the newest model names another class than people agree on, of the same pictures."""
    if not lake.latest("models", version, ["model"]).num_rows:
        return None
    voices: dict[str, dict[str, Voice]] = {}
    for one in heard:
        voices.setdefault(one.content_id, {})[one.annotator] = Voice(one.annotator, one.answer, one.label)
    agreed = {content: adjudicate(list(its.values()), chosen) for content, its in voices.items()}
    labels = {content: one.label for content, one in agreed.items() if isinstance(one, Adjudicated) and one.label}
    model = dataset.newest_model(lake, version)
    rows = dataset.predictions(lake, version, model.name)
    rows = rows.filter(pc.is_in(rows["content_id"], value_set=pa.array(sorted(labels), pa.string())))
    wrong = [
        model.classes[row["classes"][0]] != labels[row["content_id"]] for row in rows.to_pylist() if row["classes"]
    ]
    if not wrong:
        return None
    found = share(sum(wrong), len(wrong))
    ends = [round(found.interval.low, 4), round(found.interval.high, 4)]
    return {"value": round(found.value, 4), "wrong": found.k, "n": found.n, "interval": ends}


def told(found: Mapping[str, Any]) -> list[str]:
    """What a person would score, and the model, in lines."""
    lines = []
    for source, words in (("gold", "by gold"), ("agreement", "from what people agree on")):
        one = found[source]
        if one:
            lines.append(
                f"a person is wrong on {_figure(one)}, {words}: {one['answers']:,} answers, {one['pictures']:,} pictures, {one['of']}"
            )
            lines += [
                f"  in {part['from']:.1f} to {part['to']:.1f} s: {_figure(part)}, {part['answers']:,} answers"
                for part in one["by_seconds"]
            ]
    if found["model"]:
        lines.append(
            f"the model is wrong on {_figure(found['model'])} of {found['model']['n']:,} of these pictures that people agree on"
        )
    return lines


def _figure(one: Mapping[str, Any]) -> str:
    return f"{one['value']:.1%} ({one['interval'][0]:.1%} to {one['interval'][1]:.1%})"
