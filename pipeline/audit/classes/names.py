"""Names of classes that may mean one thing: written differently, sharing a synonym, or a letter apart."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

LONGEST = 100  # letters of a name that are looked at
SHORTEST = 6  # letters that a name must have for one wrong letter to mean little: goose and moose are two things
CROWD = 50  # names that share one written form and are compared with one another

NO_SYNONYMS: Mapping[str, Sequence[str]] = {}

SPELLING = "the same name written differently"
SYNONYM = "a synonym in common"
LETTER = "one letter apart"


class Alike(NamedTuple):
    """Two classes as numbers, first < second, and in what their names are alike: SPELLING, SYNONYM or LETTER."""

    first: int
    second: int
    how: str


def alike(names: Sequence[str], synonyms: Mapping[str, Sequence[str]] = NO_SYNONYMS) -> Iterator[Alike]:
    """Pairs of names (K,) that may mean one thing, by what is most telling, in the order of the pairs.

    Case, separators, accents and plural endings don't count. A name may list synonyms between commas, as ImageNet's do,
    and have others by name in `synonyms`.
    """
    found: dict[tuple[int, int], str] = {}
    own = [_forms(name.split(",")) for name in names]
    forms = [_forms([*name.split(","), *synonyms.get(name, ())]) for name in names]
    groups = (
        (SPELLING, _same([tuple(sorted(form)) for form in own])),
        (SYNONYM, _shared(forms)),
        (LETTER, _a_letter_apart(forms)),
    )
    for how, pairs in groups:
        for pair in pairs:
            found.setdefault(pair, how)
    for (first, second), how in sorted(found.items()):
        yield Alike(first, second, how)


def _forms(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form for name in names[:CROWD] if (form := plain(name))))


def plain(name: str) -> str:
    """A name without what people write differently: case, accents, separators, plural endings.

    >>> plain("Tabby_Cats"), plain("tabbyCat"), plain("meat loaf"), plain("Bus"), plain("berries"), plain("Bär")
    ('tabbycat', 'tabbycat', 'meatloaf', 'bus', 'berry', 'bar')
    """
    parted = re.sub(r"(?<=[a-zß-ÿ])(?=[A-Z])", " ", name[:LONGEST])
    bare = "".join(char for char in unicodedata.normalize("NFKD", parted) if not unicodedata.combining(char))
    words = re.findall(r"[^\W_]+|[^\w\s]+", bare.casefold())
    return "".join(singular(word) for word in words if word[0].isalnum() or len(words) == 1)


def singular(word: str) -> str:
    """An English word without its plural ending, as far as spelling tells.

    >>> [singular(word) for word in ("cats", "boxes", "berries", "glass", "bus", "tennis", "gas", "horses")]
    ['cat', 'box', 'berry', 'glass', 'bus', 'tennis', 'gas', 'horse']
    """
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and re.search(r"(x|ch|sh|ss|zz)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and word[-2] not in "siu":
        return word[:-1]
    return word


Pairs = Iterator[tuple[int, int]]


def _same(keys: Sequence[tuple[str, ...]]) -> Pairs:
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        if key:
            groups[key].append(number)
    for members in groups.values():
        yield from combinations(members[:CROWD], 2)


def _shared(forms: Sequence[tuple[str, ...]]) -> Pairs:
    groups: dict[str, list[int]] = defaultdict(list)
    for number, its in enumerate(forms):
        for form in its:
            groups[form].append(number)
    for members in groups.values():
        yield from combinations(members[:CROWD], 2)


def _a_letter_apart(forms: Sequence[tuple[str, ...]]) -> Pairs:
    """Pairs of forms that one inserted, deleted, changed or swapped letter makes equal; digits are no letters.

    Both lose a letter in the same form (Mor and Fraenkel 1982): so K names cost K times their length, not K squared.
    """
    owners: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, its in enumerate(forms):
        for form in its:
            if len(form) >= SHORTEST:
                for variant in {form, *(form[:i] + form[i + 1 :] for i in range(len(form)))}:
                    owners[variant].append((number, form))
    for members in owners.values():
        for (first, a), (second, b) in combinations(members[:CROWD], 2):
            if first != second and a != b and _one_edit(a, b):
                yield min(first, second), max(first, second)


def _one_edit(a: str, b: str) -> bool:
    """Whether one edit of a letter (not a digit) makes two different words equal.

    >>> _one_edit("airplane", "airplan"), _one_edit("scene1", "scene2"), _one_edit("lizard", "lizrad")
    (True, False, True)
    """
    short, long = sorted((a, b), key=len)
    head = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    tail = 0
    while tail < len(short) - head and short[-1 - tail] == long[-1 - tail]:
        tail += 1
    left, right = short[head : len(short) - tail], long[head : len(long) - tail]
    if any(char.isdigit() for char in left + right):
        return False
    return max(len(left), len(right)) <= 1 or (len(left) == len(right) == 2 and left == right[::-1])
