"""Whatever happens on the way (shuffled pages, doubled webhooks, a server or a puller that dies), the same answers and labels come out."""

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import commit
from secondlook.jobs.studio import changes, hooks, pull, serve
from secondlook.pipeline.core.config import Settings

from .asking import NOW, api, ask, in_tool, queued
from .faulty import STEPS, Proxy, Puller, until
from .label_studio import LabelStudio

MANY = int(os.environ.get("SECONDLOOK_REVIEW_RUNS", "200"))  # of a soak, some 10 seconds each
OVERLAP_S = 1.0  # short, so that the cursor is what these runs rest on
SECRET = "a-secret-of-these-tests"  # noqa: S105


@pytest.fixture(scope="module")
def puller() -> Iterator[Puller]:
    made = Puller()
    yield made
    made.close()


@pytest.fixture(scope="module")
def proxy(label_studio: LabelStudio) -> Iterator[Proxy]:
    made = Proxy(label_studio.url)
    yield made
    made.close()


class Run:
    """One batch in two lakes: `asked`'s is pulled through all faults, `calm` is pulled once, at the end, by nobody disturbed."""

    def __init__(self, server: LabelStudio, proxy: Proxy, puller: Puller, folder: Path, seed: int) -> None:
        self.rng, self.server, self.proxy, self.puller = random.Random(seed), server, proxy, puller  # noqa: S311
        self.folder = folder
        self.asked = ask(server, folder / "lake", n=10, url=proxy.url, poll_s=1.0, overlap_s=OVERLAP_S)
        self.calm = queued(folder / "calm", 10, in_tool(self.asked.settings, self.asked.project, 10), self.asked.lake)
        self.people = [server.sign_up(f"{name}@example.com") for name in ("ann", "bob")]
        self.given: list[tuple[Any, int, str]] = []
        self.kills = self.restarts = self.hooks = 0

    def act(self, n: int) -> None:
        """People answer, correct, skip and delete; an admin tampers with tasks and deletes some."""
        for _ in range(n):
            person, sample = self.rng.choice(self.people), self.rng.choice(list(self.asked.task))
            label, luck = self.rng.choice(["bird", "cat", "dog", "answer-unsure", "elephant"]), self.rng.random()
            with contextlib.suppress(httpx.HTTPStatusError):  # a task or an answer that is gone
                if luck < 0.55 or not self.given:
                    seconds = self.rng.randrange(1, 20)
                    self.given.append((person, self.asked.say(person, sample, label, lead_time=seconds), sample))
                elif luck < 0.75:
                    mine, number, _ = self.rng.choice(self.given)
                    self.asked.change(mine, number, label)
                elif luck < 0.85:
                    mine, number, _ = self.rng.choice(self.given)
                    self.asked.take_back(mine, number)
                elif luck < 0.92:
                    mine, number, _ = self.rng.choice(self.given)
                    api(mine, "PATCH", f"/api/annotations/{number}/", {"was_cancelled": True})
                else:
                    api(self.server.admin, "DELETE", f"/api/tasks/{self.asked.task[sample]}/")

    def pull(self, **options: Any) -> int:
        """The puller pulls; its exit status."""
        asked = self.asked
        status = self.puller.pull(
            asked.lake.root, self.proxy.url, self.server.admin.token, overlap_s=OVERLAP_S, **options
        )
        assert status in (0, 3, -9)
        self.kills += status == -9
        return status

    def pull_through(self, **options: Any) -> None:
        """Pulls until one ends: a server that answers 502 to the first word is away for that call."""
        assert any(self.pull(**options) == 0 for _ in range(10))

    def killed_here_and_there(self) -> None:
        """Pulls that die at steps, and at any moment; then one that ends."""
        with self.proxy.disturb(self.rng):
            self.pull(point=self.rng.choice(STEPS), full=self.rng.random() < 0.5)
            self.pull(kill_after_s=self.rng.uniform(0.0, 0.6), times=2)
            self.pull_through()

    def pulled_once(self) -> Lake:
        """A lake that was pulled once, now, without comparing ids: what disturbed pulls must have come to without it, too."""
        lake = queued(self.folder / "once", 10, in_tool(self.asked.settings, self.asked.project, 10), self.asked.lake)
        pull.run(lake, self.asked.settings, self.asked.studio, now=NOW)
        lake.close()
        return lake

    def with_doubled_webhooks(self) -> None:
        """People answer while the receiver pulls; each call comes several times, and forged ones between."""
        receiver, stop = serve.Receiver("127.0.0.1", 0, SECRET), threading.Event()
        address = f"http://127.0.0.1:{receiver.port}"
        keywords = {"address": address, "stop": stop, "told": print, "summaries": lambda _: None, "settle_s": 0.02}
        asked = self.asked
        running = threading.Thread(
            target=serve.run, args=(asked.lake, asked.settings, asked.studio, receiver), kwargs=keywords
        )
        with self.proxy.disturb(self.rng):
            running.start()
            until(lambda: [one for one in asked.studio.get("/api/webhooks/") if one["project"] == asked.project])
            for _ in range(3):
                self.act(1)
                for _ in range(3):
                    path = f"{address}/projects/{asked.project}"
                    httpx.post(path, json={}, headers={hooks.HEADER: self.rng.choice([SECRET, SECRET, "forged"])})
            stop.set()
            running.join(60)
        self.hooks += receiver.counts["taken"] + receiver.counts["repeated"]
        receiver.close()

    def with_a_server_that_dies(self) -> None:
        """The server is killed before one of the pull's requests, and comes back while the puller tries again."""

        back = threading.Thread(target=self.server.start)

        def die() -> None:
            self.server.kill()
            back.start()

        with self.proxy.disturb(self.rng, die, self.rng.randrange(2, 8)):
            self.pull(full=True, tries=self.rng.choice([2, 8]))
        if back.ident is None:  # the pull had fewer requests
            die()
        back.join()
        self.restarts += 1

    def finish(self) -> None:
        """The last pull before a commit, killed once; then the commit."""
        with self.proxy.disturb(self.rng):
            self.pull(full=True, point=self.rng.choice(STEPS))
            self.pull_through(full=True)
        for lake in (self.asked.lake, self.calm):
            if lake is self.calm:
                pull.run(lake, self.asked.settings, self.asked.studio, full=True, now=NOW)
            commit.run(lake, Settings(), now=NOW)

    def close(self) -> None:
        self.asked.close()
        self.calm.close()


def state(lake: Lake) -> dict[str, Any]:
    """What holds: answers without the way they took (seq, state), and labels."""
    rows = [row for row in lake.latest("annotations", lake.at()).to_pylist() if row["state"] != "deleted"]
    names = ("annotation_id", "batch", "sample_id", "annotator", "answer", "label", "seconds", "origin")
    labels = lake.latest("labels", lake.at(), ["sample_id", "label", "source", "actor"]).to_pylist()
    return {"annotations": [{name: row[name] for name in names} for row in rows], "labels": labels}


def doubled(lake: Lake) -> list[Any]:
    """States of answers that were taken though nothing had changed."""
    last: dict[str, Any] = {}
    found = []
    for row in lake.read("annotations", lake.at()).sort_by("seq").to_pylist():
        said = row["answer"], row["label"], row["seconds"], row["origin"], row["state"] == "deleted"
        if last.get(row["annotation_id"]) == said:
            found.append(row)
        last[row["annotation_id"]] = said
    return found


@pytest.mark.parametrize("n", [pytest.param(5, id="5"), pytest.param(MANY, id="many", marks=pytest.mark.soak)])
def test_all_runs_end_in_the_answers_and_labels_of_the_undisturbed_one(
    label_studio: LabelStudio,
    proxy: Proxy,
    puller: Puller,
    tmp_path: Path,
    record: Callable[..., None],
    n: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "PAGE", 3)
    totals = {"kills": 0, "server_restarts": 0, "webhooks": 0, "answers": 0}
    for seed in range(n):
        run = Run(label_studio, proxy, puller, tmp_path / str(seed), seed)
        try:
            run.act(6)
            run.killed_here_and_there()
            assert state(run.asked.lake) == state(run.pulled_once()), seed
            run.with_doubled_webhooks()
            run.act(4)
            run.with_a_server_that_dies()
            run.finish()
            assert state(run.asked.lake) == state(run.calm), seed
            assert doubled(run.asked.lake) == [], seed
            assert run.asked.pull(full=True)["version"] is None, seed
            totals["kills"] += run.kills
            totals["server_restarts"] += run.restarts
            totals["webhooks"] += run.hooks
            totals["answers"] += len(run.given)
        finally:
            run.close()
    assert totals["kills"] >= n
    assert totals["server_restarts"] == n
    record("review faults", n=n, **totals, lost_or_doubled=0)


def test_a_puller_that_dies_after_any_step_loses_and_doubles_nothing(
    label_studio: LabelStudio, proxy: Proxy, puller: Puller, tmp_path: Path
) -> None:
    run = Run(label_studio, proxy, puller, tmp_path, 7)
    try:
        first, *_ = run.asked.task
        number = run.asked.say(run.people[0], first, "cat")
        for n, step in enumerate(STEPS):
            run.asked.change(run.people[0], number, ("dog", "cat")[n % 2], lead_time=float(n))
            assert run.pull(point=step, full=n % 2 == 0 or "listed" in step) in (-9, 0), step
            assert run.pull(full=n % 2 == 1) == 0
            held = [row["seconds"] for row in state(run.asked.lake)["annotations"] if row["sample_id"] == first]
            assert held == [float(n)], step
        assert run.kills >= len(STEPS) - 2, "listed, or of_tasks, belong to one of the two ways to read"
        run.finish()
        assert state(run.asked.lake) == state(run.calm)
        assert doubled(run.asked.lake) == []
    finally:
        run.close()
