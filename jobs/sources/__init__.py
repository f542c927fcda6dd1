"""Sources: where pictures come from. `listing` says what one holds without reading a picture; `read` fetches the bytes.

One file for each kind of source: `folder`, `archives` (zip, WebDataset tars), `hf_parquet`; `labels` joins a table.
"""

import dataclasses
from dataclasses import dataclass

import pyarrow as pa

from secondlook.jobs.sources import archives, folder, hf_parquet, labels
from secondlook.jobs.sources.folder import File, Place
from secondlook.jobs.sources.labels import Columns
from secondlook.jobs.sources.listing import PICTURES, Listing, Rows, suffix
from secondlook.pipeline.core.errors import UserError, unknown

__all__ = ["KINDS", "Columns", "Listing", "Source", "listing"]

KINDS = ("auto", "folder", "zip", "webdataset", "parquet")
DEFAULT_COLUMNS = Columns()
CONTAINERS = {"zip": "zip", "tar": "webdataset", "parquet": "parquet"}


@dataclass(frozen=True)
class Source:
    """What a user asks to be ingested.

    `labels` is a table of labels, `columns` its columns. `classes`: folders (or the archive's own labels) say what a
    picture shows. `limit`: at most so many of the first pictures.
    """

    url: str
    kind: str = "auto"
    labels: str | None = None
    columns: Columns = DEFAULT_COLUMNS
    classes: bool = True
    limit: int | None = None


def listing(source: Source, skip: str = "") -> Listing:
    """What the source holds; `skip` is a local folder that is none of it (the lake).

    Raises UserError where it is not there, is damaged, or holds what is not supported.
    """
    if source.kind not in KINDS:
        raise unknown("kind of source", source.kind, KINDS)
    place = Place.of(source.url)
    files = list(place.files(skip)) if place.is_folder else [place.file()]
    kind = source.kind if source.kind != "auto" else _kind(files, place)
    found = _list(kind, files, place, source)
    if not found.rows.num_rows:
        raise UserError(f"{source.url} holds no pictures ({kind}, {len(files)} files in all)")
    if source.labels is not None:
        found = labels.join(found, source.labels, source.columns)
    if source.limit is not None:
        found = dataclasses.replace(found, rows=found.rows.slice(0, source.limit))
    return found


def _kind(files: list[File], place: Place) -> str:
    """What a source is, by the suffixes of its files: pictures anywhere make it a folder of pictures."""
    suffixes = {suffix(file.key) for file in files}
    inside = [kind for ending, kind in CONTAINERS.items() if ending in suffixes]
    if place.is_folder and (suffixes & PICTURES or not inside):
        return "folder"
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise UserError(f"{place.url} holds {' and '.join(inside)} files; choose with --kind")
    if files[0].key.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")):
        raise UserError(
            f"{files[0].key} is a compressed tar, which can't be read in parallel; unpack it to a .tar first"
        )
    raise UserError(
        f"{place.url} is no source: give a folder, a .zip, a .tar (WebDataset) or a .parquet (Hugging Face)"
    )


def _list(kind: str, files: list[File], place: Place, source: Source) -> Listing:
    by_source = source.classes and (source.labels is None or source.columns.label == labels.NO_LABELS)
    if kind == "folder":
        rows = folder.rows_of(files, classes=by_source).table()
        return Listing(place.url, kind, rows, notes=_notes(rows))
    ending = next(ending for ending, name in CONTAINERS.items() if name == kind)
    table = Place.of(source.labels).file().where if source.labels else b""
    inside = [file for file in files if suffix(file.key) == ending and file.where != table]
    if not inside:
        raise UserError(f"{source.url} holds no .{ending} files, which --kind {kind} reads")
    rows = Rows()
    declared: list[str] = []
    notes: list[str] = []
    if kind == "parquet":
        own = source.columns if source.labels is None else DEFAULT_COLUMNS
        declared = hf_parquet.parquets(inside, rows, own, classes=by_source)
    else:
        read = archives.zips if kind == "zip" else archives.webdataset
        notes = read(inside, rows, folder=place.is_folder, classes=by_source)
    return Listing(place.url, kind, rows.table(), classes=tuple(declared), notes=tuple(notes))


def _notes(rows: pa.Table) -> tuple[str, ...]:
    """A folder of pictures below the source makes a class, and that may not be what was meant."""
    classes = rows["label"].unique().drop_null().to_pylist()
    if len(classes) != 1 or rows["label"].null_count:
        return ()
    return (
        f"all pictures bear one class, {classes[0]!r}, by their folder; if it is none, use --unlabeled or --labels",
    )
