"""Which samples a person looks at, and what the lake knows of each: columns in one order, ready for FiftyOne."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.answers import answers
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.scores import scores
from secondlook.pipeline.core.errors import UserError, unknown

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Facts:
    """N samples. `columns`: name → N values, None where there is none. `found`: for each sample, rule → (score, message)."""

    rows: list[dict[str, Any]]
    columns: Columns
    found: list[dict[str, tuple[float | None, str]]]
    batches: list[str] = field(default_factory=list)

    @property
    def rules(self) -> list[str]:
        """The codes of the rules that found something, in order."""
        return sorted({code for one in self.found for code in one})


def facts(
    lake: Lake, version: Version, *, limit: int | None = None, rule: str | None = None, split: str | None = None
) -> Facts:
    """What a version knows of its samples, or of a slice: of a split, with a finding of a rule, at most `limit`.

    Of a rule, those of the highest score; else drawn by the hash that a sample_id is, so that a slice stands for the whole.
    """
    samples = dataset.samples(lake, version)
    if split is not None:
        known = pc.unique(samples["split"]).to_pylist()
        if split not in known:
            raise unknown("split", split, [name or "(none)" for name in known])
        samples = samples.filter(pc.equal(samples["split"], split))
    found = _findings(lake, version, rule)
    samples = _slice(samples, found, limit, rule)
    rows: list[dict[str, Any]] = samples.to_pylist()
    if not rows:
        raise UserError("no picture of this version is in that slice")
    columns: Columns = {name: [row[name] or None for row in rows] for name in ("key", "split", "content_id", "label")}
    columns |= _history(lake, version, samples)
    columns |= _model(lake, version, samples)
    columns |= _people(lake, version, samples)
    copies = Counter(dataset.samples(lake, version)["content_id"].to_pylist())
    columns["copies"] = [copies[row["content_id"]] for row in rows]
    columns |= _sizes(lake, version, samples)
    batches = sorted({name for names in columns["batches"] for name in names or ()}, key=_by_number)
    return Facts(rows, columns, [found.get(row["sample_id"], {}) for row in rows], batches)


def _by_number(name: str) -> tuple[int, str]:
    last = name.rsplit("-", 1)[-1]
    return (int(last) if last.isdigit() else 0), name


def _findings(lake: Lake, version: Version, rule: str | None) -> dict[str, dict[str, tuple[float | None, str]]]:
    """Sample → rule → (score, message), of findings that nobody waived."""
    found: dict[str, dict[str, tuple[float | None, str]]] = defaultdict(dict)
    rows = dataset.findings(lake, version)
    if rows is None:
        if rule is not None:
            raise UserError("lint has not run on this lake; `secondlook lint` finds what --rule shows")
        return found
    rows = rows.filter(
        pc.and_(pc.equal(rows["subject_kind"], "sample"), pc.equal(pc.fill_null(rows["waiver"], ""), ""))
    )
    for row in rows.select(["subject", "rule", "score", "message"]).to_pylist():
        found[row["subject"]][row["rule"]] = row["score"], row["message"] or ""
    if rule is not None and not any(rule in one for one in found.values()):
        raise unknown("rule with findings of pictures", rule, sorted({code for one in found.values() for code in one}))
    return found


def _slice(samples: pa.Table, found: Mapping[str, Mapping[str, Any]], limit: int | None, rule: str | None) -> pa.Table:
    if rule is not None:
        with_it = [one for one in samples["sample_id"].to_pylist() if rule in found.get(one, {})]
        with_it.sort(key=lambda one: (-(found[one][rule][0] or 0.0), one))
        return samples.filter(pc.is_in(samples["sample_id"], value_set=pa.array(with_it[:limit], pa.string())))
    if limit is None or samples.num_rows <= limit:
        return samples
    chosen = samples["sample_id"].combine_chunks().sort().slice(0, limit)
    return samples.filter(pc.is_in(samples["sample_id"], value_set=chosen))


def _history(lake: Lake, version: Version, samples: pa.Table) -> Columns:
    """The label that each sample came with, and where the one of now comes from."""
    events = lake.read("labels", version, ["sample_id", "seq", "label", "source", "batch", "actor"]).sort_by("seq")
    events = events.filter(pc.is_in(events["sample_id"], value_set=samples["sample_id"].combine_chunks()))
    events = events.set_column(2, "label", read_classes(lake, version).read(events["label"], events["seq"]))
    given: dict[str, str | None] = {}
    newest: dict[str, dict[str, Any]] = {}
    for row in events.to_pylist():
        if row["source"] == "ingest":
            given.setdefault(row["sample_id"], row["label"])
        newest[row["sample_id"]] = row
    ids = samples["sample_id"].to_pylist()
    told = {name: [newest.get(one, {}).get(name) for one in ids] for name in ("source", "batch", "actor")}
    return {"given": [given.get(one) for one in ids]} | {f"label_{name}": values for name, values in told.items()}


def _model(lake: Lake, version: Version, samples: pa.Table) -> Columns:
    """What the newest model says: its class, how probable, and how probably the label is wrong."""
    n = samples.num_rows
    empty: Columns = {name: [None] * n for name in ("prediction", "confidence", "p_error")}
    if not lake.latest("models", version, ["model"]).num_rows:
        return empty
    model = dataset.newest_model(lake, version)
    said = dataset.predictions(lake, version, model.name).select(["content_id", "classes", "probs"])
    said = said.filter(pc.is_in(said["content_id"], value_set=pc.unique(samples["content_id"])))
    best = {row["content_id"]: (model.classes[row["classes"][0]], row["probs"][0]) for row in said.to_pylist()}
    doubt = scores(lake, version, model)
    wrong = dict(zip(doubt["sample_id"].to_pylist(), doubt["p_error"].to_pylist(), strict=True))
    contents = [best.get(one, (None, None)) for one in samples["content_id"].to_pylist()]
    return {
        "prediction": [name for name, _ in contents],
        "confidence": [None if p is None else float(p) for _, p in contents],
        "p_error": [wrong.get(one) for one in samples["sample_id"].to_pylist()],
    }


def _people(lake: Lake, version: Version, samples: pa.Table) -> Columns:
    """What people were asked and said: batches, answers, and whether they name different classes."""
    ids = samples["sample_id"].to_pylist()
    batches: dict[str, list[str]] = defaultdict(list)
    for row in lake.latest("batches", version, ["batch", "sample_id"]).to_pylist():
        batches[row["sample_id"]].append(row["batch"])
    said: dict[str, list[str]] = defaultdict(list)
    for row in answers(lake, version).to_pylist():
        said[row["sample_id"]].append(row["label"] or row["answer"])
    return {
        "batches": [batches.get(one) for one in ids],
        "answers": [sorted(said[one]) if one in said else None for one in ids],
        "disputed": [len(set(said.get(one, ()))) > 1 for one in ids],
    }


def _sizes(lake: Lake, version: Version, samples: pa.Table) -> Columns:
    """Sizes and formats of the pictures, from their fingerprints."""
    names = ("format", "width", "height", "size_bytes")
    rows = lake.latest("fingerprints", version, ["content_id", *names])
    rows = rows.filter(pc.is_in(rows["content_id"], value_set=pc.unique(samples["content_id"])))
    known = {row["content_id"]: row for row in rows.to_pylist()}
    return {name: [known.get(one, {}).get(name) for one in samples["content_id"].to_pylist()] for name in names}


def attributes(rows: Sequence[Mapping[str, Any]], estimated: Collection[str] = ()) -> Columns:
    """The samples' own attributes, each as a column whose name a field may have: `attribute_site`.

    One that a model estimated says so: `attribute_age_estimated`.
    """
    names = sorted({name for row in rows for name, _ in row["attributes"] or ()})
    fields: dict[str, str] = {}
    for name in names:
        plain = "attribute_" + ("".join(c if c.isascii() and c.isalnum() else "_" for c in name)[:60] or "_")
        plain += "_estimated" if name in estimated else ""
        while plain in fields.values():
            plain += "_"
        fields[name] = plain
    made: Columns = {plain: [None] * len(rows) for plain in fields.values()}
    for n, row in enumerate(rows):
        for name, value in row["attributes"] or ():
            made[fields[name]][n] = value
    return made
