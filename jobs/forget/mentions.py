"""Texts that speak of a picture, by its key or an id; and the same texts without."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from secondlook.jobs.forget.search import Needles

STRUCK = "(forgotten)"
WORD = 8  # a key of fewer letters and digits, and nothing else, may be any word: it counts in quotes alone
_BEFORE = re.compile(rb"[\w./-]\Z")  # a key counts where it stands by itself: 1.png is not in 11.png
_AFTER = re.compile(rb"[\w/-]|[.](?=[^\s])")


class Mentions:
    """What keys and ids look like in texts, plain or JSON.

    An id counts wherever it stands, and so does a key of `telling`: one that nothing else has a part of.
    """

    def __init__(self, ids: Iterable[str], keys: Iterable[str], telling: Iterable[str] = ()) -> None:
        self.keys = frozenset(keys) - {""}
        spelled = {way for key in self.keys if not _any_word(key) for way in spellings(key)}
        quoted = {f'"{key}"'.encode() for key in self.keys if _any_word(key)}
        sure = {way for key in telling for way in spellings(key)}
        self._quoted = frozenset(quoted)
        self._anywhere = frozenset(one.encode() for one in (*ids, *sure)) | self._quoted
        self._needles = Needles([*self._anywhere, *(one.encode() for one in spelled)])

    def among(self, texts: pa.ChunkedArray) -> pa.Array:
        """Which texts (N,) speak of one: booleans, false for null."""
        speaks = np.zeros(len(texts), bool)
        flat = pa.concat_arrays(texts.cast(pa.large_string()).chunks or [pa.array([], pa.large_string())])
        _, ends, data = flat.buffers()
        if self._needles and data is not None and len(flat):
            bounds = np.frombuffer(ends, np.int64)[flat.offset : flat.offset + len(flat) + 1]
            view = memoryview(data)[bounds[0] : bounds[-1]]
            bounds = bounds - bounds[0]
            for place, one in self._needles.hits(view):
                row = int(np.searchsorted(bounds, place, "right")) - 1
                if not speaks[row] and place + len(one) <= bounds[row + 1]:
                    speaks[row] = self._counts(
                        bytes(view[bounds[row] : bounds[row + 1]]), place - int(bounds[row]), one
                    )
        return pa.array(speaks)

    def without(self, text: str) -> str:
        """A text, plain or JSON, with what it names struck out."""
        try:
            told = json.loads(text)
        except ValueError:
            return self._struck(text)
        return json.dumps(self.told(told), ensure_ascii=False) if isinstance(told, dict | list) else self._struck(text)

    def told(self, value: Any) -> Any:
        """A JSON value without what it names: from lists such elements go, elsewhere they are struck out."""
        if isinstance(value, str):
            return STRUCK if value in self.keys else self._struck(value)
        if isinstance(value, Mapping):
            return {self.told(name): self.told(one) for name, one in value.items()}
        if isinstance(value, list):
            return [one for one in map(self.told, value) if one != STRUCK]
        return value

    def _struck(self, text: str) -> str:
        data = text.encode()
        hits = [(place, one) for place, one in self._needles.hits(data) if self._counts(data, place, one)]
        spans = [(place + (q := one in self._quoted), place + len(one) - q) for place, one in hits]  # quotes stay
        made, at = b"", 0
        for start, end in sorted(spans):
            if start >= at:
                made += data[at:start] + STRUCK.encode()
            at = max(at, end)
        return (made + data[at:]).decode()

    def _counts(self, data: bytes, place: int, one: bytes) -> bool:
        if one in self._anywhere:
            return True
        return not (_BEFORE.search(data[max(place - 1, 0) : place]) or _AFTER.match(data, place + len(one)))


def _any_word(key: str) -> bool:
    return len(key) < WORD and key.isalnum()


def spellings(key: str) -> set[str]:
    """A key as texts and JSON spell it."""
    return {key, repr(key)[1:-1], *(json.dumps(key, ensure_ascii=ascii)[1:-1] for ascii in (True, False))}
