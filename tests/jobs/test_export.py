"""Export: what goes out comes back in through ingest, is whole or not there, and never more in memory than a batch."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from secondlook.jobs.cli import run as command
from secondlook.jobs.export import export
from secondlook.jobs.ingest import ingest
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import answers_file, commit
from secondlook.jobs.sources import Source
from secondlook.jobs.sources.labels import Columns
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import SecondlookError, UnavailableError, UserError
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.schemas import TABLES

Fill = Callable[..., dict[str, str]]
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "../../up",
    "test",
    "a/b",
    ".hidden",
    "Cat",
    "cat",
    "x" * 300,
    "日本 ü",
    "=1+1",
]


def state(lake: Lake) -> list[tuple[Any, ...]]:
    """What a dataset is, whatever its keys: split, label, content and attributes of every sample."""
    names = ["split", "label", "content_id", "attributes"]
    found = [tuple(row.values()) for row in dataset.samples(lake, lake.at()).select(names).to_pylist()]
    return sorted((split or "", label or "", content, sorted(pairs or [])) for split, label, content, pairs in found)


def by_key(lake: Lake) -> dict[str, tuple[Any, ...]]:
    names = ["key", "split", "label", "content_id"]
    found = dataset.samples(lake, lake.at()).select(names).to_pylist()
    return {row["key"]: (row["split"], row["label"], row["content_id"]) for row in found}


def decide(lake: Lake, folder: Path, *lines: str) -> None:
    file = folder / "round.csv"
    file.write_text("annotator,key,label,seconds\n" + "".join(line + "\n" for line in lines), encoding="utf-8")
    answers_file.run_pull(lake, Settings(), file)
    commit.run(lake, Settings())


@pytest.fixture
def photos(fill: Fill, lake: Lake, tmp_path: Path, picture: Callable[..., bytes]) -> list[tuple[Any, ...]]:
    """A lake with splits, attributes, copies, hostile classes, unlabeled pictures and a reviewed label."""
    pictures: list[tuple[Any, ...]] = []
    for n, label in enumerate([*HOSTILE, "dog", "dog", None, None]):
        split = ["train", "test", "", "val"][n % 4]
        facts = {"split": split, "attributes": [("site", "north"), ("label", str(n))] if n % 3 else []}
        pictures.append((f"{split or 'x'}/{n % 5}/picture {n % 2}.{n}.png", label, picture(n, 8, 8), facts))
    pictures.append(("copy/0.png", "dog", picture(0, 8, 8), {"split": "test"}))
    fill(pictures)
    decide(lake, tmp_path, f"ann,{pictures[1][0]},dog,1", f"ann,{pictures[-2][0]},dog,1")
    return pictures


# Round trips through ingest


def test_folders_come_back_through_their_table_of_labels(
    lake: Lake, photos: list[Any], tmp_path: Path, spark: Any
) -> None:
    target = tmp_path / "out"
    summary = export.run(lake, str(target), format="folders")
    assert summary["samples"] == summary["files"] == len(photos)
    again = Lake(str(tmp_path / "again"), create=True)
    source = Source(str(target), labels=str(target / "labels.csv"))
    assert ingest.run(again, Settings(), spark, source)["files_without_row"] == 0
    expected = [
        (split, label, content, [("attribute_label" if n == "label" else n, v) for n, v in pairs])
        for split, label, content, pairs in state(lake)
    ]
    assert state(again) == sorted((s, label, c, sorted(pairs)) for s, label, c, pairs in expected)


def test_class_folders_come_back_by_their_names_alone(
    lake: Lake, fill: Fill, tmp_path: Path, spark: Any, picture: Callable[..., bytes]
) -> None:
    facts = [{"split": split} for split in ("train", "test", "train", "")]
    labels = ["cat", "dog", None, "cat"]
    fill([(f"{n}.png", labels[n], picture(n, 8, 8), facts[n]) for n in range(4)])
    target = tmp_path / "out"
    export.run(lake, str(target), format="folders")
    paths = sorted(str(path.relative_to(target)) for path in target.rglob("*.png"))
    assert paths == ["cat/3.png", "test/dog/1.png", "train/2.png", "train/cat/0.png"]
    again = Lake(str(tmp_path / "again"), create=True)
    ingest.run(again, Settings(), spark, Source(str(target)))
    assert state(again) == state(lake)


def test_hugging_face_parquet_comes_back_with_its_keys(
    lake: Lake, photos: list[Any], tmp_path: Path, spark: Any
) -> None:
    target = tmp_path / "out"
    summary = export.run(lake, str(target), format="hf-parquet")
    assert (summary["samples"], summary["files"]) == (len(photos), 4)
    again = Lake(str(tmp_path / "again"), create=True)
    ingest.run(again, Settings(), spark, Source(str(target)))
    held, expected = by_key(again), by_key(lake)
    assert {key: (split or "", *rest) for key, (split, *rest) in held.items()} == {
        key: (split or "", *rest) for key, (split, *rest) in expected.items()
    }
    assert dataset.class_names(again, again.at()) == dataset.class_names(lake, lake.at())


def test_a_patch_applied_to_the_source_gives_the_corrected_labels(
    tmp_path: Path, spark: Any, picture: Callable[..., bytes]
) -> None:
    source = tmp_path / "photos"
    for n in range(6):
        (source / ("cat" if n % 2 else "dog")).mkdir(parents=True, exist_ok=True)
        (source / ("cat" if n % 2 else "dog") / f"{n}.png").write_bytes(picture(n, 8, 8))
    lake, fresh = (Lake(str(tmp_path / name), create=True) for name in ("lake", "fresh"))
    ingest.run(lake, Settings(), spark, Source(str(source)))
    decide(lake, tmp_path, "ann,dog/0.png,cat,1", "ann,cat/1.png,cat,1", "bob,3.png,dog,1", "eve,3.png,dog,1")
    patch = tmp_path / "patch.csv"
    assert export.run(lake, str(patch))["rows"] == 2
    found = list(csv.DictReader(patch.read_text(encoding="utf-8").splitlines()))
    assert [(row["key"], row["old_label"], row["label"], row["source"], row["batch"]) for row in found] == [
        ("cat/3.png", "cat", "dog", "review", "round"),
        ("dog/0.png", "dog", "cat", "review", "round"),
    ]
    assert json.loads(found[0]["evidence"])["votes"][0]["annotator"] == "bob"
    ingest.run(fresh, Settings(), spark, Source(str(source)))
    ingest.run(fresh, Settings(), None, Source(str(source), labels=str(patch), columns=Columns(attributes=())))
    assert by_key(fresh) == by_key(lake)
    assert export.run(fresh, str(tmp_path / "none.csv"))["rows"] == 0, "what was ingested last is the source's word"


def test_a_csv_of_everything_labels_the_bare_pictures(
    lake: Lake, fill: Fill, tmp_path: Path, spark: Any, picture: Callable[..., bytes]
) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    pictures: list[tuple[Any, ...]] = [
        (f"{n}.png", HOSTILE[n], picture(n, 8, 8), {"split": "train", "attributes": [("age", "9, or\n10")]})
        for n in range(6)
    ]
    fill([*pictures, ("7.png", None, picture(7, 8, 8))])
    for key, _, data, *_ in [*pictures, ("7.png", None, picture(7, 8, 8))]:
        (source / key).write_bytes(data)
    assert export.run(lake, str(tmp_path / "all.csv"), format="csv")["rows"] == 7
    again = Lake(str(tmp_path / "again"), create=True)
    ingest.run(again, Settings(), spark, Source(str(source), labels=str(tmp_path / "all.csv")))
    assert state(again) == state(lake)


def test_a_csv_for_a_spreadsheet_runs_nothing_that_a_name_says(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    told = {"attributes": [("age", "-3"), ("@note", "+1+cmd")]}
    fill([("=1+1.png", "=cmd()", b"1", told), ("b.png", "猫", b"2", told)])
    exact, shown = tmp_path / "exact.csv", tmp_path / "shown.csv"
    export.run(lake, str(exact), format="csv")
    export.run(lake, str(shown), format="csv", spreadsheet=True)
    assert list(csv.reader(exact.read_text(encoding="utf-8").splitlines()))[1] == ["=1+1.png", "=cmd()", "", "+1+cmd", "-3"]  # fmt: skip
    assert shown.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(shown.read_text(encoding="utf-8-sig").splitlines()))
    assert rows[0] == ["key", "label", "split", "'@note", "age"]
    assert rows[1] == ["'=1+1.png", "'=cmd()", "", "'+1+cmd", "-3"]
    assert rows[2] == ["b.png", "猫", "", "'+1+cmd", "-3"]


# What others read


def test_the_parquet_files_declare_their_features(lake: Lake, photos: list[Any], tmp_path: Path) -> None:
    export.run(lake, str(tmp_path / "out"), format="hf-parquet")
    files = sorted((tmp_path / "out" / "data").iterdir())
    assert [file.name for file in files] == [
        f"{split}-00000-of-00001.parquet" for split in ("data", "test", "train", "val")
    ]
    table = pq.read_table(files[2])
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"names": dataset.class_names(lake, lake.at()), "_type": "ClassLabel"}
    assert features["site"] == features["attribute_label"] == {"dtype": "string", "_type": "Value"}
    names = features["label"]["names"]
    held = by_key(lake)
    for row in table.to_pylist():
        split, label, content = held[row["image"]["path"]]
        assert (split, label) == ("train", None if row["label"] is None else names[row["label"]])
        assert content_id(row["image"]["bytes"]) == content


def test_a_large_split_is_sharded_and_its_row_groups_are_bounded(
    lake: Lake, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secondlook.jobs.export import pictures as export_pictures

    monkeypatch.setattr(export_pictures, "ROW_GROUP_BYTES", 3000)
    monkeypatch.setattr(export_pictures, "SHARD_BYTES", 9000)
    fill([(f"{n}.png", "cat", os.urandom(1000)) for n in range(40)])
    export.run(lake, str(tmp_path / "out"), format="hf-parquet")
    files = sorted((tmp_path / "out" / "data").iterdir())
    assert len(files) > 2
    assert [file.name for file in files] == [f"data-{n:05d}-of-{len(files):05d}.parquet" for n in range(len(files))]
    assert sum(pq.read_metadata(file).num_rows for file in files) == 40
    assert all(pq.ParquetFile(file).metadata.row_group(0).num_rows == 3 for file in files)


def test_files_that_would_share_a_name_are_kept_apart(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("a/x.png", "cat", b"1"), ("b/X.PNG", "cat", b"2"), ("c/x.png", "Cat", b"3"), ("x", "cat", b"\x89PNG")])
    export.run(lake, str(tmp_path / "out"), format="folders")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "labels.csv"]
    assert len({str(path).casefold() for path in files}) == 4
    assert {path.read_bytes() for path in files} == {b"1", b"2", b"3", b"\x89PNG"}


def test_no_name_leaves_the_folder(lake: Lake, photos: list[Any], tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    export.run(lake, str(target), format="folders")
    outside = {path for path in tmp_path.rglob("*.png") if target not in path.parents}
    assert outside == set()


# References, rules that leave samples out, refusals


def test_pictures_that_stayed_where_they_are_are_read_there(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    (source / "a.png").write_bytes(b"1")
    fill([("a.png", "cat", b"1")], reference=f"file://{source}/")
    export.run(lake, str(tmp_path / "out"), format="folders")
    assert (tmp_path / "out" / "cat" / "a.png").read_bytes() == b"1"
    (source / "a.png").write_bytes(b"changed")
    with pytest.raises(UnavailableError, match="has changed since it was ingested"):
        export.run(lake, str(tmp_path / "two"), format="hf-parquet")
    (source / "a.png").unlink()
    with pytest.raises(UnavailableError, match="can't be read now"):
        export.run(lake, str(tmp_path / "two"), format="folders")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "out", "photos"]


def test_of_copies_one_stays_and_of_a_leak_the_test_picture(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    keys = ["a.png", "b.png", "c.png", "dark.png", "leak.png", "z.png"]
    ids = fill([(key, "cat", key.encode(), {"split": "test" if key == "z.png" else "train"}) for key in keys])
    copies = [
        {"rule": "SL201", "subject": ids[k], "evidence": {"others": [o for o in keys[:3] if o != k]}} for k in keys[:3]
    ]
    leaks = [
        {"rule": "SL203", "subject": ids[k], "evidence": {"other": o, "others": [o]}}
        for k, o in (("leak.png", "z.png"), ("z.png", "leak.png"))
    ]
    with pytest.raises(UserError, match="this version has no findings"):
        export.run(lake, str(tmp_path / "x"), drop=["SL201"])
    attempt = lake.attempt("lint", {})
    common = {"subject_kind": "sample", "key": "", "split": "", "message": "", "score": 1.0}
    found = [*copies, *leaks, {"rule": "SL302", "subject": ids["dark.png"], "evidence": {}}]
    attempt.append("findings", rows("findings", [common | f | {"evidence": json.dumps(f["evidence"])} for f in found]))
    attempt.commit({})
    summary = export.run(lake, str(tmp_path / "all.csv"), format="csv", drop=["SL201", "SL203", "SL302"])
    kept = [row["key"] for row in csv.DictReader((tmp_path / "all.csv").read_text().splitlines())]
    assert kept == ["a.png", "z.png"]
    assert summary["dropped"] == {"SL201": 2, "SL203": 1, "SL302": 1}


def test_of_many_copies_one_stays_though_a_finding_names_only_ten() -> None:
    from secondlook.jobs.export.export import leave_out

    keys = [f"{n:02}.png" for n in range(30)]
    splits = ["test" if n == 25 else "train" for n in range(30)]
    samples = pa.table({"sample_id": keys, "key": keys, "split": splits, "content_id": ["same"] * 30})
    findings = [
        {"rule": "SL201", "subject": key, "evidence": json.dumps({"others": [k for k in keys if k != key][:10]})}
        for key in keys
    ]
    assert set(keys) - set(leave_out(findings, samples)) == {"25.png"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"to": "full", "format": "folders"}, "full is not empty; choose a new folder"),
        ({"to": "file.csv"}, "file.csv is there already; choose a new name"),
        ({"to": "s3://bucket/x", "format": "folders"}, "is a URL; give a path"),
        ({"to": "new", "format": "folder"}, "unknown format 'folder', did you mean 'folders'"),
        ({"to": "-", "format": "folders"}, "can't go to standard output"),
        ({"to": "new", "format": "hf-parquet", "spreadsheet": True}, "only CSV is for a spreadsheet"),
        ({"to": "new", "drop": ["SL999"]}, "unknown rule 'SL999'"),
        ({"to": "new", "as_of": 9}, "there is no version 9"),
    ],
)
def test_a_mistake_writes_nothing(
    lake: Lake, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], sentence: str
) -> None:
    fill([("a.png", "cat", b"1")])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    (tmp_path / "file.csv").write_text("mine")
    with pytest.raises(UserError, match=sentence):
        export.run(lake, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.csv", "full", "lake"]


def test_a_content_that_is_missing_is_named(lake: Lake, tmp_path: Path) -> None:
    attempt = lake.attempt("ingest", {})
    attempt.append("samples", rows("samples", [{"sample_id": "s", "key": "a.png", "content_id": "gone"}]))
    attempt.commit({})
    with pytest.raises(SecondlookError, match=r"content gone of a\.png is not in the lake"):
        export.run(lake, str(tmp_path / "out"), format="folders")
    assert not (tmp_path / "out").exists()


def test_an_older_version_is_exported_as_it_was(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("a.png", "cat", b"1"), ("b.png", "dog", b"2")])
    decide(lake, tmp_path, "ann,a.png,dog,1")
    for version, label in ((1, "cat"), (3, "dog")):
        export.run(lake, str(tmp_path / f"{version}.csv"), format="csv", as_of=version)
        assert f"a.png,{label}," in (tmp_path / f"{version}.csv").read_text()
    assert export.run(lake, str(tmp_path / "patch.csv"), as_of=1)["rows"] == 0


def test_a_label_that_was_taken_away_is_an_empty_one_in_the_patch(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    ids = fill([("a.png", "cat", b"1")])
    attempt = lake.attempt("revert", {})
    attempt.append("labels", rows("labels", [{"sample_id": ids["a.png"], "label": None, "source": "revert"}]))
    attempt.commit({})
    export.run(lake, str(tmp_path / "patch.csv"))
    assert (tmp_path / "patch.csv").read_text().splitlines()[1] == "a.png,cat,,revert,,"


# A kill, memory, and the command


def test_pictures_pass_a_row_group_at_a_time(lake: Lake, tmp_path: Path) -> None:
    data = [os.urandom(2**20) for _ in range(48)]
    attempt = lake.attempt("ingest", {})
    keys = [content_id(one) for one in data]
    samples = [{"sample_id": key, "key": f"{key}.png", "content_id": key} for key in keys]
    attempt.append("samples", rows("samples", samples))
    images = rows(
        "images", [{"content_id": k, "image": {"bytes": d, "path": k}} for k, d in zip(keys, data, strict=True)]
    )
    file = f"{attempt.folder('images')}/0.parquet"
    numbered = images.append_column("seq", pa.array([attempt.seq] * len(data), pa.int64()))
    schema = TABLES["images"].schema
    pq.write_table(numbered.select(schema.names).cast(schema), file.removeprefix("file://"), row_group_size=2)
    attempt.add_files("images", [file])
    version = attempt.commit({})
    del images, numbered
    wanted = list(export.of_table(dataset.samples(lake, version)))
    before, most, count = pa.total_allocated_bytes(), 0, 0
    for bytes_, its in export.pictures(lake, version, wanted, lambda n: None):
        most = max(most, pa.total_allocated_bytes() - before)
        count += len(its)
        assert content_id(bytes_) == its[0].content_id
    assert count == 48
    assert most < 12 * 2**20, f"{most / 2**20:.0f} MB of a 48 MB table were held at once"


def test_a_kill_leaves_nothing_under_the_final_name(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([(f"{n}.png", "cat", b"%d" % n + os.urandom(2000)) for n in range(3000)])
    target = tmp_path / "out"
    code = f"from secondlook.jobs.cli import run; run(['export', {str(target)!r}, '--format', 'folders', '--lake', {lake.root!r}])"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not any(tmp_path.glob(".out.partial-*/cat/*")):
            assert time.monotonic() < deadline
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    assert not target.exists()
    assert export.run(lake, str(target), format="folders")["files"] == 3000


def test_the_command_says_what_it_wrote(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill([("a.png", "cat", b"1"), ("b.png", None, b"2")])
    decide(lake, tmp_path, "ann,a.png,cat,1", "ann,b.png,cat,1")
    at = ["--lake", lake.root]

    def call(*words: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        status = command(["export", *words, *at])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    status, lines, _ = call(str(tmp_path / "out"), "--format", "folders", "--json")
    assert (status, json.loads(lines[-1])["samples"], len(lines)) == (0, 2, 1)
    assert call(str(tmp_path / "out"), "--format", "folders")[0] == 2
    status, lines, _ = call("-")
    assert (status, lines[0]) == (0, "key,old_label,label,source,batch,evidence")
    assert lines[1].startswith("b.png,,cat,review,round,")
    status, [line], _ = call(str(tmp_path / "hf"), "--format", "hf-parquet")
    assert (status, line) == (0, f"2 pictures of version 3 to {tmp_path / 'hf'}")
    assert call("--format", "csv")[0] == 2
