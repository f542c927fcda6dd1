"""What is kept of WordNet 3.0 (`wordnet.txt`): the ids that name people, and terms as hashes."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

SENSITIVE = "sensitive: "


@dataclass(frozen=True)
class WordNet:
    """`people`: ids of all meanings that are people. `offensive`: hashes of terms that have no other meaning
    than one marked as a slur, disparaging or obscene.

    `sensitive`: hash of a name that only people are called by → the attribute that it names. `things`: hashes of names
    of two words or more that are animals, plants or objects though a word of them is on a list; `meanings`: id and hash
    of such single words; `ordinary`: hashes of those words, whatever the id.
    """

    people: frozenset[str]
    offensive: frozenset[str]
    sensitive: Mapping[str, str]
    things: frozenset[str]
    meanings: frozenset[str]
    ordinary: frozenset[str]


@functools.cache
def wordnet() -> WordNet:
    """The file, read once."""
    sections: dict[str, list[str]] = {}
    section = ""
    text = (
        resources.files("secondlook.pipeline.audit.classes.terms").joinpath("wordnet.txt").read_text(encoding="utf-8")
    )
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif not line.startswith("#"):
            sections.setdefault(section, []).extend(line.split())
    sensitive = {
        one: name.removeprefix(SENSITIVE)
        for name, marks in sections.items()
        if name.startswith(SENSITIVE)
        for one in marks
    }
    plain = {name: frozenset(sections[name]) for name in ("people", "offensive", "things", "meanings", "ordinary")}
    return WordNet(sensitive=sensitive, **plain)
