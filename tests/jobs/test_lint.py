"""Lint over small lakes: what it finds, keeps, and leaves out, and its contract on the command line."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs import cli
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import lint
from secondlook.jobs.sources import Source
from secondlook.pipeline.core.config import LintSettings, Settings, Waiver
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id, sample_id
from secondlook.pipeline.images.fingerprint import fingerprint

SETTINGS = Settings(lint=LintSettings(min_class=2))
Pair = tuple[str, str]


def found(lake: Lake, settings: Settings = SETTINGS, **options: Any) -> set[Pair]:
    """(rule, key) of every finding that counts."""
    shown = lint.listing(lake, settings, **options).findings
    return {(one.finding.rule, one.finding.key) for one in shown if one.counts}


def put(lake: Lake, job: str, **tables: list[dict[str, Any]]) -> None:
    attempt = lake.attempt(job, {"n": str(tables)})
    for table, records in tables.items():
        attempt.append(table, rows(table, records))
    attempt.commit({})


def model(lake: Lake, probs: dict[bytes, list[float]], classes: list[str], name: str = "m1") -> None:
    """A model with these out-of-sample probabilities."""
    facts = {"model": name, "kind": "generalist", "classes": classes, "settings": "{}", "metrics": "{}"}
    predictions = [
        {
            "content_id": content_id(data),
            "model": name,
            "classes": np.argsort(values)[::-1].tolist(),
            "probs": np.sort(values)[::-1].tolist(),
            "fold": 0,
        }
        for data, values in probs.items()
    ]
    put(lake, "train", models=[facts], predictions=predictions)


def printed(data: bytes) -> dict[str, Any]:
    """The fingerprint of a picture that can be read."""
    found = fingerprint(data, Limits())
    assert isinstance(found, dict), found
    return found


def label(lake: Lake, key: str, name: str | None) -> None:
    put(lake, "commit", labels=[{"sample_id": sample_id("default", key), "label": name, "source": "review"}])


@pytest.fixture
def messy(lake: Lake, fill: Callable[..., dict[str, str]], picture: Callable[..., bytes]) -> Lake:
    """A lake with one of everything: see the tests."""
    a, b, c, d = (picture(seed, 64, 64) for seed in range(4))
    near = picture(0, 64, 64, "JPEG", quality=90)
    flat = picture(0, 1, 1)
    tiny = picture(9, 30, 8)
    pictures = [
        ("train/a.png", "cat", a, {"split": "train"}),
        ("train/b.png", "dog", b, {"split": "train"}),
        ("train/c.png", "cat", c, {"split": "train"}),
        ("train/flat.png", None, flat, {"split": "train"}),
        ("train/tiny.png", "dog", tiny, {"split": "train"}),
        ("test/b.png", "cat", b, {"split": "test"}),
        ("test/near.jpg", "cat", near, {"split": "test"}),
        ("test/d.png", "yak", d, {"split": "test"}),
        ("test/e.png", None, picture(5, 64, 64), {"split": "test"}),
    ]
    fill(pictures)
    prints = [printed(data) for data in {data for _, _, data, _ in pictures}]
    put(lake, "prints", fingerprints=prints)
    rejects = [("train/bad.png", "truncated"), ("train/mended.png", None), ("train/c.png", "truncated")]
    put(lake, "rejects", rejects=[{"sample_id": sample_id("default", k), "key": k, "reason": r} for k, r in rejects])
    return lake


COPIES = {
    ("SL103", "test/b.png"),
    ("SL103", "train/b.png"),
    ("SL201", "test/b.png"),
    ("SL201", "train/b.png"),
    ("SL202", "test/near.jpg"),
    ("SL202", "train/a.png"),
    ("SL203", "test/b.png"),
    ("SL203", "train/b.png"),
    ("SL203", "test/near.jpg"),
    ("SL203", "train/a.png"),
}
PICTURES = {("SL301", "train/bad.png"), ("SL305", "train/flat.png")}
SMALL = {("SL307", "train/flat.png"), ("SL307", "train/tiny.png")}
CLASSES = {("SL503", "yak")}


def probabilities(picture: Callable[..., bytes]) -> dict[bytes, list[float]]:
    """For each picture of `messy`: cat, dog, yak."""
    sure_cat, unsure, sure_yak = [0.9, 0.05, 0.05], [0.5, 0.46, 0.04], [0.03, 0.02, 0.95]
    seen = {0: sure_cat, 1: sure_cat, 2: unsure, 3: sure_yak, 5: unsure}
    return {picture(seed, 64, 64): values for seed, values in seen.items()}


def test_everything_without_a_model_and_it_says_what_is_missing(messy: Lake) -> None:
    assert found(messy, ignore=["SL302,SL303,SL304,SL306"]) == COPIES | PICTURES | SMALL | CLASSES
    notes = lint.run(messy, SETTINGS)["notes"]
    assert "secondlook train" in notes["SL101"]
    assert notes["SL202"].startswith("1 picture with almost no information")


def test_labels_are_doubted_by_the_models_probabilities(messy: Lake, picture: Callable[..., bytes]) -> None:
    model(messy, probabilities(picture), ["cat", "dog", "yak"])
    assert found(messy, select=["SL1"], ignore=["SL103"]) == {("SL101", "train/b.png"), ("SL102", "train/c.png")}
    assert "2 pictures with a label that came after the model" in lint.run(messy, SETTINGS)["notes"]["SL101"]
    label(messy, "train/b.png", "cat")  # the same model, today's label
    label(messy, "train/c.png", None)
    assert found(messy, select=["SL101", "SL102"]) == set()
    evidence = {
        row["rule"]: json.loads(row["evidence"])
        for row in lint.audit(messy, SETTINGS, messy.at(4)).findings.to_pylist()
    }
    assert evidence["SL101"] == {
        "given": "dog", "suggested": "cat", "p_given": 0.05, "p_suggested": 0.9, "p_error": 0.947368,
        "p_error_is": "score", "score": 0.947368, "against": {"predictions": 0.947368}, "supporting": {},
    }  # fmt: skip


def test_a_class_that_the_model_has_not_seen_is_left_out_and_said(messy: Lake, picture: Callable[..., bytes]) -> None:
    probs = {data: values[:2] for data, values in probabilities(picture).items() if values[2] < 0.9}
    model(messy, {data: [p / sum(values) for p in values] for data, values in probs.items()}, ["cat", "dog"])
    note = lint.run(messy, SETTINGS)["notes"]["SL101"]
    assert "1 picture of classes that the model has not seen (yak)" in note


def test_spark_finds_the_very_same(messy: Lake, picture: Callable[..., bytes], spark: Any) -> None:
    model(messy, probabilities(picture), ["cat", "dog", "yak"])
    label(messy, "train/c.png", "dog")
    local, carried = (lint._compute(messy, SETTINGS, messy.at(), engine, spark) for engine in ("local", "spark"))
    assert carried[1] == local[1]
    assert lint._sorted(carried[0]).to_pylist() == lint._sorted(local[0]).to_pylist()
    assert local[0].num_rows > 10


def test_spark_and_local_agree_on_an_unlabeled_lake_without_copies(
    lake: Lake, fill: Callable[..., dict[str, str]], picture: Callable[..., bytes], spark: Any
) -> None:
    data = picture(1, 64, 64)
    fill([("a.png", None, data)])
    put(lake, "prints", fingerprints=[printed(data)])
    for engine in ("local", "spark"):
        rows, notes, _ = lint._compute(lake, SETTINGS, lake.at(), engine, spark)
        assert rows.num_rows == 0
        assert notes["SL503"] == notes["SL101"] == "no picture has a label"


def test_the_same_again_is_read_back_and_makes_no_version(messy: Lake) -> None:
    first = lint.run(messy, SETTINGS)
    head = messy.at().id
    again = lint.run(messy, SETTINGS, select=["SL2"])
    assert (again["reused"], messy.at().id, again["lint"]) == (True, head, first["lint"])
    assert again["findings"] < first["findings"]
    fail = dataclasses.replace(SETTINGS, lint=dataclasses.replace(SETTINGS.lint, fail_above=99))
    assert lint.run(messy, fail)["reused"]


def test_settings_that_come_back_are_the_newest_lint_again(messy: Lake) -> None:
    strict = dataclasses.replace(SETTINGS, lint=dataclasses.replace(SETTINGS.lint, min_class=99))
    for settings, rare in (
        (SETTINGS, {"yak"}),
        (strict, {"cat", "dog", "yak"}),
        (SETTINGS, {"yak"}),
        (strict, {"cat", "dog", "yak"}),
    ):
        lint.run(messy, settings)
        kept = dataset.findings(messy, messy.at())
        assert kept is not None
        assert {row["key"] for row in kept.to_pylist() if row["rule"] == "SL503"} == rare


def test_an_old_version_is_audited_without_becoming_the_newest_findings(messy: Lake) -> None:
    label(messy, "train/b.png", "cat")
    now = lint.run(messy, SETTINGS)
    head = messy.at()
    old = lint.run(messy, SETTINGS, messy.at(3))
    assert ("SL103" in old["rules"], "SL103" in now["rules"], old["lint"]) == (True, False, None)
    assert messy.at().id == head.id


def test_lint_of_a_clean_lake_is_remembered_too(
    lake: Lake, fill: Callable[..., dict[str, str]], picture: Callable[..., bytes]
) -> None:
    data = [picture(seed, 64, 64) for seed in (1, 2)]
    fill([("a.png", "cat", data[0]), ("b.png", "cat", data[1])])
    put(lake, "prints", fingerprints=[printed(one) for one in data])
    first, again = lint.run(lake, SETTINGS), lint.run(lake, SETTINGS)
    assert (first["findings"], first["clean"], first["reused"], first["lint"]) == (0, True, False, 3)
    assert (again["findings"], again["clean"], again["reused"], again["lint"]) == (0, True, True, 3)
    kept = dataset.findings(lake, lake.at())
    assert kept is not None
    assert kept.num_rows == 0


def test_only_what_is_new_since_the_baseline_counts(messy: Lake) -> None:
    before = lint.run(messy, SETTINGS)["lint"]
    label(messy, "test/d.png", "cat")
    label(messy, "test/near.jpg", "yak")
    label(messy, "train/c.png", "emu")
    summary = lint.run(messy, SETTINGS, baseline=before)
    assert summary["rules"] == {"SL503": 1}
    assert summary["known"] == sum(lint.run(messy, SETTINGS)["rules"].values()) - 1


def test_a_baseline_without_lint_is_answered_with_the_first_that_has_one(messy: Lake) -> None:
    with pytest.raises(UserError, match=r"version 1 has no lint at or before it .* run `secondlook lint` once"):
        lint.run(messy, SETTINGS, baseline=1)
    made = lint.run(messy, SETTINGS)["lint"]
    with pytest.raises(UserError, match=f"the first lint is version {made}"):
        lint.run(messy, SETTINGS, baseline=1)


def test_waived_findings_are_kept_with_their_reason_and_do_not_count(messy: Lake) -> None:
    waivers = (
        Waiver("SL201", "*/b.png", "two angles"),
        Waiver("sl503", "yak", "rare on purpose"),
        Waiver("SL305", "train/????.png", "blank"),
    )
    settings = dataclasses.replace(SETTINGS, waivers=waivers)
    summary = lint.run(messy, settings)
    assert summary["waived"] == 4
    assert not {"SL201", "SL503", "SL305"} & set(summary["rules"])
    kept = dataset.findings(messy, messy.at())
    assert kept is not None
    assert {row["waiver"] for row in kept.to_pylist() if row["rule"] == "SL201"} == {"two angles"}


def test_brackets_in_a_waiver_are_only_brackets(messy: Lake) -> None:
    settings = dataclasses.replace(SETTINGS, waivers=(Waiver("SL201", "[t]*", "no pattern"),))
    assert lint.run(messy, settings)["waived"] == 0


def test_a_waiver_of_an_unknown_rule_is_refused(messy: Lake) -> None:
    with pytest.raises(UserError, match="unknown rule 'SL999'"):
        lint.run(messy, dataclasses.replace(SETTINGS, waivers=(Waiver("SL999", "*", "?"),)))


# The command


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.run(["lint", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command_writes_lines_and_ends_with_status_1(messy: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = command(
        capsys, "--lake", messy.root, "--select", "SL201,SL3", "--ignore", "SL302,SL303,SL304,SL306,SL307"
    )
    assert status == 1
    assert out.splitlines() == [
        "test/b.png: SL201 same bytes as train/b.png",
        "train/b.png: SL201 same bytes as test/b.png",
        "train/bad.png: SL301 unreadable: truncated, the picture ends before all of its pixels are there",
        "train/flat.png: SL305 no information: 0.00 bits in its brightness",
    ]
    assert "`secondlook rule SL201`" in err


def test_fail_above_lets_some_pass(messy: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--lake", messy.root, "--select", "SL201", "--json")
    assert [command(capsys, *words, "--fail-above", n)[0] for n in ("1", "2")] == [1, 0]
    status, out, _ = command(capsys, *words)
    assert (status, out.count("\n"), json.loads(out)["findings"]) == (1, 1, 2)


def test_formats_go_to_standard_output_or_a_file(
    messy: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--lake", messy.root, "--select", "SL2")
    status, out, _ = command(capsys, *words, "--format", "sarif")
    assert (status, json.loads(out)["version"]) == (1, "2.1.0")
    for form in ("text", "json", "html", "sarif"):
        file = tmp_path / f"found.{form}"
        status, out, err = command(capsys, *words, "--format", form, "--output", str(file))
        assert (status, out) == (1, "")
        assert "test/near.jpg" in file.read_text(encoding="utf-8")
        assert str(file) in err
    status, out, _ = command(capsys, *words, "--format", "json", "--json")
    body, last = out.rstrip("\n").rsplit("\n", 1)
    assert json.loads(last)["findings"] == len(json.loads(body)["findings"]) == 8


def test_limit_is_of_each_rule(messy: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = command(capsys, "--lake", messy.root, "--select", "SL201,SL202", "--limit", "1")
    assert [line.split()[1] for line in out.splitlines()] == ["SL201", "SL202"]
    assert "and 2 more" in err


MISTAKES = {
    ("--select", "SL99"): "unknown rule 'SL99'",
    ("--ignore", ","): "got an empty one",
    ("--format", "xml"): "unknown format 'xml'",
    ("--engine", "dask"): "unknown engine 'dask'",
    ("--as-of", "77"): "there is no version 77",
    ("--baseline", "1"): "no lint at or before it",
    ("--output", "/nowhere/at/all.txt"): "can't be written",
    ("--fail-above", "-1"): "fail-above",
}


def test_a_mistake_gets_one_sentence_and_status_2(messy: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    for words, sentence in MISTAKES.items():
        status, out, err = command(capsys, "--lake", messy.root, *words)
        assert (status, out) == (2, ""), words
        assert sentence in err
        assert "Traceback" not in err


def test_an_empty_lake_is_told_the_first_step(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = command(capsys, "--lake", lake.root)
    assert (status, err.count("\n")) == (2, 1)
    assert "`secondlook ingest SOURCE` is the first step" in err


def test_a_terminal_sees_the_same_words_in_colour(
    messy: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--lake", messy.root, "--select", "SL2")
    plain = command(capsys, *words)[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = command(capsys, *words)[1]
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_pictures_without_fingerprints_still_have_labels_and_copies(
    lake: Lake, fill: Callable[..., dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    fill([("a", "cat", b"x"), ("b", "dog", b"x")])
    assert found(lake, ignore=["SL503"]) == {(rule, key) for rule in ("SL103", "SL201") for key in "ab"}


def test_what_ingest_reads_is_linted(
    made: Callable[..., str], picture: Callable[..., bytes], tmp_path: Path, spark: Any
) -> None:
    from secondlook.jobs.ingest import ingest

    copy = picture(1, 64, 64)
    pictures = {
        "train/cat/a.png": (copy, "cat"),
        "train/dog/a.png": (copy, "dog"),
        "test/cat/b.jpg": (picture(1, 64, 64, "JPEG", quality=85), "cat"),
        "train/cat/broken.png": (copy[:100], "cat"),
        "train/dog/c.png": (picture(2, 64, 64), "dog"),
    }
    lake = Lake(str(tmp_path / "lake"), create=True)
    ingest.run(lake, SETTINGS, spark, Source(made("folder", pictures)))
    expected = {("SL301", "train/cat/broken.png")}
    expected |= {
        (rule, f"train/{name}/a.png") for rule in ("SL103", "SL201", "SL202", "SL203") for name in ("cat", "dog")
    }
    expected |= {(rule, "test/cat/b.jpg") for rule in ("SL202", "SL203")}
    assert found(lake) == expected
