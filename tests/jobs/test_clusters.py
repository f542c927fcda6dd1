"""`secondlook clusters` on lakes with made predictions: what is read, what is written once, what becomes of renamed classes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs import cli
from secondlook.jobs.clusters import clusters, stored
from secondlook.jobs.clusters.answers import answers
from secondlook.jobs.history import class_changes
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.specialists import specialists
from secondlook.jobs.train.features import prediction_rows
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.models_config import ClusterSettings

Fill = Callable[..., dict[str, str]]
NAMES = ["cat", "dog", "frog", "lynx", "puma", "ship", "truck", "tiger"]
CATS, WHEELS = {"cat", "lynx", "tiger", "puma"}, {"ship", "truck"}
QUICK = Settings(clusters=ClusterSettings(draws=4))


def predict(lake: Lake, fill: Fill, names: Sequence[str] = NAMES, per_class: int = 20, top: int = 5) -> None:
    """Pictures and a model: the classes at 0, 3, 4, 7 are confused with one another, and those at 5, 6."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(8), per_class)
    probs = rng.dirichlet(np.full(8, 0.3), len(labels)) * 0.05
    for group in ([0, 3, 4, 7], [5, 6]):
        doubtful = np.flatnonzero(np.isin(labels, group) & (rng.random(len(labels)) < 0.5))
        probs[doubtful[:, None], np.array(group)] += 1.8 * rng.dirichlet(np.ones(len(group)), len(doubtful))
    probs[np.arange(len(labels)), labels] += 1
    probs /= probs.sum(axis=1, keepdims=True)
    pictures = [(f"{n:04d}.png", names[label], b"%d" % n) for n, label in enumerate(labels)]
    held_out = [(f"test/{n}.png", names[0], b"test %d" % n, {"split": "test"}) for n in range(30)]
    fill([*pictures, *held_out])
    wrong = np.zeros((30, 8))
    wrong[:, 1] = 1
    folds = np.concatenate([np.arange(len(labels)) % 5, np.full(30, -1)])
    ids = [content_id(data) for data in (*(one[2] for one in pictures), *(one[2] for one in held_out))]
    model = {"model": "generalist-made", "kind": "generalist", "backbone": "small", "classes": list(names)}
    attempt = lake.attempt("train", {"made": True})
    empty = {"path": "models/none", "settings": "{}", "metrics": "{}", "embedder": ""}
    attempt.append("models", rows("models", [model | empty]))
    both = np.concatenate([probs, wrong]).astype(np.float32)
    attempt.append("predictions", prediction_rows(attempt.seq, ids, "generalist-made", both, top, folds))
    attempt.commit({})


def found(lake: Lake) -> list[set[str]]:
    return [set(one.classes) for one in stored.clusters(lake, lake.at(), "generalist-made")]


@pytest.mark.parametrize("method", ["covariance", "confusion", "greedy"])
def test_the_confused_classes_are_found_and_written_once(lake: Lake, fill: Fill, method: str) -> None:
    predict(lake, fill)
    settings = Settings(clusters=ClusterSettings(draws=4, method=method))
    summary = clusters.run(lake, settings)
    assert sorted(found(lake), key=len) == [WHEELS, CATS]
    assert (summary["n"], summary["pictures"], summary["in_none"]) == (2, 160, ["dog", "frog"])
    assert clusters.run(lake, settings) == summary
    assert lake.at().id == summary["version"] == 3
    again = clusters.run(lake, Settings(clusters=ClusterSettings(draws=4, method=method, seed=8)))
    assert (again["version"], sorted(found(lake), key=len)) == (4, [WHEELS, CATS])


def test_a_cluster_tells_its_name_what_it_holds_and_how_sure_it_is(lake: Lake, fill: Fill) -> None:
    predict(lake, fill)
    summary = clusters.run(lake, QUICK)
    cats, wheels = stored.clusters(lake, lake.at(), "generalist-made")
    assert cats.name == " / ".join(cats.classes[:3]) + " +1"
    assert wheels.name in {"ship / truck", "truck / ship"}
    assert (cats.level, cats.parent, cats.evidence["pictures"], wheels.evidence["pictures"]) == (0, None, 80, 40)
    heard = answers(lake, lake.at(), dataset.newest_model(lake, lake.at()))
    wrong = heard.best() != heard.labels
    inside = [np.isin(heard.labels, group) & np.isin(heard.best(), group) & wrong for group in ([0, 3, 4, 7], [5, 6])]
    assert [one.evidence["mistakes"] for one in (cats, wheels)] == [int(one.sum()) for one in inside]
    assert summary["mistakes"] == wrong.sum()
    assert summary["coverage"] == pytest.approx((inside[0] | inside[1]).sum() / wrong.sum(), abs=1e-4)
    assert cats.evidence["share"] == pytest.approx(inside[0].sum() / wrong.sum(), abs=1e-4)
    assert cats.evidence["stability"] == 1
    assert set(cats.evidence["pairs"][0][:2]) < CATS
    assert summary["chosen"]["by"] == "excess"
    assert max(summary["chosen"]["tried"], key=lambda one: one[1])[0] == 2


def test_the_split_test_takes_no_part(lake: Lake, fill: Fill) -> None:
    """There, all cats are called dogs."""
    predict(lake, fill)
    heard = answers(lake, lake.at(), dataset.newest_model(lake, lake.at()))
    assert len(heard) == 160
    assert not ((heard.labels == 0) & (heard.best() == 1)).any()
    assert heard.classes is not None
    assert heard.classes.shape == (160, 5)


def test_renamed_classes_keep_their_clusters_and_a_merged_pair_is_none(lake: Lake, fill: Fill) -> None:
    predict(lake, fill)
    clusters.run(lake, QUICK)
    class_changes.run(lake, "renamed", "lynx", into="bobcat", names=(), reason="why not", author="ann")
    class_changes.run(lake, "merged", "ship", into="truck", names=(), reason="why not", author="ann")
    (cats,) = stored.clusters(lake, lake.at(), "generalist-made")
    assert set(cats.classes) == CATS - {"lynx"} | {"bobcat"}
    assert "lynx" not in cats.name
    clusters.run(lake, QUICK)
    assert found(lake) == [CATS - {"lynx"} | {"bobcat"}]


def test_a_class_that_waits_for_a_sign_off_is_in_no_cluster(lake: Lake, fill: Fill) -> None:
    predict(lake, fill, ["cock" if name == "tiger" else name for name in NAMES])
    summary = clusters.run(lake, QUICK)
    assert found(lake) == [CATS - {"tiger"}, WHEELS]
    assert "cock" not in json.dumps(summary)


def test_without_a_generalist_or_clusters_there_is_nothing(lake: Lake, fill: Fill) -> None:
    fill([("a.png", "cat", b"a")])
    with pytest.raises(UserError, match="no generalist"):
        clusters.run(lake, QUICK)
    assert stored.clusters(lake, lake.at(), "generalist-made") == []


def test_what_no_clusters_can_be_is_refused_and_nothing_written(lake: Lake, fill: Fill) -> None:
    predict(lake, fill)
    for wrong, says in (
        (ClusterSettings(n=5), r"n takes from 1 to 4 for 8 classes, .* got 5"),
        (ClusterSettings(largest=1), "largest takes from 2 classes up, .* got 1"),
    ):
        with pytest.raises(UserError, match=says):
            clusters.run(lake, Settings(clusters=wrong))
    assert lake.at().id == 2
    many = clusters.run(lake, Settings(clusters=ClusterSettings(n=4, draws=2)))
    assert many["clusters"], "six confused classes have no four clusters, but not none"


def test_the_clusters_of_the_last_run_hold_also_where_it_was_done_before(lake: Lake, fill: Fill) -> None:
    predict(lake, fill)
    first = clusters.run(lake, QUICK)
    one = Settings(clusters=ClusterSettings(draws=4, method="greedy", n=1))
    clusters.run(lake, one)
    assert len(found(lake)) == 1
    again = clusters.run(lake, QUICK)
    assert (again["version"], again["clusters"], len(found(lake))) == (5, first["clusters"], 2)
    assert clusters.run(lake, QUICK) == first
    assert lake.at().id == 5


def test_specialists_tell_who_never_looked_from_who_found_none(lake: Lake, fill: Fill) -> None:
    predict(lake, fill)
    with pytest.raises(UserError, match=r"has no clusters yet; `secondlook clusters` finds them"):
        specialists.run(lake, QUICK)
    clusters.run(lake, QUICK)
    attempt = lake.attempt("clusters", {"none": True})
    attempt.commit({"model": "generalist-made", "clusters": []})
    assert found(lake) == [], "those of before hold no longer"
    with pytest.raises(UserError, match=r"looked and left none of generalist-made \(version 4\)"):
        specialists.run(lake, QUICK)


def test_where_nothing_is_confused_it_says_so(lake: Lake, fill: Fill, capsys: pytest.CaptureFixture[str]) -> None:
    predict(lake, fill, per_class=1)
    assert cli.run(["clusters", "--draws", "2", "--lake", lake.root]) == 0
    assert "confuses no two of its 8 classes" in capsys.readouterr().out
    assert found(lake) == []


def test_the_command_prints_a_table_a_line_of_json_and_a_page(
    lake: Lake, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = ["<script>alert(1)</script>", "[red]dog[/red]", "frog", "a\nb", "\x1b[2Jpuma", "x" * 10_000, "truck", "😀"]
    predict(lake, fill, evil)
    page = tmp_path / "clusters.html"
    command = ["clusters", "--method", "greedy", "--draws", "2", "--lake", lake.root, "--output", str(page)]
    assert cli.run(command) == 0
    said = capsys.readouterr().out
    assert "2 clusters by greedy" in said
    assert "\x1b" not in said
    assert "secondlook specialists" in said
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert cli.run([*command, "--json"]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (summary["output"], summary["version"]) == (str(page), 3)
    assert sorted(len(one["classes"]) for one in summary["clusters"]) == [2, 4]
    assert cli.run([*command[:-1], str(tmp_path / "no" / "page.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
