"""The tables of the lake, all of them, as Arrow schemas.

Every table is append-only. Its newest row for a key is the one that holds; `seq` says what is newest: it grows with each
commit, and one commit never writes two rows of one key. Columns are only ever added. Times are UTC, in microseconds.
"""

from dataclasses import dataclass

import pyarrow as pa

TEXT = pa.string()
INT = pa.int64()
REAL = pa.float64()
TIME = pa.timestamp("us", tz="UTC")
ATTRIBUTES = pa.map_(TEXT, TEXT)
IMAGE = pa.struct([("bytes", pa.binary()), ("path", TEXT)])  # the layout of Hugging Face datasets


@dataclass(frozen=True)
class Table:
    """A table's name, what identifies a row of it, and its columns."""

    name: str
    key: tuple[str, ...]
    schema: pa.Schema


def _table(name: str, key: str, /, **columns: pa.DataType) -> Table:
    fields = [pa.field("seq", INT), *(pa.field(column, kind) for column, kind in columns.items())]
    return Table(name, tuple(key.split()), pa.schema(fields))


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        # A place in a source. `split` is "" where the source has none. `size_bytes` and `modified_us` tell a changed
        # file from a known one without reading it (of a row of a Parquet file they are the file's). `content_id` is
        # null where the file was changed and can't be read any more: then `rejects` says why.
        _table(
            "samples",
            "sample_id",
            sample_id=TEXT,
            dataset=TEXT,
            source=TEXT,
            key=TEXT,
            content_id=TEXT,
            split=TEXT,
            size_bytes=INT,
            modified_us=INT,
            attributes=ATTRIBUTES,
        ),
        # A content's bytes, or (bytes null) the URL where they stay.
        _table("images", "content_id", content_id=TEXT, image=IMAGE),
        # What could not be read, with a reason of pipeline.core.decode.REASONS; null where it can be read by now.
        _table(
            "rejects",
            "sample_id",
            sample_id=TEXT,
            dataset=TEXT,
            source=TEXT,
            key=TEXT,
            reason=TEXT,
            detail=TEXT,
            size_bytes=INT,
            modified_us=INT,
        ),
        # What one decode tells. Sizes in pixels after EXIF orientation; `phash`, `dhash` 64 bits each; brightness
        # (its mean and two percentiles), contrast, means and deviations in 0..1 of the range of a channel; blur and
        # entropy: see pipeline.images.quality.
        _table(
            "fingerprints",
            "content_id",
            content_id=TEXT,
            format=TEXT,
            mode=TEXT,
            width=INT,
            height=INT,
            orientation=INT,
            size_bytes=INT,
            phash=INT,
            dhash=INT,
            brightness=REAL,
            contrast=REAL,
            blur=REAL,
            entropy=REAL,
            mean_r=REAL,
            mean_g=REAL,
            mean_b=REAL,
            std_r=REAL,
            std_g=REAL,
            std_b=REAL,
            brightness_p01=REAL,
            brightness_p99=REAL,
        ),
        # What happened to labels, in commit order. A null label takes the label away. `source` is one of LABEL_SOURCES.
        _table(
            "labels",
            "sample_id",
            sample_id=TEXT,
            label=TEXT,
            source=TEXT,
            actor=TEXT,
            time=TIME,
            batch=TEXT,
            evidence=TEXT,
        ),
        # What happened to classes, in commit order; what holds follows from all of it: see labeling.class_list.
        _table(
            "classes",
            "name event",
            name=TEXT,
            event=TEXT,
            into=TEXT,
            actor=TEXT,
            time=TIME,
            names=pa.list_(TEXT),
            reason=TEXT,
            batch=TEXT,
        ),
        # A trained model: where its files are, and (JSON) its settings and what was measured of it. `kind` is one of MODEL_KINDS;
        # `made_of`: the models that it started from or was taught by.
        _table(
            "models",
            "model",
            model=TEXT,
            kind=TEXT,
            backbone=TEXT,
            classes=pa.list_(TEXT),
            path=TEXT,
            settings=TEXT,
            metrics=TEXT,
            embedder=TEXT,
            made_of=pa.list_(TEXT),
        ),
        # Classes that a model confuses with one another. `parent`: the cluster that this one is a part of, null at `level` 0.
        # Evidence is JSON. All clusters of one run share their `seq`; only those of a model's newest `seq` hold.
        _table(
            "clusters",
            "model cluster seq",
            model=TEXT,
            cluster=TEXT,
            classes=pa.list_(TEXT),
            level=INT,
            parent=TEXT,
            evidence=TEXT,
        ),
        # What was measured of a student, or of a teacher beside it, on held-out pictures (JSON: pipeline.core.frontier.Point). All
        # points of one run share their `seq`; what they were measured on stands in the version's summary.
        _table("frontier", "model seq", model=TEXT, role=TEXT, figures=TEXT),
        # `model` is what made the vector, a model's `embedder`: models with one frozen backbone share its vectors.
        _table("embeddings", "content_id model", content_id=TEXT, model=TEXT, vector=pa.list_(pa.float32())),
        # The most probable classes as indices into the model's list, most probable first, with their probabilities.
        # `fold` is the fold that the content was held out of, -1 where it had no label and so was in none; of a student -2
        # where it learned from the content, with a label or without, and -1 where it did not.
        _table(
            "predictions",
            "content_id model",
            content_id=TEXT,
            model=TEXT,
            classes=pa.list_(pa.int32()),
            probs=pa.list_(pa.float32()),
            fold=INT,
        ),
        # What speaks against the label (a class's name) that a content had when the model was fitted, kind by kind as
        # pipeline.audit.labels.evidence.KINDS names them, and all of it as `p_error`: 0..1, 0.5 undecided, null not there.
        # It holds only while the content still has this label.
        _table(
            "evidence",
            "content_id model",
            content_id=TEXT,
            model=TEXT,
            label=TEXT,
            held_out=REAL,
            refit=REAL,
            neighbors=REAL,
            dynamics=REAL,
            others=REAL,
            p_error=REAL,
        ),
        # What lint says. All rows of one run of lint share their `seq`. `subject` is a sample_id, a class …, as
        # `subject_kind` says; `key` is its name for people. Evidence is JSON. `waiver` is the reason of a waived one.
        _table(
            "findings",
            "seq rule subject",
            rule=TEXT,
            subject_kind=TEXT,
            subject=TEXT,
            key=TEXT,
            split=TEXT,
            score=REAL,
            message=TEXT,
            evidence=TEXT,
            waiver=TEXT,
        ),
        # What people were asked: `strategy` says why this sample (see labeling.acquire), `choices` are all classes that
        # may be answered and `options` the few that are shown first (null: all). `people`: how many different ones are to answer
        # (null: one). `group` names what is asked together: a pair or cluster of classes.
        _table(
            "batches",
            "batch sample_id",
            batch=TEXT,
            sample_id=TEXT,
            position=INT,
            strategy=TEXT,
            choices=pa.list_(TEXT),
            time=TIME,
            options=pa.list_(TEXT),
            people=INT,
            group=TEXT,
        ),
        # Where a batch is answered: its project in a labeling tool, newest state of STUDIO_STATES. `cursor`: the tool's time up to
        # which answers were taken; `tasks`: how many of the batch's tasks the tool has. `mark`: by what the
        # project is known there (null: what follows from the batch as it is recorded; `forget` changes that).
        _table(
            "projects",
            "batch",
            batch=TEXT,
            server=TEXT,
            project=INT,
            state=TEXT,
            cursor=TIME,
            tasks=INT,
            time=TIME,
            mark=TEXT,
        ),
        # What an audit drew, in rows of one `seq` a draw: `given` and `score` as they were in the version `drawn_from`;
        # `inclusion` is the probability that the sample was drawn by this draw or an earlier one of the audit. `design`
        # (JSON) is the draw's own: pipeline.audit.share.sampling.Design.
        _table(
            "audit_samples",
            "audit sample_id",
            audit=TEXT,
            sample_id=TEXT,
            batch=TEXT,
            given=TEXT,
            score=REAL,
            inclusion=REAL,
            drawn_from=INT,
            design=TEXT,
        ),
        # What people answered: `answer` is one of ANSWERS, `label` is null unless it is "label". `origin` names it in the tool
        # that it comes from, `changed` is the time there.
        _table(
            "annotations",
            "annotation_id",
            annotation_id=TEXT,
            batch=TEXT,
            sample_id=TEXT,
            annotator=TEXT,
            answer=TEXT,
            label=TEXT,
            seconds=REAL,
            state=TEXT,
            time=TIME,
            origin=TEXT,
            changed=TIME,
        ),
        # Answers that could not be taken, as they came (`raw`, JSON, cut to a bounded length) and why; a null reason: taken since.
        _table(
            "refused_answers",
            "origin",
            origin=TEXT,
            batch=TEXT,
            sample_id=TEXT,
            annotator=TEXT,
            raw=TEXT,
            reason=TEXT,
            time=TIME,
        ),
        # Pictures whose class is known beyond doubt, to ask people for among others. `source` is one of GOLD_SOURCES; a null label: gold no more.
        _table("gold", "sample_id", sample_id=TEXT, label=TEXT, source=TEXT, actor=TEXT, reason=TEXT, time=TIME),
        # What happened to the people who answer: one of ANNOTATOR_EVENTS; the newest holds. Evidence is JSON.
        _table(
            "annotators",
            "annotator",
            annotator=TEXT,
            event=TEXT,
            actor=TEXT,
            reason=TEXT,
            evidence=TEXT,
            time=TIME,
        ),
        # What happened to values of attributes: pictures whose `attribute` has the value `value` have `into` instead, from the
        # commit on and for all that is read of earlier ones; a null `into` takes the repair back. `pictures`: how many had it then.
        _table(
            "attribute_repairs",
            "attribute value",
            attribute=TEXT,
            value=TEXT,
            into=TEXT,
            rule=TEXT,
            actor=TEXT,
            reason=TEXT,
            pictures=INT,
            time=TIME,
        ),
        # What was forgotten: keyed hashes (with the lake's secret) of a content, or of a sample, that is never to come back.
        # `kind` is one of TOMBSTONE_KINDS.
        _table("tombstones", "mark", mark=TEXT, kind=TEXT, actor=TEXT, reason=TEXT, time=TIME),
    )
}

MODEL_KINDS = ("generalist", "specialist", "specialists", "student")
LABEL_SOURCES = ("ingest", "review", "revert", "amplified")
STUDIO_STATES = ("made", "sent", "archived")
GOLD_SOURCES = ("supplied", "unanimous", "withdrawn")
ANNOTATOR_EVENTS = ("paused", "resumed")
ANSWERS = ("label", "unsure", "none of these", "bad picture")
STATES = ("submitted", "changed", "deleted")
TOMBSTONE_KINDS = ("content", "sample")
