"""Who answers too fast to have looked."""

import math

import numpy as np

from secondlook.labeling.people.haste import FLOOR_S, LEAST, Hasty, hasty

LIMITS = {"too_fast": 0.3, "least_share": 0.2}


def crowd(paces: dict[str, float], n: int = 40) -> tuple[list[str], list[str], list[float]]:
    people = [name for name in paces for _ in range(n)]
    return people, ["b"] * len(people), [seconds for seconds in paces.values() for _ in range(n)]


def names(found: list[Hasty]) -> list[str]:
    return [one.annotator for one in found]


def test_fast_and_wrong_or_unknown_is_flagged_and_fast_and_right_is_not() -> None:
    people, kinds, seconds = crowd({"ann": 5, "bob": 6, "fast": 1, "fast right": 1, "fast unknown": 1.0})
    wrong = [float(name == "fast" and n % 2) for n, name in enumerate(people)]
    wrong = [math.nan if name == "fast unknown" else error for name, error in zip(people, wrong, strict=True)]
    # The fast ones are no majority: the middle of the others' medians stays that of who looks.
    more, more_kinds, more_seconds = crowd({"cleo": 5, "dan": 7})
    found = hasty(people + more, kinds + more_kinds, seconds + more_seconds, wrong + [0.0] * len(more), **LIMITS)
    assert sorted(names(found)) == ["fast", "fast unknown"]
    fast = next(one for one in found if one.annotator == "fast")
    assert (fast.timed, fast.fast, fast.checked, fast.wrong, fast.usual_s) == (40, 40, 40, 20.0, 5.0)
    assert fast.share == 1.0


def test_of_two_people_nobody_knows_who_is_the_odd_one_but_below_the_floor_nobody_looked() -> None:
    people, kinds, seconds = crowd({"ann": 5, "fast": 1})
    unknown = [math.nan] * len(people)
    assert hasty(people, kinds, seconds, unknown, **LIMITS) == []
    people, kinds, seconds = crowd({"ann": 5, "reflex": FLOOR_S / 2})
    assert names(hasty(people, kinds, seconds, unknown, **LIMITS)) == ["reflex"]


def test_the_like_is_compared_with_the_like() -> None:
    """A batch of easy pictures is fast for everybody."""
    people, kinds, seconds = crowd({"ann": 10, "bob": 10, "cleo": 10})
    quick, _, times = crowd({"ann": 1, "bob": 1, "cleo": 1, "dan": 1})
    people, seconds = people + quick, seconds + times
    kinds = kinds + ["easy"] * len(quick)
    assert hasty(people, kinds, seconds, [math.nan] * len(people), **LIMITS) == []


def test_few_answers_and_unknown_times_are_not_judged() -> None:
    people, kinds, seconds = crowd({"ann": 5, "bob": 5, "cleo": 5})
    people += ["fast"] * (LEAST - 1) + ["untimed"] * 50
    seconds += [0.2] * (LEAST - 1) + [math.nan] * 50
    kinds += ["b"] * (LEAST + 49)
    unknown = [math.nan] * len(people)
    assert hasty(people, kinds, seconds, unknown, **LIMITS) == []
    assert names(hasty([*people, "fast"], [*kinds, "b"], [*seconds, 0.2], [*unknown, math.nan], **LIMITS)) == ["fast"]
    assert hasty([], [], [], [], **LIMITS) == []


def test_honest_people_of_different_pace_are_seldom_flagged() -> None:
    flagged = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        pace = np.exp(rng.normal(np.log(5), 0.35, 8))
        seconds = np.exp(rng.normal(np.log(pace)[:, None], 0.6, (8, 60))).reshape(-1)
        wrong = (rng.random(480) < 0.1).astype(float)
        people = [str(n) for n in np.repeat(np.arange(8), 60)]
        flagged += len(hasty(people, ["b"] * 480, seconds, wrong, **LIMITS))
    assert flagged <= 10  # of 320
