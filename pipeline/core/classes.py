"""Names of classes, and the order that they have everywhere."""

from collections.abc import Iterable


def in_order(names: Iterable[str]) -> list[str]:
    """Each name once, sorted; names that are all integers sort as numbers.

    >>> in_order(["10", "9", "9"]), in_order(["dog", "cat"])
    (['9', '10'], ['cat', 'dog'])
    """
    unique = set(names)
    if unique and all(name.isascii() and name.lstrip("-").isdecimal() for name in unique):
        return sorted(unique, key=lambda name: (int(name), name))
    return sorted(unique)
