"""Webhooks: what the tool sends when somebody answers, and how we know that it was the tool.

A webhook only says "look at project N", by the path that it is sent to; it carries nothing of what was answered, and nothing is
taken from it. A shared secret in a header tells it from what anybody could send. In Label Studio's community edition whoever
is logged in can read the headers of webhooks, so the secret keeps strangers out and not annotators: all that it opens is a pull.
"""

import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from secondlook.jobs.studio.client import Studio
from secondlook.pipeline.core.errors import UserError

VARIABLE = "SECONDLOOK_WEBHOOK_SECRET"
HEADER = "X-Secondlook-Secret"
ACTIONS = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "TASKS_DELETED")
SHORTEST = 16  # letters of a secret
_PATH = re.compile(r"/projects/(?P<project>[1-9][0-9]{0,17})")


def secret(file: Path) -> str:
    """The shared secret: from the environment, else from a file of mode 600, which is made where there is none.

    Raises UserError, without the secret, where it is too short or others may read the file.
    """
    found = os.environ.get(VARIABLE, "").strip() or _kept(file)
    if len(found) < SHORTEST or not found.isascii() or not found.isprintable():
        raise UserError(
            f"the webhook secret ({VARIABLE}, or {file}) needs at least {SHORTEST} letters, digits and signs"
        )
    return found


def _kept(file: Path) -> str:
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    except OSError as problem:
        raise UserError(f"the webhook secret can't be kept in {file}: {problem.strerror}") from None
    else:
        with os.fdopen(made, "w", encoding="ascii") as stream:
            stream.write(secrets.token_urlsafe(32) + "\n")
    with file.open("rb") as stream:  # what is checked is what is read
        mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        if mode & 0o177:
            raise UserError(
                f"the webhook secret in {file} has mode {mode:03o}, so others may read it; chmod 600 {file}"
            )
        return stream.read(4096).decode("ascii", "replace").strip()


def project_of(path: str, given: str | None, wanted: str) -> int | None:
    """The project that a request speaks of; None where its path or its secret is not ours. Takes the same time for any secret."""
    known = hmac.compare_digest((given or "").encode("utf-8", "replace"), wanted.encode())
    match = _PATH.fullmatch(path)
    return int(match["project"]) if match and known else None


def register(studio: Studio, address: str, project: int, wanted: str) -> int:
    """Ask the tool to call `address` when somebody answers in a project; the webhook's number. Twice is as once.

    Webhooks with our secret and another address are of a receiver that died: annotators would wait for it at each answer, so they go.
    """
    facts = {
        "url": f"{address}/projects/{project}",
        "project": project,
        "send_payload": False,
        "send_for_all_actions": False,
        "actions": list(ACTIONS),
        "headers": {HEADER: wanted},
        "is_active": True,
    }
    of_it = [one for one in studio.get("/api/webhooks/") if one["project"] == project]
    there = [one for one in of_it if one["url"] == facts["url"]]
    dead = [one for one in of_it if one["headers"] == facts["headers"] and one not in there]
    for one in [*there[1:], *dead]:
        remove(studio, one["id"])
    if not there:
        return int(studio.post("/api/webhooks/", json=facts)["id"])
    number = int(there[0]["id"])
    if {**there[0], "actions": sorted(there[0]["actions"])} != {**there[0], **facts, "actions": sorted(ACTIONS)}:
        studio.patch(f"/api/webhooks/{number}/", json={n: v for n, v in facts.items() if n != "project"})
    return number


def remove(studio: Studio, number: int) -> None:
    """Take a webhook back; fine where it is gone."""
    studio.delete(f"/api/webhooks/{number}/")
