"""An audit is drawn and answered, and the share of wrong labels is told with what it is."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.history import class_changes
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import lint
from secondlook.jobs.people import roster, stop
from secondlook.jobs.review import answers_file, audit, batches, cases, commit
from secondlook.jobs.review.told import told as told_batch
from secondlook.jobs.share import adjudicated, share
from secondlook.jobs.share.frame import frame
from secondlook.labeling.tickets import ticket
from secondlook.pipeline.audit.labels.calibrated import Calibrator, NotYet
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id

Fill = Callable[..., dict[str, str]]
EXPERT = Settings(review=ReviewSettings(experts="eve, dr who"))
PEOPLE = ("ann", "bob", "cleo")


def bytes_of(n: int) -> bytes:
    return b"picture %d" % n


def dataset(n: int) -> list[tuple[str, str, bytes]]:
    """n pictures, labeled cat and dog by turns; every tenth label is wrong."""
    return [(f"{i:04d}.png", "dog" if i % 2 else "cat", bytes_of(i)) for i in range(n)]


def truth(i: int) -> str:
    return ("cat" if i % 2 else "dog") if i % 10 == 0 else ("dog" if i % 2 else "cat")


def train(lake: Lake, n: int, name: str = "m") -> None:
    """A model of cat and dog that doubts the wrong labels, and some others."""
    rng = np.random.default_rng(3)
    attempt = lake.attempt("train", {"model": name})
    attempt.append("models", rows("models", [{"model": name, "kind": "generalist", "classes": ["cat", "dog"]}]))
    records = []
    for i in range(n):
        right = float(np.clip(rng.normal(0.85, 0.1), 0.05, 0.98))
        order = ["cat", "dog"].index(truth(i)), 1 - ["cat", "dog"].index(truth(i))
        probs = {"classes": list(order), "probs": [right, 1 - right]}
        records.append({"content_id": content_id(bytes_of(i)), "model": name, "fold": 0} | probs)
    attempt.append("predictions", rows("predictions", records))
    attempt.commit({})


def asked(lake: Lake, batch: str) -> list[str]:
    table = [row for row in lake.latest("batches", lake.at()).to_pylist() if row["batch"] == batch]
    return [row["sample_id"] for row in sorted(table, key=lambda row: row["position"])]


def reply(
    lake: Lake, folder: Path, batch: str, says: Callable[[str, str], str], people: Sequence[str] = PEOPLE
) -> None:
    """Answers of people to a batch: `says(annotator, sample_id)`."""
    lines = [f"{who},{sample},{says(who, sample)},1" for who in people for sample in asked(lake, batch)]
    file = folder / f"answers-{batch}-{len(list(folder.iterdir()))}.csv"
    file.write_text("annotator,key,label,seconds\n" + "\n".join(lines) + "\n", encoding="utf-8")
    answers_file.run_pull(lake, Settings(), file, batch=batch)


@pytest.fixture
def honest(lake: Lake, fill: Fill) -> Callable[[int], Callable[[str, str], str]]:
    """A lake of n pictures, and people who know the truth."""

    def make(n: int) -> Callable[[str, str], str]:
        ids = fill(dataset(n))
        number = {sample: int(key[:4]) for key, sample in ids.items()}
        return lambda who, sample: truth(number[sample])

    return make


Honest = Callable[[int], Callable[[str, str], str]]


def test_without_a_model_the_audit_is_drawn_uniformly_and_says_so(lake: Lake, honest: Honest, tmp_path: Path) -> None:
    says = honest(200)
    summary = audit.run_audit(lake, Settings(), 50)
    assert (summary["asked"], summary["strategies"], summary["how"]) == (50, {"audit": 50}, "uniformly")
    drawn = lake.latest("audit_samples", lake.at()).to_pylist()
    assert {row["inclusion"] for row in drawn} == {0.25}
    assert {row["score"] for row in drawn} == {None}
    assert {row["drawn_from"] for row in drawn} == {1}
    reply(lake, tmp_path, summary["batch"], says)
    told = share.run(lake, Settings())
    wrong = sum(says("", row["sample_id"]) != row["given"] for row in drawn)
    assert told["called"] == "share of wrong labels"
    assert told["value"] == pytest.approx(wrong / 50, abs=1e-6)
    assert told["interval"][0] < 0.1 < told["interval"][1]
    assert (told["answers"], told["population"], told["model"]) == (50, 200, None)
    assert "no model's scores" in told["method"]


def test_the_queue_hides_that_it_is_an_audit(lake: Lake, honest: Honest, tmp_path: Path) -> None:
    honest(300)
    train(lake, 300)
    summary = audit.run_audit(lake, Settings(), 200, to=tmp_path / "queue.csv")
    found = list(csv.DictReader((tmp_path / "queue.csv").read_text(encoding="utf-8").splitlines()))
    assert list(found[0]) == ["annotator", "key", "label", "seconds", "picture", "choices"]
    assert len({row["key"] for row in found}) == len(found) == 200
    population = frame(lake, lake.at())
    named = [ticket(lake.versions.secret(), summary["batch"], sample) for sample in population.sample_id.to_pylist()]
    score = dict(zip(named, population.score.tolist(), strict=True))
    doubts = np.array([score[row["key"]] for row in found])
    assert abs(np.corrcoef(np.arange(200), doubts)[0, 1]) < 0.2, "in random order, not by doubt"
    assert "audit" not in (tmp_path / "queue.csv").read_text(encoding="utf-8")
    batches.run_again(lake, summary["batch"], to=tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "queue.csv").read_bytes()
    with pytest.raises(UserError, match="only without --show-guess"):
        batches.run_again(lake, summary["batch"], show_guess=True)
    assert summary["how"] == "by the model's doubt, uncalibrated"


def test_an_audit_grows_by_what_its_answers_taught(lake: Lake, honest: Honest, tmp_path: Path) -> None:
    says = honest(1000)
    train(lake, 1000)
    first = audit.run_audit(lake, Settings(), 150)
    assert first["how"] == "uniformly"
    reply(lake, tmp_path, first["batch"], says)
    second = audit.run_audit(lake, Settings(), 100)
    assert second["audit"] == first["audit"]
    assert second["how"] == "by the model's doubt, calibrated on the answers so far"
    drawn = lake.latest("audit_samples", lake.at()).to_pylist()
    assert len({row["sample_id"] for row in drawn}) == 250
    assert min(row["inclusion"] for row in drawn) > 0.15, "each draw adds to the probability of all"
    assert not set(asked(lake, first["batch"])) & set(asked(lake, second["batch"]))
    # Horvitz and Thompson: the weights of all that is drawn count the labels.
    assert sum(1 / row["inclusion"] for row in drawn) == pytest.approx(1000, rel=0.15)
    reply(lake, tmp_path, second["batch"], says)
    told = share.run(lake, Settings())
    assert told["answers"] == 250
    assert told["interval"][0] < 0.1 < told["interval"][1]
    assert told["interval"][1] - told["interval"][0] < 0.045, "plain counting of 250 answers: 0.075"
    assert [one["class"] for one in told["classes"]] == ["cat", "dog"]
    third = audit.run_audit(lake, Settings(), 30)
    again = lake.latest("audit_samples", lake.at()).to_pylist()
    assert len(again) == 280
    grown = {row["sample_id"]: row["inclusion"] for row in again}
    assert all(grown[row["sample_id"]] > row["inclusion"] or row["inclusion"] == 1 for row in drawn)
    assert third["audit"] == first["audit"]


def test_changed_labels_begin_a_new_audit_and_the_old_one_says_of_what_it_is(
    lake: Lake, honest: Honest, tmp_path: Path
) -> None:
    says = honest(200)
    first = audit.run_audit(lake, Settings(), 100)
    reply(lake, tmp_path, first["batch"], says)
    commit.run(lake, Settings())
    told = share.run(lake, Settings())
    changed = told["audit"]["changed_since"]
    assert changed == sum(says("", sample) != dict(given(lake, 1))[sample] for sample in asked(lake, first["batch"]))
    assert told["audit"]["drawn_from"] == 1
    assert told["value"] == pytest.approx(changed / 100, abs=1e-6), "measured by the labels that were drawn from"
    assert any("labels were changed since" in line for line in share.told(told))
    second = audit.run_audit(lake, Settings(), 100)
    assert second["audit"] != first["audit"]
    assert second["asked"] == second["drawn"] == 100, "those that the first audit settled, too"
    told = share.run(lake, Settings())
    assert (told["called"], told["audit"]["adjudicated"]) == (None, 0), "labels that were corrected since say nothing"


def given(lake: Lake, version: int) -> Mapping[str, str]:
    population = frame(lake, lake.at(version))
    return dict(zip(population.sample_id.to_pylist(), population.label.to_pylist(), strict=True))


def test_one_answer_is_called_disputed_and_three_or_an_expert_are_the_truth(
    lake: Lake, honest: Honest, tmp_path: Path
) -> None:
    says = honest(200)
    batch = audit.run_audit(lake, Settings(), 60)["batch"]
    reply(lake, tmp_path, batch, says, people=["ann"])
    told = share.run(lake, Settings())
    assert told["called"] == "share that one more person disputes"
    assert told["audit"]["adjudicated"] == 0
    assert told["audit"]["open"] == {"fewer than three answers": 60}
    reply(lake, tmp_path, batch, says, people=["dr who"])
    assert share.run(lake, Settings())["called"] == "share that one more person disputes"
    assert share.run(lake, EXPERT)["called"] == "share of wrong labels"
    reply(lake, tmp_path, batch, says, people=["bob"])
    assert share.run(lake, Settings())["called"] == "share of wrong labels"


def test_a_paused_person_is_not_heard_in_an_audit_and_commit_says_the_same(
    lake: Lake, honest: Honest, tmp_path: Path
) -> None:
    says = honest(200)
    train(lake, 200)
    batch = audit.run_audit(lake, Settings(), 120)["batch"]
    wrong = set(asked(lake, batch)[::3])

    def errs(who: str, sample: str) -> str:
        return (
            {"cat": "dog", "dog": "cat"}[says(who, sample)] if who == "cleo" and sample in wrong else says(who, sample)
        )

    reply(lake, tmp_path, batch, errs)
    before = share.run(lake, Settings())
    assert (before["called"], before["p_error"]["is"]) == ("share of wrong labels", "probability")
    roster.run_change(lake, "cleo", "paused", "errs on a third", author="me")
    told = share.run(lake, Settings())
    assert told["called"] == "share that one more person disputes"
    assert told["audit"]["open"] == {"fewer than three answers": 120}
    assert told["value"] < before["value"] + 1e-9
    assert told["p_error"] == {"answers": 0, "is": "score", "needed": 100}
    found, _ = cases.cases(lake, lake.at(), Settings(), read_classes(lake, lake.at()))
    heard = adjudicated.audit(lake, lake.at(), Settings())
    assert heard is not None
    assert {case.content: case.adjudicated for case in found} == {
        one.content_id: one.adjudicated for one in heard.drawn
    }
    again = audit.run_audit(lake, Settings(), 500, again=True)
    assert again["asked"] == 120, "two are left of three, so a third is asked"


def test_an_answer_of_a_class_that_is_gone_is_no_voice_in_an_audit(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("0.png", "cat", b"0"), ("1.png", "dog", b"1")], classes=["lamp"])
    batch = audit.run_audit(lake, Settings(), 2)["batch"]
    says = {"ann": "lamp", "bob": "lamp", "cleo": "cat"}
    reply(lake, tmp_path, batch, lambda who, sample: says[who] if sample == ids["0.png"] else "dog")
    class_changes.run(lake, "retired", "lamp", reason="none", author="me")
    heard = adjudicated.audit(lake, lake.at(), Settings())
    assert heard is not None
    assert heard.open == {"fewer than three answers": 1}, "and not three who say none of these"


def test_what_has_no_majority_is_asked_again(lake: Lake, honest: Honest, tmp_path: Path) -> None:
    says = honest(100)
    batch = audit.run_audit(lake, Settings(), 40)["batch"]
    hard = asked(lake, batch)[0]
    answers = {"ann": "cat", "bob": "dog", "cleo": "unsure"}
    reply(lake, tmp_path, batch, lambda who, sample: answers[who] if sample == hard else says(who, sample))
    assert share.run(lake, Settings())["audit"]["open"] == {"no majority": 1}
    again = audit.run_audit(lake, Settings(), 40, again=True)
    assert (asked(lake, again["batch"]), again["how"], again["drawn"]) == ([hard], "asked again", 0)
    reply(lake, tmp_path, again["batch"], says, people=["dan", "fay"])
    told = share.run(lake, Settings())
    assert (told["audit"]["open"], told["audit"]["adjudicated"]) == ({}, 40), "three of five agree"


def test_equal_pictures_are_asked_for_once_and_answered_together(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([(f"{i}.png", "cat" if i % 2 else "dog", b"%d" % (i // 2)) for i in range(80)])
    batch = audit.run_audit(lake, Settings(), 80)["batch"]
    assert len(asked(lake, batch)) == 40
    reply(lake, tmp_path, batch, lambda who, sample: "cat")
    told = share.run(lake, Settings())
    assert (told["value"], told["interval"], told["answers"]) == (0.5, [0.5, 0.5], 80)


def test_p_error_becomes_a_probability_at_a_hundred_answers(lake: Lake, honest: Honest, tmp_path: Path) -> None:
    says = honest(400)
    train(lake, 400)
    batch = audit.run_audit(lake, Settings(), 99)["batch"]
    reply(lake, tmp_path, batch, says)
    found = adjudicated.audit(lake, lake.at(), Settings())
    assert adjudicated.calibration(found) == NotYet(99)
    assert share.run(lake, Settings())["p_error"] == {"answers": 99, "is": "score", "needed": 100}
    batch = audit.run_audit(lake, Settings(), 51)["batch"]
    reply(lake, tmp_path, batch, says)
    curve = adjudicated.calibration(adjudicated.audit(lake, lake.at(), Settings()))
    assert isinstance(curve, Calibrator)
    assert curve.answers == 150
    assert share.run(lake, Settings())["p_error"]["is"] == "probability"
    linted = lint.run(lake, Settings(), select=["SL101"])
    assert "p_error is a probability, calibrated on 150 audit answers" in linted["notes"]["SL101"]
    told = share.run(lake, Settings())
    assert linted["wrong_labels"] == {name: told[name] for name in ("called", "value", "interval", "answers")}


def test_without_answers_it_is_the_models_estimate_without_an_interval(lake: Lake, honest: Honest) -> None:
    honest(100)
    train(lake, 100)
    told = share.run(lake, Settings())
    assert (told["called"], told["interval"], told["audit"]) == ("the model's estimate", None, None)
    assert told["value"] == told["model"] == pytest.approx(0.1, abs=0.05)


def test_when_what_was_drawn_from_is_not_kept_the_weights_alone_tell(
    lake: Lake, honest: Honest, tmp_path: Path
) -> None:
    says = honest(200)
    train(lake, 200)
    batch = audit.run_audit(lake, Settings(), 100)["batch"]
    reply(lake, tmp_path, batch, says)
    whole = share.run(lake, Settings())
    lake.versions.remove([whole["audit"]["drawn_from"]])
    told = share.run(lake, Settings())
    assert (told["called"], told["population"], told["classes"]) == (whole["called"], None, [])
    assert (told["answers"], told["audit"]["changed_since"]) == (100, None)
    assert told["interval"][0] < told["value"] < told["interval"][1]
    assert "no model's scores" in told["method"]
    assert audit.run_audit(lake, Settings(), 10)["audit"] != whole["audit"]["audit"], "it can't grow any more"
    assert "of all labels as of version" in "\n".join(share.told(told))


def test_the_verbs(lake: Lake, honest: Honest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    says = honest(100)
    at = ["--lake", lake.root]
    assert command(["share", *at]) == 2
    assert "no model, no audit" in capsys.readouterr().err
    assert command(["review", "push", "--audit", "40", "--budget", "9", *at]) == 2
    capsys.readouterr()
    assert command(["review", "push", "--audit", "40", "--again", *at]) == 2
    assert "no audit to ask again for" in capsys.readouterr().err
    assert command(["review", "push", "--audit", "40", "--json", *at]) == 0
    batch = json.loads(capsys.readouterr().out.splitlines()[-1])["batch"]
    for verb in (["share"], ["review", "status"]):
        assert command([*verb, *at]) == 0
        assert "40 drawn, 0 answered, 0 adjudicated" in capsys.readouterr().out
    reply(lake, tmp_path, batch, says)
    capsys.readouterr()
    assert command(["share", "--json", *at]) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["called"] == "share of wrong labels"
    assert command(["share", *at]) == 0
    assert "95 % interval" in capsys.readouterr().out


def test_a_small_audit_says_what_is_missing_to_be_the_share_of_wrong_labels(
    lake: Lake, honest: Honest, tmp_path: Path
) -> None:
    says = honest(200)
    made = audit.run_audit(lake, Settings(), 30)
    assert any("draw 100 or more" in line for line in told_batch(made, files=False))
    hard = asked(lake, made["batch"])[0]
    answers = {"ann": "cat", "bob": "dog", "cleo": "unsure"}
    reply(lake, tmp_path, made["batch"], lambda who, sample: answers[who] if sample == hard else says(who, sample))
    told = share.run(lake, Settings())
    lines = share.told(told)
    assert lines[0].startswith("share that one more person disputes")
    assert lines[0].endswith("from answers to 30 pictures"), "not 90, and not 30 answers"
    assert any(
        "1 more adjudicated label makes it the share of wrong labels: answers to what is open" in x for x in lines
    )
    assert stop.errors_left(lake, lake.at(), Settings()) is None, "a dispute is no wrong label"
    train(lake, 200)
    left = stop.errors_left(lake, lake.at(), Settings())
    assert left is not None
    assert (left["from"], left["interval"], left["value"]) == ("the model's estimate", None, pytest.approx(20, abs=10))
    more = audit.run_audit(lake, Settings(), 30)
    assert more["few"] == "", "the audit has 60 by now"
    reply(lake, tmp_path, more["batch"], says)
    assert not any("more adjudicated" in line for line in share.told(share.run(lake, Settings())))
    left = stop.errors_left(lake, lake.at(), Settings())
    assert left is not None
    assert left["from"] == "share of wrong labels"


def test_an_audit_too_small_for_what_is_missing_asks_for_a_larger_one(
    lake: Lake, honest: Honest, tmp_path: Path
) -> None:
    says = honest(100)
    reply(lake, tmp_path, audit.run_audit(lake, Settings(), 12)["batch"], says)
    lines = share.told(share.run(lake, Settings()))
    assert any("18 more adjudicated labels make it" in x and "`secondlook review push --audit 100`" in x for x in lines)


def test_an_audit_needs_labels(lake: Lake, fill: Fill) -> None:
    fill([("a.png", None, b"1")], classes=["cat"])
    with pytest.raises(UserError, match="no picture has a label"):
        audit.run_audit(lake, Settings(), 10)
