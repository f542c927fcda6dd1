"""Review: a batch goes out without what would anchor people, answers come back exactly once."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import answers_file, batches, commit, queue, status
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.errors import SecondlookError, UserError
from secondlook.pipeline.core.identity import content_id

Fill = Callable[..., dict[str, str]]
PICTURES = [(f"train/{'cat' if i % 2 else 'dog'}/{i}.png", "cat" if i % 2 else "dog", b"%d" % i) for i in range(8)]
UNLABELED = [(f"new/{i}.png", None, b"\x89PNG new %d" % i) for i in range(4)]
NO_RANDOM = Settings(review=ReviewSettings(random_share=0.0))


def answer(folder: Path, *lines: str, name: str = "answers") -> Path:
    file = folder / f"{name}.csv"
    file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
    return file


def pull(lake: Lake, folder: Path, *lines: str, name: str = "answers", **options: Any) -> tuple[int, int, int]:
    summary = answers_file.run_pull(lake, Settings(), answer(folder, *lines, name=name), **options)
    return summary["added"], summary["changed"], summary["known"]


def lint(lake: Lake, *findings: dict[str, Any]) -> None:
    """What lint would have written; `evidence` as a dictionary."""
    attempt = lake.attempt("lint", {"n": len(findings)})
    common = {"subject_kind": "sample", "key": "", "split": "", "message": "", "score": 0.9}
    records = [common | one | {"evidence": json.dumps(one.get("evidence", {}))} for one in findings]
    attempt.append("findings", rows("findings", records))
    attempt.commit({})


def train(lake: Lake, **probs: tuple[bytes, list[float]]) -> None:
    """A model of the classes bird, cat, dog, and what it says of some contents."""
    attempt = lake.attempt("train", {})
    classes = ["bird", "cat", "dog"]
    attempt.append("models", rows("models", [{"model": "m", "kind": "generalist", "classes": classes}]))
    records = []
    for data, its in probs.values():
        order = sorted(range(3), key=lambda n: -its[n])
        ranked = {"classes": order, "probs": [its[n] for n in order]}
        records.append({"content_id": content_id(data), "model": "m", "fold": -1} | ranked)
    attempt.append("predictions", rows("predictions", records))
    attempt.commit({})


def asked(lake: Lake, batch: str) -> dict[str, str]:
    """sample_id → strategy, in the order of the queue."""
    table = lake.latest("batches", lake.at()).to_pylist()
    mine = sorted((row for row in table if row["batch"] == batch), key=lambda row: row["position"])
    assert [row["position"] for row in mine] == list(range(len(mine)))
    return {row["sample_id"]: row["strategy"] for row in mine}


# push


def test_a_batch_has_the_doubted_labels_and_the_pictures_that_the_model_doubts_most(lake: Lake, fill: Fill) -> None:
    ids = fill([*PICTURES, *UNLABELED])
    train(lake, sure=(UNLABELED[0][2], [0.01, 0.98, 0.01]), unsure=(UNLABELED[1][2], [0.3, 0.36, 0.34]))
    doubted, waived = PICTURES[3][0], PICTURES[4][0]
    evidence = {"given": "cat", "suggested": "dog"}
    lint(
        lake,
        {"rule": "SL101", "subject": ids[doubted], "evidence": evidence},
        {"rule": "SL101", "subject": ids[waived], "evidence": evidence, "waiver": "it is a drawing"},
        {"rule": "SL302", "subject": ids[PICTURES[5][0]]},
    )
    summary = batches.run_push(lake, NO_RANDOM, budget=4)
    assert asked(lake, summary["batch"]) == {
        ids[doubted]: "SL101",
        ids["new/1.png"]: "unlabeled",
        ids["new/2.png"]: "unlabeled",
        ids["new/3.png"]: "unlabeled",
    }
    assert summary["strategies"] == {"SL101": 1, "unlabeled": 3}
    assert batches.run_push(lake, NO_RANDOM, budget=4)["strategies"] == {"unlabeled": 1}
    assert batches.run_push(lake, NO_RANDOM, budget=4) == {
        "batch": None,
        "asked": 0,
        "strategies": {},
        "quarantined": {"classes": 0, "pictures": 0},
        "version": None,
    }


def test_a_picture_is_worth_its_worst_finding_and_the_pair_is_of_the_evidence(lake: Lake, fill: Fill) -> None:
    ids = fill(PICTURES)
    one, two, three = (ids[PICTURES[n][0]] for n in range(3))
    lint(
        lake,
        {"rule": "SL102", "subject": one, "score": 1.0, "evidence": {"first": "dog", "second": "bird"}},
        {"rule": "SL101", "subject": one, "score": 0.3, "evidence": {"given": "cat", "suggested": "dog"}},
        {"rule": "SL101", "subject": two, "score": 0.6, "evidence": {"given": "dog", "suggested": "cat"}},
        {"rule": "SL103", "subject": three, "score": 7.0, "evidence": {"labels": ["dog", "cat"]}},
    )
    doubted, _, rest = queue.candidates(lake, lake.at(), again=False)
    assert {(c.sample_id, c.strategy, c.value, c.pair) for c in doubted} == {
        (one, "SL102", 0.5, ("bird", "dog")),
        (two, "SL101", 0.6, ("cat", "dog")),
        (three, "SL103", 1.0, ("cat", "dog")),
    }
    assert len(rest) == len(PICTURES) - 3


def test_a_random_share_comes_without_any_finding(lake: Lake, fill: Fill) -> None:
    fill(PICTURES)
    summary = batches.run_push(lake, Settings(review=ReviewSettings(random_share=0.5)), budget=6)
    assert summary["strategies"] == {"random": 3}


def test_what_is_there_by_chance_is_grouped_like_the_rest(lake: Lake, fill: Fill) -> None:
    fill(PICTURES)
    guesses = {f"p{n}": (data, [0.1, 0.5, 0.4]) for n, (_, _, data) in enumerate(PICTURES[:4])}
    train(lake, **guesses)
    *_, rest = queue.candidates(lake, lake.at(), again=False)
    pairs = {one.content_id: one.pair for one in queue.paired(lake, lake.at(), rest)}
    known = {content_id(data) for data, _ in guesses.values()}
    assert {pairs[content] for content in known} == {("cat", "dog")}
    assert {pair for content, pair in pairs.items() if content not in known} == {("", "")}


def test_copies_of_what_was_asked_for_are_not_asked_for_again(lake: Lake, fill: Fill) -> None:
    fill([("a.png", None, b"1"), ("b.png", None, b"1"), ("c.png", None, b"2")], classes=["cat"])
    assert batches.run_push(lake, NO_RANDOM, budget=9)["asked"] == 2
    assert batches.run_push(lake, NO_RANDOM, budget=9)["asked"] == 0


def test_what_came_to_no_decision_can_be_asked_again(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("a.png", "cat", b"1"), ("b.png", "dog", b"2"), ("c.png", "dog", b"3")])
    pull(lake, tmp_path, "ann,a.png,cat,1", "bob,a.png,dog,1", "ann,b.png,dog,1")
    commit.run(lake, Settings())
    assert batches.run_push(lake, NO_RANDOM, budget=9)["asked"] == 0
    batch = batches.run_push(lake, NO_RANDOM, budget=9, again=True)["batch"]
    assert asked(lake, batch) == {ids["a.png"]: "again"}


def test_the_queue_tells_neither_the_given_label_nor_the_guess(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("train/cat/1.png", "cat", b"\x89PNG one"), ("train/dog/2.jpg", "dog", b"\xff\xd8 two")])
    train(lake, one=(b"\x89PNG one", [0.1, 0.2, 0.7]))
    lint(lake, *({"rule": "SL101", "subject": sample} for sample in ids.values()))
    file, folder = tmp_path / "queue.csv", tmp_path / "pictures"
    summary = batches.run_push(lake, NO_RANDOM, to=file, pictures=folder, budget=5)
    found = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert list(found[0]) == ["annotator", "key", "label", "seconds", "picture", "choices"]
    assert {row["key"] for row in found} == set(ids.values())
    for row in found:
        row_text = "".join(value for name, value in row.items() if name != "choices")
        assert not any(word in row_text for word in ("cat/", "dog/", "1.png", "2.jpg"))
        assert json.loads(row["choices"]) == ["cat", "dog"]
        assert row["annotator"] == row["label"] == ""
    by_key = {row["key"]: Path(row["picture"]) for row in found}
    assert by_key[ids["train/cat/1.png"]].read_bytes() == b"\x89PNG one"
    assert by_key[ids["train/dog/2.jpg"]].suffix == ".jpg"
    again = tmp_path / "again.csv"
    batches.run_again(lake, summary["batch"], to=again, show_guess=True)
    shown = {row["key"]: row for row in csv.DictReader(again.read_text(encoding="utf-8").splitlines())}[
        ids["train/cat/1.png"]
    ]
    assert (shown["given"], shown["guess"], shown["p_guess"]) == ("cat", "dog", "0.7000")
    assert shown["original_key"] == "train/cat/1.png"


def test_paths_that_give_labels_away_are_said_to_unless_pictures_hide_them(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill([("cat/1.png", "cat", b"1"), ("flat/cat.png", None, b"2"), ("dog/2.png", None, b"3")])
    batch = batches.run_push(lake, Settings(review=ReviewSettings(random_share=1.0)), to=tmp_path / "one.csv")["batch"]
    assert "the paths of 1 pictures" in capsys.readouterr().err
    batches.run_again(lake, batch, to=tmp_path / "two.csv", pictures=tmp_path / "pictures")
    assert capsys.readouterr().err == ""


def test_a_filled_queue_is_an_answers_file(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("train/cat/1.png", None, b"1"), ("train/dog/2.jpg", None, b"2")], classes=["cat", "dog"])
    file = tmp_path / "queue.csv"
    batch = batches.run_push(lake, NO_RANDOM, to=file)["batch"]
    text = file.read_text(encoding="utf-8").replace(
        f",{ids['train/cat/1.png']},,", f"ann,{ids['train/cat/1.png']},dog,2"
    )
    file.write_text(text, encoding="utf-8")
    summary = answers_file.run_pull(lake, Settings(), file)
    assert (summary["added"], summary["batches"]) == (1, [batch])


def test_a_target_that_is_taken_is_refused_before_anything_is_written(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(UNLABELED, classes=["cat"])
    (tmp_path / "queue.csv").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        batches.run_push(lake, Settings(), to=tmp_path / "queue.csv")
    with pytest.raises(UserError, match="is not empty"):
        batches.run_push(lake, Settings(), pictures=tmp_path)
    assert lake.at().id == 1


def test_no_batch_is_made_when_its_pictures_can_t_be_written(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("a.png", None, b"1")], classes=["cat"], reference=f"file://{tmp_path}/gone/")
    with pytest.raises(SecondlookError, match="kept by reference and can't be read"):
        batches.run_push(lake, NO_RANDOM, to=tmp_path / "queue.csv", pictures=tmp_path / "pictures")
    assert lake.at().id == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake"]


def test_without_classes_people_would_have_nothing_to_choose(lake: Lake, fill: Fill) -> None:
    fill(UNLABELED)
    with pytest.raises(UserError, match="the lake knows no classes yet; name them with --classes"):
        batches.run_push(lake, NO_RANDOM)
    batch = batches.run_push(lake, NO_RANDOM, classes=["dog", "cat"])["batch"]
    [choices] = {tuple(c) for c in lake.latest("batches", lake.at())["choices"].to_pylist()}
    assert (batch, choices) == ("batch-2", ("cat", "dog"))


# pull


def test_the_same_file_twice_adds_nothing(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    lines = "ann,0.png,cat,1", "ann,1.png,unsure,", "bob,0.png,dog,3"
    assert pull(lake, tmp_path, *lines) == (3, 0, 0)
    assert pull(lake, tmp_path, *lines) == (0, 0, 3)
    assert pull(lake, tmp_path, *lines, name="copy") == (0, 0, 3)
    assert pull(lake, tmp_path, *reversed(lines)) == (0, 0, 3)
    assert lake.at().id == 2
    assert pull(lake, tmp_path, *lines, "eve,0.png,dog,3") == (1, 0, 3)


def test_a_changed_answer_is_a_new_state_and_the_earlier_one_is_kept(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(PICTURES)
    pull(lake, tmp_path, "ann,0.png,cat,1")
    assert pull(lake, tmp_path, "ann,0.png,bad picture,1") == (0, 1, 0)
    states = lake.read("annotations", lake.at()).sort_by("seq").to_pylist()
    assert [(row["state"], row["answer"], row["label"]) for row in states] == [
        ("submitted", "label", "cat"),
        ("changed", "bad picture", None),
    ]
    assert len({row["annotation_id"] for row in states}) == 1
    assert lake.latest("annotations", lake.at()).num_rows == 1
    assert pull(lake, tmp_path, "ann,0.png,cat,1") == (0, 0, 1), "the first file was pulled before"
    assert pull(lake, tmp_path, "ann,0.png,cat,1", "ann,1.png,cat,1") == (1, 1, 0), "a new file changes it back"


def test_answers_belong_to_the_newest_batch_that_asked(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("a.png", None, b"1"), ("b.png", "cat", b"2")], classes=["cat", "dog"])
    first = batches.run_push(lake, NO_RANDOM)["batch"]
    lines = "ann,a.png,cat,1", "ann,b.png,cat,2"
    assert pull(lake, tmp_path, *lines, name="friday") == (2, 0, 0)
    named = {row["sample_id"]: row["batch"] for row in lake.latest("annotations", lake.at()).to_pylist()}
    assert set(named.values()) == {first, "friday"}
    pull(lake, tmp_path, "bob,a.png,dog,1")
    second = batches.run_push(lake, NO_RANDOM, again=True)["batch"]
    assert pull(lake, tmp_path, *reversed(lines), name="once more") == (0, 0, 2), "known, though asked for again since"
    assert pull(lake, tmp_path, "eve,a.png,cat,1") == (1, 0, 0)
    newest = lake.latest("annotations", lake.at()).to_pylist()
    assert [row["batch"] for row in newest if row["annotator"] == "eve"] == [second]


@pytest.mark.parametrize(
    ("lines", "options", "sentence"),
    [
        (["ann,a.png,cat,1"], {"batch": "batch-9"}, "unknown batch 'batch-9', did you mean 'batch-2'"),
        (["ann,b.png,cat,1"], {"batch": "batch-2"}, "line 2: batch batch-2 did not ask for this picture"),
        (["ann,a.png,cow,1"], {}, "line 2: unknown class 'cow'"),
        (["ann,x.png,cat,1"], {}, "line 2: no picture has the key 'x.png'"),
    ],
)
def test_a_mistake_takes_nothing_of_the_file(
    lake: Lake, fill: Fill, tmp_path: Path, lines: list[str], options: dict[str, str], sentence: str
) -> None:
    fill([("a.png", None, b"1"), ("b.png", "cat", b"2")], classes=["cat", "dog"])
    batches.run_push(lake, NO_RANDOM)
    with pytest.raises(UserError, match=sentence):
        pull(lake, tmp_path, *lines, **options)
    assert lake.latest("annotations", lake.at()).num_rows == 0


def test_classes_that_a_batch_offered_may_be_answered(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("a.png", None, b"1")])
    batches.run_push(lake, NO_RANDOM, classes=["wolf"])
    assert pull(lake, tmp_path, "ann,a.png,wolf,1") == (1, 0, 0)


# status, and the commands


def test_status_counts_asked_answered_decided_and_reverted(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    from secondlook.jobs.history import history

    fill([("a.png", None, b"1"), ("b.png", None, b"2"), ("c.png", None, b"3")], classes=["cat", "dog"])
    assert status.run_status(lake) == []
    batch = batches.run_push(lake, NO_RANDOM)["batch"]
    pull(lake, tmp_path, "ann,a.png,cat,1", "ann,b.png,unsure,1")
    commit.run(lake, Settings())

    def counts(**options: Any) -> list[tuple[Any, ...]]:
        names = ("batch", "asked", "answered", "decided", "reverted")
        return [tuple(row[name] for name in names) for row in status.run_status(lake, **options)]

    assert counts() == [(batch, 3, 2, 1, 0)]
    assert counts(as_of=2) == [(batch, 3, 0, 0, 0)]
    history.run_revert(lake, batch)
    assert counts() == [(batch, 3, 2, 1, 1)]


def test_the_commands_end_with_one_line_of_json_and_say_mistakes_in_a_sentence(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(UNLABELED, classes=["cat", "dog"])
    at = ["--lake", lake.root]

    def call(*words: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        status = command([*words, *at])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    status, [line], _ = call("review", "push", "--to", str(tmp_path / "q.csv"), "--budget", "2", "--json")
    assert (status, json.loads(line)["batch"]) == (0, "batch-2")
    assert call("review", "push", "--to", str(tmp_path / "q.csv"))[0] == 2
    status, [line], _ = call("review", "push", "--batch", "batch-2", "--to", str(tmp_path / "again.csv"))
    assert (status, line) == (0, "batch-2: 2 pictures (2 unlabeled)")
    file = answer(tmp_path, "ann,new/0.png,cat,1")
    status, [line], _ = call("review", "pull", "--from", str(file), "--json")
    assert (status, json.loads(line)["added"]) == (0, 1)
    assert call("review", "pull", "--from", str(tmp_path / "none.csv"))[0] == 2
    status, _, err = call("review", "pull", "--from", str(answer(tmp_path, "ann,new/0.png,cta,1")))
    assert (status, "did you mean 'cat'" in err, "Traceback" in err) == (2, True, False)
    status, lines, _ = call("review", "status")
    assert (status, lines[0].split(",")[0], lines[0][-9:]) == (0, "batch-2  2 asked", "0 decided")
