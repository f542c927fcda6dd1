"""What a rule and a finding are. The rules themselves stand beside their functions, in each family's `rules.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SubjectKind = Literal["sample", "class", "group", "annotator"]


@dataclass(frozen=True)
class Rule:
    """A lint rule's words: the README's table, `secondlook rule` and the report all come from here.

    `limits` says what the rule does not see and where it is wrong; `thresholds` names fields of [lint] in the settings, of
    [bias] for SL4; `source` is a paper, a library or "ours".
    """

    code: str
    name: str
    what: str
    why: str
    how: str
    todo: str
    source: str
    limits: str = ""
    thresholds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing that a rule says of one subject.

    `score` ranks findings of one rule, larger is worse. `evidence` holds what the rule saw, as JSON values.
    `key` is the subject's name for people: the picture's key in its source, the class's name.
    """

    rule: str
    subject_kind: SubjectKind
    subject: str
    key: str
    score: float
    message: str
    split: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
