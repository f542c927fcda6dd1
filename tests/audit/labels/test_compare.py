"""Properties of the comparison that SL101 is built on: nothing but the values matters."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.audit.labels import compare as module
from secondlook.pipeline.audit.labels.compare import Compared, compare, compare_topk
from secondlook.pipeline.audit.labels.flags import empty, tally
from secondlook.pipeline.audit.labels.mislabels import label_errors, label_errors_topk

Table = npt.NDArray[Any]
seeds = st.integers(0, 2**32 - 1)
KINDS = ("soft", "sharp", "one-hot", "uniform", "tied")


@st.composite
def cases(draw: st.DrawFn) -> tuple[Table, Table, int]:
    """Labels (n,), some missing, and probabilities (n, K) float32: of any sharpness, one-hot, uniform, with ties."""
    n, k, rng = draw(st.integers(0, 60)), draw(st.integers(2, 9)), np.random.default_rng(draw(seeds))
    kind = draw(st.sampled_from(KINDS))
    probs = rng.dirichlet(np.full(k, {"soft": 5.0, "sharp": 0.05}.get(kind, 0.5)), n)
    if kind == "one-hot":
        probs = np.eye(k)[rng.integers(0, k, n)]
    elif kind == "uniform":
        probs = np.full((n, k), 1 / k)
    elif kind == "tied":
        probs = np.eye(k)[rng.integers(0, k, n)] / 2 + np.eye(k)[rng.integers(0, k, n)] / 2
    labels = np.where(rng.random(n) < 0.15, -1, rng.integers(0, k, n))
    return labels, probs.astype(np.float32), int(rng.integers(0, 2**32))


def same(one: Compared, two: Compared) -> None:
    for name in Compared._fields:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


@given(cases())
@settings(deadline=None, max_examples=80)
def test_scores_lie_between_0_and_1_and_extremes_are_extreme(case: tuple[Table, Table, int]) -> None:
    labels, probs, _ = case
    found = label_errors(labels, probs)
    known = labels >= 0
    assert np.isnan(found.p_error[~known]).all()
    assert ((found.p_error[known] >= 0) & (found.p_error[known] <= 1)).all()
    assert not found.flagged[~known].any()
    assert (found.suggested[found.flagged] != labels[found.flagged]).all()
    rows = np.flatnonzero(known)
    certain = probs[rows, labels[rows]] == 1
    assert (found.p_error[rows[certain]] == 0).all()
    denied = (probs.max(axis=1)[rows] == 1) & ~certain
    assert (found.p_error[rows[denied]] >= 1 - 1e-6).all()


@given(cases())
@settings(deadline=None, max_examples=80)
def test_the_order_of_rows_does_not_matter_for_any_flag(case: tuple[Table, Table, int]) -> None:
    labels, probs, seed = case
    order = np.random.default_rng(seed).permutation(len(labels))
    one, two = label_errors(labels, probs), label_errors(labels[order], probs[order])
    assert one.margin == two.margin
    for name in ("p_error", "suggested", "flagged"):
        np.testing.assert_array_equal(getattr(one, name)[order], getattr(two, name))


@given(cases())
@settings(deadline=None, max_examples=80)
def test_the_order_of_classes_does_not_matter_for_any_flag(case: tuple[Table, Table, int]) -> None:
    labels, probs, seed = case
    order = np.random.default_rng(seed).permutation(probs.shape[1])
    renamed = np.where(labels >= 0, np.argsort(order)[labels], -1)
    one, two = label_errors(labels, probs), label_errors(renamed, probs[:, order])
    assert one.margin == two.margin
    np.testing.assert_array_equal(one.p_error, two.p_error)
    np.testing.assert_array_equal(one.flagged, two.flagged)
    for row in np.flatnonzero(one.suggested != order[two.suggested]):  # only among equals
        assert probs[row, one.suggested[row]] == probs[row, order[two.suggested[row]]]


@given(cases(), st.integers(1, 20))
@settings(deadline=None, max_examples=80)
def test_parts_of_any_size_add_up_to_the_whole(case: tuple[Table, Table, int], size: int) -> None:
    labels, probs, _ = case
    n, k = probs.shape
    whole = compare(labels, probs)
    parts = [compare(labels[at : at + size], probs[at : at + size]) for at in range(0, n, size)]
    for name in Compared._fields:
        joined = np.concatenate([getattr(part, name) for part in parts]) if parts else np.empty(0)
        np.testing.assert_array_equal(getattr(whole, name), joined)
    added = sum((tally(part, k) for part in reversed(parts)), start=empty(k))
    assert added.to_bytes() == tally(whole, k).to_bytes()


@given(cases(), st.integers(1, 400))
@settings(deadline=None, max_examples=60)
def test_blocks_do_not_matter(case: tuple[Table, Table, int], block_bytes: int) -> None:
    labels, probs, _ = case
    classes = np.argsort(-probs, axis=1)
    lists = (classes, np.take_along_axis(probs, classes, 1), probs.shape[1])
    with pytest.MonkeyPatch.context() as patch:
        dense, listed = compare(labels, probs), compare_topk(labels, *lists)
        patch.setattr(module, "BLOCK_BYTES", block_bytes)
        same(compare(labels, probs), dense)
        same(compare_topk(labels, *lists), listed)


@given(cases())
@settings(deadline=None, max_examples=80)
def test_lists_of_all_classes_are_the_full_table_in_any_order(case: tuple[Table, Table, int]) -> None:
    labels, probs, seed = case
    n, k = probs.shape
    rng = np.random.default_rng(seed)
    classes = np.argsort(-probs, axis=1, kind="stable")
    full, lists = compare(labels, probs), compare_topk(labels, classes, np.take_along_axis(probs, classes, 1), k)
    same(full, lists)
    shuffled = rng.permuted(classes, axis=1)
    mixed = compare_topk(labels, shuffled, np.take_along_axis(probs, shuffled, 1), k)
    np.testing.assert_array_equal(full.ahead, mixed.ahead)
    padded = np.hstack([np.full((n, 3), -1), shuffled, np.full((n, 2), -1)])
    kept = np.where(padded >= 0, np.take_along_axis(probs, np.maximum(padded, 0), 1), np.nan)
    same(compare_topk(labels, padded, kept, k), mixed)


@given(cases(), st.integers(2, 9), st.integers(0, 5))
@settings(deadline=None, max_examples=80)
def test_short_lists_never_exceed_the_bound_and_padding_changes_nothing(
    case: tuple[Table, Table, int], top: int, padding: int
) -> None:
    labels, probs, _ = case
    k = probs.shape[1]
    classes = np.argsort(-probs, axis=1, kind="stable")[:, :top]
    kept = np.take_along_axis(probs, classes, 1)
    full, short = compare(labels, probs), compare_topk(labels, classes, kept, k)
    listed = (classes == labels[:, None]).any(axis=1)
    for name in Compared._fields:
        np.testing.assert_array_equal(getattr(full, name)[listed], getattr(short, name)[listed])
    outside = ~listed & short.labeled
    assert (short.p_given[outside] <= kept[outside].min(axis=1, initial=1)).all()
    np.testing.assert_array_equal(full.other[outside], short.other[outside])
    told = compare_topk(labels, classes, kept, k, full.p_given)
    same(told, full)
    wide = np.hstack([classes, np.full((len(labels), padding), -1)])
    same(compare_topk(labels, wide, np.hstack([kept, np.full((len(labels), padding), np.nan)]), k), short)


@given(cases())
@settings(deadline=None, max_examples=60)
def test_types_of_floats_agree_as_far_as_they_reach(case: tuple[Table, Table, int]) -> None:
    labels, probs, _ = case
    half = probs.astype(np.float16)
    same(compare(labels, half), compare(labels, half.astype(np.float32)))
    same(compare(labels, half), compare(labels, half.astype(np.float64)))
    np.testing.assert_allclose(compare(labels, half).ahead, compare(labels, probs).ahead, atol=2e-3)
    np.testing.assert_allclose(compare(labels, probs.astype(np.float64) + 1e-9).ahead, compare(labels, probs).ahead, atol=1e-6)  # fmt: skip


def test_one_class_only_and_a_class_without_images_have_answers() -> None:
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(4), 50)
    only = label_errors(np.zeros(50, int), probs)
    assert np.isfinite(only.p_error).all()
    gap = label_errors(rng.integers(0, 3, 50), probs)  # no image is labeled 3, but it may be suggested
    assert 3 in gap.suggested
    none = label_errors(np.full(50, -1), probs)
    assert not none.flagged.any()
    assert np.isnan(none.p_error).all()
    assert len(label_errors_topk(np.empty(0, int), np.empty((0, 2), int), np.empty((0, 2)), 4).flagged) == 0
