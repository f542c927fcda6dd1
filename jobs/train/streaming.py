"""The lake's pictures for nets whose pictures fit in no memory: row groups are read whole, and decoded while a net is busy."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from secondlook.jobs.lake.pictures import read_reference
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal import console
from secondlook.jobs.train import features
from secondlook.pipeline.core.config import IngestSettings

if TYPE_CHECKING:
    from secondlook.pipeline.learn.sources import FromParts

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class RowGroups:
    """The lake's image files as parts: `sizes`, pictures in each row group; `row_of` (N,): where each content lies, -1: nowhere."""

    def __init__(self, lake: Lake, version: Version, content_ids: Sequence[str]) -> None:
        self.lake = lake
        sizes: list[int] = []
        self.row_of = np.full(len(content_ids), -1, np.int64)
        self._groups: list[tuple[str, int, Flags]] = []
        wanted, start = pa.array(content_ids, pa.string()), 0
        for file in lake.files("images", version):
            with lake.fs.open(lake.strip(file), "rb") as stream:
                reader = pq.ParquetFile(stream)
                for group in range(reader.num_row_groups):
                    ids = reader.read_row_group(group, ["content_id"])["content_id"]
                    number = pc.fill_null(pc.index_in(ids, value_set=wanted), -1).to_numpy().astype(np.int64)
                    new = number >= 0
                    new[new] = self.row_of[number[new]] < 0
                    self.row_of[number[new]] = start + np.flatnonzero(new)
                    self._groups.append((file, group, new))
                    sizes.append(len(ids))
                    start += len(ids)
        self.sizes: Sequence[int] = sizes

    def read(self, part: int) -> list[bytes]:
        """The pictures of a row group that are wanted, and nothing for the others."""
        file, group, wanted = self._groups[part]
        with self.lake.fs.open(self.lake.strip(file), "rb") as stream:
            images = pq.ParquetFile(stream).read_row_group(group, ["image"])["image"]
        return [_bytes_of(image.as_py()) if want else b"" for image, want in zip(images, wanted, strict=True)]


def _bytes_of(image: dict[str, Any]) -> bytes:
    held: bytes | None = image["bytes"]
    return held if held is not None else read_reference(image["path"])


def source(
    lake: Lake, version: Version, content_ids: Sequence[str], side_px: int, settings: IngestSettings, threads: int
) -> tuple["FromParts", Flags]:
    """The contents as a stream, and (N,) which could be read: all are decoded once to know, and none is kept."""
    from secondlook.pipeline.core.decode import Rejected
    from secondlook.pipeline.learn.batches import read
    from secondlook.pipeline.learn.sources import FromParts

    groups, limits = RowGroups(lake, version, content_ids), features.limits(settings)
    nothing = np.zeros((side_px, side_px, 3), np.uint8)

    def decode(data: bytes) -> npt.NDArray[np.uint8]:
        outcome = read(data, side_px, limits)
        return nothing if isinstance(outcome, Rejected) else outcome

    readable, there = np.zeros(len(content_ids), np.bool_), np.flatnonzero(groups.row_of >= 0)
    made = FromParts(groups, decode, groups.row_of, threads)
    checked = FromParts(groups, lambda data: np.array(decode(data) is not nothing, np.uint8), groups.row_of, threads)
    with console.progress("checking pictures", len(there)) as advance:
        for places, is_good in checked.blocks(there):
            readable[there[places]] = is_good
            advance(len(places))
    return made, readable
