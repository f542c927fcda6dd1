"""A pull as soon as somebody answers: a receiver of webhooks beside a puller that asks anyway, now and then.

Nothing depends on a webhook: the tool sends each once, and a lost one costs the time until the next poll.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.studio import hooks, pull
from secondlook.jobs.studio.client import Studio
from secondlook.jobs.studio.projects import open_rows
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UnavailableError, UserError

LARGEST_BYTES = 64 * 1024  # of a request; ours have some thirty
REQUEST_S = 10.0
SETTLE_S = 1.0  # somebody who answers, answers again: one pull for what comes within this time
AT_ONCE = 16  # requests that are read at the same time

Told = Callable[[str], None]


class Receiver:
    """An HTTP server on this machine: which projects were spoken of, and how many requests were taken, repeated or forged."""

    def __init__(self, host: str, port: int, secret: str) -> None:
        """Listen; port 0 chooses a free one. Raises UserError where the address can't be had."""
        self.counts: Counter[str] = Counter()
        self.secret = secret
        self._waiting: set[int] = set()
        self._lock = threading.Lock()
        self.called = threading.Event()
        try:
            self._server = _Server((host, port), _handler(self))
        except (OSError, OverflowError) as problem:
            raise UserError(f"can't listen on {host}:{port}: {getattr(problem, 'strerror', None) or problem}") from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="webhooks", daemon=True)
        self._thread.start()

    def hear(self, path: str, given: str | None) -> int:
        """What a request comes to: the HTTP status."""
        project = hooks.project_of(path, given, self.secret)
        with self._lock:
            if project is None:
                self.counts["forged"] += 1
                return 403
            self.counts["repeated" if project in self._waiting else "taken"] += 1
            self._waiting.add(project)
        self.called.set()
        return 204

    def refuse(self, reason: str) -> None:
        """Count what is none of ours."""
        with self._lock:
            self.counts[reason] += 1

    def spoken_of(self) -> set[int]:
        """The projects that were spoken of since the last call."""
        with self._lock:
            self.called.clear()
            projects, self._waiting = self._waiting, set()
        return projects

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self._free = threading.Semaphore(AT_ONCE)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for the request, unless too many are at work: then the caller is hung up on."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The request, in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hangs up is no event."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S
        server_version, sys_version = "secondlook", ""

        def do_POST(self) -> None:
            self._answer(self._status())

        def _status(self) -> int:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or len(length) > 9:
                receiver.refuse("malformed")
                return 411
            if int(length) > LARGEST_BYTES:
                receiver.refuse("too large")
                return 413
            self.rfile.read(int(length))  # not looked at: it is read so that the caller sees the answer
            return receiver.hear(self.path, self.headers.get(hooks.HEADER))

        def _answer(self, status: int) -> None:
            self.close_connection = True
            self.send_response_only(status)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are counted, not logged: what is in them is not ours to show."""

    return Handler


def run(
    lake: Lake,
    settings: Settings,
    studio: Studio,
    receiver: Receiver,
    *,
    address: str | None,
    stop: threading.Event,
    told: Told,
    summaries: Callable[[dict[str, Any]], None],
    settle_s: float = SETTLE_S,
) -> None:
    """Pull a project when a webhook speaks of it, and all of them every [label_studio] poll_s, until `stop` is set.

    address: where the tool reaches the receiver; None: register nothing. told: gets a sentence for people when the tool is away.
    summaries: gets what each pull that took something did. At the end the webhooks that were registered are taken back.
    """
    registered: dict[int, int | None] = {}
    due = 0.0
    try:
        while not stop.is_set():
            only: Collection[int] = receiver.spoken_of()
            if time.monotonic() >= due:
                only, due = (), time.monotonic() + settings.label_studio.poll_s
                with _patience(told):
                    if address is not None:
                        _register(lake, studio, address, receiver, registered, told)
                    _pull(lake, settings, studio, only, summaries)
            elif only:
                with _patience(told):
                    _pull(lake, settings, studio, only, summaries)
            _wait(receiver.called, stop, due)
            stop.wait(settle_s if receiver.called.is_set() else 0)
    finally:
        for number in registered.values():
            with contextlib.suppress(UnavailableError, UserError):
                _unregister(studio, number)


def _wait(called: threading.Event, stop: threading.Event, due: float) -> None:
    """Until a webhook comes, the next poll is due, or the end."""
    while not stop.is_set() and not called.wait(min(0.2, max(due - time.monotonic(), 0))):
        if time.monotonic() >= due:
            return


@contextlib.contextmanager
def _patience(told: Told) -> Iterator[None]:
    """The tool, or the catalog, may be away for a while: the next poll tries again."""
    try:
        yield
    except UnavailableError as problem:
        told(f"{problem}; asking again at the next poll")


def _pull(
    lake: Lake,
    settings: Settings,
    studio: Studio,
    only: Collection[int],
    summaries: Callable[[dict[str, Any]], None],
) -> None:
    summary = pull.run(lake, settings, studio, only=only)
    if summary["version"]:
        summaries(summary)


def _register(
    lake: Lake, studio: Studio, address: str, receiver: Receiver, registered: dict[int, int | None], told: Told
) -> None:
    """Webhooks of the projects that are open by now, and of no others; None for one that takes no webhook."""
    wanted = {int(row["project"]) for row in open_rows(lake, lake.at()) if row["server"] == studio.url}
    for project in sorted(wanted - registered.keys()):
        try:
            registered[project] = hooks.register(studio, address, project, receiver.secret)
        except UserError as problem:  # it is gone, or the tool does not call such addresses: polling is enough
            registered[project] = None
            told(f"no webhook for project {project}, so it is only polled: {problem}")
    for project in registered.keys() - wanted:
        _unregister(studio, registered.pop(project))


def _unregister(studio: Studio, number: int | None) -> None:
    if number is not None:
        hooks.remove(studio, number)
