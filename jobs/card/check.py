"""Whether a Croissant document is one, as the library of its makers says."""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from secondlook.pipeline.core.errors import UserError


def issues(file: Path) -> list[str]:
    """What `mlcroissant` has against a document, its warnings too; empty where it is valid.

    Raises UserError where the file can't be read or is nothing that it could check.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no file {file}") from None
    except (OSError, ValueError) as problem:
        raise UserError(f"{file} can't be read as JSON: {problem}") from None
    if not isinstance(document, dict):
        raise UserError(f"{file} is no Croissant document: that is a JSON object")
    with _quiet():
        import mlcroissant

        try:
            read = mlcroissant.Dataset(jsonld=str(file))
        except mlcroissant.ValidationError as problem:
            return _lines(str(problem))
        except Exception as problem:  # noqa: BLE001 - of documents that are nothing like one, the library says anything
            said = str(problem).split("\n", maxsplit=1)[0] or type(problem).__name__
            raise UserError(f"{file} can't be read as Croissant: {said}") from None
    found: Any = read.metadata.ctx.issues
    return sorted(found.errors) + sorted(found.warnings)


def _lines(report: str) -> list[str]:
    """The issues in a report of mlcroissant, which has a heading before each kind of them."""
    return [line.strip().removeprefix("-").strip() for line in report.splitlines() if line.strip().startswith("-")] or [
        report
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the libraries below log and warn of: their own deprecations."""
    log = logging.getLogger("absl")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
