"""The rules' words: all there, in one place, and the page that is made of them is up to date."""

import dataclasses
import json
from pathlib import Path

import pytest

from secondlook.jobs import cli
from secondlook.jobs.lint import rules
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.rules import Rule

DOCS = Path(__file__).parents[2] / "docs" / "rules.md"


def test_the_rules_of_this_version_are_all_there() -> None:
    codes = "101 102 103 201 202 203 301 302 303 304 305 306 307 503"
    assert list(rules.RULES) == [f"SL{code}" for code in codes.split()]


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=list(rules.RULES))
def test_every_rule_has_all_its_words_and_thresholds_that_exist(rule: Rule) -> None:
    for field in ("name", "what", "why", "how", "todo", "source"):
        text = getattr(rule, field)
        assert text.strip() == text
        assert text
    for field in ("what", "why", "how", "todo"):
        assert getattr(rule, field).endswith((".", ")"))
    assert set(rule.thresholds) <= {field.name for field in dataclasses.fields(LintSettings)}
    assert rule.code[:3] in rules.FAMILIES


def test_every_threshold_of_the_settings_is_named_by_a_rule() -> None:
    named = {name for rule in rules.RULES.values() for name in rule.thresholds}
    assert {field.name for field in dataclasses.fields(LintSettings)} - named == {"fail_above"}


def test_the_page_of_rules_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rule", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed == rules.markdown()
    assert DOCS.read_text(encoding="utf-8") == printed, "run: secondlook rule --markdown > docs/rules.md"


@pytest.mark.parametrize("code", ["SL203", "sl203 "])
def test_a_rule_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rule", code]) == 0
    text = capsys.readouterr().out
    rule = rules.RULES["SL203"]
    assert all(part in text for part in (rule.what, rule.why, rule.how, rule.todo, rule.source, "near_bits = "))
    assert cli.run(["rule", code, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == "SL203"


def test_without_a_code_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rule"]) == 0
    text = capsys.readouterr().out
    assert all(rule.code in text and rule.name in text for rule in rules.RULES.values())


def test_an_unknown_rule_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rule", "SL999"]) == 2
    assert "unknown rule 'SL999'. Choose from: SL101, SL102" in capsys.readouterr().err


def test_rules_are_chosen_by_code_or_its_beginning() -> None:
    assert rules.chosen([], []) == list(rules.RULES)
    assert rules.chosen(["sl2", "SL503"], ["SL202, SL203"]) == ["SL201", "SL503"]
    assert rules.chosen(["SL"], ["SL"]) == []
    with pytest.raises(UserError, match="unknown rule 'SL7'"):
        rules.chosen(["SL7"], [])
