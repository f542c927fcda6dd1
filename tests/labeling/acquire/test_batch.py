"""Choosing what people look at: within the budget, no content twice, the same from the same seed."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.acquire.batch import NO_PAIR, Candidate, arrange, choose


def some(prefix: str, n: int, strategy: str = "SL101", **facts: object) -> list[Candidate]:
    return [
        Candidate(f"{prefix}{i}", f"content {prefix}{i}", strategy, 1 - i / (n + 1), **facts)  # type: ignore[arg-type]
        for i in range(n)
    ]


def test_the_most_doubted_and_the_unlabeled_come_by_turns() -> None:
    chosen = choose(some("d", 50), some("u", 50, "unlabeled"), [], budget=10, random_share=0.0, seed=1)
    assert {one.sample_id for one in chosen} == {f"{p}{i}" for p in "du" for i in range(5)}


def test_what_one_list_does_not_use_the_other_does() -> None:
    chosen = choose(some("d", 2), some("u", 50, "unlabeled"), [], budget=10, random_share=0.0, seed=1)
    assert Counter(one.strategy for one in chosen) == {"SL101": 2, "unlabeled": 8}


def test_a_share_is_drawn_at_random_from_all() -> None:
    chosen = choose(some("d", 50), [], some("r", 1000), budget=20, random_share=0.25, seed=1)
    assert Counter(one.strategy for one in chosen) == {"SL101": 15, "random": 5}


def test_copies_of_one_content_are_asked_for_once() -> None:
    copies = [Candidate(f"s{i}", "same", "SL101", 1.0) for i in range(20)]
    chosen = choose(copies, some("u", 3, "unlabeled"), copies, budget=10, random_share=0.5, seed=1)
    assert Counter(one.content_id for one in chosen)["same"] == 1
    assert len(chosen) == 4


def test_a_batch_is_in_groups_of_a_confused_pair_the_most_valuable_first() -> None:
    one = some("a", 3, pair=("cat", "dog"))
    two = [Candidate(f"b{i}", f"b{i}", "SL101", 0.9, ("bird", "frog")) for i in range(5)]
    rest = some("r", 4)
    pairs = [c.pair for c in arrange([*one, *two, *rest], seed=3)]
    groups = [pair for n, pair in enumerate(pairs) if n == 0 or pairs[n - 1] != pair]
    assert groups == [("bird", "frog"), ("cat", "dog"), NO_PAIR]


def test_within_a_group_the_order_does_not_tell_what_is_doubted() -> None:
    one = [Candidate(f"{i:02}", f"{i}", "SL101", 1 - i / 100, ("cat", "dog")) for i in range(40)]
    order = [c.sample_id for c in arrange(one, seed=1)]
    assert order != sorted(order)
    assert order == [c.sample_id for c in arrange(one[::-1], seed=1)]
    assert sorted(order) == [c.sample_id for c in one]


def test_another_seed_is_another_order_and_another_share() -> None:
    lists = some("d", 30), some("u", 30, "unlabeled"), some("r", 300)
    one, two = (choose(*lists, budget=20, random_share=0.5, seed=seed) for seed in (1, 2))
    assert {c.sample_id for c in one if c.strategy == "random"} != {c.sample_id for c in two if c.strategy == "random"}


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        sample_id=st.integers(0, 30).map(str),
        content_id=st.sampled_from("abcdefgh"),
        strategy=st.just("SL101"),
        value=st.sampled_from([0.0, 0.5, 1.0]),
        pair=st.sampled_from([("cat", "dog"), NO_PAIR]),
    ),
    max_size=20,
    unique_by=lambda c: c.sample_id,
)


@given(CANDIDATES, CANDIDATES, st.integers(1, 20), st.floats(0, 1), st.randoms())
def test_a_batch_keeps_the_budget_and_depends_on_nothing_but_its_arguments(
    doubted: list[Candidate], rest: list[Candidate], budget: int, share: float, random: object
) -> None:
    chosen = choose(doubted, [], rest, budget=budget, random_share=share, seed=7)
    contents = [c.content_id for c in chosen]
    assert len(chosen) <= budget
    assert len(set(contents)) == len(contents)
    assert {c.sample_id for c in chosen} <= {c.sample_id for c in [*doubted, *rest]}
    random.shuffle(doubted)  # type: ignore[attr-defined]
    assert choose(doubted, [], rest, budget=budget, random_share=share, seed=7) == chosen


@given(CANDIDATES, st.integers(1, 8))
def test_without_a_random_share_nothing_worth_more_is_left_out(doubted: list[Candidate], budget: int) -> None:
    chosen = choose(doubted, [], [], budget=budget, random_share=0.0, seed=7)
    best = {c.content_id: 0.0 for c in doubted}
    for c in doubted:
        best[c.content_id] = max(best[c.content_id], c.value)
    expected = sorted(best.values(), reverse=True)[:budget]
    assert [c.value for c in chosen] == expected
