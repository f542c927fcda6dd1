"""Checkpoints of a training, in the lake: a command that was killed goes on after its last whole epoch when run again.

They lie below `models/NAME/unfinished`, where NAME follows from all that the training depends on, one file for each fit.
A file is there whole or not at all. `gc` and `forget` sweep them as any weights that no version names.
"""

import json
import os
import uuid
from typing import TYPE_CHECKING

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from secondlook.jobs.lake.store import Lake

if TYPE_CHECKING:
    from secondlook.pipeline.learn.training.kept import Kept

FOLDER = "unfinished"


class Checkpoint:
    """The newest state of one fit: `resume=checkpoint.kept(), keep=checkpoint.keep` make `fit` go on where it was."""

    def __init__(self, fs: AbstractFileSystem, path: str) -> None:
        self.fs, self.path = fs, path

    def kept(self) -> "Kept | None":
        """What was kept last; None where nothing was, or where the file is not what it was when it was written."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        from secondlook.pipeline.learn.training.kept import Kept

        if not self.fs.exists(self.path):
            return None
        data = self.fs.cat_file(self.path)
        try:
            arrays = load(data)
        except SafetensorError:
            return None
        return Kept(arrays, json.loads(metadata(data)["facts"]))

    def keep(self, kept: "Kept") -> None:
        """Replace it, in one step: who is killed meanwhile finds the one before."""
        from safetensors.torch import save

        data = save(kept.arrays, {"facts": json.dumps(kept.facts)})
        if not isinstance(self.fs, LocalFileSystem):  # an object is there when all of it is
            self.fs.pipe_file(self.path, data)
            return
        half = f"{self.path}.{uuid.uuid4().hex}"
        with open(half, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(half, self.path)


def metadata(data: bytes) -> dict[str, str]:
    """The texts in a safetensors file: its header is JSON, after 8 bytes that tell its length."""
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + length])["__metadata__"])


class Checkpoints:
    """The checkpoints of one training, `name`: the model's, which follows from its inputs."""

    def __init__(self, lake: Lake, name: str) -> None:
        self.lake, self.name = lake, name

    def of(self, fit: str) -> Checkpoint:
        """The checkpoint of one of its fits, such as fold-3."""
        return Checkpoint(self.lake.fs, f"{self.lake.folder('models', self.name, FOLDER)}/{fit}.safetensors")

    def there(self) -> bool:
        """Whether something was kept: by a training that was interrupted, or that runs now."""
        return bool(self.lake.fs.exists(self._folder) and self.lake.fs.ls(self._folder))

    def remove(self) -> None:
        """Remove all: once the model is committed, nothing goes on from them."""
        if self.lake.fs.exists(self._folder):
            self.lake.fs.rm(self._folder, recursive=True)

    @property
    def _folder(self) -> str:
        return f"{self.lake.root}/models/{self.name}/{FOLDER}"
