"""A class's name as words: what is compared with lists of terms, so that writing it differently hides nothing.

Whole words are compared, never parts of them: else Scunthorpe and cockatoos would be offensive.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import blake2b

LONGEST_PHRASE = 5  # words
WORD = re.compile(r"[^\W_](?:[^\W_]|[@$!'’])*|[@$](?:[^\W_]|[@$!])+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
WORDNET_ID = re.compile(r"n?(\d{8})(?:[-.]?n)?")
LEET = [str.maketrans("013457@$!", f"o{one}eastasi") for one in "il"]
MARKS = re.compile("[\u0300-\u036f]")
PARTS = re.compile(r"[,;/|()\[\]]")


def plain(text: str) -> str:
    """Lower case, without accents on Latin letters, wide or ligature forms as plain ones.

    >>> plain("ＣＡＦÉ")
    'cafe'
    """
    loose = MARKS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFC", loose).casefold().replace("’", "'")


def words(text: str) -> list[str]:
    """The words of a name, plain.

    >>> words("shih-tzu_Dog"), words("greatTit")
    (['shih', 'tzu', 'dog'], ['great', 'tit'])
    """
    spaced = CAMEL.sub(" ", unicodedata.normalize("NFKC", text))
    return [word.rstrip("'!").removesuffix("'s") for word in WORD.findall(plain(spaced))]


def parts(name: str) -> list[str]:
    """The names that a name lists, as WordNet's do: `goldfish, Carassius auratus` are two."""
    return [part for part in map(str.strip, PARTS.split(name)) if part]


def forms(word: str) -> set[str]:
    """A word, its singular, and both without digits and signs that stand for letters.

    >>> sorted(forms("c4ts"))
    ['c4t', 'c4ts', 'cat', 'cats']
    """
    found = {word}
    if not word.isalpha() and any(map(str.isalpha, word)):
        found |= {word.translate(table) for table in LEET}
    return found | {one for spelt in found for one in _singular(spelt)}


def _singular(word: str) -> Iterator[str]:
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        yield word[:-1]
        if word.endswith("es"):
            yield word[:-2]
        if word.endswith("ies"):
            yield word[:-3] + "y"


def phrases(those: Sequence[str]) -> Iterator[tuple[int, int, set[str]]]:
    """(start, end, spellings) of all runs of up to LONGEST_PHRASE words, the longest first; only a last word is inflected."""
    for length in range(min(LONGEST_PHRASE, len(those)), 0, -1):
        for start in range(len(those) - length + 1):
            end = start + length
            head = those[start : end - 1]
            yield start, end, {" ".join([*head, last]) for last in forms(those[end - 1])}


def mark(text: str) -> str:
    """A short hash, under which a term can be looked for without being written down."""
    return blake2b(text.encode(), digest_size=6).hexdigest()
