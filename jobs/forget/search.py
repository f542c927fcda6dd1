"""Where many byte strings occur in much data, at a speed that does not depend on how many they are."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

PREFIX_BYTES = 4


class Needles:
    """Byte strings to look for.

    The first two bytes of each are looked up in a table, the first four among all prefixes, and what is left is compared: some hundred
    MB a second. Shorter ones are looked for one by one.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        wanted = {one for one in needles if one}
        self.longest = max(map(len, wanted), default=0)
        self._short = sorted(one for one in wanted if len(one) < PREFIX_BYTES)
        self._by_prefix: dict[int, list[bytes]] = defaultdict(list)
        for one in sorted(wanted):
            if len(one) >= PREFIX_BYTES:
                self._by_prefix[int.from_bytes(one[:PREFIX_BYTES], "little")].append(one)
        self._prefixes = np.array(sorted(self._by_prefix), np.uint32)
        self._table = np.zeros(1 << 16, bool)
        self._table[self._prefixes & 0xFFFF] = True

    def __bool__(self) -> bool:
        return self.longest > 0

    def hits(self, data: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
        """(place, needle) of each occurrence, also of those that overlap."""
        data = memoryview(data).cast("B")  # Arrow's are of signed bytes, which equal no bytes above 127
        for place in self._places(np.frombuffer(data, np.uint8)).tolist():
            prefix = int.from_bytes(data[place : place + PREFIX_BYTES], "little")
            for one in self._by_prefix[prefix]:
                if data[place : place + len(one)] == one:
                    yield place, one
        if self._short:
            whole = bytes(data)
            for one in self._short:
                place = whole.find(one)
                while place >= 0:
                    yield place, one
                    place = whole.find(one, place + 1)

    def _places(self, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Where a prefix stands."""
        if len(data) < PREFIX_BYTES or not len(self._prefixes):
            return np.empty(0, np.int64)
        n = len(data) - PREFIX_BYTES + 1
        two = data[:n].astype(np.uint16) | (data[1 : n + 1].astype(np.uint16) << 8)
        places = np.flatnonzero(self._table[two])
        four = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(data, PREFIX_BYTES)[places])
        return places[np.isin(four.view("<u4").ravel(), self._prefixes)]
