"""The catalog in a real PostgreSQL: the same lake, and two jobs that commit at once."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from secondlook.jobs.lake import gc
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.config import LakeSettings
from secondlook.pipeline.core.errors import ConflictError, UnavailableError
from tests.jobs.test_forget import ANNA, Scene, seen
from tests.jobs.test_store import labels, write


def _program(name: str) -> str:
    found = shutil.which(name) or next((str(p) for p in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        pytest.skip(f"PostgreSQL's server is not on this machine: no {name}")
    return found


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server of its own, on the loopback, that ends with the tests."""
    initdb, postgres = _program("initdb"), _program("postgres")
    # The server refuses to run as root: then it runs as the user that its package made, in a folder of that user.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data = Path(subprocess.run([*as_user, "mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    setup: list[str | Path] = [*as_user, initdb, "-D", data, "-U", "lake", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(setup, check=True, capture_output=True, cwd="/")
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
    server = subprocess.Popen([*as_user, postgres, "-D", data, *options], stderr=subprocess.DEVNULL, cwd="/")
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"postgresql+pg8000://lake@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def shared_lake(postgresql: str, tmp_path: Path) -> Iterator[Lake]:
    lake = Lake(str(tmp_path / "lake"), postgresql, create=True)
    yield lake
    lake.close()


def test_versions_conflicts_and_gc_are_as_with_sqlite(shared_lake: Lake) -> None:
    write(shared_lake, "a", ("s1", "cat"), x=1).commit({})
    fast, slow = write(shared_lake, "fast", ("s1", "dog")), write(shared_lake, "slow", ("s1", "cow"))
    fast.commit({})
    with pytest.raises(ConflictError):
        slow.commit({})
    assert (labels(shared_lake, 1), labels(shared_lake)) == ({"s1": "cat"}, {"s1": "dog"})
    assert gc.run(shared_lake, LakeSettings(), grace_hours=0)["snapshots"] == 1
    assert labels(shared_lake) == {"s1": "dog"}


WRITER = """
import sys
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.errors import ConflictError
from tests.jobs.test_store import write
name, url, catalog, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
lake = Lake(url, catalog)
for n in range(rounds):
    while True:
        try:
            write(lake, name, (f"{name}-{n}", name), n=n).commit({})
            break
        except ConflictError:
            pass
"""


def test_processes_that_commit_at_once_lose_and_double_nothing(shared_lake: Lake, postgresql: str) -> None:
    write(shared_lake, "first", ("s", "x")).commit({})
    names, rounds = ("a", "b", "c"), 4
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name, shared_lake.root, postgresql, str(rounds)],
            cwd=Path(__file__).parents[2],
        )
        for name in names
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    expected = {f"{name}-{n}": name for name in names for n in range(rounds)} | {"s": "x"}
    assert labels(shared_lake) == expected
    assert shared_lake.read("labels", shared_lake.at()).num_rows == len(expected)
    assert [version.id for version in shared_lake.versions.all()] == list(range(1, len(expected) + 1))


def test_forgotten_pictures_leave_a_catalog_that_is_elsewhere(
    postgresql: str, tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    scene = Scene(tmp_path / "lake", picture, postgresql).fill()
    told = scene.forget(ANNA)
    assert seen(Path(scene.lake.root), scene.texts()) == []
    assert told["proof"]["findings"] == []
    with scene.lake.catalog.engine.connect() as connection:
        mine = sa.text("select * from secondlook_versions where lake = :lake")  # the server has other tests' lakes, too
        rows = connection.execute(mine, {"lake": scene.lake.url}).all()
    assert len(rows) == len(scene.lake.versions.all())
    assert not [name for name in (ANNA, scene.ids[ANNA], scene.content[ANNA]) if name in repr(rows)]
    assert scene.lake.read("samples", scene.lake.at(1)).num_rows == 7
    scene.lake.close()


def test_a_server_that_is_away_is_said_to_be_away(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the catalog of the lake does not answer"):
        Lake(str(tmp_path / "lake"), "postgresql+pg8000://lake@127.0.0.1:1/none", create=True)
