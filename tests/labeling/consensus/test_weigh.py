"""The posterior of votes: by hand, against sums written as loops, against peers, and what must hold of any votes."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from secondlook.labeling.consensus.estimate import Parameters, believe, learn, start
from secondlook.labeling.consensus.layout import FLOOR, Layout, Voice, lay_out
from secondlook.labeling.consensus.weigh import weigh
from secondlook.pipeline.core.seeds import generator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def votes(rows: list[tuple[int, int, int]]) -> tuple[Ints, Ints, Ints]:
    """(item, person, class) a vote."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def crowd(
    seed: int, n: int = 400, k: int = 5, people: int = 8, each: int = 3, skill: tuple[float, float] = (8.0, 2.0)
) -> tuple[Ints, Ints, Ints, Ints]:
    """Independent people: items, people, labels, truth."""
    rng = generator(seed, "crowd")
    truth = rng.integers(0, k, n)
    items = np.repeat(np.arange(n), each)
    who = np.concatenate([rng.choice(people, each, replace=False) for _ in range(n)])
    right = rng.random(len(items)) < rng.beta(*skill, people)[who]
    wrong = (truth[items] + rng.integers(1, k, len(items))) % k
    return items, who, np.where(right, truth[items], wrong), truth


def guesses(seed: int, truth: Ints, k: int, strength: float = 2.0) -> Floats:
    """(n, K): probabilities of a model that is calibrated where strength is the variance of its evidence."""
    rng = generator(seed, "guesses")
    score = rng.normal(0.0, np.sqrt(strength), (len(truth), k))
    score[np.arange(len(truth)), truth] += strength
    odds = np.exp(score)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float64)


# By hand


def test_one_vote_is_believed_as_much_as_people_are() -> None:
    found = weigh(*votes([(0, 0, 2)]), 10)
    assert found.dense(10)[0, 2] == pytest.approx(0.8, abs=1e-4)
    assert found.dense(10).sum() == pytest.approx(1.0)
    assert found.rest[0] == pytest.approx(0.2, abs=1e-4)


def test_a_model_alone_is_believed_as_it_is() -> None:
    probs = np.array([[0.7, 0.2, 0.1]])
    found = weigh(*votes([]), 3, Voice.dense(probs))
    np.testing.assert_allclose(found.dense(3), probs, atol=0.02)
    assert found.dense(3).argmax() == 0


def test_an_item_that_nobody_knows_anything_of_is_any_class() -> None:
    found = weigh(*votes([(0, 0, 1)]), 4, n=2)
    np.testing.assert_allclose(found.dense(4)[1], 0.25)


def test_the_third_equal_answer_weighs_less_than_the_first() -> None:
    """They may be equal because the picture misleads."""
    asked = [(0, 0, 1), (1, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 1), (2, 2, 1)]
    layout = lay_out(*votes(asked), 10, 3, None)
    probs = believe(layout, start(layout, 3))
    sure = probs.of_pairs[layout.labels == 1]
    gained = np.diff(logit(sure), prepend=logit(0.1))
    assert gained[0] > gained[2]
    even = replace(start(layout, 3), spread=0.0)
    same = np.diff(logit(believe(layout, even).of_pairs[layout.labels == 1]), prepend=logit(0.1))
    np.testing.assert_allclose(same, same[0])


def test_a_mistake_that_the_model_foretells_is_weaker_evidence_against_it() -> None:
    """That somebody says wolf where the model hesitates between dog and wolf tells less than where it does not."""
    probs = np.array([[0.6, 0.4 - 1e-3, 1e-3], [0.6, 1e-3, 0.4 - 1e-3]])
    layout = lay_out(*votes([(0, 0, 1), (1, 0, 1)]), 3, 2, Voice.dense(probs))
    p = start(layout, 1)
    logs = believe(layout, p).answers
    against_dog = logs[(layout.labels[layout.pair] == 0), 0]
    assert against_dog[0] > against_dog[1]


# Against the definition, over all classes, both difficulties and all votes, with loops


def slow(
    layout: Layout, p: Parameters, rows: list[tuple[int, int, int]], probs: Floats | None, n: int, k: int
) -> Floats:
    """(n, K): the posterior of `believe`, written down."""
    base = p.everybody
    spread = (p.spread, -p.spread)
    entropy = layout.entropy
    result = np.zeros((n, k))
    for item, y in product(range(n), range(k)):
        if probs is None:
            before = 1.0 / k
        else:
            told = probs[item] ** p.sharpness * np.exp(p.tilt[:k])
            before = (1 - p.off) * told[y] / told.sum() + p.off / k
        for d in (0, 1):
            hard = expit(p.hard[0] + p.hard[1] * entropy[item])
            chance = before * (hard if d else 1 - hard)
            for vote_item, person, label in rows:
                if vote_item != item:
                    continue
                x = base + p.by_class[y] + p.by_person[person] + spread[d]
                if label == y:
                    chance *= expit(x)
                else:
                    habit = 1.0 / (k - 1)
                    if probs is not None:
                        habit = (1 - p.copied) * habit + p.copied * probs[item, label] / (1 - probs[item, y])
                    chance *= expit(-x) * habit
            result[item, y] += chance
    return np.asarray(result / result.sum(axis=1, keepdims=True), np.float64)


@pytest.mark.parametrize("with_model", [False, True])
@pytest.mark.parametrize("k", [2, 3, 7])
def test_beliefs_are_those_of_the_definition(k: int, with_model: bool) -> None:
    for seed in range(4):
        rng = generator(seed, "definition")
        rows = [(int(i), int(a), int(c)) for i, a, c in rng.integers(0, [6, 4, k], (14, 3))]
        probs = rng.dirichlet(np.ones(k), 6) if with_model else None
        if probs is not None:
            probs = np.maximum(probs, FLOOR) / np.maximum(probs, FLOOR).sum(axis=1, keepdims=True)
        layout = lay_out(*votes(rows), k, 6, None if probs is None else Voice.dense(probs, k))
        effects: dict[str, Any] = {"by_class": rng.normal(0, 0.5, k + 1), "by_person": rng.normal(0, 0.5, 4)}
        if probs is None:
            effects["by_class"][:] = 0.3  # of a class that nobody named there is only the mean
        p = replace(start(layout, 4), **effects, tilt=rng.normal(0, 0.3, k + 1), sharpness=1.4, copied=0.3)
        found = believe(layout, p)
        full = np.zeros((6, k))
        inside = layout.labels < k
        full[layout.items[inside], layout.labels[inside]] = found.of_pairs[inside]
        for place in np.flatnonzero(~inside):
            named = set(layout.labels[(layout.items == layout.items[place]) & inside].tolist())
            rest = [c for c in range(k) if c not in named]
            full[layout.items[place], rest] = found.of_pairs[place] / len(rest)
        np.testing.assert_allclose(full, slow(layout, p, rows, probs, 6, k), atol=1e-9)


def test_each_step_makes_the_answers_more_likely() -> None:
    items, people, labels, truth = crowd(3)
    layout = lay_out(items, people, labels, 5, len(truth), Voice.dense(guesses(3, truth, 5)))
    p = start(layout, 8)
    counts = np.ones(len(truth), np.bool_)
    fits = []
    for _ in range(12):
        beliefs = believe(layout, p)
        logs = np.logaddexp.reduce(beliefs.logs, axis=1)
        top = layout.top(logs)
        fits.append(float((top + np.log(layout.total(np.exp(logs - top[layout.items])))).sum()))
        p = learn(layout, p, beliefs, counts)
    assert fits[-1] > fits[0]
    assert min(np.diff(fits)) > -1.0  # priors are part of what is raised, so a little may be lost


def test_a_sparse_voice_is_close_to_the_whole_one() -> None:
    items, people, labels, truth = crowd(5, k=12)
    probs = guesses(5, truth, 12, 4.0)
    whole = weigh(items, people, labels, 12, Voice.dense(probs, 12)).dense(12)
    sparse = weigh(items, people, labels, 12, Voice.dense(probs, 4)).dense(12)
    assert float((whole.argmax(axis=1) == sparse.argmax(axis=1)).mean()) > 0.96


# What is found is what is there


def test_people_are_judged_as_they_are() -> None:
    items, people, labels, truth = crowd(1, n=1500)
    found = weigh(items, people, labels, 5, n=len(truth))
    seen = np.array([(labels == truth[items])[people == a].mean() for a in range(8)])
    assert np.abs(found.reliability - seen).max() < 0.06
    assert np.corrcoef(found.reliability, seen)[0, 1] > 0.95


def test_who_confuses_two_classes_is_heard_for_the_others() -> None:
    """A person who calls every dog a cat is no worse than anybody for birds."""
    items, people, labels, truth = crowd(2, n=2000, people=5)
    labels = np.where((people == 0) & (truth[items] == 1), 0, labels)
    found = weigh(items, people, labels, 5, n=len(truth))
    weights = found.weights[people == 0]
    said, true = labels[people == 0], truth[items][people == 0]
    assert weights[(said == 0)].mean() < weights[(said == 3) & (true == 3)].mean() - 0.5


def test_difficulty_is_found_where_it_is_and_not_where_it_is_not() -> None:
    items, people, labels, truth = crowd(4, n=1500, k=6, each=6)
    rng = generator(4, "hard")
    even = weigh(items, people, labels, 6, n=len(truth)).parameters.spread
    hard = rng.random(len(truth)) < 0.3
    wild = np.where(hard[items] & (rng.random(len(items)) < 0.6), rng.integers(0, 6, len(items)), labels)
    apart = weigh(items, people, wild, 6, n=len(truth)).parameters.spread
    assert apart > even + 0.2


def test_the_sharpness_of_a_model_is_found_without_truth() -> None:
    items, people, labels, truth = crowd(6, n=3000)
    probs = guesses(6, truth, 5)
    blunt = np.sqrt(probs)
    blunt /= blunt.sum(axis=1, keepdims=True)
    assert weigh(items, people, labels, 5, Voice.dense(probs)).parameters.sharpness == pytest.approx(1.0, abs=0.2)
    assert weigh(items, people, labels, 5, Voice.dense(blunt)).parameters.sharpness == pytest.approx(2.0, abs=0.35)


def test_answers_that_stand_alone_teach_nothing_of_people() -> None:
    """Nine of ten pictures are named cat by one person each: no reason to doubt those named dog."""
    rows = [(n, n % 3, 0 if n % 10 else 1) for n in range(300)]
    found = weigh(*votes(rows), 2)
    np.testing.assert_allclose(found.probs.max(), 0.8, atol=1e-4)
    np.testing.assert_allclose(found.reliability, 0.8, atol=1e-4)


def test_with_a_model_and_people_more_is_right_than_with_either() -> None:
    items, people, labels, truth = crowd(8, n=2000, k=8, skill=(6.0, 3.0))
    probs = guesses(8, truth, 8, 3.0)
    right = [
        float((scores.argmax(axis=1) == truth).mean())
        for scores in (
            weigh(items, people, labels, 8, Voice.dense(probs)).dense(8),
            weigh(items, people, labels, 8, n=len(truth)).dense(8),
            probs,
        )
    ]
    assert right[0] > max(right[1:]) + 0.01


# Peers


def test_where_people_are_independent_it_agrees_with_crowd_kit_s_dawid_skene() -> None:
    pytest.importorskip("crowdkit")
    from secondlook.labeling.consensus.methods import METHODS

    items, people, labels, truth = crowd(9, n=1500, people=6)
    ours = weigh(items, people, labels, 5, n=len(truth)).dense(5).argmax(axis=1)
    said = METHODS["dawid-skene"](items, people, labels, 5, None, len(truth), None)
    theirs = np.zeros((len(truth), 5))
    theirs[said.items, said.labels] = said.probs
    assert float((ours == theirs.argmax(axis=1)).mean()) > 0.95
    assert float((ours == truth).mean()) > float((theirs.argmax(axis=1) == truth).mean()) - 0.005


def test_it_is_no_worse_than_crowdlab_on_made_votes() -> None:
    import pandas as pd
    from cleanlab.multiannotator import get_label_quality_multiannotator

    items, people, labels, truth = crowd(10, n=1500, people=6)
    probs = guesses(10, truth, 5, 1.5)
    table = np.full((len(truth), 6), np.nan)
    table[items, people] = labels
    found = get_label_quality_multiannotator(pd.DataFrame(table), probs, verbose=False)["label_quality"]
    theirs = float((found["consensus_label"].to_numpy() == truth).mean())
    ours = float((weigh(items, people, labels, 5, Voice.dense(probs)).dense(5).argmax(axis=1) == truth).mean())
    assert ours > theirs - 0.005


# Properties

SMALL = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3)),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[:2],
)


def probs_of(rows: list[tuple[int, int, int]], model: bool, order: Any = None) -> Floats:
    """(4, 4) with the columns of classes in an order of their own."""
    order = np.arange(4) if order is None else np.array(order)
    guess = generator(1, "small").dirichlet(np.ones(4), 4)
    voice = Voice.dense(guess[:, np.argsort(order)]) if model else None
    items, people, labels = votes(rows)
    return weigh(items, people, order[labels], 4, voice, n=4).dense(4)[:, order]


@given(SMALL, st.booleans(), st.permutations(range(4)), st.permutations(range(3)), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_names_of_classes_and_people_and_the_order_of_votes_do_not_matter(
    rows: list[tuple[int, int, int]], model: bool, order: list[int], people: list[int], random: Any
) -> None:
    expected = probs_of(rows, model)
    np.testing.assert_allclose(probs_of(rows, model, order), expected, atol=1e-9)
    renamed = [(item, people[person], label) for item, person, label in rows]
    random.shuffle(renamed)
    np.testing.assert_allclose(probs_of(renamed, model), expected, atol=1e-9)


@given(SMALL, st.booleans(), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_one_more_equal_answer_never_makes_a_class_less_probable(
    rows: list[tuple[int, int, int]], model: bool, label: int
) -> None:
    """Judged as people are judged: a new answer may well change how the others are."""
    guess = Voice.dense(generator(1, "small").dirichlet(np.ones(4), 4)) if model else None
    before, after = (_fixed(lay_out(*votes(its), 4, 4, guess), label) for its in (rows, [*rows, (0, 3, label)]))
    assert after >= before - 1e-9


def _fixed(layout: Layout, label: int) -> float:
    """The probability of a class for item 0, before anything is learned of people."""
    found = believe(layout, start(layout, 4)).of_pairs
    here = (layout.items == 0) & (layout.labels == label)
    other = (layout.items == 0) & (layout.labels == 4)
    return float(found[here][0] if here.any() else found[other][0] / layout.many[other][0])


@given(SMALL, st.booleans())
@settings(max_examples=40, deadline=None)
def test_probabilities_sum_to_one_and_every_vote_has_a_finite_weight(
    rows: list[tuple[int, int, int]], model: bool
) -> None:
    guess = Voice.dense(generator(1, "small").dirichlet(np.ones(4), 4)) if model else None
    found = weigh(*votes(rows), 4, guess, n=4)
    np.testing.assert_allclose(found.dense(4).sum(axis=1), 1.0)
    assert np.isfinite(found.weights).all()
    assert found.weights.shape == (len(rows),)
    assert (found.reliability > 0).all()
    assert (found.reliability < 1).all()


def test_a_truth_that_nobody_named_teaches_too() -> None:
    rows = [(n, a, 0) for n in range(30) for a in (0, 1)]
    doubted = weigh(*votes(rows), 3, known=np.full(30, 2))
    believed = weigh(*votes(rows), 3)
    assert doubted.reliability.max() < 0.5 < believed.reliability.min()


def test_no_votes_and_no_model_is_no_item() -> None:
    found = weigh(*votes([]), 3)
    assert (len(found.probs), len(found.weights)) == (0, 0)
