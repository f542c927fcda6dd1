"""`secondlook label-issues`: the margin that it chooses, top-k arrays, standard output, and files for spreadsheets."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.jobs.label_issues import confusions, label_issues, probability_files, topk_arrays
from secondlook.jobs.label_issues.confusions import Confusions
from secondlook.pipeline.audit.labels.mislabels import label_errors, label_errors_topk
from tests.jobs.test_label_issues import call, labels_file, mistake, probs_file, written

CLASSES = "cat,dog,owl"
GIVEN = ["cat", "cat", "", "dog", "owl"]
TOP = np.array([[0, 1], [1, 2], [2, 1], [0, 1], [0, -1]], np.int32)
PROBS = np.array([[0.75, 0.25], [0.5, 0.25], [0.875, 0.125], [0.5, 0.5], [0.96, np.nan]], np.float32)
LISTED = """\
row,given,suggested,p_error,flagged
0,cat,cat,0.2500000,false
1,cat,dog,0.6666667,true
2,,owl,,false
3,dog,dog,0.5000000,false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Labels of four images, and the two most probable of three classes for each in topk.npz."""
    labels_file(tmp_path, GIVEN[:4])
    np.savez(tmp_path / "topk.npz", classes=TOP[:4], probs=PROBS[:4])
    return tmp_path


def drawn(n: int, k: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Labels of which every third is wrong, and probabilities that mostly know."""
    rng = np.random.default_rng(3)
    true = rng.integers(0, k, n)
    probs = rng.dirichlet(np.full(k, 0.5), n)
    probs[np.arange(n), true] += rng.random(n) * 2
    return np.where(rng.random(n) < 1 / 3, rng.integers(0, k, n), true), probs / probs.sum(1, keepdims=True)


# The margin


def test_the_margin_is_chosen_over_all_blocks_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probability_files, "BUFFER_BYTES", 8 * 5 * 100)
    given, probs = drawn(3000, 5)
    labels_file(tmp_path, [str(code) for code in given])
    probs_file(tmp_path, probs)
    expected = label_errors(given, probs)
    assert call(tmp_path, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["margin"], summary["margin_from"]) == (expected.margin, expected.basis)
    assert [row["flagged"] == "true" for row in written(tmp_path)] == expected.flagged.tolist()
    assert call(tmp_path, "--json", "--margin", "0.7") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["margin"], summary["margin_from"]) == (0.7, "given by --margin")
    assert summary["flagged"] == int(label_errors(given, probs, 0.7).flagged.sum())


def test_people_are_told_the_margin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(folder, "--classes", CLASSES, "--margin", "0.2", probs=folder / "topk.npz") == 0
    assert "margin 0.2: given by --margin." in capsys.readouterr().out


# Top-k arrays


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_topk_arrays_in_an_npz_file(folder: Path, monkeypatch: pytest.MonkeyPatch, save: Any) -> None:
    monkeypatch.setattr(topk_arrays, "LIST_ROWS", 3)
    save(folder / "topk.npz", classes=TOP[:4].astype(np.int16), probs=PROBS[:4], p_given=np.array([0.75, 0.25, np.nan, 0.5]))  # fmt: skip
    assert call(folder, "--classes", CLASSES, "--margin", "0.1", probs=folder / "topk.npz") == 0
    assert (folder / "out.csv").read_text() == LISTED
    save(folder / "topk.npz", top=TOP[:4], p=PROBS[:4], mine=np.array([0.75, 0.25, np.nan, 0.5]))
    options = ("--classes-column", "top", "--probs-column", "p", "--p-given-column", "mine", "--margin", "0.1")
    assert call(folder, "--classes", CLASSES, *options, probs=folder / "topk.npz") == 0
    assert (folder / "out.csv").read_text() == LISTED


def test_arrays_and_lists_say_the_same_as_the_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topk_arrays, "LIST_ROWS", 70)
    monkeypatch.setattr(probability_files, "LIST_ROWS", 90)
    given, probs = drawn(500, 30)
    top = np.argsort(-probs, axis=1)[:, :6]
    best = np.take_along_axis(probs, top, 1)
    labels = labels_file(tmp_path, [str(code) for code in given])
    np.savez(tmp_path / "topk.npz", classes=top, probs=best)
    pq.write_table(pa.table({"classes": top.tolist(), "probs": best.tolist()}), tmp_path / "topk.parquet")
    names = [str(code) for code in range(30)]
    answers = []
    for file in ("topk.npz", "topk.parquet"):
        summary, _ = label_issues.run(labels, tmp_path / file, tmp_path / "out.csv", classes=names)
        answers.append((tmp_path / "out.csv").read_text())
    assert answers[0] == answers[1]
    found = label_errors_topk(given, top, best.astype(np.float32), 30)
    assert [row["flagged"] == "true" for row in written(tmp_path)] == found.flagged.tolist()
    assert summary["margin"] == found.margin


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"probs": PROBS[:4]}, "unknown array in"),
        ({"classes": TOP[:4], "probs": PROBS[:3]}, "must hold 'classes' and 'probs' as (n, k)"),
        ({"classes": TOP[:4, 0], "probs": PROBS[:4, 0]}, "must hold 'classes' and 'probs' as (n, k)"),
        ({"classes": TOP[:4, :1], "probs": PROBS[:4, :1]}, "lists 1 classes a row; to compare, a row needs at least 2"),
        ({"classes": TOP[:4], "probs": PROBS[:4], "p_given": PROBS[:3, 0]}, "as (n,); got (4, 2), (4, 2) and (3,)"),
        ({"classes": TOP[:4] / 1, "probs": PROBS[:4]}, "'classes' in"),
        ({"classes": TOP[:4].astype(str), "probs": PROBS[:4]}, "allowed are class indices (integers"),
        ({"classes": TOP[:4], "probs": TOP[:4]}, "allowed are floats"),
        ({"classes": TOP[:4].astype(object), "probs": PROBS[:4]}, "pickled Python objects"),
        ({"classes": np.asfortranarray(TOP[:4]), "probs": PROBS[:4]}, "Fortran order"),
        ({"classes": TOP, "probs": PROBS}, "has 4 labels, but"),
        ({"classes": TOP[1:], "probs": PROBS[1:]}, "row 3 lists fewer than 2 classes: nothing to compare"),
        ({"classes": TOP[:4] + 9, "probs": PROBS[:4]}, "row 0 lists class 9; allowed are 0 to 2"),
        ({"classes": TOP[:4], "probs": PROBS[:4] * 2}, "row 0 of the probabilities sums to 2"),
        ({"classes": np.tile(np.arange(4), (4, 1)), "probs": np.full((4, 4), 0.25)}, "lists 4 classes a row, but there are only 3"),
    ],
)  # fmt: skip
def test_mistakes_in_arrays(
    folder: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, Any], sentence: str
) -> None:
    np.savez(folder / "topk.npz", **arrays)
    assert sentence in mistake(folder, capsys, "--classes", CLASSES, probs=folder / "topk.npz")


def test_archives_that_are_broken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "topk.npz"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(TOP[:4].tobytes()) + 1] ^= 1  # the archive's checksum notices
    for data in (whole[:-30], whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(data)
        assert "can't be read as an .npz archive" in mistake(folder, capsys, "--classes", CLASSES, probs=path)
    np.savez(path, classes=TOP[:4], probs=PROBS[:4])
    assert "unknown array in" in mistake(folder, capsys, "--p-given-column", "mine", probs=path)
    assert "say with --classes what the indices are" in mistake(folder, capsys, probs=path)


# Standard output and spreadsheets


def test_a_dash_is_standard_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--classes", CLASSES, "--margin", "0.1", "--out", "-")
    assert call(folder, *words, probs=folder / "topk.npz") == 0
    captured = capsys.readouterr()
    assert captured.out == LISTED  # the summary is not among the rows …
    assert "1 of 3 labels flagged" in captured.err  # … but beside them
    assert not (folder / "-").exists()
    assert not Path("-").exists()
    assert call(folder, *words, "--json", probs=folder / "topk.npz") == 2
    assert "--out - and --json both take standard output" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path: Path) -> None:
    given, probs = drawn(50_000, 3)
    labels_file(tmp_path, [str(code) for code in given])
    probs_file(tmp_path, probs)
    program = str(Path(sys.executable).parent / "secondlook")
    words = [program, "label-issues", "--labels", "labels.csv", "--probs", "probs.npy", "--out", "-"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "row,given,suggested,p_error,flagged\n"
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


def test_names_never_run_in_a_spreadsheet_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "-7", "plain"]
    labels_file(tmp_path, hostile)
    probs_file(tmp_path, np.eye(len(hostile)))
    (tmp_path / "c.json").write_text(json.dumps(hostile))
    assert call(tmp_path, "--classes", str(tmp_path / "c.json")) == 0
    assert [row["given"] for row in written(tmp_path)] == hostile  # programs read back what was given
    assert "--spreadsheet makes them text" in capsys.readouterr().err
    assert call(tmp_path, "--classes", str(tmp_path / "c.json"), "--spreadsheet") == 0
    assert "--spreadsheet" not in capsys.readouterr().err
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbfrow,given")
    given = [line.split(",")[1] for line in (tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines()[1:]]
    assert given == [*(f"'{name}" for name in hostile[:5]), "-7", "plain"]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 8))
def test_confusions_are_counted_as_a_counter_does(seed: int, k: int, blocks: int) -> None:
    rng = np.random.default_rng(seed)
    counted, expected = Confusions(k), Counter[tuple[int, int]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confusions, "WAITING", 20)
        for _ in range(blocks):
            given, suggested = rng.integers(0, k, (2, int(rng.integers(0, 15))))
            counted.add(given, suggested.astype(np.int32))
            expected.update(zip(given.tolist(), suggested.tolist(), strict=True))
        common = sorted(expected.items(), key=lambda item: (-item[1], item[0]))
        for n in (3, 10_000):
            assert counted.most(n) == [(a, b, count) for (a, b), count in common[:n]]


def test_memory_is_bounded_by_the_block(tmp_path: Path) -> None:
    """200,000 x 40 of float64 are 64 MB; the buffers of a block are a quarter of it."""
    given, probs = drawn(200_000, 40)
    probs_file(tmp_path, probs)
    (tmp_path / "labels.csv").write_text("label\n" + "\n".join(map(str, given.tolist())))
    code = (
        "import resource, sys; from secondlook.jobs import cli; import numpy\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert cli.run(sys.argv[1:]) == 0\n"
        "print('GREW', (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    words = ["label-issues", "--labels", "labels.csv", "--probs", "probs.npy", "--out", "out.csv", "--margin", "0.1"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 55
