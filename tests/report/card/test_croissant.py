"""Whatever texts the facts hold, the card is one: its front matter is read, and Croissant's library has nothing against it."""

import json
import tempfile
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.jobs.card.check import issues
from secondlook.pipeline.core.bias_config import CardSettings
from secondlook.pipeline.core.cells import Cells
from secondlook.pipeline.core.statistics import Interval
from secondlook.pipeline.report.card.croissant import Exported, as_croissant
from secondlook.pipeline.report.card.facts import CardAttribute, CardFacts, CardFinding, CardLabels, WrongLabels
from secondlook.pipeline.report.card.licenses import HUB_LICENSES, SPDX, hub_license, license_url
from secondlook.pipeline.report.card.text import ASKED, as_markdown

# Any text but lone surrogates, which no file in UTF-8 holds.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@st.composite
def made(draw: st.DrawFn) -> CardFacts:
    names = draw(st.lists(texts, min_size=1, max_size=3, unique=True))
    groups = Cells(dict.fromkeys(names, 20), 2, 15)
    said = {name: draw(texts) for name in draw(st.sets(st.sampled_from([*ASKED, "tags", "title", "url"])))}
    attributes = [CardAttribute(name, groups, 3, draw(texts), True, {name: (1, 20)}, 4, 5) for name in names]
    return CardFacts(
        said=CardSettings(**said),
        title=draw(texts),
        version=draw(st.integers(1, 10**9)),
        date="2026-11-20T12:00:00+00:00",
        program="0.1",
        samples=100,
        contents=90,
        labeled=draw(st.sampled_from([0, 100])),
        rejected={"truncated": 2},
        classes=dict.fromkeys(names, 50),
        classes_waiting=1,
        splits={names[0]: 100},
        sources={names[-1]: 100},
        formats={"PNG": 90},
        licenses=draw(st.sampled_from([None, groups])),
        consents=groups,
        attributes=tuple(attributes),
        labels=CardLabels({"ingest": 90, "review": 10}, 10, 2, 20, 10, 3, platform=True),
        wrong=WrongLabels("share of wrong labels", 0.1, Interval(0.05, 0.2), 50),
        findings=(CardFinding("SL403", "accuracy by group", 1),),
        versions=3,
        first="2026-11-01T12:00:00+00:00",
        min_cell=10,
        differences=(draw(texts),),
    )


@settings(max_examples=20)
@given(made(), st.lists(texts, max_size=3, unique=True))
def test_any_texts_make_a_valid_card(facts: CardFacts, columns: list[str]) -> None:
    front = yaml.safe_load(as_markdown(facts, {"train": "data/train-*"}).split("\n---\n")[0].removeprefix("---\n"))
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    assert set([front["license"]] if isinstance(front["license"], str) else front["license"]) <= {
        *HUB_LICENSES,
        "other",
    }
    exported = Exported("parquet", tuple(columns), classes=tuple(facts.classes))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "croissant.json"
        file.write_text(json.dumps(as_croissant(facts, exported)), encoding="utf-8")
        assert issues(file) == []


def test_licences_are_known_under_the_names_that_people_give_them() -> None:
    for spdx in SPDX.values():
        assert license_url(spdx.replace("-", " ")).endswith(f"/{spdx}.html")
        assert hub_license(f"https://spdx.org/licenses/{spdx}.html") == spdx.lower()
    assert hub_license("https://creativecommons.org/licenses/by-sa/4.0/deed.de") in HUB_LICENSES
    assert license_url("https://x.example/my-licence") == "https://x.example/my-licence"
