"""What is asked ↔ Label Studio's JSON: a task's data, and the answer that a result is.

A choice carries an opaque code beside its name (Label Studio's `alias`), and only the code comes back. So a class may be called
anything: `None of these`, a blank, 10,000 characters, markup. What is shown of a name is for eyes; what is stored is
found by the code, which is a hash of the name as the batch recorded it.

A task's data are what annotators can see: batch, ticket, image, options, the guess where it is to be shown, and a seal over them,
since annotators can edit tasks. Nothing else.
"""

import hashlib
import html
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secondlook.labeling.tickets import sealed

NONE, UNSURE, BAD = "answer-none", "answer-unsure", "answer-bad"
SPECIAL = {NONE: "none of these", UNSURE: "unsure", BAD: "bad picture"}  # code → one of schemas.ANSWERS
ANSWER, LIST = "answer", "list"  # names of the controls: the few choices, and the list of all classes
LONGEST = 60  # letters of a name that are shown
HOTKEYS = "123456789"
_BUTTONS = ((NONE, "None of these", "0"), (UNSURE, "Unsure", "u"), (BAD, "Bad picture", "b"))
_JOINER = "\u2060"  # takes no room and means nothing


@dataclass(frozen=True)
class Option:
    """A class that is offered: its code, what is shown of its name, and URLs of pictures that surely show it."""

    code: str
    text: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """An answer: `answer` is one of schemas.ANSWERS, `label` the class's name where it is "label"."""

    answer: str
    label: str | None = None


@dataclass(frozen=True)
class Refused:
    """A result that is no answer to what was asked, and why."""

    reason: str


def code(name: str) -> str:
    """What stands for a class in the tool: the same for the same name, and it tells nothing."""
    return "class-" + hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def codes(names: Iterable[str]) -> dict[str, str]:
    """Code → name of the classes that a batch recorded as its `choices`: what `read` needs."""
    return {code(name): name for name in names}


def shown(names: Sequence[str]) -> list[str]:
    """What people see of names (N,), each different: no control characters, blanks at the ends made visible, cut to LONGEST.

    >>> shown(["cat", " cat", "a\\nb", "$image"])
    ['cat', '␣cat', 'a⏎b', '$\\u2060image']
    """
    seen: dict[str, int] = {}
    texts = []
    for name in names:
        text = _visible(name)
        n = seen[text] = seen.get(text, 0) + 1
        while n > 1 and f"{text} ({n})" in seen:
            n += 1
        texts.append(text if n == 1 else f"{text} ({n})")
        seen.setdefault(texts[-1], 1)
    return texts


def _visible(name: str) -> str:
    head = name[: LONGEST - 1] + "…" if len(name) > LONGEST else name
    text = "".join(_letter(letter) for letter in head)
    bare = text.strip()
    left = len(text) - len(text.lstrip()) if bare else len(text)
    text = "␣" * left + bare + "␣" * (len(text) - left - len(bare))
    text = text.replace("$", "$" + _JOINER)  # the tool fills $image in, wherever it stands
    if not any(unicodedata.category(letter)[0] not in "CZ" for letter in text):
        text += "␣"  # a name of nothing but what has no shape
    return text + _JOINER if text in SPECIAL else text


def _letter(letter: str) -> str:
    if letter in "\n\r\u2028\u2029\x85":
        return "⏎"
    # Other controls, halves of surrogates, what is no letter for good (XML takes none of them), and what turns the direction of text.
    none = unicodedata.category(letter) in {"Cc", "Cs"} or ord(letter) & 0xFFFE == 0xFFFE
    return "�" if none or letter in "\u202a\u202b\u202d\u202e" else letter


def task(
    secret: bytes, batch: str, ticket: str, image: str, options: Sequence[Option], *, guess: str | None = None
) -> dict[str, Any]:
    """A task as it is imported, sealed. `image`: URL of the picture; `guess` is shown where it is not None."""
    keys = [*HOTKEYS, *[""] * len(options)]
    offered = [_choice(one.code, one.text, key, one.pictures) for one, key in zip(options, keys, strict=False)]
    offered += [_choice(answer, text, key) for answer, text, key in _BUTTONS]
    data: dict[str, Any] = {"batch": batch, "ticket": ticket, "image": image, "options": offered}
    if guess is not None:
        data["guess"] = f"The model's guess: {_visible(guess)}"
    return {"data": sealed(secret, data)}


def _choice(alias: str, text: str, key: str, pictures: Sequence[str] = ()) -> dict[str, str]:
    """A choice as Label Studio takes it; `html` is what is shown, and everything in it that comes from data is escaped."""
    kind = "sl-class" if alias not in SPECIAL else "sl-button sl-first" if alias == NONE else "sl-button"
    seen = "".join(f'<img src="{html.escape(url)}" alt="">' for url in pictures)
    beside = f'<span class="sl-pictures">{seen}</span>' if seen else ""
    pressed = f"<kbd>{html.escape(key.upper())}</kbd>" if key else ""
    name = f'<span class="sl-name">{pressed}<span>{html.escape(text)}</span></span>'
    choice = {"value": text, "alias": alias, "html": f'<span class="{kind}">{beside}{name}</span>'}
    return choice | {"hotkey": key} if key else choice


def asked_before(user: int) -> dict[str, Any]:
    """An annotation that says that a person is not to be asked: cancelled and empty, so that the stream leaves the task out for them.

    It is no answer. An annotation with `was_cancelled` never is, whoever made it: `review pull` leaves it.
    """
    return {"result": [], "was_cancelled": True, "completed_by": user, "lead_time": 0.0}


def read(result: object, names: Mapping[str, str]) -> Said | Refused:
    """The answer that a result of Label Studio is; `names`: code → class of what was asked. Never raises.

    A class of the full list counts alone or beside *none of these*, as the screen offers it.
    """
    if not isinstance(result, list):
        return Refused(f"the result is a {type(result).__name__}, a list was expected")
    chosen: dict[str, str] = {}
    for part in result:
        found = _chosen(part)
        if isinstance(found, Refused):
            return found
        control, picked = found
        if control in chosen:
            return Refused(f"the control {control} has two results")
        if picked is not None:
            chosen[control] = picked
    return _said(chosen, names)


def _chosen(part: object) -> tuple[str, str | None] | Refused:
    """Control and code of one part of a result; no code where a choice was taken back."""
    if not isinstance(part, dict) or not isinstance(part.get("value"), dict):
        return Refused("a part of the result has no value")
    control, value = part.get("from_name"), part["value"]
    if control not in (ANSWER, LIST):
        return Refused(f"the result is of the control {str(control)[:40]!r}, which was not asked")
    picked = value.get("choices", value.get("taxonomy"))
    if not isinstance(picked, list) or len(picked) > 1:
        return Refused("more than one choice, or none that can be read")
    first = picked[0] if picked else None
    if isinstance(first, list) and len(first) == 1:  # a taxonomy's path
        first = first[0]
    if first is not None and not isinstance(first, str):
        return Refused("a choice is no text")
    return str(control), first


def _said(chosen: Mapping[str, str], names: Mapping[str, str]) -> Said | Refused:
    first, listed = chosen.get(ANSWER), chosen.get(LIST)
    if listed is not None and first not in {None, NONE}:
        return Refused("a class of the list was chosen beside another answer")
    if listed is None and first in SPECIAL:
        return Said(SPECIAL[first])
    picked = first if listed is None else listed
    if picked is None:
        return Refused("nothing was chosen")
    if picked not in names:
        return Refused(f"the choice {picked[:40]!r} was not offered")
    return Said("label", names[picked])
