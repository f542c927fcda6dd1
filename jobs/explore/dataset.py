"""The lake's samples as a dataset of FiftyOne: made once, brought up to date in place by each later run.

What people add there stays: tags that are not ours, fields that are not ours, saved views that are not ours.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from secondlook.jobs.explore.slices import Columns, Facts, attributes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal.console import progress

KEY = "lake_id"  # the field that holds a sample_id; the name sample_id is FiftyOne's own in its views
OURS = re.compile(r"SL\d{3}")  # tags that lint sets
OF_RULES = re.compile(r"SL\d{3}_(score|message)|attribute_.*")
TAGS = ("relabel", "keep", "drop")  # that mean something when they come back
AT_ONCE = 1_000
FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp", "BMP": "image/bmp"}
LABELS = ("given", "label", "prediction")
PLAIN = (
    "key",
    "split",
    "content_id",
    "copies",
    "label_source",
    "label_batch",
    "label_actor",
    "p_error",
    "batches",
    "answers",
    "disputed",
)


def name_of(lake: Lake, as_of: str | int | None = None) -> str:
    """The name of a lake's dataset: the folder's, and enough of a hash that two lakes never share one."""
    folder = re.sub(r"[^A-Za-z0-9_-]+", "-", lake.root.rstrip("/").rsplit("/", 1)[-1]).strip("-")[:40] or "lake"
    name = f"secondlook-{folder}-{hashlib.blake2b(lake.url.encode(), digest_size=3).hexdigest()}"
    return name if as_of is None else f"{name}-at-{as_of}"


def build(
    fo: Any,
    name: str,
    lake: Lake,
    version: Version,
    facts: Facts,
    files: Sequence[str],
    estimated: Collection[str] = (),
) -> tuple[Any, dict[str, int]]:
    """Make the dataset, or bring it up to date; returns it, and how many samples were added, updated and removed.

    `files`: a path for each sample. `estimated`: attributes that a model estimated. A sample that left the slice stays where it has a tag of TAGS that was not pulled yet.
    """
    dataset = fo.load_dataset(name) if fo.dataset_exists(name) else fo.Dataset(name, persistent=True)
    place = {row["sample_id"]: n for n, row in enumerate(facts.rows)}
    counts = _members(fo, dataset, place, files)
    here = dataset.match(fo.ViewField(KEY).is_in(list(place))) if counts["kept"] else dataset
    ids, tags = here.values([KEY, "tags"])
    order = [place[one] for one in ids]
    _declare(fo, dataset)
    columns = facts.columns | {
        f"{code}_{what}": values for code in facts.rules for what, values in _of_rule(facts, code)
    }
    columns |= attributes(facts.rows, estimated)
    stale = [field for field in dataset.get_field_schema() if OF_RULES.fullmatch(field) and field not in columns]
    if stale:
        dataset.delete_sample_fields(stale)
    writes: list[tuple[str, Callable[[], list[Any]]]] = [("filepath", lambda: [files[n] for n in order])]
    writes += [
        (field, _plain(columns[field], order)) for field in columns if field in PLAIN or OF_RULES.fullmatch(field)
    ]
    writes += [(field, _labels(fo, columns, field, order)) for field in LABELS]
    writes.append(("metadata", lambda: [_metadata(fo, columns, n) for n in order]))
    writes.append(("tags", lambda: [_tags(old, facts.found[n]) for old, n in zip(tags, order, strict=True)]))
    with progress("fields", len(writes), "fields") as advance:
        for field, values in writes:
            made = values()
            if any(value is not None for value in made) or dataset.has_sample_field(field):
                here.set_values(field, made)
            advance(1)
    dataset.info["secondlook"] = {"lake": lake.url, "version": version.id}
    dataset.save()
    return dataset, counts


def _members(fo: Any, dataset: Any, place: Mapping[str, int], files: Sequence[str]) -> dict[str, int]:
    """The dataset gets the samples that are not there yet, and loses those that left the slice."""
    if not dataset.has_sample_field(KEY):
        dataset.add_sample_field(KEY, fo.StringField)
        dataset.create_index(KEY, unique=True)
    known, tags, ids = dataset.values([KEY, "tags", "id"])
    left = [(one, marks) for lake_id, marks, one in zip(known, tags, ids, strict=True) if lake_id not in place]
    gone = [one for one, marks in left if not pulls(marks)]
    dataset.delete_samples(gone)
    there = set(known)
    new = [lake_id for lake_id in place if lake_id not in there]
    with progress("samples", len(new)) as advance:
        for start in range(0, len(new), AT_ONCE):
            some = new[start : start + AT_ONCE]
            dataset.add_samples([fo.Sample(files[place[one]], **{KEY: one}) for one in some], progress=False)
            advance(len(some))
    updated = len(place) - len(new)
    return {"added": len(new), "updated": updated, "removed": len(gone), "kept": len(left) - len(gone)}


def pulls(tags: Sequence[str] | None) -> list[str]:
    """Those of a sample's tags that mean something to `explore --pull`."""
    return [tag for tag in tags or () if tag in TAGS or tag.startswith("label:")]


def _declare(fo: Any, dataset: Any) -> None:
    """Fields that are there even where no sample has a value, so that the sidebar is the same for each lake."""
    texts = ("key", "split", "content_id", "label_source", "label_batch", "label_actor")
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {name: (fo.StringField, {}) for name in texts}
    kinds |= {"copies": (fo.IntField, {}), "p_error": (fo.FloatField, {}), "disputed": (fo.BooleanField, {})}
    kinds |= {name: (fo.ListField, {"subfield": fo.StringField}) for name in ("batches", "answers")}
    kinds |= {name: (fo.EmbeddedDocumentField, {"embedded_doc_type": fo.Classification}) for name in LABELS}
    for name, (kind, options) in kinds.items():
        if not dataset.has_sample_field(name):
            dataset.add_sample_field(name, kind, **options)


def _of_rule(facts: Facts, code: str) -> list[tuple[str, list[Any]]]:
    found = [one.get(code) for one in facts.found]
    return [("score", [one and one[0] for one in found]), ("message", [one and text(one[1]) for one in found])]


def text(value: Any) -> Any:
    """A value that the database takes: names of files may hold what is no Unicode."""
    if isinstance(value, list):
        return [text(one) for one in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _plain(values: Sequence[Any], order: Sequence[int]) -> Callable[[], list[Any]]:
    return lambda: [text(values[n]) for n in order]


def _labels(fo: Any, columns: Columns, field: str, order: Sequence[int]) -> Callable[[], list[Any]]:
    """Labels of the kind that FiftyOne draws on pictures and evaluates; of a prediction with its confidence."""
    confidence = columns["confidence"] if field == "prediction" else [None] * len(columns[field])
    return lambda: [
        fo.Classification(label=text(columns[field][n]), confidence=confidence[n])
        if columns[field][n] is not None
        else None
        for n in order
    ]


def _metadata(fo: Any, columns: Columns, n: int) -> Any:
    width, height, size, format = (columns[name][n] for name in ("width", "height", "size_bytes", "format"))
    return fo.ImageMetadata(width=width, height=height, size_bytes=size, mime_type=FORMATS.get(format))


def _tags(old: Sequence[str] | None, found: Mapping[str, Any]) -> list[str]:
    """What people tagged, and the rules of now."""
    return [tag for tag in old or () if not OURS.fullmatch(tag)] + sorted(found)
