"""The label audit as a function of arrays: by hand, against a slow definition, against cleanlab, and its properties."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from secondlook.pipeline.audit import label_issues
from secondlook.pipeline.audit.labels import compare
from secondlook.pipeline.audit.labels.compare import compare_topk
from secondlook.pipeline.audit.labels.mislabels import label_errors, label_errors_topk
from secondlook.pipeline.core.errors import UserError


def made(seed: int, n: int, k: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Labels, a tenth of them missing, and sharp probabilities that mostly agree with them."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.3), n)
    labels = np.where(rng.random(n) < 0.6, probs.argmax(1), rng.integers(0, k, n))
    return np.where(rng.random(n) < 0.1, -1, labels), probs


def slow(label: int, row: npt.NDArray[Any], margin: float) -> tuple[float, int, bool]:
    """The definition, a row at a time, in plain Python of float32 values."""
    if label < 0:
        return float("nan"), max(range(len(row)), key=lambda c: row[c]), False
    other = max((c for c in range(len(row)) if c != label), key=lambda c: row[c])
    ahead = np.float32(row[other] - row[label]) / np.float32(row[other] + max(row[label], np.float32(1e-6)))
    flagged = bool(ahead > np.float32(margin))
    score = min(max((np.float32(1) + ahead) / np.float32(2), np.float32(0)), np.float32(1))
    return float(score), other if ahead > 0 or flagged else label, flagged


def test_by_hand() -> None:
    probs = np.array([[0.75, 0.25, 0.0], [0.25, 0.5, 0.25], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    found = label_errors(np.array([0, 0, 0, -1, 2]), probs)
    assert found.p_error[:3].tolist() == [0.25, pytest.approx(2 / 3), 0.5]  # agrees, doubts, ties
    assert np.isnan(found.p_error[3])
    assert found.p_error[4] == pytest.approx(1, abs=1e-6)
    assert found.suggested.tolist() == [0, 1, 0, 2, 1]
    assert found.flagged.tolist() == [False, True, False, False, True]
    dtypes = (np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.bool_))
    assert (found.p_error.dtype, found.suggested.dtype, found.flagged.dtype) == dtypes


def test_a_margin_decides_and_a_flagged_row_always_suggests_another_class() -> None:
    probs = np.array([[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]])
    labels = np.zeros(3, int)
    assert label_errors(labels, probs, 0.5).flagged.tolist() == [False, False, False]  # not above: equal
    assert label_errors(labels, probs, 0.49).flagged.tolist() == [True, False, False]
    lenient = label_errors(labels, probs, -0.75)
    assert lenient.flagged.tolist() == [True, True, True]
    assert lenient.suggested.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("block_bytes", [1, 7 * 4 * 10, 1 << 20])
def test_every_type_order_and_block_size_gives_the_slow_definition(
    monkeypatch: pytest.MonkeyPatch, dtype: type, order: str, block_bytes: int
) -> None:
    monkeypatch.setattr(compare, "BLOCK_BYTES", block_bytes)
    labels, probs = made(1, 50, 7)
    probs = np.asarray(probs.astype(dtype), order=order)  # type: ignore[call-overload]
    before = probs.copy()
    found = label_errors(labels, probs, 0.10)
    expected = [slow(label, row, 0.10) for label, row in zip(labels, probs.astype(np.float32), strict=True)]
    np.testing.assert_array_equal(found.p_error, np.array([e[0] for e in expected], np.float32))
    assert found.suggested.tolist() == [e[1] for e in expected]
    assert found.flagged.tolist() == [e[2] for e in expected]
    np.testing.assert_array_equal(probs, before)  # the caller's array is not touched


@given(st.integers(0, 30), st.integers(2, 6), st.integers(0, 2**32 - 1), st.floats(-1, 1))
@settings(deadline=None, max_examples=60)
def test_any_table_gives_the_slow_definition(n: int, k: int, seed: int, margin: float) -> None:
    labels, probs = made(seed, n, k)
    found = label_errors(labels, probs, margin)
    for row in range(n):
        score, suggested, flagged = slow(labels[row], probs[row].astype(np.float32), margin)
        np.testing.assert_equal(float(found.p_error[row]), score)
        assert (found.suggested[row], found.flagged[row]) == (suggested, flagged)


@given(st.integers(2, 6).flatmap(lambda k: st.tuples(st.just(k), st.permutations(range(k)), st.integers(0, 2**32 - 1))))
@settings(deadline=None, max_examples=40)
def test_names_of_classes_do_not_matter(case: tuple[int, list[int], int]) -> None:
    k, order, seed = case
    labels, probs = made(seed, 20, k)
    renamed = np.where(labels >= 0, np.argsort(order)[labels], -1)
    one, two = label_errors(labels, probs), label_errors(renamed, probs[:, order])
    np.testing.assert_array_equal(one.p_error, two.p_error)
    np.testing.assert_array_equal(one.suggested, np.array(order)[two.suggested])  # made rows have no ties


def test_of_two_classes_it_is_cleanlabs_normalized_margin() -> None:
    from cleanlab.rank import get_label_quality_scores

    labels, probs = made(3, 5000, 2)
    labels, probs = labels[labels >= 0], probs[labels >= 0].astype(np.float32)
    quality = get_label_quality_scores(labels, probs, method="normalized_margin")
    # theirs is 1 for a good label and falls to 0, ours the other way round; the formula is the same
    np.testing.assert_allclose(label_errors(labels, probs).p_error, 1 - quality, atol=1e-6)


def test_topk_with_all_classes_is_the_full_table() -> None:
    labels, probs = made(4, 200, 6)
    classes = np.argsort(-probs, axis=1)
    full, lists = (
        label_errors(labels, probs),
        label_errors_topk(labels, classes, np.take_along_axis(probs, classes, 1), 6),
    )
    np.testing.assert_array_equal(full.p_error, lists.p_error)
    np.testing.assert_array_equal(full.suggested, lists.suggested)
    np.testing.assert_array_equal(full.flagged, lists.flagged)


@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=40)
def test_topk_with_the_given_labels_probability_is_the_full_table(top: int, seed: int) -> None:
    labels, probs = made(seed, 30, 8)
    classes = np.argsort(-probs, axis=1)[:, :top]
    kept = np.take_along_axis(probs, classes, 1)
    p_given = probs[np.arange(30), labels]
    p_given[labels < 0] = np.nan
    full, lists = label_errors(labels, probs), label_errors_topk(labels, classes, kept, 8, p_given)
    np.testing.assert_array_equal(full.p_error, lists.p_error)
    np.testing.assert_array_equal(full.suggested, lists.suggested)
    bounded = label_errors_topk(labels, classes, kept, 8)
    known = labels >= 0
    outside = known & ~(classes == labels[:, None]).any(axis=1)
    # the bound is an even share of the rest: right on average, and never above what the list keeps
    assert (bounded.p_error[outside] >= 0.5).all()
    np.testing.assert_array_equal(full.p_error[known & ~outside], bounded.p_error[known & ~outside])


def test_topk_by_hand() -> None:
    classes = np.array([[3, 1], [3, 1], [0, 2], [4, -1]])
    probs = np.array([[0.5, 0.25], [0.5, 0.375], [0.75, 0.25], [1.0, np.nan]])
    with pytest.raises(UserError, match="row 3 lists fewer than 2 classes"):
        label_errors_topk(np.array([3, 3, 3, 3]), classes, probs, 10)
    found = label_errors_topk(np.array([0, 1, 1, -1]), classes[[0, 1, 2, 2]], probs[[0, 1, 2, 2]], 4)
    # row 0: 0.25 is left for two classes, so 0.125; row 1 is listed; row 2: nothing is left
    assert found.p_error[:3].tolist() == pytest.approx([0.5 / 0.625, 0.5 / 0.875, 1])
    assert found.suggested.tolist() == [3, 3, 0, 0]
    padded = label_errors_topk(np.array([1]), np.array([[1, 0, -1]]), np.array([[0.75, 0.25, np.nan]]), 10)
    assert padded.p_error.tolist() == [0.25]


def test_padding_never_wins_not_even_among_zeros() -> None:
    found = compare_topk(np.array([3]), np.array([[-1, 3, 2]]), np.array([[np.nan, 1.0, 0.0]]), 4)
    assert found.other.tolist() == [2]


def test_a_bad_row_in_a_late_block_is_named_by_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "BLOCK_BYTES", 1)
    with pytest.raises(UserError, match=r"row 12 of the probabilities sums to 0\.75"):
        label_errors(np.zeros(3, int), np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.25]]), first_row=10)


GOOD = np.array([[0.5, 0.5], [0.25, 0.75]])


@pytest.mark.parametrize(
    ("labels", "probs", "sentence"),
    [
        ([0], GOOD, r"1 labels and 2 rows"),
        ([[0, 1]], GOOD, r"labels are \(n,\) and probabilities \(n, K\); got shapes \(1, 2\) and \(2, 2\)"),
        ([0, 1], np.ones((2, 1)), "at least 2 classes; got 1"),
        ([0, 2], GOOD, "row 11 has label 2; allowed are 0 to 1"),
        ([0, -2], GOOD, "row 11 has label -2; allowed are 0 to 1, and -1 for no label"),
        ([0.0, 1.0], GOOD, "labels are class indices and probabilities floats; got float64"),
        ([0, 1], np.array([[1, 0], [0, 1]]), "got int64 and int64"),
        ([0, 1], np.array([[0.5, 0.5], [0.5, np.nan]]), "row 11 of the probabilities has nan in column 1"),
        ([0, 1], np.array([[0.5, 0.5], [np.inf, 0.5]]), "row 11 of the probabilities has inf in column 0"),
        ([0, 1], np.array([[0.5, 0.5], [1e300, 0.5]]), "row 11 of the probabilities has inf in column 0"),
        ([0, 1], np.array([[0.5, 0.5], [3e38, 3e38]]), "row 11 of the probabilities sums to 6e[+]38; rows must"),
        ([0, 1], np.array([[0.5, 0.5], [1.5, -0.5]]), "row 11 of the probabilities has -0.5 in column 1; .* softmax"),
        ([0, 1], np.array([[0.5, 0.5], [0.5, 0.25]]), "row 11 of the probabilities sums to 0.75; rows must sum to 1"),
    ],
)
def test_what_is_no_probability_is_refused_by_its_row(
    labels: list[int], probs: npt.NDArray[Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        label_errors(np.array(labels), probs, first_row=10)


@pytest.mark.parametrize(
    ("classes", "probs", "p_given", "sentence"),
    [
        ([[0, 4]], [[0.5, 0.5]], None, "row 5 lists class 4; allowed are 0 to 3"),
        ([[1, 1]], [[0.5, 0.5]], None, "row 5 lists a class twice"),
        ([[0, 1, 2]], [[0.5, 0.5]], None, "as many as probabilities"),
        ([[0, 1]], [[0.75, 0.5]], None, "row 5 of the probabilities sums to 1.25; rows must sum to at most 1"),
        ([[0, 1]], [[0.5, 0.25]], [1.5], "row 5 gives its label the probability 1.5"),
        ([[0, 1]], [[0.5, 0.25]], [1e300], "row 5 gives its label the probability 1e[+]300"),
        ([[0, 1]], [[0.5, 0.25]], [np.nan], "row 5 gives its label the probability nan"),
        ([[0, 3]], [[0.5, 0.25]], [0.5], "row 5 gives its label the probability 0.5, but its list says 0.25"),
        ([[0, 1]], [[0.5, 0.25]], [0.5, 0.5], "one number a row"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(
    classes: list[list[int]], probs: list[list[float]], p_given: list[float] | None, sentence: str
) -> None:
    given_p = None if p_given is None else np.array(p_given)
    with pytest.raises(UserError, match=sentence):
        label_errors_topk(np.array([3]), np.array(classes), np.array(probs), 4, given_p, first_row=5)


def test_a_margin_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match="margin takes from -1 to 1, got 2"):
        label_errors(np.zeros(2, int), GOOD, 2)


def test_no_rows_are_no_doubts() -> None:
    assert [len(column) for column in label_errors(np.empty(0, int), np.empty((0, 3)))[:3]] == [0, 0, 0]


@given(arrays.arrays(np.float32, (4, 3), elements=st.floats(width=32)))
@settings(deadline=None, max_examples=60)
def test_no_table_of_floats_ends_in_anything_but_an_answer_or_a_sentence(table: npt.NDArray[Any]) -> None:
    try:
        found = label_errors(np.array([0, 1, 2, -1]), table)
    except UserError:
        return
    assert ((found.p_error[:3] >= 0) & (found.p_error[:3] <= 1)).all()


# The notebook's function


def test_notebook_frame_has_the_columns_of_the_csv_and_keeps_the_kind_of_labels() -> None:
    frame = label_issues(["b", None, "a"], [[0.25, 0.75], [0.25, 0.75], [0.25, 0.75]])
    assert list(frame.columns) == ["row", "given", "suggested", "p_error", "flagged"]
    assert frame["given"].tolist() == ["b", None, "a"]
    assert frame["suggested"].tolist() == ["b", "b", "b"]
    assert frame["flagged"].tolist() == [False, False, True]
    numbers = label_issues(np.array([10, 9]), [[0.25, 0.75], [0.25, 0.75]])
    assert numbers["given"].dtype == "int64"
    assert numbers["suggested"].tolist() == [10, 10]  # 9 before 10: integers are numbers, not text


def test_notebook_takes_pandas_with_missing_labels_and_named_columns() -> None:
    probs = pd.DataFrame([[0.25, 0.75], [0.75, 0.25], [0.5, 0.5]], columns=["dog", "cat"])
    frame = label_issues(pd.Series(["dog", "dog", None]), probs)
    assert frame["suggested"].tolist() == ["cat", "dog", "dog"]
    floats = label_issues(pd.Series([1.0, float("nan"), 3.0]), [[0.25, 0.75]] * 3)
    assert floats["given"].astype("object").tolist() == [1, pd.NA, 3]
    assert floats["suggested"].tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("labels", "probs", "classes", "sentence"),
    [
        (["a", "b"], [[0.5, 0.25, 0.25]] * 2, None, "2 distinct labels but 3 columns of probabilities; pass classes="),
        (["a", "b"], GOOD, ["a", "c"], "row 1 has label 'b', which is not among the 2 classes"),
        (["a", "b"], GOOD, ["a"], "got 1 for 2 columns"),
        (["a", "b"], GOOD, ["a", "a"], "distinct names"),
        (["a", "b"], [[0.5, 0.5], [1.0]], None, "table of numbers"),
        (["a", "b"], [["x", "y"]] * 2, None, "table of numbers"),
        (["a", "b"], [0.5, 0.5], None, r"probabilities are \(n, K\)"),
        ([0.5, 1], GOOD, None, "a label is a name or an integer; got 0.5"),
    ],
)
def test_notebook_mistakes_get_a_sentence(
    labels: list[object], probs: object, classes: list[str], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        label_issues(labels, probs, classes)
