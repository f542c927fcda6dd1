"""The report of a lake: what stands there is what is in the tables, whatever has run so far."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import lint
from secondlook.jobs.report import report
from secondlook.jobs.report.facts import gather
from secondlook.pipeline.core.config import Settings, from_mapping
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id, sample_id
from secondlook.pipeline.images.fingerprint import fingerprint
from secondlook.pipeline.report.page import render

from .conftest import NOW, filler

Fill = Callable[..., dict[str, str]]
CLASSES = ["cat", "dog"]


def ingested(lake: Lake, picture: Callable[..., bytes]) -> Lake:
    """40 pictures at two sites: 0–29 cats, of which 0–5 are dogs (all at `south`), 30–37 dogs, 38 and 39 unlabeled.

    39 has the bytes of 38. One file is rejected. Fingerprints are there; nothing has been trained or linted.
    """
    pictures = []
    for n in range(40):
        label = None if n >= 38 else "dog" if n >= 30 else "cat"
        facts = {
            "split": "test" if n % 4 == 0 else "train",
            "attributes": [("site", "south" if n % 3 == 0 or n < 6 else "north")],
        }
        pictures.append((f"p/{n:02d}.png", label, picture(min(n, 38)), facts))
    filler(lake)(pictures)
    attempt = lake.attempt("ingest", {"more": 1})
    prints = {content_id(data): fingerprint(data, Limits()) for _, _, data, _ in pictures}
    readable = [one for one in prints.values() if isinstance(one, dict)]
    assert len(readable) == len(prints)
    attempt.append("fingerprints", rows("fingerprints", readable))
    bad = {"sample_id": sample_id("default", "p/bad.png"), "dataset": "default", "source": "here", "key": "p/bad.png"}
    attempt.append("rejects", rows("rejects", [bad | {"reason": "truncated", "detail": "ends early"}]))
    attempt.commit({"found": 41, "samples": 40, "rejects": 1})
    return lake


def train(lake: Lake, picture: Callable[..., bytes]) -> None:
    """A model that knows the truth: 0–5 are dogs."""
    attempt = lake.attempt("train", {"tables": dict(lake.at().tables)})
    metrics = {"ece_before": 0.2, "ece_after": 0.05, "seconds": {"all": 1.0}}
    metrics |= {
        "accuracy_by_split": {"test": {"value": 0.9, "n": 10, "interval": [0.6, 0.98]}, "val": {"value": None, "n": 0}}
    }
    model = {"model": "g1", "kind": "generalist", "backbone": "small", "classes": CLASSES, "path": "models/g1"}
    attempt.append("models", rows("models", [model | {"settings": '{"seed": 7}', "metrics": json.dumps(metrics)}]))
    predictions = [
        {
            "content_id": content_id(picture(n)),
            "model": "g1",
            "classes": [1, 0] if n < 6 or n >= 30 else [0, 1],
            "probs": [0.95, 0.05],
            "fold": n % 5 if n < 38 else -1,
        }
        for n in range(39)
    ]
    attempt.append("predictions", rows("predictions", predictions))
    attempt.commit({"model": "g1"})


@pytest.fixture
def pets(lake: Lake, picture: Callable[..., bytes]) -> Lake:
    """The pictures of `ingested`."""
    return ingested(lake, picture)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> Lake:
    """The same pictures with a model and a lint, versions 3 and 4; and 5, where people decided. For reading only."""
    lake = ingested(Lake(str(tmp_path_factory.mktemp("audited") / "lake"), create=True), picture)
    train(lake, picture)
    lint.run(lake, Settings())
    decide(lake, p00="dog", p01="dog", p38="cat")
    return lake


def decide(lake: Lake, **labels: str) -> None:
    """People's decisions by key, `p07="dog"`."""
    attempt = lake.attempt("commit", labels)
    events = [
        {"sample_id": sample_id("default", f"p/{key[1:]}.png"), "label": label, "source": "review", "time": NOW}
        for key, label in labels.items()
    ]
    attempt.append("labels", rows("labels", events))
    attempt.commit({"decided": len(labels)})


def test_a_lake_that_was_only_ingested(pets: Lake, tmp_path: Path) -> None:
    facts = gather(pets, pets.at(), Settings(), thumbnails=24)
    assert (facts.counts.found, facts.counts.samples, facts.counts.rejected) == (41, 40, 1)
    assert (facts.counts.labeled, facts.counts.unlabeled, facts.counts.contents) == (38, 2, 39)
    assert facts.counts.splits == {"train": 30, "test": 10}
    assert [(c.name, c.count, c.doubted) for c in facts.classes] == [("cat", 30, None), ("dog", 8, None)]
    assert facts.rejects.by_reason == {"truncated": 1}
    assert facts.findings is None
    assert facts.model is None
    assert facts.pictures is not None
    assert (facts.pictures.n, facts.pictures.sizes) == (39, {"48 × 48": 39})
    assert report.run(pets, Settings(), tmp_path / "r.html")["findings"] is None
    assert "secondlook train" in (tmp_path / "r.html").read_text()


def test_an_empty_lake_is_the_users_mistake(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the lake is empty"):
        report.run(lake, Settings(), tmp_path / "r.html")


def test_doubted_labels_by_class_and_by_attribute(audited: Lake) -> None:
    facts = gather(audited, audited.at(4), Settings(), thumbnails=24)
    assert facts.findings is not None
    doubted = next(found for found in facts.findings.rules if found.rule.code == "SL101")
    assert (doubted.count, doubted.waived, doubted.covered) == (6, 0, 6)
    assert {(card.given, card.suggested) for card in doubted.cards} == {("cat", "dog")}
    assert all(card.pictures[0].src.startswith("data:image/png;base64,") for card in doubted.cards)
    assert [(c.name, c.count, c.doubted) for c in facts.classes] == [("cat", 30, 6), ("dog", 8, 0)]
    (site,) = facts.attributes
    assert {value: (s.k, s.n) for value, s in site.values.items()} == {"north": (0, 21), "south": (6, 17)}
    assert site.without == 0


def test_small_groups_of_people_are_not_shown_and_can_t_be_had_by_subtraction(lake: Lake, fill: Fill) -> None:
    said = ["a"] * 20 + ["b"] * 12 + ["c"] * 3
    fill([(f"{n}.png", "cat", b"%d" % n, {"attributes": [("site", site), ("rare", "only")] if n < 3 else [("site", site)]})
          for n, site in enumerate(said)])  # fmt: skip
    facts = gather(lake, lake.at(), Settings(), thumbnails=0)
    site = next(one for one in facts.attributes if one.name == "site")
    assert {value: s.n for value, s in site.values.items()} == {"b": 12}
    assert (site.kept_back, site.without, site.hidden) == (2, 0, 0)
    rare = next(one for one in facts.attributes if one.name == "rare")
    assert (dict(rare.values), rare.kept_back, rare.without) == ({}, 2, 0)  # 32 have no value: that gives the 3 away
    all_of_them = gather(lake, lake.at(), from_mapping({"bias": {"min_cell": 1}}), thumbnails=0)
    assert len(all_of_them.attributes[1].values) == 3


def test_estimated_attributes_are_marked(audited: Lake) -> None:
    settings = from_mapping({"attributes": [{"name": "site", "estimated": "checked.csv"}]})
    facts = gather(audited, audited.at(4), settings, thumbnails=0)
    assert facts.attributes[0].estimated
    assert 'site</bdi> <span class="soft">(estimated)</span>' in render(facts)
    plain = render(gather(audited, audited.at(4), Settings(), thumbnails=0))
    assert "(estimated)" not in plain


def test_what_the_model_predicts_against_the_labels_that_hold(audited: Lake) -> None:
    model = gather(audited, audited.at(4), Settings(), thumbnails=0).model
    assert model is not None
    assert model.confusion.pairs == {(0, 0): 24, (0, 1): 6, (1, 1): 8}
    assert (model.agreement.k, model.agreement.n) == (32, 38)
    assert (model.ece_before, model.ece_after, model.version, model.stale) == (0.2, 0.05, 3, False)
    assert [(split, s.k, s.n, s.interval.low) for split, s in model.by_split.items()] == [("test", 9, 10, 0.6)]
    assert model.chance is not None
    assert 0 < model.chance < 0.2


def test_decisions_settle_doubts_and_make_the_lint_stale(audited: Lake) -> None:
    facts = gather(audited, audited.at(5), Settings(), thumbnails=24)
    assert facts.findings is not None
    assert facts.model is not None
    assert (facts.findings.stale, facts.findings.settled, facts.model.stale) == (True, 2, True)
    assert next(c for c in facts.classes if c.name == "cat").doubted == 4
    assert (facts.model.agreement.k, facts.model.agreement.n) == (34, 38)  # 38 was in no fold
    assert facts.history.by_source == {"ingest": 38, "review": 3}
    assert (facts.history.changed, facts.history.first) == (2, 1)
    assert [(c.before, c.after, c.count) for c in facts.history.changes] == [("cat", "dog", 2)]
    assert [version.by_people for version in facts.history.versions] == [False, False, False, False, True]


def test_an_old_version_shows_what_was_then(audited: Lake, tmp_path: Path) -> None:
    assert "Labels changed since" in report_of(audited, tmp_path)
    assert "Labels changed since" not in report_of(audited, tmp_path, version=4)
    assert gather(audited, audited.at(2), Settings(), thumbnails=1).findings is None


def test_the_same_version_gives_the_same_bytes(audited: Lake, tmp_path: Path) -> None:
    assert report_of(audited, tmp_path) == report_of(audited, tmp_path)


def report_of(lake: Lake, tmp_path: Path, version: int | None = None) -> str:
    report.run(lake, Settings(), tmp_path / "page.html", version=lake.at(version))
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_galleries_are_limited_and_counts_are_not(audited: Lake) -> None:
    facts = gather(audited, audited.at(4), Settings(), thumbnails=2)
    assert facts.findings is not None
    for found in facts.findings.rules:
        assert sum(len(card.pictures) for card in found.cards) <= 2
    doubted = next(found for found in facts.findings.rules if found.rule.code == "SL101")
    assert (doubted.count, doubted.covered) == (6, 2)


def test_copies_stand_side_by_side_once(audited: Lake) -> None:
    facts = gather(audited, audited.at(4), Settings(), thumbnails=24)
    assert facts.findings is not None
    copies = next(found for found in facts.findings.rules if found.rule.code == "SL201")
    assert (copies.count, copies.covered) == (2, 2)
    assert [[picture.key for picture in card.pictures] for card in copies.cards] == [["p/38.png", "p/39.png"]]


def test_findings_about_files_that_are_no_samples_are_lines(audited: Lake) -> None:
    facts = gather(audited, audited.at(4), Settings(), thumbnails=24)
    assert facts.findings is not None
    unreadable = next(found for found in facts.findings.rules if found.rule.code == "SL301")
    assert [card.pictures for card in unreadable.cards] == [()]
    assert "p/bad.png" in unreadable.cards[0].message


def test_waived_findings_are_shown_as_waived_and_doubt_nothing(pets: Lake, picture: Callable[..., bytes]) -> None:
    train(pets, picture)
    settings = from_mapping({"waivers": [{"rule": "SL101", "subject": "p/00*", "reason": "asked the vet"}]})
    lint.run(pets, settings)
    facts = gather(pets, pets.at(), settings, thumbnails=24)
    assert facts.findings is not None
    doubted = next(found for found in facts.findings.rules if found.rule.code == "SL101")
    assert (doubted.count, doubted.waived) == (6, 1)
    assert [card.waiver for card in doubted.cards if card.waiver] == ["asked the vet"]
    assert next(c for c in facts.classes if c.name == "cat").doubted == 5


def test_a_file_that_was_mended_is_no_reject_any_more(pets: Lake, fill: Fill, picture: Callable[..., bytes]) -> None:
    fill([("p/bad.png", "cat", picture(99))])
    attempt = pets.attempt("ingest", {"mended": 1})
    attempt.append("rejects", rows("rejects", [{"sample_id": sample_id("default", "p/bad.png"), "key": "p/bad.png"}]))
    attempt.commit({})
    counts = gather(pets, pets.at(), Settings(), thumbnails=0).counts
    assert (counts.found, counts.samples, counts.rejected) == (41, 41, 0)


def test_pictures_that_are_gone_leave_a_gap_and_not_an_error(
    lake: Lake, fill: Fill, picture: Callable[..., bytes], tmp_path: Path
) -> None:
    here = tmp_path / "pictures"
    here.mkdir()
    (here / "a.png").write_bytes(picture(1))
    same = picture(1)
    fill([("a.png", "cat", same), ("b.png", "dog", same)], reference=f"{here}/")
    lint.run(lake, Settings())
    (here / "a.png").unlink()
    assert "can’t be shown" in report_of(lake, tmp_path)


def test_hostile_names_come_through_the_lake_as_text(
    lake: Lake, fill: Fill, picture: Callable[..., bytes], tmp_path: Path
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    attributes = {"split": evil, "attributes": [(evil, evil)]}
    fill([(f"{evil}/{n}.png", f"{evil}{n % 2}", picture(1), attributes) for n in range(4)])
    lint.run(lake, Settings())
    page = report_of(lake, tmp_path)
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 10


def test_attributes_with_a_value_for_every_picture_are_not_compared(
    lake: Lake, fill: Fill, picture: Callable[..., bytes]
) -> None:
    fill(
        [
            (f"{n}.png", "cat", picture(n), {"attributes": [("serial", str(n)), ("hand", "LR"[n % 2])]})
            for n in range(50)
        ]
    )
    facts = gather(lake, lake.at(), Settings(), thumbnails=0)
    assert facts.attributes_left_out == ("serial",)
    assert [(one.name, [s.n for s in one.values.values()]) for one in facts.attributes] == [("hand", [25, 25])]


def test_the_command_prints_where_the_page_lies(
    audited: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "my page.html"
    assert command(["report", "--lake", audited.root, "--output", str(page)]) == 0
    assert page.as_uri() in capsys.readouterr().out
    assert page.stat().st_mode & 0o444 == 0o444
    assert command(["report", "--lake", audited.root, "--output", str(page), "--as-of", "2", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert {name: json.loads(lines[0])[name] for name in ("version", "samples", "bytes")} == {
        "version": 2,
        "samples": 40,
        "bytes": page.stat().st_size,
    }
    assert [file.name for file in tmp_path.iterdir() if "page" in file.name] == ["my page.html"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--since", "1"], "--since goes with --bias"),
        (["--output", "."], "--output takes a file, and .* is a folder"),
        (["--output", "nowhere/r.html"], "there is no folder .*nowhere to write r.html to"),
        (["--as-of", "99"], "there is no version 99"),
        (["--thumbnails", "-1"], "Invalid value for '--thumbnails'"),
    ],
)
def test_mistakes_get_one_sentence_and_status_2(
    audited: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, options: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(["report", "--lake", audited.root, *options]) == 2
    said = capsys.readouterr().err
    assert re.search(sentence, said)
    assert "Traceback" not in said
    assert not (tmp_path / "report.html").exists()
