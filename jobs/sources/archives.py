"""Pictures inside archives: zip with class folders, and tars in the layout of WebDataset.

Members are listed by where their bytes lie, so that a worker reads them in place, without the archive's directory.
"""

import calendar
import contextlib
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from secondlook.jobs.sources.folder import File, opened
from secondlook.jobs.sources.listing import (
    SPLITS,
    STORED,
    ZIP_DEFLATED,
    ZIP_OTHER,
    ZIP_STORED,
    Rows,
    as_text,
    is_found,
    is_hidden,
    place,
    suffix,
)
from secondlook.pipeline.core.errors import UserError

ZIP_HOW = {zipfile.ZIP_STORED: ZIP_STORED, zipfile.ZIP_DEFLATED: ZIP_DEFLATED}
ENCRYPTED = 0x1  # bit of a member's flags
COMPANIONS = ("cls", "txt", "json")  # what tells of the picture of the same name, in a WebDataset
COMPANION_BYTES = 2**20  # a label or a caption, not a book
LABELS_IN_JSON = ("label", "cls", "class", "class_name", "target", "category")
UNSUPPORTED_IN_JSON = ("labels", "bbox", "bboxes", "boxes", "objects", "annotations", "segmentation", "mask", "masks")


def zips(files: Sequence[File], rows: Rows, *, folder: bool, classes: bool) -> list[str]:
    """A row for every picture in these zip archives; `folder`: they lie in one, and its keys begin with their names.

    Returns notes for people. Raises UserError where an archive is damaged.
    """
    notes = []
    for file in files:
        prefix, above = _prefix(file, folder=folder)
        try:
            with opened(file.where) as stream, zipfile.ZipFile(stream) as archive:
                members = [info for info in archive.infolist() if not info.is_dir() and _visible(info.filename)]
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as problem:
            raise UserError(f"{file.key} can't be read as a zip archive: {problem}") from None
        folders = [_parts(info.filename)[:-1] for info in members]
        wrap = _wrapping(folders)
        if wrap:
            notes.append(f"{file.key}: the folder {wrap!r} holds the whole archive and is not taken for a class")
        for info, inside in zip(members, folders, strict=True):
            split, label = place([*above, *(inside[1:] if wrap else inside)])
            name = as_text("/".join(_parts(info.filename)))
            rows.add(
                prefix + name,
                file.where,
                how=ZIP_OTHER if info.flag_bits & ENCRYPTED else ZIP_HOW.get(info.compress_type, ZIP_OTHER),
                member=as_text(info.filename),
                offset=info.header_offset,
                length=info.compress_size,
                size_bytes=info.file_size,
                modified_us=_zip_time_us(info),
                split=split,
                label=label if classes else None,
            )
    return notes


def _parts(name: str) -> list[str]:
    """The folders and the name of a member; `..` leads nowhere, as nothing is unpacked."""
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _visible(name: str) -> bool:
    parts = _parts(name)
    return bool(parts) and not is_hidden(parts) and is_found(parts[-1])


def _prefix(file: File, *, folder: bool) -> tuple[str, list[str]]:
    """What the keys of an archive's members begin with, and the split that the archive's name says, as a folder."""
    stem = str(PurePosixPath(file.key).with_suffix(""))
    word = PurePosixPath(stem).name.lower().replace("_", "-").split("-")[0]
    return f"{stem}/" if folder else "", [word] if word in SPLITS else []


def _wrapping(folders: Sequence[Sequence[str]]) -> str:
    """The one folder that wraps all of an archive, as archives of a folder have it; it must hold folders itself."""
    tops = {inside[0] if inside else "" for inside in folders}
    if len(tops) != 1 or any(len(inside) < 2 for inside in folders):
        return ""
    top = tops.pop()
    return top if top.lower() not in SPLITS and len({inside[1] for inside in folders}) > 1 else ""


def _zip_time_us(info: zipfile.ZipInfo) -> int:
    """The member's time; zip keeps two seconds, so its checksum tells changes in the microseconds."""
    with contextlib.suppress(ValueError):
        return calendar.timegm((*info.date_time, 0, 0, 0)) * 1_000_000 + info.CRC % 1_000_000
    return info.CRC % 1_000_000


@dataclass(frozen=True)
class Member:
    """A file in a tar; `text` is what is in it where it is no picture."""

    info: tarfile.TarInfo
    text: str | None

    @property
    def name(self) -> str:
        """Its path in the tar."""
        return self.info.name


def webdataset(files: Sequence[File], rows: Rows, *, folder: bool, classes: bool) -> list[str]:
    """A row for every picture in these tars; members of one name before its first dot belong together.

    The label is in name.cls, in name.json (`label`, `cls`, `class` …) or else in name.txt; other plain values of the
    JSON are attributes. Raises UserError where a tar is damaged, or has boxes, masks or several labels.
    """
    for file in files:
        prefix, above = _prefix(file, folder=folder)
        for group in _groups(file):
            pictures = [member for member in group if member.text is None]
            beside = {suffix(member.name): member for member in group if member.text is not None}
            label, attributes = _told(file.key, beside) if pictures else (None, None)
            for member in pictures:
                split, by_folder = place([*above, *_parts(member.name)[:-1]])
                given = label if label is not None else by_folder
                rows.add(
                    prefix + as_text("/".join(_parts(member.name))),
                    file.where,
                    how=STORED,
                    member=as_text(member.name),
                    offset=member.info.offset_data,
                    length=member.info.size,
                    size_bytes=member.info.size,
                    modified_us=max(int(member.info.mtime * 1_000_000), file.modified_us),
                    split=split,
                    label=given if classes else None,
                    attributes=attributes,
                )
    return []


def _groups(file: File) -> Iterator[list[Member]]:
    """Members that lie next to each other and share their name up to its first dot."""
    group: list[Member] = []
    base = ""
    try:
        with opened(file.where) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for info in archive:
                if not info.isreg() or is_hidden(_parts(info.name)):
                    continue
                folder, _, name = info.name.rpartition("/")
                mine = f"{folder}/{name.split('.', 1)[0]}"
                if group and mine != base:
                    yield group
                    group = []
                base = mine
                group.append(Member(info, None if _is_picture(name) else _text(archive, info)))
    except (tarfile.TarError, EOFError) as problem:
        raise UserError(f"{file.key} can't be read as a tar archive: {problem}") from None
    if group:
        yield group


def _is_picture(name: str) -> bool:
    return suffix(name) not in COMPANIONS and is_found(name)


def _text(archive: tarfile.TarFile, info: tarfile.TarInfo) -> str:
    """What a label or a caption says; "" where it is too long to be one."""
    stream = archive.extractfile(info) if info.size <= COMPANION_BYTES and suffix(info.name) in COMPANIONS else None
    return stream.read().decode("utf-8", "replace") if stream else ""


def _told(archive: str, beside: Mapping[str, Member]) -> tuple[str | None, dict[str, str] | None]:
    """Label and attributes that the files beside a picture tell."""
    facts = _facts(archive, beside["json"]) if "json" in beside else {}
    named = next((name for name in LABELS_IN_JSON if facts.get(name) is not None), "")
    told = {name: as_words(value) for name, value in facts.items() if isinstance(value, str | int | float)}
    label = told.pop(named, None)
    for kind in ("txt", "cls"):
        if kind in beside and (kind == "cls" or label is None):
            label = beside[kind].text
    return label, told or None


def _facts(archive: str, member: Member) -> dict[str, Any]:
    try:
        facts = json.loads(member.text or "")
    except ValueError:
        raise UserError(f"{member.name} in {archive} is no JSON") from None
    if not isinstance(facts, dict):
        return {}
    for name in (*UNSUPPORTED_IN_JSON, *LABELS_IN_JSON):
        if isinstance(facts.get(name), list | dict):
            raise UserError(
                f"{member.name} in {archive} has {name} of several values; several labels for an image, boxes and "
                "masks are not supported yet"
            )
    return facts


def as_words(value: str | float) -> str:
    """A plain value of JSON as text.

    >>> as_words("a"), as_words(3), as_words(True)
    ('a', '3', 'true')
    """
    return value if isinstance(value, str) else json.dumps(value)
