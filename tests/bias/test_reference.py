"""Shares that groups are held against: read from a table, or equal; anything wrong is one sentence."""

import pytest

from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.reference import UNIFORM, shares
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID

GROUPING = Grouping(("sex", "race"), (("f", "m"), ("A", "B", "C", NOT_SAID)), {})
HEAD = "attribute,value,share\n"


def test_uniform_is_over_what_is_said() -> None:
    assert shares(GROUPING, UNIFORM) == {"sex": {"f": 0.5, "m": 0.5}, "race": dict.fromkeys("ABC", 1 / 3)}


@pytest.mark.parametrize(
    "numbers", [("0.25", "0.5", "0.25"), ("25", "50", "25"), ("25%", "50 %", "25%"), ("1200", "2400", "1200"), ("1", "2", "1")]
)  # fmt: skip
def test_shares_percents_and_counts_are_the_same_shares(numbers: tuple[str, str, str]) -> None:
    text = "\ufeff share , attribute,value,note\n" + "".join(
        f"{number},race,{value},x\n" for value, number in zip("ABC", numbers, strict=True)
    )
    assert shares(GROUPING, text) == {"race": {"A": 0.25, "B": 0.5, "C": 0.25}}


def test_rounded_shares_add_up_to_one() -> None:
    for third in ("0.33", "33.3"):
        text = HEAD + f"race,A,{third}\nrace,B,{third}\nrace,C,{third}\n"
        assert shares(GROUPING, text) == {"race": dict.fromkeys("ABC", pytest.approx(1 / 3))}


def test_attributes_that_are_not_compared_are_passed_over() -> None:
    fewer = Grouping(("sex",), (("f", "m"),), {}, left_out=("race",))
    assert shares(fewer, HEAD + "race,X,1\nsex,f,.5\nsex,m,.5\n") == {"sex": {"f": 0.5, "m": 0.5}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("attribute,share\nrace,1\n", r"needs the columns attribute, value, share; it lacks value$"),
        ("", "lacks attribute, value, share$"),
        (HEAD + "x" * 200_000 + ",A,1\n", "can't be read as CSV: field larger than field limit"),
        (HEAD, "the reference of shares has no rows$"),
        (HEAD + "rase,A,1\n", "unknown attribute in the reference of shares 'rase', did you mean 'race'"),
        (HEAD + "race,A,.5\nrace,B,.5\n", "no share of race for 'C', which pictures have; give every value a share, 0 where"),
        (HEAD + "race,A,.5\nrace,B,.3\nrace,c,.2\n", "no share of race for 'C', which pictures have; it has 'c', which no picture has"),
        (HEAD + "sex,f,.5\nsex,m,.4\nsex,d,.1\n", "unknown value of sex in the reference of shares 'd'"),
        (HEAD + "sex,f,.5\nsex,m,-.5\n", "line 3 of the reference of shares: a share is a number from 0 up, got '-.5'"),
        (HEAD + "sex,f,half\n", "line 2 .* got 'half'"),
        (HEAD + "sex,f,nan\n", "got 'nan'"),
        (HEAD + "sex,f,.5\nsex,f,.5\n", "line 3 .* gives sex f a second share"),
        (HEAD + "sex,,.5\n", "line 2 .* names no value"),
        (HEAD + "sex,f,.5\nsex,m,.4\n", "the shares of sex in the reference add up to 0.9; shares add up to 1"),
        (HEAD + "sex,f,0\nsex,m,0\n", "add up to 0; "),
        (HEAD + "sex,f,1.5\nsex,m,3\n", "add up to 4.5; "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        shares(GROUPING, text)
