"""What lint's families of rules share: the tables that a carrier brings them, and what they say."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy.typing as npt
import pyarrow as pa

from secondlook.jobs.lake.records import rows as records
from secondlook.pipeline.audit.labels.evidence import KINDS
from secondlook.pipeline.audit.labels.flags import Tally
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.rules import Finding
from secondlook.pipeline.images import checks

if TYPE_CHECKING:
    from secondlook.jobs.lint.looks import Comparable

SEPARATOR = "\x1f"  # between names of splits
PRINTS = ("phash", "dhash", "entropy", "contrast", "blur", "width", "height")
EVIDENCE = ("evidence_label", *KINDS, "p_error")
# What a carrier sums up: `n` pictures labeled `label` of which `what` is `value`. See Carrier.propertied.
COUNTS = pa.schema([("what", pa.string()), ("label", pa.string()), ("value", pa.string()), ("n", pa.int64())])
MOST_VALUES = 1000
FIELDS = ("rule", "subject_kind", "subject", "key", "split", "score", "message")
CHUNK = 10_000  # findings that are Python objects at a time


class Carrier(Protocol):
    """How tables are joined and counted: in this process (on_driver) or by Spark (on_spark), with the same answers."""

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

    def tallied(self, model: str, tally: Callable[[pa.Table], Tally], nothing: Tally) -> Tally:
        """The sum, from `nothing`, of what `tally` counts in the rows that `judged` sees."""

    def judged(self, model: str, judge: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """What `judge` makes of labeled samples beside the model's predictions (classes, probs) and evidence.

        Evidence is EVIDENCE, null where there is none: `evidence_label`, the label that it is of, KINDS and `p_error`.
        """

    def unjudged(self, model: str) -> int:
        """How many labeled samples the model has no predictions for."""

    def rivaled(self, model: str, count: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """The sums of what `count` says, as COUNTS, of the rows that `judged` sees."""

    def propertied(self, count: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """The sums of what `count` says, as COUNTS, of labeled samples beside their fingerprints, source and attributes.

        Of samples with one content and one label only the first by its id. A `what` with more than MOST_VALUES values
        is one row, with their number as `n` and neither label nor value.
        """

    def of_samples(self, sample_ids: pa.Array) -> pa.Table:
        """These samples."""

    def sizes(self, content_ids: pa.Array) -> pa.Table:
        """Width and height of these contents in pixels: content_id, width, height."""

    def sampled(self, embedder: str, size: int) -> pa.Table:
        """Of the contents of each label, and of those without one, the first `size` by id: content_id, label, vector.

        In the order of labels (none last) and ids, which are hashes: so the first ones are drawn at random. A content
        with several labels counts to the first by name.
        """

    def embedded(self, embedder: str, look: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """What `look` makes of samples beside their vectors."""

    def comparable(self, embedder: str | None, settings: LintSettings) -> "Comparable":
        """Contents that may look the same as another by their hashes or, with an embedder, by their vectors."""

    def thumbnails(self, content_ids: pa.Array) -> pa.Table:
        """These contents at 32 x 32 pixels, without those that can't be read now: jobs.lint.looks.THUMBNAILS."""

    def rejects(self) -> pa.Table:
        """Files that can't be read: sample_id, key, reason, detail."""

    def pictured(self, look: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """What `look` makes of samples beside their fingerprints: those of pipeline.images.checks.COLUMNS."""


class Said(NamedTuple):
    """What a family of rules says: findings, by rule a sentence on what it could not look at, and what else it learned."""

    findings: pa.Table
    notes: Mapping[str, str] = {}
    facts: Mapping[str, float] = {}


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


def columns(rows: pa.Table) -> dict[str, npt.NDArray[Any]]:
    """The columns that the checks of pictures look at, as far as the rows have them."""
    return {name: rows[name].to_numpy() for name in checks.COLUMNS if name in rows.column_names}


def counted(n: int) -> str:
    """A number of pictures, in words."""
    return f"{n:,} picture{'' if n == 1 else 's'}"
