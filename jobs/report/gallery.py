"""Findings and their pictures for a report: all of them counted, the worst of each rule shown."""

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyiceberg.expressions import In

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.pictures import read_reference
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.rules import RULES
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import UnavailableError
from secondlook.pipeline.core.rules import Rule
from secondlook.pipeline.report import facts as f
from secondlook.pipeline.report.thumbnails import thumbnail

LABEL_RULE = "SL101"
SIDE_BY_SIDE = 4  # copies of one picture that are shown: a row on a phone
PLAIN_ROWS = 30  # findings without a picture


class Found(NamedTuple):
    """What lint found, and (n samples,) whether SL101 doubts the label that holds now; None without SL101."""

    findings: f.Findings
    doubted: pa.Array | None


class _Places:
    """Rows of samples by their id and by their key."""

    def __init__(self, samples: pa.Table) -> None:
        self.samples = samples
        self.by_id = {sample: row for row, sample in enumerate(samples["sample_id"].to_pylist())}
        self.keys: list[str] = samples["key"].to_pylist()
        self.labels: list[str | None] = samples["label"].to_pylist()
        self.splits: list[str | None] = samples["split"].to_pylist()
        self.contents: list[str] = samples["content_id"].to_pylist()
        self.by_key = {key: row for row, key in enumerate(self.keys)}

    def picture(self, row: int) -> f.Picture:
        """A picture yet without its thumbnail: `src` holds the content's id until the bytes are read."""
        return f.Picture(self.keys[row], self.contents[row], label=self.labels[row], split=self.splits[row] or "")


def findings_of(
    lake: Lake, version: Version, samples: pa.Table, settings: Settings, *, thumbnails: int
) -> Found | None:
    """The newest run of lint at this version, with at most so many thumbnails a rule; None where lint never ran."""
    linted, rows = lake.newest("lint", version), dataset.findings(lake, version)
    if linted is None or rows is None:
        return None
    places = _Places(samples)
    stale = any(linted.tables.get(name) != version.tables.get(name) for name in ("labels", "classes"))
    by_rule = {
        code: list(group) for code, group in itertools.groupby(rows.to_pylist(), key=lambda row: str(row["rule"]))
    }
    settled = 0
    if stale and LABEL_RULE in by_rule:
        left = [row for row in by_rule[LABEL_RULE] if _holds(row, places)]
        settled = len(by_rule[LABEL_RULE]) - len(left)
        by_rule[LABEL_RULE] = left
    shown = [_rule(code, rows, places, settings, thumbnails) for code, rows in by_rule.items() if rows]
    doubted = None
    if any(found.rule.code == LABEL_RULE for found in shown) or lake.newest("train", linted) is not None:
        doubted = np.zeros(samples.num_rows, bool)
        for row in by_rule.get(LABEL_RULE, ()):
            if not row["waiver"] and row["subject"] in places.by_id:
                doubted[places.by_id[row["subject"]]] = True
        doubted = pa.array(doubted)
    notes = read_classes(lake, version).told(
        {str(code): str(n) for code, n in dict(linted.run.get("notes", {})).items()}
    )
    galleries = tuple(_with_thumbnails(lake, version, settings, shown))
    findings = f.Findings(linted.id, stale, settled, galleries, notes)
    return Found(findings, doubted)


def _holds(row: Mapping[str, Any], places: _Places) -> bool:
    """Whether the label that was doubted is still the one that holds."""
    place = places.by_id.get(row["subject"])
    return place is not None and places.labels[place] == _evidence(row).get("given")


def _evidence(row: Mapping[str, Any]) -> dict[str, Any]:
    evidence = json.loads(row["evidence"] or "{}")
    return evidence if isinstance(evidence, dict) else {}


def _rule(
    code: str, rows: Sequence[Mapping[str, Any]], places: _Places, settings: Settings, thumbnails: int
) -> f.RuleFindings:
    rule = RULES.get(code) or Rule(code, code, "This version of secondlook has no words for this rule.", "", "", "", "")
    cards: list[f.Card] = []
    stood_for: set[str] = set()
    left, plain = thumbnails, PLAIN_ROWS
    for row in rows:
        if row["key"] in stood_for and row["subject_kind"] == "sample":
            continue
        card = _card(row, places)
        if not card.pictures:
            if plain:
                plain -= 1
                cards.append(card)
                stood_for.add(row["key"])
            continue
        if left < len(card.pictures):
            if left <= 0 or cards:
                break
            card = dataclasses.replace(card, pictures=card.pictures[:left])
        left -= len(card.pictures)
        cards.append(card)
        stood_for.update(picture.key for picture in card.pictures)
    thresholds = {name: f"{getattr(settings.lint, name)}" for name in rule.thresholds if hasattr(settings.lint, name)}
    return f.RuleFindings(
        rule=rule,
        count=len(rows),
        waived=sum(bool(row["waiver"]) for row in rows),
        cards=tuple(cards),
        covered=sum(row["key"] in stood_for for row in rows),
        thresholds=thresholds,
    )


def _card(row: Mapping[str, Any], places: _Places) -> f.Card:
    evidence, place = _evidence(row), places.by_id.get(row["subject"])
    waiver, message = row["waiver"] or "", row["message"] or ""
    if row["subject_kind"] != "sample" or place is None:
        about = message if message.startswith(str(row["key"])) else f"{row['key']}: {message}"
        return f.Card((), float(row["score"]), about, waiver=waiver)
    others = [key for key in (evidence.get("other"), *(evidence.get("others") or ())) if isinstance(key, str)]
    rows = [place, *(places.by_key[key] for key in dict.fromkeys(others) if key in places.by_key)]
    pictures = tuple(places.picture(at) for at in dict.fromkeys(rows))
    if len(pictures) > 1:  # their names and labels stand below them; what is left to say is how near they are
        bits = evidence.get("bits")
        message = f"the nearest differ in {bits} of 64 bits" if isinstance(bits, int) and bits else ""
    elif "first" in evidence and "second" in evidence:
        message = f"{evidence['first']} or {evidence['second']}"
    given, suggested = evidence.get("given"), evidence.get("suggested")
    return f.Card(
        pictures=pictures[:SIDE_BY_SIDE],
        score=float(row["score"]),
        message=message,
        given=None if given is None else str(given),
        suggested=None if suggested is None else str(suggested),
        more=max(len(pictures) - SIDE_BY_SIDE, 0),
        waiver=waiver,
    )


def _with_thumbnails(
    lake: Lake, version: Version, settings: Settings, shown: Sequence[f.RuleFindings]
) -> list[f.RuleFindings]:
    wanted = {picture.src for found in shown for card in found.cards for picture in card.pictures}
    made = thumbnails_of(lake, version, settings, wanted)
    gone = f.Picture("", "")

    def filled(picture: f.Picture) -> f.Picture:
        small = made.get(picture.src, gone)
        return dataclasses.replace(picture, src=small.src, width=small.width, height=small.height)

    return [
        dataclasses.replace(
            found,
            cards=tuple(
                dataclasses.replace(card, pictures=tuple(filled(picture) for picture in card.pictures))
                for card in found.cards
            ),
        )
        for found in shown
    ]


def thumbnails_of(lake: Lake, version: Version, settings: Settings, contents: set[str]) -> dict[str, f.Picture]:
    """Thumbnails by content, without keys; those that can't be read are left out."""
    ingest = settings.ingest
    limits = Limits(ingest.max_file_mb * 2**20, ingest.max_pixels, ingest.decode_timeout_s)
    return {content: thumbnail(f.Picture("", ""), data, limits) for content, data in _bytes(lake, version, contents)}


def _bytes(lake: Lake, version: Version, contents: set[str]) -> Any:
    """Contents and their bytes, one at a time; a reference that is gone is left out: the page says so in its place."""
    if not contents:
        return
    chosen = In("content_id", sorted(contents))  # type: ignore[call-arg, arg-type]
    seen: Counter[str] = Counter()
    for batch in lake.batches("images", version, ["content_id", "image"], chosen):
        for content, image in zip(batch["content_id"].to_pylist(), batch["image"].to_pylist(), strict=True):
            if seen[content]:
                continue
            seen[content] += 1
            try:
                data = image["bytes"] if image["bytes"] is not None else read_reference(image["path"])
            except UnavailableError:
                continue
            yield content, data
