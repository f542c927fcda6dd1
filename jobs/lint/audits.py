"""What each family of rules says, from tables of a version: the bridge between columns and the functions of pipeline."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.records import rows as records
from secondlook.pipeline.audit.copies import (
    Looks,
    Samples,
    apart,
    exact_duplicates,
    label_conflicts,
    leaks,
    near_duplicates_of,
)
from secondlook.pipeline.audit.doubts import Judged, doubts
from secondlook.pipeline.audit.duplicates import NearDuplicates, near_duplicates
from secondlook.pipeline.audit.rare_classes import rare_classes
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.rules import Finding
from secondlook.pipeline.images import checks

SEPARATOR = "\x1f"  # between names of splits
PRINTS = ("phash", "dhash", "entropy", "contrast", "blur")
LABEL_RULES = ("SL101", "SL102")
CHUNK = 10_000  # findings that are Python objects at a time
IN_ORDER = [("key", "ascending"), ("sample_id", "ascending")]


class Carrier(Protocol):
    """How tables are joined and counted: in this process (lint_local) or by Spark (lint_spark), with the same answers."""

    def counts(self) -> Mapping[str, int]:
        """Labeled samples of each label."""

    def repeated(self) -> pa.Table:
        """Samples whose content is there more than once."""

    def contents(self) -> pa.Table:
        """Fingerprints of all contents that samples have: content_id and PRINTS, their first `key`, and `splits`.

        `splits` are the distinct names of splits that are not "", sorted and joined by SEPARATOR.
        """

    def of_contents(self, content_ids: pa.Array) -> pa.Table:
        """Samples that have these contents."""

    def judged(self, model: str, judge: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """What `judge` makes of labeled samples beside the model's predictions: classes, probs."""

    def unjudged(self, model: str) -> int:
        """How many labeled samples the model has no predictions for."""

    def rejects(self) -> pa.Table:
        """Files that can't be read: sample_id, key, reason, detail."""

    def pictured(self, look: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """What `look` makes of samples beside their fingerprints: those of pipeline.images.checks.COLUMNS."""


def to_table(findings: Iterable[Finding]) -> pa.Table:
    """Findings as rows of the table `findings`, without `seq`."""
    parts = [records("findings", [])]
    iterator = iter(findings)
    while chunk := list(islice(iterator, CHUNK)):
        parts.append(records("findings", [_record(finding) for finding in chunk]))
    return pa.concat_tables(parts)


def _record(finding: Finding) -> dict[str, object]:
    evidence = json.dumps(dict(finding.evidence), ensure_ascii=False)
    return {name: getattr(finding, name) for name in FIELDS} | {"evidence": evidence}


FIELDS = ("rule", "subject_kind", "subject", "key", "split", "score", "message")


class Said(NamedTuple):
    """What a family of rules says: findings, and by rule a sentence on what it could not look at."""

    findings: pa.Table
    notes: Mapping[str, str] = {}


def classes(carrier: Carrier, names: Iterable[str], settings: LintSettings) -> Said:
    """SL503, of every class by name."""
    counts = carrier.counts()
    if not counts:
        return Said(to_table([]), {"SL503": "no picture has a label"})
    return Said(to_table(rare_classes({name: counts.get(name, 0) for name in names}, settings.min_class)))


def copies(carrier: Carrier, settings: LintSettings) -> Said:
    """SL103, SL201, SL202, SL203."""
    repeated, everything = carrier.repeated(), carrier.contents()
    informative = pa.array(~checks.empty(_columns(everything), settings.entropy, settings.flat).flagged)
    contents = everything.filter(informative)
    contents = contents.sort_by([("key", "ascending"), ("content_id", "ascending")])
    near = _near(contents, settings)
    alike = contents["content_id"].take(pa.array(near.having_near()))
    missing = alike.filter(pc.invert(pc.is_in(alike, value_set=repeated["content_id"].combine_chunks())))
    rows = pa.concat_tables([repeated, carrier.of_contents(missing.combine_chunks())]).sort_by(IN_ORDER)
    ids = pc.unique(rows["content_id"])
    number, place = (
        pc.index_in(column, value_set=ids).fill_null(-1) for column in (rows["content_id"], contents["content_id"])
    )
    samples = Samples(
        rows["sample_id"].to_pylist(),
        rows["key"].to_pylist(),
        rows["split"].fill_null("").to_pylist(),
        rows["label"].to_pylist(),
        number.to_numpy().astype(np.int64),
    )
    looks = Looks(near, place.to_numpy().astype(np.int64))
    said = (
        exact_duplicates(samples),
        label_conflicts(samples),
        near_duplicates_of(samples, looks),
        leaks(samples, looks),
    )
    flat = everything.num_rows - contents.num_rows
    note = f"{_pictures(flat)} with almost no information (see SL305) not compared: their hashes are noise"
    return Said(to_table(chain.from_iterable(said)), {"SL202": note} if flat else {})


def _near(contents: pa.Table, settings: LintSettings) -> NearDuplicates:
    sides = contents["splits"].combine_chunks().dictionary_encode()
    return near_duplicates(
        contents["phash"].to_numpy(),
        contents["dhash"].to_numpy(),
        bits=settings.near_bits,
        confirm_bits=settings.near_confirm_bits,
        sides=sides.indices.to_numpy().astype(np.int64),
        apart=apart([set(splits.split(SEPARATOR)) - {""} for splits in sides.dictionary.to_pylist()]),
    )


def _columns(rows: pa.Table) -> dict[str, npt.NDArray[Any]]:
    """The columns that the checks of pictures look at, as far as the rows have them."""
    return {name: rows[name].to_numpy() for name in checks.COLUMNS if name in rows.column_names}


def pictures(carrier: Carrier, settings: LintSettings) -> Said:
    """SL301 to SL307."""
    limits = checks.thresholds(settings, carrier.contents()["blur"].to_numpy())
    rejects = carrier.rejects()
    columns = (rejects[name].to_pylist() for name in ("sample_id", "key", "reason", "detail"))
    return Said(
        pa.concat_tables(
            [
                to_table(checks.unreadable(*columns)),
                carrier.pictured(lambda rows: look(rows, limits, settings)),
            ]
        )
    )


def look(rows: pa.Table, limits: Mapping[str, float], settings: LintSettings) -> pa.Table:
    """Findings of pictures on rows of sample_id, key, split and the columns of fingerprints."""
    names = (rows["sample_id"].to_pylist(), rows["key"].to_pylist(), rows["split"].fill_null("").to_pylist())
    return to_table(checks.pictures(checks.Pictures(*names, _columns(rows)), limits, settings))


def labels(carrier: Carrier, model: Model | None, settings: LintSettings) -> Said:
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
        notes.append(f"{_pictures(sum(strange.values()))} of classes that the model has not seen ({some})")
    if unjudged := carrier.unjudged(model.name):
        notes.append(f"{_pictures(unjudged)} with a label that came after the model")
    note = f"{' and '.join(notes)}; `secondlook train` looks at them"
    found = carrier.judged(model.name, lambda rows: judge(rows, model.classes, settings))
    return Said(found, dict.fromkeys(LABEL_RULES, note) if notes else {})


def _pictures(n: int) -> str:
    return f"{n:,} picture{'' if n == 1 else 's'}"


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
            margin=settings.mislabel_margin,
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
