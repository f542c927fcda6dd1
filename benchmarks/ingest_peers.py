"""The peers' side of benchmarks/ingest.py, run by the Python of .venv-peers: CleanVision and imagededup on one folder.

Prints one line of JSON: seconds of each, imports left out. Both use all cores.
"""

import contextlib
import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path


def main() -> None:
    """CleanVision's default checks, which are all of them but those of videos, and 64-bit pHashes."""
    from cleanvision import Imagelab
    from imagededup.methods import PHash

    folder = sys.argv[1]
    paths = sorted(str(path) for path in Path(folder).rglob("*.jpg"))
    used = sum(os.times()[:4])
    with contextlib.redirect_stdout(sys.stderr):
        start = time.perf_counter()
        lab = Imagelab(filepaths=paths)
        lab.find_issues(n_jobs=os.cpu_count(), verbose=False)
        cleanvision_s = time.perf_counter() - start
        start = time.perf_counter()
        hashes = PHash(verbose=False).encode_images(folder, recursive=True, num_enc_workers=os.cpu_count())
        imagededup_s = time.perf_counter() - start
    used = sum(os.times()[:4]) - used
    assert len(hashes) == len(paths) == len(lab.issues)
    checks = sorted(column for column in lab.issues.columns if column.endswith("_issue"))
    versions = {name: metadata.version(name) for name in ("cleanvision", "imagededup")}
    print(
        json.dumps(
            {
                "n": len(paths),
                "cleanvision_s": cleanvision_s,
                "imagededup_s": imagededup_s,
                "cpu_us_per_image": 1e6 * used / len(paths),
                "checks": checks,
                **versions,
            }
        )
    )


if __name__ == "__main__":
    main()
