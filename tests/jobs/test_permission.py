"""Consent and licence as columns that ingest requires: what lacks them is not opened, and comes in once the table says so."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.jobs.ingest import ingest
from secondlook.jobs.ingest.permission import permission
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.sources import Columns, Source
from secondlook.pipeline.core.config import Settings, from_mapping
from secondlook.pipeline.core.decode import REASONS
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.requirements import Requirement, requirements
from secondlook.pipeline.core.schemas import ATTRIBUTES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASKED = from_mapping({"ingest": {"require": "consent=yes|signed, license"}})
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., bytes]) -> Path:
    """Five pictures, 0.png to 4.png."""
    made = tmp_path / "pictures"
    made.mkdir()
    for n in range(5):
        (made / f"{n}.png").write_bytes(picture(n))
    return made


@pytest.fixture
def run(lake: Lake, spark: Any, folder: Path) -> Run:
    """Ingest the folder with a table of (consent, license) by picture; `None`: without a table."""

    def call(said: dict[int, tuple[str, str]] | None, settings: Settings = ASKED, **more: Any) -> dict[str, Any]:
        if said is None:
            source = Source(str(folder))
        else:
            table = folder.parent / "labels.csv"
            lines = (f"{n}.png,cat,{consent},{license}\n" for n, (consent, license) in said.items())
            table.write_text("file,label,consent,license\n" + "".join(lines))
            source = Source(str(folder), labels=str(table))
        summary = ingest.run(lake, settings, spark, source, now=NOW, **more)
        counted = (summary[what] for what in ("samples", "rejects", "known", "forgotten"))
        assert summary["found"] == sum(counted) == 5
        assert summary["rejects"] == sum(summary["rejects_by_reason"].values())
        return summary

    return call


ALL = dict.fromkeys(range(5), ("yes", "CC0-1.0"))


def served(lake: Lake) -> list[str]:
    keys: list[str] = dataset.samples(lake, lake.at())["key"].to_pylist()
    return keys


def rejected(lake: Lake) -> dict[str, tuple[str, str]]:
    return {row["key"]: (row["reason"], row["detail"]) for row in dataset.rejects(lake, lake.at()).to_pylist()}


def test_pictures_without_consent_or_licence_are_rejects_with_a_reason(lake: Lake, run: Run) -> None:
    said = {0: ("yes", "CC0-1.0"), 1: ("signed", "mine"), 2: ("no", "mine"), 3: ("", "mine"), 4: ("yes", "")}
    summary = run(said)
    assert served(lake) == ["0.png", "1.png"]
    assert summary["rejects_by_reason"] == {"attribute missing": 2, "not permitted": 1}
    assert rejected(lake) == {
        "2.png": ("not permitted", "consent is 'no', and [ingest] require allows yes, signed"),
        "3.png": ("attribute missing", "it has no consent, which [ingest] require asks for"),
        "4.png": ("attribute missing", "it has no license, which [ingest] require asks for"),
    }
    labels = lake.latest("labels", lake.at(), ["sample_id"])
    assert labels.num_rows == 2  # what is not taken has no label either
    assert lake.latest("images", lake.at(), ["content_id"]).num_rows == 2  # … and its bytes were never kept


def test_what_may_not_be_taken_is_not_even_opened(lake: Lake, run: Run, folder: Path) -> None:
    (folder / "2.png").write_bytes(b"no picture at all")
    run(ALL | {2: ("no", "CC0-1.0")})
    assert rejected(lake)["2.png"][0] == "not permitted"
    run(ALL)
    assert rejected(lake)["2.png"][0] == "not an image"


def test_a_reject_comes_in_by_itself_once_the_table_says_so(lake: Lake, run: Run) -> None:
    run(ALL | {2: ("no", "CC0-1.0"), 3: ("", "CC0-1.0")})
    again = run(ALL | {2: ("no", "CC0-1.0"), 3: ("", "CC0-1.0")})
    assert (again["known"], again["rejects"], again["version"]) == (5, 0, 1)  # nothing new was said
    summary = run(ALL | {3: ("", "CC0-1.0")})
    assert (summary["samples"], summary["known"]) == (1, 4)
    assert served(lake) == ["0.png", "1.png", "2.png", "4.png"]
    run(ALL)
    assert len(served(lake)) == 5
    assert rejected(lake) == {}
    table = dataset.samples(lake, lake.at())
    assert table["label"].to_pylist() == ["cat"] * 5


def test_no_table_says_nothing_new(lake: Lake, run: Run) -> None:
    """Without a table, what was said before still holds: of the taken and of the refused."""
    run(ALL | {2: ("no", "CC0-1.0")})
    summary = run(None)
    assert (summary["known"], summary["withdrawn"]) == (5, 0)
    assert len(served(lake)) == 4


def test_without_any_table_nothing_is_taken(lake: Lake, run: Run) -> None:
    assert run(None)["rejects_by_reason"] == {"attribute missing": 5}
    assert run(None)["known"] == 5


def test_withdrawn_consent_takes_a_picture_out_and_says_so(
    lake: Lake, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run(ALL)
    summary = run(ALL | {1: ("withdrawn", "CC0-1.0")})
    assert (summary["withdrawn"], summary["rejects_by_reason"], summary["known"]) == (1, {"not permitted": 1}, 4)
    assert "1.png" not in served(lake)
    assert rejected(lake)["1.png"][0] == "not permitted"
    ingest._print(summary)
    assert "secondlook forget" in capsys.readouterr().out
    assert "1.png" in dataset.samples(lake, lake.at(1))["key"].to_pylist()  # its history is for `forget`
    quiet = run(ALL | {1: ("withdrawn", "CC0-1.0")})
    assert (quiet["withdrawn"], quiet["known"]) == (0, 5)


def test_what_was_withdrawn_can_be_forgotten_by_what_its_table_says(lake: Lake, run: Run) -> None:
    from secondlook.jobs.forget.chosen import chosen

    run(ALL)
    gone = lake.latest("samples", lake.at(), ["key", "sample_id", "content_id"]).to_pylist()[1]
    run(ALL | {int(gone["key"][0]): ("withdrawn", "CC0-1.0")})
    found = chosen(lake, lake.at(), Settings().lint, [], {"consent": "withdrawn"}, "exact")
    assert [*found.samples, *found.contents] == [gone["sample_id"], gone["content_id"]]


def test_consent_given_back_brings_the_picture_back_with_its_label(lake: Lake, run: Run) -> None:
    run(ALL)
    run(ALL | {1: ("no", "CC0-1.0")})
    run(ALL)
    table = dataset.samples(lake, lake.at())
    assert table["key"].to_pylist()[1] == "1.png"
    assert table["label"].to_pylist() == ["cat"] * 5
    assert lake.read("labels", lake.at()).num_rows == 5  # no label was said twice


def test_a_requirement_that_is_set_later_holds_for_what_is_there(lake: Lake, run: Run) -> None:
    run(ALL | {4: ("no", "CC0-1.0")}, Settings())
    assert len(served(lake)) == 5
    summary = run(None)
    assert (summary["withdrawn"], served(lake)) == (1, ["0.png", "1.png", "2.png", "3.png"])


def test_a_changed_file_without_consent_is_refused_and_ends_its_sample(
    lake: Lake, run: Run, folder: Path, picture: Callable[..., bytes]
) -> None:
    run(ALL)
    (folder / "0.png").write_bytes(picture(9))
    summary = run(ALL | {0: ("no", "CC0-1.0")})
    assert (summary["withdrawn"], summary["replaced"], summary["contents"]) == (1, 0, 0)
    assert "0.png" not in served(lake)


def test_retry_rejects_does_not_open_what_may_not_be_taken(lake: Lake, run: Run) -> None:
    run(ALL | {2: ("no", "CC0-1.0")})
    summary = run(ALL | {2: ("no", "CC0-1.0")}, retry_rejects=True)
    assert (summary["rejects"], summary["version"]) == (1, 1)  # counted, and nothing to write


def test_a_confirmed_repair_is_read_before_permission_is_asked(lake: Lake, run: Run) -> None:
    run(ALL | {2: ("oui", "CC0-1.0")})
    repair = {"attribute": "consent", "value": "oui", "into": "yes", "rule": "by hand", "actor": "eve", "reason": "French",
              "pictures": 1, "time": NOW}  # fmt: skip
    attempt = lake.attempt("attributes", {"repair": 1})
    attempt.append("attribute_repairs", rows("attribute_repairs", [repair]))
    attempt.commit({})
    run(ALL | {2: ("oui", "CC0-1.0")})
    assert len(served(lake)) == 5


def test_the_label_column_may_be_missing(lake: Lake, spark: Any, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "consent.csv"
    table.write_text("file,consent,license\n0.png,yes,x\n1.png,no,x\n")
    source = Source(str(folder), labels=str(table), columns=Columns(label="-"))
    summary = ingest.run(lake, ASKED, spark, source, now=NOW)
    assert (summary["samples"], summary["rejects"]) == (1, 4)


# The rule itself


def test_reasons_are_of_the_closed_list() -> None:
    broken = [Requirement("a", ("x",)).broken(value) for value in ("", None, "y")]
    assert all(one is not None and one[0] in REASONS for one in broken)
    assert Requirement("a", ("x",)).broken(" x ") is None


@pytest.mark.parametrize("text", ["=yes", "consent=", "consent=|", "a,,b", "a, a=x", ","])
def test_what_can_t_be_read_is_refused_where_it_is_written(text: str) -> None:
    with pytest.raises(UserError, match="require"):
        dataclasses.replace(Settings().ingest, require=text)


def test_a_value_may_hold_an_equals_sign() -> None:
    assert requirements("license=https://x.org?a=b|y") == (Requirement("license", ("https://x.org?a=b", "y")),)
    assert requirements(" ") == ()


values = st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "x", "y", "no"]), max_size=2)


@given(st.lists(values, max_size=8), st.sampled_from(["a", "a=x|y", "a=x, b", "b=no, a=y"]))
def test_permission_is_what_asking_each_picture_says(pictures: list[dict[str, str]], text: str) -> None:
    wanted = requirements(text)
    found = permission(pa.array([list(one.items()) for one in pictures], ATTRIBUTES), wanted)
    for n, one in enumerate(pictures):
        broken = next((told for ask in wanted if (told := ask.broken(one.get(ask.attribute)))), None)
        assert found.granted[n].as_py() == (broken is None)
        assert (found.reason[n].as_py(), found.detail[n].as_py()) == (broken or (None, None))
