"""Answers that come as a file."""

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.people.pausing import after_pull
from secondlook.jobs.review.take import take
from secondlook.jobs.terminal.console import say
from secondlook.labeling import answers as answers_file
from secondlook.labeling.answers import Keys
from secondlook.labeling.tickets import ticket
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError


def run_pull(
    lake: Lake,
    settings: Settings,
    file: Path,
    *,
    batch: str | None = None,
    new_classes: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Answers of a file become annotations; the same file twice adds nothing.

    Without `batch`, an answer belongs to the newest batch that was pushed and asked for its picture, or, where none did,
    to a batch named after the file. Returns answers, added, changed, known, batches, the version (None where nothing is new), and
    who was paused as the gold questions among them came out.
    """
    try:
        data = file.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as problem:
        raise UserError(f"{file} can't be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise UserError(f"{file} can't be read as UTF-8 text: {problem}") from None
    version = lake.at()
    inputs = {"file": hashlib.blake2b(data, digest_size=16).hexdigest(), "batch": batch or ""}
    done = lake.find("review pull", inputs)
    if done:
        say(f"{file} was pulled before, as version {done.id}; nothing to do")
        return {"answers": done.summary["answers"], "added": 0, "changed": 0, "known": done.summary["answers"]} | {
            "batches": [],
            "version": None,
            "paused": after_pull(lake, settings, now),
        }
    samples = lake.latest("samples", version, ["sample_id", "key"])
    asked = lake.latest("batches", version)
    keys = Keys(samples["key"].to_pylist(), samples["sample_id"].to_pylist(), _tickets(lake, asked))
    allowed = set(dataset.class_names(lake, version))
    allowed.update(pc.unique(pc.list_flatten(asked["choices"])).to_pylist())
    classes = read_classes(lake, version)
    allowed = {name for name in {*allowed, *classes.listed.numbers} if classes.concern(name) is None}
    with classes.complaining():
        found = answers_file.read(io.StringIO(text, newline=""), str(file), keys, allowed, new_classes=new_classes)
    when = now or datetime.now(UTC)
    summary = take(lake, version, found, batch=batch, outside=file.stem, inputs=inputs, now=when, asked=asked)
    return summary | {"paused": after_pull(lake, settings, when)}


def _tickets(lake: Lake, asked: pa.Table) -> dict[str, str]:
    """What pictures are called in the queues of all batches: ticket → sample_id."""
    secret = lake.versions.secret()
    both = zip(asked["batch"].to_pylist(), asked["sample_id"].to_pylist(), strict=True)
    return {ticket(secret, batch, sample_id): sample_id for batch, sample_id in both}
