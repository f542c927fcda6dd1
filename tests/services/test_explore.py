"""FiftyOne with a real database: what it shows of a lake, and what people tag there and take back."""

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.explore import database, explore
from secondlook.jobs.explore.dataset import KEY
from secondlook.jobs.explore.views import PLOT
from secondlook.jobs.export import export
from secondlook.jobs.forget import forget
from secondlook.jobs.history.history import run_blame
from secondlook.jobs.history.revert import run_revert
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import commit, status
from secondlook.jobs.review.take import take
from secondlook.labeling.answers import Answer
from secondlook.pipeline.core.config import ExploreSettings, Settings
from secondlook.pipeline.core.errors import UnavailableError, UserError
from secondlook.pipeline.core.identity import content_id
from tests.jobs.conftest import filler

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # FiftyOne's own, of its dependencies
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EVIL = '"><script>alert(1)</script>\n$where.{x}'
CLASSES = ("cat", "dog", EVIL)


@pytest.fixture(scope="module")
def fo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """FiftyOne on a database of its own, on the loopback; it ends, by its id, after FiftyOne has said good-bye to it."""
    program = database.found()
    if program is None or "://" in program:
        pytest.skip("there is no mongod on this machine, neither with FiftyOne nor on the PATH")
    patch = pytest.MonkeyPatch()
    patch.setenv("PATH", str(Path(program).parent))
    patch.setenv("FIFTYONE_DATABASE_DIR", str(tmp_path_factory.mktemp("mongo")))
    atexit.register(database.end, database.start())
    patch.undo()
    return database.fiftyone()


@pytest.fixture
def shown(fo: Any, lake: Lake, tmp_path: Path) -> Iterator[Any]:
    """`shown(**options)` brings the lake's dataset up to date and returns it; all datasets go in the end."""

    def run(**options: Any) -> Any:
        settings = options.pop("settings", Settings())
        summary = explore.run(lake, settings, pictures=tmp_path / "cache", **options)
        return fo.load_dataset(summary["dataset"])

    yield run
    for name in fo.list_datasets():
        fo.delete_dataset(name)


@pytest.fixture
def zoo(lake: Lake, picture: Any) -> dict[str, str]:
    """Twelve pictures (two equal, one without a label, one of a hostile class), a model, findings, a batch with a dispute."""
    pictures: list[tuple[Any, ...]] = [
        (
            f"{n:02d}.png",
            CLASSES[n % 2],
            picture(n),
            {"split": "test" if n < 3 else "train", "attributes": [("si.te$", "north")]},
        )
        for n in range(9)
    ]
    pictures += [
        ("copy.png", "dog", picture(0)),
        ("new.png", None, picture(10)),
        (f"{EVIL}/x\udcff.png", EVIL, picture(11)),
    ]
    pictures[-1] = ("<b>/x.png", EVIL, picture(11))
    ids = filler(lake)(pictures)
    contents = sorted({content_id(one[2]) for one in pictures})
    attempt = lake.attempt("train", {})
    facts = {"model": "m", "kind": "generalist", "backbone": "b", "classes": sorted(CLASSES), "embedder": "frozen"}
    attempt.append("models", rows("models", [facts]))
    said = [{"content_id": one, "model": "m", "classes": [1, 0], "probs": [0.75, 0.2], "fold": 0} for one in contents]
    attempt.append("predictions", rows("predictions", said))
    vectors = np.random.default_rng(1).normal(size=(len(contents), 8)).tolist()
    attempt.append(
        "embeddings",
        rows(
            "embeddings",
            [{"content_id": one, "model": "frozen", "vector": v} for one, v in zip(contents, vectors, strict=True)],
        ),
    )
    attempt.commit({})
    lint(lake, ("SL101", ids["00.png"], 0.9), ("SL101", ids["02.png"], 0.6), ("SL201", ids["copy.png"], 1.0))
    return ids


def lint(lake: Lake, *found: tuple[str, str, float]) -> None:
    attempt = lake.attempt("lint", {"found": found})
    common = {"subject_kind": "sample", "key": "", "split": "", "evidence": "{}"}
    attempt.append(
        "findings",
        rows(
            "findings",
            [
                common | {"rule": rule, "subject": one, "score": score, "message": f"why {EVIL}"}
                for rule, one, score in found
            ],
        ),
    )
    attempt.commit({})


def decide(lake: Lake, sample: str, label: str) -> None:
    attempt = lake.attempt("commit", {"sample": sample})
    attempt.append(
        "labels",
        rows("labels", [{"sample_id": sample, "label": label, "source": "review", "actor": "bo", "time": NOW}]),
    )
    attempt.commit({})


def by_key(held: Any, *fields: str) -> dict[str, Any]:
    values = held.values(["key", *fields])
    return {key: more[0] if len(fields) == 1 else tuple(more) for key, *more in zip(*values, strict=True)}


def labels(lake: Lake) -> dict[str, str | None]:
    table = dataset.samples(lake, lake.at())
    return dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))


def tag(name: str, **tags: list[str]) -> None:
    """What a person would do, in another process: `tag(dataset, keep=[lake ids], …)`."""
    script = """
import json, sys, warnings
warnings.simplefilter("ignore")
import fiftyone as fo
held = fo.load_dataset(sys.argv[1])
for tag, ids in json.loads(sys.argv[2]).items():
    held.match(fo.ViewField("lake_id").is_in(ids)).tag_samples(tag)
"""
    subprocess.run([sys.executable, "-c", script, name, json.dumps(tags)], check=True, timeout=120)


def test_the_dataset_shows_what_the_lake_knows(shown: Any, lake: Lake, zoo: dict[str, str], tmp_path: Path) -> None:
    said = [Answer(who, zoo["03.png"], "label", label, 2.0) for who, label in (("ada", "cat"), ("bo", "dog"))]
    take(lake, lake.at(), said, batch=None, outside="batch-7", inputs={}, now=NOW)
    held = shown()
    assert held.persistent
    assert set(held.values(KEY)) == set(zoo.values())
    assert by_key(held, "given.label", "label.label")["00.png"] == ("cat", "cat")
    assert by_key(held, "label")["new.png"] is None
    assert by_key(held, "prediction.label", "prediction.confidence")["00.png"] == (sorted(CLASSES)[1], 0.75)
    assert by_key(held, "tags") == {
        key: {"00.png": ["SL101"], "02.png": ["SL101"], "copy.png": ["SL201"]}.get(key, []) for key in zoo
    }
    assert by_key(held, "SL101_score", "SL101_message")["00.png"] == (0.9, f"why {EVIL}")
    assert by_key(held, "copies")["copy.png"] == by_key(held, "copies")["00.png"] == 2
    assert by_key(held, "split", "attribute_si_te_")["01.png"] == ("test", "north")
    assert by_key(held, "disputed", "answers", "batches")["03.png"] == (True, ["cat", "dog"], ["batch-7"])
    assert by_key(held, "label.label")["<b>/x.png"] == EVIL
    assert by_key(held, "metadata.width")["01.png"] is None  # nobody took its fingerprint
    for key, path in by_key(held, "filepath").items():
        assert Path(path).parent == tmp_path / "cache"
        assert content_id(Path(path).read_bytes()) == by_key(held, "content_id")[key]
    views = {name: [*held.load_saved_view(name).values("key")] for name in held.list_saved_views()}
    assert views["SL101 likely mislabeled"] == ["00.png", "02.png"]
    assert views["batch-7"] == views["disputed"] == ["03.png"]
    assert views["unlabeled"] == ["new.png"]
    assert views["changed"] == []
    points = held.load_brain_results(PLOT)
    assert points.points.shape == (12, 2)
    assert held.get_brain_info(PLOT).config.type == "visualization"
    assert len(held.load_workspace("secondlook").children) == 2


def test_a_later_run_brings_it_up_to_date_in_place_and_keeps_what_people_added(
    shown: Any, lake: Lake, zoo: dict[str, str]
) -> None:
    held = shown()
    before = by_key(held, "id")
    held.match_tags("SL101").tag_samples("mine")
    held.save_view("my view", held.limit(1))
    lint(lake, ("SL102", zoo["05.png"], 0.4))
    decide(lake, zoo["02.png"], "dog")
    held = shown()
    assert by_key(held, "id") == before
    assert by_key(held, "tags")["00.png"] == ["mine"]
    assert by_key(held, "tags")["05.png"] == ["SL102"]
    assert by_key(held, "given.label", "label.label", "label_source")["02.png"] == ("cat", "dog", "review")
    assert held.load_saved_view("changed").values("key") == ["02.png"]
    assert "my view" in held.list_saved_views()
    assert "SL101 likely mislabeled" not in held.list_saved_views()
    assert not held.has_sample_field("SL101_score")


def test_a_slice_of_a_large_lake(shown: Any, zoo: dict[str, str], tmp_path: Path) -> None:
    assert shown(limit=4).values(KEY) == shown(limit=4).values(KEY)
    assert len(shown(limit=4)) == 4
    assert len([*(tmp_path / "cache").iterdir()]) == len(set(shown(limit=4).values("content_id")))
    assert shown(rule="SL101", limit=1).values("key") == ["00.png"]
    assert sorted(shown(split="test").values("key")) == ["00.png", "01.png", "02.png"]
    with pytest.raises(UserError, match="unknown split 'tset'"):
        shown(split="tset")
    with pytest.raises(UserError, match="unknown rule with findings of pictures 'SL999'"):
        shown(rule="SL999")


def test_pictures_that_lie_here_are_not_copied_and_the_disk_is_not_filled(
    shown: Any, lake: Lake, picture: Any, tmp_path: Path
) -> None:
    file = tmp_path / "there" / "a #1?.png"
    file.parent.mkdir()
    file.write_bytes(picture(1))
    attempt = lake.attempt("ingest", {})
    facts = {"dataset": "default", "source": f"file://{file.parent}", "split": "", "attributes": []}
    state = {"size_bytes": len(picture(1)), "modified_us": file.stat().st_mtime_ns // 1000}
    sample = {"sample_id": "s1", "key": file.name, "content_id": content_id(picture(1))} | facts | state
    attempt.append(
        "samples",
        rows(
            "samples", [sample, sample | {"sample_id": "s2", "key": "gone.png", "content_id": content_id(picture(2))}]
        ),
    )
    attempt.append(
        "images",
        rows(
            "images",
            [{"content_id": content_id(picture(n)), "image": {"bytes": picture(n), "path": ""}} for n in (1, 2)],
        ),
    )
    attempt.append(
        "fingerprints",
        rows(
            "fingerprints",
            [{"content_id": content_id(picture(n)), "size_bytes": 10_000, "format": "PNG"} for n in (1, 2)],
        ),
    )
    attempt.commit({})
    paths = by_key(shown(), "filepath")
    assert paths[file.name] == str(file)
    assert Path(paths["gone.png"]).read_bytes() == picture(2)
    file.write_bytes(picture(3))  # no longer what was ingested
    assert Path(by_key(shown(), "filepath")[file.name]).read_bytes() == picture(1)
    with pytest.raises(UserError, match=r"2 pictures would take 0.0 GB of disk, and \[explore\] cache_gb allows 1e-05"):
        shown(settings=Settings(explore=ExploreSettings(cache_gb=0.00001)))


def test_names_that_wait_for_a_sign_off_stay_masked(shown: Any, lake: Lake) -> None:
    filler(lake)([("bitch/a.png", "bitch", b"1"), ("cat/b.png", "cat", b"2")])
    held = shown()
    everything = json.dumps([sample.to_dict() for sample in held], default=str)
    assert "bitch" not in everything
    assert "cat" in held.values("label.label")


def test_what_is_forgotten_leaves_its_datasets_files_and_plot(
    shown: Any, lake: Lake, zoo: dict[str, str], tmp_path: Path
) -> None:
    held = shown()
    content = by_key(held, "content_id")["03.png"]
    file = Path(by_key(held, "filepath")["03.png"])
    stranger = tmp_path / "cache" / "note.txt"
    stranger.write_text("stays")
    assert held.has_brain_run(PLOT)
    assert content in file.name
    agreed = forget.plan(lake, Settings(), ["03.png"])
    told = forget.run(lake, Settings(), agreed, actor="me")
    assert told["elsewhere"]["fiftyone"] == {"samples": 1, "files": 1}
    assert not file.exists()
    assert stranger.exists()
    held.reload()
    assert len(held) == 11
    assert zoo["03.png"] not in held.values(KEY)
    assert not held.has_brain_run(PLOT)
    held = shown()
    assert held.has_brain_run(PLOT)
    assert len(held) == 11


def test_what_is_tagged_comes_back_once_with_history(shown: Any, lake: Lake, zoo: dict[str, str], fo: Any) -> None:
    held = shown()
    tag(
        held.name,
        keep=[zoo["01.png"]],
        drop=[zoo["04.png"]],
        relabel=[zoo["02.png"], zoo["new.png"]],
        **{"label:dog": [zoo["00.png"]], "label:cow": [zoo["06.png"]], "SL999": [zoo["07.png"]]},
    )
    first = explore.run_pull(lake, actor="ada", now=NOW)
    assert {name: first[name] for name in ("kept", "labeled", "dropped", "asked", "known")} == {
        "kept": 1, "labeled": 1, "dropped": 1, "asked": 2, "known": 0,
    }  # fmt: skip
    assert first["refused"] == {"unknown class": ["06.png"]}
    after = labels(lake)
    assert (after["01.png"], after["00.png"], after["copy.png"], after["04.png"]) == ("dog", "dog", "dog", None)
    event = run_blame(lake, "01.png")["events"][-1]
    assert (event["source"], event["actor"], event["batch"], event["evidence"]["explore"]) == (
        "review",
        "ada",
        first["batch"],
        "keep",
    )
    tags = by_key(held, "tags")
    assert (tags["01.png"], tags["04.png"], tags["02.png"], tags["00.png"]) == ([], [], ["SL101"], ["SL101"])
    assert tags["06.png"] == ["label:cow"]  # told, not lost
    asked = lake.latest("batches", lake.at()).to_pylist()
    assert {(row["sample_id"], row["strategy"]) for row in asked if row["batch"] == first["queue"]} == {
        (zoo["02.png"], "explore"), (zoo["new.png"], "explore"),
    }  # fmt: skip
    at = lake.at().id
    again = explore.run_pull(lake, actor="ada")
    assert again["version"] is None
    assert lake.at().id == at
    for key, mark in (("01.png", "keep"), ("04.png", "drop"), ("02.png", "relabel")):
        held.match(held_key(zoo[key])).tag_samples(mark)  # as after a kill before they came off
    again = explore.run_pull(lake, actor="ada")
    assert (again["version"], again["known"], lake.at().id) == (None, 3, at)
    assert commit.run(lake, Settings())["version"] is None  # each tag is an answer that its decision has used
    counts = {row["batch"]: (row["asked"], row["answered"], row["decided"]) for row in status.run_status(lake)}
    assert counts[first["batch"]] == (3, 3, 3)
    assert counts[first["queue"]] == (2, 0, 0)


def test_what_was_dropped_leaves_exports_until_it_is_taken_back(
    shown: Any, lake: Lake, zoo: dict[str, str], tmp_path: Path
) -> None:
    held = shown()
    for key in ("04.png", "00.png"):
        held.match(held_key(zoo[key])).tag_samples("drop")
    batch = explore.run_pull(lake, actor="ada")["batch"]

    def exported(name: str) -> str:
        export.run(lake, str(tmp_path / name), format="csv")
        return (tmp_path / name).read_text()

    without = exported("without.csv")
    assert "04.png" not in without
    assert "copy.png" not in without  # equal to one that was dropped
    assert "05.png" in without
    patch = tmp_path / "patch.csv"
    export.run(lake, str(patch), format="csv-patch")
    assert "04.png,cat,," in patch.read_text()
    run_revert(lake, batch)
    assert "04.png" in exported("with.csv")


def test_tags_that_can_not_be_taken_are_told_and_stay(shown: Any, lake: Lake, zoo: dict[str, str]) -> None:
    held = shown()
    held.match(held_key(zoo["05.png"])).tag_samples(["keep", "drop"])
    held.match(held_key(zoo["new.png"])).tag_samples("keep")
    held.match(held_key(zoo["00.png"])).tag_samples("keep")  # a cat
    held.match(held_key(zoo["copy.png"])).tag_samples("keep")  # the same picture, a dog
    held.match(held_key(zoo["08.png"])).tag_samples("keep")
    decide(lake, zoo["08.png"], "dog")
    stranger = held.first().copy()
    stranger[KEY], stranger["tags"] = "nobody", ["keep"]
    held.add_sample(stranger)
    summary = explore.run_pull(lake, actor="ada")
    assert summary["refused"] == {
        "changed": ["08.png"], "contradicting": ["00.png", "05.png", "copy.png"], "gone": ["nobody"], "without a label": ["new.png"],
    }  # fmt: skip
    assert summary["version"] is None
    assert len(held.match_tags(["keep", "drop"])) == 6
    assert len(shown(limit=1).match_tags(["keep", "drop"])) == 6  # a slice keeps what is not pulled yet


def held_key(lake_id: str) -> Any:
    from fiftyone import ViewField

    return ViewField(KEY) == lake_id


def test_the_command_prints_one_line_and_says_what_is_not_there(
    fo: Any,
    lake: Lake,
    zoo: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert command(["explore", "--lake", lake.root, "--pull"]) == 2
    assert "unknown dataset in FiftyOne" in capsys.readouterr().err
    assert command(["explore", "--lake", lake.root, "--pull", "--limit", "3"]) == 2
    capsys.readouterr()
    assert command(["explore", "--lake", lake.root, "--no-app", "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert (json.loads(line)["samples"], json.loads(line)["points"]) == (len(zoo), len(zoo))
    fo.delete_dataset(json.loads(line)["dataset"])


def test_the_app_is_served_on_the_loopback_and_ends_with_the_command(
    fo: Any, lake: Lake, zoo: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    script = "import sys; from secondlook.jobs.cli import main; sys.argv = ['secondlook', *sys.argv[1:]]; main()"
    program = [sys.executable, "-c", script, "explore", "--lake", lake.root, "--port", "52345"]
    with log.open("w") as stream:
        running = subprocess.Popen(
            program, stdout=stream, stderr=stream, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
        )
    try:
        found = None
        for _ in range(1_800):  # a few seconds, but for a machine that does ten other things
            found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
            if found or running.poll() is not None:
                break
            time.sleep(0.1)
        assert found, log.read_text()
        with urllib.request.urlopen(found[0] + "/fiftyone", timeout=30) as answer:  # noqa: S310
            assert answer.status == 200
        import psutil

        started = psutil.Process(running.pid).children(recursive=True)
        assert started
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0, log.read_text()
        assert psutil.wait_procs(started, timeout=20)[1] == []
    finally:
        running.kill()
        running.wait()
    for name in fo.list_datasets():
        fo.delete_dataset(name)


def test_no_database_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="`make setup` brings one on Linux"):
        database.start()
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(tmp_path / "db"))
    with pytest.raises(UnavailableError, match="does not start in"):
        database.start()
