"""SL601, SL602: what lint says of the people who answer."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import Said, to_table
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.people.given import Given, GoldAnswer, given, gold_answers
from secondlook.jobs.people.pausing import judged, rates, resumed
from secondlook.labeling.people.gold import Verdict
from secondlook.labeling.people.haste import OTHERS, Hasty, hasty
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.rules import Finding
from secondlook.pipeline.core.statistics import share

NOBODY = "nobody has answered yet; `secondlook review push` asks people"


def audit(lake: Lake, version: Version, settings: Settings) -> Said:
    """SL601 and SL602, of everybody whose answers are in the lake, paused or not."""
    answered = given(lake, version)
    if not answered:
        return Said(to_table([]), dict.fromkeys(("SL601", "SL602"), NOBODY))
    golden, silent = gold_answers(lake, version, answered), paused(lake, version)
    found = judged(golden, resumed(lake, version), silent, rates(settings))
    notes: dict[str, str] = {}
    if not golden:
        notes["SL601"] = "nobody has answered a gold question yet; `secondlook review gold` makes some"
    if not any(one.seconds is not None for one in answered):
        notes["SL602"] = "no answer has a time"
    failed = [_failed(name, one, name in silent) for name, one in found.items() if one.state == "failed"]
    limits = settings.lint
    errors = _wrong(answered, golden, silent)
    fast = hasty(
        [one.annotator for one in answered],
        [one.batch for one in answered],
        [math.nan if one.seconds is None else one.seconds for one in answered],
        errors,
        too_fast=limits.too_fast,
        least_share=limits.fast_share,
    )
    if not notes.get("SL602") and len({one.annotator for one in answered}) <= OTHERS:
        notes["SL602"] = f"fewer than {OTHERS + 1} people have answered, so nobody knows what is usual"
    return Said(to_table([*failed, *map(_fast, fast)]), notes)


def _wrong(answered: Sequence[Given], golden: Sequence[GoldAnswer], silent: frozenset[str]) -> list[float]:
    """For each answer the part of those who know that say otherwise: gold, else the other people; nan where nobody does."""
    truth = {one.content_id: one.truth for one in golden}
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for one in answered:
        if one.annotator not in silent:
            said[one.content_id][one.annotator] = one.said
    errors = []
    for one in answered:
        known = truth.get(one.content_id)
        others = Counter(what for who, what in said[one.content_id].items() if who != one.annotator)
        if known is not None:
            errors.append(float(one.said != known))
        else:
            errors.append(1.0 - others[one.said] / others.total() if others else math.nan)
    return errors


def _failed(name: str, one: Verdict, is_paused: bool) -> Finding:
    told = share(one.wrong, one.asked)
    message = (
        f"got {one.wrong} of {one.asked} gold questions wrong ({told.interval.low:.0%} to {told.interval.high:.0%}), "
        f"where an acceptable person has {one.expected:.1f}; {'paused' if is_paused else 'not paused'}"
    )
    evidence = {"asked": one.asked, "wrong": one.wrong, "expected": round(one.expected, 2)}
    evidence |= {"evidence": round(one.evidence, 2), "decided_at": one.decided_at, "paused": is_paused}
    return Finding("SL601", "annotator", name, name, one.wrong / one.asked, message, evidence=evidence)


def _fast(one: Hasty) -> Finding:
    message = f"{one.fast} of {one.timed} answers are fast"
    if not math.isnan(one.usual_s):
        message += f": {one.seconds:.1f} s in the median, others {one.usual_s:.1f} s"
    if one.checked:
        message += f"; of {one.checked} that can be checked {one.wrong / one.checked:.0%} are wrong, of others' {one.others_wrong:.0%}"
    else:
        message += "; none of them can be checked"
    evidence: dict[str, float | None] = {"timed": one.timed, "fast": one.fast, "seconds": round(one.seconds, 2)}
    evidence |= {"usual_seconds": None if math.isnan(one.usual_s) else round(one.usual_s, 2)}
    evidence |= {"checked": one.checked, "wrong": round(one.wrong, 2), "others_wrong": round(one.others_wrong, 4)}
    return Finding("SL602", "annotator", one.annotator, one.annotator, one.share, message, evidence=evidence)
