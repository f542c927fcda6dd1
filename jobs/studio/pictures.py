"""Pictures on their way to the labeling tool: under names that tell nothing, to who is logged in and nobody else."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from secondlook.jobs.lake.pictures import present_images
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.studio.client import Studio
from secondlook.labeling.studio import pictures as shown
from secondlook.pipeline.core.config import IngestSettings, LabelStudioSettings
from secondlook.pipeline.core.decode import Limits, Rejected
from secondlook.pipeline.core.errors import UnavailableError, UserError
from secondlook.pipeline.core.identity import content_id

FILES_AT_ONCE = 50  # Django takes 100
BYTES_AT_ONCE = 24 * 2**20
READ_AT_ONCE = 32  # pictures held in memory
TRIES = 4
MIMES = {".jpg": "image/jpeg", ".png": "image/png"}
_UPLOADED = re.compile(r"upload/\d+/[0-9a-f]{8}-(?P<name>[\w.-]+)")

File = tuple[str, bytes]  # name and content


class Place(Protocol):
    """Where pictures of a project go. `urls`: name → URL of those that are there."""

    urls: dict[str, str]

    def put(self, files: Iterable[File]) -> None:
        """Put files there, each once in effect; afterwards `urls` has them."""


class Uploads:
    """The project's uploads: the server keeps the files, and shows them to who is logged in.

    It takes them only while the project is shut: its configuration then has one variable.
    """

    def __init__(self, studio: Studio, project: int) -> None:
        self.studio, self.project = studio, project
        self.urls = self._there("all=true")

    def _there(self, query: str) -> dict[str, str]:
        listed = self.studio.get(f"/api/projects/{self.project}/file-uploads", **dict([query.split("=", 1)]))
        found = ((_UPLOADED.fullmatch(str(one["file"])), one["file"]) for one in listed)
        return {match["name"]: f"{self.studio.path}/data/{file}" for match, file in found if match}

    def put(self, files: Iterable[File]) -> None:
        """Upload what is not there, some files at a time. One that went up twice is there twice, and one of them is used."""
        for some in _portions(file for file in files if file[0] not in self.urls):
            self._upload(some)

    def _upload(self, files: dict[str, bytes]) -> None:
        left = dict(files)
        for tried in range(1, TRIES + 1):
            parts = {name: (name, data, MIMES[Path(name).suffix]) for name, data in left.items()}
            try:
                answer = self.studio.post(
                    f"/api/projects/{self.project}/import", files=parts, commit_to_project="false"
                )
                self.urls |= self._there(f"ids={answer['file_upload_ids']}")
            except UnavailableError:
                if tried == TRIES:
                    raise
                self.urls |= self._there("all=true")
            left = {name: data for name, data in left.items() if name not in self.urls}
            if not left:
                return
        raise UserError(f"Label Studio does not keep {next(iter(left))} under its name; can its uploads be written?")


class Folder:
    """A folder that the server serves as local files, through a storage of the project that is confined to it."""

    def __init__(self, studio: Studio, project: int, settings: LabelStudioSettings, name: str) -> None:
        if not settings.folder:
            raise UserError(
                '[label_studio] pictures = "folder" needs [label_studio] folder, the server\'s document root'
            )
        root = Path(settings.folder)
        if not root.is_dir():
            raise UserError(f"[label_studio] folder {root} is no folder of this machine")
        self.name, self.at = name, root / name
        self.at.mkdir(exist_ok=True)
        self.prefix = f"{studio.path}/data/local-files/?d={quote(name)}/"
        self.urls = {file.name: self.prefix + quote(file.name) for file in self.at.iterdir() if file.suffix in MIMES}
        there = str(Path(settings.folder_there or str(root.resolve())) / name)
        stores = studio.get("/api/storages/localfiles/", project=project)
        if not any(one["path"] == there for one in stores):
            facts = {"project": project, "path": there, "use_blob_urls": True, "title": "secondlook"}
            studio.post("/api/storages/localfiles/", json=facts)

    def put(self, files: Iterable[File]) -> None:
        """Write what is not there, each file whole under its name or not at all."""
        for name, data in files:
            if name not in self.urls:
                partial = self.at / f"{name}.partial"
                partial.write_bytes(data)
                partial.replace(self.at / name)
                self.urls[name] = self.prefix + quote(name)


def place(studio: Studio, project: int, settings: LabelStudioSettings, name: str) -> Place:
    """Where a project's pictures go, as the settings say; `name`: of its folder, if that is it."""
    if settings.pictures == "upload":
        return Uploads(studio, project)
    return Folder(studio, project, settings, name)


def limits(settings: IngestSettings) -> Limits:
    """What a picture may cost."""
    return Limits(settings.max_file_mb * 2**20, settings.max_pixels, settings.decode_timeout_s)


def samples(
    lake: Lake, version: Version, rows: Mapping[str, str], bounds: Limits, lost: dict[str, str]
) -> Iterator[tuple[str, bytes, str]]:
    """(sample_id, bytes, suffix) of the pictures of samples (sample_id → content_id), as annotators get them.

    What can't be read or has changed goes to `lost`: sample_id → reason.
    """
    ordered = sorted(rows.items(), key=lambda row: (row[1], row[0]))
    for start in range(0, len(ordered), READ_AT_ONCE):
        part = ordered[start : start + READ_AT_ONCE]
        found = _present(lake, version, {content for _, content in part})
        for sample, content in part:
            data = found.get(content)
            if data is None:
                lost[sample] = "not where it was kept by reference"
            elif content_id(data) != content:
                lost[sample] = "changed where it was kept by reference"
            else:
                eyes = shown.for_eyes(data, bounds)
                if isinstance(eyes, Rejected):
                    lost[sample] = eyes.reason
                else:
                    yield sample, *eyes


def _present(lake: Lake, version: Version, contents: set[str]) -> dict[str, bytes]:
    return {name: data for some in present_images(lake, version, contents, ask=True) for name, data in some}


def references(lake: Lake, version: Version, contents: Iterable[str], bounds: Limits, key: str) -> dict[str, File]:
    """Small copies of pictures, by content, under names that are a keyed hash; those that can't be read or have changed are left out."""
    made: dict[str, File] = {}
    wanted = sorted(set(contents))
    for start in range(0, len(wanted), READ_AT_ONCE):
        for content, data in _present(lake, version, {*wanted[start : start + READ_AT_ONCE]}).items():
            small = shown.reference(data, bounds)
            if content_id(data) == content and not isinstance(small, Rejected):
                made[content] = reference_name(content, key) + small[1], small[0]
    return made


def reference_name(content: str, key: str) -> str:
    """What a reference picture is called, without its suffix, in the project that has the mark `key`."""
    return f"reference-{hashlib.blake2b(content.encode(), key=key.encode()[:64], digest_size=12).hexdigest()}"


def _portions(files: Iterable[File]) -> Iterator[dict[str, bytes]]:
    some: dict[str, bytes] = {}
    size = 0
    for name, data in files:
        if some and (len(some) == FILES_AT_ONCE or size + len(data) > BYTES_AT_ONCE):
            yield some
            some, size = {}, 0
        some[name] = data
        size += len(data)
    if some:
        yield some
