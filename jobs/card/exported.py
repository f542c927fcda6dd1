"""What an export left in a folder, as a card describes it: looked up in the folder, not remembered."""

import glob
import hashlib
import json
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from secondlook.jobs.sources import labels
from secondlook.pipeline.report.card.croissant import Exported

TABLE = "labels.parquet"
LISTED = "labels.csv"
OURS = frozenset({"image", "label", "split", "file"})
MEDIA = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}


def typed(folder: Path) -> None:
    """Write the rows of an export's labels.csv once more as Parquet: there, no reader takes a class `007` for the number 7."""
    rows = labels.read(str(folder / LISTED))
    columns = {
        name: pc.if_else(pc.equal(rows[name], ""), None, rows[name]).cast(pa.string()) for name in rows.column_names
    }
    pq.write_table(pa.table(columns), folder / TABLE, compression="zstd")


def look(folder: Path) -> Exported | None:
    """What the export in a folder is; None where there is none that a card can describe."""
    parts = sorted((folder / "data").glob("*.parquet"))
    if parts:
        return _parquet(pq.read_schema(parts[0]))
    return _folders(folder) if (folder / TABLE).is_file() else None


def splits(folder: Path) -> dict[str, str]:
    """Split → pattern of its Parquet files in the export of a folder: what a dataset hub reads it by."""
    names = sorted({path.name.rsplit("-", 3)[0] for path in (folder / "data").glob("*-*-of-*.parquet")})
    return {name: f"data/{name}-*" for name in names}


def _parquet(schema: pa.Schema) -> Exported:
    told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    label = told.get("info", {}).get("features", {}).get("label", {})
    return Exported(
        "parquet",
        columns=tuple(name for name in schema.names if name not in OURS),
        classes=tuple(label.get("names", ())),
        split_column="split" if "split" in schema.names else "",
    )


def _folders(folder: Path) -> Exported:
    table = folder / TABLE
    rows = pq.read_table(table, columns=["file"])["file"].to_pylist()
    endings = sorted({PurePosixPath(name).suffix for name in rows} - {""})
    return Exported(
        "folders",
        columns=tuple(name for name in pq.read_schema(table).names if name not in OURS),
        endings={glob.escape(one): MEDIA.get(one.lower(), f"image/{one[1:].lower()}") for one in endings},
        plain=tuple(glob.escape(name) for name in rows if not PurePosixPath(name).suffix),
        table=TABLE,
        sha256=hashlib.sha256(table.read_bytes()).hexdigest(),
    )
