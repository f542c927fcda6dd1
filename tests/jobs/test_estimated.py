"""An attribute that a model estimated says so wherever it is shown; its findings and its card have tests of their own."""

from typing import Any

from secondlook.jobs.explore.slices import attributes
from secondlook.pipeline.core.config import Settings, from_mapping


def test_the_settings_say_which_attributes_are_estimated() -> None:
    settings = from_mapping({"attributes": [{"name": "age", "estimated": "x.csv"}, {"name": "site"}]})
    assert settings.estimated == {"age"}
    assert Settings().estimated == frozenset()


def test_a_field_of_the_app_says_that_it_is_estimated() -> None:
    rows: list[dict[str, Any]] = [{"attributes": [("age", "20"), ("site", "n")]}, {"attributes": None}]
    assert attributes(rows, {"age"}) == {"attribute_age_estimated": ["20", None], "attribute_site": ["n", None]}
    clash = [{"attributes": [("age", "20"), ("age_estimated", "x")]}]
    assert len(attributes(clash, {"age"})) == 2  # no two attributes share a field
