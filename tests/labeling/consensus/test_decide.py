"""Consensus: answers of several people become one decision, or none with the reason."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.labeling.consensus.decide import REASONS, Decision, Undecided, Vote, judge
from secondlook.labeling.consensus.methods import METHODS
from secondlook.pipeline.core.errors import UserError

CLASSES = ["bird", "cat", "dog", "frog"]


def votes(*answers: str) -> list[Vote]:
    """`votes("ann:cat bob:dog", "ann:unsure")`: a text an item."""
    found = []
    for item, text in enumerate(answers):
        for word in text.split(","):
            annotator, answer = word.strip().split(":")
            is_label = answer not in ("unsure", "none of these", "bad picture")
            found.append(Vote(item, annotator, answer if is_label else None, "label" if is_label else answer))
    return found


def decide(
    given: Sequence[Vote],
    classes: Sequence[str] = CLASSES,
    *,
    min_probability: float = 0.6,
    name: str = "weighed",
    model: Sequence[Mapping[str, float]] | None = None,
) -> list[Decision | Undecided]:
    return judge(given, classes, min_probability=min_probability, name=name, model=model).results


# By hand


def test_one_answer_is_believed_as_much_as_the_prior_believes_people() -> None:
    [decision] = decide(votes("ann:cat"), CLASSES, min_probability=0.6)
    assert isinstance(decision, Decision)
    assert (decision.label, decision.overruled) == ("cat", ())
    assert decision.probability == pytest.approx(0.8, abs=1e-4)


def test_two_agree_and_overrule_the_third() -> None:
    [decision] = decide(votes("ann:cat, bob:cat, eve:dog"), CLASSES, min_probability=0.6)
    assert isinstance(decision, Decision)
    assert (decision.label, decision.overruled) == ("cat", ("eve",))
    assert decision.probability > 0.9


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ("ann:cat, bob:dog", "disagreement"),
        ("ann:unsure, bob:unsure", "unsure"),
        ("ann:none of these", "none of these"),
        ("ann:none of these, bob:cat", "none of these"),
        ("ann:bad picture, bob:bad picture, eve:cat", "bad picture"),
    ],
)
def test_no_decision_has_a_reason(answers: str, reason: str) -> None:
    [result] = decide(votes(answers), CLASSES, min_probability=0.6)
    assert isinstance(result, Undecided)
    assert result.reason == reason
    assert reason in REASONS


def test_unsure_does_not_stand_against_a_class() -> None:
    [decision] = decide(votes("ann:cat, bob:unsure"), CLASSES, min_probability=0.6)
    assert isinstance(decision, Decision)
    assert (decision.label, decision.overruled) == ("cat", ())


def test_an_even_split_is_no_decision_even_at_one_half() -> None:
    [result] = decide(votes("ann:cat, bob:dog"), ["cat", "dog"], min_probability=0.5)
    assert isinstance(result, Undecided)


def test_who_agrees_with_the_others_outweighs_who_does_not() -> None:
    agreed = [
        f"ann:{name}, bob:{name}, eve:{other}" for name, other in zip(CLASSES * 8, CLASSES[1:] * 99, strict=False)
    ]
    results = decide(votes(*agreed, "ann:cat, eve:dog"), CLASSES, min_probability=0.6)
    last = results[-1]
    assert isinstance(last, Decision)
    assert (last.label, last.overruled) == ("cat", ("eve",))


def test_the_model_is_one_more_voice() -> None:
    split = votes("ann:cat, bob:dog")
    [with_cat] = decide(split, model=[{"cat": 0.9, "dog": 0.05}])
    assert isinstance(with_cat, Decision)
    assert with_cat.label == "cat"
    assert with_cat.alone is not None
    assert with_cat.alone < with_cat.probability


def test_what_the_model_alone_finds_is_no_decision() -> None:
    [against] = decide(votes("ann:cat"), model=[{"dog": 0.999, "cat": 0.0001}])
    assert against == Undecided("model disagrees", against.probability)
    [silent] = decide([], model=[{"dog": 0.999}])
    assert silent == Undecided("unsure")


def test_a_model_that_does_not_know_the_picture_says_nothing() -> None:
    [without] = decide(votes("ann:cat"))
    [unknown] = decide(votes("ann:cat"), model=[{}])
    assert unknown.probability == pytest.approx(without.probability)


def test_gold_tells_who_is_right_and_is_not_outvoted_by_agreement() -> None:
    """Two who agree on wrong answers are believed, until pictures whose class is known give them away."""
    asked = votes(*["ann:cat, bob:cat, eve:dog"] * 12)
    [first, *_] = decide(asked)
    assert isinstance(first, Decision)
    assert first.label == "cat"
    gold = judge(asked, CLASSES, min_probability=0.6, known=dict.fromkeys(range(1, 12), "dog"))
    [first, *_] = gold.results
    assert isinstance(first, Decision)
    assert first.label == "dog"
    assert gold.reliability["eve"] > 0.8
    assert gold.reliability["ann"] < 0.5


def test_every_vote_for_a_class_has_a_weight_and_no_other_has() -> None:
    given = votes("ann:cat, bob:cat, eve:unsure", "ann:dog")
    judged = judge(given, CLASSES, min_probability=0.6)
    assert [weight is None for weight in judged.weights] == [False, False, True, False]
    assert all(weight > 0 for weight in judged.weights if weight is not None)


def test_an_unknown_method_is_refused_by_its_name() -> None:
    with pytest.raises(UserError, match=r"consensus 'magic'.*Choose from"):
        judge(votes("ann:cat"), CLASSES, min_probability=0.6, name="magic")


@pytest.mark.parametrize("name", METHODS)
def test_all_methods_follow_two_against_one_and_leave_a_tie_open(name: str) -> None:
    answers = ["ann:cat, bob:cat, eve:dog", "ann:dog, bob:bird"]
    first, tie = decide(votes(*answers), name=name)
    assert isinstance(first, Decision)
    assert (first.label, first.overruled) == ("cat", ("eve",))
    if name == "majority":
        assert tie == Undecided("disagreement", 0.5)


@pytest.mark.parametrize("name", METHODS)
def test_for_all_methods_the_model_can_tip_the_scales(name: str) -> None:
    sure = [{"cat": 0.97, "dog": 0.01}] * 4
    results = decide(votes("ann:cat, bob:dog", *["ann:cat, bob:cat"] * 3), name=name, model=sure)
    assert isinstance(results[0], Decision)
    assert results[0].label == "cat"


def test_where_every_class_was_named_there_is_no_other() -> None:
    [only] = decide(votes("ann:cat"), ["cat"], min_probability=0.6)
    assert only.probability == 1.0


def test_no_votes_no_decisions() -> None:
    assert decide([], CLASSES, min_probability=0.6) == []


# Properties

WORDS = st.sampled_from([*CLASSES, "unsure", "none of these", "bad picture"])
ITEMS = st.lists(st.dictionaries(st.sampled_from(["ann", "bob", "eve"]), WORDS, min_size=1), min_size=1, max_size=8)


def of(items: list[dict[str, str]]) -> list[Vote]:
    return votes(*[", ".join(f"{name}:{answer}" for name, answer in sorted(item.items())) for item in items])


@given(ITEMS, st.randoms())
@settings(max_examples=50)
def test_neither_the_order_of_items_nor_that_of_people_matters(items: list[dict[str, str]], random: object) -> None:
    order = list(range(len(items)))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight = decide(of(items), CLASSES, min_probability=0.6)
    shuffled = decide(of([items[n] for n in order]), CLASSES, min_probability=0.6)
    for place, n in enumerate(order):
        assert _outcome(shuffled[place]) == _outcome(straight[n])
    renamed = decide(
        of([{{"ann": "zoe", "bob": "bob", "eve": "abe"}[k]: v for k, v in item.items()} for item in items]),
        CLASSES,
        min_probability=0.6,
    )
    assert [_outcome(one) for one in renamed] == [_outcome(one) for one in straight]


def _outcome(result: Decision | Undecided) -> tuple[str, float]:
    return (result.label if isinstance(result, Decision) else result.reason), round(result.probability, 6)


@given(ITEMS)
@settings(max_examples=50)
def test_a_decision_was_named_by_somebody_and_is_probable_enough(items: list[dict[str, str]]) -> None:
    for item, result in zip(items, decide(of(items), CLASSES, min_probability=0.7), strict=True):
        assert 0 <= result.probability <= 1 + 1e-12
        if isinstance(result, Decision):
            assert result.label in item.values()
            assert result.probability >= 0.7
            assert set(result.overruled) == {n for n, a in item.items() if a in CLASSES and a != result.label}


def test_where_more_are_unsure_than_name_a_class_there_is_no_decision() -> None:
    unsure = [Vote(0, "ann", None, "unsure"), Vote(0, "cleo", None, "unsure")]
    named = [Vote(0, "bob", "cat"), Vote(0, "dan", "cat")]
    [left] = decide([*unsure, named[0]], ["cat", "dog"], min_probability=0.6)
    assert isinstance(left, Undecided)
    assert left.reason == "unsure"
    [level] = decide([*unsure, *named], ["cat", "dog"], min_probability=0.6)
    assert isinstance(level, Decision)
