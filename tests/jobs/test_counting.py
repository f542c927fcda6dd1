"""Counting pictures by cell and outcome: right, and the same in this process and in Spark."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from secondlook.jobs.bias import counting, groups, repairing
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import carrier as carriers
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.core.bias_config import Attribute
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.core.identity import content_id, sample_id

SETTINGS = Settings(attributes=(Attribute(name="age", bins="18,50"),))
N = 60


def attributes(at: int) -> dict[str, str]:
    """Of picture `at`: a race that is mangled sometimes, an age that is missing or no number sometimes."""
    said = {"race": ("A", "B", "b ")[at % 3]}
    return said | ({} if at % 7 == 0 else {"age": "old" if at % 11 == 0 else str(at)})


@pytest.fixture
def people(lake: Lake, fill: Callable[..., dict[str, str]]) -> Lake:
    """60 pictures of 56 contents with fingerprints, a model that judged 50 of them out of sample, and evidence for some."""
    content = [b"same" if at in (3, 4, 5, 6, 40) else bytes([at]) for at in range(N)]
    names = ["cat", "dog", None]
    fill([(f"{at}.png", names[at % 3], content[at], {"attributes": attributes(at)}) for at in range(N)])
    ids = {content_id(one): at for at, one in enumerate(content)}
    prints = [{"content_id": one, "brightness": at / N, "blur": at % 5.0, "width": 10 + at} for one, at in ids.items()]
    judged = {one: at for one, at in ids.items() if at < 50}
    predictions = [
        {"content_id": one, "model": "m1", "classes": [at % 2, 1 - at % 2], "probs": [0.8, 0.2], "fold": at % 4 - 1}
        for one, at in judged.items()
    ]
    predictions[0] |= {"classes": [], "probs": []}
    evidence = [
        {"content_id": one, "model": "m1", "label": ("cat", "dog")[at % 2], "p_error": at / 100}
        for one, at in judged.items()
    ]
    facts = {"model": "m1", "kind": "generalist", "classes": ["cat", "dog"], "settings": "{}", "metrics": "{}"}
    attempt = lake.attempt("train", {})
    for table, made in (
        ("fingerprints", prints), ("predictions", predictions), ("evidence", evidence), ("models", [facts]),
    ):  # fmt: skip
        attempt.append(table, rows(table, made))
    attempt.commit({})
    repairing.run_repair(lake, "race", author="me")
    return lake


def outcomes() -> dict[str, counting.Outcome]:
    """All that an outcome function may look at, as text; and the label. Made here, since Spark's workers know no tests."""

    def facts(rows: pa.Table) -> pa.Array:
        columns = ["label", "predicted", "p_error", "brightness", "width", "marked", "split"]
        texts = [rows[name].cast(pa.string()).fill_null("-") for name in columns]
        sure = rows["prob"].cast(pa.float32()).cast(pa.string()).fill_null("-")
        return pc.binary_join_element_wise(*texts, sure, "|")

    def labels(rows: pa.Table) -> pa.ChunkedArray:
        return rows["label"]

    return {"facts": facts, "labels": labels}


def counted(lake: Lake, carrier: Any) -> dict[str, Counts]:
    version = lake.at()
    marked = pa.array([sample_id("default", f"{at}.png") for at in (1, 2, 3)])
    near = [[content_id(bytes([at])) for at in (10, 11)], [content_id(bytes([at])) for at in (11, 12)]]
    return counting.count(
        carrier,
        groups.grouping(lake, version, SETTINGS, carrier),
        outcomes(),
        model=dataset.newest_model(lake, version),
        clusters=counting.clusters(carrier, near),
        marks={"marked": marked},
    )


def test_labels_are_counted_by_cell_as_by_hand(people: Lake) -> None:
    counts = counted(people, LocalTables(people, people.at()))["labels"]
    assert counts.grouping.attributes == ("age", "race")
    assert counts.grouping.values == (("<18", "18-49", "50+", NOT_SAID), ("A", "B"))
    assert counts.outcomes == ("cat", "dog")

    def age(at: int) -> str:
        said = attributes(at).get("age", NOT_SAID)
        return NOT_SAID if not said.isdecimal() else "<18" if at < 18 else "18-49" if at < 50 else "50+"

    expected = Counter((age(at), "A" if at % 3 == 0 else "B", ("cat", "dog")[at % 3]) for at in range(N) if at % 3 < 2)
    found = {
        (*(its[place] for its, place in zip(counts.grouping.values, cell, strict=True)), label): int(n)
        for cell, row in zip(counts.cells.tolist(), counts.n.tolist(), strict=True)
        for label, n in zip(counts.outcomes, row, strict=True)
        if n
    }
    assert found == expected
    of_b = counts.by_group([Group((("race", "B"),))])
    assert of_b.tolist() == [[0, 20]]


def test_copies_are_counted_and_told(people: Lake) -> None:
    """3, 4, 5, 6 and 40 are one content, 3 and 6 in one cell; 10, 11 and 12 look the same. 5 and 11 have no label."""
    counts = counted(people, LocalTables(people, people.at()))["labels"]
    assert counts.n.sum() == 40
    assert counts.copies is not None
    assert sorted(np.bincount(counts.copies.cluster).tolist()) == [2, 4]
    labels = [counts.outcomes[at] for at in counts.copies.outcome.tolist()]
    assert Counter(labels) == {"cat": 3, "dog": 3}
    cells = {tuple(counts.cells[at].tolist()) for at in counts.copies.cell.tolist()}
    assert cells <= {tuple(cell) for cell in counts.cells.tolist()}


def test_what_outcome_functions_see(people: Lake) -> None:
    counts = counted(people, LocalTables(people, people.at()))["facts"]
    seen = {text for text, n in zip(counts.outcomes, counts.n.sum(axis=0).tolist(), strict=True) for _ in range(n)}
    assert counts.n.sum() == N
    assert "-|cat|-|0.03333333333333333|12|true||0.8" in seen  # 2: no label, so its evidence is of another one
    assert "dog|dog|0.01|0.016666666666666666|11|true||0.8" in seen  # 1
    assert "cat|-|0|0|10|false||-" in seen  # 0: a prediction without a class is none
    assert "dog|-|-|0.9166666666666666|65|false||-" in seen  # 55: the model did not see it


def test_spark_counts_the_very_same(people: Lake, spark: Any) -> None:
    from secondlook.jobs.lint.on_spark import SparkTables

    carried = SparkTables(people, people.at(), spark)
    try:
        mine, theirs = counted(people, LocalTables(people, people.at())), counted(people, carried)
        known = groups.attributes(people, people.at(), carried)
        some = pa.array([sample_id("default", f"{at}.png") for at in (5, 0, 59)] + ["nobody"])
        grouping = mine["labels"].grouping
        places = [counting.cells_of(one, grouping, some) for one in (LocalTables(people, people.at()), carried)]
    finally:
        carried.close()
    for name in mine:
        assert theirs[name].grouping == mine[name].grouping
        assert theirs[name].outcomes == mine[name].outcomes
        assert (theirs[name].cells == mine[name].cells).all()
        assert (theirs[name].n == mine[name].n).all()
        one, other = theirs[name].copies, mine[name].copies
        assert one is not None
        assert other is not None
        assert all((getattr(one, part) == getattr(other, part)).all() for part in ("cluster", "cell", "outcome"))
    assert known == groups.attributes(people, people.at())
    assert known[1]["race"].repaired == 20
    assert (places[0] == places[1]).all()
    assert places[0][-1] == -1
    assert grouping.split(places[0][:3]).tolist() == [[0, 1], [3, 0], [2, 1]]


def test_an_empty_population_is_no_counts(people: Lake) -> None:
    carrier = LocalTables(people, people.at())
    grouping = groups.grouping(people, people.at(), SETTINGS, carrier)
    nobody = counting.count(carrier, grouping, {"nobody": lambda rows: pa.nulls(rows.num_rows, pa.string())})["nobody"]
    assert (nobody.cells.shape, nobody.n.shape, nobody.outcomes, nobody.copies) == ((0, 2), (0, 0), (), None)


def test_too_many_cells_are_refused_by_the_attributes_name(people: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_CELLS", 3)
    with pytest.raises(
        UserError, match=r"cross into 8 cells of 59 outcomes.*leave .* out of \[bias\] attributes: age \(4"
    ):
        counted(people, LocalTables(people, people.at()))
    monkeypatch.setattr(counting, "MOST_COUNTS", 20)
    with pytest.raises(UserError, match="more than 20 counts"):
        counted(people, LocalTables(people, people.at()))


def test_spark_refuses_too_many_counts_in_the_same_words(
    people: Lake, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secondlook.jobs.lint.on_spark import SparkTables

    monkeypatch.setattr(counting, "MOST_COUNTS", 20)
    carried = SparkTables(people, people.at(), spark)
    try:
        with pytest.raises(UserError, match=r"^crossing the attributes makes more than 20 counts"):
            counted(people, carried)
    finally:
        carried.close()


def test_sums_of_parts_are_the_sums_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "LEAST_SUMMED", 5)
    rng = np.random.default_rng(3)
    made = [(int(rng.integers(4)), str(rng.integers(2)), int(rng.integers(9))) for _ in range(200)]
    told = [{"measure": 0, "cell": cell, "outcome": outcome, "cluster": None, "n": n} for cell, outcome, n in made]
    parts = [pa.Table.from_pylist(told[at : at + 7], carriers.CELLS) for at in range(0, 200, 7)]
    found = carriers.summed_cells(iter(parts), 100)
    expected = Counter[tuple[int, str]]()
    for cell, outcome, n in made:
        expected[cell, outcome] += n
    assert {(row["cell"], row["outcome"]): row["n"] for row in found.to_pylist()} == expected
    with pytest.raises(UserError, match="more than 7 counts"):
        carriers.summed_cells(iter(parts), 7)
