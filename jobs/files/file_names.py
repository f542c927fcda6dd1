"""Names of files and folders that any text can be given, on any file system, without collisions."""

import hashlib
import re
from pathlib import PurePosixPath

from secondlook.jobs.sources.listing import HIDDEN, NOT_PICTURES, suffix

MAX_BYTES = 120  # of 255 that file systems allow: room for a suffix and for what makes a name unique
SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif"}
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # what Windows takes for a device
UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*%\u202a-\u202e\u2066-\u2069\ud800-\udfff]')


def safe_name(text: str) -> str:
    """A name for a file or folder that says the text; a plain text is its own name, and no two texts share one.

    What file systems, shells or readers take for something else is written as %XX, and a long text is cut and ends in its hash.

    >>> safe_name("tabby cat"), safe_name("../a"), safe_name(".git"), safe_name("nul")
    ('tabby cat', '%2E.%2Fa', '%2Egit', '%6Eul')
    """
    name = UNSAFE.sub(lambda match: _escaped(match.group()), text)
    if not name or name[0] in ".-~ " or name in HIDDEN or DEVICES.fullmatch(name):
        name = _escaped(name[0]) + name[1:] if name else "%"
    if name[-1] in ". ":  # Windows drops them
        name = name[:-1] + _escaped(name[-1])
    if len(name.encode()) > MAX_BYTES:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        name = name.encode()[: MAX_BYTES - 17].decode("utf-8", "ignore") + "%" + digest
    return name


def escaped_first(name: str) -> str:
    """The name with its first letter written as %XX, so that it is not taken for a split."""
    return _escaped(name[0]) + name[1:]


def _escaped(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))


def suffix_of(data: bytes, key: str) -> str:
    """The suffix of a picture's file: from its first bytes, else the key's if it is a plain one, else none."""
    for magic, found in SUFFIXES.items():
        if data.startswith(magic):
            return found
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    last = PurePosixPath(key).suffix.lower()
    return last if last[1:].isalnum() and last.isascii() and len(last) <= 6 and last[1:] not in NOT_PICTURES else ""


def picture_name(key: str, data: bytes) -> str:
    """A safe name for a picture's file: the end of its key, with a suffix that makes a reader take it for a picture."""
    last = key.rsplit("/", 1)[-1]
    plain = suffix(last).isalnum() and suffix(last) not in NOT_PICTURES
    return safe_name(last) if plain and len(last.encode()) <= MAX_BYTES else safe_name(last) + suffix_of(data, last)
