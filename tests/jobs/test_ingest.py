"""Ingest as its users know it: real Spark, real pictures, and books that balance."""

import dataclasses
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from secondlook.jobs import cli
from secondlook.jobs.ingest import ingest
from secondlook.jobs.ingest import slices as ingest_spark
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.pictures import images_by_content
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.sources import Columns, Source
from secondlook.jobs.sources import listing as listed
from secondlook.pipeline.core.config import Settings, from_mapping
from secondlook.pipeline.core.decode import REASONS
from secondlook.pipeline.core.errors import UnavailableError, UserError
from secondlook.pipeline.core.identity import content_id, sample_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)
Run = Callable[..., dict[str, Any]]
Made = Callable[..., str]
Picture = Callable[..., bytes]
HOSTILE = ["<img src=x onerror=alert(1)>", "two\nlines", "'; DROP TABLE samples; --", "[bold]x[/]", "long " * 200 + "x"]


@pytest.fixture
def run(lake: Lake, spark: Any) -> Run:
    """Ingest into the test's lake; the books are checked each time."""

    def call(source: str, settings: Settings | None = None, *, retry: bool = False, now: datetime = NOW, **more: Any) -> dict[str, Any]:  # fmt: skip
        chosen = settings or Settings()
        summary = ingest.run(lake, chosen, spark, Source(source, **more), retry_rejects=retry, now=now)
        assert summary["found"] == summary["samples"] + summary["rejects"] + summary["known"]
        assert summary["rejects"] == sum(summary["rejects_by_reason"].values())
        return summary

    return call


@pytest.fixture
def pictures(picture: Picture) -> dict[str, tuple[bytes, str]]:
    """Seven pictures of two classes, one of them twice."""
    keys = ["cat/0.png", "cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png", "dog/5.png", "dog/again.png"]
    return {key: (picture(min(i, 5)), key.split("/")[0]) for i, key in enumerate(keys)}


def table(folder: Path, pairs: dict[str, str], name: str = "labels.csv") -> str:
    (folder / name).write_text("file,label\n" + "".join(f"{key},{label}\n" for key, label in pairs.items()))
    return str(folder / name)


def labels_of(lake: Lake) -> dict[str, str | None]:
    samples = dataset.samples(lake, lake.at())
    return dict(zip(samples["key"].to_pylist(), samples["label"].to_pylist(), strict=True))


def without_time(rows: pa.Table) -> list[dict[str, Any]]:
    drop = {"time", "source", "modified_us"}
    return [{name: value for name, value in row.items() if name not in drop} for row in rows.to_pylist()]


def everything(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    """All rows that hold, time aside."""
    version = lake.at()
    return {name: without_time(lake.latest(name, version)) for name in version.tables}


def test_class_folders_become_samples_contents_fingerprints_and_labels(
    lake: Lake, run: Run, made: Made, pictures: dict[str, tuple[bytes, str]]
) -> None:
    summary = run(made("folder", pictures))
    assert (summary["samples"], summary["contents"], summary["labels"], summary["classes"]) == (7, 6, 7, 2)
    version = lake.at()
    samples = {row["key"]: row for row in dataset.samples(lake, version).to_pylist()}
    for key, (data, label) in pictures.items():
        assert samples[key]["sample_id"] == sample_id("default", key)
        assert samples[key]["content_id"] == content_id(data)
        assert (samples[key]["label"], samples[key]["split"], samples[key]["attributes"]) == (label, "", [])
    contents = {content_id(data): data for data, _ in pictures.values()}
    assert images_by_content(lake, version, contents) == contents
    prints = lake.read("fingerprints", version).to_pylist()
    assert sorted(row["content_id"] for row in prints) == sorted(contents)
    assert {(row["format"], row["width"], row["height"]) for row in prints} == {("PNG", 48, 48)}
    assert dataset.class_names(lake, version) == ["cat", "dog"]
    events = lake.read("labels", version).to_pylist()
    assert {(event["source"], event["actor"], event["time"]) for event in events} == {("ingest", "ingest", NOW)}


@pytest.mark.parametrize("kind", ["zip", "webdataset", "parquet"])
def test_every_kind_of_source_becomes_the_same_rows(
    lake: Lake, run: Run, made: Made, pictures: dict[str, tuple[bytes, str]], kind: str, tmp_path: Path, spark: Any
) -> None:
    run(made("folder", pictures))
    other = Lake(str(tmp_path / "other"), create=True)
    ingest.run(other, Settings(), spark, Source(made(kind, pictures)), now=NOW)
    assert labels_of(other) == labels_of(lake)
    for name in ("fingerprints", "images"):
        assert other.latest(name, other.at()).to_pylist() == lake.latest(name, lake.at()).to_pylist()
    ids = [at.latest("samples", at.at(), ["sample_id", "content_id"]) for at in (lake, other)]
    assert ids[0].equals(ids[1])


def test_the_same_input_twice_gives_the_same_rows_and_again_no_version(
    lake: Lake, run: Run, made: Made, pictures: dict[str, tuple[bytes, str]], tmp_path: Path, spark: Any
) -> None:
    source = made("folder", pictures)
    run(source)
    other = Lake(str(tmp_path / "other"), create=True)
    small = from_mapping({"ingest": {"file_mb": 1, "row_group_mb": 1}})
    ingest.run(other, small, spark, Source(source), now=LATER)
    assert everything(other) == everything(lake)
    again = run(source)
    assert (again["known"], again["samples"], again["version"]) == (7, 0, 1)
    assert lake.at().id == 1


def test_only_new_and_changed_files_are_read_again(
    lake: Lake, run: Run, made: Made, picture: Picture, pictures: dict[str, tuple[bytes, str]]
) -> None:
    same_size = {"cat/0.png": (picture(0) + b"A", "cat")}  # what follows a PNG's end changes no pixel
    source = Path(made("folder", pictures | same_size))
    run(str(source))
    (source / "cat" / "new.png").write_bytes(picture(100))
    (source / "dog" / "3.png").write_bytes(picture(101))
    (source / "cat" / "0.png").write_bytes(picture(0) + b"B")
    os.utime(source / "cat" / "0.png", (1, 1))
    summary = run(str(source))
    assert (summary["known"], summary["samples"], summary["contents"], summary["replaced"]) == (5, 3, 3, 2)
    assert lake.at().run["pictures_read"] == 3
    samples = {row["key"]: row["content_id"] for row in dataset.samples(lake, lake.at()).to_pylist()}
    assert samples["dog/3.png"] == content_id(picture(101))
    assert len(samples) == 8
    assert summary["labels"] == 1


def test_a_new_table_of_labels_gives_events_and_no_images(
    lake: Lake, run: Run, made: Made, pictures: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    source = made("folder", pictures)
    first = run(source, labels=table(tmp_path, {"cat/0.png": "cat", "cat/1.png": "cat", "nowhere.png": "dog"}))
    assert (first["labels"], first["rows_without_file"], first["files_without_row"]) == (2, 1, 5)
    assert Counter(labels_of(lake).values()) == {None: 5, "cat": 2}
    second = run(source, labels=table(tmp_path, {"cat/0.png": "lynx", "cat/1.png": "cat"}, "v2.csv"), now=LATER)
    assert (second["known"], second["contents"], second["labels"], second["classes"]) == (7, 0, 1, 1)
    assert labels_of(lake)["cat/0.png"] == "lynx"
    event = lake.latest("labels", lake.at()).filter(pa.compute.field("label") == "lynx").to_pylist()[0]
    assert (event["actor"], event["time"]) == ("v2.csv", LATER)
    assert lake.at().tables["images"] == lake.at(1).tables["images"]


def test_a_review_stands_until_the_sources_own_label_changes(
    lake: Lake, run: Run, made: Made, pictures: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    source, old = made("folder", pictures), table(tmp_path, {"cat/0.png": "cat", "cat/1.png": "cat"})
    run(source, labels=old)
    attempt = lake.attempt("commit", {})
    event = {"sample_id": sample_id("default", "cat/0.png"), "label": "dog", "source": "review", "actor": "ann"}
    attempt.append("labels", rows("labels", [event | {"time": NOW}]))
    attempt.commit({})
    kept = run(source, labels=old)
    assert (kept["labels"], kept["labels_kept"], kept["reviews_overruled"]) == (0, 1, 0)
    assert labels_of(lake)["cat/0.png"] == "dog"
    changed = run(source, labels=table(tmp_path, {"cat/0.png": "lynx"}, "new.csv"))
    assert (changed["labels"], changed["labels_kept"], changed["reviews_overruled"]) == (1, 0, 1)
    assert labels_of(lake)["cat/0.png"] == "lynx"


def test_attributes_and_splits_that_come_later_are_taken_and_later_silence_keeps_them(
    lake: Lake, run: Run, made: Made, pictures: dict[str, tuple[bytes, str]], tmp_path: Path
) -> None:
    source = made("folder", pictures)
    run(source)
    (tmp_path / "more.csv").write_text("file,split,site\ncat/0.png,val,north\n")
    told = run(source, labels=str(tmp_path / "more.csv"), columns=Columns(label="-"))
    assert (told["updated"], told["known"], told["labels"]) == (1, 7, 0)
    silent = run(source)
    assert silent["updated"] == 0
    row = dataset.samples(lake, lake.at()).to_pylist()[0]
    assert (row["key"], row["split"], row["attributes"]) == ("cat/0.png", "val", [("site", "north")])


def test_what_cannot_be_read_is_rejected_with_a_reason_known_later_and_forgiven_when_repaired(
    lake: Lake, run: Run, made: Made, picture: Picture
) -> None:
    good = picture(1)
    source = Path(made("folder", {"a/good.png": (good, None), "a/empty.png": (b"", None), "a/b.jpg": (b"text", None)}))
    first = run(str(source))
    assert first["rejects_by_reason"] == {"empty": 1, "not an image": 1}
    assert labels_of(lake) == {"a/good.png": "a"}
    again = run(str(source))
    assert (again["known"], again["version"]) == (3, 1)
    retried = run(str(source), retry=True)
    assert (retried["known"], retried["rejects"], retried["version"]) == (1, 2, 1)
    (source / "a" / "empty.png").write_bytes(picture(2))
    (source / "a" / "good.png").write_bytes(b"")
    os.utime(source / "a" / "good.png", (1, 1))
    repaired = run(str(source))
    assert (repaired["samples"], repaired["rejects"], repaired["known"]) == (1, 1, 1)
    assert labels_of(lake) == {"a/empty.png": "a"}
    assert {row["key"]: row["reason"] for row in dataset.rejects(lake, lake.at()).to_pylist()} == {
        "a/b.jpg": "not an image",
        "a/good.png": "empty",
    }


def test_a_changed_setting_lets_rejected_files_in_when_asked(run: Run, made: Made, picture: Picture) -> None:
    source = made("folder", {"a.png": (picture(1, 60, 60), None)})
    strict = from_mapping({"ingest": {"max_pixels": 1000}})
    assert run(source, strict)["rejects_by_reason"] == {"decompression bomb": 1}
    assert run(source)["known"] == 1
    assert run(source, retry=True)["samples"] == 1


def test_bytes_that_are_there_already_are_written_once_whatever_worker_meets_them(
    lake: Lake, run: Run, made: Made, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_spark, "MIN_SLICE", 4)
    monkeypatch.setattr(ingest_spark, "SLICES_A_CORE", 1000)
    seeds = [i % 10 for i in range(40)] + list(range(50, 60))
    run(made("folder", {f"{i:02d}.png": (picture(seed), None) for i, seed in enumerate(seeds)}, name="one"))
    version = lake.at()
    ids = lake.read("images", version, ["content_id"])["content_id"].to_pylist()
    assert sorted(ids) == sorted({content_id(picture(seed)) for seed in seeds})
    assert sorted(lake.read("fingerprints", version, ["content_id"])["content_id"].to_pylist()) == sorted(ids)
    paths = {content_id(picture(seed)): f"{seeds.index(seed):02d}.png" for seed in seeds}
    assert {row["content_id"]: row["image"]["path"] for row in lake.read("images", version).to_pylist()} == paths
    more = {f"more/{i}.png": (picture(seed), None) for i, seed in enumerate([3, 55, 70, 70])}
    summary = run(made("folder", more, name="two"))
    assert (summary["samples"], summary["contents"]) == (4, 1)
    assert lake.read("images", lake.at(), ["content_id"]).num_rows == 21
    assert lake.read("samples", lake.at(), ["sample_id"]).num_rows == 54


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_files_of_images_are_bounded_sorted_and_read_in_small_groups(
    lake: Lake, run: Run, made: Made, picture: Picture, kind: str
) -> None:
    small = from_mapping({"ingest": {"file_mb": 1, "row_group_mb": 1}})
    big = {f"{i}.png": (picture(i, 400, 400), None) for i in range(8)}  # 8 pictures of about 0.4 MB
    run(made(kind, big), small)
    files = [pq.ParquetFile(lake.strip(url)) for url in lake.files("images", lake.at())]
    assert len(files) > 2
    for file in files:
        ids = file.read(["content_id"])["content_id"].to_pylist()
        assert ids == sorted(ids)
        sizes = [file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)]
        assert all(size < 2**20 or file.metadata.row_group(i).num_rows == 1 for i, size in enumerate(sizes))
        assert sum(sizes) < 1.5 * 2**20


@pytest.mark.parametrize("kind", ["folder", "zip", "webdataset", "parquet"])
def test_by_reference_the_bytes_stay_where_they_are_if_they_can(
    lake: Lake, run: Run, made: Made, pictures: dict[str, tuple[bytes, str]], kind: str
) -> None:
    run(made(kind, pictures), from_mapping({"ingest": {"store": "reference"}}))
    version = lake.at()
    images = [row["image"] for row in lake.read("images", version).to_pylist()]
    assert all((image["bytes"] is None) == (kind != "parquet") for image in images)
    assert lake.read("fingerprints", version)["size_bytes"].to_pylist()[0] > 100
    contents = {content_id(data): data for data, _ in pictures.values()}
    assert images_by_content(lake, version, contents) == contents


def test_hostile_names_of_classes_and_files_are_data(lake: Lake, run: Run, picture: Picture, tmp_path: Path) -> None:
    frame = pa.table({"file": [f"{i}.png" for i in range(len(HOSTILE))], "label": HOSTILE, "note": HOSTILE})
    pq.write_table(frame, tmp_path / "labels.parquet")
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(len(HOSTILE)):
        (folder / f"{i}.png").write_bytes(picture(i))
    (folder / os.fsdecode(b"\xff\n<b>.png")).write_bytes(picture(9))
    summary = run(str(folder), labels=str(tmp_path / "labels.parquet"))
    assert (summary["samples"], summary["files_without_row"]) == (len(HOSTILE) + 1, 1)
    assert set(dataset.class_names(lake, lake.at())) == set(HOSTILE)
    notes = [dict(row["attributes"]).get("note") for row in dataset.samples(lake, lake.at()).to_pylist()]
    assert notes == [*HOSTILE, None]


def test_two_datasets_in_one_lake_keep_apart(
    lake: Lake, run: Run, made: Made, pictures: dict[str, tuple[bytes, str]]
) -> None:
    source = made("folder", pictures)
    run(source)
    second = run(source, dataclasses.replace(Settings(), lake=from_mapping({"lake": {"dataset": "other"}}).lake))
    assert (second["samples"], second["known"], second["contents"]) == (7, 0, 0)
    assert dataset.samples(lake, lake.at()).num_rows == 14


def test_every_messy_file_is_ingested_or_rejected_with_a_reason(
    lake: Lake, run: Run, shared_data: Callable[[str], Path]
) -> None:
    folder = shared_data("messy")
    summary = run(str(folder))
    files = [path for path in folder.rglob("*") if path.is_file()]
    excluded = [path for path in files if path.suffix.lower() == ".txt"]
    assert summary["found"] == len(files) - len(excluded) > 600
    reasons = Counter(dataset.rejects(lake, lake.at())["reason"].to_pylist())
    assert dict(sorted(reasons.items())) == summary["rejects_by_reason"]
    assert set(reasons) <= set(REASONS)
    assert reasons["decompression bomb"] > 0
    assert summary["samples"] > 300
    assert run(str(folder))["known"] == summary["found"]


def test_a_remote_source_that_is_away_is_not_a_folder_of_rejects(
    lake: Lake, spark: Any, made: Made, pictures: dict[str, tuple[bytes, str]]
) -> None:
    listing = listed(Source(made("folder", pictures)))
    where = pa.array([f"webhdfs://127.0.0.1:9/{i}".encode() for i in range(len(pictures))])
    away = dataclasses.replace(listing, url="webhdfs://127.0.0.1:9", rows=listing.rows.set_column(1, "where", where))
    with pytest.raises(UnavailableError, match="not one of 7 pictures of webhdfs"):
        ingest.run_listing(lake, Settings(), spark, away, now=NOW)
    assert lake.head() is None


def test_a_password_is_not_kept_in_references(run: Run) -> None:
    with pytest.raises(UserError, match="would be kept in the lake"):
        run("webhdfs://me:secret@127.0.0.1:9/x", from_mapping({"ingest": {"store": "reference"}}))


# The command


def test_the_command_ends_with_one_line_of_json_and_writes_what_did_not_match(
    spark: Any, made: Made, pictures: dict[str, tuple[bytes, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, labels = made("folder", pictures), table(tmp_path, {"cat/0.png": "cat", "gone.png": "dog"})
    words = ["ingest", source, "--labels", labels, "--lake", str(tmp_path / "lake"), "--json"]
    assert cli.run([*words, "--unmatched", str(tmp_path / "unmatched.csv")]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["found"] == 7
    assert shown.out.count("\n") == 1
    assert "1 rows of labels.csv have no file: gone.png" in shown.err
    lines = (tmp_path / "unmatched.csv").read_text().splitlines()
    assert lines[:2] == ["what,file", "row without file,gone.png"]
    assert len(lines) == 1 + 1 + 6
    assert cli.run(["ingest", source, "--lake", str(tmp_path / "lake")]) == 0
    assert "found 7 = 0 samples + 0 rejects + 7 known" in capsys.readouterr().out


def test_reasons_are_shown_to_people_in_a_table(
    spark: Any, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = made("folder", {"a.jpg": (b"no", None), "b.jpg": (b"no", None), "c.jpg": (b"", None)})
    assert cli.run(["ingest", source, "--lake", str(tmp_path / "lake")]) == 0
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert ["2", "not"] in lines
    assert ["1", "empty"] in lines


def test_what_a_reason_means_is_shown_as_it_stands(
    spark: Any, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secondlook.toml").write_text("[ingest]\nmax_file_mb = 1\n")
    source = made("folder", {"a.jpg": (b"x" * (2**20 + 1), None)})
    words = ["ingest", source, "--lake", str(tmp_path / "lake"), "--settings", str(tmp_path / "secondlook.toml")]
    assert cli.run(words) == 0
    assert "[ingest]" in capsys.readouterr().out  # and no markup of rich's


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["{source}z"], "there is no file or folder"),
        (["{source}", "--labels", "{source}/none.csv"], "there is no file or folder"),
        (["{source}", "--label-column", "x"], "need --labels"),
        (["{source}", "--store", "link"], "unknown [ingest] store 'link'"),
        (["{source}", "--kind", "zipp"], "unknown kind of source 'zipp'"),
        (["{source}", "--labells", "x"], "No such option"),
        (["{source}", "--limit", "0"], "--limit"),
        ([], "Missing argument 'SOURCE'"),
    ],
)
def test_a_mistake_is_one_sentence_exit_2_and_no_lake(
    made: Made,
    pictures: dict[str, tuple[bytes, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    source = made("folder", pictures)
    chosen = [word.format(source=source) for word in words]
    assert cli.run(["ingest", *chosen, "--lake", str(tmp_path / "lake")]) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert not (tmp_path / "lake").exists()


# Memory

PHOTOGRAPHS = """
import sys
from secondlook.jobs.ingest import ingest
from secondlook.jobs.sources import Source
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.config import Settings
lake = Lake(sys.argv[2], create=True)
summary = ingest.run(lake, Settings(), None, Source(sys.argv[1]))
assert summary["samples"] == summary["contents"] == int(sys.argv[3]), summary
print(lake.at().run["worker_peak_mb"])
"""


@pytest.mark.parametrize("n", [pytest.param(24, id="24"), pytest.param(300, id="300", marks=pytest.mark.soak)])
def test_photographs_of_4_mb_need_a_jvm_of_1_gb_and_workers_below_400_mb(
    tmp_path: Path, picture: Picture, record: Callable[..., None], n: int
) -> None:
    photograph = picture(1, 4000, 3000, "JPEG", quality=90)
    assert 3.5e6 < len(photograph) < 4.6e6
    (tmp_path / "in").mkdir()
    for i in range(n):  # a comment after the first marker makes each a content of its own
        comment = b"\xff\xfe\x00\x06" + i.to_bytes(4, "big")
        (tmp_path / "in" / f"{i}.jpg").write_bytes(photograph[:2] + comment + photograph[2:])
    words = [sys.executable, "-c", PHOTOGRAPHS, str(tmp_path / "in"), str(tmp_path / "lake"), str(n)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert 50 < int(done.stdout) < 400
    record("photographs", n=n, bytes_each=len(photograph), jvm_heap_mb=1024, worker_peak_mb=int(done.stdout))
