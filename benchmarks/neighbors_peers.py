"""The peers' side of benchmarks/neighbors.py, run by the Python of .venv-peers: imagededup and cleanlab's Datalab.

`neighbors_peers.py hashes FILE.npy BITS` or `neighbors_peers.py vectors FILE.npy`; prints one line of JSON. Seconds are
without imports and without reading; memory is the peak of the whole process.
"""

import contextlib
import json
import resource
import sys
import time
from importlib import metadata
from typing import Any

import numpy as np


def hashes(file: str, bits: int) -> dict[str, Any]:
    """imagededup: all pairs of 64-bit hashes within so many bits, by its default search."""
    from imagededup.methods import PHash

    words = np.load(file).view(np.uint64).tolist()
    encodings = {str(at): f"{word:016x}" for at, word in enumerate(words)}
    start = time.perf_counter()
    found = PHash(verbose=False).find_duplicates(encoding_map=encodings, max_distance_threshold=bits)
    seconds = time.perf_counter() - start
    pairs = [(int(one), int(other)) for one, others in found.items() for other in others]
    return {"seconds": seconds, "pairs": [pair for pair in pairs if pair[0] < pair[1]], "of": "imagededup"}


def vectors(file: str) -> dict[str, Any]:
    """Datalab: near-duplicates by the cosine of their features, default settings."""
    from cleanlab import Datalab

    features = np.load(file)
    lab = Datalab(data={"number": list(range(len(features)))})
    start = time.perf_counter()
    lab.find_issues(features=features, issue_types={"near_duplicate": {}})
    seconds = time.perf_counter() - start
    issues = lab.get_issues("near_duplicate")
    sets = issues["near_duplicate_sets"]
    flagged = issues.index[issues["is_near_duplicate_issue"]].tolist()
    pairs = sorted({(min(at, int(other)), max(at, int(other))) for at in flagged for other in sets[at]})
    return {"seconds": seconds, "pairs": pairs, "of": "cleanlab"}


def main() -> None:
    """Run one of them."""
    with contextlib.redirect_stdout(sys.stderr):
        result = hashes(sys.argv[2], int(sys.argv[3])) if sys.argv[1] == "hashes" else vectors(sys.argv[2])
    result["version"] = metadata.version(result["of"])
    result["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
