"""`secondlook label-issues` from outside: what it writes, what it refuses and how, and what it leaves alone."""

import csv
import io
import json
import os
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secondlook.jobs import cli
from secondlook.jobs.label_issues import issues_csv, label_issues, probability_files
from secondlook.jobs.label_issues.label_column import class_list, read_labels
from secondlook.pipeline.audit.labels.mislabels import label_errors

PROBS = np.array([[0.75, 0.25, 0.0], [0.25, 0.5, 0.25], [0.0, 0.125, 0.875], [0.5, 0.5, 0.0]], np.float32)
LABELS = ["cat", "cat", "", "dog"]
CLASSES = "cat,dog,owl"


def labels_file(folder: Path, labels: list[str], name: str = "labels.csv", column: str = "label") -> Path:
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", column])
        writer.writerows([f"{row}.png", label] for row, label in enumerate(labels))
    return path


def probs_file(folder: Path, probs: npt.NDArray[Any], name: str = "probs.npy") -> Path:
    np.save(folder / name, probs, allow_pickle=probs.dtype == object)
    return folder / name


def call(folder: Path, *more: str, labels: Path | None = None, probs: Path | None = None) -> int:
    files = ["--labels", str(labels or folder / "labels.csv"), "--probs", str(probs or folder / "probs.npy")]
    return cli.run(["label-issues", *files, "--out", str(folder / "out.csv"), *more])


def written(folder: Path) -> list[dict[str, str]]:
    with (folder / "out.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with labels.csv and probs.npy of four images and three classes."""
    labels_file(tmp_path, LABELS)
    probs_file(tmp_path, PROBS)
    return tmp_path


EXPECTED = """\
row,given,suggested,p_error,flagged
0,cat,cat,0.2500000,false
1,cat,dog,0.6666667,true
2,,owl,,false
3,dog,dog,0.5000000,false
"""


def test_a_row_for_every_image_and_one_line_of_summary(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(folder, "--classes", CLASSES, "--json") == 0
    assert (folder / "out.csv").read_text() == EXPECTED
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    summary = json.loads(out)
    assert {name: summary[name] for name in ("rows", "flagged", "classes", "unlabeled")} == {
        "rows": 4, "flagged": 1, "classes": 3, "unlabeled": 1,
    }  # fmt: skip
    assert summary["share"] == pytest.approx(1 / 3, abs=1e-6)
    assert summary["out"] == str(folder / "out.csv")
    assert "score" in summary["note"]
    assert sorted(path.name for path in folder.iterdir()) == ["labels.csv", "out.csv", "probs.npy"]


def test_people_are_told_the_common_confusions_and_that_a_score_is_no_probability(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder, "--classes", CLASSES) == 0
    out = capsys.readouterr().out
    assert "1 of 3 labels flagged (33.3%), 3 classes, 1 without a label" in out
    assert any(line.split() == ["cat", "dog", "1"] for line in out.splitlines())
    assert "not a probability" in out


def test_flagged_only_and_margin(folder: Path) -> None:
    assert call(folder, "--classes", CLASSES, "--flagged-only") == 0
    assert [row["row"] for row in written(folder)] == ["1"]
    assert call(folder, "--classes", CLASSES, "--margin", "0.4") == 0
    assert not any(row["flagged"] == "true" for row in written(folder))


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_types_and_orders_of_the_array_give_the_same_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, order: str
) -> None:
    monkeypatch.setattr(probability_files, "BUFFER_BYTES", 64)  # several blocks, the last one short
    monkeypatch.setattr(issues_csv, "WRITE_ROWS", 2)
    probs_file(folder, np.asarray(PROBS, dtype=dtype, order=order))  # type: ignore[call-overload]
    assert call(folder, "--classes", CLASSES) == 0
    assert (folder / "out.csv").read_text() == EXPECTED


def test_many_rows_agree_with_the_function_on_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probability_files, "BUFFER_BYTES", 4000)
    rng = np.random.default_rng(5)
    probs = rng.dirichlet(np.full(10, 0.3), 1000)
    codes = np.where(rng.random(1000) < 0.1, -1, rng.integers(0, 10, 1000))
    labels_file(tmp_path, ["" if code < 0 else str(code) for code in codes])
    probs_file(tmp_path, probs)
    assert call(tmp_path) == 0
    found, rows = label_errors(codes, probs), written(tmp_path)
    assert [int(row["row"]) for row in rows] == list(range(1000))
    assert [row["given"] for row in rows] == ["" if code < 0 else str(code) for code in codes]
    assert [int(row["suggested"]) for row in rows] == found.suggested.tolist()
    assert [row["flagged"] == "true" for row in rows] == found.flagged.tolist()
    scores = np.array([float(row["p_error"] or "nan") for row in rows])
    np.testing.assert_allclose(scores, found.p_error, atol=6e-8)


# Which column is which class


def test_integer_names_sort_as_numbers_and_others_as_text(tmp_path: Path) -> None:
    probs_file(tmp_path, np.array([[0.25, 0.75], [0.25, 0.75]]))
    labels_file(tmp_path, ["10", "9"])
    assert call(tmp_path) == 0
    assert [row["suggested"] for row in written(tmp_path)] == ["10", "10"]
    labels_file(tmp_path, ["10", "9a"])
    assert call(tmp_path) == 0
    assert [row["suggested"] for row in written(tmp_path)] == ["9a", "9a"]


def test_integers_that_pandas_wrote_as_floats_are_integers_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    probs_file(tmp_path, np.array([[0.25, 0.75]] * 3))
    labels_file(tmp_path, ["10.0", "", "9.0"])
    assert call(tmp_path) == 0
    assert [(row["given"], row["suggested"]) for row in written(tmp_path)] == [("10", "10"), ("", "10"), ("9", "10")]
    assert "read as 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"),
    [("c.txt", "cat\ndog\nowl\n"), ("c.txt", "\ufeffcat\r\ndog\r\nowl"), ("c.json", '["cat", "dog", "owl"]')],
)
def test_classes_from_a_file(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    assert call(folder, "--classes", str(folder / name)) == 0
    assert (folder / "out.csv").read_text() == EXPECTED


HOSTILE = [
    "=cmd()",
    '"quoted" name',
    "two\nlines",
    "carriage\rreturn",
    "comma, too",
    "[red]markup",
    " edge ",
    "\x1b[2J",
    "猫",
]


def test_hostile_names_come_back_exactly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probs_file(tmp_path, np.roll(np.eye(len(HOSTILE), dtype=np.float32), 1, axis=1))
    labels_file(tmp_path, HOSTILE)
    (tmp_path / "c.json").write_text(json.dumps(HOSTILE))
    assert call(tmp_path, "--classes", str(tmp_path / "c.json")) == 0
    rows = written(tmp_path)
    assert [row["given"] for row in rows] == HOSTILE
    assert [row["suggested"] for row in rows] == np.roll(HOSTILE, -1).tolist()
    out = capsys.readouterr().out
    assert "[red]markup" in out  # not taken for markup …
    assert "\x1b[2J" not in out  # … nor sent to the terminal


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)


@given(st.lists(names, min_size=2, max_size=5, unique=True))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_names_come_back_exactly(tmp_path: Path, classes: list[str]) -> None:
    labels = labels_file(tmp_path, classes)
    probs = probs_file(tmp_path, np.eye(len(classes)))
    label_issues.run(labels, probs, tmp_path / "out.csv", classes=classes)
    assert [row["given"] for row in written(tmp_path)] == classes


# Labels


def test_labels_in_parquet_of_many_kinds(folder: Path) -> None:
    path = folder / "labels.parquet"
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())):
        pq.write_table(pa.table({"label": pa.array([label or None for label in LABELS]).cast(kind)}), path)
        assert call(folder, "--classes", CLASSES, labels=path) == 0
        assert (folder / "out.csv").read_text() == EXPECTED
    for numbers in (pa.array([0, 0, None, 1]), pa.array([0.0, 0.0, float("nan"), 1.0])):
        pq.write_table(pa.table({"label": numbers}), path)
        assert call(folder, "--classes", "0,1,2", labels=path) == 0
        assert [row["given"] for row in written(folder)] == ["0", "0", "", "1"]


def test_a_single_column_keeps_its_blank_lines_as_rows_without_a_label(folder: Path) -> None:
    for end in ("", "\n", "\n\n\n"):
        (folder / "labels.csv").write_text(f"\ufefflabel\ncat\ncat\n\ndog{end}", encoding="utf-8")
        assert call(folder, "--classes", CLASSES) == 0
        assert (folder / "out.csv").read_text() == EXPECTED


def test_labels_may_come_through_a_pipe(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", str(folder / "labels.csv"), str(pipe)]) as copying:
        assert read_labels(pipe, "label").names == ["cat", "dog"]
    assert copying.returncode == 0


# Parquet with top-k columns


def topk_file(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "topk.parquet", row_group_size=2)
    return folder / "topk.parquet"


NAMED = [["cat", "dog"], ["dog", "owl"], ["owl", "dog"], ["cat", "dog"]]
TOP = [[0.75, 0.25], [0.5, 0.25], [0.875, 0.125], [0.5, 0.5]]


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.dictionary(pa.int32(), pa.string())), pa.list_(pa.string(), 2)])  # fmt: skip
def test_topk_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType) -> None:
    monkeypatch.setattr(probability_files, "LIST_ROWS", 3)
    path = topk_file(folder, classes=pa.array(NAMED).cast(kind), probs=TOP, p_given=[0.75, 0.25, None, 0.5])
    assert call(folder, probs=path) == 0
    assert (folder / "out.csv").read_text() == EXPECTED


def test_topk_by_index_with_columns_of_other_names(folder: Path) -> None:
    indices = [[CLASSES.split(",").index(name) for name in row] for row in NAMED]
    path = topk_file(folder, top=indices, p=pa.array(TOP, pa.list_(pa.float16())), mine=[0.75, 0.25, None, 0.5])
    options = ("--classes-column", "top", "--probs-column", "p", "--p-given-column", "mine")
    assert call(folder, "--classes", CLASSES, *options, probs=path) == 0
    assert (folder / "out.csv").read_text() == EXPECTED


def test_topk_without_the_given_labels_probability_takes_the_bound_and_lists_of_any_length(folder: Path) -> None:
    path = topk_file(folder, classes=[["cat", "dog"], ["dog", "owl"], ["owl", "dog"], ["dog", "cat", "owl"]], probs=[[0.75, 0.25], [0.5, 0.375], [0.875, 0.125], [0.5, 0.5, 0.0]])  # fmt: skip
    assert call(folder, probs=path) == 0
    assert [row["p_error"] for row in written(folder)] == ["0.2500000", "0.8000000", "", "0.5000000"]


# Mistakes: status 2, one sentence, nothing written


def mistake(folder: Path, capsys: pytest.CaptureFixture[str], *more: str, **files: Path) -> str:
    (folder / "out.csv").write_text("precious")
    assert call(folder, *more, **files) == 2
    assert (folder / "out.csv").read_text() == "precious"
    assert not list(folder.glob(".*")), "a half-written file was left"
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert not captured.out
    return next(line for line in captured.err.splitlines() if line.startswith("error: "))


@pytest.mark.parametrize(
    ("labels", "more", "sentence"),
    [
        (LABELS, (), "2 distinct names, but the probabilities have 3 columns; say with --classes"),
        (LABELS, ("--classes", "cat,dog"), "--classes gives 2 names, but the probabilities have 3 columns"),
        (LABELS, ("--classes", "cat,owl,fox"), "row 3: unknown label 'dog'"),
        (LABELS, ("--classes", "cat,cat,owl"), "--classes names 'cat' twice"),
        (LABELS, ("--classes", "cat,,owl"), "--classes has an empty name"),
        (LABELS, ("--classes", "names.txt"), "--classes takes a file with a name a line, or names"),
        (LABELS, ("--classes", CLASSES, "--column", "lable"), "unknown column in"),
        (LABELS, ("--classes", CLASSES, "--margin", "2"), "margin takes from -1 to 1, got 2"),
        (LABELS, ("--clases", CLASSES), "No such option: --clases"),
        (LABELS[:3], ("--classes", CLASSES), "has 3 labels, but"),
        ([*LABELS, "cat"], ("--classes", CLASSES), "has 5 labels, but"),
    ],
)
def test_mistakes_in_labels_and_options(
    folder: Path, capsys: pytest.CaptureFixture[str], labels: list[str], more: tuple[str, ...], sentence: str
) -> None:
    labels_file(folder, labels)
    assert sentence in mistake(folder, capsys, *more)


def nan_in_row_3() -> npt.NDArray[Any]:
    probs = PROBS.copy()
    probs[3, 1] = np.nan
    return probs


@pytest.mark.parametrize(
    ("probs", "sentence"),
    [
        (nan_in_row_3(), "row 3 of the probabilities has nan in column 1"),
        (PROBS - [0, 0, 0.125], "row 0 of the probabilities has -0.125 in column 2"),
        (PROBS * 2, "row 0 of the probabilities sums to 2; rows must sum to 1"),
        (PROBS[:, 0], "has the shape (4,); probabilities are (N, K)"),
        (PROBS[:, :1], "at least 2 classes"),
        (PROBS[:2], "has 4 labels, but"),
        (PROBS.astype(int), "holds int64; allowed are float16, float32 and float64"),
        (PROBS.astype(complex), "holds complex128"),
        (PROBS.astype(object), "pickled Python objects"),
    ],
)
def test_mistakes_in_the_array(
    folder: Path, capsys: pytest.CaptureFixture[str], probs: npt.NDArray[Any], sentence: str
) -> None:
    probs_file(folder, probs)
    assert sentence in mistake(folder, capsys, "--classes", CLASSES)


def test_a_bad_row_in_a_late_block_is_named_by_its_row_in_the_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probability_files, "BUFFER_BYTES", 12)
    probs_file(folder, nan_in_row_3())
    assert "row 3 of the probabilities" in mistake(folder, capsys, "--classes", CLASSES)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "neither a .npy, .npz nor a Parquet file"),
        (b"hello", "neither a .npy, .npz nor a Parquet file"),
        (b"PK\x03\x04zip", "can't be read as an .npz archive"),
        (b"\x93NUMPY\x01\x00\x06\x00hello\n", "the header of"),
        (b"\x93NUMPY\x09\x00\x06\x00hello\n", "the header of"),
        (b"PAR1hello", "can't be read as Parquet"),
    ],
)
def test_files_that_are_something_else(
    folder: Path, capsys: pytest.CaptureFixture[str], data: bytes, sentence: str
) -> None:
    (folder / "probs.npy").write_bytes(data)
    assert sentence in mistake(folder, capsys)


def test_a_truncated_array_and_a_header_that_promises_the_moon(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (folder / "probs.npy").read_bytes()
    (folder / "probs.npy").write_bytes(whole[:-1])
    assert "is truncated" in mistake(folder, capsys)
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10**6)}
    np.lib.format.write_array_header_1_0(buffer, header)  # type: ignore[no-untyped-call]  # NumPy gives it no types
    (folder / "probs.npy").write_bytes(buffer.getvalue())
    tracemalloc.start()
    assert "is truncated" in mistake(folder, capsys)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "unknown column in"),
        (b"label,x\ncat,1\ndog\n", "line 3: 1 cells, the header has 2"),
        (b"label,x\ncat,1,2\n", "line 2: 3 cells, the header has 2"),
        (b"label,label\ncat,cat\n", "has 2 columns 'label'"),
        (b'label\n"cat\n', "can't be read as CSV"),
        (b"label\n\xff\xfe\n", "neither a UTF-8 text file nor Parquet"),
        (b"PAR1nonsense", "can't be read as Parquet"),
    ],
)
def test_labels_files_that_are_broken(
    folder: Path, capsys: pytest.CaptureFixture[str], data: bytes, sentence: str
) -> None:
    (folder / "labels.csv").write_bytes(data)
    assert sentence in mistake(folder, capsys, "--classes", CLASSES)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"probs": TOP}, "unknown column in"),
        ({"classes": ["cat"] * 4, "probs": TOP}, "must hold a list a row"),
        ({"classes": [[0.5, 1.0]] * 4, "probs": TOP}, "allowed are names (text) and indices"),
        ({"classes": NAMED, "probs": [[1, 0]] * 4}, "must list floats"),
        ({"classes": NAMED, "probs": TOP, "p_given": ["x"] * 4}, "must hold floats"),
        ({"classes": [["cat", "dog", "owl"], *NAMED[1:]], "probs": TOP}, "row 0 of"),
        ({"classes": [["cat", None], *NAMED[1:]], "probs": TOP}, "has a null in a list"),
        ({"classes": [["cat", "fox"], *NAMED[1:]], "probs": TOP}, "unknown class in"),
        ({"classes": [[0, -1]] * 4, "probs": TOP}, "indices begin at 0"),
        ({"classes": [[0, 3]] * 4, "probs": TOP}, "lists class 3; allowed are 0 to 2"),
        ({"classes": [None, *NAMED[1:]], "probs": [None, *TOP[1:]]}, "row 0 lists fewer than 2 classes"),
        ({"classes": NAMED, "probs": TOP, "p_given": [0.25, 0.25, 0.0, 0.5]}, "row 0 gives its label the probability"),
    ],
)
def test_mistakes_in_topk_files(
    folder: Path, capsys: pytest.CaptureFixture[str], columns: dict[str, Any], sentence: str
) -> None:
    path = topk_file(folder, **columns)
    assert sentence in mistake(folder, capsys, "--classes", CLASSES, probs=path)


def test_topk_indices_beyond_the_labels_names_need_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = topk_file(folder, classes=[[0, 2]] * 4, probs=TOP)
    assert "lists class 2, but the labels have 2 distinct names; say with --classes" in mistake(
        folder, capsys, probs=path
    )
    assert "unknown column" in mistake(folder, capsys, "--p-given-column", "mine", probs=path)


def test_labels_in_parquet_of_a_wrong_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "labels.parquet"
    pq.write_table(pa.table({"label": [0.5, 1.0, 1.0, 1.0]}), path)
    assert "holds fractions" in mistake(folder, capsys, labels=path)
    pq.write_table(pa.table({"label": [["cat"]] * 4}), path)
    assert "labels are text or integers" in mistake(folder, capsys, labels=path)


def test_files_that_are_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "can't be read: no such file" in mistake(folder, capsys, labels=folder / "none.csv")
    assert "can't be read: no such file" in mistake(folder, capsys, probs=folder / "none.npy")
    assert "can't be read: is a directory" in mistake(folder, capsys, labels=folder)


@pytest.mark.parametrize("name", ["labels.csv", "probs.npy", "classes.csv", "link.csv", "hard.csv"])
def test_inputs_are_never_overwritten(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (folder / "classes.csv").write_text(CLASSES.replace(",", "\n"))
    (folder / "link.csv").symlink_to(folder / "labels.csv")
    (folder / "hard.csv").hardlink_to(folder / "labels.csv")
    before = (folder / name).read_bytes()
    assert call(folder, "--classes", str(folder / "classes.csv"), "--out", str(folder / name)) == 2
    assert (folder / name).read_bytes() == before
    message = capsys.readouterr().err
    assert "one of the inputs" in message or "is written as CSV" in message


def test_out_that_cannot_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out, sentence in (
        (folder, "is something else"),
        (folder / "none" / "out.csv", "lies in a folder that is not there"),
        (folder / "out.parquet", "is written as CSV"),
        (Path("/dev/null"), "is something else"),
    ):
        assert call(folder, "--classes", CLASSES, "--out", str(out)) == 2
        assert sentence in capsys.readouterr().err


def test_out_gets_the_permissions_of_a_new_file_or_keeps_those_it_had(folder: Path) -> None:
    assert call(folder, "--classes", CLASSES) == 0
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((folder / "out.csv").stat().st_mode) == 0o666 & ~mask
    (folder / "out.csv").chmod(0o600)
    assert call(folder, "--classes", CLASSES) == 0
    assert stat.S_IMODE((folder / "out.csv").stat().st_mode) == 0o600


def test_class_list_with_quotes_and_equal_signs() -> None:
    assert class_list('=1+1,"a, b"') == ["=1+1", "a, b"]


# What it costs


@pytest.mark.parametrize("arguments", [["--help"], ["label-issues", "--help"], ["label-issues"]])
def test_neither_torch_nor_spark_is_imported(folder: Path, arguments: list[str]) -> None:
    if arguments == ["label-issues"]:
        arguments = ["label-issues", "--labels", "labels.csv", "--probs", "probs.npy", "--out", "out.csv"]
        arguments += ["--classes", CLASSES]
    code = (
        "import sys; from secondlook.jobs import cli; status = cli.run(sys.argv[1:])\n"
        "heavy = {'torch', 'pyspark', 'transformers', 'pandas', 'sklearn', 'pyiceberg', 'pyarrow', 'matplotlib'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules))); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED []"
