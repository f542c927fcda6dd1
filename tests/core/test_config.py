"""Settings are checked when they are made, and a bad value is refused by its name."""

from pathlib import Path

import pytest

from secondlook.pipeline.core.config import LakeSettings, Settings, Waiver, from_mapping, load, sections
from secondlook.pipeline.core.errors import UserError


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"train": {"folds": "five"}}, r"\[train\] folds takes a int, got 'five'"),
        ({"train": {"folds": True}}, r"\[train\] folds takes a int, got True"),
        ({"train": {"folds": 99}}, r"\[train\] folds takes from 2 to 20, got 99"),
        (
            {"ingest": {"store": "cpy"}},
            r"unknown \[ingest\] store 'cpy', did you mean 'copy'\? Choose from: copy, reference",
        ),
        ({"lint": {"blur": float("nan")}}, r"\[lint\] blur takes from 0 up, got nan"),
        (
            {"lint": {"mislabel_margin": "atuo"}},
            r"mislabel_margin 'atuo', did you mean 'auto'\? Choose from: a number, auto",
        ),
        ({"lint": {"mislabel_margin": 1.5}}, r"\[lint\] mislabel_margin takes from -1 to 1, got 1.5"),
        ({"lint": {"mislabel_margin": True}}, r"\[lint\] mislabel_margin takes a float, got True"),
        ({"trian": {}}, r"unknown section 'trian', did you mean 'train'\?"),
        ({"train": 3}, r"\[train\] is a section of settings, got 3"),
        ({"waivers": [{"rule": "SL302"}]}, r"a \[\[waivers\]\] entry needs rule and reason"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        from_mapping(values)


def test_an_integer_is_taken_where_a_number_is_asked_for() -> None:
    assert from_mapping({"ingest": {"decode_timeout_s": 3}}).ingest.decode_timeout_s == 3.0


def test_a_margin_is_a_number_or_chosen_from_the_data() -> None:
    assert Settings().lint.fixed_margin is None
    assert from_mapping({"lint": {"mislabel_margin": "auto"}}).lint == Settings().lint
    assert from_mapping({"lint": {"mislabel_margin": 0}}).lint.fixed_margin == 0.0
    assert from_mapping({"lint": {"mislabel_margin": -0.25}}).lint.fixed_margin == -0.25


def test_waivers_are_read_in_order() -> None:
    both = [{"rule": "SL302", "reason": "night"}, {"rule": "SL101", "subject": "a/*", "reason": "checked"}]
    assert from_mapping({"waivers": both}).waivers == (
        Waiver("SL302", "*", "night"),
        Waiver("SL101", "a/*", "checked"),
    )


def test_every_field_has_a_sentence() -> None:
    import dataclasses

    for name, kind in sections():
        for field in dataclasses.fields(kind):
            assert len(field.metadata["doc"]) > 10, f"[{name}] {field.name}"


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None) == Settings()
    (tmp_path / "secondlook.toml").write_text('[lake]\nurl = "there"\n')
    assert load(None).lake == LakeSettings(url="there")


def test_broken_toml_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[train\n")
    with pytest.raises(UserError, match="can't be read as TOML"):
        load(file)
