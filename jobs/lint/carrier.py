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
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.rules import Finding
from secondlook.pipeline.images import checks

if TYPE_CHECKING:
    from secondlook.jobs.lake.dataset import Model
    from secondlook.jobs.lint.looks import Comparable

SEPARATOR = "\x1f"  # between names of splits
PRINTS = ("phash", "dhash", "entropy", "contrast", "blur", "width", "height")
EVIDENCE = ("evidence_label", *KINDS, "p_error")
# What a carrier sums up: `n` pictures labeled `label` of which `what` is `value`. See Carrier.propertied.
COUNTS = pa.schema([("what", pa.string()), ("label", pa.string()), ("value", pa.string()), ("n", pa.int64())])
MOST_VALUES = 1000
# What Carrier.celled sums up: `n` pictures of the cell with this code have this outcome of a measure, which goes by a number;
# those of one `cluster` are copies of one another (null: a picture of its own).
CELLS = pa.schema(
    [
        ("measure", pa.int32()),
        ("cell", pa.int64()),
        ("outcome", pa.string()),
        ("cluster", pa.int64()),
        ("n", pa.int64()),
    ]
)
LEAST_SUMMED = 200_000  # rows that are gathered before they are added up
PICTURED = ("brightness", "contrast", "blur", "width", "height")
FIELDS = ("rule", "subject_kind", "subject", "key", "split", "score", "message")
CHUNK = 10_000  # findings that are Python objects at a time


class Beside(NamedTuple):
    """What Carrier.celled brings beside each sample.

    cells: from attributes, map<str, str> (N,), as they read to codes of cells (N,); None: one cell, 0, holds all. model: whose predictions and evidence, None for none.
    clusters: content_id and cluster (int64) of contents that are copies. marks: name → ids of the samples that bear it.
    """

    cells: Callable[[pa.ChunkedArray], pa.Array] | None
    model: "Model | None"
    clusters: pa.Table
    marks: Mapping[str, pa.Array]


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

    def attributed(self, count: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """The sums of what `count` says, as COUNTS, of all samples: `sample_id` and `attributes`, as found: not repaired.

        A `what` with more than MOST_VALUES values is told as in `propertied`.
        """

    def attributes_of(self, sample_ids: pa.Array) -> pa.Table:
        """sample_id and attributes, as they read, of these samples."""

    def celled(self, beside: Beside, count: Callable[[pa.Table], pa.Table], most: int) -> pa.Table:
        """The sums of what `count` says, as CELLS, of all samples. Raises UserError where there are more than `most` sums.

        Rows have sample_id, content_id, split, label, cell, cluster, PICTURED, `guess` and `prob` (the place of the likeliest class
        in the model's list, and its probability), fold, `evidence_label` and `p_error`, and a column for each mark
        (true or false). What there is not is null.
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


def no_predictions() -> pa.Table:
    """What is beside samples where no model has predicted anything: no rows of all columns of a prediction and of evidence."""
    kinds = {"guess": pa.int32(), "prob": pa.float32(), "fold": pa.int64(), "p_error": pa.float64()}
    schema = pa.schema([("content_id", pa.string()), *kinds.items(), ("evidence_label", pa.string())])
    return schema.empty_table()


def summed_cells(parts: Iterable[pa.Table], most: int) -> pa.Table:
    """Sums of parts as sums of the whole: see Carrier.celled."""
    keys = CELLS.names[:-1]
    whole, held = CELLS.empty_table(), []
    for part in parts:
        held.append(part)
        if sum(one.num_rows for one in held) > max(whole.num_rows, LEAST_SUMMED):
            whole, held = _added([whole, *held], keys), []
            refuse_many(whole.num_rows, most)
    whole = _added([whole, *held], keys)
    refuse_many(whole.num_rows, most)
    return whole


def _added(parts: list[pa.Table], keys: list[str]) -> pa.Table:
    summed = pa.concat_tables(parts).group_by(keys).aggregate([("n", "sum")]).rename_columns({"n_sum": "n"})
    return summed.select(CELLS.names).cast(CELLS)


def refuse_many(sums: int, most: int) -> None:
    """Raise UserError where there are too many sums to hold."""
    if sums > most:
        raise UserError(
            f"crossing the attributes makes more than {most:,} counts; name fewer of them, or some with fewer values, in [bias] attributes"
        )


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
