"""The files that FiftyOne shows: pictures where they lie, or from the lake into a folder of their own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.pictures import images_by_content
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal.console import progress
from secondlook.pipeline.core.decode import Limits, Rejected, decode
from secondlook.pipeline.core.errors import UserError

AT_ONCE = 64  # pictures held in memory while they are written
ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp"}
GB = 1_000_000_000


def files(
    lake: Lake,
    version: Version,
    rows: Sequence[Mapping[str, Any]],
    formats: Sequence[str | None],
    folder: Path,
    most_gb: float,
) -> list[str]:
    """A path for each sample's picture: where it was ingested from, if that file is unchanged, else in `folder`.

    `folder` then holds what these samples need and nothing else. What is there is not written again, so a run that was stopped goes on.
    Raises UserError, before anything is written, where it would take more than `most_gb`.
    """
    there = _where_they_lie(lake, version, rows)
    wanted: dict[str, str] = {}
    for row, format, place in zip(rows, formats, there, strict=True):
        if place is None:
            wanted[row["content_id"]] = row["content_id"] + ENDINGS.get(format or "", ".png")
    _refuse_too_much(lake, version, wanted, most_gb)
    _write(lake, version, wanted, folder)
    for stale in folder.iterdir() if folder.exists() else ():
        if stale.name not in set(wanted.values()):
            stale.unlink()
    return [place or str(folder / wanted[row["content_id"]]) for row, place in zip(rows, there, strict=True)]


def _where_they_lie(lake: Lake, version: Version, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """The file that each sample was ingested from, where it is on this machine and as it was then.

    None at all while names of classes wait for a sign-off: folders are called like classes.
    """
    if read_classes(lake, version).hidden:
        return [None] * len(rows)
    states = lake.latest("samples", version, ["sample_id", "size_bytes", "modified_us"])
    known = {row["sample_id"]: (row["size_bytes"], row["modified_us"]) for row in states.to_pylist()}
    found: list[str | None] = []
    for row in rows:
        source = row["source"] or ""
        path = os.path.join(source.removeprefix("file://"), row["key"]) if source.startswith("file://") else ""
        found.append(path if path and _state(path) == known[row["sample_id"]] and _shows(path) else None)
    return found


def _state(path: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return facts.st_size, facts.st_mtime_ns // 1000


def _shows(path: str) -> bool:
    """Whether a browser shows it under this name."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return Path(path).suffix.lower() in {*ENDINGS.values(), ".jpeg"} and path.isprintable()


def _refuse_too_much(lake: Lake, version: Version, wanted: Mapping[str, str], most_gb: float) -> None:
    sizes = lake.latest("fingerprints", version, ["content_id", "size_bytes"])
    of_them = zip(sizes["content_id"].to_pylist(), pc.fill_null(sizes["size_bytes"], 0).to_pylist(), strict=True)
    total = sum(size for content, size in of_them if content in wanted)
    if total > most_gb * GB:
        raise UserError(
            f"{len(wanted):,} pictures would take {total / GB:.1f} GB of disk, and [explore] cache_gb allows {most_gb:g}; "
            "show fewer by --limit, --rule or --split"
        )


def _write(lake: Lake, version: Version, wanted: Mapping[str, str], folder: Path) -> None:
    """Write the contents that are not there yet, each under its last name only when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = sorted(content for content, name in wanted.items() if not (folder / name).exists())
    if not missing:
        return
    with progress("pictures", len(missing)) as advance:
        for start in range(0, len(missing), AT_ONCE):
            for content, data in images_by_content(lake, version, missing[start : start + AT_ONCE]).items():
                half = folder / f"{wanted[content]}.part"
                half.write_bytes(_showable(data, wanted[content]))
                half.replace(folder / wanted[content])
                advance(1)


def _showable(data: bytes, name: str) -> bytes:
    """The bytes, or as PNG where browsers don't know the format; as they are where they can't be read."""
    if not name.endswith(".png") or data.startswith(b"\x89PNG"):
        return data
    import io

    from PIL import Image

    read = decode(data, Limits())
    if isinstance(read, Rejected):
        return data
    buffer = io.BytesIO()
    Image.fromarray(read.pixels).save(buffer, "PNG")
    return buffer.getvalue()
