"""The rules that need people, a model, or counts over all pictures: over small lakes, here and in Spark."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.lake.answers import answers
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import lint
from secondlook.pipeline.core.config import LintSettings, Settings
from secondlook.pipeline.core.identity import content_id, sample_id

SETTINGS = Settings(lint=LintSettings(min_class=5))
CLASSES = ["cat", "cats", "dog", "husky"]
EACH = 30
D = 16


def put(lake: Lake, job: str, **tables: list[dict[str, Any]]) -> None:
    attempt = lake.attempt(job, {"n": str(tables)})
    for table, records in tables.items():
        attempt.append(table, rows(table, records))
    attempt.commit({})


def key(name: str, n: int) -> str:
    return f"{name}/{n:03}.png"


def fingerprint(name: str, n: int, data: bytes) -> dict[str, Any]:
    side = 16 if n % 2 else 40  # half of all pictures are too small for people
    facts = {
        "content_id": content_id(data),
        "width": side,
        "height": side + 2,
        "size_bytes": 900 + 7 * n,
        "orientation": 1,
    }
    facts |= {"format": "PNG" if name == "husky" else "JPEG", "mode": "RGB", "brightness": (n % 10) / 10}
    facts |= {"phash": int.from_bytes(content_id(data)[:8].encode(), "big") >> 1, "dhash": n}
    return facts | {"entropy": 7.0, "contrast": 0.2, "blur": 0.5, "brightness_p01": 0.1, "brightness_p99": 0.9}


def vector(name: str, n: int) -> list[float]:
    rng = np.random.default_rng(n + 1000 * len(name))
    thing = ["cat", "dog", "husky"].index(name.removesuffix("s"))
    center = -10 if (name, n) == ("dog", 7) else 3 * (np.arange(D) % 3 == thing)
    return [float(value) for value in center + rng.normal(0, 0.5, D)]


def probs(name: str, n: int) -> tuple[list[int], list[float]]:
    """Half of the cats are called cats, and the model can't know which."""
    if name.startswith("cat"):
        share = (0.35 + 0.3 * ((n * 7) % 11) / 11) * 0.96
        values = [share, 0.96 - share, 0.03, 0.01]
    else:
        values = [0.02, 0.01, 0.95, 0.02] if name == "dog" else [0.02, 0.01, 0.05, 0.92]
    order = np.argsort(values)[::-1]
    return order.tolist(), [values[i] for i in order]


@pytest.fixture
def small(lake: Lake, fill: Callable[..., dict[str, str]]) -> Lake:
    """Four classes of 30 pictures: two names for cats, huskies as PNG from one camera, and one picture that is none of them."""
    pictures = [(name, n, f"{name} {n}".encode()) for name in CLASSES for n in range(EACH)]
    fill(
        [
            (
                key(name, n),
                name,
                data,
                {"attributes": [("camera", "old" if name == "husky" else "new"), ("day", f"{n % 7}")]},
            )
            for name, n, data in pictures
        ]
    )
    facts = {"model": "m", "kind": "generalist", "classes": CLASSES, "settings": "{}", "metrics": "{}", "embedder": "e"}
    predictions = []
    for name, n, data in pictures:
        classes, values = probs(name, n)
        predictions.append(
            {"content_id": content_id(data), "model": "m", "classes": classes, "probs": values, "fold": 0}
        )
    put(
        lake,
        "train",
        fingerprints=[fingerprint(*picture) for picture in pictures],
        models=[facts],
        predictions=predictions,
        embeddings=[{"content_id": content_id(d), "model": "e", "vector": vector(name, n)} for name, n, d in pictures],
    )
    return lake


def answer(picture: str, who: str, said: str, batch: str = "b", state: str = "submitted") -> dict[str, Any]:
    is_class = said not in {"unsure", "bad picture", "none of these"}
    return {
        "annotation_id": f"{batch} {picture} {who}",
        "batch": batch,
        "sample_id": sample_id("default", picture),
        "annotator": who,
        "answer": "label" if is_class else said,
        "label": said if is_class else None,
        "state": state,
    }


def of(lake: Lake, rule: str) -> dict[str, dict[str, Any]]:
    """Findings of a rule by key: message and evidence."""
    found = lint.audit(lake, SETTINGS).findings.to_pylist()
    return {row["key"]: row | {"evidence": json.loads(row["evidence"])} for row in found if row["rule"] == rule}


def test_properties_that_give_a_class_away(small: Lake) -> None:
    found = of(small, "SL504")
    assert set(found) == {"husky"}
    told = {one["property"]: one["values"] for one in found["husky"]["evidence"]["properties"]}
    assert told == {"file format": "PNG", "attribute camera": "old"}
    assert found["husky"]["subject_kind"] == "class"


def test_an_attribute_that_some_pictures_lack_has_that_as_a_value(
    lake: Lake, fill: Callable[..., dict[str, str]]
) -> None:
    pictures = [(name, n, f"{name} {n}".encode()) for name in ("cat", "husky") for n in range(EACH)]
    fill(
        [
            (key(name, n), name, data, {"attributes": [("seen", "yes")] * (name == "cat") + [("id", data.decode())]})
            for name, n, data in pictures
        ]
    )
    put(lake, "prints", fingerprints=[fingerprint("cat", n, data) for _, n, data in pictures])
    found = of(lake, "SL504")
    assert {name: one["evidence"]["properties"][0]["values"] for name, one in found.items()} == {
        "cat": "yes", "husky": "(none)"
    }  # fmt: skip


def test_two_names_for_one_thing(small: Lake) -> None:
    found = of(small, "SL502")
    assert set(found) == {"cats"}
    assert found["cats"]["evidence"]["other"] == "cat"
    assert found["cats"]["evidence"]["names"] == "the same name written differently"
    assert 0.3 < found["cats"]["evidence"]["area"] < 0.7


def test_names_are_compared_without_a_model_and_it_is_said(lake: Lake, fill: Callable[..., dict[str, str]]) -> None:
    fill([("a.png", "tabby cat", b"a"), ("b.png", "tabby_cat", b"b"), ("c.png", "yak", b"c")])
    assert set(of(lake, "SL502")) == {"tabby_cat"}
    assert lint.run(lake, SETTINGS)["notes"]["SL502"].startswith("only names were compared")


def test_a_picture_unlike_the_rest(small: Lake) -> None:
    found = of(small, "SL308")
    assert key("dog", 7) in found
    assert max(found.values(), key=lambda one: one["score"])["key"] == key("dog", 7)
    assert len(found) <= 0.05 * len(CLASSES) * EACH


def test_people_who_disagree(small: Lake) -> None:
    one, two, three, four = (key("cat", n) for n in range(4))
    put(
        small, "review pull",
        annotations=[
            answer(one, "ann", "cat"), answer(one, "bob", "dog"),
            answer(two, "ann", "cat"), answer(two, "bob", "dog", state="deleted"), answer(two, "cem", "cat"),
            answer(three, "ann", "dog"),
            answer(four, "ann", "unsure"), answer(four, "bob", "unsure"),
        ],
    )  # fmt: skip
    found = of(small, "SL104")
    assert set(found) == {one, two, four}
    assert found[one]["message"] == "2 people answered: cat 1, dog 1; labeled cat"
    assert found[two]["evidence"]["disagreement"] == 0.0
    put(
        small,
        "again",
        annotations=[answer(one, "bob", "cat", batch="later"), answer(four, "bob", "cat", state="changed")],
    )
    assert of(small, "SL104")[one]["message"] == "2 people answered: cat 2; labeled cat"
    assert of(small, "SL104")[four]["evidence"]["counts"] == {"cat": 1}


def test_answers_whose_decision_was_reverted_do_not_count(small: Lake) -> None:
    one = key("cat", 0)
    said = [answer(one, "ann", "dog"), answer(one, "bob", "cat")]
    put(small, "review pull", annotations=said)
    assert answers(small, small.at()).num_rows == 2
    seq = small.at().id
    votes = [{"annotator": "ann", "answer": "dog", "annotation": said[0]["annotation_id"], "seq": seq}]
    event = {"sample_id": sample_id("default", one), "label": "dog", "source": "review", "batch": "b"}
    put(small, "commit", labels=[event | {"evidence": json.dumps({"votes": votes})}])
    back = {"reverts": "b", "undid": [small.at().id], "restores": 1}
    put(
        small,
        "revert",
        labels=[event | {"label": "cat", "source": "revert", "batch": "r", "evidence": json.dumps(back)}],
    )
    assert answers(small, small.at())["annotator"].to_pylist() == ["bob"]
    assert of(small, "SL104") == {}


def test_what_people_made_of_small_pictures_is_said(small: Lake) -> None:
    said = []
    for name in CLASSES[:3]:
        for n in range(EACH):
            other = "dog" if n % 2 and n % 3 == 0 else name
            said += [answer(key(name, n), "ann", name), answer(key(name, n), "bob", other)]
    put(small, "review pull", annotations=said)
    told = of(small, "SL307")[key("husky", 1)]["evidence"]["people"]
    assert (told["disagreed_small"]["n"], told["disagreed_larger"]["n"]) == (45, 45)
    assert (told["disagreed_small"]["share"], told["disagreed_larger"]["share"]) == (
        pytest.approx(10 / 45, abs=1e-4),
        0.0,
    )
    note = lint.run(small, SETTINGS)["notes"]["SL307"]
    assert note.startswith("of pictures with a shorter side under 24 pixels people disagree on 22% (")


def test_what_is_missing_is_said_in_a_sentence(lake: Lake, fill: Callable[..., dict[str, str]]) -> None:
    data = b"a"
    fill([("a.png", None, data)])
    put(lake, "prints", fingerprints=[fingerprint("cat", 1, data)])
    notes = lint.run(lake, SETTINGS)["notes"]
    assert "`secondlook review push` asks people" in notes["SL104"]
    assert "`secondlook train`" in notes["SL308"]
    assert notes["SL504"] == "fewer than two classes have pictures to compare"
    assert "SL307" not in notes
    put(lake, "review pull", annotations=[answer("a.png", "ann", "cat")])
    assert "answers of two people" in lint.run(lake, SETTINGS)["notes"]["SL104"]
    facts = {"model": "m", "kind": "generalist", "classes": ["cat"], "settings": "{}", "metrics": "{}", "embedder": "e"}
    vectors = [{"content_id": content_id(data), "model": "e", "vector": [1.0, 2.0]}]
    put(lake, "train", models=[facts], embeddings=vectors)
    assert lint.run(lake, SETTINGS)["notes"]["SL308"] == "only 1 pictures have an embedding: too few to compare"


def test_spark_says_the_very_same(small: Lake, spark: Any) -> None:
    said = [
        answer(key(name, n), who, name if who == "ann" else "dog")
        for name in CLASSES
        for n in range(9)
        for who in ("ann", "bob")
    ]
    put(small, "review pull", annotations=said)
    copies = [
        {"sample_id": "twin", "key": "twin.png", "content_id": content_id(b"dog 7"), "split": "test", "attributes": []}
    ]
    put(small, "ingest", samples=[one | {"dataset": "default", "source": "there"} for one in copies])
    put(small, "again", embeddings=[{"content_id": content_id(b"dog 8"), "model": "e", "vector": [-9.0] * D}])
    local, carried = (lint._compute(small, SETTINGS, small.at(), engine, spark) for engine in ("local", "spark"))
    assert carried[1] == local[1]
    assert lint._sorted(carried[0]).to_pylist() == lint._sorted(local[0]).to_pylist()
    assert {"SL104", "SL307", "SL308", "SL502", "SL504"} <= set(local[0]["rule"].to_pylist())
    keys = {row["key"] for row in local[0].to_pylist() if row["rule"] == "SL308"}
    assert {"twin.png", key("dog", 7), key("dog", 8)} <= keys


def test_more_values_than_can_be_compared_are_said(
    lake: Lake, fill: Callable[..., dict[str, str]], spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secondlook.jobs.lint import giveaways, on_driver, on_spark

    pictures = [(name, n, f"{name} {n}".encode()) for name in ("cat", "husky") for n in range(20)]
    fill([(key(name, n), name, data, {"attributes": [("id", data.decode())]}) for name, n, data in pictures])
    put(lake, "prints", fingerprints=[fingerprint("cat", n, data) for _, n, data in pictures])
    for module in (on_driver, on_spark):
        monkeypatch.setattr(module, "MOST_VALUES", 30)
    for carrier in (on_driver.LocalTables(lake, lake.at()), on_spark.SparkTables(lake, lake.at(), spark)):
        said = giveaways.audit(carrier, SETTINGS.lint)
        assert said.notes["SL504"].endswith(" different values: attribute id")
        assert said.findings.num_rows == 0


def test_vectors_are_read_a_part_at_a_time(small: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from secondlook.jobs.lake import dataset
    from secondlook.jobs.lint import on_driver, outliers

    put(small, "again", embeddings=[{"content_id": content_id(b"dog 8"), "model": "e", "vector": [-9.0] * D}])
    put(small, "other", embeddings=[{"content_id": content_id(b"dog 9"), "model": "another", "vector": [-9.0] * 3}])
    model = dataset.newest_model(small, small.at())
    found = []
    for at_once in (7, 10_000):
        monkeypatch.setattr(on_driver, "VECTORS", at_once)
        said = outliers.audit(on_driver.LocalTables(small, small.at()), model, SETTINGS.lint)
        found.append(lint._sorted(said.findings).to_pylist())
    assert found[0] == found[1]
    assert {key("dog", 7), key("dog", 8)} <= {row["key"] for row in found[0]}
    assert key("dog", 9) not in {row["key"] for row in found[0]}


@pytest.mark.soak
def test_a_real_class_that_was_split_at_random_is_found_and_its_real_neighbor_is_not(
    shared_data: Callable[[str], Path], shared_model: Callable[[str], Path]
) -> None:
    """Cats, dogs and ships of CIFAR-10, 400 each; a third of the dogs get another name."""
    import csv
    import zipfile

    import torch

    from secondlook.pipeline.audit.classes.two_names import Seen, rivals, seen, two_names
    from secondlook.pipeline.core.decode import Limits
    from secondlook.pipeline.core.seeds import generator
    from secondlook.pipeline.learn import backbones, ensemble, heads
    from secondlook.pipeline.learn.batches import picture_batches
    from secondlook.pipeline.learn.calibration import cross_fit_temperature
    from secondlook.pipeline.learn.crossfit import assign_folds

    folder, rng = shared_data("cifar10n"), generator(7, "split")
    with (folder / "train.csv").open(newline="") as stream:
        rows_ = [row for row in csv.DictReader(stream) if row["clean"] in {"cat", "dog", "ship"}]
    chosen = [row for name in ("cat", "dog", "ship") for row in [r for r in rows_ if r["clean"] == name][:400]]
    names = ["cat", "dog", "hound", "ship"]
    called = ["hound" if row["clean"] == "dog" and rng.random() < 1 / 3 else row["clean"] for row in chosen]
    labels = np.array([names.index(name) for name in called])
    where = torch.device("cpu")
    net = backbones.load(str(shared_model("mobilenet_v2")), 128, where)
    with zipfile.ZipFile(folder / "images-train.zip") as archive:
        stream_ = ((row["file"], archive.read(row["file"])) for row in chosen)
        batches = picture_batches(stream_, 128, 128, Limits())
        vectors = np.concatenate([net.embed(batch.pixels) for batch in batches])
    folds = assign_folds(labels, np.arange(len(labels)), 5, generator(7, "folds"))
    space = heads.fit_space(vectors)
    fitted = ensemble.cross_fit(space, space.see(vectors), labels, folds, 4, refits=1, seed=7, where=where)
    probs, _ = cross_fit_temperature(labels, fitted.probs, folds)
    order = np.argsort(-probs, axis=1, kind="stable")
    look = seen(rivals(labels, order.astype(np.int32), np.take_along_axis(probs, order, 1)))
    sizes = {name: called.count(name) for name in names}
    found = [(one.subject, one.evidence["other"]) for one in two_names(names, sizes, look, SETTINGS.lint.same_class)]
    assert found == [("hound", "dog")]
    assert list(two_names(names, sizes, Seen({}, {}), 1.0)) == []
