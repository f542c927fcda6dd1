"""What is no label and no probability is refused in a sentence that names the row; what has an answer gets one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from secondlook.pipeline.audit import label_errors, label_errors_topk, label_issues
from secondlook.pipeline.audit.labels.bad_rows import RowError
from secondlook.pipeline.core.errors import UserError

GOOD = [[0.5, 0.5], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("labels", "probs", "sentence"),
    [
        ([0, 1], [[0.5, 0.5], [0.5]], "table of numbers, .* or of unequal length"),
        (["a", "b"], GOOD, "labels are class indices .* got <U1 and float64 .label_issues takes names"),
        ([0, None], GOOD, "labels are class indices .* got object"),
        ([0, np.nan], GOOD, "labels are class indices .* got float64 .* labels that are missing"),
        ([0, 1], [["a", "b"], ["c", "d"]], "got int64 and <U1"),
        ([0, 1], [[1, 0], [0, 1]], "got int64 and int64$"),
        ([0, 0], [[1.0], [1.0]], "at least 2 classes; got 1"),
        ([0, 1], [[50.0, 50.0], [25.0, 75.0]], "row 0 .* sums to 100; .*; are these percentages[?]"),
        ([0, 1], [[0.5, 0.5], [1.0, -1e-9]], "row 1 .* has -1e-09 in column 1; .* set it to 0"),
        ([0, 1], [[0.5, 0.5], [2.5, -1.5]], "row 1 .* has -1.5 in column 1; .* softmax"),
        ([0, 1], [[0.5, 0.5], [np.nan, np.nan]], "row 1 .* has nan in column 0"),
        ([0, 1, 1], GOOD, "got 3 labels and 2 rows"),
    ],
)
def test_label_errors_refuses(labels: Any, probs: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        label_errors(labels, probs)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_classes": 1}, "at least 2 classes to compare; got n_classes=1"),
        ({"n_classes": 0}, "at least 2 classes to compare; got n_classes=0"),
        ({"classes": [[0.0, 1.0]]}, "lists of classes are indices"),
        ({"probs": [[0.5, np.nan]]}, "row 0 of the probabilities has nan in column 1"),
        ({"probs": [[0.5, -0.25]]}, "row 0 of the probabilities has -0.25"),
        ({"probs": [[0.0, 0.0]]}, "row 0 lists probabilities of 0 together, .* and leaves 2 classes out"),
        ({"probs": [[0.25, 0.25]], "n_classes": 2}, "row 0 lists probabilities of 0.5 together, .* leaves 0 classes out"),
        ({"probs": [[0.5, 0.45]], "n_classes": 2}, "row 0 lists probabilities of 0.95 together, .* leaves 0 classes out"),
        ({"probs": [[0.75, 0.001]]}, "row 0 lists probabilities of 0.751 together, the smallest 0.001"),
        ({"p_given": ["x"]}, "one number a row; got <U1"),
        ({"given": [3], "p_given": [0.25], "probs": [[0.5, 0.5]]}, "row 0 gives its label the probability 0.25, but its list leaves it out, and at most 0;"),
        ({"given": [3], "p_given": [0.4], "probs": [[0.4, 0.2]]}, "the probability 0.4, but its list leaves it out, and at most 0.2;"),
        ({"given": [0], "p_given": [0.4], "probs": [[0.6, 0.3]]}, "the probability 0.4, but its list says 0.6; .* same order"),
    ],
)  # fmt: skip
def test_lists_are_refused(options: dict[str, Any], sentence: str) -> None:
    asked = {"given": [0], "classes": [[0, 1]], "probs": [[0.5, 0.3]], "n_classes": 4} | options
    arrays: dict[str, Any] = {name: value if name == "n_classes" else np.array(value) for name, value in asked.items()}
    with pytest.raises(UserError, match=sentence):
        label_errors_topk(**arrays)


def test_small_probabilities_may_be_left_out_of_a_list() -> None:
    found = label_errors_topk(np.array([0]), np.array([[0, 1]]), np.array([[0.9, 0.04]]), 40)
    assert found.p_error.tolist() == [pytest.approx(0.04 / 0.94)]


def test_the_row_that_is_refused_is_a_number_too() -> None:
    with pytest.raises(RowError) as problem:
        label_errors(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, np.nan]]), first_row=40)
    assert (problem.value.row, problem.value.what) == (41, "has nan in column 1; only finite numbers are allowed")


@pytest.mark.parametrize(
    ("labels", "probs", "options", "sentence"),
    [
        (None, GOOD, {}, "labels are a list, an array or a series .*; got None"),
        (3, GOOD, {}, "labels are a list, an array or a series .*; got 3"),
        ("ab", GOOD, {}, "labels are a list, an array or a series .*; got 'ab'"),
        (["a"], GOOD, {}, "got 1 labels and 2 rows"),
        (np.array([["a"], ["b"]]), GOOD, {}, r"a label is a name or an integer; got \['a'\]"),
        ([1.5, 2], GOOD, {}, "a label is a name or an integer; got 1.5"),
        ([float("inf"), 2], GOOD, {}, "a label is a name or an integer; got inf"),
        (["a", "b"], GOOD, {"classes": "ab"}, "classes are a list of names; got 'ab'"),
        (["a", "b"], GOOD, {"classes": ["a", None]}, "distinct names, none of them missing"),
        (["a", "b"], GOOD, {"margin": 2}, "margin takes from -1 to 1, got 2"),
        (["a", "a"], GOOD, {}, "1 distinct labels but 2 columns .* pass classes="),
        (["a", "a"], [[1.0], [1.0]], {}, "at least 2 classes; got 1"),
        (["a", "b"], {"a": [0.5], "b": [0.5]}, {}, r"probabilities are \(n, K\); got shape \(\)"),
        (["a", "b"], pd.DataFrame({"id": ["x", "y"], "a": [1.0, 1.0]}), {}, "table of numbers"),
        (["a", "b"], [[0.5, None], [0.5, 0.5]], {}, "row 0 of the probabilities has nan in column 1"),
        (["a", "b"], [[0.5, 0.6], [0.5, 0.5]], {}, "row 0 of the probabilities sums to 1.1"),
        ([None, None], GOOD, {}, "0 distinct labels but 2 columns"),
    ],
)
def test_the_notebook_refuses(labels: Any, probs: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        label_issues(labels, probs, **options)
