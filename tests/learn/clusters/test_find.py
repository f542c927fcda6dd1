"""Clusters: what is planted comes back, by hand where they overlap, and what holds of all of them."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.clusters.answers import Answers, mistakes
from secondlook.pipeline.learn.clusters.background import confused
from secondlook.pipeline.learn.clusters.described import described
from secondlook.pipeline.learn.clusters.find import METHODS, best, find, links_of, tried
from secondlook.pipeline.learn.clusters.greedy import greedy
from secondlook.pipeline.learn.clusters.links import Links, of_matrix
from secondlook.pipeline.learn.clusters.pairs import agreement, coverage, excess
from secondlook.pipeline.learn.clusters.stability import stability
from secondlook.pipeline.learn.clusters.sums import Sums

from .planted import listed, planted


def links(k: int, *weighed: tuple[int, int, float]) -> Links:
    matrix = np.zeros((k, k))
    for one, other, weight in weighed:
        matrix[one, other] = matrix[other, one] = weight
    return of_matrix(matrix)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["whole", "listed"])
def test_planted_clusters_come_back_and_what_nobody_confuses_is_in_none(method: str, form: str) -> None:
    answers, members = planted((6, 5, 4, 3, 2), 12, 60, seed=3)
    if form == "listed":
        answers = listed(answers, 8)
    found = find(links_of(answers, method), method)
    assert sorted(found) == sorted(members)
    assert find(links_of(answers, method), method, 0, 0, 0) == found


@pytest.mark.parametrize("method", METHODS)
def test_where_nothing_is_confused_there_is_no_cluster(method: str) -> None:
    answers, _ = planted((), 12, 30)
    assert find(links_of(answers, method), method) == []
    nothing = Answers.whole(np.zeros((0, 5)), np.zeros(0, np.int64))
    assert find(links_of(nothing, method), method) == []
    sure = Answers.whole(np.eye(4), np.arange(4))
    assert find(links_of(sure, method), method) == []


@pytest.mark.parametrize("method", METHODS)
def test_no_cluster_is_larger_than_allowed(method: str) -> None:
    answers, members = planted((9, 4), 6, 60, seed=1)
    found = find(links_of(answers, method), method, 0, 4)
    assert max(len(one) for one in found) == 4
    assert all(any(set(one) <= set(true) for true in members) for one in found)


@pytest.mark.parametrize("method", METHODS)
def test_as_many_clusters_as_asked(method: str) -> None:
    answers, members = planted((6, 5, 4, 3), 6, 60, seed=2)
    found = find(links_of(answers, method), method, 2)
    assert len(found) == 2
    if method == "greedy":
        assert set(found) < set(members)


@pytest.mark.parametrize("method", METHODS)
def test_half_of_few_classes_may_be_confused_with_one_another(method: str) -> None:
    """Four of eight classes: popularity alone would explain their links."""
    answers, members = planted((4, 2), 2, 60, seed=5)
    assert sorted(find(links_of(answers, method), method)) == sorted(members)


def test_a_class_alone_is_no_cluster() -> None:
    answers, _ = planted((4, 2), 6, 60, seed=5)
    most = find(links_of(answers, "covariance"), "covariance", 6)
    assert 1 <= len(most) <= 3, "six classes, of which no two clusters share one"
    assert all(len(one) > 1 for one in most)
    assert all(len(one) > 1 for one in find(links_of(answers, "covariance"), "covariance", 4))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UserError, match="unknown method 'kmeans'"):
        links_of(planted((2,), 2, 4)[0], "kmeans")


def test_a_class_that_is_confused_with_two_groups_is_in_both_greedy_clusters() -> None:
    """Class 2 stands between 0, 1 and 3, 4; classes 5 to 8 have a link each and nothing more."""
    strong = [(0, 1, 50.0), (0, 2, 30.0), (1, 2, 30.0), (3, 4, 40.0), (2, 3, 25.0), (2, 4, 25.0)]
    weak = [(one, other, 0.5) for one in range(9) for other in range(5, 9) if one < other]
    known = links(9, *strong, *weak)
    seen = confused(Sums(known, known.degrees(), 1.0))
    assert greedy(seen, 0, 3) == [(0, 1, 2), (2, 3, 4)]
    assert greedy(seen, 1, 3) == [(0, 1, 2)]
    assert greedy(seen, 0, 2)[:2] == [(0, 1), (3, 4)]


def test_no_greedy_cluster_has_all_classes() -> None:
    pairs = [(one, other, 50.0 + one) for one in range(6) for other in range(one + 1, 6)]
    known = links(6, *pairs)
    seen = confused(Sums(known, known.degrees(), 1.0))
    seen = dataclasses.replace(seen, usual=np.full(6, 1e-3), bonds=known)
    assert [len(one) for one in greedy(seen, 1, 0)] == [5]


def test_many_numbers_are_tried_from_coarse_to_fine_and_the_planted_one_is_about_right() -> None:
    answers, members = planted((3,) * 45, 10, 20, seed=1)
    bonds = links_of(answers, "covariance").bonds
    candidates = tried(bonds, 0, 0)
    assert len(candidates) < 40
    assert [one.n for one in candidates] == sorted({one.n for one in candidates})
    assert abs(best(candidates) - 45) <= 3
    found = find(links_of(answers, "covariance"), "covariance")
    assert agreement(found, members, answers.n_classes) > 0.95


def test_the_number_is_that_with_the_largest_excess() -> None:
    bonds = links_of(planted((6, 5, 4, 3), 6, 60, seed=2)[0], "covariance").bonds
    values = {one.n: one.excess for one in tried(bonds, 0, 0)}
    assert set(values) == set(range(1, 10))
    assert best(tried(bonds, 0, 0)) == max(values, key=lambda n: values[n]) == 4


def test_coverage_and_excess_by_hand() -> None:
    """Weights 6 and 2 in clusters, 2 outside, of 10; by chance: classes hold 6, 8, 4, 2 of 20."""
    known = links(4, (0, 1, 6.0), (2, 3, 2.0), (1, 2, 2.0))
    both = [(0, 1), (2, 3)]
    assert coverage(known, both) == pytest.approx(0.8)
    assert excess(known, both) == pytest.approx(0.8 - 2 * (6 * 8 + 4 * 2) / 400)
    assert coverage(known, [(0, 1), (0, 1, 2)]) == pytest.approx(0.8)  # a link in two clusters counts once
    assert coverage(known, [(0, 1, 2, 3)]) == 1
    assert excess(links(3), [(0, 1)]) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=4, max_size=14))
def test_agreement_of_partitions_is_the_adjusted_rand_index(told: list[tuple[int, int]]) -> None:
    one, other = (
        [tuple(n for n, of in enumerate(side) if of == number) for number in set(side)]
        for side in zip(*told, strict=True)
    )
    first, second = zip(*told, strict=True)
    assert agreement(one, other, len(told)) == pytest.approx(adjusted_rand_score(first, second))


def test_agreement_of_clusters_that_overlap() -> None:
    overlapping = [(0, 1, 2), (2, 3, 4)]
    assert agreement(overlapping, overlapping[::-1], 8) == 1
    assert agreement(overlapping, [(0, 1, 2)], 8) == pytest.approx((3 - 6 * 3 / 28) / (4.5 - 6 * 3 / 28))
    assert agreement([], [], 8) == 1


def test_stable_clusters_come_back_and_a_doubtful_one_does_less() -> None:
    answers, members = planted((5, 4), 8, 40, seed=4)

    def again(drawn: Answers) -> list[tuple[int, ...]]:
        return find(links_of(drawn, "covariance"), "covariance", 2)

    firm = stability(answers, members, again, 5, np.random.default_rng(0))
    assert firm.each == (1.0, 1.0)
    assert (firm.rand.mean, firm.rand.low, firm.rand.high, firm.draws) == (1.0, 1.0, 1.0, 5)
    assert 0.7 < firm.coverage.mean <= firm.coverage.high <= 1
    assert firm.coverage.low <= firm.coverage.mean
    assert firm.excess.mean < firm.coverage.mean
    mixed = [(*members[0][:3], *members[1][:2]), members[1]]
    doubtful = stability(answers, mixed, again, 5, np.random.default_rng(0))
    assert list(doubtful.each) == pytest.approx([3 / 7, 1.0])
    assert doubtful.rand.mean < 0.7


def test_coverage_of_draws_is_of_the_pictures_that_were_left_out() -> None:
    """Clusters made up from a draw's own mistakes hold all of those; of others they hold less."""
    rng = np.random.default_rng(0)
    noise = Answers.whole(rng.dirichlet(np.ones(30), 60), rng.integers(30, size=60))

    def fitting(drawn: Answers) -> list[tuple[int, ...]]:
        made = mistakes(drawn)
        return [(int(one), int(other)) for one, other in zip(made.rows(), made.others, strict=True) if one < other]

    assert coverage(mistakes(noise), fitting(noise)) == 1
    assert stability(noise, fitting(noise), fitting, 10, rng).coverage.mean < 0.4


def test_a_cluster_is_described_by_its_mistakes() -> None:
    given_and_named = [(0, 0)] * 5 + [(0, 2)] * 3 + [(2, 0)] * 2 + [(1, 2)] + [(3, 0)] * 4 + [(1, 1)] * 2
    probs = np.eye(4)[[named for _, named in given_and_named]]
    answers = Answers.whole(probs, np.array([told for told, _ in given_and_named]))
    (one,) = described(answers, links(4), [(0, 1, 2)])
    assert (one.pictures, one.mistakes) == (13, 6)
    assert one.classes == (2, 0, 1)
    assert one.pairs == ((0, 2, 5), (1, 2, 1))


def test_greedy_clusters_take_numpy_alone() -> None:
    """A machine that measures has neither scipy nor scikit-learn."""
    code = (
        "import sys\n"
        "sys.modules['scipy'] = sys.modules['sklearn'] = None\n"
        "import numpy as np\n"
        "from secondlook.pipeline.learn.clusters.answers import Answers\n"
        "from secondlook.pipeline.learn.clusters.find import find, links_of\n"
        "probs = np.eye(6).repeat(20, 0) + 0.4 * np.eye(6)[[1, 0, 2, 3, 4, 5]].repeat(20, 0)\n"
        "answers = Answers.whole(probs / probs.sum(1, keepdims=True), np.arange(6).repeat(20))\n"
        "print(find(links_of(answers, 'greedy'), 'greedy'))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "[(0, 1)]"
