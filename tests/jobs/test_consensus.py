"""From answers to decisions at the lake: who counts, what measures, what is weighed anew, what is taken back, and what is kept of it."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.history import history, revert
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lake.verified import verified
from secondlook.jobs.review import answers_file, commit
from secondlook.labeling.consensus.decide import Vote, judge
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id

Fill = Callable[..., dict[str, str]]
LabelsOf = Callable[..., dict[str, str | None]]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
PICTURES = [("a.png", "cat", b"1"), ("b.png", "dog", b"2"), ("c.png", None, b"3")]


def put(lake: Lake, job: str, **tables: list[dict[str, Any]]) -> None:
    attempt = lake.attempt(job, {"n": len(lake.versions.all())})
    for name, records in tables.items():
        attempt.append(name, rows(name, records))
    attempt.commit({})


def answered(lake: Lake, folder: Path, *lines: str, batch: str | None = None) -> None:
    file = folder / f"answers{len(lake.versions.all())}.csv"
    file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
    answers_file.run_pull(lake, Settings(), file, batch=batch)


def asked(lake: Lake, batch: str, strategies: Mapping[str, str]) -> None:
    """A batch with a strategy for each sample."""
    tasks = [
        {"batch": batch, "sample_id": sample, "position": n, "strategy": strategy, "choices": ["cat", "dog"]}
        for n, (sample, strategy) in enumerate(strategies.items())
    ]
    put(lake, "review push", batches=tasks)


def pause(lake: Lake, annotator: str, event: str = "paused") -> None:
    put(lake, "people", annotators=[{"annotator": annotator, "event": event, "time": NOW}])


def predicted(lake: Lake, **guesses: tuple[float, float]) -> None:
    """A model and its probabilities of cat and dog, by the one letter that is the content."""
    put(
        lake,
        "train",
        models=[{"model": "m", "kind": "generalist", "classes": ["cat", "dog"]}],
        predictions=[
            {"content_id": content_id(name[1:].encode()), "model": "m", "classes": [0, 1], "probs": list(probs)}
            for name, probs in guesses.items()
        ],
    )


def newest(lake: Lake, image: str) -> dict[str, Any]:
    event = history.run_blame(lake, image)["events"][-1]
    return dict(event["evidence"])


# Evidence


def test_the_evidence_of_a_decision_is_complete(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    predicted(lake, _1=(0.1, 0.9))
    answered(lake, tmp_path, "ann,a.png,dog,1.5", "bob,a.png,dog,2", "eve,a.png,cat,9", "eve,b.png,unsure,1")
    pause(lake, "sly")
    answered(lake, tmp_path, "sly,a.png,cat,1")
    commit.run(lake, Settings())
    found = newest(lake, "a.png")
    assert [(v["annotator"], v["answer"], v["seconds"]) for v in found["votes"]] == [
        ("ann", "dog", 1.5),
        ("bob", "dog", 2.0),
        ("eve", "cat", 9.0),
    ]
    assert all(vote["weight"] > 0 and vote["annotation"] and vote["seq"] for vote in found["votes"])
    assert found["overruled"] == ["eve"]
    assert [vote["annotator"] for vote in found["silent"]] == ["sly"]
    assert found["model"] == {"name": "m", "says": "dog", "probability": 0.9, "of_decision": 0.9}
    assert found["people_alone"] < found["probability"]
    assert found["method"]["name"] == "weighed"
    assert {"everybody", "spread", "copied", "sharpness"} <= set(found["method"])


def test_blame_says_it_in_words(lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(PICTURES)
    predicted(lake, _1=(0.1, 0.9))
    answered(lake, tmp_path, "ann,a.png,dog,1", "bob,a.png,dog,2", "eve,a.png,cat,9")
    commit.run(lake, Settings())
    capsys.readouterr()
    assert command(["blame", "a.png", "--lake", lake.root]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert "people alone 0." in line
    assert "ann: dog (odds x" in line
    assert "eve: cat (odds x" in line
    assert ", overruled)" in line
    assert "model: dog 0.90" in line


@pytest.mark.parametrize("method", ["majority", "dawid-skene", "glad", "mace"])
def test_another_method_is_chosen_in_the_settings(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path, method: str
) -> None:
    fill(PICTURES)
    answered(lake, tmp_path, "ann,a.png,dog,1", "bob,a.png,dog,2", "eve,a.png,cat,9", "eve,b.png,dog,1")
    commit.run(lake, Settings(review=ReviewSettings(consensus=method)))
    assert labels_of()["a.png"] == "dog"
    assert newest(lake, "a.png")["method"] == {"name": method}


# The model


def test_what_only_the_model_says_never_becomes_a_label(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(PICTURES)
    predicted(lake, _1=(0.0001, 0.9999), _3=(0.0001, 0.9999))
    answered(lake, tmp_path, "ann,a.png,cat,1", "ann,c.png,unsure,1")
    assert commit.run(lake, Settings())["undecided"] == {"model disagrees": 1, "unsure": 1}
    assert commit.run(lake, Settings(), with_model=False)["decided"] == 1
    assert labels_of() == {"a.png": "cat", "b.png": "dog", "c.png": None}
    assert "model" not in newest(lake, "a.png")


# Who is paused


def test_the_answers_of_a_paused_person_wait(lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path) -> None:
    fill(PICTURES)
    answered(lake, tmp_path, "eve,a.png,dog,1")
    pause(lake, "eve")
    assert commit.run(lake, Settings())["version"] is None
    pause(lake, "eve", "resumed")
    assert commit.run(lake, Settings())["changed"] == 1
    assert labels_of()["a.png"] == "dog"


def test_decisions_are_weighed_anew_without_a_paused_person_and_come_back_with_her(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill([*PICTURES, ("copy.png", None, b"3"), ("d.png", "cat", b"4")])
    answered(
        lake,
        tmp_path,
        "eve,a.png,dog,1",  # she alone
        "ann,b.png,cat,1",  # two for one
        "eve,b.png,dog,1",
        "zoe,b.png,dog,1",
        "eve,c.png,dog,1",  # first label, and a copy's
        "ann,d.png,dog,1",  # not hers
    )
    commit.run(lake, Settings())
    before = labels_of()
    assert before == {"a.png": "dog", "b.png": "dog", "c.png": "dog", "copy.png": "dog", "d.png": "dog"}
    pause(lake, "eve")
    assert commit.run(lake, Settings())["rests_on_paused"] == 3
    summary = commit.run(lake, Settings(), again=True)
    assert summary["restored"] == 4
    assert labels_of() == {"a.png": "cat", "b.png": "dog", "c.png": None, "copy.png": None, "d.png": "dog"}
    assert [vote["annotator"] for vote in newest(lake, "b.png")["silent"]] == ["eve"]
    assert newest(lake, "b.png")["undecided"] == "disagreement"
    assert commit.run(lake, Settings(), again=True)["version"] is None, "once is enough"
    pause(lake, "eve", "resumed")
    commit.run(lake, Settings(), again=True)
    assert labels_of() == before
    assert commit.run(lake, Settings())["version"] is None


def test_where_the_others_still_carry_a_decision_it_stays(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(PICTURES)
    answered(lake, tmp_path, "ann,a.png,dog,1", "eve,a.png,dog,1", "ann,b.png,dog,1")
    commit.run(lake, Settings())
    pause(lake, "eve")
    summary = commit.run(lake, Settings(), again=True)
    assert (summary["confirmed"], summary.get("restored", 0)) == (1, 0)
    assert labels_of()["a.png"] == "dog"
    found = newest(lake, "a.png")
    assert ([v["annotator"] for v in found["votes"]], found["again"]) == (["ann"], True)


def test_a_commit_that_weighed_anew_can_be_reverted_and_no_answer_is_lost(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(PICTURES)
    answered(lake, tmp_path, "ann,a.png,dog,1", "eve,a.png,dog,1", "eve,c.png,cat,2")
    commit.run(lake, Settings())
    before = labels_of()
    pause(lake, "eve")
    [batch] = commit.run(lake, Settings(), again=True)["batches"]
    assert labels_of()["c.png"] is None
    revert.run_revert(lake, batch)
    assert labels_of() == before
    answered(lake, tmp_path, "zoe,a.png,cat,1")
    commit.run(lake, Settings())
    assert {vote["annotator"] for vote in history.run_blame(lake, "a.png")["events"][1]["evidence"]["votes"]} == {
        "ann",
        "eve",
    }


def test_a_paused_person_changes_no_probability(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    answered(lake, tmp_path, "ann,a.png,dog,1", "bob,a.png,dog,1", "ann,b.png,dog,1")
    pause(lake, "eve")
    answered(lake, tmp_path, "eve,a.png,cat,1", "eve,b.png,cat,1", "eve,c.png,cat,1")
    commit.run(lake, Settings())
    heard = [Vote(0, "ann", "dog"), Vote(0, "bob", "dog"), Vote(1, "ann", "dog")]
    alone = judge(heard, ["cat", "dog"], min_probability=0.6).results
    for key, expected in zip(("a.png", "b.png"), alone, strict=True):
        assert newest(lake, key)["probability"] == pytest.approx(expected.probability, abs=1e-6)


# What measures


def test_an_audit_decides_only_once_people_agree(lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path) -> None:
    ids = fill([*PICTURES, ("d.png", "cat", b"4")])
    asked(lake, "audit-5", {ids["a.png"]: "audit", ids["b.png"]: "audit"})
    answered(lake, tmp_path, "ann,a.png,dog,1", "bob,a.png,dog,1", "ann,b.png,cat,1", batch="audit-5")
    answered(lake, tmp_path, "ann,d.png,dog,1")
    assert commit.run(lake, Settings())["decided"] == 1
    assert labels_of() == {"a.png": "cat", "b.png": "dog", "c.png": None, "d.png": "dog"}
    answered(lake, tmp_path, "eve,a.png,cat,1", batch="audit-5")
    assert commit.run(lake, Settings())["changed"] == 1
    assert labels_of()["a.png"] == "dog"
    found = newest(lake, "a.png")
    assert (found["adjudicated"], found["overruled"], found["probability"]) == (3, ["eve"], pytest.approx(2 / 3))
    assert verified(lake, lake.at()) == {ids["a.png"]}


def test_the_model_has_no_voice_in_what_it_is_compared_on(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    ids = fill(PICTURES)
    predicted(lake, _1=(0.9999, 0.0001))
    asked(lake, "batch-9", {ids["a.png"]: "verify"})
    answered(lake, tmp_path, "ann,a.png,dog,1", "bob,a.png,dog,1", "eve,a.png,cat,1", batch="batch-9")
    commit.run(lake, Settings())
    assert labels_of()["a.png"] == "dog"
    assert "model" not in newest(lake, "a.png")


def test_an_expert_s_answer_settles_an_audit(lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path) -> None:
    ids = fill(PICTURES)
    asked(lake, "audit-5", {ids["a.png"]: "audit"})
    answered(lake, tmp_path, "ada,a.png,dog,1", batch="audit-5")
    commit.run(lake, Settings(review=ReviewSettings(experts="ada")))
    assert labels_of()["a.png"] == "dog"


def test_answers_to_gold_decide_nothing_and_tell_who_is_right(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    known = [(f"g{n}.png", "cat", f"g{n}".encode()) for n in range(12)]
    ids = fill([*PICTURES, *known])
    put(lake, "gold", gold=[{"sample_id": ids[key], "label": "cat", "source": "supplied"} for key, *_ in known])
    asked(lake, "batch-9", {ids[key]: "gold" for key, *_ in known})
    answered(
        lake,
        tmp_path,
        *[f"{who},{key},{said},1" for key, *_ in known for who, said in (("ann", "cat"), ("eve", "dog"))],
    )
    answered(lake, tmp_path, "ann,a.png,dog,1", "eve,a.png,cat,1")
    summary = commit.run(lake, Settings())
    assert summary["decided"] == 1
    assert labels_of()["a.png"] == "dog"
    assert {label for key, label in labels_of().items() if key.startswith("g")} == {"cat"}


# Taking back


def test_what_rests_on_a_person_is_taken_back_and_decided_anew_by_the_others(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(PICTURES)
    answered(lake, tmp_path, "ann,a.png,dog,1", "eve,a.png,dog,1", "eve,c.png,cat,2", "ann,b.png,cat,1")
    commit.run(lake, Settings())
    capsys.readouterr()
    assert command(["revert", "--annotator", "eve", "--lake", lake.root]) == 0
    assert "2 reverted" in (said := capsys.readouterr().out)
    assert "1 have answers of others: `secondlook commit` decides anew" in said
    assert labels_of() == {"a.png": "cat", "b.png": "cat", "c.png": None}
    assert commit.run(lake, Settings())["decided"] == 1
    assert labels_of() == {"a.png": "dog", "b.png": "cat", "c.png": None}
    assert [vote["annotator"] for vote in newest(lake, "a.png")["votes"]] == ["ann"]
    with pytest.raises(UserError, match="unknown annotator 'evi'"):
        revert.run_revert_annotator(lake, "evi")


def test_what_was_decided_since_a_time_is_taken_back(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(PICTURES)
    answered(lake, tmp_path, "ann,a.png,dog,1")
    commit.run(lake, Settings(), now=NOW)
    answered(lake, tmp_path, "ann,b.png,cat,1")
    commit.run(lake, Settings(), now=NOW + timedelta(days=2))
    at = ["--lake", lake.root]
    assert command(["revert", "--since", "2026-11-02", "--json", *at]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["reverted"], told["reverts"]) == (1, "since 2026-11-02T00:00:00+00:00")
    assert labels_of() == {"a.png": "dog", "b.png": "dog", "c.png": None}
    revert.run_revert(lake, told["batch"])
    assert labels_of()["b.png"] == "cat"
    assert command(["revert", "--since", "2026-10-01", "--until", "2026-11-02T00:00", *at]) == 0
    assert labels_of() == {"a.png": "cat", "b.png": "cat", "c.png": None}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "revert takes one of"),
        (["batch-1", "--annotator", "eve"], "revert takes one of"),
        (["--until", "2026-11-01"], "revert takes one of"),
        (["--since", "yesterday"], "--since takes a time such as 2026-11-01"),
    ],
)
def test_what_revert_can_t_read_is_refused(
    lake: Lake, fill: Fill, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    fill(PICTURES)
    assert command(["revert", *words, "--lake", lake.root]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_the_log_of_an_earlier_version(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    answered(lake, tmp_path, "ann,a.png,dog,1")
    commit.run(lake, Settings())
    assert [row["id"] for row in history.run_log(lake, as_of=2)] == [2, 1]
    assert [row["id"] for row in history.run_log(lake, as_of="head~1", limit=1)] == [2]
