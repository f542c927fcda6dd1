"""`review push`: what a batch asks for and why, and that nothing of it anchors people or gives itself away."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.report.facts import gather
from secondlook.jobs.review import answers_file, batches, commit, pool
from secondlook.jobs.review.push import refuse_nonsense
from secondlook.labeling.tickets import ticket
from secondlook.pipeline.core.config import ReviewSettings, Settings
from secondlook.pipeline.core.errors import SecondlookError, UserError
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.report.page import render

Fill = Callable[..., dict[str, str]]
PICTURES = [(f"train/{'cat' if i % 2 else 'dog'}/{i}.png", "cat" if i % 2 else "dog", b"%d" % i) for i in range(8)]
UNLABELED = [(f"new/{i}.png", None, b"\x89PNG new %d" % i) for i in range(4)]
CLASSES = ["bird", "cat", "dog"]
WIDE = ["ant", "bat", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis"]


def only(**fields: Any) -> Settings:
    """Settings of a review without chance or gold, but for these fields."""
    plain: dict[str, Any] = {"random_share": 0.0, "gold_share": 0.0}
    return Settings(review=ReviewSettings(**plain | fields))


def lint(lake: Lake, *findings: dict[str, Any]) -> None:
    """What lint would have written."""
    attempt = lake.attempt("lint", {"n": len(findings)})
    common = {"subject_kind": "sample", "key": "", "split": "", "message": "", "score": 0.9, "evidence": "{}"}
    attempt.append("findings", rows("findings", [common | one for one in findings]))
    attempt.commit({})


def train(
    lake: Lake, probs: dict[bytes, list[float]], classes: list[str] = CLASSES, name: str = "m", **more: dict[bytes, Any]
) -> None:
    """A model, what it says of some contents, and (`vectors`, `evidence`) what it keeps of them."""
    attempt = lake.attempt("train", {"name": name})
    facts = {"kind": "generalist", "classes": classes, "embedder": "e"}
    attempt.append("models", rows("models", [{"model": name} | facts]))
    records = []
    for data, its in probs.items():
        order = sorted(range(len(classes)), key=lambda n: -its[n])
        ranked = {"classes": order, "probs": [its[n] for n in order]}
        records.append({"content_id": content_id(data), "model": name, "fold": -1} | ranked)
    attempt.append("predictions", rows("predictions", records))
    vectors = [{"content_id": content_id(d), "model": "e", "vector": v} for d, v in more.get("vectors", {}).items()]
    attempt.append("embeddings", rows("embeddings", vectors))
    evidence = [{"content_id": content_id(d), "model": name} | v for d, v in more.get("evidence", {}).items()]
    attempt.append("evidence", rows("evidence", evidence))
    attempt.commit({})


def tasks(lake: Lake, batch: str) -> list[dict[str, Any]]:
    """Rows of a batch, in the order of the queue."""
    table = lake.latest("batches", lake.at()).to_pylist()
    mine = sorted((row for row in table if row["batch"] == batch), key=lambda row: row["position"])
    assert [row["position"] for row in mine] == list(range(len(mine)))
    return mine


def asked(lake: Lake, batch: str) -> dict[str, str]:
    """sample_id → strategy."""
    return {row["sample_id"]: row["strategy"] for row in tasks(lake, batch)}


def pull(lake: Lake, folder: Path, *lines: str) -> None:
    file = folder / "answers.csv"
    file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
    answers_file.run_pull(lake, Settings(), file)


def doubted(n: int, classes: list[str] = WIDE) -> tuple[list[tuple[str, str | None, bytes]], dict[bytes, list[float]]]:
    """n pictures that bear one class, of which the model finds the next one more probable."""
    pictures: list[tuple[str, str | None, bytes]] = []
    probs = {}
    for i in range(n):
        given, other = i % len(classes), (i + 1) % len(classes)
        data = b"doubted %d" % i
        pictures.append((f"{i:03}.png", classes[given], data))
        its = np.full(len(classes), 0.01)
        its[given], its[other] = 0.15, 1 - 0.15 - 0.01 * (len(classes) - 2)
        probs[data] = its.tolist()
    return pictures, probs


# What is asked


def test_doubted_labels_unlabeled_pictures_and_open_answers_are_weighed_in_one_currency(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    wrong, right, waived, open_one, settled = PICTURES[:5]
    ids = fill([*PICTURES[:5], *UNLABELED[:2]])
    said = {"cat": 1, "dog": 2}

    def against(label: str | None, p: float) -> list[float]:
        its = [0.02, 0.0, 0.0]
        its[said[label or "cat"]], its[3 - said[label or "cat"]] = 0.98 - p, p
        return its

    train(
        lake,
        {wrong[2]: against(wrong[1], 0.9), right[2]: against(right[1], 0.01), waived[2]: against(waived[1], 0.9)}
        | {open_one[2]: [0.2, 0.4, 0.4], settled[2]: against(settled[1], 0.02)}
        | {UNLABELED[0][2]: [0.01, 0.98, 0.01], UNLABELED[1][2]: [0.3, 0.36, 0.34]},
    )
    lint(lake, {"rule": "SL101", "subject": ids[waived[0]], "waiver": "it is a drawing"})
    pull(lake, tmp_path, f"ann,{open_one[0]},cat,3", f"bob,{open_one[0]},dog,3", f"ann,{settled[0]},{settled[1]},3")
    summary = batches.run_push(lake, only(), budget=9)
    found = asked(lake, summary["batch"])
    assert found == {
        ids[wrong[0]]: "doubted",
        ids[open_one[0]]: "again",
        ids["new/0.png"]: "unlabeled",
        ids["new/1.png"]: "unlabeled",
    }, "neither a sure label, nor a waived doubt, nor an answer that model and label agree with"
    assert batches.run_push(lake, only(), budget=9)["asked"] == 0, "all of it waits for answers"


def test_of_equal_pictures_one_is_asked_for_and_counts_for_all(lake: Lake, fill: Fill) -> None:
    fill([("a.png", None, b"1"), ("b.png", None, b"1"), ("c.png", None, b"2")], classes=["cat", "dog"])
    summary = batches.run_push(lake, only(), budget=1)
    [task] = tasks(lake, summary["batch"])
    assert task["sample_id"] in {
        row["sample_id"] for row in lake.latest("samples", lake.at()).to_pylist() if row["key"] != "c.png"
    }
    assert batches.run_push(lake, only(), budget=9)["asked"] == 1
    assert batches.run_push(lake, only(), budget=9)["asked"] == 0


def test_copies_with_two_labels_are_doubted_without_any_model(lake: Lake, fill: Fill) -> None:
    ids = fill([("a.png", "cat", b"1"), ("b.png", "dog", b"1"), ("c.png", "dog", b"2")])
    summary = batches.run_push(lake, only(), budget=9)
    assert list(asked(lake, summary["batch"]).values()) == ["doubted"]
    assert asked(lake, summary["batch"]).keys() <= {ids["a.png"], ids["b.png"]}


def test_what_came_to_no_decision_comes_back_by_itself_and_alone_with_again(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    ids = fill([("a.png", "cat", b"1"), ("b.png", "dog", b"2"), ("c.png", None, b"3")])
    pull(lake, tmp_path, "ann,a.png,cat,1", "bob,a.png,dog,1", "ann,b.png,dog,1")
    commit.run(lake, Settings())
    one = batches.run_push(lake, only(), budget=9, again=True)["batch"]
    assert asked(lake, one) == {ids["a.png"]: "again"}
    assert asked(lake, batches.run_push(lake, only(), budget=9)["batch"]) == {ids["c.png"]: "unlabeled"}


def test_an_answer_that_the_model_disputes_is_asked_of_somebody_else(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("a.png", "cat", b"1"), ("b.png", "cat", b"2")], classes=CLASSES)
    train(lake, {b"1": [0.01, 0.03, 0.96], b"2": [0.01, 0.96, 0.03]})
    pull(lake, tmp_path, "ann,a.png,cat,1", "ann,b.png,cat,1")
    commit.run(lake, Settings())
    assert asked(lake, batches.run_push(lake, only(), budget=9)["batch"]) == {ids["a.png"]: "again"}


def test_after_enough_people_a_picture_comes_back_only_when_asked_for(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("a.png", "cat", b"1"), ("b.png", "dog", b"2")])
    pull(lake, tmp_path, *(f"p{n},a.png,{'cat' if n % 2 else 'dog'},1" for n in range(4)))
    assert batches.run_push(lake, only(most_answers=4), budget=9)["asked"] == 0
    assert asked(lake, batches.run_push(lake, only(most_answers=4), budget=9, again=True)["batch"]) == {
        ids["a.png"]: "again"
    }


def test_answers_of_a_paused_annotator_count_for_nothing_but_the_task_is_done(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    ids = fill([("a.png", None, b"1")], classes=["cat", "dog"])
    batches.run_push(lake, only())
    pull(lake, tmp_path, "eve,a.png,cat,1")
    attempt = lake.attempt("people", {})
    attempt.append("annotators", rows("annotators", [{"annotator": "eve", "event": "paused"}]))
    attempt.commit({})
    them = pool.read(lake, lake.at(), Settings(), ["cat", "dog"])
    assert (them.answers.people.tolist(), them.pending.tolist(), them.asked.tolist()) == ([0], [False], [True])
    assert asked(lake, batches.run_push(lake, only())["batch"]) == {ids["a.png"]: "unlabeled"}


def test_three_are_waited_for_where_three_were_asked_but_not_in_an_archived_project(
    lake: Lake, fill: Fill, tmp_path: Path
) -> None:
    ids = fill([("a.png", None, b"1")], classes=["cat", "dog"])
    attempt = lake.attempt("push", {})
    task = {"batch": "batch-2", "sample_id": ids["a.png"], "position": 0, "strategy": "verify", "people": 3}
    attempt.append("batches", rows("batches", [task | {"choices": ["cat", "dog"]}]))
    attempt.commit({})

    def pending() -> bool:
        return bool(pool.read(lake, lake.at(), Settings(), ["cat", "dog"]).pending[0])

    pull(lake, tmp_path, "ann,a.png,cat,1", "bob,a.png,dog,1")
    assert pending()
    attempt = lake.attempt("archive", {})
    attempt.append("projects", rows("projects", [{"batch": "batch-2", "state": "archived"}]))
    attempt.commit({})
    assert not pending()


def test_the_random_share_is_of_what_nobody_was_asked_for_and_is_said_to_be_random(lake: Lake, fill: Fill) -> None:
    fill(PICTURES)
    summary = batches.run_push(lake, only(random_share=0.5), budget=6)
    assert summary["strategies"] == {"random": 3}
    assert batches.run_push(lake, only(random_share=1.0), budget=99)["strategies"] == {"random": 5}


# Gold


def gold(lake: Lake, **labels: str) -> None:
    attempt = lake.attempt("gold", {"n": len(labels)})
    attempt.append(
        "gold", rows("gold", [{"sample_id": s, "label": n, "source": "supplied"} for s, n in labels.items()])
    )
    attempt.commit({})


def test_gold_is_asked_again_and_again_the_least_asked_first_and_never_as_anything_else(lake: Lake, fill: Fill) -> None:
    pictures, probs = doubted(30)
    ids = fill(pictures)
    train(lake, probs, WIDE)
    golden = {ids[f"{n:03}.png"]: WIDE[n % 9] for n in range(4)}
    gold(lake, **golden)
    often: list[str] = []
    for _ in range(2):
        found = asked(lake, batches.run_push(lake, only(gold_share=0.2), budget=10)["batch"])
        mine = [sample for sample, why in found.items() if why == "gold"]
        assert len(mine) == 2
        assert len(found) == 10
        often += mine
        assert not {sample for sample, why in found.items() if why != "gold"} & golden.keys()
    assert sorted(often) == sorted(golden), "those that were not asked for yet come first"


def test_options_hold_the_given_label_the_guess_and_of_gold_the_answer(lake: Lake, fill: Fill) -> None:
    pictures, probs = doubted(60)
    ids = fill(pictures)
    train(lake, probs, WIDE)
    gold(lake, **{ids["005.png"]: "ant"})  # neither its label nor what the model thinks
    summary = batches.run_push(lake, only(gold_share=0.02, options=4), budget=60)
    key = {sample: name for name, sample in ids.items()}
    given = dict(zip((p[0] for p in pictures), (p[1] for p in pictures), strict=True))
    groups: dict[str, list[str]] = {}
    for row in tasks(lake, summary["batch"]):
        name = key[row["sample_id"]]
        assert row["choices"] == WIDE
        assert row["options"] == sorted(row["options"]), "an order that gives nothing away"
        assert 2 <= len(row["options"]) <= 4
        wanted = "ant" if row["strategy"] == "gold" else given[name]
        assert wanted in row["options"]
        assert WIDE[(WIDE.index(str(given[name])) + 1) % 9] in row["options"]
        assert groups.setdefault(row["group"], row["options"]) == row["options"]
    order = [row["group"] for row in tasks(lake, summary["batch"])]
    runs = [name for n, name in enumerate(order) if n == 0 or order[n - 1] != name]
    assert len(runs) == len(set(runs)), "like beside like"


def test_who_is_asked_again_may_choose_between_what_the_others_named(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    pictures, probs = doubted(18)
    ids = fill(pictures)
    train(lake, probs, WIDE)
    pull(lake, tmp_path, "ann,000.png,hen,1", "bob,000.png,eel,1")  # it bears ant, and the model says bat
    [task] = tasks(lake, batches.run_push(lake, only(options=4), again=True)["batch"])
    assert task["sample_id"] == ids["000.png"]
    assert {"hen", "eel"} <= {*task["options"]}


def test_few_classes_are_all_shown_and_an_audit_shows_all(lake: Lake, fill: Fill) -> None:
    pictures, probs = doubted(20, CLASSES)
    fill(pictures)
    train(lake, probs)
    assert {row["options"] is None for row in tasks(lake, batches.run_push(lake, only(), budget=5)["batch"])} == {True}


# What it may cost


def test_a_budget_of_time_is_filled_by_what_answers_take(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([(f"{n}.png", None, b"%d" % n) for n in range(60)], classes=["cat", "dog"])
    assert batches.run_push(lake, only(seconds_per_label=10.0), budget="1m", dry_run=True)["asked"] == 6
    summary = batches.run_push(lake, only(seconds_per_label=10.0, price_per_hour=18.0), budget="0.5 USD")
    assert (summary["asked"], summary["seconds"], summary["price"], summary["currency"]) == (10, 100.0, 0.5, "USD")
    pull(lake, tmp_path, *(f"ann,{n}.png,cat,2" for n in range(40)))
    learned = batches.run_push(lake, only(seconds_per_label=10.0), budget="1m", dry_run=True)
    assert learned["asked"] > 10, "people turned out to be faster"
    with pytest.raises(UserError, match="needs the price of an hour"):
        batches.run_push(lake, only(), budget="5 USD")


def test_a_dry_run_records_and_writes_nothing(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(UNLABELED, classes=["cat", "dog"])
    before = lake.at().id
    one, two = (batches.run_push(lake, only(), budget=3, dry_run=True) for _ in range(2))
    assert (one["asked"], one["batch"], one["strategies"], lake.at().id) == (3, None, {"unlabeled": 3}, before)
    assert one == two
    assert batches.run_push(lake, only(), budget=3)["groups"] == one["groups"]


# Spread, balance, strategies


def test_copies_of_a_doubt_in_the_embedding_give_way_to_other_doubts(lake: Lake, fill: Fill) -> None:
    pictures, probs = doubted(40, ["cat", "dog"])
    ids = fill(pictures)
    places = np.eye(11)[[max(n - 29, 0) for n in range(40)]].tolist()
    train(lake, probs, ["cat", "dog"], vectors={p[2]: place for p, place in zip(pictures, places, strict=True)})
    alike = {ids[f"{n:03}.png"] for n in range(30)}
    spread = asked(lake, batches.run_push(lake, only(spread=0.9), budget=10)["batch"])
    assert len(alike & spread.keys()) <= 2
    plain = batches.run_push(lake, only(spread=0.0), budget=10)["batch"]
    assert len(alike & asked(lake, plain).keys()) > 5


def test_no_group_is_left_out_and_the_summary_says_who_would_have_been(lake: Lake, fill: Fill) -> None:
    pictures, probs = doubted(100, ["cat", "dog"])
    sure = {p[2] for p in pictures[60:]}
    for data in sure:
        probs[data] = [0.45, 0.55] if probs[data][1] > 0.5 else [0.55, 0.45]
    people = [[("gender", "f" if n >= 60 else "m")] for n in range(100)]
    ids = fill([(*one, {"attributes": its}) for one, its in zip(pictures, people, strict=True)])
    train(lake, probs, ["cat", "dog"])
    unfair = batches.run_push(lake, only(), budget=20, dry_run=True)
    assert unfair["balance"] == {}
    fair = batches.run_push(lake, only(balance="gender", balance_floor=0.8), budget=20)
    told = fair["balance"]["gender"]["f"]
    assert (told["candidates"], told["without"], told["with"]) == (40, 0, 6), "floor: 0.8 * 20 * 40 %"
    assert fair["left_out"] == ["gender f: 6 asked for; without balance 0, 0.00 times as often as chance"]
    women = {ids[name] for n, (name, _, _) in enumerate(pictures) if n >= 60}
    assert len(women & asked(lake, fair["batch"]).keys()) == 6
    page = render(gather(lake, lake.at(), Settings(), thumbnails=0))
    assert "asks people about" in page
    assert re.search(r"gender\s+f\s+40\s+6\s+0\s+0\.00", re.sub("<[^>]*>", " ", page))
    with pytest.raises(UserError, match=r"unknown attribute in \[review\] balance 'gendr', did you mean 'gender'"):
        batches.run_push(lake, only(balance="gendr"), budget=5)


@pytest.mark.parametrize("strategy", ["p_error", "margin", "entropy", "disagreement"])
def test_a_classic_strategy_takes_what_it_finds_most_of(lake: Lake, fill: Fill, strategy: str) -> None:
    ids = fill([(f"{n}.png", "cat", b"%d" % n) for n in range(4)], classes=CLASSES)
    train(
        lake,
        {b"0": [0.1, 0.8, 0.1], b"1": [0.05, 0.05, 0.9], b"2": [0.0, 0.51, 0.49], b"3": [0.32, 0.35, 0.33]},
        evidence={
            b"%d" % n: {
                "label": "cat",
                "held_out": a,
                "refit": b,
                "neighbors": a,
                "dynamics": b,
                "p_error": (a + b) / 2,
            }
            for n, (a, b) in enumerate([(0.1, 0.1), (0.9, 0.9), (0.1, 0.95), (0.4, 0.5)])
        },
    )
    best = {"p_error": "1.png", "margin": "2.png", "entropy": "3.png", "disagreement": "2.png"}[strategy]
    found = batches.run_push(lake, only(), budget=1, strategy=strategy)
    if strategy == "margin":
        assert asked(lake, found["batch"]).keys() <= {ids["2.png"], ids["3.png"]}
    else:
        assert asked(lake, found["batch"]) == {ids[best]: "doubted"}


def test_two_models_that_differ_are_a_committee(lake: Lake, fill: Fill) -> None:
    ids = fill([(f"{n}.png", None, b"%d" % n) for n in range(3)], classes=CLASSES)
    train(lake, {b"0": [1.0, 0, 0], b"1": [0.4, 0.3, 0.3], b"2": [0, 1.0, 0]})
    train(lake, {b"0": [1.0, 0, 0], b"1": [0.4, 0.3, 0.3], b"2": [0, 0, 1.0]}, name="n")
    found = batches.run_push(lake, only(), budget=1, strategy="disagreement")
    assert asked(lake, found["batch"]) == {ids["2.png"]: "unlabeled"}


def test_a_strategy_that_can_t_be_had_is_said_in_a_sentence(lake: Lake, fill: Fill) -> None:
    fill(PICTURES)
    with pytest.raises(UserError, match="--strategy margin needs a model; `secondlook train` makes one"):
        batches.run_push(lake, only(), strategy="margin")
    with pytest.raises(UserError, match="unknown strategy 'margn', did you mean 'margin'"):
        batches.run_push(lake, only(), strategy="margn")


# Files


def test_the_queue_tells_neither_the_given_label_nor_the_guess(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("train/cat/1.png", "cat", b"\x89PNG one"), ("train/dog/2.jpg", "dog", b"\xff\xd8 two")])
    train(lake, {b"\x89PNG one": [0.1, 0.2, 0.7], b"\xff\xd8 two": [0.1, 0.7, 0.2]})
    file, folder = tmp_path / "queue.csv", tmp_path / "pictures"
    summary = batches.run_push(lake, only(), to=file, pictures=folder, budget=5)
    found = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert list(found[0]) == ["annotator", "key", "label", "seconds", "picture", "choices"]
    named = {key: ticket(lake.versions.secret(), summary["batch"], sample) for key, sample in ids.items()}
    assert {row["key"] for row in found} == set(named.values())
    for row in found:
        row_text = "".join(value for name, value in row.items() if name != "choices")
        assert not any(word in row_text for word in ("cat/", "dog/", "/1.png", "/2.jpg"))
        assert json.loads(row["choices"]) == ["cat", "dog"]
        assert row["annotator"] == row["label"] == ""
    by_key = {row["key"]: Path(row["picture"]) for row in found}
    assert by_key[named["train/cat/1.png"]].read_bytes() == b"\x89PNG one"
    assert by_key[named["train/dog/2.jpg"]].suffix == ".jpg"
    again = tmp_path / "again.csv"
    batches.run_again(lake, summary["batch"], to=again, show_guess=True)
    shown = {row["key"]: row for row in csv.DictReader(again.read_text(encoding="utf-8").splitlines())}[
        named["train/cat/1.png"]
    ]
    assert (shown["given"], shown["guess"], shown["p_guess"]) == ("cat", "dog", "0.7000")
    assert shown["original_key"] == "train/cat/1.png"


def test_a_cell_that_a_spreadsheet_would_run_is_text(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    rude = "=cmd|' /C calc'!A0"
    fill([("=1+1.png", rude, b"1"), ("b.png", "dog", b"1")])
    file = tmp_path / "queue.csv"
    batches.run_push(lake, only(), to=file, budget=5, show_guess=True)
    [row] = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    assert json.loads(row["choices"]) == [rude, "dog"]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row.values())
    assert {row["given"], row["original_key"]} in ({f"'{rude}", "'=1+1.png"}, {"dog", "b.png"})


def test_a_queue_with_few_classes_names_them_beside_all(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    pictures, probs = doubted(30)
    fill(pictures)
    train(lake, probs, WIDE)
    file = tmp_path / "queue.csv"
    batches.run_push(lake, only(options=4), to=file, budget=5)
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        assert set(json.loads(row["options"])) < set(json.loads(row["choices"])) == set(WIDE)


def test_paths_that_give_labels_away_are_said_to_unless_pictures_hide_them(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill([("cat/1.png", "cat", b"1"), ("flat/cat.png", None, b"2"), ("dog/2.png", None, b"3")])
    batch = batches.run_push(lake, only(random_share=1.0), to=tmp_path / "one.csv")["batch"]
    assert "the paths of 1 pictures" in capsys.readouterr().err
    batches.run_again(lake, batch, to=tmp_path / "two.csv", pictures=tmp_path / "pictures")
    assert "paths" not in capsys.readouterr().err


def test_a_filled_queue_is_an_answers_file(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("train/cat/1.png", None, b"1"), ("train/dog/2.jpg", None, b"2")], classes=["cat", "dog"])
    file = tmp_path / "queue.csv"
    batch = batches.run_push(lake, only(), to=file)["batch"]
    key = ticket(lake.versions.secret(), batch, ids["train/cat/1.png"])
    text = file.read_text(encoding="utf-8").replace(f",{key},,", f"ann,{key},dog,2")
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
    fill([("a.png", None, b"1")], classes=["cat", "dog"], reference=f"file://{tmp_path}/gone/")
    with pytest.raises(SecondlookError, match="kept by reference and can't be read"):
        batches.run_push(lake, only(), to=tmp_path / "queue.csv", pictures=tmp_path / "pictures")
    assert lake.at().id == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake"]


def test_without_classes_people_would_have_nothing_to_choose(lake: Lake, fill: Fill) -> None:
    fill(UNLABELED)
    with pytest.raises(UserError, match="the lake knows no classes yet; name them with --classes"):
        batches.run_push(lake, only())
    batch = batches.run_push(lake, only(), classes=["dog", "cat"])["batch"]
    [choices] = {tuple(c) for c in lake.latest("batches", lake.at())["choices"].to_pylist()}
    assert (batch, choices) == ("batch-2", ("cat", "dog"))


# The command


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"--batch", "--budget"}, "--batch takes no --budget: it sends or writes a batch that is chosen already"),
        ({"--audit", "--show-guess"}, "--audit takes no --show-guess"),
        ({"--audit", "--verify"}, "--audit takes no --verify"),
        ({"--verify", "--classes"}, "--verify takes no --classes"),
        ({"--dry-run", "--to"}, "--dry-run takes no --to: it writes nothing"),
        ({"--again", "--strategy"}, "--again takes no --strategy"),
        ({"--audit", "--dry-run"}, "--audit takes no --dry-run"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(given: set[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        refuse_nonsense(given)


@pytest.mark.parametrize("given", [{"--audit", "--again", "--to"}, {"--verify", "--budget"}, {"--budget", "--dry-run"}])
def test_options_that_go_together_do(given: set[str]) -> None:
    refuse_nonsense(given)


def test_batches_that_were_to_be_sent_and_are_not_are_unfinished(lake: Lake, fill: Fill) -> None:
    fill(UNLABELED, classes=["cat", "dog"])
    one, two, three = (batches.run_push(lake, only(), budget=1, sending=n != 1)["batch"] for n in range(3))
    assert batches.unfinished(lake, lake.at()) == [one, three], "the second went to a file"
    attempt = lake.attempt("send", {})
    attempt.append("projects", rows("projects", [{"batch": one, "state": "sent"}, {"batch": two, "state": "made"}]))
    attempt.commit({})
    assert batches.unfinished(lake, lake.at()) == [two, three]


def test_the_command_teaches_and_its_json_is_one_line(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(UNLABELED, classes=["cat", "dog"])
    at = ["--lake", lake.root]

    def call(*words: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        status = command(["review", "push", *words, *at])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    status, lines, _ = call("--budget", "12s", "--dry-run")
    assert status == 0
    assert lines[0] == "a dry run: 2 pictures (2 unlabeled)"
    assert lines[1] == "about 12 seconds of people's time; strategy active"
    assert any(line.split() == ["2", "unlabeled:", "no", "label", "yet"] for line in lines)
    assert lines[-1] == "nothing was recorded; without --dry-run it is"
    status, lines, _ = call("--budget", "2")
    assert lines[-1] == "recorded; `secondlook review push --batch batch-2 --to queue.csv` writes it to a file"
    status, [line], _ = call("--budget", "2", "--to", str(tmp_path / "q.csv"), "--json")
    assert (status, json.loads(line)["batch"]) == (0, "batch-3")
    status, [line], _ = call("--batch", "batch-2", "--to", str(tmp_path / "again.csv"))
    assert (status, line) == (0, "batch-2: 2 pictures (2 unlabeled)")
    status, _, err = call("--budget", "3 weeks")
    assert (status, "unknown unit 'weeks'" in err, "Traceback" in err) == (2, True, False)
    status, _, err = call("--batch", "batch-9", "--to", str(tmp_path / "none.csv"))
    assert (status, "unknown batch 'batch-9'" in err) == (2, True)


def test_an_audit_asks_three_among_all_classes_and_says_why_it_is_small(
    lake: Lake, fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(PICTURES)
    assert command(["review", "push", "--audit", "50", "--lake", lake.root]) == 0
    assert "50 were asked for, and 8 labeled pictures were left to draw" in capsys.readouterr().out
    assert {(row["people"], row["options"]) for row in tasks(lake, "batch-2")} == {(3, None)}
