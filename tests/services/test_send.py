"""A batch goes to a real Label Studio: once, whole, in order, and with nothing in it that gives an answer away."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from secondlook.jobs.lake.records import rows
from secondlook.jobs.studio import batch_project
from secondlook.jobs.studio.client import connect
from secondlook.jobs.studio.plan import plan_of
from secondlook.jobs.studio.send import send
from secondlook.jobs.studio.token import Token
from secondlook.labeling.studio import tasks
from secondlook.pipeline.core.errors import UnavailableError, UserError
from secondlook.pipeline.core.identity import content_id

from .label_studio import LabelStudio
from .sending import NOW, Killed, Waiting, answer, next_task, train, waiting

CLASSES = ("bird", "cat", "dog", "eel")
Begin = Callable[..., Waiting]


@pytest.fixture
def begin(label_studio: LabelStudio, tmp_path: Path, picture: Callable[..., bytes]) -> Iterator[Begin]:
    """A lake of n made pictures with labels in turn, and a model that is sure of all of them: `begin(n=6, **settings)`."""
    opened: list[Any] = []

    def make(n: int = 6, **tool: Any) -> Waiting:
        known = [(f"{CLASSES[i % 4]}/{i}.png", CLASSES[i % 4], picture(i)) for i in range(n)]
        context = waiting(label_studio, tmp_path / f"lake{len(opened)}", known, CLASSES, **tool)
        made = context.__enter__()
        opened.append(context)
        train(made.lake, {content_id(data): label for _, label, data in known}, CLASSES)
        return made

    yield make
    for context in opened:
        context.__exit__(None, None, None)


def states(made: Waiting) -> list[tuple[str, int]]:
    rows = made.lake.read("projects", made.lake.at()).sort_by("seq").to_pylist()
    return [(row["state"], row["tasks"]) for row in rows]


def test_a_batch_becomes_a_project_with_its_tasks_in_order_and_a_second_sending_adds_nothing(begin: Begin) -> None:
    made = begin(8)
    made.record("batch-order", made.samples[5::-1], options=["cat", "dog"], people=3)
    first = send(made.lake, made.settings, made.studio, "batch-order")
    head = made.lake.head()
    again = send(made.lake, made.settings, made.studio, "batch-order")
    assert (first["tasks"], first["sent"], again["sent"], again["version"]) == (6, 6, 0, None)
    assert made.lake.head() == head
    assert states(made) == [("made", 0), ("sent", 6)]
    (project,) = made.projects("batch-order")
    assert plan_of(made.lake, made.lake.at(), "batch-order").mark in project["description"]
    assert (project["maximum_annotations"], project["show_skip_button"]) == (3, False)
    found = made.tasks(project["id"])
    assert [one["data"]["ticket"] for one in found] == made.tickets("batch-order", made.samples[5::-1])
    assert {json.dumps(one["data"]["options"]) for one in found} == {json.dumps(found[0]["data"]["options"])}
    aliases = [one["alias"] for one in found[0]["data"]["options"]]
    assert aliases == [tasks.code("cat"), tasks.code("dog"), tasks.NONE, tasks.UNSURE, tasks.BAD]


def test_wherever_it_is_killed_or_times_out_it_ends_with_one_project_and_one_task_each(begin: Begin) -> None:
    """After each request that changes something: make, references, twice pictures and tasks, open."""
    made = begin(7, page=2)
    whole = made.strike(0, Killed)
    made.record("batch-whole", made.samples[:3], options=["cat", "dog"])
    send(made.lake, made.settings, whole, "batch-whole")
    assert whole.writes == 7
    for blow, places in ((Killed, range(1, 8)), (UnavailableError, (1, 2, 3, 4))):
        for at in places:
            batch = f"batch-{blow.__name__}-{at}"
            made.record(batch, made.samples[:3], options=["cat", "dog"])
            try:
                send(made.lake, made.settings, made.strike(at, blow), batch)
                assert blow is UnavailableError, batch
            except Killed:
                send(made.lake, made.settings, made.studio, batch)
            (project,) = made.projects(batch)
            there = [one["data"]["ticket"] for one in made.tasks(project["id"])]
            assert there == made.tickets(batch, made.samples[:3]), batch
            assert tasks.ANSWER in project["label_config"], batch


def test_two_who_send_at_once_leave_one_project_without_duplicates(begin: Begin) -> None:
    """The second has looked before the first made anything: as if both had begun at one moment."""
    made = begin(4)
    made.record("batch-twice", made.samples, options=["cat", "dog"])
    plan = plan_of(made.lake, made.lake.at(), "batch-twice")
    twin = batch_project._make(made.studio, plan, show_guess=False)
    first = send(made.lake, made.settings, made.studio, "batch-twice")
    data = [{"data": one["data"]} for one in made.tasks(first["project"])]
    made.studio.post(f"/api/projects/{first['project']}/import", json=data[:2])  # and its tasks came too late
    late = batch_project._make(made.studio, plan, show_guess=False)
    assert len(made.projects("batch-twice")) == 2
    again = send(made.lake, made.settings, made.studio, "batch-twice")
    assert (first["project"], again["tasks"]) == (twin, 4)
    assert [one["id"] for one in made.projects("batch-twice")] == [twin] != [late]


def test_of_two_equal_tasks_the_answered_one_stays(begin: Begin) -> None:
    made = begin(2)
    made.record("batch-kept", made.samples, options=["cat", "dog"])
    project = send(made.lake, made.settings, made.studio, "batch-kept")["project"]
    first = made.tasks(project)[0]
    late = made.studio.post(f"/api/projects/{project}/import", json=[{"data": first["data"]}], return_task_ids="true")
    answer(made.server.admin, late["task_ids"][0], tasks.code("cat"))
    send(made.lake, made.settings, made.studio, "batch-kept")
    left = {one["id"]: one["total_annotations"] for one in made.tasks(project)}
    assert left == {made.tasks(project)[0]["id"]: 0, late["task_ids"][0]: 1}
    assert first["id"] not in left


def test_who_answered_before_is_not_asked_again_but_others_are(begin: Begin) -> None:
    """Also where the picture was asked for under another sample_id: it is the content that was answered."""
    made = begin(3)
    anna, ben = (made.server.sign_up(f"{name}.asked@example.com") for name in ("Anna", "ben"))
    said = {"batch": "batch-old", "answer": "unsure", "state": "submitted", "time": NOW}
    earlier = [
        said | {"annotation_id": n, "sample_id": made.samples[0], "annotator": n} for n in (anna.email.lower(), "x")
    ]
    attempt = made.lake.attempt("review pull", {"n": 1}, base=made.lake.at())
    attempt.append("annotations", rows("annotations", earlier))
    attempt.commit({})
    made.record("batch-again", made.samples, options=["cat", "dog"])
    project = send(made.lake, made.settings, made.studio, "batch-again")["project"]
    first, second, third = (one["id"] for one in made.tasks(project))
    assert next_task(anna, project) == second
    answer(anna, second, tasks.code("dog"))
    assert next_task(anna, project) == third
    answer(anna, third, tasks.code("dog"))
    assert next_task(anna, project) is None, "the first is nothing for her, in no queue"
    assert next_task(ben, project) == first, "and is not done by what she said before"
    answer(ben, first, tasks.code("cat"))
    assert next_task(ben, project) is None
    assert [one["total_annotations"] for one in made.tasks(project)] == [1, 1, 1]


def test_nothing_that_an_annotator_sees_tells_label_guess_strategy_or_gold(begin: Begin) -> None:
    made = begin(8)
    attempt = made.lake.attempt("gold", {"n": 1}, base=made.lake.at())
    known = {"sample_id": made.samples[5], "label": "cat", "source": "supplied", "actor": "x", "time": NOW}
    attempt.append("gold", rows("gold", [known]))
    attempt.commit({})
    made.record("batch-blind", made.samples[:2], strategy="gold", options=["cat", "bird"], group="bird-cat")
    project = send(made.lake, made.settings, made.studio, "batch-blind")["project"]
    anna = made.server.sign_up("anna.blind@example.com")
    first = anna.session.get(f"/api/projects/{project}/next/").json()
    assert set(first["data"]) == {"batch", "ticket", "image", "options", "seal"}
    [ticket] = made.tickets("batch-blind", made.samples[:1])
    assert re.fullmatch(rf"/data/upload/{project}/[0-9a-f]{{8}}-{ticket}\.png", first["data"]["image"])
    assert not first["predictions"]
    assert not first["annotations"]
    seen = json.dumps([one["data"] for one in made.tasks(project)]) + json.dumps(made.projects("batch-blind"))
    for telling in ("gold", "SL101", "bird/0", "bird-cat", "guess", made.server.admin.token, *made.samples):
        assert telling not in seen
    choices = {one["alias"]: one["html"] for one in first["data"]["options"]}
    assert [choices[tasks.code(name)].count("<img") for name in ("bird", "cat")] == [1, 0], (
        "bird/4; cat/5 is gold, cat/1 asked"
    )


def test_a_guess_is_shown_only_where_it_is_asked_for_and_never_in_an_audit(begin: Begin) -> None:
    made = begin(3)
    made.record("batch-guess", made.samples[:1], options=["cat", "dog"])
    project = send(made.lake, made.settings, made.studio, "batch-guess", show_guess=True)["project"]
    assert made.tasks(project)[0]["data"]["guess"] == "The model's guess: bird (95%)"
    send(made.lake, made.settings, made.studio, "batch-guess")
    assert "$guess" in made.projects("batch-guess")[0]["label_config"], "it stays as it was begun"
    made.record("batch-plain", made.samples[:1], options=["cat", "dog"])
    send(made.lake, made.settings, made.studio, "batch-plain")
    with pytest.raises(UserError, match="batch-plain was begun without --show-guess"):
        send(made.lake, made.settings, made.studio, "batch-plain", show_guess=True)
    made.record("batch-audit", made.samples[:1], strategy="audit")
    with pytest.raises(UserError, match="worth something only without --show-guess"):
        send(made.lake, made.settings, made.studio, "batch-audit", show_guess=True)


@pytest.mark.parametrize("way", ["upload", "folder"])
def test_pictures_are_shown_to_who_is_logged_in_and_tell_nothing_of_their_file(
    label_studio: LabelStudio, tmp_path: Path, way: str
) -> None:
    image = Image.fromarray(np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90, comment=b"label: cat", exif=_exif("a cat at 48.2 N"))
    tool = {"pictures": way, "folder": str(label_studio.folder)}
    with waiting(label_studio, tmp_path / "lake", [("cat/1.jpg", "cat", stream.getvalue())], CLASSES, **tool) as made:
        made.record("batch-shown", made.samples)
        project = send(made.lake, made.settings, made.studio, "batch-shown")["project"]
        url = made.tasks(project)[0]["data"]["image"]
        shown = label_studio.sign_up("anna.shown@example.com").session.get(url)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/jpeg")
        assert b"cat" not in shown.content
        assert b"Exif" not in shown.content
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown.content))), np.asarray(Image.open(stream)))
        assert httpx.get(label_studio.url + url).status_code in {401, 403, 302}
        again = send(made.lake, made.settings, made.studio, "batch-shown")
        assert again["sent"] == 0


def test_a_folder_serves_its_own_pictures_and_nothing_beside(label_studio: LabelStudio, tmp_path: Path) -> None:
    (label_studio.folder / "secret.txt").write_text("no")
    anna = label_studio.sign_up("anna.folder@example.com")
    for path in ("secret.txt", "../server.log", "secondlook-x/../secret.txt"):
        shown = anna.session.get(f"/data/local-files/?d={path}")
        assert shown.status_code >= 400, path
        assert shown.content != b"no", path


def test_the_token_is_in_no_table_log_or_message(
    begin: Begin, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    made = begin(2)
    made.record("batch-secret", made.samples)
    summary = send(made.lake, made.settings, made.studio, "batch-secret")
    stranger = Token("wrong-" + made.server.admin.token[:40])
    with pytest.raises(UserError, match="does not take the token") as refused:
        connect(made.settings, stranger)
    told = json.dumps(summary) + str(refused.value) + repr(refused.value) + repr(made.studio) + repr(stranger)
    streams = capfd.readouterr()
    told += caplog.text + streams.out + streams.err + made.server.log.read_text(errors="replace")
    written = b"".join(path.read_bytes() for path in Path(made.lake.root).rglob("*") if path.is_file())
    for secret in (made.server.admin.token, stranger.reveal()):
        assert secret not in told
        assert secret.encode() not in written
    assert "batch-secret" in told


def _exif(text: str) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = text  # ImageDescription
    return exif
