"""Names of clusters."""

import pytest

from secondlook.pipeline.core.clusters import name_of


@pytest.mark.parametrize(
    ("classes", "name"),
    [
        (["cat"], "cat"),
        (["cat", "lynx", "tiger"], "cat / lynx / tiger"),
        (["cat", "lynx", "tiger", "puma", "lion", "dog"], "cat / lynx / tiger +3"),
        (["a\nb\x1b[2J", "\u202ec  d"], "a b [2J / c d"),
        (["x" * 10_000, "y"], "x" * 39 + "… / y"),
        (["<b>", "[red]"], "<b> / [red]"),
    ],
)
def test_a_name_tells_three_classes_in_one_line_and_counts_the_others(classes: list[str], name: str) -> None:
    assert name_of(classes) == name


def test_a_name_that_is_taken_is_numbered() -> None:
    assert name_of(["a", "b"], {"a / b", "a / b (2)"}) == "a / b (3)"
