"""SL502 on probabilities and names."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from secondlook.pipeline.audit.classes.two_names import LEAST, Rivals, Seen, rivals, seen, two_names

Array = npt.NDArray[Any]
NAMES = ["bird", "cat", "cat_2", "dog"]
SIZES = {"bird": 400, "cat": 300, "cat_2": 100, "dog": 400}


def pictures(seed: int, sizes: list[int], *, neighbors: float = 0.1) -> tuple[Array, Array, Array]:
    """Labels and top probabilities of pictures: classes 1 and 2 are one thing, 1 and 3 look alike."""
    rng = np.random.default_rng(seed)
    given = np.repeat(np.arange(4), sizes)
    thing = np.where(given == 2, 1, given)
    score = rng.normal(0, 1, (len(given), 4)) + 5 * (thing[:, None] == np.array([0, 1, 1, 3]))
    score[:, 2] -= 1  # the rarer name is less probable
    blurred = rng.random(len(given)) < neighbors
    score[blurred & (thing == 1), 3] += 4
    probs = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    classes = np.argsort(-probs, axis=1, kind="stable")
    return given, classes.astype(np.int32), np.take_along_axis(probs, classes, 1).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_a_class_that_was_split_at_random_is_found_and_neighbors_are_not(seed: int) -> None:
    look = seen(rivals(*pictures(seed, list(SIZES.values()))))
    found = list(two_names(NAMES, SIZES, look, 0.75))
    assert [(one.subject, one.evidence["other"], one.subject_kind) for one in found] == [("cat_2", "cat", "class")]
    assert found[0].message.startswith(
        "may be another name for cat: the model tells their pictures apart with an area of 0."
    )
    assert abs(look.area(1, 2) - 0.5) < 0.1  # type: ignore[operator]
    assert look.area(1, 3) > 0.9  # type: ignore[operator]


def test_the_area_is_that_of_scikit_learn() -> None:
    given, classes, probs = pictures(5, [0, 200, 150, 250], neighbors=0.6)
    full = np.zeros((len(given), 4))
    np.put_along_axis(full, classes.astype(np.int64), probs.astype(np.float64), 1)
    look = seen(rivals(given, classes, probs))
    for a, b in ((1, 2), (1, 3), (2, 3)):
        rows = np.isin(given, (a, b)) & (full[:, a] + full[:, b] >= 0.5)
        odds = np.clip(np.log(np.maximum(full[rows, a], LEAST) / np.maximum(full[rows, b], LEAST)), -4, 4)
        assert look.area(a, b) == pytest.approx(roc_auc_score(given[rows] == a, odds), abs=0.02)


@given(st.integers(0, 2**16), st.integers(1, 80), st.integers(1, 5))
def test_counts_of_parts_add_up(seed: int, n: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    given, probs = rng.integers(-1, 5, n), rng.dirichlet(np.full(5, 0.3), n)
    classes = np.argsort(-probs, axis=1)[:, :3].astype(np.int32)
    top = np.take_along_axis(probs, classes, 1).astype(np.float32)
    classes[rng.random(classes.shape) < 0.1] = -1
    whole = rivals(given, classes, top)
    cut = [rivals(given[part], classes[part], top[part]) for part in np.array_split(np.arange(n), parts)]
    joined = Rivals(
        *(np.concatenate([getattr(one, name) for one in cut]) for name in ("given", "other", "bin", "clear", "n"))
    )
    one, two = seen(whole), seen(joined)
    assert one == two
    assert sum(one.pictures.values()) == (given >= 0).sum()
    for (first, second), pair in one.overlaps.items():
        assert first < second
        assert 0 <= pair.area <= pair.upper
        assert 0 < pair.joint <= 1


NOTHING = Seen({}, {})


def test_names_alone_make_findings_and_the_model_may_refute_some() -> None:
    names = ["airplan", "airplane", "tabby cat", "tabby_cat", "yak"]
    sizes = {"airplane": 50, "airplan": 2, "tabby cat": 9, "tabby_cat": 9}
    found = [(one.subject, one.evidence["other"], one.score) for one in two_names(names, sizes, NOTHING, 0.7)]
    assert found == [("airplan", "airplane", 0.5), ("tabby_cat", "tabby cat", 1.0)]
    apart = Seen({}, dict.fromkeys(range(5), 20))  # enough pictures, and no two classes ever compete
    assert [one.subject for one in two_names(names, sizes, apart, 0.7)] == ["tabby_cat"]
    few = Seen({}, dict.fromkeys(range(5), 5))
    assert len(list(two_names(names, sizes, few, 0.7))) == 2


def test_three_names_are_one_finding_for_each_smaller_one() -> None:
    found = list(two_names(["A cat", "a_cat", "a-cats"], {"A cat": 3, "a_cat": 2, "a-cats": 1}, NOTHING, 0.7))
    assert [(one.subject, one.evidence["other"], one.evidence["also"]) for one in found] == [
        ("a_cat", "A cat", []), ("a-cats", "A cat", ["a_cat"])
    ]  # fmt: skip
    assert found[1].message == "may be another name for A cat, and 1 more: the same name written differently"


def test_too_few_pictures_say_nothing() -> None:
    look = seen(rivals(*pictures(1, [9, 9, 9, 9])))
    assert look.overlaps
    assert list(two_names(["a", "b", "c", "d"], {}, look, 1.0)) == []


def test_no_pictures_are_no_pairs() -> None:
    empty = rivals(np.array([], np.int64), np.zeros((0, 2), np.int32), np.zeros((0, 2), np.float32))
    assert seen(empty) == NOTHING
