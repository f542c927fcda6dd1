"""What a picture is called where annotators can see it, and how a task that somebody changed is told: both by the lake's secret.

A sample's own id is a plain hash of its place in the source. Who guesses that place (class folders with numbered files, a public
dataset) would know the picture by its id, and its given label with it. A *ticket* is keyed, and differs from batch to
batch. In some tools, annotators may edit tasks: a *seal* over all that a task says makes another picture, or another
class behind a choice, visible.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import Any

SEAL = "seal"  # the field of a task's data that holds it


def ticket(secret: bytes, batch: str, sample_id: str) -> str:
    """16 hexadecimal digits that name a sample in a batch, and tell nothing to who does not have the secret."""
    return _keyed(secret, "ticket", f"{batch}\0{sample_id}", 8)


def tickets(secret: bytes, batch: str, sample_ids: Iterable[str]) -> dict[str, str]:
    """The ticket of each sample that a batch asks for, by sample_id."""
    return {sample_id: ticket(secret, batch, sample_id) for sample_id in sample_ids}


def sealed(secret: bytes, data: Mapping[str, Any]) -> dict[str, Any]:
    """A task's data with the seal over all of them."""
    return {**data, SEAL: _seal(secret, data)}


def unbroken(secret: bytes, data: Mapping[str, Any]) -> bool:
    """Whether a task's data are as they were sealed: nothing changed, nothing added, nothing gone."""
    held = data.get(SEAL)
    plain = {name: value for name, value in data.items() if name != SEAL}
    return isinstance(held, str) and held.isascii() and hmac.compare_digest(held, _seal(secret, plain))


def _seal(secret: bytes, data: Mapping[str, Any]) -> str:
    return _keyed(secret, "seal", json.dumps(data, sort_keys=True, default=repr), 16)


def _keyed(secret: bytes, purpose: str, text: str, size: int) -> str:
    return hashlib.blake2b(text.encode(), key=secret, digest_size=size, person=purpose.encode()).hexdigest()
