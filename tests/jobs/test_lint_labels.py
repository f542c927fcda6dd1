"""SL101 and SL102 in a lake: two passes, evidence, and the same flags whatever carries them and however rows are split."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import labels, on_driver, on_spark
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.jobs.lint.on_spark import SparkTables
from secondlook.jobs.lint.scores import scores
from secondlook.pipeline.audit.labels.calibrated import Calibrator, NotYet
from secondlook.pipeline.audit.labels.doubts import tallied
from secondlook.pipeline.audit.labels.evidence import KINDS, combine
from secondlook.pipeline.audit.labels.flags import Tally, empty
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id

N, K, TOP = 400, 12, 5
NAMES = [f"class {i:02d}" for i in range(K)]
SETTINGS = LintSettings()
NONE_YET = NotYet(7)


def put(lake: Lake, job: str, **tables: list[dict[str, Any]]) -> None:
    attempt = lake.attempt(job, {"n": str(tables)})
    for table, records in tables.items():
        attempt.append(table, rows(table, records))
    attempt.commit({})


@pytest.fixture
def judged_lake(lake: Lake, fill: Callable[..., dict[str, str]]) -> Lake:
    """Labels of which a tenth is wrong, lists of unequal length, evidence of some, predictions that came in two commits."""
    rng = np.random.default_rng(7)
    true = rng.integers(0, K - 1, N)
    given = np.where(rng.random(N) < 0.1, rng.integers(0, K, N), true)  # one class is nearly never seen
    label = [None if i % 19 == 0 else "not in the model" if i % 23 == 0 else NAMES[g] for i, g in enumerate(given)]
    data = [b"%d" % (i // 2 if i % 10 == 0 else i) for i in range(N)]  # some contents lie under two keys
    fill([(f"{i:04d}.png", label[i], data[i]) for i in range(N)])
    probs = rng.dirichlet(np.full(K, 0.3), N)
    probs[np.arange(N), true] += 1.5 * rng.random(N)
    probs /= probs.sum(axis=1, keepdims=True)
    predictions, evidence = [], []
    for content, i in {one: i for i, one in enumerate(data)}.items():
        if i % 29 == 0:
            continue
        best = np.argsort(-probs[i])[: 2 + i % (TOP - 1)]
        row = {"content_id": content_id(content), "model": "m1"}
        predictions.append(row | {"classes": best.tolist(), "probs": probs[i][best].tolist(), "fold": 0})
        if i % 3:
            scores = {kind: float(rng.random()) for kind in KINDS if rng.random() < 0.8}
            combined = combine({kind: np.array([score]) for kind, score in scores.items()}) if scores else [None]
            old = label[i] if i % 5 else NAMES[0]  # some labels changed since
            evidence.append(row | {"label": old, **scores, "p_error": combined[0]})
    facts = {"model": "m1", "kind": "generalist", "classes": NAMES, "settings": "{}", "metrics": "{}"}
    put(lake, "train", models=[facts], predictions=predictions[:250], evidence=evidence[:100])
    put(lake, "score", predictions=predictions[240:], evidence=evidence[100:])
    return lake


class Shuffled(SparkTables):
    """Spark's rows in any number of partitions and any order."""

    split = (1, 0)

    def _doubtable(self, model: str) -> Any:
        from pyspark.sql import functions as f

        partitions, seed = self.split
        return super()._doubtable(model).repartition(partitions).sortWithinPartitions(f.rand(seed))


class ShuffledHere(LocalTables):
    """This process's rows in any order."""

    seed = 0

    def _doubtable(self, model: str) -> pa.Table:
        table = super()._doubtable(model)
        return table.take(np.random.default_rng(self.seed).permutation(table.num_rows))


def said(carrier: Any, lake: Lake, settings: LintSettings = SETTINGS) -> tuple[list[Any], Any]:
    """Findings in an order that doesn't depend on the carrier, and the notes."""
    model = dataset.newest_model(lake, lake.at())
    found, notes, _ = labels.audit(carrier, model, (), settings, NONE_YET)
    return found.sort_by([("rule", "ascending"), ("subject", "ascending")]).to_pylist(), notes


def tally_of(carrier: Any, lake: Lake) -> bytes:
    model = dataset.newest_model(lake, lake.at())
    count = carrier.tallied("m1", lambda table: labels.count(table, model), empty(K))
    assert isinstance(count, Tally)
    return count.to_bytes()


def test_flags_do_not_depend_on_how_rows_are_split_or_ordered(
    judged_lake: Lake, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = LocalTables(judged_lake, judged_lake.at())
    expected, sums = said(here, judged_lake), tally_of(here, judged_lake)
    assert len([row for row in expected[0] if row["rule"] == "SL101"]) > 30
    assert len([row for row in expected[0] if row["rule"] == "SL102"]) > 1
    for n_rows, seed in ((1, 1), (13, 2), (10**6, 3)):
        monkeypatch.setattr(on_driver, "ROWS", n_rows)
        shuffled = ShuffledHere(judged_lake, judged_lake.at())
        shuffled.seed = seed
        assert tally_of(shuffled, judged_lake) == sums
        assert said(shuffled, judged_lake) == expected
    before = spark.conf.get("spark.sql.shuffle.partitions")
    monkeypatch.setattr(on_spark, "PARTITION_ROWS", N // 9)  # so that there are more of them than the session asks for
    for partitions, seed in ((1, 1), (3, 2), (7, 3)):
        there = Shuffled(judged_lake, judged_lake.at(), spark)
        there.split = (partitions, seed)
        assert said(there, judged_lake) == expected  # the margin, which the notes name, included
        assert int(spark.conf.get("spark.sql.shuffle.partitions")) == 10
        there.close()
        assert spark.conf.get("spark.sql.shuffle.partitions") == before
    assert tally_of(there, judged_lake) == sums


def test_the_sums_are_of_all_labels_that_the_model_knows(judged_lake: Lake) -> None:
    here = LocalTables(judged_lake, judged_lake.at())
    whole = tallied(labels.as_judged(here._doubtable("m1"), NAMES))
    assert whole.to_bytes() == tally_of(here, judged_lake)
    twice = whole + whole
    assert Tally.from_bytes(twice.to_bytes()).to_bytes() == twice.to_bytes()


def test_the_finding_says_which_evidence_spoke_and_only_while_the_label_stands(
    lake: Lake, fill: Callable[..., dict[str, str]]
) -> None:
    ids = fill([("a.png", "cat", b"a"), ("b.png", "cat", b"b"), ("c.png", "cat", b"c")])
    sure, other = {"classes": [0, 1], "probs": [0.75, 0.25]}, {"classes": [1, 0], "probs": [0.75, 0.25]}
    facts = {"model": "m", "kind": "generalist", "classes": ["cat", "dog"], "settings": "{}", "metrics": "{}"}
    names = dict(zip("abc", (sure, sure, other), strict=True))
    told = [{"content_id": content_id(k.encode()), "model": "m", "fold": 0} | values for k, values in names.items()]
    scores = {"held_out": 0.25, "refit": 0.875, "neighbors": 0.75, "dynamics": None, "others": 1.0}
    spoken = [
        {"content_id": content_id(k.encode()), "model": "m", "label": label, "p_error": 0.8125} | scores
        for k, label in (("a", "cat"), ("b", "dog"))  # b's label was another one when the model was fitted
    ]
    put(lake, "train", models=[facts], predictions=told, evidence=spoken)
    found, _ = said(LocalTables(lake, lake.at()), lake, LintSettings(mislabel_margin=0.5))
    (a,) = found
    assert (a["subject"], a["score"]) == (ids["a.png"], 0.8125)
    assert a["message"] == "labeled cat, likely dog (score 0.81; by others, refit, neighbors; not held_out)"
    assert json.loads(a["evidence"]) == {
        "given": "cat", "suggested": "dog", "p_given": 0.75, "p_suggested": 0.25, "p_error": 0.8125,
        "p_error_is": "score", "score": 0.8125,
        "against": {"others": 1.0, "refit": 0.875, "neighbors": 0.75}, "supporting": {"held_out": 0.25},
    }  # fmt: skip


def test_p_error_is_a_score_until_there_are_enough_answers_and_all_say_so(judged_lake: Lake) -> None:
    model = dataset.newest_model(judged_lake, judged_lake.at())
    here = LocalTables(judged_lake, judged_lake.at())
    scores, notes, _ = labels.audit(here, model, (), SETTINGS, NotYet(40))
    assert "p_error is a score: fewer than 100 audit answers (40)" in notes["SL101"]
    curve = Calibrator(1.0, -1.0, 250, 60)
    probabilities, notes, _ = labels.audit(here, model, (), SETTINGS, curve)
    assert "p_error is a probability, calibrated on 250 audit answers" in notes["SL101"]
    before, after = ([row for row in found.to_pylist() if row["rule"] == "SL101"] for found in (scores, probabilities))
    assert [row["subject"] for row in before] == [row["subject"] for row in after]  # what is flagged is the same
    assert [row["score"] for row in before] == [row["score"] for row in after]
    for row in after:
        evidence = json.loads(row["evidence"])
        assert evidence["p_error_is"] == "probability"
        assert evidence["p_error"] == pytest.approx(float(curve(row["score"])), abs=1e-5)
        assert f"(probability {evidence['p_error']:.2f}" in row["message"]
    assert {json.loads(row["evidence"])["p_error_is"] for row in before} == {"score"}
    assert all("(score " in row["message"] for row in before)


def test_every_label_has_the_score_that_it_is_decided_by(judged_lake: Lake) -> None:
    version = judged_lake.at()
    model = dataset.newest_model(judged_lake, version)
    found, _ = said(LocalTables(judged_lake, version), judged_lake, LintSettings(mislabel_margin=0.0))
    flagged = {row["subject"]: row["score"] for row in found if row["rule"] == "SL101"}
    every = scores(judged_lake, version, model).to_pylist()
    assert {row["sample_id"] for row in every if (row["p_error"] or 0) > 0.5} == set(flagged)
    assert all(flagged.get(row["sample_id"], row["p_error"]) == row["p_error"] for row in every)
    labeled = dataset.samples(judged_lake, version).to_pylist()
    strange = {row["sample_id"] for row in labeled if row["label"] == "not in the model"}
    assert strange >= {row["sample_id"] for row in every if row["p_error"] is None} > set()


def test_a_margin_in_the_settings_is_used_and_named(judged_lake: Lake) -> None:
    here = LocalTables(judged_lake, judged_lake.at())
    strict, notes = said(here, judged_lake, LintSettings(mislabel_margin=0.9))
    assert all(row["score"] > 0.95 for row in strict if row["rule"] == "SL101")
    assert notes["SL101"].startswith("flagged above a margin of 0.9 (the setting mislabel_margin)")


def test_predictions_that_are_none_are_refused_by_the_pictures_name(
    lake: Lake, fill: Callable[..., dict[str, str]], spark: Any
) -> None:
    fill([("a.png", "cat", b"a"), ("b.png", "dog", b"b")])
    facts = {"model": "m", "kind": "generalist", "classes": ["cat", "dog"], "settings": "{}", "metrics": "{}"}
    broken = {"a": [0.5, 0.5], "b": [0.5, float("nan")]}
    told = [
        {"content_id": content_id(k.encode()), "model": "m", "fold": 0, "classes": [0, 1], "probs": probs}
        for k, probs in broken.items()
    ]
    put(lake, "train", models=[facts], predictions=told)
    for carrier in (LocalTables(lake, lake.at()), SparkTables(lake, lake.at(), spark)):
        with pytest.raises(UserError, match=r"^what m predicts of b.png has nan in column 1; only finite .* train"):
            said(carrier, lake)
