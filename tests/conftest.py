"""What all tests share: where real data lies, one Spark session, small pictures made from a seed."""

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.machine import provenance
from tests.browser import chromium

# A loaded machine is no failure: how long an example takes is not what a property is about.
settings.register_profile("secondlook", deadline=None)
settings.load_profile("secondlook")

SHARED = Path(os.environ.get("SECONDLOOK_SHARED", Path(__file__).parents[2] / "shared"))


def _shared(part: str) -> Path:
    folder = SHARED / part
    if not folder.exists():
        pytest.skip(f"real data are not on this machine: ../shared/{part}")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Folder of real data by name (`shared_data("messy")`); the test skips where it is not there."""
    return lambda name: _shared(f"data/{name}")


@pytest.fixture(scope="session")
def shared_model() -> Callable[[str], Path]:
    """Folder of a pretrained model by name; the test skips where it is not there."""
    return lambda name: _shared(f"models/{name}")


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    """The one Spark session of the test process."""
    from secondlook.jobs.machine.spark import session
    from secondlook.pipeline.core.config import SparkSettings

    running = session(SparkSettings())
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium for pages and screens."""
    with chromium() as running:
        yield running


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep figures of a long proof: `record("kills", n=200, …)` in docs/results/soak.json, where `make soak` runs it."""

    def keep(name: str, **figures: object) -> None:
        file = os.environ.get("SECONDLOOK_SOAK")
        if file is None:
            return
        kept = json.loads(Path(file).read_text()) if Path(file).exists() else {}
        kept[name] = figures | {
            "test": request.node.nodeid,
            "machine": provenance.machine(),
            "commit": provenance.commit(),
        }
        Path(file).write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")

    return keep


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty lake."""
    return Lake(str(tmp_path / "lake"), create=True)


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """Bytes of a made picture: `picture(seed, width=48, height=32, format="PNG")`, a smooth random texture."""

    def make(
        seed: int, width: int = 48, height: int = 48, format: str = "PNG", mode: str = "RGB", **save: object
    ) -> bytes:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        noise = rng.integers(-20, 21, (height, width, 3))
        pixels = np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, format, **save)
        return buffer.getvalue()

    return make
