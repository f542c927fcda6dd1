"""The findings in each format: what machines read is valid, what people read can't be tricked."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secondlook.pipeline.audit.rules import RULES
from secondlook.pipeline.core.rules import Finding
from secondlook.pipeline.report.formats import FORMATS, Listing, Shown, text_line, uri

EVIL = "<img src=x onerror=alert(1)>"


def finding(key: str = "train/a b.jpg", rule: str = "SL101", kind: str = "sample", score: float = 0.98) -> Finding:
    return Finding(rule, kind, f"id of {key}", key, score, "labeled cat, likely dog", "train", {"given": "cat"})  # type: ignore[arg-type]


def listing(*findings: Finding | Shown, compared: bool = False) -> Listing:
    shown = [one if isinstance(one, Shown) else Shown(one) for one in findings]
    return Listing(shown, RULES, 3, "0.1.0", {"findings": len(shown)}, {"SL102": "no model"}, compared)


def written(form: str, *findings: Finding | Shown, compared: bool = False) -> str:
    return "".join(FORMATS[form](listing(*findings, compared=compared)))


def test_text_is_a_line_a_finding_as_code_linters_write_it() -> None:
    waived = Shown(finding("b.jpg"), waiver="looked at it")
    text = written("text", finding(), waived, Shown(finding("c.jpg"), known=True), finding("yak", "SL503", "class"))
    assert text.splitlines() == [
        "train/a b.jpg: SL101 labeled cat, likely dog",
        "b.jpg: SL101 labeled cat, likely dog [waived: looked at it]",
        "c.jpg: SL101 labeled cat, likely dog [known]",
        "class yak: SL503 labeled cat, likely dog",
    ]


@given(st.text())
def test_no_key_can_break_a_line_or_move_the_cursor(key: str) -> None:
    line = text_line(Shown(finding(key)))
    assert line.isprintable()
    assert len(line.splitlines()) == 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_json_is_one_object_with_every_finding(keys: list[str]) -> None:
    read = json.loads(written("json", *map(finding, keys)))
    assert [one["key"] for one in read["findings"]] == keys
    assert (read["version"], read["notes"]) == (3, {"SL102": "no model"})


def test_json_knows_no_nan() -> None:
    text = written("json", finding(score=float("nan")))
    assert json.loads(text, parse_constant=pytest.fail)["findings"][0]["score"] is None


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("c:x.png")
@example("//host/x.png")
@example("a?b#c%20.png")
def test_a_key_is_a_relative_uri_that_leads_back_to_it(key: str) -> None:
    encoded = uri(key)
    parts = urlsplit(encoded)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert encoded.isascii()
    assert unquote(encoded) == key


def sarif(*findings: Finding | Shown, compared: bool = False) -> dict[str, Any]:
    read = json.loads(written("sarif", *findings, compared=compared), parse_constant=pytest.fail)
    check_sarif(read)
    run: dict[str, Any] = read["runs"][0]
    return run


def check_sarif(log: object) -> None:
    """The parts of the schema of SARIF 2.1.0 that readers rely on."""
    assert isinstance(log, dict)
    assert set(log) <= {"$schema", "version", "runs", "inlineExternalProperties", "properties"}
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert isinstance(driver["name"], str)
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        for part in ("shortDescription", "fullDescription", "help"):
            assert rule[part]["text"]
        assert rule["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}
    for invocation in run["invocations"]:
        assert isinstance(invocation["executionSuccessful"], bool)
        for note in invocation["toolConfigurationNotifications"]:
            assert note["message"]["text"]
            assert ids[note["associatedRule"]["index"]] == note["associatedRule"]["id"]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert isinstance(result["message"]["text"], str)
        assert result.get("baselineState", "new") in {"new", "unchanged", "updated", "absent"}
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
        for suppression in result.get("suppressions", []):
            assert suppression["kind"] in {"inSource", "external"}
        for location in result["locations"]:
            assert set(location) in ({"physicalLocation"}, {"logicalLocations"})
            if "physicalLocation" in location:
                assert location["physicalLocation"]["artifactLocation"]["uri"].isascii()


def test_sarif_has_the_essential_parts() -> None:
    run = sarif(finding(), finding("yak", "SL503", "class"))
    first, second = run["results"]
    assert first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "train/a%20b.jpg"
    assert second["locations"][0]["logicalLocations"][0]["name"] == "yak"


def test_sarif_of_nothing_is_valid() -> None:
    assert sarif()["results"] == []


def test_waived_findings_are_suppressed_results_and_a_baseline_has_states() -> None:
    waived, known, new = Shown(finding("a"), waiver="fine"), Shown(finding("b"), known=True), finding("c")
    results = sarif(waived, known, new, compared=True)["results"]
    assert [r.get("suppressions") for r in results] == [[{"kind": "external", "justification": "fine"}], None, None]
    assert [r["baselineState"] for r in results] == ["new", "unchanged", "new"]
    assert len({r["partialFingerprints"]["ruleAndSubject/v1"] for r in results}) == 3


def test_html_shows_markup_from_data_as_text_and_loads_nothing() -> None:
    page = written("html", finding(EVIL), Shown(finding("b"), waiver=EVIL))
    assert EVIL not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 2
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "Nothing found" in written("html")


def test_every_format_is_the_same_for_the_same_findings() -> None:
    for form in FORMATS:
        assert written(form, finding(), finding("b")) == written(form, finding(), finding("b"))
