"""What a report says first: which steps follow from which findings."""

import dataclasses

import pytest

from secondlook.pipeline.core.rules import Rule
from secondlook.pipeline.report import advice
from secondlook.pipeline.report import facts as f

from .conftest import everything


def found(code: str, count: int, waived: int) -> f.Facts:
    """Facts in which one rule found so much, and nothing else presses."""
    facts = everything()
    assert facts.findings is not None
    rule = f.RuleFindings(Rule(code, "name", "What.", "Why.", "How.", "Do.", "ours"), count, waived, (), covered=count)
    findings = dataclasses.replace(facts.findings, rules=(rule,))
    counts = dataclasses.replace(facts.counts, rejected=0)
    return dataclasses.replace(facts, findings=findings, counts=counts)


@pytest.mark.parametrize(
    ("code", "sentence", "command"),
    [
        ("SL501", "Sign off or rename 2 classes", "classes list"),
        ("SL502", "Say whether 2 pairs of classes are one thing", "classes merge"),
        ("SL203", "Part 2 pictures that lie on both sides", "--format folders --drop SL203"),
    ],
)
def test_a_finding_that_blocks_work_is_a_step_until_it_is_waived(code: str, sentence: str, command: str) -> None:
    [step] = [one for one in advice.steps(found(code, 3, 1)) if one.sentence.startswith(sentence)]
    assert command in step.command
    assert not any(one.sentence.startswith(sentence[:12]) for one in advice.steps(found(code, 3, 3)))
