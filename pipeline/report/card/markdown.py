"""Texts from data as Markdown and as YAML that say themselves and nothing else, whatever they hold."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from secondlook.pipeline.report.page import clean

LONGEST = 200  # characters of a text from data before it is cut
WRITTEN = 20_000  # … of a text that a person wrote for the card
SPECIAL = re.compile(
    r"([\\`*_\[\]<>|~&$])"
)  # what starts emphasis, links, HTML, cells, entities or formulas within a line
AT_START = re.compile(r"^(\s*)([#+\-=]|\d+[.)](?=\s|$))")  # … and what starts a heading, a list or a rule
BREAKS = re.compile(r"[\r\n\v\f\x85\u2028\u2029\t ]+")
TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # turn the direction of the text around them
ADDRESS = re.compile(r"https?://[\w.~:/?#@!$&'*+,;=%()-]*[\w/=-]")


def line(text: object, longest: int = LONGEST) -> str:
    r"""A text from data as one line of Markdown: no markup of its own, no HTML, no line break.

    >>> line("a_b <script>"), line("# no\nheading")
    ('a\\_b \\<script\\>', '\\# no heading')
    """
    return _plain(SPECIAL.sub(r"\\\1", one_line(text, longest)))


def _plain(escaped: str) -> str:
    """The line without what would make it a heading, a list or a rule by how it starts."""
    return AT_START.sub(lambda match: f"{match[1]}{match[2][:-1]}\\{match[2][-1]}", escaped)


def one_line(text: object, longest: int = LONGEST) -> str:
    """A text from data without line breaks, control characters and what turns the direction of writing; cut at `longest`."""
    return clean(TURNING.sub("", BREAKS.sub(" ", str(text))).strip(), longest)


def prose(text: str) -> str:
    """What a person wrote for the card: its paragraphs, as plain text; web addresses are links."""
    paragraphs = (part for part in re.split(r"\n\s*\n", text.strip()) if part.strip())
    return "\n\n".join(_linked(one_line(part, WRITTEN)) for part in paragraphs)


def _linked(text: str) -> str:
    parts, end = [], 0
    for found in ADDRESS.finditer(text):
        parts += [SPECIAL.sub(r"\\\1", text[end : found.start()]), f"<{found.group()}>"]
        end = found.end()
    return _plain("".join([*parts, SPECIAL.sub(r"\\\1", text[end:])]))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts that are Markdown already; the first column is of words, the others of numbers."""
    ruler = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows))


def front_matter(values: Mapping[str, object]) -> str:
    """YAML front matter. Texts are written as JSON does it, which YAML 1.2 reads as they are; keys are ours.

    >>> print(front_matter({"license": "mit", "tags": ["a: b"]}))
    ---
    license: "mit"
    tags:
    - "a: b"
    ---
    """
    lines = ["---"]
    for key, value in values.items():
        lines += [f"{key}:", *_items(value)] if isinstance(value, list) else [f"{key}: {_scalar(value)}"]
    return "\n".join([*lines, "---"])


def _items(values: Sequence[object], indent: str = "") -> Iterable[str]:
    for value in values:
        if not isinstance(value, Mapping):
            yield f"{indent}- {_scalar(value)}"
            continue
        for n, (key, part) in enumerate(value.items()):
            lead = f"{indent}- " if n == 0 else f"{indent}  "
            if isinstance(part, list):
                yield f"{lead}{key}:"
                yield from _items(part, indent + "  ")
            else:
                yield f"{lead}{key}: {_scalar(part)}"


def _scalar(value: object) -> str:
    return json.dumps(one_line(value) if isinstance(value, str) else value, ensure_ascii=False)
