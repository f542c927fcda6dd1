"""Files for people, outside the lake: whole under their final name, or not there at all."""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from secondlook.pipeline.core.errors import UserError

URL = re.compile(r"[a-z][a-z0-9+.-]+:/")  # a Path has one slash where the URL had two


def refuse_taken(target: Path) -> None:
    """Raise UserError where the target is a file, a folder with something in it, or a URL."""
    if URL.match(str(target)):
        raise UserError(f"{target} is a URL; give a path of this machine")
    if target.is_dir() and any(target.iterdir()):
        raise UserError(f"{target} is not empty; choose a new folder")
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is there already; choose a new name")


@contextlib.contextmanager
def landing(target: Path) -> Iterator[Path]:
    """A path beside the target to write a file or a folder to; it gets the target's name when all went well.

    After a failure nothing is left; after a kill, a hidden file or folder `.NAME.partial-…` that can be deleted.
    """
    refuse_taken(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".{target.name}.partial-{uuid.uuid4().hex[:8]}"
    try:
        yield partial
        if target.is_dir():
            target.rmdir()  # empty: refused otherwise
        os.replace(partial, target)
    except OSError as problem:
        raise UserError(f"{target} can't be written: {problem.strerror or problem}") from problem
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)
