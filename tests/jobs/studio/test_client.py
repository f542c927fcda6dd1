"""The door to the server, against a small server of our own that answers as told: what is tried again, and what is said."""

import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.studio import client
from secondlook.jobs.studio.client import GoneError, Studio, checked_url, connect, is_loopback
from secondlook.jobs.studio.token import Token
from secondlook.pipeline.core.config import LabelStudioSettings, Settings
from secondlook.pipeline.core.errors import UnavailableError, UserError

TOKEN = Token("a-legacy-token-of-tests")
Answers = list[tuple[int, str]]


class Server(ThreadingHTTPServer):
    """Answers each request with the next of `answers` (status, body), the last one for ever; status 0 hangs up."""

    daemon_threads = True

    def __init__(self, answers: Answers) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = answers, list[str]()

    def handle_error(self, *_: object) -> None:
        """Who was too slow finds nobody to answer."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        server: Any = self.server
        self.rfile.read(int(self.headers.get("content-length") or 0))
        server.asked.append(f"{self.command} {self.path} {self.headers.get('authorization')}")
        status, body = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        if status in {301, 302}:
            self.send_header("location", "http://127.0.0.1:9/")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing to the terminal."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Studio, Server]]]:
    """`serve(*answers)`: a server, and a door to it that does not wait long between its tries."""
    monkeypatch.setattr(client, "FIRST_WAIT_S", 0.001)
    opened: list[tuple[Studio, Server]] = []

    def start(*answers: tuple[int, str], **settings: Any) -> tuple[Studio, Server]:
        server = Server(list(answers))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        chosen = LabelStudioSettings(**{"timeout_s": 1.0} | settings)
        opened.append((Studio(f"http://127.0.0.1:{server.server_port}", TOKEN, chosen), server))
        return opened[-1]

    yield start
    for studio, server in opened:
        studio.close()
        server.shutdown()
        server.server_close()


AWAY = [(500, "x"), (502, "<html>"), (503, ""), (429, ""), (0, "")]


@pytest.mark.parametrize("trouble", AWAY)
def test_reading_and_repeatable_changes_are_tried_again(serve: Any, trouble: tuple[int, str]) -> None:
    studio, server = serve(trouble, trouble, (200, '{"a": 1}'))
    assert studio.get("/api/x", page=2) == {"a": 1}
    assert server.asked == [f"GET /api/x?page=2 Token {TOKEN.reveal()}"] * 3
    server.answers[:] = [trouble, (200, "{}")]
    studio.patch("/api/x", json={})
    server.answers[:] = [trouble, (404, "")]
    studio.delete("/api/x")
    assert len(server.asked) == 7


@pytest.mark.parametrize("trouble", AWAY)
def test_what_makes_something_is_sent_once(serve: Any, trouble: tuple[int, str]) -> None:
    studio, server = serve(trouble)
    with pytest.raises(UnavailableError, match="Label Studio at http://127"):
        studio.post("/api/x", json=[])
    assert len(server.asked) == 1


def test_trying_ends(serve: Any) -> None:
    studio, server = serve((500, "x"))
    with pytest.raises(UnavailableError, match="answers 500 to /api/x; try again later"):
        studio.get("/api/x")
    assert len(server.asked) == client.TRIES


def test_a_server_that_is_slow_is_said_to_be(serve: Any) -> None:
    studio, server = serve((200, "{}"))
    answered = server.RequestHandlerClass
    server.RequestHandlerClass = lambda *parts: (threading.Event().wait(1.5), answered(*parts))
    with pytest.raises(UnavailableError, match="took too long to answer /api/slow"):
        studio.post("/api/slow")


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (401, UserError, "does not take the token: it is wrong, revoked or expired"),
        (403, UserError, "does not allow the token's owner /api/x"),
        (404, GoneError, "has no /api/x"),
        (302, UserError, "sends elsewhere \\(302\\); give its final address"),
        (400, UserError, "refuses /api/x \\(400\\): a  ?reason"),
    ],
)
def test_what_is_refused_is_one_sentence_and_not_tried_again(
    serve: Any, status: int, kind: type[Exception], sentence: str
) -> None:
    studio, server = serve((status, "a\nreason" + "!" * 9_000))
    with pytest.raises(kind, match=sentence) as refused:
        studio.get("/api/x")
    assert len(server.asked) == 1, "nor is the token sent to where a redirection leads"
    assert len(str(refused.value)) < 500
    assert "\n" not in str(refused.value)
    assert TOKEN.reveal() not in str(refused.value)


def test_something_else_that_answers_is_told(serve: Any) -> None:
    studio, server = serve((200, "<html>hello"))
    with pytest.raises(UnavailableError, match="does not speak as Label Studio does"):
        studio.post("/api/x")
    settings = Settings(label_studio=LabelStudioSettings(url=studio.url))
    for body, sentence in (('["x"]', "does not speak"), ("<html>", "does not speak"), ("{}", "does not speak")):
        server.answers[:] = [(200, body)]
        with pytest.raises(UnavailableError, match=sentence):
            connect(settings, TOKEN)
    server.answers[:] = [(404, "")]
    with pytest.raises(UserError, match="there is no Label Studio at http://127"):
        connect(settings, TOKEN)
    server.answers[:] = [(200, '{"id": 7}')]
    opened = connect(settings, TOKEN)
    assert (opened.me, repr(opened)) == (7, f"Studio({studio.url})")
    opened.close()


def test_a_server_that_is_away_is_said_at_once() -> None:
    settings = Settings(label_studio=LabelStudioSettings(url="http://127.0.0.1:1/"))
    with pytest.raises(UnavailableError, match=r"Label Studio at http://127.+ does not answer"):
        connect(settings, TOKEN)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", r"set \[label_studio\] url, or work with files"),
        ("labels.example.org", "takes an address like https://"),
        ("ftp://labels.example.org", "takes an address like https://"),
        ("https://", "takes an address like https://"),
        ("https://me:word@labels.example.org", "without a name, password or query"),
        ("https://labels.example.org/?token=abc", "without a name, password or query"),
        ("https://labels.example.org:port", "takes an address like https://"),
        ("http://[::1", "takes an address like https://"),
        ("http://labels.example.org", "the token would travel unprotected to labels.example.org: use https"),
        ("http://10.0.0.7:8080", "the token would travel unprotected"),
        ("http://127.0.0.1.example.org", "the token would travel unprotected"),
        ("http://localhost.example.org", "the token would travel unprotected"),
    ],
)
def test_an_address_that_the_token_must_not_go_to_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        checked_url(LabelStudioSettings(url=url))
    assert "word" not in str(refused.value).replace("password", "")


def test_addresses_that_are_fine() -> None:
    assert (
        checked_url(LabelStudioSettings(url="https://labels.example.org/studio/"))
        == "https://labels.example.org/studio"
    )
    assert (
        checked_url(LabelStudioSettings(url="http://labels.example.org", allow_http=True))
        == "http://labels.example.org"
    )
    assert checked_url(LabelStudioSettings(url="http://[::1]:8080")) == "http://[::1]:8080"
    assert [is_loopback(host) for host in ("127.9.9.9", "::1", "LOCALHOST", "0.0.0.0", "example.org")] == [  # noqa: S104
        True,
        True,
        True,
        False,
        False,
    ]


def test_certificates_are_verified_and_an_own_authority_is_taken(tmp_path: Path) -> None:
    """A server with a certificate that nobody vouches for: refused, until its authority is named."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made: list[str | Path] = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-keyout",
        key,
        "-out",
        cert,
        *name,
    ]
    subprocess.run(made, check=True, capture_output=True)
    server = Server([(200, json.dumps({"id": 7}))])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}"
    try:
        with pytest.raises(UnavailableError, match="certificate"):
            connect(Settings(label_studio=LabelStudioSettings(url=url)), TOKEN)
        assert not server.asked, "the token was not sent"
        trusted = connect(Settings(label_studio=LabelStudioSettings(url=url, ca_file=str(cert))), TOKEN)
        assert trusted.me == 7
        trusted.close()
    finally:
        server.shutdown()
        server.server_close()
    for bad in (tmp_path / "none.pem", key):
        with pytest.raises(UserError, match=r"\[label_studio\] ca_file .* can't be read as certificates"):
            connect(Settings(label_studio=LabelStudioSettings(url=url, ca_file=str(bad))), TOKEN)
