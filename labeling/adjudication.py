"""What people together say of one picture, for an audit: one person's answer is no truth, so it takes three, or an expert.

Unlike `consensus`, nothing is estimated here: an audit measures labels, and what it measures by must not depend on the
labels, on the model or on other pictures.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

PEOPLE = 3  # different people whose answers can adjudicate a label
NO_CLASS = "none of these"
UNTOLD = ("unsure", "bad picture")  # majorities that say nothing of the label

REASONS = {
    "fewer than three answers": f"fewer than {PEOPLE} people have answered, none of them an expert",
    "no majority": "no answer is that of more than half of the people",
    "unsure": "most people can't tell",
    "bad picture": "most people say that the picture is bad",
}


@dataclass(frozen=True)
class Voice:
    """One person's newest answer for a picture: a class, or (`label` is None) one of unsure, none of these, bad picture."""

    annotator: str
    answer: str
    label: str | None = None

    def contradicts(self, given: str) -> bool | None:
        """Whether it is another answer than a given label; None where it says nothing of the label."""
        return None if self.answer in UNTOLD else self.label != given


@dataclass(frozen=True)
class Adjudicated:
    """The label that people agree on; None: none of the classes. `voices` is how many people were heard."""

    label: str | None
    voices: int


@dataclass(frozen=True)
class Open:
    """No adjudicated label: `reason` is one of REASONS."""

    reason: str


def adjudicate(voices: Sequence[Voice], experts: Collection[str] = ()) -> Adjudicated | Open:
    """The label that an expert names, or that most of at least three people do.

    `voices`: one a person. Experts who differ need a majority among themselves. "none of these" is an answer that
    contradicts every label; "unsure" and "bad picture" count as voices, and where they win, the picture has no adjudicated
    label.

    >>> adjudicate([Voice("ann", "label", "cat"), Voice("bob", "label", "cat"), Voice("eve", "unsure")])
    Adjudicated(label='cat', voices=3)
    >>> adjudicate([Voice("ann", "label", "cat"), Voice("bob", "label", "dog")])
    Open(reason='fewer than three answers')
    """
    heard = [voice for voice in voices if voice.annotator in experts] or list(voices)
    if heard and heard[0].annotator not in experts and len(heard) < PEOPLE:
        return Open("fewer than three answers")
    if not heard:
        return Open("fewer than three answers")
    counts = Counter((voice.answer, voice.label) for voice in heard)
    (answer, label), most = counts.most_common(1)[0]
    if 2 * most <= len(heard):
        return Open("no majority")
    return Open(answer) if answer in UNTOLD else Adjudicated(label, len(heard))
