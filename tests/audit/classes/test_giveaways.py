"""SL504 on counts: what it finds, and how often it finds nothing where there is nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from secondlook.pipeline.audit.classes.giveaways import GROUPS, Property, against_chance, gap, giveaways, merged
from secondlook.pipeline.audit.classes.properties import MEASURES

Array = npt.NDArray[Any]
NAMES = ["cat", "dog", "husky"]
COUNTS = arrays.arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.integers(0, 9))


def slow_gap(counts: Array, k: int, *, ordered: bool) -> float:
    """The best over all intervals and their complements, or over all sets of bins."""
    own, rest = counts[k], counts.sum(axis=0) - counts[k]
    if not rest.sum() or not own.sum():
        return 0.0 if not rest.sum() else slow_gap_of(np.zeros(len(own)), rest / rest.sum(), ordered=ordered)
    return slow_gap_of(own / own.sum(), rest / rest.sum(), ordered=ordered)


def slow_gap_of(own: Array, rest: Array, *, ordered: bool) -> float:
    n = len(own)
    if ordered:
        chosen = [[low <= i < high for i in range(n)] for low in range(n + 1) for high in range(low, n + 1)]
    else:
        chosen = [[bool(mask >> i & 1) for i in range(n)] for mask in range(2**n)]
    return max(
        abs(float((own - rest)[np.array(bins, bool)].sum()))
        if ordered
        else float((own - rest)[np.array(bins, bool)].sum())
        for bins in chosen
    )


@given(COUNTS, st.booleans())
def test_the_gap_is_the_best_of_all_sets_of_bins(counts: Array, ordered: bool) -> None:
    found = gap(counts, ordered=ordered)
    for k in range(len(counts)):
        if counts[k].sum():
            assert found.size[k] == pytest.approx(slow_gap(counts, k, ordered=ordered))
            own, rest = counts[k], counts.sum(axis=0) - counts[k]
            if rest.sum():
                chosen = found.chosen[k]
                assert found.size[k] == pytest.approx(own[chosen].sum() / own.sum() - rest[chosen].sum() / rest.sum())


def dealt(rng: np.random.Generator, n: int, classes: int, bins: int) -> Array:
    """A table of pictures whose class says nothing of their bin, classes and bins of unequal sizes."""
    table = np.zeros((classes, bins), np.int64)
    share = [np.sort(rng.dirichlet(np.full(size, 2.0))) for size in (classes, bins)]
    np.add.at(table, (rng.choice(classes, n, p=share[0]), rng.choice(bins, n, p=share[1])), 1)
    return table


@pytest.mark.parametrize("ordered", [True, False])
def test_labels_dealt_out_at_random_give_false_alarms_no_oftener_than_promised(ordered: bool) -> None:
    """Of 600 datasets, p <= 0.1 for any class in at most 10 % (three standard errors allowed)."""
    rng = np.random.default_rng(11)
    alarms = sum(
        bool((against_chance(dealt(rng, 200, 4, 8), rng, ordered=ordered, draws=99).p <= 0.1).any()) for _ in range(600)
    )
    assert 0.02 < alarms / 600 <= 0.1 + 3 * (0.1 * 0.9 / 600) ** 0.5


def tables(rng: np.random.Generator, n: int) -> list[Property]:
    words = ("JPEG", "PNG", "GIF", "WEBP")
    return [
        Property("brightness", dealt(rng, n, 3, 12), tuple(range(12))),
        Property("width", dealt(rng, n, 3, 12), tuple(range(80, 92))),
        Property("file format", dealt(rng, n, 3, 4), words),
        Property("source", dealt(rng, n, 3, 1), ("here",)),
    ]


def test_all_properties_together_keep_the_promise() -> None:
    """Of 500 datasets with three properties that vary, any finding in at most 5 %, whatever the effect."""
    rng = np.random.default_rng(12)
    alarms = sum(
        bool(list(giveaways(tables(rng, 150), NAMES, effect=0.0, alpha=0.05, least=1, draws=199))) for _ in range(500)
    )
    assert alarms / 500 <= 0.05 + 3 * (0.05 * 0.95 / 500) ** 0.5


def plain(
    counts: Sequence[Sequence[int]], name: str = "file format", values: Sequence[str] = ("JPEG", "PNG")
) -> Property:
    return Property(name, np.array(counts, np.int64), tuple(values))


def test_a_planted_artifact_is_found_and_told_so_that_one_can_act() -> None:
    formats = plain([[195, 5], [197, 3], [4, 96]])
    found = list(giveaways([formats], NAMES, effect=0.6, alpha=0.01, least=20))
    assert [(one.subject, one.subject_kind) for one in found] == [("husky", "class")]
    assert (
        found[0].message
        == "file format gives it away: PNG for 96% of its 100 pictures, for 2% of the other 400 (p = 0.0005)"
    )
    told = found[0].evidence["properties"][0]
    assert told["share"] == 0.96
    assert told["share_95"] == [0.9016, 0.9843]
    assert 0.9 < told["effect"] == found[0].score < 0.94


def test_a_huge_dataset_does_not_flag_trivia() -> None:
    trivia = plain([[510_000, 490_000], [490_000, 510_000], [500_000, 500_000]])
    assert list(giveaways([trivia], NAMES, effect=0.6, alpha=0.01, least=20)) == []
    assert list(giveaways([trivia], NAMES, effect=0.005, alpha=0.01, least=20)) != []


def test_an_interval_of_numbers_is_named_by_its_ends_and_other_properties_beside() -> None:
    low = 80  # the bin from 32 pixels
    width = np.zeros((3, 6), np.int64)
    width[:2] = [40, 40, 10, 10, 40, 40]
    width[2] = [2, 3, 45, 45, 3, 2]
    tables = [Property("width", width, tuple(range(low, low + 6))), plain([[100, 80], [90, 90], [0, 100]])]
    (found,) = giveaways(tables, NAMES, effect=0.4, alpha=0.01, least=20)
    assert found.message.startswith(
        "width gives it away: 35 to 39 for 90% of its 100 pictures, for 11% of the other 360 "
    )
    assert found.message.endswith("(also file format)")
    assert [one["property"] for one in found.evidence["properties"]] == ["width", "file format"]
    assert MEASURES["width"].bins({"width": np.array([34, 35, 38, 39])}).tolist() == [81, 82, 83, 84]


def test_what_cannot_be_tested_is_no_finding() -> None:
    assert list(giveaways([], NAMES, effect=0.0, alpha=1.0, least=1)) == []
    one_class = plain([[5, 95]])
    assert list(giveaways([one_class], ["cat"], effect=0.0, alpha=1.0, least=1)) == []
    assert list(giveaways([plain([[19, 0], [0, 19]])], NAMES[:2], effect=0.1, alpha=1.0, least=20)) == []
    assert list(giveaways([plain([[100], [100]], values=("PNG",))], NAMES[:2], effect=0.0, alpha=1.0, least=1)) == []


@given(
    arrays.arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 200)), elements=st.integers(0, 50)),
    st.booleans(),
)
def test_merging_bins_loses_no_picture(counts: Array, ordered: bool) -> None:
    name = "brightness" if ordered else "source"
    values = tuple(range(counts.shape[1])) if ordered else tuple(f"v{i:03}" for i in range(counts.shape[1]))
    small = merged(Property(name, counts, values))
    assert small.counts.shape == (len(counts), len(small.values))
    assert small.counts.shape[1] <= GROUPS
    assert small.counts.sum(axis=1).tolist() == counts.sum(axis=1).tolist()
    if not ordered:
        assert len(set(small.values)) == len(small.values)


def test_a_class_with_every_property_is_one_finding_whatever_its_name() -> None:
    hostile = "<script>\n" + "x" * 10_000
    (found,) = giveaways(
        [plain([[100, 0], [100, 0], [0, 50]], values=("a", "[b]"))],
        ["cat", "dog", hostile],
        effect=0.5,
        alpha=0.01,
        least=20,
    )
    assert (found.subject, found.key) == (hostile, hostile)
    assert "[b] for 100%" in found.message


def test_ids_say_nothing_however_they_are_called() -> None:
    """Each picture has a value of its own, and a few share one: no bin of that tells a class."""
    table = np.zeros((2, 84), np.int64)
    table[0, :40], table[1, 40:80] = 1, 1
    table[:, 80:] = 1
    (small,) = [merged(Property("attribute id", table, tuple(f"{k:02}" for k in range(84))))]
    assert small.values == ("another",)
    assert list(giveaways([small], NAMES[:2], effect=0.0, alpha=1.0, least=1)) == []
