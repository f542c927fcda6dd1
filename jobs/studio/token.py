"""The token of the labeling tool: where it may stand, and how it stays out of everything that is shown."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from secondlook.pipeline.core.errors import UserError

VARIABLE = "LABEL_STUDIO_API_KEY"


class Token:
    """A secret that shows itself only to who asks for it by name: its text is ***, in logs and errors too."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def reveal(self) -> str:
        """The secret itself, for the client of the server alone."""
        return self._secret

    def __repr__(self) -> str:
        return "Token(***)"

    def __reduce__(self) -> str:
        raise TypeError("a token is not pickled")


def read(file: str, environment: Mapping[str, str] = os.environ) -> Token:
    """The token from the environment, else from a file that only its owner may read.

    `file` is [label_studio] token_file. Raises UserError, without the token, where there is none, where others may read
    the file, or where its content can't be one.
    """
    if found := environment.get(VARIABLE, "").strip():
        return _checked(found, f"the variable {VARIABLE}")
    if not file:
        raise UserError(
            f"Label Studio needs a token: set {VARIABLE}, or name a file of mode 600 as [label_studio] token_file; "
            "Label Studio shows it under Account & Settings, Personal Access Token"
        )
    return _checked(_of_file(Path(file).expanduser()), f"the token file {file}")


def _of_file(path: Path) -> str:
    try:
        with path.open("rb") as stream:  # what is checked is what is read: the open file, not the path
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise UserError(f"the token file {path} is no file")
            if stat.S_IMODE(facts.st_mode) & 0o177:
                mode = stat.S_IMODE(facts.st_mode)
                raise UserError(f"the token file {path} has mode {mode:03o}, so others may read it; chmod 600 {path}")
            return stream.read(16_384).decode("ascii", "replace").strip()
    except OSError as problem:
        raise UserError(f"the token file {path} can't be read: {problem.strerror}") from None


def _checked(secret: str, where: str) -> Token:
    if not secret or not secret.isascii() or any(char.isspace() or not char.isprintable() for char in secret):
        raise UserError(f"{where} holds no token: one line of letters, digits and signs is expected")
    return Token(secret)
