"""Pull from a real Label Studio: answers come onto the right pictures, each exactly once, changed and deleted ones too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .asking import Asked, ask
from .label_studio import LabelStudio


@pytest.fixture
def asked(label_studio: LabelStudio, tmp_path: Path) -> Iterator[Asked]:
    made = ask(label_studio, tmp_path / "lake")
    yield made
    made.close()


def test_answers_come_back_by_id_and_only_once(asked: Asked) -> None:
    ann, bob = asked.server.sign_up("Ann@example.com"), asked.server.sign_up("bob@example.com")
    one, _, three, *_ = asked.task
    asked.say(ann, three, "dog")
    asked.say(bob, one, "cat", lead_time=2.5)
    asked.say(ann, one, "answer-unsure")
    summary = asked.pull()
    assert (summary["added"], summary["changed"], summary["deleted"], summary["refused"]) == (3, 0, 0, {})
    assert asked.answers() == {
        (three, "ann@example.com"): "dog",
        (one, "bob@example.com"): "cat",
        (one, "ann@example.com"): "unsure",
    }
    head = asked.lake.head()
    assert asked.pull()["version"] is None
    assert asked.lake.head() == head
