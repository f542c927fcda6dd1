"""URLs under which a picture can be opened again where it is, for those who keep it by reference."""

from secondlook.jobs.sources.listing import FILE, STORED, ZIP_DEFLATED, ZIP_OTHER, ZIP_STORED
from secondlook.jobs.sources.read import Row

ARCHIVES = {STORED: "tar", ZIP_STORED: "zip", ZIP_DEFLATED: "zip", ZIP_OTHER: "zip"}


def reference(row: Row) -> str | None:
    """A URL that fsspec opens: of the file, or of a member as zip://member::URL or tar://member::URL.

    None where there is none, so that the bytes are copied: rows of Parquet files, and names that are no UTF-8 or hold
    the `::` that chains URLs.
    """
    try:
        where = row.where.decode("utf-8")
    except UnicodeDecodeError:
        return None
    url = f"file://{where}" if row.local else where
    if "::" in url or "::" in (row.member or ""):
        return None
    if row.how == FILE:
        return url
    return f"{ARCHIVES[row.how]}://{row.member}::{url}" if row.how in ARCHIVES and row.member else None
