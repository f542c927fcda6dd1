"""Pull from a real Label Studio: answers come onto the right pictures, each exactly once, changed and deleted ones too."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.lake.answers import answers
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.pull import complaints
from secondlook.jobs.studio import archive, changes, pull, reconcile
from secondlook.jobs.studio.client import GoneError, connect
from secondlook.jobs.studio.token import Token
from secondlook.labeling.studio import tasks
from secondlook.pipeline.core.errors import UnavailableError, UserError

from .asking import Asked, api, ask, said
from .label_studio import LabelStudio, Person


@pytest.fixture
def asked(label_studio: LabelStudio, tmp_path: Path) -> Iterator[Asked]:
    made = ask(label_studio, tmp_path / "lake")
    yield made
    made.close()


@pytest.fixture
def ann(label_studio: LabelStudio) -> Person:
    return label_studio.sign_up("Ann@example.com")


@pytest.fixture
def bob(label_studio: LabelStudio) -> Person:
    return label_studio.sign_up("bob@example.com")


def counted(summary: dict[str, Any]) -> dict[str, int]:
    return {name: summary[name] for name in ("added", "changed", "deleted") if summary[name]}


def test_answers_come_back_by_id_and_only_once(asked: Asked, ann: Person, bob: Person) -> None:
    one, _, three, *_ = asked.task
    asked.say(ann, three, "dog")
    number = asked.say(bob, one, "cat", lead_time=2.5)
    asked.say(ann, one, "answer-unsure")
    summary = asked.pull()
    assert counted(summary) == {"added": 3}
    assert summary["batches"] == ["batch-2"]
    expected = {(three, "ann@example.com"): "dog", (one, "bob@example.com"): "cat", (one, "ann@example.com"): "unsure"}
    assert asked.answers() == expected
    row = next(r for r in asked.lake.latest("annotations", asked.lake.at()).to_pylist() if r["annotator"][0] == "b")
    assert (row["seconds"], row["state"]) == (2.5, "submitted")
    assert row["origin"] == f"label-studio:127.0.0.1:{asked.server.port}/{asked.project}/{number}"
    head = asked.lake.head()
    for full in (False, True):
        assert counted(asked.pull(full=full)) == {}
    assert asked.lake.head() == head, "nothing new makes no version"


def test_changed_and_deleted_answers_are_taken_with_their_earlier_states_kept(
    asked: Asked, ann: Person, bob: Person
) -> None:
    one, two, *_ = asked.task
    first, second = asked.say(ann, one, "dog"), asked.say(bob, two, "cat")
    asked.pull()
    asked.change(ann, first, "cat")
    asked.take_back(bob, second)
    assert counted(asked.pull()) == {"changed": 1, "deleted": 1}
    assert asked.answers() == {(one, "ann@example.com"): "cat"}
    states = [
        (row["annotator"], row["label"], row["state"])
        for row in asked.lake.read("annotations", asked.lake.at()).sort_by("seq").to_pylist()
        if row["annotator"] == "ann@example.com"
    ]
    assert states == [("ann@example.com", "dog", "submitted"), ("ann@example.com", "cat", "changed")]
    asked.say(bob, two, "cat")
    assert counted(asked.pull()) == {"changed": 1}, "given again after it was deleted"
    assert answers(asked.lake, asked.lake.at()).num_rows == 2


def test_of_several_answers_of_a_person_for_a_picture_the_newest_holds(asked: Asked, ann: Person) -> None:
    one, two, *_ = asked.task
    old, new = asked.say(ann, one, "dog"), asked.say(ann, one, "cat")
    asked.pull()
    assert asked.answers() == {(one, "ann@example.com"): "cat"}
    asked.take_back(ann, new)
    asked.pull()
    assert asked.answers() == {(one, "ann@example.com"): "dog"}, "the one that is left"
    asked.change(ann, old, "bird")
    asked.say(ann, two, "bird")
    asked.pull(full=True)
    assert asked.answers() == {(one, "ann@example.com"): "bird", (two, "ann@example.com"): "bird"}


def test_skips_marks_and_drafts_are_no_answers(asked: Asked, ann: Person) -> None:
    one, two, three, *_ = asked.task
    ann.post(f"/api/tasks/{asked.task[one]}/annotations/", {"result": [], "was_cancelled": True}).raise_for_status()
    number = asked.say(ann, two, "cat")
    draft = {"result": said("dog")["result"], "lead_time": 1.0}
    ann.post(f"/api/tasks/{asked.task[three]}/drafts", draft).raise_for_status()
    assert counted(asked.pull()) == {"added": 1}
    assert counted(asked.pull(full=True)) == {}
    api(ann, "PATCH", f"/api/annotations/{number}/", {"was_cancelled": True})
    assert counted(asked.pull()) == {"deleted": 1}, "an answer that was skipped later is none any more"


def test_what_can_not_be_believed_is_refused_by_reason_and_kept(asked: Asked, ann: Person, bob: Person) -> None:
    one, two, three, four, *_ = asked.task
    api(asked.server.admin, "PATCH", f"/api/tasks/{asked.task[one]}/", {"data": data(asked, one, ticket="x")})
    api(asked.server.admin, "PATCH", f"/api/tasks/{asked.task[two]}/", {"data": data(asked, two, batch="batch-7")})
    for sample in (one, two):
        asked.say(ann, sample, "cat")
    several = said("cat")["result"][0] | {"value": {"choices": ["a", "b"]}}
    asked.say(ann, three, "cat", result=[several])
    elephant = asked.say(bob, three, "elephant")
    asked.say(ann, four, "cat", lead_time=1e300)
    summary = asked.pull()
    assert counted(summary) == {"added": 1}
    assert sum(summary["refused"].values()) == 4
    assert len(summary["refused"]) == 4
    assert asked.answers() == {(four, "ann@example.com"): "cat"}
    refused = asked.lake.latest("refused_answers", asked.lake.at()).to_pylist()
    assert {(row["sample_id"], row["annotator"]) for row in refused} == {
        (None, "ann@example.com"),
        (two, "ann@example.com"),
        (three, "ann@example.com"),
        (three, "bob@example.com"),
    }
    assert {json.loads(row["raw"])["task"] for row in refused} == {asked.task[one], asked.task[two], asked.task[three]}
    assert asked.pull(full=True)["version"] is None, "refused before: nothing new"
    asked.change(bob, elephant, "bird")
    assert counted(asked.pull()) == {"added": 1}
    reasons = {
        row["origin"]: row["reason"] for row in asked.lake.latest("refused_answers", asked.lake.at()).to_pylist()
    }
    assert list(reasons.values()).count(None) == 1, "taken since"


def test_a_task_that_an_annotator_edited_is_told(asked: Asked, ann: Person, bob: Person) -> None:
    """The picture, what stands behind a choice, or which sample it is: each is another question than was asked."""
    one, two, three, four, *_ = asked.task
    options = [dict(option) for option in data(asked, two)["options"]]
    options[0]["alias"], options[1]["alias"] = options[1]["alias"], options[0]["alias"]
    other = data(asked, four)["ticket"]
    for sample, changed in ((one, {"image": "/static/9.png"}), (two, {"options": options}), (three, {"ticket": other})):
        api(bob, "PATCH", f"/api/tasks/{asked.task[sample]}/", {"data": data(asked, sample, **changed)})
        asked.say(ann, sample, "cat")
    assert asked.pull()["refused"] == {"its task was changed after it was sent": 3}
    assert asked.answers() == {}


def test_a_time_that_the_tool_can_not_read_any_more_stops_nobody_else(asked: Asked, ann: Person, bob: Person) -> None:
    one, two, *_ = asked.task
    endless = json.dumps(said("dog")).replace("4.0", "1e400")
    headers = {"X-CSRFToken": bob.cookies()["csrftoken"], "Content-Type": "application/json"}
    bob.session.post(f"/api/tasks/{asked.task[one]}/annotations/", content=endless, headers=headers)
    asked.say(ann, two, "cat")
    assert counted(asked.pull()) == {"added": 2}
    assert asked.answers() == {(one, "bob@example.com"): "dog", (two, "ann@example.com"): "cat"}


def test_an_answer_in_another_s_name_is_told(asked: Asked, ann: Person, bob: Person) -> None:
    one, *_ = asked.task
    whoami = ann.session.get("/api/current-user/whoami").json()["id"]
    asked.say(bob, one, "cat", completed_by=whoami)
    assert asked.pull()["refused"] == {"it was given in another's name": 1}
    mine = asked.say(ann, one, "cat")
    assert counted(asked.pull()) == {"added": 1}
    asked.change(bob, mine, "dog")
    assert asked.pull()["refused"] == {"it was given in another's name": 1}
    assert asked.answers() == {(one, "ann@example.com"): "cat"}, "what she said before stays"


def test_two_tasks_of_a_picture_are_one_and_the_newest_answer_stays(asked: Asked, ann: Person) -> None:
    one, *_ = asked.task
    asked.say(ann, one, "cat")
    twin = api(asked.server.admin, "POST", "/api/tasks/", {"data": data(asked, one), "project": asked.project})
    asked.task[one] = twin.json()["id"]
    asked.say(ann, one, "dog")
    assert counted(asked.pull()) == {"added": 1}
    for full in (True, False, True):
        assert counted(asked.pull(full=full)) == {}
        assert asked.answers() == {(one, "ann@example.com"): "dog"}
    api(asked.server.admin, "DELETE", f"/api/tasks/{asked.task[one]}/")
    asked.pull(full=True)
    assert asked.answers() == {(one, "ann@example.com"): "cat"}, "the first task still has an answer"


def test_a_task_that_names_another_picture_later_moves_no_answer(asked: Asked, ann: Person) -> None:
    one, two, *_ = asked.task
    number = asked.say(ann, one, "dog")
    asked.pull()
    api(asked.server.admin, "PATCH", f"/api/tasks/{asked.task[one]}/", {"data": data(asked, two)})
    asked.change(ann, number, "cat")
    for full, refused in ((False, {"its task named another picture when it was first taken": 1}), (True, {})):
        assert asked.pull(full=full)["refused"] == refused, "said once"
        assert asked.answers() == {(one, "ann@example.com"): "dog"}


def data(asked: Asked, sample: str, **other: Any) -> dict[str, Any]:
    """A task's data with something else in it."""
    held = asked.studio.get(f"/api/tasks/{asked.task[sample]}/")["data"]
    return dict(held) | other


def test_deleted_tasks_are_noticed_before_a_commit(asked: Asked, ann: Person) -> None:
    one, two, three, *_ = asked.task
    for sample in (one, two, three):
        asked.say(ann, sample, "cat")
    asked.pull()
    api(asked.server.admin, "DELETE", f"/api/tasks/{asked.task[one]}/")
    listed = {"all": False, "included": [asked.task[two]]}
    api(
        asked.server.admin,
        "POST",
        f"/api/dm/actions?id=delete_tasks_annotations&project={asked.project}",
        {"selectedItems": listed},
    )
    assert counted(asked.pull()) == {"deleted": 1}, "a deleted task does not show up as changed"
    assert counted(asked.pull(full=True)) == {"deleted": 1}
    assert asked.answers() == {(three, "ann@example.com"): "cat"}


def test_what_a_dying_server_saved_half_is_taken_before_a_commit(asked: Asked, ann: Person, monkeypatch: Any) -> None:
    """The answer is there, its task was never touched; brought about in the server's database, whose process is stopped."""
    import sqlite3

    one, two, *_ = asked.task
    asked.say(ann, one, "cat")
    asked.say(ann, two, "dog")
    asked.server.stop()
    database = sqlite3.connect(asked.server.data / "label_studio.sqlite3")
    with database:
        database.execute(
            "update task set updated_at = created_at, updated_by_id = null, total_annotations = 0, is_labeled = 0 where id = ?",
            (asked.task[two],),
        )
    database.close()
    asked.server.start()
    asked.pull()
    assert asked.answers() == {(one, "ann@example.com"): "cat"}
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", asked.server.admin.token)
    assert reconcile.before_commit(asked.lake, asked.settings, offline=True) is None
    summary = reconcile.before_commit(asked.lake, asked.settings)
    assert summary is not None
    assert counted(summary) == {"added": 1}
    assert asked.answers() == {(one, "ann@example.com"): "cat", (two, "ann@example.com"): "dog"}


def test_a_project_that_vanished_takes_no_answer_with_it(asked: Asked, ann: Person) -> None:
    one, *_ = asked.task
    asked.say(ann, one, "cat")
    asked.pull()
    foreign = {"description": "somebody's own", "title": "cats"}
    held = asked.studio.get(f"/api/projects/{asked.project}/")
    asked.studio.patch(f"/api/projects/{asked.project}/", foreign)
    api(asked.server.admin, "DELETE", f"/api/tasks/{asked.task[one]}/")
    assert asked.pull(full=True)["vanished"] == ["batch-2"], "the number is another project's"
    assert asked.answers() == {(one, "ann@example.com"): "cat"}
    asked.studio.patch(f"/api/projects/{asked.project}/", {"description": held["description"]})
    asked.studio.delete(f"/api/projects/{asked.project}/")
    for full in (False, True):
        assert asked.pull(full=full)["vanished"] == ["batch-2"]
    assert asked.answers() == {(one, "ann@example.com"): "cat"}


def test_more_than_a_page_is_read_whole_whatever_the_order(
    label_studio: LabelStudio, tmp_path: Path, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(label_studio, tmp_path / "lake", n=23)
    expected = {}
    for n, sample in enumerate(asked.task):
        if n % 5:
            asked.say(ann, sample, "cat" if n % 2 else "dog")
            expected[sample, "ann@example.com"] = "cat" if n % 2 else "dog"
    monkeypatch.setattr(changes, "PAGE", 3)
    asked.pull()
    assert asked.answers() == expected
    found, _ = changes.listed(asked.studio, asked.project)
    assert {one.task for one in found.values()} == {asked.task[sample] for sample, _ in expected}
    asked.close()


def test_the_number_stands_for_the_person_where_names_are_not_wanted(
    label_studio: LabelStudio, tmp_path: Path, ann: Person
) -> None:
    asked = ask(label_studio, tmp_path / "lake", annotators="number")
    one, two, *_ = asked.task
    asked.say(ann, one, "cat")
    asked.pull()
    assert asked.answers() == {(one, f"user-{ann.id}"): "cat"}
    asked.say(ann, two, tasks.NONE)
    asked.pull()
    assert asked.answers() == {(one, f"user-{ann.id}"): "cat", (two, f"user-{ann.id}"): "none of these"}
    asked.close()


def test_two_pulls_at_once_take_each_answer_once(asked: Asked, ann: Person, bob: Person) -> None:
    for sample in asked.task:
        asked.say(ann, sample, "cat")
        asked.say(bob, sample, "dog")
    begin = threading.Barrier(3)

    def pulling() -> dict[str, Any]:
        own = connect(asked.settings, Token(asked.server.admin.token))
        lake = Lake(asked.lake.root)
        begin.wait()
        try:
            return pull.run(lake, asked.settings, own)
        finally:
            lake.close()
            own.close()

    with ThreadPoolExecutor(3) as pool:
        summaries = [one.result() for one in [pool.submit(pulling) for _ in range(3)]]
    rows = asked.lake.read("annotations", asked.lake.at())
    assert rows.num_rows == len(asked.answers()) == 12
    assert len({one["version"] for one in summaries} - {None}) == 1


def test_a_batch_is_archived_when_it_is_answered_and_asked_no_more(asked: Asked, ann: Person) -> None:
    *most, last = asked.task
    for sample in most:
        asked.say(ann, sample, "cat")
    with pytest.raises(UserError, match="1 of 6 pictures of batch-2 wait for an answer"):
        archive.run(asked.lake, asked.settings, asked.studio, "batch-2")
    with pytest.raises(UserError, match="unknown batch in Label Studio 'batch-9'"):
        archive.run(asked.lake, asked.settings, asked.studio, "batch-9")
    asked.say(ann, last, "dog")
    for n in range(2):
        summary = archive.run(asked.lake, asked.settings, asked.studio, "batch-2")
        assert (summary["tasks"], summary["finished"], summary["version"] is None) == (6, 6, n == 1)
    assert len(asked.answers()) == 6, "the last answers came with it"
    asked.say(ann, last, "cat")
    assert asked.pull(full=True)["projects"] == 0
    title = asked.studio.get(f"/api/projects/{asked.project}/")["title"]
    assert title == "[archived] batch-2"
    archive.run(asked.lake, asked.settings, asked.studio, "batch-2", remove=True)
    with pytest.raises(GoneError):
        asked.studio.get(f"/api/projects/{asked.project}/")
    assert len(asked.answers()) == 6


def test_batches_of_another_server_are_said(asked: Asked) -> None:
    attempt = asked.lake.attempt("review push", {"other": True})
    other = {"batch": "batch-1", "server": "https://old.example.org", "project": 4, "state": "sent", "tasks": 1}
    attempt.append("projects", rows("projects", [other]))
    attempt.commit({})
    summary = asked.pull()
    assert (summary["projects"], summary["elsewhere"]) == (1, {"batch-1": "https://old.example.org"})
    assert complaints(summary) == [
        "batch-1 is answered at https://old.example.org, which is not [label_studio] url; it was not asked"
    ]


def test_a_server_that_is_away_is_said_to_be_and_changes_nothing(
    asked: Asked, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", asked.server.admin.token)
    asked.say(ann, next(iter(asked.task)), "cat")
    head = asked.lake.head()
    asked.server.kill()
    try:
        asked.studio._tries = 2
        with pytest.raises(UnavailableError, match="does not answer"):
            asked.pull()
        with pytest.raises(
            UnavailableError, match=r"does not answer.*; --offline decides on the answers that are here"
        ):
            reconcile.before_commit(asked.lake, asked.settings)
    finally:
        asked.server.start()
    assert asked.lake.head() == head
    assert counted(asked.pull()) == {"added": 1}
