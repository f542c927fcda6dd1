"""What goes wrong between a puller and the tool: a proxy that disturbs, and a puller that dies where it is told to."""

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

# A process that has all imports behind it, and forks for each pull: what dies is the fork.
PULLER = """
import json, os, signal, sys, threading, time
from datetime import UTC, datetime
import label_studio_sdk
from secondlook.jobs.lake import store
from secondlook.jobs.review import take
from secondlook.jobs.studio import changes, client, projects, pull, reading
from secondlook.jobs.studio.token import Token
from secondlook.pipeline.core.config import LabelStudioSettings, Settings
from secondlook.pipeline.core.errors import UnavailableError

PLACES = {"changes": changes, "pull": pull, "projects": projects, "reading": reading, "take": take, "attempt": store.Attempt}
client.FIRST_WAIT_S = 0.05
changes.PAGE = 3

def dying(place, name, when):
    real = getattr(PLACES[place], name)
    def wrapped(*args, **kwargs):
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(PLACES[place], name, wrapped)

def run(order):
    if order["point"]:
        dying(*order["point"].split())
    settings = Settings(label_studio=LabelStudioSettings(url=order["url"], overlap_s=order["overlap_s"]))
    lake = store.Lake(order["lake"])
    studio = client.connect(settings, Token(order["token"]))
    studio._tries = order["tries"]
    for _ in range(order["times"]):
        pull.run(lake, settings, studio, full=order["full"], now=datetime(2026, 1, 1, tzinfo=UTC))

print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        try:
            run(order)
            os._exit(0)
        except UnavailableError:
            os._exit(3)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(70)
    if order["kill_after_s"] is not None:
        time.sleep(order["kill_after_s"])
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

# Each step of a pull, by the function that ends or begins it.
STEPS = (
    "changes people after",
    "projects described after",
    "changes touched after",
    "changes listed after",
    "changes of_tasks after",
    "changes completed after",
    "pull settle after",
    "pull record before",
    "attempt append after",
    "attempt commit before",
    "attempt commit after",
)


class Puller:
    """Pulls in a process of its own: `pull(...)` gives its exit status, -9 where it was killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PULLER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def pull(
        self,
        lake: str,
        url: str,
        token: str,
        *,
        full: bool = False,
        point: str = "",
        kill_after_s: float | None = None,
        tries: int = 12,
        times: int = 1,
        overlap_s: float,
    ) -> int:
        """Pull, and die at a step (`point`), after some seconds, or not at all."""
        order = {"lake": lake, "url": url, "token": token, "full": full, "point": point, "kill_after_s": kill_after_s}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order | {"tries": tries, "times": times, "overlap_s": overlap_s}) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


class Proxy:
    """A server in front of another: `url` stays the same, and what `disturb` says happens to what goes through.

    Tasks in a page come in any order, some twice; pages are cut short; requests fail with 502 or with a cut connection, before they
    reached the server or after; and before request number `kill_at` the callback `kill` is called.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream, self.requests = upstream, 0
        self.rng: random.Random | None = None
        self.kill: Callable[[], None] | None = None
        self.kill_at = 0
        self._client = httpx.Client(timeout=60)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def disturb(
        self, rng: random.Random | None, kill: Callable[[], None] | None = None, kill_at: int = 0
    ) -> Iterator[None]:
        """Faults for as long as the body runs."""
        self.rng, self.kill, self.kill_at = rng, kill, self.requests + kill_at
        try:
            yield
        finally:
            self.rng, self.kill = None, None

    def passed(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes] | None:
        """Status and body that the caller gets; None: the connection is cut."""
        with self._lock:  # one at a time: the order of random numbers is the order of requests
            self.requests += 1
            if self.kill is not None and self.requests >= self.kill_at:
                kill, self.kill = self.kill, None
                kill()
            luck = self.rng.random() if self.rng else 1.0
            if luck < 0.03:
                return 502, b"a bad gateway"
            if luck < 0.06:
                return None
            try:
                answer = self._client.request(method, self.upstream + path, headers=headers, content=body)
            except httpx.HTTPError:
                return None
            if luck < 0.09:
                return None
            if self.rng and path.startswith("/api/tasks?") and answer.status_code == 200:
                return 200, _shuffled(self.rng, answer.json())
            return answer.status_code, answer.content

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        self._client.close()


def _shuffled(rng: random.Random, page: dict[str, Any]) -> bytes:
    tasks = page["tasks"]
    rng.shuffle(tasks)
    if len(tasks) > 1 and rng.random() < 0.3:
        tasks = tasks[: rng.randrange(1, len(tasks))]
    elif tasks and rng.random() < 0.2:
        tasks, page["total"] = [*tasks, rng.choice(tasks)], page["total"] + 1
    for task in tasks:
        rng.shuffle(task.get("annotations", []))
    return json.dumps(page | {"tasks": tasks}).encode()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _pass(self) -> None:
            kept = {n: v for n, v in self.headers.items() if n.lower() not in {"host", "connection", "accept-encoding"}}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = proxy.passed(self.command, self.path, kept, body)
            self.close_connection = True
            if answer is None:
                return
            self.send_response_only(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            with contextlib.suppress(OSError):  # a puller that was killed
                self.wfile.write(answer[1])

        do_GET = do_POST = do_PATCH = do_DELETE = _pass  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def until(done: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait for something that is to come."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.05)
