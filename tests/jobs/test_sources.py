"""Listing sources: what is found, what it is called, and that its bytes can be fetched from there."""

import dataclasses
import io
import json
import os
import tarfile
import threading
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.jobs.lake.pictures import read_reference
from secondlook.jobs.sources import Columns, Listing, Source, listing
from secondlook.jobs.sources.listing import clean_label, is_found, place
from secondlook.jobs.sources.read import Row, contents
from secondlook.jobs.sources.references import _archive, reference
from secondlook.pipeline.core.decode import Rejected
from secondlook.pipeline.core.errors import UnavailableError, UserError

MB = 2**20
Made = Callable[..., str]
PICTURES = {f"{label}/{i}.png": (bytes([i]) * (100 + i), label) for i, label in enumerate(["cat", "dog", "owl"] * 4)}


def rows_of(found: Listing) -> list[dict[str, Any]]:
    return list(found.rows.to_pylist())


def fetched(found: Listing, max_bytes: int = MB) -> dict[str, bytes | Rejected]:
    rows = found.rows.sort_by([("where", "ascending"), ("offset", "ascending")]).to_pylist()
    places = [Row(**{name: row[name] for name in Row.__match_args__}) for row in rows]
    return dict(zip((row["key"] for row in rows), contents(places, max_bytes), strict=True))


def labels_of(found: Listing) -> dict[str, str | None]:
    return {row["key"]: row["label"] for row in rows_of(found)}


def table(folder: Path, text: str, name: str = "labels.csv") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("kind", ["folder", "zip", "webdataset", "parquet"])
def test_each_kind_of_source_gives_the_same_pictures_and_labels(made: Made, kind: str) -> None:
    pictures = PICTURES | {"unlabeled.png": (b"u", None)}
    found = listing(Source(made(kind, pictures)))
    assert found.kind == kind
    assert labels_of(found) == {key: label for key, (_, label) in pictures.items()}
    assert fetched(found) == {key: data for key, (data, _) in pictures.items()}
    assert found.rows["key"].to_pylist() == sorted(pictures)


@pytest.mark.parametrize("kind", ["zip", "webdataset", "parquet"])
def test_a_folder_of_archives_is_read_as_one_source_with_splits_by_their_names(made: Made, kind: str) -> None:
    made(kind, PICTURES, name="train-000")
    source = Path(made(kind, {"cat/0.png": (b"other", "cat")}, name="val-000")).parent
    found = listing(Source(str(source)))
    assert found.kind == kind
    by_split = {split: found.rows["split"].to_pylist().count(split) for split in ("train", "val")}
    assert by_split == {"train": len(PICTURES), "val": 1}
    data = fetched(found)
    assert b"other" in data.values()
    assert len(data) == len(PICTURES) + 1


def test_the_first_folder_below_the_source_or_below_a_split_is_the_class(made: Made) -> None:
    keys = ["train/cat/1.png", "valid/cat/deep/2.png", "dev/dog/3.png", "Test/4.png", "bird/5.png", "6.png"]
    found = rows_of(listing(Source(made("folder", dict.fromkeys(keys, (b"x", None))))))
    assert {row["key"]: (row["split"], row["label"]) for row in found} == {
        "train/cat/1.png": ("train", "cat"),
        "valid/cat/deep/2.png": ("val", "cat"),
        "dev/dog/3.png": ("val", "dog"),
        "Test/4.png": ("test", None),
        "bird/5.png": (None, "bird"),
        "6.png": (None, None),
    }


def test_one_class_for_all_by_the_name_of_their_folder_is_pointed_out(made: Made) -> None:
    one = {"images/1.png": (b"x", None), "images/2.png": (b"y", None)}
    assert "all pictures bear one class, 'images'" in listing(Source(made("folder", one))).notes[0]
    assert not listing(Source(made("folder", one | {"3.png": (b"z", None)}))).notes


def test_unlabeled_takes_folders_for_no_classes_but_keeps_splits(made: Made) -> None:
    source = made("folder", {"train/cat/1.png": (b"x", None), "b/2.png": (b"y", None)})
    found = rows_of(listing(Source(source, classes=False)))
    assert [(row["label"], row["split"]) for row in found] == [(None, None), (None, "train")]


def test_found_is_every_regular_file_but_documents_hidden_files_and_what_is_no_file(tmp_path: Path) -> None:
    for name in [
        "a.jpg",
        "b.unknown",
        "noending",
        "c.JPEG",
        "x.csv",
        "y.TXT",
        "z.parquet",
        ".hidden.jpg",
        ".git/d.jpg",
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to("itself")
    found = listing(Source(str(tmp_path)))
    assert found.rows["key"].to_pylist() == ["a.jpg", "b.unknown", "c.JPEG", "linked.jpg", "noending"]


def test_the_lake_inside_of_the_source_is_none_of_it(tmp_path: Path) -> None:
    for name in ["cat/a.jpg", "lake/data/b.avro_"]:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    assert listing(Source(str(tmp_path)), skip=str(tmp_path / "lake")).rows["key"].to_pylist() == ["cat/a.jpg"]


def test_names_that_are_no_text_or_hold_newlines_have_a_key_and_can_be_read(tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", b"two\nlines.jpg", "日本.jpg".encode(), b"<img src=x onerror=alert(1)>.jpg"]
    folder = os.fsencode(tmp_path) + b"/<b>\xff\n"
    os.mkdir(folder)
    for name in names:
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(name)
    found = listing(Source(str(tmp_path)))
    assert set(fetched(found).values()) == set(names)
    assert "<b>\\xff\n/caf\\xe9.jpg" in found.rows["key"].to_pylist()
    assert set(labels_of(found).values()) == {"<b>\\xff"}


def test_class_names_are_normal_text_without_space_around() -> None:
    decomposed = unicodedata.normalize("NFD", " café\n")
    assert clean_label(decomposed) == "café"
    assert clean_label(" \t\n") is None
    assert clean_label(None) is None
    assert clean_label("<img src=x onerror=alert(1)>") == "<img src=x onerror=alert(1)>"
    assert clean_label("long " * 10_000) == ("long " * 10_000).strip()


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_cleaning_a_label_twice_changes_nothing(label: str) -> None:
    once = clean_label(label)
    assert clean_label(once) == once
    assert once is None or once == unicodedata.normalize("NFC", once).strip() != ""


@given(st.lists(st.sampled_from(["train", "val", "cat", "dog"]), max_size=4))
def test_place_never_calls_the_first_split_folder_a_class(folders: list[str]) -> None:
    split, label = place(folders)
    first_is_split = bool(folders) and folders[0] in ("train", "val")
    assert (split is not None) == first_is_split
    assert label == next(iter(folders[1:] if first_is_split else folders), None)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("file,label,split,age\ncat/0.png,x,train,7\n", Columns()),
        ("\ufefffile;label;split;age\ncat/0.png;x;train;7\n", Columns()),
        ("age,what,where,part\n7, x ,cat/0.png,train\n", Columns("where", "what", "part")),
        ("filename,class,split,age\n./cat\\0.png,x,train,7\n", Columns()),
    ],
)
def test_a_csv_gives_label_split_and_attributes(made: Made, tmp_path: Path, text: str, columns: Columns) -> None:
    source = Source(made("folder", PICTURES), labels=table(tmp_path, text), columns=columns)
    row = next(row for row in rows_of(listing(source)) if row["key"] == "cat/0.png")
    assert (row["label"], row["split"], row["attributes"]) == ("x", "train", [("age", "7")])


def test_rows_without_file_and_files_without_row_are_listed_and_the_latter_stay_unlabeled(
    made: Made, tmp_path: Path
) -> None:
    labels = table(tmp_path, "file,label\ncat/0.png,cat\nnot/there.png,dog\ndog/1.png,\n")
    found = listing(Source(made("folder", PICTURES), labels=labels))
    assert found.unmatched_rows == ("not/there.png",)
    assert set(found.unmatched_keys) == set(PICTURES) - {"cat/0.png", "dog/1.png"}
    assert {key: label for key, label in labels_of(found).items() if label} == {"cat/0.png": "cat"}


@pytest.mark.parametrize("name", ["0.png", "cat/0", "0", "elsewhere/0.png"])
def test_a_table_may_name_files_without_folder_or_suffix(made: Made, tmp_path: Path, name: str) -> None:
    labels = table(tmp_path, f"file,label\n{name},x\n")
    found = listing(Source(made("folder", PICTURES), labels=labels))
    assert labels_of(found)["cat/0.png"] == "x"
    assert found.notes


def test_a_parquet_table_of_labels_and_its_numbers(made: Made, tmp_path: Path) -> None:
    frame = pa.table(
        {"file": ["cat/0.png"], "label": [3], "weight": [1.5], "site": pa.array(["n"]).dictionary_encode()}
    )
    pq.write_table(frame, tmp_path / "l.parquet")
    row = rows_of(listing(Source(made("folder", PICTURES), labels=str(tmp_path / "l.parquet"))))[0]
    assert (row["label"], row["attributes"]) == ("3", [("weight", "1.5"), ("site", "n")])


def test_only_the_attributes_that_were_asked_for(made: Made, tmp_path: Path) -> None:
    labels = table(tmp_path, "file,label,a,b\ncat/0.png,x,1,2\n")
    asked = Source(made("folder", PICTURES), labels=labels, columns=Columns(attributes=("b",)))
    assert rows_of(listing(asked))[0]["attributes"] == [("b", "2")]


def test_a_patch_that_export_wrote_changes_labels_and_no_attributes(made: Made, tmp_path: Path) -> None:
    labels = table(tmp_path, "key,old_label,label,source,batch,evidence\ncat/0.png,cat,dog,review,b1,{}\n")
    row = rows_of(listing(Source(made("folder", PICTURES), labels=labels)))[0]
    assert (row["label"], row["attributes"]) == ("dog", None)


def test_a_table_without_labels_leaves_the_folders_to_say_the_class(made: Made, tmp_path: Path) -> None:
    labels = table(tmp_path, "file,age\ncat/0.png,7\n")
    found = listing(Source(made("folder", PICTURES), labels=labels, columns=Columns(label="-")))
    assert labels_of(found) == {key: label for key, (_, label) in PICTURES.items()}
    assert rows_of(found)[0]["attributes"] == [("age", "7")]


@pytest.mark.parametrize(
    ("text", "columns", "sentence"),
    [
        ("file,path,label\nx,x,x\n", Columns(), "several columns that may be the file: file, path; use --file-column"),
        ("file,label,class\nx,x,x\n", Columns(), "several columns that may be the label: label, class"),
        (
            "file,clean,worse\nx,x,x\n",
            Columns(),
            "no column that looks like the label; choose with --label-column from: ",
        ),
        ("a,label\nx,x\n", Columns(), "no column that looks like the file"),
        (
            "file,label\nx,x\n",
            Columns(label="lable"),
            "unknown column for --label-column in labels.csv 'lable', did you",
        ),
        ("file,label\nx,x\n", Columns(split="s"), "unknown column for --split-column in labels.csv 's'"),
        ("file,label\nx,x\n", Columns(attributes=("z",)), "unknown column for --attributes in labels.csv 'z'"),
        (
            "file,label\ncat/0.png,x\ncat/0.png,y\n",
            Columns(),
            "gives cat/0.png two labels, 'x' and 'y'; several labels",
        ),
        ("file,label\n0.png,x\n", Columns(), "names '0.png', and that may be a/0.png or cat/0.png"),
        ("", Columns(), "can't be read as CSV: it is empty"),
        ("file,file\nx,x\n", Columns(), "two columns are called 'file'"),
        ("file,label\nx,x,x\n", Columns(), "can't be read as CSV"),
        ('file,label\ncat/0.png,"cat\ndog/1.png,dog\n', Columns(), "a quote is not closed before 'cat\\ndog/1.png"),
        (f'file,label\ncat/0.png,"{"x" * 2**21}"\n', Columns(), "a row is longer than 1,048,576 bytes"),
        (f"file,{'x' * 2**21}\ncat/0.png,cat\n", Columns(), "a row is longer than 1,048,576 bytes"),
    ],
)
def test_a_wrong_table_is_refused_in_one_sentence(
    made: Made, tmp_path: Path, text: str, columns: Columns, sentence: str
) -> None:
    source = made("folder", PICTURES | {"a/0.png": (b"x", "a")})
    with pytest.raises(UserError) as refused:
        listing(Source(source, labels=table(tmp_path, text), columns=columns))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_table_in_utf_16_is_refused_by_that_name(made: Made, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\ncat/0.png,cat\n", encoding="utf-16")
    with pytest.raises(UserError, match="it is UTF-16; save it as UTF-8"):
        listing(Source(made("folder", PICTURES), labels=str(tmp_path / "labels.csv")))


def test_quotes_that_are_text_and_cells_of_several_lines_are_read(made: Made, tmp_path: Path) -> None:
    text = 'file,label\ncat/0.png,5" nail\ndog/1.png,"two\nlines"\n'
    found = listing(Source(made("folder", PICTURES), labels=table(tmp_path, text + "owl/2.png,owl\n")))
    assert labels_of(found)["cat/0.png"] == '5" nail'
    assert labels_of(found)["dog/1.png"] == "two\nlines"


def test_several_labels_boxes_and_coco_are_refused(made: Made, tmp_path: Path) -> None:
    source = made("folder", PICTURES)
    pq.write_table(pa.table({"file": ["cat/0.png"], "label": [["a", "b"]]}), tmp_path / "l.parquet")
    with pytest.raises(UserError, match="several labels, boxes and masks are not"):
        listing(Source(source, labels=str(tmp_path / "l.parquet")))
    with pytest.raises(UserError, match="boxes, masks and several labels for an image"):
        listing(Source(source, labels=table(tmp_path, "{}", "coco.json")))
    boxes = pa.table({"image": [{"bytes": b"x", "path": "a"}], "objects": [[{"bbox": [1.0]}]]})
    pq.write_table(boxes, tmp_path / "boxes.parquet")
    with pytest.raises(UserError, match=r"has a column objects of .* boxes, masks"):
        listing(Source(str(tmp_path / "boxes.parquet")))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("no.zip", b"PK not", "can't be read as a zip"),
        ("no.tar", b"x" * 1024, "can't be read as a tar"),
        ("no.parquet", b"x" * 64, "can't be read as Parquet"),
        ("a.tar.gz", b"x", "unpack it to a .tar first"),
        ("a.exe", b"x", "is no source: give a folder, a .zip"),
    ],
)
def test_a_damaged_or_strange_source_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        listing(Source(str(tmp_path / name)))


def test_what_is_not_there_or_empty_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file or folder"):
        listing(Source(str(tmp_path / "photoz")))
    with pytest.raises(UserError, match="a path or URL is empty"):
        listing(Source(""))
    with pytest.raises(UserError, match="holds no pictures"):
        listing(Source(str(tmp_path)))
    with pytest.raises(UserError, match="unknown kind of source 'zipp', did you mean 'zip'"):
        listing(Source(str(tmp_path), kind="zipp"))
    with pytest.raises(UserError, match="can't be opened: Protocol not known: nonsense"):
        listing(Source("nonsense://x"))


def test_a_zip_of_a_folder_has_its_classes_below_that_folder(made: Made) -> None:
    found = listing(Source(made("zip", {f"mydata/{key}": value for key, value in PICTURES.items()})))
    assert set(labels_of(found).values()) == {"cat", "dog", "owl"}
    assert "'mydata' holds the whole archive" in found.notes[0]


def test_a_zip_member_that_lies_about_its_size_is_cut_off_and_spoils_no_other(tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", b"\0" * 5_000_000)
        archive.writestr("b.jpg", b"fine")
        archive.writestr("c.jpg", b"\1" * 5_000_000)
    raw = file.read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    file.write_bytes(raw)
    data = fetched(listing(Source(str(file))))
    assert isinstance(data["a.jpg"], Rejected)
    assert data["a.jpg"].reason == "too large"
    assert data["b.jpg"] == b"fine"


def test_members_that_are_too_large_cost_no_memory(tmp_path: Path) -> None:
    file, zeros = tmp_path / "x.zip", b"\0" * (40 * MB)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", zeros)
        archive.writestr("large.jpg", zeros, zipfile.ZIP_STORED)
    honest = listing(Source(str(file)))
    lies = pa.array([10] * 2, pa.int64())
    lying = dataclasses.replace(honest, rows=honest.rows.set_column(6, "size_bytes", lies).slice(0, 1))
    for found in (honest, lying):
        tracemalloc.start()
        data = fetched(found, max_bytes=MB)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert {value.reason for value in data.values() if isinstance(value, Rejected)} == {"too large"}
        assert peak < 5 * MB


def test_two_members_of_one_name_are_two_pictures(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("cat/a.jpg", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("cat/a.jpg", b"second")
    assert fetched(listing(Source(str(tmp_path / "x.zip")))) == {"cat/a.jpg": b"first", "cat/a.jpg#2": b"second"}


def test_damaged_encrypted_and_vanished_members_are_unreadable(tmp_path: Path, made: Made) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(range(256)) * 40)
        archive.writestr("b.jpg", b"fine")
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    raw[40:60] = b"\xff" * 20
    (tmp_path / "x.zip").write_bytes(raw)
    data = fetched(listing(Source(str(tmp_path / "x.zip"))))
    assert (data["a.jpg"].reason, data["b.jpg"]) == ("unreadable", b"fine")  # type: ignore[union-attr]
    found = listing(Source(made("folder", {"a.jpg": (b"x", None), "b.jpg": (b"y", None)})))
    Path(os.fsdecode(rows_of(found)[0]["where"])).unlink()
    gone = fetched(found)
    assert gone == {"a.jpg": Rejected("unreadable", "No such file or directory"), "b.jpg": b"y"}


@pytest.mark.parametrize("kind", ["folder", "zip", "webdataset", "parquet"])
def test_a_file_of_more_bytes_than_allowed_is_not_read(made: Made, kind: str) -> None:
    data = fetched(listing(Source(made(kind, PICTURES))), max_bytes=105)
    reasons = {key: value.reason for key, value in data.items() if isinstance(value, Rejected)}
    assert reasons == {key: "too large" for key, (content, _) in PICTURES.items() if len(content) > 105}


@pytest.mark.parametrize("kind", ["folder", "zip", "webdataset"])
def test_a_reference_opens_the_same_bytes(made: Made, kind: str) -> None:
    pictures = PICTURES | {"odd #?*[1].png": (b"odd", None), "a::b.png": (b"chain", None)}
    found = listing(Source(made(kind, pictures)))
    for row in rows_of(found):
        url = reference(Row(**{name: row[name] for name in Row.__match_args__}))
        assert (url is None) == ("::" in row["key"])
        assert url is None or read_reference(url) == pictures[row["key"]][0]


@pytest.mark.parametrize("kind", ["zip", "webdataset"])
def test_an_archive_is_opened_once_for_its_references_and_again_when_it_was_replaced(made: Made, kind: str) -> None:
    def urls(pictures: Mapping[str, tuple[bytes, str | None]]) -> list[str]:
        rows = rows_of(listing(Source(made(kind, pictures))))
        return [str(reference(Row(**{name: row[name] for name in Row.__match_args__}))) for row in rows]

    _archive.cache_clear()
    first = urls(PICTURES)
    assert [read_reference(url) for url in first] == [PICTURES[key][0] for key in sorted(PICTURES)]
    assert _archive.cache_info().misses == 1
    urls({"cat/0.png": (b"replaced", "cat")})
    assert read_reference(first[0]) == b"replaced"
    with pytest.raises(UnavailableError, match=r"kept by reference and can't be read now"):
        read_reference(first[1])


def test_rows_of_parquet_have_no_reference(made: Made) -> None:
    row = rows_of(listing(Source(made("parquet", PICTURES))))[0]
    assert reference(Row(**{name: row[name] for name in Row.__match_args__})) is None


def test_parquet_labels_and_keys(tmp_path: Path) -> None:
    images = [{"bytes": b"a", "path": None}, {"bytes": b"b", "path": "b.png"}, {"bytes": None, "path": "gone.png"}]
    others = {"label": ["cat", None, "dog"], "split": ["train", "validation", None], "age": [1, None, 3]}
    pq.write_table(pa.table({"image": images} | others), tmp_path / "x.parquet")
    found = rows_of(listing(Source(str(tmp_path / "x.parquet"))))
    assert [row["key"] for row in found] == ["x.parquet:0", "x.parquet:1", "x.parquet:2"]
    assert [row["label"] for row in found] == ["cat", None, "dog"]
    assert [row["split"] for row in found] == ["train", "val", None]
    assert [row["attributes"] for row in found] == [[("age", "1")], [], [("age", "3")]]
    data = fetched(listing(Source(str(tmp_path / "x.parquet"))))
    assert data["x.parquet:2"] == Rejected("unreadable", "the row holds no bytes, only the path gone.png")


def test_parquet_class_numbers_outside_the_declared_names_are_refused(tmp_path: Path) -> None:
    features = {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}
    frame = pa.table({"image": [{"bytes": b"a", "path": "x"}], "label": [2]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(frame.replace_schema_metadata(metadata), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="label 2, and its ClassLabel has names for 0 to 1"):
        listing(Source(str(tmp_path / "x.parquet")))


def test_webdataset_json_gives_label_and_attributes_and_refuses_boxes(tmp_path: Path) -> None:
    def shard(facts: dict[str, Any]) -> str:
        (tmp_path / "a.jpg").write_bytes(b"x")
        (tmp_path / "a.json").write_text(json.dumps(facts))
        with tarfile.open(tmp_path / "s.tar", "w") as archive:
            archive.add(tmp_path / "a.jpg", "./a.jpg")
            archive.add(tmp_path / "a.json", "./a.json")
        return str(tmp_path / "s.tar")

    row = rows_of(listing(Source(shard({"label": 3, "site": "north", "n": 2, "ok": True}))))[0]
    assert (row["key"], row["label"]) == ("a.jpg", "3")
    assert row["attributes"] == [("site", "north"), ("n", "2"), ("ok", "true")]
    facts: dict[str, Any]
    for facts in ({"label": ["a", "b"]}, {"bbox": [1, 2, 3, 4]}, {"objects": []}):
        with pytest.raises(UserError, match="several labels for an image, boxes and masks are not supported"):
            listing(Source(shard(facts)))


def test_only_the_first_pictures_with_a_limit(made: Made) -> None:
    found = listing(Source(made("folder", PICTURES), limit=2))
    assert found.rows["key"].to_pylist() == sorted(PICTURES)[:2]


def test_suffixes_of_the_closed_list_are_no_pictures_whatever_their_case() -> None:
    assert not any(is_found(f"a.{s}") for s in ("csv", "TXT", "md", "json", "xml", "html", "parquet"))
    assert all(is_found(name) for name in ("a", "a.bin", "a.pdf", "csv", "a.csv.jpg"))


@pytest.fixture
def webhdfs(tmp_path: Path) -> Iterator[str]:
    """A real HTTP server that speaks as much of WebHDFS as fsspec needs to list and read files."""
    root = tmp_path / "remote"
    root.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            file = root / unquote(url.path).removeprefix("/webhdfs/v1").lstrip("/")
            if not file.exists():
                wrong = {"RemoteException": {"exception": "FileNotFoundException", "message": f"no {file.name}"}}
                self.answer(404, json.dumps(wrong).encode())
            elif asked["op"] == "OPEN":
                start, length = int(asked["offset"]), int(asked["length"])
                self.answer(200, file.read_bytes()[start : start + length])
            elif asked["op"] == "LISTSTATUS":
                inside = [self.status(path, path.name) for path in sorted(file.iterdir())]
                self.answer(200, json.dumps({"FileStatuses": {"FileStatus": inside}}).encode())
            else:
                self.answer(200, json.dumps({"FileStatus": self.status(file, "")}).encode())

        @staticmethod
        def status(path: Path, name: str) -> dict[str, Any]:
            facts = path.stat()
            kind = "DIRECTORY" if path.is_dir() else "FILE"
            size = 0 if path.is_dir() else facts.st_size
            return {"pathSuffix": name, "type": kind, "length": size, "modificationTime": int(facts.st_mtime * 1000)}

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"webhdfs://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_pictures_behind_a_url_are_listed_and_read(webhdfs: str, tmp_path: Path) -> None:
    for key, (data, _) in PICTURES.items():
        (tmp_path / "remote" / key).parent.mkdir(exist_ok=True)
        (tmp_path / "remote" / key).write_bytes(data)
    (tmp_path / "remote" / "labels.csv").write_text("file,label\ncat/0.png,lion\n")
    found = listing(Source(f"{webhdfs}/"))
    assert labels_of(found) == {key: label for key, (_, label) in PICTURES.items()}
    assert fetched(found, max_bytes=105) == {
        key: data
        if len(data) <= 105
        else Rejected("too large", f"{len(data)} bytes, and [ingest] max_file_mb allows 105")
        for key, (data, _) in PICTURES.items()
    }
    url = reference(Row(**{name: rows_of(found)[0][name] for name in Row.__match_args__}))
    assert url is not None
    assert read_reference(url) == PICTURES["cat/0.png"][0]
    labeled = listing(Source(webhdfs, labels=f"{webhdfs}/labels.csv"))
    assert labels_of(labeled)["cat/0.png"] == "lion"
    (tmp_path / "remote" / "cat/0.png").unlink()
    gone = fetched(found)["cat/0.png"]
    assert isinstance(gone, Rejected)
    assert gone.reason == "unreadable"


def test_an_archive_behind_a_url_is_read_in_place(webhdfs: str, tmp_path: Path, made: Made) -> None:
    for kind in ("zip", "webdataset", "parquet"):
        file = Path(made(kind, PICTURES))
        file.rename(tmp_path / "remote" / file.name)
        found = listing(Source(f"{webhdfs}/{file.name}"))
        assert found.kind == kind
        assert fetched(found) == {key: data for key, (data, _) in PICTURES.items()}


@pytest.mark.parametrize("kind", ["zip", "webdataset"])
def test_members_whose_names_lead_outside_are_pictures_like_others(tmp_path: Path, kind: str) -> None:
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("../../cat/0.png", b"one")
            archive.writestr("/dog/1.png", b"two")
    else:
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            for name, data in (("../../cat/0.png", b"one"), ("/dog/1.png", b"two")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    found = listing(Source(str(tmp_path / ("a.zip" if kind == "zip" else "a.tar"))))
    assert fetched(found) == {"cat/0.png": b"one", "dog/1.png": b"two"}
    assert labels_of(found) == {"cat/0.png": "cat", "dog/1.png": "dog"}
