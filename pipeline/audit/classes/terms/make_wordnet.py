"""Makes `wordnet.txt` from WordNet 3.0's `data.noun`: `python -m secondlook.pipeline.audit.classes.terms.make_wordnet data.noun`.

WordNet 3.0 is what ImageNet's ids are offsets into; those of 3.1 and later are others. The file `data.noun` is in Debian's
package wordnet-base (3.0), in NLTK's corpus `wordnet` and on wordnet.princeton.edu. Terms are kept as hashes, so that
nobody who opens the file has to read them.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from secondlook.pipeline.audit.classes.terms.lists import known_somewhere
from secondlook.pipeline.audit.classes.terms.words import forms, mark, words

PERSON, THING, COUNTRY = 7846, 1930, 8544813  # person.n.01, physical_entity.n.01, country.n.02
RUDE = {6718862, 6717170, 7124340}  # words are marked with these usages: ethnic slur, disparagement, obscenity

# What a class of people may be called by that is a sensitive attribute, and the branches of WordNet that say it.
SENSITIVE = {
    "race or ethnic origin": (9636106, 9638875, 9636339, 9681351, 9644820, 9645091, 9641757),
    "religion": (9628382, 9847727, 9625789, 10166394),
    "sexuality": (10182913, 9857007, 10725734, 10725893, 10172080, 10419047, 9629246, 10485440),
    "disability or illness": (10158756, 9978889, 9996481, 9860130, 10595647, 10354898, 10490141),
    "crime": (9633969, 9977660, 10681383, 9762101, 10476086, 10702781, 10722965),
    "a judgment on character or fortune": (
        *(9831962, 9631463, 9631129, 9630641, 10273064, 10599354, 10197525, 9921409, 10100761, 9614047, 9998101),
        *(10576962, 9768830, 9769076, 10035952, 10037385, 10771636, 10257647, 10453357, 9626031, 10322238),
    ),
}
NOTICE = """\
# Made by make_wordnet.py from the nouns of WordNet 3.0, under its licence:
#
# This software and database is being provided to you, the LICENSEE, by
# Princeton University under the following license.  By obtaining, using
# and/or copying this software and database, you agree that you have
# read, understood, and will comply with these terms and conditions.:
#
# Permission to use, copy, modify and distribute this software and
# database and its documentation for any purpose and without fee or
# royalty is hereby granted, provided that you agree to comply with
# the following copyright notice and statements, including the disclaimer,
# and that the same appear on ALL copies of the software, database and
# documentation, including modifications that you make for internal
# use or for distribution.
#
# WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.
#
# THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS" AND PRINCETON
# UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES, EXPRESS OR
# IMPLIED.  BY WAY OF EXAMPLE, BUT NOT LIMITATION, PRINCETON
# UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES OF MERCHANT-
# ABILITY OR FITNESS FOR ANY PARTICULAR PURPOSE OR THAT THE USE
# OF THE LICENSED SOFTWARE, DATABASE OR DOCUMENTATION WILL NOT
# INFRINGE ANY THIRD PARTY PATENTS, COPYRIGHTS, TRADEMARKS OR
# OTHER RIGHTS.
#
# The name of Princeton University or Princeton may not be used in
# advertising or publicity pertaining to distribution of the software
# and/or database.  Title to copyright in this software, database and
# any associated documentation shall at all times remain with
# Princeton University and LICENSEE agrees to preserve same.
"""


class Synset(NamedTuple):
    """A meaning: its words, its kinds (hypernyms), the things it is a named instance of, and words marked by usage."""

    lemmas: list[str]
    kinds: list[int]
    instance_of: list[int]
    usages: list[tuple[int, str]]


def read(lines: Iterable[str]) -> dict[int, Synset]:
    """The meanings of a `data.noun` by offset; its format is WordNet's wndb(5)."""
    found = {}
    for line in lines:
        if line.startswith(" "):
            continue
        fields = line.split(" | ")[0].split()
        n = int(fields[3], 16)
        lemmas = [" ".join(words(fields[4 + 2 * i].replace("_", " "))) for i in range(n)]
        pointers = fields[5 + 2 * n :]
        made = Synset(lemmas, [], [], [])
        for i in range(int(fields[4 + 2 * n])):
            symbol, target, kind, ends = pointers[4 * i : 4 * i + 4]
            if kind == "n" and symbol in {"@", "@i"}:
                (made.kinds if symbol == "@" else made.instance_of).append(int(target))
            elif symbol == ";u":
                source = int(ends[:2], 16)
                made.usages.extend(
                    (int(target), lemma) for lemma in (lemmas[source - 1 : source] if source else lemmas)
                )
        found[int(fields[0])] = made
    return found


def below(synsets: dict[int, Synset], roots: Iterable[int], *, instances: bool) -> set[int]:
    """The offsets of the roots and of all their kinds, and their named instances with `instances`."""
    children = defaultdict(list)
    for offset, synset in synsets.items():
        for parent in [*synset.kinds, *(synset.instance_of if instances else ())]:
            children[parent].append(offset)
    seen, open_ones = set(roots), list(roots)
    while open_ones:
        new = [child for child in children[open_ones.pop()] if child not in seen]
        seen.update(new)
        open_ones += new
    return seen


def lines(synsets: dict[int, Synset]) -> Iterator[str]:
    """The file: a section a kind of knowledge, each sorted."""
    people = below(synsets, [PERSON], instances=True)
    things = below(synsets, [THING], instances=True) - people
    meanings = defaultdict(set)
    for offset, synset in synsets.items():
        for lemma in synset.lemmas:
            if not synset.instance_of:  # a town may bear any name
                meanings[lemma].add(offset)
    uses = defaultdict(set)
    for offset, synset in synsets.items():
        for usage, word in synset.usages:
            if usage in RUDE:
                uses[word].add(offset)
    rude = {word for word, where in uses.items() if meanings[word] == where}
    yield NOTICE
    yield from _section("people", (f"{offset:08d}" for offset in people))
    yield from _section("offensive", map(mark, rude))
    sensitive = below(synsets, [root for roots in SENSITIVE.values() for root in roots], instances=False)
    for name, roots in SENSITIVE.items():
        branch = below(synsets, roots, instances=False)
        only = {lemma for offset in branch for lemma in synsets[offset].lemmas if meanings[lemma] <= sensitive}
        yield from _section(f"sensitive: {name}", map(mark, only))
    looks_bad = _holding(known_somewhere())
    benign = [(o, lemma) for o in things for lemma in synsets[o].lemmas if looks_bad(lemma) and o not in uses[lemma]]
    rude_first = _holding(rude)  # as a last word it is the Latin name of a species
    several = {lemma for _, lemma in benign if " " in lemma and not rude_first(lemma.split()[0])}
    yield from _section("things", map(mark, several))
    yield from _section("meanings", (f"{offset:08d}{mark(lemma)}" for offset, lemma in benign if " " not in lemma))
    common = below(synsets, [THING], instances=False) | below(synsets, [COUNTRY], instances=True)
    yield from _section("ordinary", (mark(lemma) for o, lemma in benign if " " not in lemma and o in common))


def _holding(terms: Collection[str]) -> Callable[[str], bool]:
    """Whether a word of a name is one of the terms."""
    return lambda lemma: any(form in terms for word in lemma.split() for form in forms(word))


def _section(name: str, entries: Iterable[str]) -> Iterator[str]:
    yield f"[{name}]\n"
    ordered = sorted(set(entries))
    for at in range(0, len(ordered), 10):
        yield " ".join(ordered[at : at + 10]) + "\n"


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="latin-1") as stream:
        text = "".join(lines(read(stream)))
    (Path(__file__).parent / "wordnet.txt").write_text(text, encoding="utf-8")
