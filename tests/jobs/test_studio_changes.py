"""Reading a project whole: against a server that answers one page at a time, in any order, cut short, while tasks come and go."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.jobs.studio import changes
from secondlook.pipeline.core.errors import UnavailableError

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def rng(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311


class Tool:
    """What Label Studio's list of tasks is to a reader: filters by id and time, a page of some tasks, and how many there are in all."""

    def __init__(self, rng: random.Random | None, ids: list[int]) -> None:
        self.rng, self.minute, self.requests = rng, 0, 0
        self.tasks = dict.fromkeys(ids, BEGIN)
        self.touched: set[int] = set()
        self.gone: set[int] = set()

    def get(self, path: str, **parameters: Any) -> Any:
        """GET /api/tasks."""
        assert path == "/api/tasks"
        self.requests += 1
        assert self.requests < 5_000, "reading comes to an end"
        query = json.loads(parameters["query"])
        rows = [task for task in self.tasks.items() if all(_fits(task, one) for one in query["filters"]["items"])]
        (order,) = query["ordering"]
        rows.sort(
            key=lambda row: (row[1], row[0] * 7919 % 401) if "updated_at" in order else row[0], reverse=order[0] == "-"
        )
        some = rows[: parameters["page_size"]]
        if self.rng and self.rng.random() < 0.3:
            some = some[: self.rng.randrange(1, len(some) + 1)] if some else some
        if self.rng:
            self.rng.shuffle(some)
            self._happen(self.rng)
        return {
            "tasks": [{"id": n, "updated_at": t.isoformat(), "annotations": []} for n, t in some],
            "total": len(rows),
        }

    def _happen(self, rng: random.Random) -> None:
        """Somebody answers, or deletes a task, between two requests."""
        self.minute += 1
        if self.tasks and rng.random() < 0.3:
            number = rng.choice(list(self.tasks))
            if rng.random() < 0.3:
                del self.tasks[number]
                self.gone.add(number)
            else:
                self.tasks[number] = BEGIN + timedelta(minutes=self.minute)
                self.touched.add(number)


def _fits(task: tuple[int, datetime], one: dict[str, Any]) -> bool:
    number, time = task
    match one["filter"].removeprefix("filter:tasks:"), one["operator"]:
        case "id", "greater":
            return number > int(one["value"])
        case "id", "less_or_equal":
            return number <= int(one["value"])
        case "updated_at", "greater_or_equal":
            return time >= datetime.fromisoformat(one["value"])
        case _:
            return True


@settings(max_examples=60)
@given(st.sets(st.integers(1, 400), max_size=60), st.integers(0, 2**32))
def test_nothing_that_was_there_all_the_time_is_missed_and_the_cursor_is_not_ahead(ids: set[int], seed: int) -> None:
    tool = Tool(rng(seed), sorted(ids))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "PAGE", 4)
        found, newest = changes.touched(tool, 3, None, 0.0)
    assert found.keys() >= ids - tool.gone
    assert found.keys() <= ids
    seen_late = [
        number
        for number in found.keys() & tool.tasks.keys()
        if found[number]["updated_at"] != tool.tasks[number].isoformat()
    ]
    assert newest is None or all(tool.tasks[number] > newest for number in seen_late), "the next read sees it"


@given(st.sets(st.integers(1, 400), min_size=1, max_size=60), st.integers(0, 2**32))
@settings(max_examples=30)
def test_reads_one_after_another_miss_no_state(ids: set[int], seed: int) -> None:
    """Each read begins where the one before stopped; in the end the newest state of each task was read."""
    tool = Tool(rng(seed), sorted(ids))
    held: dict[int, str] = {}
    since: datetime | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "PAGE", 4)
        for _ in range(4):
            found, since = changes.touched(tool, 3, since, 0.0)
            held |= {number: task["updated_at"] for number, task in found.items()}
        tool.rng = None  # now nothing happens any more
        found, _ = changes.touched(tool, 3, since, 0.0)
        held |= {number: task["updated_at"] for number, task in found.items()}
    assert {number: held[number] for number in tool.tasks} == {n: t.isoformat() for n, t in tool.tasks.items()}


def test_few_requests_read_many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little more than one request a page, though numbers are missing between."""
    monkeypatch.setattr(changes, "PAGE", 50)
    ids = [number for number in range(100_000, 104_500) if number % 3]
    tool = Tool(None, ids)
    found, _ = changes.touched(tool, 3, None, 0.0)
    assert sorted(found) == ids
    assert tool.requests <= 3 + 1.3 * len(ids) / 50


def test_an_answer_that_is_no_list_of_tasks_is_said_to_be_none() -> None:
    class Odd:
        def get(self, path: str, **parameters: Any) -> Any:
            return {"detail": "welcome"}

    with pytest.raises(UnavailableError, match="in a way that is not known"):
        changes.touched(Odd(), 3, None, 0.0)
