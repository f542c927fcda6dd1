"""Names of classes, and the order that they have everywhere."""

from collections.abc import Iterable

LONGEST_MASK = 30


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once, sorted; names that are all integers sort as numbers.

    >>> in_order(["10", "9", "9"]), in_order(["dog", "cat"])
    (['9', '10'], ['cat', 'dog'])
    """
    unique = set(names)
    if unique and all(name.isascii() and name.lstrip("-").isdecimal() for name in unique):
        return sorted(unique, key=lambda name: (int(name), name))
    return sorted(unique)


def masked(name: str, number: int | None = None) -> str:
    """A name that is not shown: its first letter and a star for each other one, and the class's number where it has one.

    >>> masked("secret", 7), masked("x" * 1000)
    ('s***** (class 7)', 'x****************************** (1,000 characters)')
    """
    first = name[:1] if name[:1].isalnum() else "*"
    long = len(name) - 1 > LONGEST_MASK
    stars = first + "*" * min(len(name) - 1, LONGEST_MASK) + (f" ({len(name):,} characters)" if long else "")
    return stars if number is None else f"{stars} (class {number})"
