"""Who is who: a sample is a place in a source, a content is its bytes. See docs/decisions/0002-identity.md."""

import hashlib

ID_BYTES = 16  # 128 bits: among 10 billion items the chance that any two collide is below 2e-19


def content_id(data: bytes) -> str:
    """Identity of bytes: 32 hexadecimal digits of BLAKE2b, so that equal ids mean equal pictures even if forged.

    >>> content_id(b"")
    'cae66941d9efbd404e4d88758ea67670'
    """
    return hashlib.blake2b(data, digest_size=ID_BYTES).hexdigest()


def sample_id(dataset: str, key: str) -> str:
    """Identity of a place in a source: the dataset's name and the key in it (a path, or a row's key)."""
    return hashlib.blake2b(f"{dataset}\0{key}".encode(), digest_size=ID_BYTES).hexdigest()
