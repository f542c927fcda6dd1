"""Classes that wait for a sign-off, and what people do to classes, end to end on small lakes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.export import export
from secondlook.jobs.history import class_changes, classes, revert
from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import lint
from secondlook.jobs.report import report
from secondlook.jobs.review import answers_file, batches, commit, queue
from secondlook.jobs.train import train, training_set
from secondlook.labeling.class_list import MERGED, RENAMED, RETIRED, SIGNED_OFF, SPLIT, SYNONYMS
from secondlook.pipeline.core.config import LintSettings, ReviewSettings, Settings, Waiver
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.models_config import TrainSettings
from secondlook.pipeline.images.fingerprint import fingerprint

Fill = Callable[..., dict[str, str]]
LabelsOf = Callable[..., dict[str, str | None]]
Call = Callable[..., tuple[int, list[str], str]]
SETTINGS = Settings(lint=LintSettings(min_class=1), review=ReviewSettings(random_share=0.0))
ANIMALS = [
    ("cat/1.png", "cat", b"1"),
    ("dog/1.png", "dog", b"2"),
    ("dog/2.png", "dog", b"3"),
    ("hound/1.png", "hound", b"4"),
    ("new.png", None, b"5"),
]


@pytest.fixture
def call(lake: Lake, capsys: pytest.CaptureFixture[str]) -> Call:
    """Type a command on the lake: (status, lines of standard output, standard error)."""

    def run(*said: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        status = command([*said, "--lake", lake.root])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    return run


def do(lake: Lake, event: str, name: str, into: str | None = None, *names: str, **more: Any) -> dict[str, Any]:
    return class_changes.run(lake, event, name, into=into, names=names, reason="why not", author="ann", **more)


def answer(lake: Lake, tmp_path: Path, *lines: str) -> dict[str, Any]:
    file = tmp_path / f"answers-{lake.at().id}.csv"
    file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
    answers_file.run_pull(lake, Settings(), file)
    return commit.run(lake, Settings())


def predicted(lake: Lake, names: list[str], probs: dict[bytes, list[float]]) -> None:
    """A model of these classes with these probabilities, in their order."""
    attempt = lake.attempt("train", {"n": str(probs)})
    facts = {
        "model": "m",
        "kind": "generalist",
        "backbone": "small",
        "path": "models/m",
        "settings": "{}",
        "metrics": "{}",
    }
    attempt.append("models", rows("models", [facts | {"classes": names}]))
    said = [
        {"content_id": content_id(data), "model": "m", "fold": 0}
        | {"classes": sorted(range(len(names)), key=lambda n: -its[n]), "probs": sorted(its, reverse=True)}
        for data, its in probs.items()
    ]
    attempt.append("predictions", rows("predictions", said))
    attempt.commit({})


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(file.read_text().splitlines()))


# What waits for a sign-off


@pytest.fixture
def rude(lake: Lake, fill: Fill, picture: Callable[..., bytes]) -> Lake:
    """Four cats, four dogs, and four birds in folders called `cock`, which is also the name of their class."""
    shots = [
        (f"{name}/{n}.png", name, picture(10 * at + n))
        for at, name in enumerate(["cat", "dog", "cock"])
        for n in range(4)
    ]
    fill([*shots, ("cock/new.png", None, picture(99)), ("cat/cock/copy.png", "cat", picture(20))])
    attempt = lake.attempt("ingest", {"more": 1})
    contents = {content_id(data): data for _, _, data in shots} | {content_id(picture(99)): picture(99)}
    attempt.append(
        "fingerprints",
        rows("fingerprints", [f for d in contents.values() if isinstance(f := fingerprint(d, Limits()), dict)]),
    )
    bad = {"sample_id": "bad", "dataset": "default", "source": "here", "key": "cock/bad.png", "reason": "truncated"}
    attempt.append("rejects", rows("rejects", [bad]))
    attempt.commit({"samples": 13})
    return lake


def silent(text: str) -> bool:
    """Whether a text does not hold the term, however it is written."""
    return "cock" not in text.lower()


def test_a_quarantined_class_is_named_nowhere(rude: Lake, call: Call, tmp_path: Path) -> None:
    predicted(rude, ["cat", "cock", "dog"], {rude_bytes: [0.1, 0.8, 0.1] for rude_bytes in _images(rude)})
    page = tmp_path / "report.html"
    said = [
        call("lint", "--format", form) for form in ("text", "json", "html", "sarif")
    ] + [
        call("lint", "--json"),
        call("report", "--output", str(page)),
        call("review", "push", "--to", str(tmp_path / "q.csv"), "--show-guess", "--budget", "50"),
        call("review", "status"),
        call("classes", "list"),
        call("classes", "list", "--json"),
        call("classes", "merge", "bird", "dog", "--reason", "x"),
        call("blame", "k/0.png"),
        call("log"),
        call("log", "--json"),
        call("export", str(tmp_path / "out.csv"), "--format", "csv"),
    ]  # fmt: skip
    for status, lines, errors in said:
        assert status in {0, 1, 2}
        assert silent("\n".join([*lines, errors])), (lines, errors)
    assert "c*** (class 2)" in page.read_text()
    assert silent(page.read_text())
    assert silent((tmp_path / "q.csv").read_text())
    assert any("c*** (class 2)" in line and "SL501" in line for line in said[0][1])


def _images(lake: Lake) -> list[bytes]:
    return [row["bytes"] for row in lake.latest("images", lake.at())["image"].to_pylist()]


def test_lint_says_it_once_and_a_waiver_does_not_lift_it(rude: Lake) -> None:
    waived = Settings(waivers=(Waiver("SL501", "*", "we know"),))
    found = [one for one in lint.listing(rude, waived).findings if one.finding.rule == "SL501"]
    assert [(one.finding.subject, one.finding.key, one.waiver) for one in found] == [
        ("#2", "c*** (class 2)", "we know")
    ]
    assert found[0].finding.evidence["pictures"] == 4
    assert dataset.quarantined(rude, rude.at()) == {"cock": "c*** (class 2)"}


def test_train_leaves_it_out_before_lint_ever_ran(rude: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    data = training_set.load(rude, rude.at(), LintSettings(), 2)
    assert (data.classes, data.quarantined) == (["cat", "dog"], {"classes": 1, "pictures": 4})
    wanted = Settings(train=TrainSettings(epochs=1, folds=2, refits=0, threads=1))
    summary = train.run(rude, wanted)
    assert (summary["classes"], summary["quarantined"]) == (2, {"classes": 1, "pictures": 4})
    assert "1 class waits for a sign-off and 4 pictures were left out" in capsys.readouterr().err
    note = lint.run(rude, SETTINGS)["notes"]["SL101"]
    assert note.endswith("4 pictures of classes that wait for a sign-off (SL501) are not judged")
    assert "has not seen" not in note
    do(rude, SIGNED_OFF, "#2")
    assert train.run(rude, wanted)["classes"] == 3


def test_review_neither_asks_for_it_nor_offers_it(rude: Lake, tmp_path: Path) -> None:
    summary = batches.run_push(rude, SETTINGS, to=tmp_path / "q.csv", budget=50)
    assert (summary["asked"], summary["quarantined"]) == (1, {"classes": 1, "pictures": 4})
    [row] = table(tmp_path / "q.csv")
    assert json.loads(row["choices"]) == ["cat", "dog"]
    with pytest.raises(UserError, match=r"the class c\*\*\* \(class 2\) waits for a sign-off"):
        batches.run_push(rude, SETTINGS, classes=["cock"])
    for key, label, said in (
        ("cock/new.png", "cock", r"unknown class 'c\*\*\*"),
        ("cock/nwe.png", "cat", r"near names: c\*\*\*"),
    ):
        with pytest.raises(UserError, match=said) as refused:
            answer(rude, tmp_path, f"ann,{key},{label},1")
        assert silent(str(refused.value))


def test_export_leaves_it_out_until_the_sign_off(rude: Lake, tmp_path: Path) -> None:
    summary = export.run(rude, str(tmp_path / "all.csv"), format="csv")
    assert (summary["rows"], summary["quarantined"]) == (10, {"classes": 1, "pictures": 4})
    keys = [row["key"] for row in table(tmp_path / "all.csv")]
    assert "cat/cock/copy.png" in keys  # as it is in the source, or nothing could be joined with it
    do(rude, SIGNED_OFF, "cock")
    summary = export.run(rude, str(tmp_path / "signed.csv"), format="csv")
    assert (summary["rows"], summary["quarantined"]) == (14, {"classes": 0, "pictures": 0})


def test_a_patch_does_not_print_the_name_that_a_class_was_freed_of(rude: Lake, tmp_path: Path) -> None:
    do(rude, RENAMED, "#2", "rooster")
    export.run(rude, str(tmp_path / "patch.csv"), format="csv-patch")
    rows = table(tmp_path / "patch.csv")
    assert {(row["old_label"], row["label"]) for row in rows} == {("c*** (class 2)", "rooster")}


def test_a_sign_off_lifts_it_and_its_revert_brings_it_back(rude: Lake, call: Call) -> None:
    status, [line], errors = call("classes", "sign-off", "#2", "--reason", "the bird", "--author", "ann")
    assert (status, line) == (0, "cock: signed off (classes-3)"[: len(line)])
    assert "secondlook revert classes-3" in errors
    assert "SL501" not in {one.finding.rule for one in lint.listing(rude, SETTINGS).findings}
    assert dataset.class_names(rude, rude.at()) == ["cat", "cock", "dog"]
    with pytest.raises(UserError, match=r"signed off before, by ann \(classes-3\)"):
        do(rude, SIGNED_OFF, "cock")
    with pytest.raises(UserError, match="nothing to sign off: cat has no finding"):
        do(rude, SIGNED_OFF, "cat")
    assert call("revert", "classes-3", "--author", "ann")[0] == 0
    assert dataset.class_names(rude, rude.at()) == ["cat", "dog"]
    found = dataset.findings(rude, rude.at())
    assert found is not None
    assert silent(str(found.to_pylist()))  # what lint said when it was signed off is masked as well


def test_an_id_among_the_synonyms_tells_the_bird_and_ends_a_sign_off(rude: Lake) -> None:
    do(rude, SYNONYMS, "cock", None, "rooster", "n01514668")
    assert dataset.class_names(rude, rude.at()) == ["cat", "cock", "dog"]
    do(rude, SYNONYMS, "dog", None, "n10565667")
    assert dataset.quarantined(rude, rude.at()) == {"dog": "d** (class 3)"}
    do(rude, SIGNED_OFF, "dog")
    do(rude, SYNONYMS, "dog", None, "n10565667", "n02084071")
    assert list(dataset.quarantined(rude, rude.at())) == ["dog"]


def test_a_reason_is_told_without_the_name(rude: Lake, call: Call, tmp_path: Path) -> None:
    words = ("classes", "rename", "#2", "rooster", "--reason", "Cock is rude; a cock is a bird")
    said = [call(*words), call("log"), call("log", "--json"), call("blame", "1.png"), call("blame", "c/9.png")]
    report.run(rude, SETTINGS, tmp_path / "r.html")
    assert all(silent("\n".join([*lines, errors])) for _, lines, errors in said)
    assert silent((tmp_path / "r.html").read_text())


def test_renaming_lifts_it_and_the_old_name_stays_masked(rude: Lake, call: Call, labels_of: LabelsOf) -> None:
    do(rude, RENAMED, "c*** (class 2)", "rooster")
    assert dataset.class_names(rude, rude.at()) == ["cat", "dog", "rooster"]
    labels = labels_of()
    assert labels["c*** (class 2)/1.png"] == "rooster"
    for words in (("blame", "cock/1.png"), ("diff", "2", "head"), ("diff", "2", "head", "--format", "csv"), ("log",)):
        status, lines, errors = call(*words)
        assert status == 0
        assert silent("\n".join([*lines, errors]))
    assert call("diff", "2", "head")[1][0].endswith("c*** (class 2) → rooster  (classes, classes-3)")


def test_list_shows_masks_numbers_and_reveals(rude: Lake, call: Call) -> None:
    lines = call("classes", "list")[1]
    assert (
        lines[1].strip() == "4  c*** (class 2)  waits for a sign-off (#2): a word of it is on lists of offensive terms"
    )
    assert call("classes", "list", "--reveal")[1][1].split()[:2] == ["4", "cock"]
    summary = classes.run(rude)
    assert summary["classes"] == {"cat": 5, "c*** (class 2)": 4, "dog": 4}
    assert summary["quarantined"][0] | {"why": ""} == {
        "number": 2, "name": "c*** (class 2)", "pictures": 4, "kind": "offensive", "why": "",
    }  # fmt: skip


# Merge, rename, split, retire


def test_merged_labels_read_as_the_other_and_revert_restores_exactly(
    lake: Lake, fill: Fill, labels_of: LabelsOf, call: Call
) -> None:
    fill(ANIMALS)
    before = labels_of()
    summary = do(lake, MERGED, "hound", "dog")
    assert {name: summary[name] for name in ("class", "into", "pictures", "batch", "version")} == {
        "class": "hound", "into": "dog", "pictures": 1, "batch": "classes-2", "version": 2,
    }  # fmt: skip
    assert labels_of() == before | {"hound/1.png": "dog"}
    assert labels_of(1) == before
    assert dataset.class_names(lake, lake.at()) == ["cat", "dog"]
    assert call("diff", "1")[1] == ["hound/1.png: hound → dog  (classes, classes-2)"]
    last = call("blame", "hound/1.png")[1][-1]
    assert last.endswith("dog  classes by ann, batch classes-2  (hound merged into dog (classes-2): why not)")
    assert call("revert", "classes-2", "--reason", "they differ", "--author", "bob")[0] == 0
    assert labels_of() == before
    assert dataset.class_names(lake, lake.at()) == ["cat", "dog", "hound"]
    assert call("diff", "2", "3")[1] == ["hound/1.png: dog → hound  (classes, classes-3)"]
    assert call("diff", "1", "3")[1] == []
    assert "author bob" in call("log")[1][0]


def test_a_conflict_vanishes_with_the_merge_of_its_classes(lake: Lake, fill: Fill) -> None:
    fill([("a.png", "dog", b"same"), ("b.png", "hound", b"same")])
    assert {one.finding.rule for one in lint.listing(lake, SETTINGS).findings} == {"SL103", "SL201"}
    do(lake, MERGED, "hound", "dog")
    assert {one.finding.rule for one in lint.listing(lake, SETTINGS).findings} == {"SL201"}


def test_answers_and_predictions_of_an_old_class_count_for_the_new_one(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path
) -> None:
    fill(ANIMALS)
    predicted(lake, ["cat", "dog", "hound"], {b"5": [0.4, 0.3, 0.3], b"1": [0.4, 0.5, 0.1]})
    assert queue.guesses(lake, lake.at())[content_id(b"5")].classes == ("cat", "dog")
    file = tmp_path / "early.csv"
    file.write_text("annotator,key,label,seconds\nann,new.png,hound,1\n")
    answers_file.run_pull(lake, Settings(), file)
    do(lake, MERGED, "hound", "dog")
    do(lake, RENAMED, "dog", "canine")
    guess = queue.guesses(lake, lake.at())[content_id(b"5")]
    assert guess.classes == ("canine", "cat")
    assert guess.probability == pytest.approx(0.6)
    summary = commit.run(lake, Settings())
    assert (summary["first"], summary["new_classes"]) == (1, [])
    assert labels_of()["new.png"] == "canine"
    assert lake.latest("labels", lake.at(), ["label"])["label"].to_pylist().count("canine") == 1
    late = answer(lake, tmp_path, "ann,cat/1.png,dog,1")
    assert late["changed"] == 1
    assert labels_of()["cat/1.png"] == "canine"


def test_a_split_sends_its_pictures_to_review_with_the_new_classes(
    lake: Lake, fill: Fill, labels_of: LabelsOf, tmp_path: Path, call: Call
) -> None:
    fill([*ANIMALS, ("dog/copy.png", "dog", b"2")])
    before = labels_of()
    summary = do(lake, SPLIT, "dog", None, "dog", "wolf", to=tmp_path / "q.csv")
    assert (summary["review_batch"], summary["asked"], summary["pictures"]) == ("batch-2", 2, 3)
    asked = table(tmp_path / "q.csv")
    assert [json.loads(row["choices"]) for row in asked] == [["dog", "wolf"]] * 2
    assert {labels_of()[key] for key in ("dog/1.png", "dog/2.png", "dog/copy.png")} == {None}
    assert dataset.class_names(lake, lake.at()) == ["cat", "dog", "hound", "wolf"]
    done = answer(lake, tmp_path, "ann,dog/1.png,wolf,1", "ann,dog/2.png,dog,1")
    assert (done["first"], done["spread"], done["batches"]) == (2, 1, ["batch-2"])
    after = before | {"dog/1.png": "wolf", "dog/copy.png": "wolf"}
    assert labels_of() == after
    assert call("revert", "classes-2")[0] == 0
    assert labels_of() == after  # what people decided since stays; their batch can be reverted too
    assert revert.run_revert(lake, "batch-2")["reverted"] == 3
    assert labels_of() == before


def test_answers_for_a_class_that_is_gone_are_left_open(
    lake: Lake, fill: Fill, tmp_path: Path, labels_of: LabelsOf
) -> None:
    fill(ANIMALS)
    file = tmp_path / "early.csv"
    file.write_text("annotator,key,label,seconds\nann,new.png,hound,1\nann,cat/1.png,dog,1\n")
    answers_file.run_pull(lake, Settings(), file)
    do(lake, RETIRED, "hound")
    do(lake, SPLIT, "dog", None, "poodle", "wolf")
    summary = commit.run(lake, Settings())
    assert (summary["decided"], summary["undecided"]) == (0, {commit.GONE: 2})
    assert labels_of()["hound/1.png"] is None
    assert "hound/1.png" in {row["key"] for row in _unlabeled(lake)}


def _unlabeled(lake: Lake) -> list[dict[str, Any]]:
    table = dataset.samples(lake, lake.at())
    return [row for row in table.to_pylist() if row["label"] is None]


def test_an_old_batch_offers_the_classes_of_today(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(ANIMALS)
    batches.run_push(lake, SETTINGS, budget=1)
    do(lake, MERGED, "hound", "dog")
    batches.run_again(lake, "batch-2", to=tmp_path / "q.csv")
    [row] = table(tmp_path / "q.csv")
    assert json.loads(row["choices"]) == ["cat", "dog"]


def test_export_and_patch_follow_the_list(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill(ANIMALS)
    do(lake, MERGED, "hound", "dog")
    export.run(lake, str(tmp_path / "patch.csv"))
    [row] = table(tmp_path / "patch.csv")
    assert (row["key"], row["old_label"], row["label"]) == ("hound/1.png", "hound", "dog")


def test_spark_sees_the_same_labels_and_predictions(
    lake: Lake, fill: Fill, picture: Callable[..., bytes], spark: Any
) -> None:
    data = [picture(n) for n in range(6)]
    names = ["cat", "cat", "dog", "hound", "cock", "dog"]
    fill([(f"{name}/{n}.png", name, data[n]) for n, name in enumerate(names)])
    attempt = lake.attempt("ingest", {"more": 1})
    attempt.append(
        "fingerprints", rows("fingerprints", [f for one in data if isinstance(f := fingerprint(one, Limits()), dict)])
    )
    attempt.commit({})
    predicted(lake, ["cat", "cock", "dog", "hound"], {key: [0.02, 0.7, 0.08, 0.2] for key in data})
    do(lake, MERGED, "hound", "dog")
    do(lake, SPLIT, "cat", None, "cat", "lion")
    local = lint.audit(lake, SETTINGS, engine="local").findings
    old = lint.audit(lake, SETTINGS, lake.at(), engine="spark", spark=spark)
    assert old.reused
    found = lint._compute(lake, SETTINGS, lake.at(), "spark", spark)[0]
    assert sorted(map(str, found.drop_columns(["waiver"]).to_pylist())) == sorted(
        map(str, local.drop_columns(["waiver", "seq"] if "seq" in local.column_names else ["waiver"]).to_pylist())
    )
    assert silent(str(local.to_pylist()))
    assert {row["key"] for row in local.to_pylist() if row["rule"] == "SL101"} == {
        "dog/2.png",
        "dog/5.png",
        "hound/3.png",
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("merge", "cat", "cat"), "cat can't be merged into itself"),
        (("merge", "cat", "lion"), "unknown class 'lion'"),
        (("rename", "cat", "dog"), "there is a class dog already"),
        (("rename", "cat", "x" * 10_000), "1 to 200 printable characters"),
        (("rename", "cat", "a\nb"), "1 to 200 printable characters"),
        (("split", "cat", "--into", "lion"), "two or more different classes"),
        (("retire", "\u202e"), "unknown class"),
        (("retire", "#99"), "unknown class '#99'"),
        (("sign-off", "cat"), "nothing to sign off"),
    ],
)
def test_mistakes_are_a_sentence(fill: Fill, call: Call, words: tuple[str, ...], sentence: str) -> None:
    fill(ANIMALS)
    status, lines, errors = call("classes", *words, "--reason", "x", "--author", "ann")
    assert (status, lines) == (2, [])
    assert sentence in errors
    assert len(errors.splitlines()) == 1


def test_a_reason_and_an_author_are_asked_for(lake: Lake, fill: Fill, call: Call) -> None:
    fill(ANIMALS)
    assert "--reason" in call("classes", "retire", "cat")[2]
    assert "--reason takes 1 to 1,000" in call("classes", "retire", "cat", "--reason", " ")[2]
    assert "--author takes the name" in call("classes", "retire", "cat", "--reason", "x", "--author", "")[2]
    assert call("classes", "retire", "cat", "--reason", "x", "--json")[0] == 0
    assert class_lists.read(lake, lake.at()).events[-1].actor
    assert "there is no change of classes batch-1" in call("revert", "batch-1", "--reason", "x")[2]


def test_hostile_names_are_shown_harmlessly(lake: Lake, fill: Fill, call: Call) -> None:
    fill([("a.png", "<script>\x1b[2J", b"1"), ("b.png", "y" * 10_000, b"2"), ("c.png", "c", b"3")])
    status, lines, _ = call("classes", "merge", "<script>\x1b[2J", "c", "--reason", "[red]x")
    assert (status, lines) == (0, [r"<script>\x1b[2J: merged into c"])
    assert call("classes", "retire", "y" * 10_000, "--reason", "x")[0] == 0
    assert call("log")[0] == 0


def test_an_old_lake_without_the_new_columns_is_read(lake: Lake, fill: Fill) -> None:
    fill(ANIMALS)
    table = lake.iceberg("classes", fresh=True)
    with table.update_schema(allow_incompatible_changes=True) as update:
        for column in ("names", "reason", "batch"):
            update.delete_column(column)
    again = Lake(lake.root)
    assert dataset.class_names(again, again.at()) == ["cat", "dog", "hound"]
    do(again, MERGED, "hound", "dog")
    assert dataset.class_names(again, again.at()) == ["cat", "dog"]


def test_the_report_shows_what_waits_and_what_was_merged(rude: Lake, tmp_path: Path) -> None:
    do(rude, MERGED, "dog", "cat")
    lint.run(rude, SETTINGS)
    report.run(rude, SETTINGS, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert silent(page)
    assert "why not" in page
    assert "c*** (class 2)" in page
