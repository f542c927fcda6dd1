"""What the rules on pictures find: pure functions on columns of the table `fingerprints`."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.decode import REASONS
from secondlook.pipeline.core.rules import Finding

Reals = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]
NOTHING: Mapping[str, Mapping[str, Any]] = {}

# A drawing in two tones has few bits of entropy, and yet there is much to see: it deviates by more than this.
TWO_TONES = 0.1
FLAT_BLUR = 0.01  # less contrast than this is not judged for blur: its sharpness is that of noise


@dataclass(frozen=True)
class Judgment:
    """What one rule says of n pictures: flagged (n,), the value it looked at (n,), and a score (n,), larger is worse."""

    flagged: npt.NDArray[np.bool_]
    value: Reals
    score: Reals


def sharpness_threshold(blur: npt.NDArray[Any], settings: LintSettings) -> float:
    """Threshold of SL304 for a dataset whose pictures have this `blur` (n,): see the rule. 0 for no pictures."""
    known = np.asarray(blur, np.float64)
    known = known[np.isfinite(known)]
    return min(settings.blur, settings.blur_share * float(np.median(known))) if known.size else 0.0


def thresholds(settings: LintSettings, blur: npt.NDArray[Any]) -> dict[str, float]:
    """Threshold of each rule by its code; `blur` is the column of the whole dataset, of which SL304 takes the median."""
    return {
        "SL302": settings.dark,
        "SL303": settings.bright,
        "SL304": sharpness_threshold(blur, settings),
        "SL305": settings.entropy,
        "SL306": settings.aspect,
        "SL307": float(settings.min_side_px),
    }


def dark(columns: Columns, threshold: float) -> Judgment:
    """SL302, of `brightness_p99`."""
    return _below(columns["brightness_p99"], threshold)


def bright(columns: Columns, threshold: float) -> Judgment:
    """SL303, of `brightness_p01`."""
    value = np.asarray(columns["brightness_p01"], np.float64)
    return Judgment(value > threshold, value, (value - threshold) / max(1 - threshold, 1e-9))


def blurred(columns: Columns, threshold: float) -> Judgment:
    """SL304, of `blur` and `contrast`; the threshold is that of `sharpness_threshold`."""
    judged = _below(columns["blur"], threshold)
    return Judgment(judged.flagged & (columns["contrast"] >= FLAT_BLUR), judged.value, judged.score)


def empty(columns: Columns, threshold: float, flat: float = LintSettings.flat) -> Judgment:
    """SL305, of `entropy` and `contrast`."""
    entropy, contrast = (np.asarray(columns[name], np.float64) for name in ("entropy", "contrast"))
    flagged = (contrast < flat) | ((entropy < threshold) & (contrast < TWO_TONES))
    return Judgment(flagged, entropy, 1 - entropy / 8)


def odd_shape(columns: Columns, threshold: float) -> Judgment:
    """SL306, of `width` and `height`."""
    width, height = (np.asarray(columns[name], np.float64) for name in ("width", "height"))
    value = np.maximum(width, height) / np.maximum(np.minimum(width, height), 1)
    return Judgment(value > threshold, value, 1 - threshold / value)


def too_small(columns: Columns, threshold: float) -> Judgment:
    """SL307, of `width` and `height`."""
    return _below(np.minimum(columns["width"], columns["height"]), threshold)


def _below(column: npt.NDArray[Any], threshold: float) -> Judgment:
    value = np.asarray(column, np.float64)
    return Judgment(value < threshold, value, 1 - value / max(threshold, 1e-9))


CHECKS: dict[str, Callable[[Columns, float], Judgment]] = {
    "SL302": dark,
    "SL303": bright,
    "SL304": blurred,
    "SL305": empty,
    "SL306": odd_shape,
    "SL307": too_small,
}
# Columns of `fingerprints` that the checks look at.
COLUMNS = ("width", "height", "brightness_p01", "brightness_p99", "contrast", "blur", "entropy")

_MESSAGES = {
    "SL302": "dark: 99 of 100 pixels are below {value:.2f} of 1",
    "SL303": "bright: 99 of 100 pixels are above {value:.2f} of 1",
    "SL304": "blurred: sharpness {value:.2g}, pictures of this dataset pass from {threshold:.2g} up",
    "SL305": "no information: {value:.2f} bits in its brightness",
    "SL306": "odd shape: one side is {value:.1f} times the other",
    "SL307": "too small for a person to label: the shorter side has {value:.0f} pixels",
}


@dataclass(frozen=True)
class Pictures:
    """Samples beside their fingerprints: ids, keys and splits (n each), and COLUMNS by name, each (n,)."""

    sample_ids: Sequence[str]
    keys: Sequence[str]
    splits: Sequence[str]
    columns: Columns


def pictures(
    seen: Pictures, limits: Mapping[str, float], settings: LintSettings, also: Mapping[str, Mapping[str, Any]] = NOTHING
) -> Iterator[Finding]:
    """Findings of SL302 to SL307, rule by rule, in the order of the pictures; `limits` comes from `thresholds`.

    `also`: further evidence for all findings of a rule.
    """
    for code, check in CHECKS.items():
        limit = limits[code]
        judged = empty(seen.columns, limit, settings.flat) if code == "SL305" else check(seen.columns, limit)
        for i in np.flatnonzero(judged.flagged).tolist():
            value = float(judged.value[i])
            yield Finding(
                rule=code,
                subject_kind="sample",
                subject=seen.sample_ids[i],
                key=seen.keys[i],
                split=seen.splits[i] or "",
                score=round(float(judged.score[i]), 6),
                message=_MESSAGES[code].format(value=value, threshold=limit),
                evidence={"value": round(value, 6), "threshold": limit, **also.get(code, {})},
            )


def unreadable(
    sample_ids: Collection[str], keys: Collection[str], reasons: Collection[str], details: Collection[str | None]
) -> Iterator[Finding]:
    """Findings of SL301 for rows of the table `rejects`."""
    for sample_id, key, reason, detail in zip(sample_ids, keys, reasons, details, strict=True):
        yield Finding(
            rule="SL301",
            subject_kind="sample",
            subject=sample_id,
            key=key,
            score=1.0,
            message=f"unreadable: {reason}, {REASONS[reason]}",
            evidence={"reason": reason, "detail": detail or ""},
        )
