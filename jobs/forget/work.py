"""The work list: what one call of `forget` is about, in a file of the lake until all of it is done.

Who is killed goes on with it without naming the pictures again. It names what is to be erased, so it is the last file to go; two
calls at once are kept apart by it.
"""

import contextlib
import dataclasses
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.errors import ConflictError

FILE = "forgetting.json"


@dataclass(frozen=True)
class Work:
    """What is to go, and by what its rest would be found.

    samples, contents: ids. keys: those of the samples; telling: those of them that can't be a part of something else; values: such values
    of `extinct`. sources: URL of a source → how many of them it still has. extinct: pairs of an
    attribute and a value that no other picture has. models: names of those that go, too. probes, vectors: first bytes of embeddings and
    pieces of the pictures' files, as hexadecimal digits. hashes: pairs of pHash and dHash. projects: where the pictures are asked for, in
    the labeling tool: see jobs/forget/studio.py. classes: that no other picture ever bore; their names stay. uploads: names of files there whose rows are being deleted.
    """

    id: str
    begun: str
    actor: str
    reason: str
    samples: tuple[str, ...]
    contents: tuple[str, ...]
    keys: tuple[str, ...]
    telling: tuple[str, ...] = ()
    sources: Mapping[str, int] = field(default_factory=dict)
    extinct: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    hashes: tuple[tuple[int, int], ...] = ()
    projects: tuple[Mapping[str, Any], ...] = ()
    uploads: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def _path(lake: Lake) -> str:
    return f"{lake.root}/{FILE}"


def unfinished(lake: Lake) -> Work | None:
    """What an earlier call began and did not end."""
    try:
        with lake.fs.open(_path(lake), "r") as stream:
            told = json.load(stream)
    except FileNotFoundError:
        return None
    tuples = {name: tuple(map(_tupled, value)) for name, value in told.items() if isinstance(value, list)}
    return Work(**told | tuples)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def begin(lake: Lake, work: Work) -> None:
    """Write the list, whole or not at all; raises ConflictError where there is one."""
    partial = _written(lake, work)
    try:
        if lake.local:
            os.link(partial, _path(lake))  # unlike a move, it fails where the name is taken
        elif lake.fs.exists(_path(lake)):
            raise FileExistsError
        else:
            lake.fs.copy(partial, _path(lake))
    except FileExistsError:
        raise ConflictError("another `forget` has begun; run this again when it has ended") from None
    finally:
        lake.fs.rm(partial)


def noted(lake: Lake, work: Work) -> None:
    """The list with more in it, in the place of the one that this call holds."""
    lake.fs.mv(_written(lake, work), _path(lake))


def _written(lake: Lake, work: Work) -> str:
    partial = f"{lake.root}/.{FILE}.{uuid.uuid4().hex}"
    with lake.fs.open(partial, "w") as stream:
        json.dump(dataclasses.asdict(work), stream, ensure_ascii=True)
    return partial


def end(lake: Lake) -> None:
    """All is done: the list goes, and what a killed call may have left of one."""
    for path in (*_partial(lake), _path(lake)):
        with contextlib.suppress(FileNotFoundError):
            lake.fs.rm(path)


def _partial(lake: Lake) -> list[str]:
    return [path for path in lake.fs.ls(lake.root, detail=False) if path.rsplit("/", 1)[-1].startswith(f".{FILE}.")]


def is_list(path: str) -> bool:
    """Whether this is the work list's own file, which goes last."""
    return path.rsplit("/", 1)[-1] == FILE


@contextlib.contextmanager
def alone(lake: Lake) -> Iterator[None]:
    """While this call works on the list, no other does: raises ConflictError where one is at it.

    The lock is the file system's, so a killed call leaves none. A lake on an object store has none at all.
    """
    if not lake.local:
        yield
        return
    import fcntl

    # Of the folder, not of the list: the list is unlinked while the lock is held.
    folder = os.open(Path(lake.root), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise ConflictError("another `forget` is at work on this lake; run this again when it has ended") from None
    try:
        yield
    finally:
        os.close(folder)
