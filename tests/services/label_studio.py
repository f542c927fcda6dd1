"""A real Label Studio server for tests: one of its own, on the loopback, in a folder of its own, ended by process id."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ENVIRONMENT = Path(__file__).parents[2] / ".venv-label-studio"
PROGRAM = ENVIRONMENT / "bin" / "label-studio"
MIGRATED = ENVIRONMENT / "migrated"  # a data folder after the first start, whose migrations take half a minute
PASSWORD = "Only-for-these-tests-1"  # noqa: S105
ADMIN = "admin@example.com"
READY_S = 180.0


@dataclass(frozen=True)
class Person:
    """Somebody with an account: `session` is logged in as a browser is, `token` is a personal access token."""

    email: str
    token: str = field(repr=False)
    session: httpx.Client = field(repr=False)
    id: int = 0
    password: str = field(default=PASSWORD, repr=False)

    def cookies(self) -> dict[str, str]:
        """The cookies of the session, for a browser that is to be logged in."""
        return {cookie.name: cookie.value or "" for cookie in self.session.cookies.jar}

    def post(self, path: str, json: object) -> httpx.Response:
        """What the labeling screen does: a POST with the session's CSRF token."""
        return self.session.post(path, json=json, headers={"X-CSRFToken": self.cookies().get("csrftoken", "")})

    def patch(self, path: str, json: object) -> httpx.Response:
        """As `post`, to change what is there."""
        return self.session.patch(path, json=json, headers={"X-CSRFToken": self.cookies().get("csrftoken", "")})

    def delete(self, path: str) -> httpx.Response:
        """As `post`, to delete."""
        headers = {"X-CSRFToken": self.cookies().get("csrftoken", "")}
        return self.session.delete(path, headers=headers, timeout=600).raise_for_status()


class LabelStudio:
    """The server: `url`, `admin`, `sign_up(email)`, `restart()`, `kill()`, `start()`; `folder` is its document root of local files."""

    def __init__(self, at: Path) -> None:
        """Start a server whose data lie at `at`, and log its admin in."""
        self.data, self.folder, self.log = at / "data", at / "files", at / "server.log"
        self.folder.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.people: dict[str, Person] = {}
        if MIGRATED.exists():
            shutil.copytree(MIGRATED, self.data)
        self.start()
        if not MIGRATED.exists():
            self._keep_migrated()
        self.admin = self._person(ADMIN)

    def start(self) -> None:
        """Start the process and wait until it answers; the port stays the same."""
        settings = {
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.data),
            "DJANGO_DB": "sqlite",
            "LABEL_STUDIO_USERNAME": ADMIN,
            "LABEL_STUDIO_PASSWORD": PASSWORD,
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.folder),
            "EDITOR_KEYMAP": '{"annotation:submit": {"key": "enter"}}',  # as the guide says
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SSRF_PROTECTION_ENABLED": "false",  # webhooks go to the loopback, where the tests listen
        }
        options = ["start", "--no-browser", "--internal-host", "127.0.0.1", "-p", str(self.port)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LABEL_STUDIO")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, *options],
                env=environment | settings,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                start_new_session=True,
            )
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(f"Label Studio did not answer in {READY_S} s")

    def kill(self) -> None:
        """End the process at once, whatever it does; `start()` brings it back with its data."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)

    def stop(self) -> None:
        """End the process as a shutdown of the machine would."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self) -> None:
        """Stop and start; sessions and tokens stay valid."""
        self.stop()
        self.start()

    def sign_up(self, email: str) -> Person:
        """An annotator who follows the invite link of the admin; the same person where the email signed up before."""
        if email.lower() not in self.people:
            invited = self.admin.session.get("/api/invite").json()["invite_url"]
            session = httpx.Client(base_url=self.url, timeout=60, follow_redirects=True)
            form = {"csrfmiddlewaretoken": csrf(session.get(invited).text), "email": email, "password": PASSWORD}
            session.post(invited, data=form, headers={"Referer": self.url}).raise_for_status()
            self.people[email.lower()] = self._described(email, session)
        return self.people[email.lower()]

    def close(self) -> None:
        """End everything that was opened."""
        for person in (self.admin, *self.people.values()):
            person.session.close()
        self.stop()

    def _person(self, email: str) -> Person:
        session = httpx.Client(base_url=self.url, timeout=60, follow_redirects=True)
        form = {"csrfmiddlewaretoken": csrf(session.get("/user/login/").text), "email": email, "password": PASSWORD}
        session.post("/user/login/", data=form, headers={"Referer": self.url}).raise_for_status()
        return self._described(email, session)

    def _described(self, email: str, session: httpx.Client) -> Person:
        known = session.get("/api/current-user/whoami").raise_for_status().json()
        headers = {"X-CSRFToken": session.cookies["csrftoken"]}
        token = session.post("/api/token/", headers=headers).raise_for_status().json()["token"]
        return Person(email, token, session, int(known["id"]))

    def _keep_migrated(self) -> None:
        """Keep the fresh data folder: the next server starts from a copy of it."""
        self.stop()
        unfinished = MIGRATED.with_name(f"migrated.{os.getpid()}")
        shutil.copytree(self.data, unfinished)
        try:
            unfinished.rename(MIGRATED)
        except OSError:  # another run of the tests was faster
            shutil.rmtree(unfinished)
        self.start()


def csrf(page: str) -> str:
    """The token that a form of the server wants back."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found, "the page has no CSRF token"
    return found[1]
