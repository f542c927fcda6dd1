"""The rules' words: all there, in one place, and the page that is made of them is up to date."""

import dataclasses
import json
from pathlib import Path

import pytest

from secondlook.jobs import cli
from secondlook.jobs.lint import rules
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.rules import Rule

DOCS = Path(__file__).parents[2] / "docs" / "rules"


def test_the_rules_of_this_version_are_all_there() -> None:
    codes = "101 102 103 104 201 202 203 301 302 303 304 305 306 307 308 401 402 403 404 405 406 407 501 502 503 504 601 602"
    assert list(rules.RULES) == [f"SL{code}" for code in codes.split()]


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=list(rules.RULES))
def test_every_rule_has_all_its_words_and_thresholds_that_exist(rule: Rule) -> None:
    for field in ("name", "what", "why", "how", "todo", "limits", "source"):
        text = getattr(rule, field)
        assert text.strip() == text
        assert text
    for field in ("what", "why", "how", "todo", "limits"):
        assert getattr(rule, field).endswith((".", ")"))
    section = BiasSettings if rule.code.startswith("SL4") else LintSettings
    assert set(rule.thresholds) <= {field.name for field in dataclasses.fields(section)}
    assert rule.code[:3] in rules.FAMILIES


def test_every_threshold_of_the_settings_is_named_by_a_rule() -> None:
    named = {name for rule in rules.RULES.values() for name in rule.thresholds}
    assert {field.name for field in dataclasses.fields(LintSettings)} - named == {"fail_above"}


def test_no_threshold_of_one_section_is_called_as_one_of_the_other() -> None:
    assert not {one.name for one in dataclasses.fields(LintSettings)} & {
        one.name for one in dataclasses.fields(BiasSettings)
    }


def test_the_pages_of_rules_are_what_the_command_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["rule", "--pages", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out == ""
    written = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new").iterdir()}
    assert written == rules.pages()
    kept = {path.name: path.read_text(encoding="utf-8") for path in DOCS.iterdir()}
    assert kept == written, "run: secondlook rule --pages docs/rules"


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.run(["rule", "--pages", str(tmp_path / "file")]) == 2
    assert "can't be written" in capsys.readouterr().err


def test_a_rules_page_has_all_its_words_and_its_thresholds_with_their_meaning() -> None:
    rule = rules.RULES["SL203"]
    text = rules.page(rule)
    assert all(part in text for part in (rule.what, rule.why, rule.how, rule.todo, rule.limits, rule.source))
    assert "* `near_bits` = 6 bits: SL202, SL203: pictures are near" in text


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
