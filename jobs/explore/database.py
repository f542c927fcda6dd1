"""FiftyOne, imported with its database answering and everything that would call home off."""

import atexit
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from secondlook.jobs.lake.store import first_line
from secondlook.pipeline.core.errors import UnavailableError

URI = "FIFTYONE_DATABASE_URI"
START_S = 30.0
QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_LOGGING_DESTINATION": "stderr",  # standard output is for results
    "FIFTYONE_LOGGING_LEVEL": "ERROR",
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
}


def fiftyone() -> Any:
    """The module `fiftyone`. Raises UnavailableError where there is no database for it, or it does not answer.

    The database is the one that FIFTYONE_DATABASE_URI names; else the mongod that lies with FiftyOne, which it starts and ends by itself;
    else the one on the PATH, in FiftyOne's own folder.
    """
    if "fiftyone" in sys.modules:
        return sys.modules["fiftyone"]
    os.environ.update(QUIET)
    if not os.environ.get(URI) and not _beside_fiftyone():
        atexit.register(end, start())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies, at import
        try:
            import fiftyone as module
        except ImportError:
            raise
        except Exception as problem:  # noqa: BLE001 - it has no class of its own for a database that is away
            raise UnavailableError(f"the database of FiftyOne does not answer: {first_line(problem)}") from None
    return module


def found() -> str | None:
    """What FiftyOne's database would be: the server that is named, or the path of a mongod; None where there is none."""
    return os.environ.get(URI) or _beside_fiftyone() or shutil.which("mongod")


def _beside_fiftyone() -> str | None:
    package = importlib.util.find_spec("fiftyone")  # without importing it, which needs the database already
    folders = package.submodule_search_locations if package else None
    paths = [Path(folder, "db", "bin", "mongod") for folder in folders or ()]
    return next((str(path) for path in paths if path.is_file()), None)


def start() -> "subprocess.Popen[bytes]":
    """Start the mongod on the PATH, on the loopback, and name it in the environment; whoever starts it ends it."""
    program = shutil.which("mongod")
    if program is None:
        raise UnavailableError(
            "FiftyOne keeps its datasets in MongoDB, and there is none: `make setup` brings one on Linux with x86-64; else put "
            f"mongod on the PATH, or name a server by {URI}"
        )
    folder = Path(os.environ.get("FIFTYONE_DATABASE_DIR", Path.home() / ".fiftyone" / "secondlook" / "mongo"))
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--dbpath", str(folder), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                os.environ[URI] = f"mongodb://127.0.0.1:{port}"
                return server
        time.sleep(0.1)
    end(server)
    raise UnavailableError(f"{program} does not start in {folder}; does another one run there?")


def end(server: "subprocess.Popen[bytes]") -> None:
    """End a server that was started here."""
    server.terminate()
    server.wait(20)
