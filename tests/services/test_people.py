"""People on a real Label Studio: who fails gold is paused by the pull that brings the answers, and weighs nothing from then on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from secondlook.jobs.lake.records import rows
from secondlook.jobs.people import roster
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.review import commit
from secondlook.jobs.review.pull import complaints

from .asking import CLASSES, NOW, Asked, ask
from .label_studio import LabelStudio


@pytest.fixture
def asked(label_studio: LabelStudio, tmp_path: Path) -> Iterator[Asked]:
    made = ask(label_studio, tmp_path / "lake")
    yield made
    made.close()


def test_who_fails_gold_is_paused_by_the_pull_and_others_are_not(asked: Asked, label_studio: LabelStudio) -> None:
    names = ("Ann@example.com", "bob@example.com")
    ann, bob = (label_studio.sign_up(name) for name in names)
    *golden, last = asked.task
    truth = {sample: CLASSES[n % 3] for n, sample in enumerate(asked.task)}
    attempt = asked.lake.attempt("review gold", {})
    gold = [{"sample_id": sample, "label": truth[sample], "source": "supplied", "time": NOW} for sample in golden]
    attempt.append("gold", rows("gold", gold))
    attempt.commit({})
    for sample in golden[:3]:
        asked.say(bob, sample, CLASSES[(CLASSES.index(truth[sample]) + 1) % 3])
    assert asked.pull()["paused"] == [], "three of three may be bad luck"
    for sample in golden[3:]:
        asked.say(bob, sample, CLASSES[(CLASSES.index(truth[sample]) + 1) % 3])
    for sample in golden:
        asked.say(ann, sample, truth[sample])
    asked.say(bob, last, "bird")
    summary = asked.pull()
    assert summary["paused"] == ["bob@example.com"]
    assert any("bob@example.com fails the gold questions" in line for line in complaints(summary))
    assert asked.pull()["paused"] == []
    found = {row["annotator"]: row for row in roster.run_roster(asked.lake, asked.settings)}
    assert (found["ann@example.com"]["gold"]["k"], found["bob@example.com"]["gold"]["k"]) == (5, 0)
    assert found["bob@example.com"]["paused"]
    before = commit.run(asked.lake, asked.settings, with_model=False, now=NOW)
    assert (before["changed"], before["decided"]) == (0, 5), "bob alone answered for the last one, and is not heard"
    roster.run_change(asked.lake, "bob@example.com", "resumed", "a misunderstanding", author="me", now=NOW)
    assert paused(asked.lake, asked.lake.at()) == frozenset()
    assert asked.pull()["paused"] == []
