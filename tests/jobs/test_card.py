"""The data card of a lake: what people said, what the lake knows, and files that Croissant's own library reads."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from secondlook.jobs.card import card
from secondlook.jobs.card.check import issues
from secondlook.jobs.cli import run as command
from secondlook.jobs.export import export
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.config import Settings, from_mapping
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.report.card.croissant import as_croissant
from secondlook.pipeline.report.card.text import ASKED, as_markdown

Fill = Callable[..., dict[str, str]]
Picture = Callable[..., bytes]
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "a: b\n---\nlicense: mit",
    "| # `x` [y](javascript:z)",
    "007",
    "NA",
    "日本 👩🏽‍🔬",
]


@pytest.fixture
def people(lake: Lake, fill: Fill, picture: Picture) -> Lake:
    """40 pictures with attributes: site (30 a, 10 b … 1 c), age in years, consent and licence; two of them are one content."""
    made = []
    for n in range(40):
        site = "c" if n == 0 else "b" if n < 13 else "a"
        said = [("site", site), ("age", str(20 + n % 20)), ("consent", "yes"), ("license", "CC-BY-4.0")]
        if n == 1:
            said = said[1:]
        split = {"split": "train" if n < 30 else "test", "attributes": said}
        made.append((f"p{n}.png", "cat" if n % 2 else "007", picture(max(n, 1)), split))
    fill(made)
    return lake


SAID = from_mapping(
    {
        "card": dict.fromkeys((*ASKED,), "told in full")
        | {"license": "CC BY 4.0", "collected": "2024-03-01/2024-06-30"},
        "attributes": [{"name": "age", "bins": "30"}],
    }
)


def records(folder: Path) -> list[dict[str, Any]]:
    """What Croissant's library reads of an export, without the prefix of its fields, texts as texts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant

        found = list(mlcroissant.Dataset(jsonld=str(folder / "croissant.json")).records("pictures"))
    return [
        {
            name.removeprefix("pictures/").removeprefix("attribute/"): value.decode()
            if isinstance(value, bytes)
            else value
            for name, value in row.items()
        }
        for row in found
    ]


# What it says


def test_small_groups_are_nowhere_in_the_card_and_can_t_be_had_by_subtraction(people: Lake) -> None:
    told = card.facts(people, people.at(), SAID)
    site = next(one for one in told.attributes if one.name == "site")
    assert site.groups is not None
    assert dict(site.groups.shown) == {"b": 11}
    assert (site.groups.hidden, site.groups.pictures, site.missing) == (3, 29, None)  # c, who has none, and so a
    for text in (as_markdown(told), json.dumps(as_croissant(told, None))):
        assert "11" in text
        assert not re.search(r"\| (a|c) \|", text)
    age = next(one for one in told.attributes if one.name == "age")
    assert age.groups is not None
    assert dict(age.groups.shown) == {"<30": 20, "30+": 20}  # in bins, as the audit has them


def test_what_nobody_said_is_told_as_such_and_nothing_is_made_up(people: Lake, tmp_path: Path) -> None:
    summary = card.run(people, Settings(), output=tmp_path / "README.md", croissant=tmp_path / "croissant.json")
    assert summary["unsaid"] == list(ASKED)
    text = (tmp_path / "README.md").read_text()
    for name, what in ASKED.items():
        if name not in {"license", "creators"}:  # every picture bears a licence
            assert f"Nobody has said {what}; set `[card] {name}`." in text
    document = json.loads((tmp_path / "croissant.json").read_text())
    assert "Nobody has said" in document["rai:dataCollection"]
    assert "Nobody has said" in document["rai:personalSensitiveInformation"][0]
    assert "creator" not in document
    whole = card.run(people, SAID, output=tmp_path / "README.md")
    assert whole["unsaid"] == []
    assert "Nobody has said" not in (tmp_path / "README.md").read_text().replace("Nobody has said what its values", "")


def test_the_licence_of_the_whole_is_the_one_that_all_pictures_bear(people: Lake) -> None:
    told = card.facts(people, people.at(), Settings())
    assert told.license == "CC-BY-4.0"
    front = yaml.safe_load(as_markdown(told).split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["size_categories"] == ["n<1K"]
    assert as_croissant(told, None)["license"] == ["https://spdx.org/licenses/CC-BY-4.0.html"]


def test_different_licences_are_all_named_and_small_ones_are_not(lake: Lake, fill: Fill, picture: Picture) -> None:
    license = {n: "CC0-1.0" if n < 12 else "ask Jane Doe" if n == 12 else "MIT" for n in range(26)}
    fill([(f"{n}.png", None, picture(1), {"attributes": [("license", name)]}) for n, name in license.items()])
    told = card.facts(lake, lake.at(), Settings())
    assert told.license == ""
    text = as_markdown(told)
    assert yaml.safe_load(text.split("---\n")[1])["license"] == ["cc0-1.0"]  # MIT would give the one away
    assert "Jane" not in text
    assert "2 further groups with 14 pictures are not shown" in text


def test_estimated_attributes_are_marked_and_bear_their_errors(people: Lake, tmp_path: Path) -> None:
    validation = tmp_path / "checked.csv"
    validation.write_text("true,estimated,n\na,a,90\na,b,10\nb,b,50\nc,c,2\nc,a,1\n")
    settings = from_mapping({"attributes": [{"name": "site", "estimated": str(validation)}]})
    told = card.facts(people, people.at(), settings)
    site = next(one for one in told.attributes if one.name == "site")
    assert dict(site.errors) == {"a": (10, 100), "b": (0, 50)}  # three pictures of c are too few to be told of
    text = as_markdown(told)
    assert "### site (estimated by a model)" in text
    assert "| a | 100 | 10 % | 5.5 to 17.4 % |" in text
    document = as_croissant(told, None)
    assert any("estimated by a model" in one for one in document["rai:dataLimitations"])
    assert any("site estimated by a model, pictures: b 11" in one for one in document["rai:dataBiases"])
    validation.write_text("true,estimated,n\na,a,90\n")
    with pytest.raises(UserError, match="says nothing of 'b'"):
        card.facts(people, people.at(), settings)


def test_paths_of_this_machine_and_passwords_stay_here(lake: Lake, fill: Fill) -> None:
    fill(
        [
            ("a.png", None, b"1", {"source": "file:///home/eve/secret/photos#x"}),
            ("b.png", None, b"2", {"source": "https://eve:pass@x.example/d.zip?token=1"}),
        ]
    )
    told = card.facts(lake, lake.at(), Settings())
    assert dict(told.sources) == {"photos": 1, "https://x.example/d.zip": 1}
    for text in (as_markdown(told), json.dumps(as_croissant(told, None))):
        assert not re.search("eve:|/eve|pass@|token|/home", text)


def test_repairs_and_answers_and_findings_are_told(people: Lake) -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 1, 1, tzinfo=UTC)
    attempt = people.attempt("test", {})
    repair = {"attribute": "site", "value": "x", "into": "a", "rule": "r", "actor": "e", "reason": "", "pictures": 4, "time": now}  # fmt: skip
    attempt.append("attribute_repairs", rows("attribute_repairs", [repair]))
    sample = people.latest("samples", people.at(), ["sample_id"])["sample_id"].to_pylist()[:2]
    answer = {"batch": "b", "answer": "label", "label": "cat", "state": "submitted", "time": now}
    given = [
        answer | {"annotation_id": f"{one}{who}", "sample_id": one, "annotator": who} for one in sample for who in "xy"
    ]
    attempt.append("annotations", rows("annotations", given))
    attempt.commit({})
    told = card.facts(people, people.at(), SAID)
    assert (told.labels.annotators, told.labels.answers, told.labels.asked) == (2, 4, 2)
    text = as_markdown(told)
    assert "Values of 4 pictures were repaired by a rule that people confirmed." in text
    assert "2 people gave 4 answers about 2 pictures (2.0 a picture)" in text
    assert "Nobody has run a check over it" in text
    assert "How many labels are wrong is not known" in text


def test_mangled_values_are_a_limit_until_somebody_confirms_what_they_were(lake: Lake, fill: Fill) -> None:
    ages = ["0-2"] * 20 + ["03-Sep"] * 20 + ["Oct-19"] * 12 + ["20-29"] * 20
    fill([(f"{n}.png", None, b"%d" % n, {"attributes": [("age", age)]}) for n, age in enumerate(ages)])
    told = card.facts(lake, lake.at(), Settings())
    assert told.attributes[0].mangled == 32
    sentence = "32 pictures (44 %) have a value of age that looks mangled, and nobody has confirmed what it was."
    assert sentence in as_markdown(told)
    assert sentence in as_croissant(told, None)["rai:dataLimitations"]


def test_differences_between_groups_are_told_in_lints_words_and_of_no_hidden_group(people: Lake) -> None:
    def finding(site: str, score: float, **crossed: str) -> dict[str, Any]:
        evidence = json.dumps({"group": {"site": site, **crossed}, "n": 20})
        return {"rule": "SL403", "subject_kind": "group", "subject": f"accuracy: site {site} {crossed}", "key": f"site {site}",
                "score": score, "message": f"accuracy of site {site} is 70 % (n = 27)", "evidence": evidence}  # fmt: skip

    attempt = people.attempt("lint", {})
    attempt.append("findings", rows("findings", [finding("b", 0.1), finding("a", 0.3), finding("b", 0.5, age="<30")]))
    attempt.commit({})
    told = card.facts(people, people.at(), SAID)
    assert told.differences == (
        "SL403: accuracy of site b is 70 % (n = 27)",
    )  # a is kept back, so nothing is said of it; and the card shows no crossed group
    assert [one.count for one in told.findings or ()] == [3]
    assert "- SL403: accuracy of site b is 70 % (n = 27)" in as_markdown(told)
    assert told.differences[0] in as_croissant(told, None)["rai:dataBiases"]
    assert "of site a" not in as_markdown(told) + json.dumps(as_croissant(told, None))


def test_a_lake_without_a_picture_has_a_card(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([])
    card.run(lake, Settings(), output=tmp_path / "r.md", croissant=tmp_path / "c.json")
    assert "0 pictures" in (tmp_path / "r.md").read_text()


# What a machine reads


@pytest.mark.parametrize("format", ["hf-parquet", "folders"])
def test_croissant_reads_every_row_of_an_export(people: Lake, tmp_path: Path, format: str) -> None:
    export.run(people, str(tmp_path / "out"), format=format, card=SAID)
    assert issues(tmp_path / "out" / "croissant.json") == []
    found = {row["path"].rsplit("/", 1)[-1]: row for row in records(tmp_path / "out")}
    assert len(found) == 40
    assert found["p0.png"]["label"] == "007"  # not the number 7
    assert (found["p39.png"]["label"], found["p39.png"]["split"]) == ("cat", "test")
    assert (found["p13.png"]["site"], found["p1.png"]["site"], found["p2.png"]["age"]) == ("a", None, "22")
    assert found["p3.png"]["image"].size == (48, 48)


def test_formats_that_croissants_library_can_t_open_still_have_their_rows(
    lake: Lake, fill: Fill, picture: Picture, tmp_path: Path
) -> None:
    """It opens JPEG and PNG, and what lies beside them; of a WebP alone it says that no such format is known."""
    fill([("a.webp", "cat", picture(1, format="WEBP")), ("b.webp", None, picture(2, format="WEBP"))])
    export.run(lake, str(tmp_path / "alone"), format="folders", card=Settings())
    assert sorted((row["path"], row["label"] or "") for row in records(tmp_path / "alone")) == [
        ("b.webp", ""),
        ("cat/a.webp", "cat"),
    ]
    fill([("c.png", "cat", picture(3)), ("[d]", "cat", b"nothing that has a name")])
    export.run(lake, str(tmp_path / "both"), format="folders", card=Settings())
    assert issues(tmp_path / "both" / "croissant.json") == []
    (tmp_path / "both" / "cat" / "[d]").write_bytes(picture(4))
    assert {row["path"]: row["image"].size for row in records(tmp_path / "both")} == dict.fromkeys(
        ["b.webp", "cat/a.webp", "cat/c.png", "cat/[d]"], (48, 48)
    )


@pytest.mark.parametrize("format", ["hf-parquet", "folders"])
def test_no_label_and_a_split_of_its_own(lake: Lake, fill: Fill, picture: Picture, tmp_path: Path, format: str) -> None:
    fill([("a.png", None, picture(1), {"split": "odd/one"}), ("b.png", None, picture(2), {"split": "train"})])
    export.run(lake, str(tmp_path / "out"), format=format, card=Settings())
    assert issues(tmp_path / "out" / "croissant.json") == []
    found = {row["path"].rsplit("/", 1)[-1]: row for row in records(tmp_path / "out")}
    assert {key: row["split"] for key, row in found.items()} == {"a.png": "odd/one", "b.png": "train"}
    assert all(row.get("label") is None for row in found.values())


def test_files_of_no_known_format_are_described_all_the_same(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    fill([("a", "cat", b"nothing that has a name")])
    export.run(lake, str(tmp_path / "out"), format="folders", card=Settings())
    assert [row["label"] for row in records(tmp_path / "out")] == ["cat"]


@pytest.mark.parametrize("format", ["hf-parquet", "folders"])
def test_hostile_names_are_data_and_nothing_else(
    lake: Lake, fill: Fill, picture: Picture, tmp_path: Path, format: str
) -> None:
    names = HOSTILE
    made = [
        (f"{n}.png", name, picture(n), {"split": "train", "attributes": [(name, name), ("split", "s")]})
        for n, name in enumerate(names)
    ]
    fill([*made, ("alone.png", None, picture(9))])
    settings = from_mapping(
        {"bias": {"min_cell": 1}, "card": {"title": names[1], "purpose": names[0], "tags": names[2]}}
    )
    export.run(lake, str(tmp_path / "out"), format=format, card=settings)
    assert issues(tmp_path / "out" / "croissant.json") == []
    found = {row["path"].rsplit("/", 1)[-1]: row for row in records(tmp_path / "out")}
    assert {row["label"] for row in found.values()} == {*names, None}
    for n, name in enumerate(names):
        quoted = [value for field, value in found[f"{n}.png"].items() if value == name and field != "label"]
        assert quoted == [name], name
    text = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert front["license"] == "unknown"
    assert front["pretty_name"] == "a: b --- license: mit"
    assert "<img" not in text.replace("\\<img", "")
    assert "<script" not in text.replace("\\<", "")


def test_the_hubs_own_library_reads_the_card(people: Lake, tmp_path: Path) -> None:
    from huggingface_hub import DatasetCard

    settings = from_mapping({"card": {"title": HOSTILE[1], "tags": "a: b, c"}})
    export.run(people, str(tmp_path / "out"), format="hf-parquet", card=settings)
    read = DatasetCard.load(tmp_path / "out" / "README.md")
    assert read.data.pretty_name == "a: b --- license: mit"
    assert (read.data.license, read.data.size_categories, read.data.tags) == (
        "cc-by-4.0",
        ["n<1K"],
        ["image", "a: b", "c"],
    )
    assert read.data.task_categories == ["image-classification"]
    assert read.text.lstrip().startswith("# a: b --- license: mit")


def test_the_hub_is_told_where_the_splits_are(people: Lake, tmp_path: Path) -> None:
    export.run(people, str(tmp_path / "out"), format="hf-parquet", card=SAID)
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    files = front["configs"][0]["data_files"]
    assert files == [{"split": "test", "path": "data/test-*"}, {"split": "train", "path": "data/train-*"}]
    assert all(list((tmp_path / "out").glob(one["path"])) for one in files)


def test_an_export_with_its_card_comes_back_in(people: Lake, tmp_path: Path, spark: Any) -> None:
    from secondlook.jobs.ingest import ingest
    from secondlook.jobs.sources import Source

    export.run(people, str(tmp_path / "out"), format="folders", card=SAID)
    other = Lake(str(tmp_path / "other"), create=True)
    source = Source(str(tmp_path / "out"), labels=str(tmp_path / "out" / "labels.csv"))
    assert ingest.run(other, Settings(), spark, source)["samples"] == 40


def test_a_croissant_file_alone_describes_no_files(people: Lake, tmp_path: Path) -> None:
    summary = card.run(people, SAID, croissant=tmp_path / "c.json")
    assert summary["describes"] is None
    document = json.loads((tmp_path / "c.json").read_text())
    assert "recordSet" not in document
    assert document["rai:dataCollectionTimeframe"] == ["2024-03-01", "2024-06-30"]
    assert issues(tmp_path / "c.json") == []


def test_what_we_leave_out_of_the_document_its_library_would_tell(people: Lake, tmp_path: Path) -> None:
    """Its warnings are failures, so each of the fields that it recommends must be there."""
    card.run(people, SAID, croissant=tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    for name in ("citeAs", "datePublished", "license", "version"):
        (tmp_path / "less.json").write_text(json.dumps({key: value for key, value in document.items() if key != name}))
        assert any(name in one for one in issues(tmp_path / "less.json")), name
    field = {"@type": "cr:Field", "@id": "x/y", "name": "y"}  # of no type
    records = {"@type": "cr:RecordSet", "@id": "x", "name": "x", "field": [field]}
    (tmp_path / "less.json").write_text(json.dumps(document | {"recordSet": [records]}))
    assert issues(tmp_path / "less.json")


# The verb


def test_the_verb_prints_writes_and_checks(people: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = ["--lake", people.root]
    assert command(["card", *lake]) == 0
    assert capsys.readouterr().out.startswith("---\npretty_name:")
    wanted = ["--output", str(tmp_path / "README.md"), "--croissant", str(tmp_path / "c.json")]
    assert command(["card", *lake, *wanted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["samples"] == 40
    assert command(["card", "--check", str(tmp_path / "c.json")]) == 0
    (tmp_path / "c.json").write_text("{}")
    assert command(["card", "--check", str(tmp_path / "c.json")]) == 2
    (tmp_path / "c.json").write_text("[")
    assert command(["card", "--check", str(tmp_path / "c.json")]) == 2
    assert command(["card", "--check", str(tmp_path / "none.json")]) == 2


def test_a_card_goes_with_pictures_only(people: Lake, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lies beside pictures"):
        export.run(people, str(tmp_path / "out.csv"), format="csv", card=Settings())
    assert command(["export", str(tmp_path / "out"), "--format", "folders", "--card", "--lake", people.root]) == 0
    assert {"README.md", "croissant.json"} <= {path.name for path in (tmp_path / "out").iterdir()}
