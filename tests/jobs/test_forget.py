"""Forgetting: a planted picture is in no byte and no row that is left, history stays readable, and it does not come back."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from secondlook.jobs.cli import run as command
from secondlook.jobs.forget import chosen as choosing
from secondlook.jobs.forget import erase, forget, tombstones, work
from secondlook.jobs.forget.mentions import Mentions
from secondlook.jobs.forget.proof import avro_blocks, prove
from secondlook.jobs.forget.search import Needles
from secondlook.jobs.ingest import ingest
from secondlook.jobs.lake import dataset, gc, maintenance
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Attempt, Lake
from secondlook.jobs.sources import Source
from secondlook.pipeline.core.config import LakeSettings, Settings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import ConflictError, SecondlookError, UserError
from secondlook.pipeline.core.identity import content_id, sample_id
from secondlook.pipeline.core.schemas import TABLES
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.images.fingerprint import fingerprint
from tests.jobs.conftest import NOW, filler

ANNA, COPY, SMALL = "people/anna/portrait-0001.png", "elsewhere/summer-picnic.png", "people/anna/portrait-0002.png"
OTHERS = [f"people/other/{n:02d}.png" for n in range(6)]
Picture = Callable[..., bytes]


def facts(data: bytes) -> dict[str, Any]:
    made = fingerprint(data, Limits())
    assert isinstance(made, dict)
    return made


class Scene:
    """A lake with all that a life in it leaves of a picture: see `fill`."""

    def __init__(self, at: Path, picture: Picture, catalog: str = "") -> None:
        self.lake = Lake(str(at), catalog, create=True)
        self.data = {key: picture(n) for n, key in enumerate([ANNA, SMALL, *OTHERS])}
        self.data[COPY] = self.data[ANNA]
        self.ids = {key: sample_id("default", key) for key in self.data}
        self.content = {key: content_id(data) for key, data in self.data.items()}
        self.vectors = {
            content: np.random.default_rng(n).normal(size=16).astype(np.float32)
            for n, content in enumerate(sorted(set(self.content.values())))
        }

    def fill(self, events: int = 2) -> "Scene":
        """Every table has rows of the picture, in several versions, files and snapshots; `events`: commits of labels alone."""
        lake, ids = self.lake, self.ids
        filler(lake)([
            (key, "cat", data, {"attributes": [("person", "42" if "anna" in key or key == COPY else "7")]
                                + ([("made of", ANNA)] if key == OTHERS[1] else [])})
            for key, data in self.data.items()
        ])  # fmt: skip
        self.commit("fingerprint", fingerprints=[facts(data) for data in set(self.data.values())])
        said = [{"content_id": c, "model": "m", "vector": v.tolist()} for c, v in self.vectors.items()]
        guesses = [
            {"content_id": c, "model": "m", "classes": [0, 1], "probs": [0.9, 0.1], "fold": n % 3}
            for n, c in enumerate(self.vectors)
        ]
        doubts = [{"content_id": c, "model": "m", "label": "cat", "p_error": 0.4} for c in self.vectors]
        model = {"model": "m", "kind": "generalist", "path": "models/m/a", "classes": ["cat", "dog"], "settings": "{}"}
        Path(lake.folder("models", "m", "a"), "weights.safetensors").write_bytes(os.urandom(4096))
        self.commit("train", models=[model], embeddings=said, predictions=guesses, evidence=doubts)
        for n in range(events):
            told = {"source": "review", "actor": f"p{n}", "time": NOW, "evidence": json.dumps({"n": n})}
            self.commit(
                f"commit {n}", labels=[{"sample_id": ids[key], "label": "dog", **told} for key in (ANNA, OTHERS[0])]
            )
        spread = {"spread_from": ids[ANNA]}
        told = {"source": "review", "actor": "p", "time": NOW, "evidence": json.dumps(spread)}
        self.commit("commit", labels=[{"sample_id": ids[OTHERS[1]], "label": "dog", **told}])
        self.people()
        self.findings()
        return self

    def people(self) -> None:
        mine = {"sample_id": self.ids[ANNA], "batch": "batch-1"}
        other = {"sample_id": self.ids[OTHERS[0]], "batch": "batch-1"}
        raw = json.dumps({"image": f"/data/{ANNA}"})
        self.commit(
            "review",
            batches=[one | {"position": n, "choices": ["cat"], "time": NOW} for n, one in enumerate((mine, other))],
            annotations=[one | {"annotation_id": f"a{n}", "annotator": "x", "answer": "unsure", "state": "submitted"}
                         for n, one in enumerate((mine, other))],
            refused_answers=[{"origin": "o", "batch": "batch-1", "sample_id": None, "raw": raw, "reason": "no"}],
            gold=[{"sample_id": self.ids[ANNA], "label": "cat", "source": "supplied", "actor": "x", "time": NOW}],
            attribute_repairs=[{"attribute": "person", "value": value, "into": into, "rule": "typed", "time": NOW}
                               for value, into in (("forty-two", "42"), ("seven", "7"))],
            audit_samples=[mine | {"audit": "a", "given": "cat", "score": 0.5, "inclusion": 0.1, "design": "{}"}],
            rejects=[{"sample_id": sample_id("default", "people/anna/torn.png"), "dataset": "default", "source": "here",
                      "key": "people/anna/torn.png", "reason": "truncated", "detail": "people/anna/torn.png ends early"}],
        )  # fmt: skip

    def findings(self) -> None:
        about = [
            ("SL301", ANNA, "dark", {}),
            ("SL202", OTHERS[2], f"looks like {ANNA}", {"others": [ANNA, OTHERS[3]]}),
            ("SL301", OTHERS[4], "dark", {"n": 1}),
        ]
        made = [
            {
                "rule": rule,
                "subject_kind": "sample",
                "subject": self.ids[key],
                "key": key,
                "score": 1.0,
                "message": message,
            }
            | {"evidence": json.dumps(evidence)}
            for rule, key, message, evidence in about
        ]
        group = {
            "rule": "SL402",
            "subject_kind": "group",
            "subject": "labels: person 42",
            "key": "person 42",
            "score": 1.0,
        }
        self.commit("lint", summary={"refused": {"gone": [ANNA, OTHERS[0]]}}, findings=[*made, group])

    def commit(self, job: str, summary: dict[str, Any] | None = None, **tables: list[dict[str, Any]]) -> None:
        attempt = self.lake.attempt(job, {"n": len(self.lake.versions.all())})
        for table, records in tables.items():
            attempt.append(table, rows(table, records))
        attempt.commit(summary or {})

    def forget(self, *names: str, **options: Any) -> dict[str, Any]:
        plan = {key: options.pop(key) for key in ("where", "copies") if key in options}
        agreed = forget.plan(self.lake, Settings(), names, **plan)
        return forget.run(self.lake, Settings(), agreed, actor="me", offline=True, now=NOW, **options)

    def texts(self) -> list[bytes]:
        """What must not be found anywhere of ANNA: key, ids, bytes, vector; and the copy's key and id."""
        data = self.data[ANNA]
        middle = data[len(data) // 2 : len(data) // 2 + 24]
        names = [ANNA, COPY, self.ids[ANNA], self.ids[COPY], self.content[ANNA]]
        vector = self.vectors[self.content[ANNA]]
        return [*(name.encode() for name in names), data, middle, vector.tobytes()]

    def restored(self, kept: Path) -> "Scene":
        """The lake as it was kept, at its place: the catalog knows it by its path."""
        self.lake.close()
        shutil.rmtree(self.lake.root)
        shutil.copytree(kept, self.lake.root)
        self.lake = Lake(self.lake.root)
        return self


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, picture: Picture) -> tuple[Scene, Path]:
    at = tmp_path_factory.mktemp("forget")
    made = Scene(at / "lake", picture).fill()
    shutil.copytree(at / "lake", at / "kept")
    return made, at / "kept"


@pytest.fixture
def scene(filled: tuple[Scene, Path]) -> Scene:
    made, kept = filled
    return made.restored(kept)


def everything(root: Path) -> Iterator[tuple[str, bytes]]:
    """All files of a lake, as they lie and as they read: grep's idea of them, by other code than the proof's."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            yield path.name, data
            if path.suffix == ".parquet":
                file = pq.ParquetFile(path)
                for group in range(file.num_row_groups):
                    yield path.name, repr(file.read_row_group(group).to_pylist()).encode()
                    facts = file.metadata.row_group(group)
                    chunks = [facts.column(n).statistics for n in range(facts.num_columns)]
                    yield path.name, repr([(one.min, one.max) for one in chunks if one and one.has_min_max]).encode()
                for batch in file.iter_batches():
                    for column in ("image", "vector"):
                        if column in batch.schema.names:
                            for value in batch[column].to_pylist():
                                yield path.name, value["bytes"] if column == "image" else np.float32(value).tobytes()
            elif path.suffix == ".avro":
                yield path.name, b"".join(avro_blocks(data))


def seen(root: Path, needles: list[bytes]) -> list[str]:
    return [f"{name}: {one[:40]!r}" for name, data in everything(root) for one in needles if data and one in data]


def shown(lake: Lake, version: int) -> dict[str, list[dict[str, Any]]]:
    """All rows of a version."""
    at = lake.at(version)
    return {name: sorted(lake.read(name, at).to_pylist(), key=repr) for name in sorted(at.tables)}


def struck(row: dict[str, Any]) -> dict[str, Any]:
    """What an attribute of another picture says of her is struck out."""
    if "attributes" not in row:
        return row
    told = [(name, "(forgotten)" if value == ANNA else value) for name, value in row["attributes"]]
    return row | {"attributes": told}


def test_nothing_of_a_picture_is_left_in_any_file_and_the_rest_is_as_it_was(scene: Scene) -> None:
    lake, root = scene.lake, Path(scene.lake.root)
    dead = lake.attempt("died", {})
    dead.append("labels", rows("labels", [{"sample_id": scene.ids[ANNA], "label": "cat", "actor": scene.ids[ANNA]}]))
    assert len(seen(root, scene.texts())) > 20, "the test sees what is there"
    before = {version.id: shown(lake, version.id) for version in lake.versions.all()}
    told = scene.forget(ANNA)
    assert seen(root, scene.texts()) == []
    assert (told["pictures"], told["contents"], told["proof"]["findings"]) == (2, 1, [])
    assert not (root / work.FILE).exists()
    gone = {scene.ids[ANNA], scene.ids[COPY], scene.content[ANNA]}
    for number, tables in before.items():
        after = shown(lake, number)
        assert set(after) == set(tables)
        for name, its in tables.items():
            if name not in ("findings", "refused_answers", "labels"):
                kept = [struck(row) for row in its if not gone & {row.get("sample_id"), row.get("content_id")}]
                assert after[name] == kept, (number, name)
    left = {row["key"] for row in shown(lake, lake.at().id)["findings"]}
    assert left == {OTHERS[4], "person 42"}, "SL202 spoke of her; person 42 still has another picture"
    evidence = [
        row["evidence"] for row in shown(lake, lake.at().id)["labels"] if row["sample_id"] == scene.ids[OTHERS[1]]
    ]
    assert json.dumps({"spread_from": "(forgotten)"}) in evidence
    linted = lake.newest("lint")
    assert linted is not None
    assert linted.summary == {"refused": {"gone": [OTHERS[0]]}}


def test_bounds_of_files_that_were_compacted_away_go_too(tmp_path: Path, picture: Picture) -> None:
    """A manifest keeps bounds of the files that its snapshot replaced: 16 letters of ids and keys."""
    scene = Scene(tmp_path / "lake", picture).fill(events=33)
    first = scene.ids[ANNA][:15].encode()
    gc.run(scene.lake, LakeSettings(), grace_hours=0)
    assert [name for name, data in everything(Path(scene.lake.root)) if name.endswith(".avro") and first in data]
    n = len(scene.lake.versions.all())
    scene.forget(ANNA)
    assert seen(Path(scene.lake.root), [first]) == []
    assert len(scene.lake.versions.all()) == n + 1
    assert dataset.samples(scene.lake, scene.lake.at(1))["key"].to_pylist() == sorted([SMALL, *OTHERS])


def test_a_person_goes_by_attribute_with_what_only_they_had(scene: Scene) -> None:
    told = scene.forget(where={"person": "42"})
    assert told["pictures"] == 3
    assert seen(Path(scene.lake.root), [b"portrait-0002", b"forty-two", *scene.texts()]) == []
    left = shown(scene.lake, scene.lake.at().id)
    assert {row["key"] for row in left["findings"]} == {OTHERS[4]}, "person 42 was a group"
    assert [row["value"] for row in left["attribute_repairs"]] == ["seven"]


def with_a_town(lake: Lake, fill: Any, picture: Picture) -> None:
    """Anna's town is hers alone, was set by hand, and set anew; so was the short one, and one that stays."""
    hers, others = [("town", "Annasvillage"), ("home", "x1")], [("town", "Paris"), ("home", "h2")]
    fill([("anna-1.png", "cat", picture(1), {"attributes": hers})]
         + [(f"other-{n}.png", "cat", picture(n), {"attributes": others}) for n in (2, 3)])  # fmt: skip
    for n, change in enumerate(
        ["town:Annasvillage=Annastown", "town:Annastown=Upper Annastown", "home:x1=x7", "home:h2=h3"]
    ):
        words = [
            "attributes",
            "--set",
            change,
            "--author",
            "me",
            "--reason",
            f"n{n}: she lives in Upper Annastown, x7 and h3",
        ]
        assert command([*words, "--lake", lake.root]) == 0


def test_a_value_that_nobody_else_has_is_in_no_summary_of_a_repair(fill: Any, lake: Lake, picture: Picture) -> None:
    with_a_town(lake, fill, picture)
    agreed = forget.plan(lake, Settings(), ["anna-1.png"])
    forget.run(lake, Settings(), agreed, offline=True, now=NOW)
    assert seen(Path(lake.root), [b"Annasvillage", b"Annastown"]) == []
    told = [one.summary for one in lake.versions.all() if one.job == "attributes"]
    assert [one["values"] for one in told] == [{}, {}, {}, {"h2 → h3": 2}]
    homes = ["x7", "x7", "(forgotten)", "x7"]  # too short to be looked for where it is not what was repaired
    assert [one["reason"] for one in told] == [
        f"n{n}: she lives in (forgotten), {home} and h3" for n, home in enumerate(homes)
    ]
    assert [row["value"] for row in shown(lake, lake.at().id)["attribute_repairs"]] == ["h2"]


def test_the_proof_finds_a_value_that_nobody_else_has(fill: Any, lake: Lake, picture: Picture) -> None:
    with_a_town(lake, fill, picture)
    Path(lake.root, "notes.txt").write_text("Upper Annastown")
    agreed = forget.plan(lake, Settings(), ["anna-1.png"])
    with pytest.raises(SecondlookError, match="not gone: a value of an attribute that nobody else has in 1 files"):
        forget.run(lake, Settings(), agreed, offline=True, now=NOW)
    Path(lake.root, "notes.txt").unlink()
    assert forget.resume(lake, Settings(), offline=True) is not None


@pytest.mark.parametrize(
    ("value", "looked_for"),
    [("Annastown", True), ("Anna", False), ("1990-05-03", False), ("abcdef", False), ("content_id", False), ("generalist", False),
     ("snapshot-id", False), ("Parisians", False), ("kitten", False), ("näher dran", True)],
)  # fmt: skip
def test_values_are_looked_for_anywhere_where_nothing_else_has_such_letters(
    fill: Any, lake: Lake, picture: Picture, value: str, looked_for: bool
) -> None:
    fill([("a.png", "cat", picture(1), {"attributes": [("town", value)]}),
          ("b.png", "a kitten", picture(2), {"attributes": [("town", "of the Parisians")]})])  # fmt: skip
    begun = work_of_lake(lake, forget.plan(lake, Settings(), ["a.png"]))
    assert begun.extinct == (("town", value),)
    assert begun.values == ((value,) if looked_for else ())


def test_what_others_values_become_is_not_extinct() -> None:
    told = [("a", {"town": "X"}), ("b", {"town": "m"}), ("b", {"town": "man"})]
    steps = [
        ("m", "Male"),
        ("X", "Male"),
        ("X", "Xa"),
        ("Z", "Xa"),
        ("Xa", "(not said)"),
        ("q", "(not said)"),
        ("Male", "man"),
        ("X", None),
    ]
    repairs = [{"attribute": "town", "value": value, "into": into} for value, into in steps]
    assert erase.extinct(told, repairs, frozenset({"a"})) == [("town", one) for one in ("X", "Xa", "Z")]


def test_a_file_that_could_not_be_read_is_forgotten_by_its_key(scene: Scene) -> None:
    told = scene.forget("people/anna/torn.png")
    assert (told["pictures"], told["contents"]) == (1, 0)
    assert seen(Path(scene.lake.root), [b"torn.png"]) == []


def test_without_its_copies_the_bytes_stay_for_those_that_share_them(scene: Scene) -> None:
    agreed = forget.plan(scene.lake, Settings(), [ANNA], copies="none")
    assert len(agreed.chosen.samples) == 1
    assert agreed.chosen.shared == frozenset({scene.content[ANNA]})
    forget.run(scene.lake, Settings(), agreed, offline=True, now=NOW)
    assert seen(Path(scene.lake.root), [ANNA.encode(), scene.ids[ANNA].encode()]) == []
    assert COPY in dataset.samples(scene.lake, scene.lake.at())["key"].to_pylist()
    assert not tombstones.buried(scene.lake, scene.lake.at()).content(scene.content[ANNA])


def test_a_class_that_may_be_the_persons_name_is_said_to_stay(
    fill: Any, lake: Lake, picture: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    fill([("a.png", "Anna", picture(1)), ("b.png", "Ben", picture(2)), ("c.png", "Ben", picture(3))])
    assert forget.plan(lake, Settings(), ["a.png"]).classes == ["Anna"]
    assert forget.plan(lake, Settings(), ["b.png"]).classes == []
    assert command(["forget", "--lake", str(lake.root), "a.png", "--dry-run"]) == 0
    assert "no other picture was ever labeled Anna: such a name stays" in capsys.readouterr().err


def test_findings_on_a_class_that_nobody_else_bore_go_and_where_its_name_stays_is_said(
    fill: Any, lake: Lake, picture: Picture, capsys: pytest.CaptureFixture[str]
) -> None:
    fill([("a.png", "Anna", picture(1)), ("b.png", "Ben", picture(2)), ("c.png", "Ben", picture(3))])
    about = [("SL503", "class", "Anna", "Anna"), ("SL503", "class", "Ben", "Ben"), ("SL501", "class", "17", "Anna")]
    about += [("SL403", "group", f"false negatives: {name}: town Paris", "town Paris") for name in ("Anna", "Ben")]
    columns = ("rule", "subject_kind", "subject", "key")
    attempt = lake.attempt("train and lint", {})
    attempt.append("findings", rows("findings", [dict(zip(columns, one, strict=True)) for one in about]))
    known = [{"model": "m", "classes": ["Anna", "Ben"]}, {"model": "n", "classes": ["Ben"]}]
    attempt.append("models", rows("models", known))
    attempt.commit({})
    assert command(["forget", "--lake", str(lake.root), "a.png", "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert "the class lists of models (in that of m). Nothing erases it; `secondlook classes retire NAME`" in " ".join(
        said.split()
    )
    assert command(["forget", "--lake", str(lake.root), "a.png", "--yes", "--offline", "--author", "me"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1 name of a class that only they bore stays in the class list and its history" in said
    left = {(row["rule"], row["subject"]) for row in shown(lake, lake.at().id)["findings"]}
    assert left == {("SL503", "Ben"), ("SL403", "false negatives: Ben: town Paris")}
    assert [row["name"] for row in shown(lake, lake.at().id)["classes"]] == ["Anna", "Ben"], "as it says"


def test_near_copies_are_named_and_taken_where_asked(tmp_path: Path, picture: Picture, fill: Any, lake: Lake) -> None:
    small, large = picture(5, 96, 96), picture(5, 96, 96, "JPEG", quality=92)
    fill([("a.png", "cat", small), ("near.jpg", "cat", large), ("far.png", "cat", picture(9, 96, 96))])
    attempt = lake.attempt("fingerprint", {})
    attempt.append("fingerprints", rows("fingerprints", [
        facts(data) for data in (small, large, picture(9, 96, 96))
    ]))  # fmt: skip
    attempt.commit({})
    assert forget.plan(lake, Settings(), ["a.png"]).chosen.near == ("near.jpg",)
    both = forget.plan(lake, Settings(), ["a.png"], copies="near").chosen
    assert (len(both.samples), both.near) == (2, ())


def family(scene: Scene) -> None:
    """What was made of the model m, and a student of another teacher that was taught with her picture without a label."""
    made_of = {
        "specialist-1": ["m"],
        "specialists": ["m", "specialist-1"],
        "student-a": ["specialists"],
        "student-a-int8": ["student-a"],
    }
    made_of |= {"other": [], "student-b": ["other"], "student-c": ["other"]}
    kinds = {name: "student" if name.startswith("student") else name.rsplit("-", 1)[0] for name in made_of} | {
        "other": "generalist"
    }
    models = [
        {
            "model": name,
            "kind": kinds[name],
            "path": f"models/{name}/a",
            "classes": ["cat", "dog"],
            "settings": "{}",
            "made_of": of,
        }
        for name, of in made_of.items()
    ]
    for name in made_of:
        Path(scene.lake.folder("models", name, "a"), "student.onnx").write_bytes(os.urandom(64))
    folds = {"student-a": -2, "student-b": -2, "student-c": -1, "other": -1}
    said = [
        {"content_id": scene.content[ANNA], "model": name, "classes": [0], "probs": [0.9], "fold": fold}
        for name, fold in folds.items()
    ]
    falls = [{"attribute": "person", "name": who, "n": 9} for who in ("42", "7")]
    points = [
        {"model": name, "role": "student", "figures": json.dumps({"groups": [fall], "forgotten": []})}
        for name, fall in zip(("student-c", "other"), falls, strict=True)
    ]
    group = {
        "model": "m",
        "cluster": "cat / dog",
        "classes": ["cat", "dog"],
        "level": 0,
        "evidence": json.dumps({"like": ANNA}),
    }
    refused = {"student-c": "person 42 falls by 9 points, and person 421"}
    scene.commit("made", models=models, predictions=said, clusters=[group, group | {"model": "other"}])
    scene.commit("frontier", summary={"refused": refused, "frontier": {}}, frontier=points)


def test_whatever_was_made_of_a_model_that_saw_it_goes_with_it_and_all_its_files(scene: Scene) -> None:
    family(scene)
    agreed = forget.plan(scene.lake, Settings(), where={"person": "42"})
    hers = {"m", "specialist-1", "specialists", "student-a", "student-a-int8", "student-b"}
    assert set(agreed.trained) == hers
    assert agreed.trained["student-b"] == agreed.trained["specialists"] == []
    told = forget.run(scene.lake, Settings(), agreed, models=True, offline=True, now=NOW)
    assert told["models"] == 6
    assert any("distill --export" in one for one in told["out_of_reach"])
    left = shown(scene.lake, scene.lake.at().id)
    assert {row["model"] for row in left["models"]} == {"other", "student-c"}
    assert [(row["model"], row["evidence"]) for row in left["clusters"]] == [("other", '{"like": "(forgotten)"}')]
    assert [row["model"] for row in left["frontier"]] == ["other"], "person 42 was a group of the other point"
    files = {path.parent.parent.name for path in Path(scene.lake.root, "models").rglob("*") if path.is_file()}
    assert files == {"other", "student-c"}
    measured = scene.lake.newest("frontier")
    assert measured is not None
    assert measured.summary["refused"] == {"student-c": "(forgotten) falls by 9 points, and person 421"}


def test_models_that_stay_are_named_for_what_they_know(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    family(scene)
    assert command(["forget", "--lake", scene.lake.root, ANNA, "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "model specialists was trained on them, or made of one that was: --models deletes it" in said
    assert "model m was trained on them (held out in fold" in said
    assert "student-c" not in said


def test_models_that_saw_it_are_named_with_their_fold_and_deleted_where_asked(scene: Scene) -> None:
    agreed = forget.plan(scene.lake, Settings(), [ANNA])
    [folds] = agreed.trained.values()
    assert len(folds) == 1
    forget.run(scene.lake, Settings(), agreed, models=True, offline=True, now=NOW)
    assert not list(Path(scene.lake.root, "models").rglob("*.safetensors"))
    with pytest.raises(UserError, match="no generalist"):
        dataset.newest_model(scene.lake, scene.lake.at())
    assert not shown(scene.lake, scene.lake.at().id)["predictions"]


def test_it_does_not_come_back_under_any_name_and_undo_lets_it(tmp_path: Path, spark: Any, picture: Picture) -> None:
    source = tmp_path / "in"
    (source / "cat").mkdir(parents=True)
    for n in range(4):
        (source / "cat" / f"picture-{n}.png").write_bytes(picture(n))
    lake = Lake(str(tmp_path / "lake"), create=True)

    def take() -> dict[str, Any]:
        told = ingest.run(lake, Settings(), spark, Source(str(source)), now=NOW)
        return {name: told[name] for name in ("found", "samples", "rejects", "known", "forgotten")}

    assert take()["samples"] == 4
    agreed = forget.plan(lake, Settings(), ["picture-0.png"])
    told = forget.run(lake, Settings(), agreed, offline=True, now=NOW)
    assert take() == {"found": 4, "samples": 0, "rejects": 0, "known": 3, "forgotten": 1}
    (source / "cat" / "another-name.png").write_bytes(picture(0))
    (source / "cat" / "picture-0.png").write_bytes(picture(77))  # the same place, whatever lies there now
    (source / "cat" / "picture-3.png").write_bytes(picture(0))  # a known place that shows it now
    (source / "cat" / "torn.png").write_bytes(b"no picture")
    assert take() == {"found": 6, "samples": 0, "rejects": 1, "known": 2, "forgotten": 3}
    assert seen(Path(lake.root), [b"another-name", b"picture-0.png", picture(0)]) == []
    assert dataset.samples(lake, lake.at())["key"].to_pylist() == ["cat/picture-1.png", "cat/picture-2.png"]
    [burial] = tombstones.listed(lake, lake.at())
    assert (burial["samples"], burial["contents"], sorted(burial["marks"])) == (1, 1, told["marks"])
    first, second = told["marks"]
    for few in ("", first[:3], "v99"):
        with pytest.raises(UserError, match="unknown tombstone"):
            tombstones.lift(lake, [few], actor="me", reason="", now=NOW)
    assert tombstones.lift(lake, [first[:12]], actor="me", reason="", now=NOW)["lifted"] == 1
    assert [one["marks"] for one in tombstones.listed(lake, lake.at())] == [[second]]
    tombstones.lift(lake, [f"v{told['version']}"], actor="me", reason="", now=NOW)
    assert take()["samples"] == 3
    assert tombstones.listed(lake, lake.at()) == []


def test_what_was_computed_before_is_not_written_after(scene: Scene) -> None:
    running = scene.lake.attempt("train", {})
    running.append("gold", rows("gold", [{"sample_id": scene.ids[ANNA], "label": "cat"}]))
    scene.forget(ANNA)
    late = {"content_id": scene.content[ANNA], "model": "n", "vector": [0.0]}
    with pytest.raises(ConflictError, match="forgotten meanwhile"):
        running.append("embeddings", rows("embeddings", [late]))
    with pytest.raises(ConflictError, match="forgotten meanwhile"):
        running.commit({})
    assert seen(Path(scene.lake.root), scene.texts()) == []


def test_a_commit_during_it_is_cleaned_as_well(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another job commits after the files were rewritten and before the versions were: it is looked through in a second try."""
    other, real = Lake(str(scene.lake.root)), erase._projects
    todo = [{"sample_id": scene.ids[ANNA], "label": "cat", "source": "unanimous"}]

    def slow(*given: Any) -> Any:
        if todo:
            attempt = other.attempt("gold", {})
            attempt.append("gold", rows("gold", [todo.pop()]))
            attempt.commit({"keys": [ANNA]})
        return real(*given)

    monkeypatch.setattr(erase, "_projects", slow)
    scene.forget(ANNA)
    assert seen(Path(scene.lake.root), scene.texts()) == []
    assert other.at().job == "forget"


def test_a_reader_of_an_old_version_object_is_told_to_read_again(scene: Scene) -> None:
    other = Lake(str(scene.lake.root))
    held = other.at()
    dataset.samples(other, held)
    scene.forget(ANNA)
    with pytest.raises(ConflictError, match="rewritten by `forget`"):
        list(other.batches("images", held))
    assert ANNA not in dataset.samples(other, other.at(held.id))["key"].to_pylist()


def test_two_at_once_take_turns(scene: Scene) -> None:
    agreed = forget.plan(scene.lake, Settings(), [ANNA])
    with work.alone(scene.lake), pytest.raises(ConflictError, match="at work"):
        forget.run(Lake(str(scene.lake.root)), Settings(), agreed, offline=True)
    done: list[Any] = []

    def one(key: str) -> None:
        try:
            plan = forget.plan(lake := Lake(str(scene.lake.root)), Settings(), [key])
            done.append(forget.run(lake, Settings(), plan, offline=True)["pictures"])
        except ConflictError:
            done.append("again")

    threads = [threading.Thread(target=one, args=(key,)) for key in (ANNA, OTHERS[0])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    assert done != ["again", "again"]


def test_the_proof_finds_what_anybody_left(scene: Scene) -> None:
    """In a stray file, a model's folder, the database, a Parquet file of a job that runs, and under another's id."""
    agreed = forget.plan(scene.lake, Settings(), [ANNA])
    begun = work_of(scene, agreed)
    root = Path(scene.lake.root)
    scene.forget(ANNA)
    assert prove(scene.lake, begun).findings == []
    data, content = scene.data[ANNA], scene.content[ANNA]
    plants: dict[str, Callable[[Path], Any]] = {
        "notes.txt": lambda at: at.write_text(f"see {ANNA}"),
        "models/m/a/extra.bin": lambda at: at.write_bytes(b"x" * 100 + data + b"y"),
        "models/m/a/index.bin": lambda at: at.write_bytes(b"x" + scene.vectors[content].tobytes()),
        f"{scene.lake.namespace}/embeddings/data/late.parquet": lambda at: pq.write_table(
            rows("embeddings", [{"content_id": content, "model": "n", "vector": [0.0]}]), at
        ),
        f"{scene.lake.namespace}/images/data/other.parquet": lambda at: pq.write_table(
            rows("images", [{"content_id": "f" * 32, "image": {"bytes": data, "path": "x"}}]), at
        ),
    }
    for name, plant in plants.items():
        plant(root / name)
        found = prove(scene.lake, begun).findings
        assert {one["file"] for one in found} == {name}, found
        (root / name).unlink()
    with scene.lake.catalog.engine.begin() as connection:
        connection.execute(sa.text("pragma secure_delete = off"))  # as SQLite is on other machines than Debian's
        connection.execute(sa.text("create table stray (told text)"))
        connection.execute(sa.text("insert into stray values (:told)"), {"told": ANNA})
        connection.execute(sa.text("delete from stray"))
    assert [one["file"] for one in prove(scene.lake, begun).findings] == ["catalog.db"], (
        "a deleted row, still in its page"
    )
    erase.vacuum(scene.lake)
    assert prove(scene.lake, begun).findings == []


def work_of(scene: Scene, agreed: Any) -> work.Work:
    return work_of_lake(scene.lake, agreed)


def work_of_lake(lake: Lake, agreed: Any) -> work.Work:
    from secondlook.jobs.forget.plan import work_of as made

    return made(lake, lake.at(), agreed, models=False, actor="", reason="", now=NOW)


def test_a_proof_that_finds_something_is_loud_and_the_list_stays(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(scene.lake.root, "notes.txt").write_text(ANNA)
    with pytest.raises(SecondlookError, match="not gone: a key in 1 files") as problem:
        scene.forget(ANNA)
    assert problem.value.exit_status == 70
    assert ANNA not in str(problem.value)
    Path(scene.lake.root, "notes.txt").unlink()
    told = forget.resume(scene.lake, Settings(), offline=True)
    assert told is not None
    assert told["version"] == scene.lake.at().id
    assert forget.resume(scene.lake, Settings(), offline=True) is None


def test_a_pattern_is_no_pattern_and_an_unknown_name_gets_near_ones(scene: Scene) -> None:
    for name in ("%", "people/.*", "people/anna/*", "*"):
        with pytest.raises(UserError, match="no picture has the key"):
            forget.plan(scene.lake, Settings(), [name])
    with pytest.raises(UserError, match="portrait-0001"):
        forget.plan(scene.lake, Settings(), ["portrait-0003.png"])
    with pytest.raises(UserError, match="unknown attribute 'persn', did you mean 'person'"):
        forget.plan(scene.lake, Settings(), where={"persn": "42"})
    with pytest.raises(UserError, match="no picture has person='43'; near values: 42"):
        forget.plan(scene.lake, Settings(), where={"person": "43"})
    with pytest.raises(UserError, match="unknown kind of copies 'all'"):
        forget.plan(scene.lake, Settings(), [ANNA], copies="all")
    with pytest.raises(UserError, match="name the pictures"):
        forget.plan(scene.lake, Settings())


def test_a_check_by_tombstones_alone_finds_what_came_back(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """As a job would leave it that ran beside, or a backup."""
    scene.forget(ANNA)
    words = ["forget", "--lake", str(scene.lake.root), "--check", "--json"]
    assert command(words) == 0
    at = Path(scene.lake.root, scene.lake.namespace, "images", "data", "late.parquet")
    image = {"bytes": scene.data[ANNA], "path": "x"}
    for content in ("f" * 32, scene.content[ANNA]):
        pq.write_table(rows("images", [{"content_id": content, "image": image}]), at)
        capsys.readouterr()
        assert command(words) == 1
        assert json.loads(capsys.readouterr().out)["findings"][-1]["what"] == "a picture's bytes"
    gc.run(scene.lake, LakeSettings(), grace_hours=0)
    assert command(words) == 0


def test_all_of_a_lake_needs_yes_and_says_the_number(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["forget", "--lake", str(scene.lake.root), "--where", "person=7"]
    assert command(words) == 2
    said = capsys.readouterr().err
    assert "6 pictures of 9 would be erased for good" in said
    assert "--yes" in said
    assert command([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 6
    assert len(dataset.samples(scene.lake, scene.lake.at())) == 9
    file = Path(scene.lake.root).parent / "certificate.json"
    assert command([*words, "--yes", "--offline", "--json", "--certificate", str(file), "--reason", "asked"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(file.read_text())
    assert told["pictures"] == 6
    assert not [key for key in OTHERS if key in file.read_text() or scene.ids[key] in file.read_text()]
    assert command(["forget", "--lake", str(scene.lake.root), "--list", "--json"]) == 0
    [burial] = json.loads(capsys.readouterr().out)["forgotten"]
    assert (burial["samples"], burial["contents"], burial["reason"]) == (6, 6, "asked")
    assert command(["forget", "--lake", str(scene.lake.root), "--undo", "zzz"]) == 2


HOSTILE = (
    "a.png", "x", "42", "a b%c.png", 'q"uo\\te.png', "line\nbreak.png", "naïve/日本.png", "(a|b)*.png", "%", "[x]", "k" * 3000 + ".png"
)  # fmt: skip


def test_hostile_keys_are_found_and_struck_out(lake: Lake, fill: Any, picture: Picture) -> None:
    """Also where other keys end in them, and JSON spells them otherwise."""
    ids = fill([(way + key, "cat", way.encode() + picture(n)) for n, key in enumerate(HOSTILE) for way in ("", "z")])
    attempt = lake.attempt("lint", {})
    for n, key in enumerate(HOSTILE):
        about = {
            "rule": f"SL{n:03d}",
            "subject_kind": "sample",
            "subject": ids["z" + key],
            "key": "z" + key,
            "score": 1.0,
        }
        told = {"evidence": json.dumps({"others": [key]}), "message": "m"}
        kept = {"evidence": json.dumps({"others": []}), "message": f"n{n}", "rule": f"SL1{n:02d}"}
        attempt.append("findings", rows("findings", [about | told, about | kept]))
    attempt.commit(
        {"gone": [*HOSTILE, *("z" + key for key in HOSTILE)], "text": [f"no {json.dumps(key)} here" for key in HOSTILE]}
    )
    agreed = forget.plan(lake, Settings(), [ids[key] for key in HOSTILE])
    assert agreed.chosen.samples == {ids[key] for key in HOSTILE}
    forget.run(lake, Settings(), agreed, offline=True, now=NOW)
    left = [row["message"] for row in lake.read("findings", lake.at()).to_pylist()]
    assert sorted(left) == sorted(f"n{n}" for n in range(len(HOSTILE)))
    [linted] = [one for one in lake.versions.all() if one.job == "lint"]
    assert linted.summary == {"gone": ["z" + key for key in HOSTILE], "text": ['no "(forgotten)" here'] * len(HOSTILE)}
    assert set(dataset.samples(lake, lake.at())["key"].to_pylist()) == {"z" + key for key in HOSTILE}


def test_needles_are_found_as_the_slow_way_finds_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        data = rng.integers(0, 3, 300, dtype=np.uint8).tobytes()
        needles = {data[a : a + n] for a, n in zip(rng.integers(0, 290, 20), rng.integers(1, 9, 20), strict=True)}
        slow = {(m.start(), one) for one in needles for m in re.finditer(b"(?=" + re.escape(one) + b")", data)}
        assert set(Needles(needles).hits(data)) == slow
    assert not list(Needles([]).hits(b"abc"))
    assert not list(Needles([b"abcd"]).hits(b""))


def test_a_key_counts_where_it_stands_by_itself() -> None:
    mentions = Mentions([], ["1.png", "cat"])
    assert mentions.without("same bytes as 1.png, 11.png and a/1.png. See 1.png.") == (
        "same bytes as (forgotten), 11.png and a/1.png. See (forgotten)."
    )
    assert mentions.without("a cat") == "a cat", "any word counts in quotes alone"
    assert json.loads(mentions.without('{"a": "cat", "b": ["cat", "dog"], "1.png": "x 1.png"}')) == {
        "a": "(forgotten)", "b": ["dog"], "(forgotten)": "x (forgotten)",
    }  # fmt: skip
    assert mentions.without("1.png 1.png,1.png") == "(forgotten) (forgotten),(forgotten)"


def test_every_table_with_a_sample_or_content_is_cleaned_by_it_and_free_text_columns_are_there() -> None:
    from secondlook.jobs.forget import rows as going

    assert set(going.FREE) <= set(TABLES)
    assert all(set(columns) <= set(TABLES[table].schema.names) for table, columns in going.FREE.items())
    spoken = {
        name
        for name, table in TABLES.items()
        if {"evidence", "raw", "message", "reason", "detail"} & set(table.schema.names)
    }
    assert spoken <= {*going.FREE, "predictions"}, "a table of texts that nobody looks through"


def test_the_same_answer_by_a_slow_and_obvious_closure() -> None:
    """Named samples, all that ever had one of their contents, and the contents that nobody else ever had."""
    import pyarrow as pa

    rng = np.random.default_rng(1)
    for _ in range(100):
        pairs = sorted({(f"s{a}", f"c{b}") for a, b in rng.integers(0, 6, (8, 2)).tolist()})
        had = pa.table({"sample_id": [a for a, _ in pairs], "content_id": [b for _, b in pairs]})
        named = frozenset({pairs[0][0]})
        mine = {c for s, c in pairs if s in named}
        samples = named | {s for s, c in pairs if c in mine}
        contents = {c for s, c in pairs if s in samples} - {c for s, c in pairs if s not in samples}
        assert choosing._closed(had, named, exact=True) == (samples, frozenset(contents))


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from secondlook.jobs.forget import forget, erase, work, proof
from secondlook.jobs.lake import maintenance, rewriting
from secondlook.jobs.lake.store import Attempt, Lake
from secondlook.pipeline.core.config import Settings
where, key, point = sys.argv[1:]
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if point == "any":
    print("ready", flush=True)
    sys.stdin.readline()
    point = "forget prove never 0"
module, name, when, nth = point.split()
place = {"forget": forget, "erase": erase, "work": work, "Attempt": Attempt, "maintenance": maintenance, "files": erase._Files}[module]
real, left = getattr(place, name), [int(nth)]
def wrapped(*given, **named):
    left[0] -= 1
    if when == "before" and left[0] == 0: die()
    made = real(*given, **named)
    if when == "after" and left[0] == 0: die()
    return made
setattr(place, name, wrapped)
lake = Lake(where)
forget.run(lake, Settings(), forget.plan(lake, Settings(), [key]), offline=True, now=datetime(2026, 1, 1, tzinfo=UTC))
"""
POINTS = (
    "work begin before 1", "work begin after 1", "files _written after 9", "Attempt append after 1", "Attempt commit_rewritten after 1",
    "maintenance sweep after 4", "work end after 1",
)  # fmt: skip
REALLY = ("Attempt commit_rewritten before 1", "erase vacuum before 1")
FURTHER = (*POINTS, "files _written after 1", "forget prove before 1", "work end before 1")  # in a soak


class Killed(BaseException):
    """As if the process ended here."""


def dying(patch: pytest.MonkeyPatch, point: str) -> None:
    """As KILLED does it, in this process."""
    module, name, when, nth = point.split()
    modules = {"forget": forget, "erase": erase, "work": work, "Attempt": Attempt, "maintenance": maintenance}
    place = modules.get(module, erase._Files)
    real, left = getattr(place, name), [int(nth)]

    def wrapped(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if when == "before" and left[0] == 0:
            raise Killed
        made = real(*given, **named)
        if when == "after" and left[0] == 0:
            raise Killed
        return made

    patch.setattr(place, name, wrapped)


def after_a_kill(scene: Scene, point: str) -> None:
    root = str(scene.lake.root)
    lake = Lake(root)
    forgot = any(one.job == "forget" for one in lake.versions.all())
    keys = dataset.samples(lake, lake.at())["key"].to_pylist()
    assert (ANNA in keys) is not forgot
    assert len(keys) == (7 if forgot else 9)
    told = forget.resume(lake, Settings(), offline=True)
    assert (told is None) is (point in ("work begin before 1", "work end after 1"))
    if point == "work begin before 1":
        scene.forget(ANNA)
    assert seen(Path(root), scene.texts()) == []
    assert sum(one.job == "forget" for one in lake.versions.all()) == 1
    assert tombstones.buried(lake, lake.at()).content(scene.content[ANNA])
    assert sorted(os.listdir(root)) == sorted(["catalog.db", lake.namespace, "models"])
    assert dataset.samples(lake, lake.at())["key"].to_pylist() == sorted([SMALL, *OTHERS])


def test_ended_anywhere_readers_see_before_or_after_and_the_next_call_ends_it(filled: tuple[Scene, Path]) -> None:
    for point in POINTS:
        scene = filled[0].restored(filled[1])
        with pytest.MonkeyPatch.context() as patch:
            dying(patch, point)
            with pytest.raises(Killed):
                scene.forget(ANNA)
        after_a_kill(scene, point)


@pytest.mark.parametrize("point", [*REALLY, *(pytest.param(one, marks=pytest.mark.soak) for one in FURTHER)])
def test_killed_for_real_readers_see_before_or_after(scene: Scene, point: str) -> None:
    words = [sys.executable, "-c", KILLED, str(scene.lake.root), ANNA, point]
    died = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert died.returncode == -9, died.stderr[-2000:]
    after_a_kill(scene, point)


MANY = int(os.environ.get("SECONDLOOK_KILLS", "200"))  # of a soak


@pytest.mark.parametrize("n", [pytest.param(1, id="1"), pytest.param(MANY, id="many", marks=pytest.mark.soak)])
def test_killed_at_random_moments(filled: tuple[Scene, Path], record: Callable[..., None], n: int) -> None:
    moments = generator(7, "forget kills")
    start = time.monotonic()
    filled[0].restored(filled[1]).forget(ANNA)
    longest = 2 * (time.monotonic() - start)
    states = Counter[str]()
    for _ in range(n):
        scene = filled[0].restored(filled[1])
        words = [sys.executable, "-c", KILLED, str(scene.lake.root), ANNA, "any"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(words, text=True, **pipes) as child:  # type: ignore[call-overload]
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("go\n")
            child.stdin.flush()
            time.sleep(moments.uniform(0.0, longest))
            child.kill()
        lake = Lake(str(scene.lake.root))
        forgot = any(one.job == "forget" for one in lake.versions.all())
        keys = dataset.samples(lake, lake.at())["key"].to_pylist()
        assert len(keys) == (7 if forgot else 9)
        assert (ANNA in keys) is not forgot
        states["after" if forgot else "before"] += 1
        if forget.resume(lake, Settings(), offline=True) is None and not forgot:
            scene.forget(ANNA)
        assert seen(Path(lake.root), scene.texts()) == []
        assert sum(one.job == "forget" for one in lake.versions.all()) == 1
    record("forget_kills", n=n, lakes_as=states, left_on_disk=0)
