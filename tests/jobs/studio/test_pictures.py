"""Which pictures go to the labeling tool, and which beside its choices."""

from collections.abc import Callable
from pathlib import Path

import pytest

from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.studio import pictures, references
from secondlook.pipeline.core.config import IngestSettings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.identity import content_id
from tests.jobs.conftest import Fill
from tests.services.sending import NOW, train

CLASSES = ("bird", "cat")


def test_a_picture_that_is_gone_changed_or_broken_is_lost_with_a_reason_and_the_others_go(
    lake: Lake, fill: Fill, tmp_path: Path, picture: Callable[..., bytes]
) -> None:
    known = [
        ("good.png", "cat", picture(0)),
        ("gone.png", "cat", picture(1)),
        ("new.png", "cat", picture(2)),
        ("no.png", "cat", b"no picture"),
    ]
    for name, _, data in known:
        (tmp_path / name).write_bytes(data)
    ids = fill(known, reference=f"file://{tmp_path}/")
    (tmp_path / "gone.png").unlink()
    (tmp_path / "new.png").write_bytes(picture(9))
    lost: dict[str, str] = {}
    wanted = {ids[name]: content_id(data) for name, _, data in known}
    sent = list(pictures.samples(lake, lake.at(), wanted, Limits(), lost))
    assert [(sample, suffix) for sample, _, suffix in sent] == [(ids["good.png"], ".png")]
    assert lost == {
        ids["gone.png"]: "not where it was kept by reference",
        ids["new.png"]: "changed where it was kept by reference",
        ids["no.png"]: "not an image",
    }
    files = pictures.references(lake, lake.at(), wanted.values(), Limits(), "key")
    assert set(files) == {wanted[ids["good.png"]]}
    others = pictures.references(lake, lake.at(), wanted.values(), Limits(), "another key")
    assert files.keys() == others.keys()
    assert not {name for name, _ in files.values()} & {name for name, _ in others.values()}, "names are keyed"


def test_examples_are_sure_and_give_nothing_away(lake: Lake, fill: Fill, picture: Callable[..., bytes]) -> None:
    known = [(f"{n}.png", CLASSES[n % 2], picture(n)) for n in range(12)]
    ids = fill(known)
    content = [content_id(data) for *_, data in known]
    train(lake, {content[n]: "cat" if n == 1 else CLASSES[n % 2] for n in range(10)}, CLASSES)
    attempt = lake.attempt("gold and review", {})
    facts = {"source": "supplied", "actor": "x", "time": NOW}
    attempt.append("gold", rows("gold", [facts | {"sample_id": ids["3.png"], "label": "cat"}]))
    decided = {"sample_id": ids["11.png"], "label": "cat", "source": "review", "actor": "ann", "time": NOW}
    attempt.append("labels", rows("labels", [decided]))
    attempt.commit({})
    asked = {content[0], content[5]}
    found = references.chosen(lake, lake.at(), set(CLASSES), asked, 99)
    sure = {
        "bird": {2, 4, 6, 8},
        "cat": {1, 7, 9, 11},
    }  # 0, 5: asked for; 3: gold; 10: the model does not know it; 11: decided
    assert {name: set(some) for name, some in found.items()} == {
        name: {content[n] for n in some} for name, some in sure.items()
    }
    assert {name: len(some) for name, some in references.chosen(lake, lake.at(), {"cat"}, asked, 2).items()} == {
        "cat": 2
    }


def test_a_model_that_is_not_sure_or_says_something_else_gives_no_example(
    lake: Lake, fill: Fill, picture: Callable[..., bytes]
) -> None:
    known = [(f"{n}.png", "cat", picture(n)) for n in range(3)]
    fill(known, CLASSES)
    assert references.chosen(lake, lake.at(), set(CLASSES), set(), 2) == {}, "without a model there is none"
    train(lake, {content_id(data): "bird" for *_, data in known}, CLASSES)
    assert references.chosen(lake, lake.at(), set(CLASSES), set(), 2) == {}
    train(lake, {content_id(data): "cat" for *_, data in known}, CLASSES, sure=references.SURE - 0.01)
    assert references.chosen(lake, lake.at(), set(CLASSES), set(), 2) == {}


def test_portions_are_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "BYTES_AT_ONCE", 100)
    monkeypatch.setattr(pictures, "FILES_AT_ONCE", 3)
    files = [(f"{n}", b"x" * size) for n, size in enumerate([10, 10, 10, 10, 95, 10, 300, 1])]
    portions = list(pictures._portions(files))
    assert [list(some) for some in portions] == [["0", "1", "2"], ["3"], ["4"], ["5"], ["6"], ["7"]]
    assert pictures.limits(IngestSettings(max_file_mb=2)).max_file_bytes == 2 * 2**20
