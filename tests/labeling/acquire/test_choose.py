"""A batch: chance is chance, floors are kept, the limit is kept, and the same arguments give the same batch."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from secondlook.labeling.acquire.balance import Groups, floors, left_out, rates
from secondlook.labeling.acquire.budget import Limit
from secondlook.labeling.acquire.choose import Rules, arrange, choose, pictures, shortlist

PLAIN = Rules(0.0, 0.8, 0.9)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def groups_of(*columns: list[int]) -> Groups:
    codes = np.array(columns, np.int64).T
    return Groups([f"a{n}" for n in range(len(columns))], [[str(v) for v in range(max(c) + 1)] for c in columns], codes)


def test_the_random_share_is_uniform_over_everything_that_may_be_drawn() -> None:
    """Chi-square over 4,000 batches: also what is worth most has the same chance, so estimates need no weights."""
    value = np.linspace(0, 1, 40)
    drawable = np.arange(40) % 4 != 0
    counts = np.zeros(40)
    for seed in range(4000):
        found = choose(value, np.ones(40), Limit(10), Rules(0.5, 0.0, 0.0), rng(seed), drawable=drawable)
        assert len(found.random) == 5
        assert not {*found.random.tolist()} & {*found.best.tolist()}
        counts[found.random] += 1
    assert counts[~drawable].sum() == 0
    assert chisquare(counts[drawable]).pvalue > 0.001
    assert chisquare(counts[drawable][:10]).pvalue > 0.001


def test_without_spread_and_chance_the_best_are_taken() -> None:
    value = rng(1).random(5000)
    found = choose(value, np.ones(5000), Limit(100), Rules(0.0, 0.0, 0.0), rng())
    assert found.best.tolist() == np.argsort(-value)[:100].tolist()


def test_equal_values_come_in_random_order_and_only_by_the_seed() -> None:
    def batch(seed: int) -> list[int]:
        return [int(row) for row in choose(np.ones(500), np.ones(500), Limit(20), PLAIN, rng(seed)).best]

    assert batch(1) == batch(1) != batch(2)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([0.1, 0.5, 1.0])), min_size=1, max_size=80
    ),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.5, 0.8, 1.0]),
)
def test_floors_hold_for_each_group_that_has_enough(them: list[tuple[int, int, float]], n: int, floor: float) -> None:
    a, b, value = (list(column) for column in zip(*them, strict=True))
    groups = groups_of(a, b)
    found = choose(np.array(value), np.ones(len(a)), Limit(n), Rules(0.0, floor, 0.0), rng(7), groups=groups)
    n = min(n, len(a))
    assert len(found.best) == n
    cells = groups.cells
    assert len({*cells.tolist()}) == len({*zip(a, b, strict=True)})
    least = floors(cells, n, floor)
    have = np.bincount(cells[found.best], minlength=len(least))
    assert (have >= least).all(), "each combination of groups"
    one = groups_of(a)
    alone = choose(np.array(value), np.ones(len(a)), Limit(n), Rules(0.0, floor, 0.0), rng(7), groups=one)
    assert (np.bincount(one.codes[alone.best, 0], minlength=3)[: max(a) + 1] >= floors(one.codes[:, 0], n, floor)).all()
    assert len(found.plain) == n


def test_floors_of_many_small_cells_add_up_to_those_of_the_groups() -> None:
    """Each cell's floor rounds down to 0; the groups' own floors make up for it."""
    a = (np.arange(400) % 2).tolist()
    b = (np.arange(400) // 2 % 40).tolist()
    value = np.where(np.array(a) == 0, 1.0, 0.1)
    groups = groups_of(a, b)
    found = choose(value, np.ones(400), Limit(40), Rules(0.0, 0.8, 0.0), rng(), groups=groups)
    assert floors(groups.cells, 40, 0.8).sum() == 0
    assert np.bincount(groups.codes[found.best, 0]).tolist() == [24, 16], "0.8 * 40 * 50 % of group 1, no more"


def test_balance_changes_nothing_where_nobody_is_left_out() -> None:
    value = rng(2).random(300)
    fair = groups_of((np.arange(300) % 2).tolist())
    found = choose(value, np.ones(300), Limit(50), Rules(0.0, 0.5, 0.0), rng(), groups=fair)
    assert sorted(found.best.tolist()) == sorted(found.plain.tolist())


def test_a_limit_of_seconds_is_kept_and_used() -> None:
    seconds = rng(3).uniform(2, 10, 400)
    found = choose(rng(4).random(400), seconds, Limit(seconds=300.0), Rules(0.1, 0.8, 0.9), rng())
    spent = seconds[found.best].sum() + seconds[found.random].sum()
    assert 290 < spent <= 300
    assert pictures(Limit(seconds=300.0), seconds) == int(300 / seconds.mean())
    assert len(found.random) == round(pictures(Limit(seconds=300.0), seconds) * 0.1)


def test_hostile_sizes() -> None:
    nothing = choose([], [], Limit(10), PLAIN, rng())
    assert len(nothing.best) == len(nothing.random) == 0
    assert len(choose([1.0], [1.0], Limit(10**7), PLAIN, rng()).best) == 1
    assert len(choose([1.0] * 5, [6.0] * 5, Limit(seconds=5.0), PLAIN, rng()).best) == 0
    assert len(choose([0.0] * 5, [6.0] * 5, Limit(5), PLAIN, rng()).best) == 0


def test_the_short_list_grows_until_nothing_better_is_left_aside() -> None:
    """All of the first short list are copies of one picture: the others get their turn."""
    value = np.concatenate([np.full(5000, 1.0), np.linspace(0.6, 0.4, 300)]) - np.linspace(0, 1e-3, 5300)
    places = np.concatenate([np.zeros((5000, 2)), 100 + 50 * rng(2).standard_normal((300, 2))]).astype(np.float32)
    found = choose(value, np.ones(5300), Limit(50), PLAIN, rng(), vectors=lambda rows: places[rows])
    assert len(found.best) == 50
    assert (found.best < 5000).sum() < 10, "all 50 without it"


def test_vectors_are_asked_for_once_where_the_short_list_does() -> None:
    calls: list[int] = []

    def vectors(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        calls.append(len(rows))
        return rng(1).standard_normal((len(rows), 64)).astype(np.float32)

    choose(rng(1).random(100_000) ** 9, np.ones(100_000), Limit(300), Rules(0.0, 0.8, 0.1), rng(), vectors=vectors)
    assert len(calls) == 1
    assert calls[0] <= 300 * 10 + 300 + 1


def test_the_short_list_has_the_best_of_all_and_of_each_cell() -> None:
    value = rng(1).random(60_000)
    cells = (np.arange(60_000) % 50 == 0).astype(np.int64)
    value[cells == 1] *= 0.01
    short, outside = shortlist(value, 3000, cells, rng())
    assert outside == np.delete(value, short).max()
    assert {*np.argsort(-value)[:3000].tolist()} <= {*short.tolist()}
    mine = np.flatnonzero(cells == 1)
    assert {*mine[np.argsort(-value[mine])[:60]].tolist()} <= {*short.tolist()}
    assert len(short) < 3200


def test_like_stays_beside_like_and_the_order_tells_nothing() -> None:
    groups = ["cat / dog"] * 5 + ["bee / fly"] * 7 + [""] * 3
    order = arrange(groups, rng(1))
    assert sorted(order) == list(range(15))
    named = [groups[n] for n in order]
    assert len([n for n in range(15) if n == 0 or named[n] != named[n - 1]]) == 3
    firsts = {next(groups[n] for n in arrange(groups, rng(seed))) for seed in range(30)}
    assert firsts == {*groups}, "no group is always the first"


def test_who_would_have_been_left_out_is_said_with_figures() -> None:
    groups = groups_of([0] * 90 + [1] * 10)
    told = rates(groups, np.arange(20), np.append(np.arange(19), 95))
    assert told["a0"]["1"] == {"candidates": 10, "without": 0, "with": 1, "kept": 0.0}
    assert told["a0"]["0"]["kept"] == pytest.approx(20 / 90 / 0.2, abs=1e-3)
    assert left_out(told, 0.8) == ["a0 1: 1 asked for; without balance 0, 0.00 times as often as chance"]
    assert left_out(told, 0.8, {"a0"})[0].startswith("a0 (estimated) 1: ")
    assert left_out(rates(groups, np.arange(20), np.arange(20)), 0.8) == []


def test_a_small_batch_has_one_by_chance_too() -> None:
    worth, cost = np.linspace(1.0, 2.0, 40), np.ones(40)
    some = choose(worth, cost, Limit(pictures=5), Rules(random_share=0.05), np.random.default_rng(3))
    assert (len(some.random), len(some.best)) == (1, 4)
    none = choose(worth, cost, Limit(pictures=5), Rules(random_share=0.0), np.random.default_rng(3))
    assert (len(none.random), len(none.best)) == (0, 5)
