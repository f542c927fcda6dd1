"""Webhooks of a real Label Studio: faster pulls, and nothing else that they could bring about."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from secondlook.jobs.studio import hooks, serve
from secondlook.pipeline.core.errors import UserError

from .asking import Asked, ask, holding, in_tool, record
from .label_studio import LabelStudio, Person

SECRET = "a-secret-of-these-tests"  # noqa: S105


@pytest.fixture
def asked(label_studio: LabelStudio, tmp_path: Path) -> Iterator[Asked]:
    made = ask(label_studio, tmp_path / "lake", poll_s=3600.0)
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[serve.Receiver]:
    made = serve.Receiver("127.0.0.1", 0, SECRET)
    yield made
    made.close()


def until(done: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.05)


def test_an_answer_is_pulled_when_its_webhook_comes_and_forged_ones_do_nothing(
    asked: Asked, label_studio: LabelStudio, receiver: serve.Receiver
) -> None:
    ann, stop, pulls = label_studio.sign_up("Ann@example.com"), threading.Event(), list[dict[str, Any]]()
    gone = in_tool(asked.settings, 999_999, 1) | {"batch": "batch-1"}
    record(asked.lake, [], gone)
    heard: list[str] = []
    address = f"http://127.0.0.1:{receiver.port}"
    keywords = {"address": address, "stop": stop, "told": heard.append, "summaries": pulls.append, "settle_s": 0.05}
    running = threading.Thread(
        target=serve.run, args=(asked.lake, asked.settings, asked.studio, receiver), kwargs=keywords
    )
    running.start()
    try:
        until(lambda: registered(asked))
        one, two, *_ = asked.task
        asked.say(ann, one, "cat")
        until(lambda: pulls)
        assert holding(asked.lake) == {(one, "ann@example.com"): "cat"}
        path = f"{address}/projects/{asked.project}"
        for _ in range(3):
            assert httpx.post(path, json={}, headers={hooks.HEADER: SECRET}).status_code == 204
        for headers in ({}, {hooks.HEADER: "guess"}, {hooks.HEADER: SECRET + "x"}):
            assert httpx.post(path, json={}, headers=headers).status_code == 403
        until(lambda: not receiver.called.is_set())
        assert len(pulls) == 1
        asked.say(ann, two, "dog")
        until(lambda: len(pulls) == 2)
        assert asked.lake.head().summary["added"] == 1  # type: ignore[union-attr]
        assert receiver.counts["forged"] == 3
    finally:
        stop.set()
        running.join(30)
    assert not registered(asked), "taken back at the end"
    (told,) = heard
    assert "no webhook for project 999999, so it is only polled" in told


def registered(asked: Asked) -> list[dict[str, Any]]:
    return [one for one in asked.studio.get("/api/webhooks/") if one["project"] == asked.project]


def test_registering_twice_is_as_once_and_mends_what_was_changed(asked: Asked) -> None:
    address = "http://127.0.0.1:9"
    number = hooks.register(asked.studio, address, asked.project, SECRET)
    asked.studio.patch(
        f"/api/webhooks/{number}/", json={"url": f"{address}/projects/{asked.project}", "is_active": False}
    )
    assert hooks.register(asked.studio, address, asked.project, SECRET) == number
    (one,) = registered(asked)
    assert (one["is_active"], one["send_payload"], one["headers"]) == (True, False, {hooks.HEADER: SECRET})
    assert set(one["actions"]) == set(hooks.ACTIONS)
    moved = hooks.register(asked.studio, "http://127.0.0.1:10", asked.project, SECRET)
    assert [one["id"] for one in registered(asked)] == [moved], "that of a receiver that died is gone"
    for _ in range(2):
        hooks.remove(asked.studio, moved)
    assert not registered(asked)


def test_only_small_posts_of_known_paths_are_heard(receiver: serve.Receiver) -> None:
    address = f"http://127.0.0.1:{receiver.port}"
    known = {hooks.HEADER: SECRET}
    assert httpx.get(f"{address}/projects/1", headers=known).status_code == 501
    for path in (
        "/",
        "/projects/",
        "/projects/0",
        "/projects/1/",
        "/projects/-1",
        "/projects/9999999999999999999",
        "/projects/1?x",
    ):
        assert httpx.post(address + path, headers=known, content=b"{}").status_code == 403, path
    assert (
        httpx.post(f"{address}/projects/1", headers=known, content=b"x" * (serve.LARGEST_BYTES + 1)).status_code == 413
    )
    assert httpx.post(f"{address}/projects/1", headers=known, content=iter([b"chunks"])).status_code == 411
    assert receiver.spoken_of() == set()
    assert httpx.post(f"{address}/projects/7", headers=known, content=b"no JSON \xff").status_code == 204
    assert receiver.spoken_of() == {7}
    assert receiver.spoken_of() == set()


def test_the_command_ends_gracefully_and_takes_its_webhook_back(
    asked: Asked, label_studio: LabelStudio, tmp_path: Path
) -> None:
    settings = tmp_path / "secondlook.toml"
    settings.write_text(f'[label_studio]\nurl = "{label_studio.url}"\npoll_s = 3600\n')
    words = ["review", "serve", "--port", "0", "--json", "--lake", asked.lake.root, "--settings", str(settings)]
    words += ["--secret-file", str(tmp_path / "secret")]
    environment = os.environ | {"LABEL_STUDIO_API_KEY": label_studio.admin.token}
    command = [sys.executable, "-c", "from secondlook.jobs.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        until(lambda: registered(asked), 60)
        assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
        ann: Person = label_studio.sign_up("Ann@example.com")
        asked.say(ann, next(iter(asked.task)), "cat")
        until(asked.answers)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    summary = json.loads(out)
    assert (summary["added"], summary["calls"]["forged"]) == (1, 0)
    assert summary["calls"]["taken"] >= 1
    assert not registered(asked)


def test_a_secret_that_others_may_read_or_that_is_short_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(hooks.VARIABLE, raising=False)
    file = tmp_path / "secret"
    made = hooks.secret(file)
    assert hooks.secret(file) == made
    assert len(made) >= 32
    file.chmod(0o644)
    with pytest.raises(UserError, match="mode 644"):
        hooks.secret(file)
    monkeypatch.setenv(hooks.VARIABLE, "short")
    with pytest.raises(UserError, match="at least 16") as refused:
        hooks.secret(file)
    assert "short" not in str(refused.value).replace("at least", "")
