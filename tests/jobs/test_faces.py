"""Real metadata as it was found, without any picture: repaired, grouped, asked about and weighed. Skips where it is not there."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from secondlook.jobs.bias import repairing
from secondlook.jobs.bias.audit import audit
from secondlook.jobs.bias.targets import targets
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review import batches
from secondlook.pipeline.bias.reweigh import reweigh
from secondlook.pipeline.core.config import from_mapping

Fill = Callable[..., dict[str, str]]
FACES = from_mapping({"bias": {"attributes": "race,age", "reference": "uniform"}, "review": {"gold_share": 0.0}})


def test_the_faces_table_is_repaired_grouped_and_asked_about(
    lake: Lake, fill: Fill, shared_data: Callable[[str], Path]
) -> None:
    with (shared_data("faces") / "labels.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    fill(
        [
            (
                row["file"],
                row["gender"],
                row["file"].encode(),
                {"attributes": [("age", row["age"]), ("race", row["race"])]},
            )
            for row in table
        ]
    )
    repaired = repairing.run_repair(lake, "age", author="me")
    ages = Counter(row["age"] for row in table)
    assert repaired["pictures"] == ages["03-Sep"] + ages["Oct-19"] == 1169
    wanted = sum(row["race"] == "Black" and row["age"] == "03-Sep" for row in table)
    found = batches.run_push(lake, FACES, strategy="random", budget=5000, groups=["race=Black,age=3-9"], dry_run=True)
    assert found["of_groups"] == {"race Black, age 3-9": dict.fromkeys(("pictures", "candidates", "asked"), wanted)}
    told = {one.group.values[0]: one for one in targets(audit(lake, lake.at(), FACES))}
    races = Counter(row["race"] for row in table)
    assert told["race", "White"].have == races["White"] == max(races.values())
    assert told["race", "White"].alone == 0
    assert (told["race", "Middle Eastern"].alone or 0) > 0
    collected = Counter(dict.fromkeys(("race", "age"), 0))
    for (name, _), one in told.items():
        collected[name] += one.collect or 0
    assert collected["race"] == collected["age"] > 0, "each picture counts in both"


def test_weights_make_race_and_gender_independent_on_the_faces(shared_data: Callable[[str], Path]) -> None:
    with (shared_data("faces") / "labels.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    races, genders = (sorted({row[name] for row in table}) for name in ("race", "gender"))
    group, label = [races.index(row["race"]) for row in table], [genders.index(row["gender"]) for row in table]
    found = reweigh(group, label, [1 / len(races)] * len(races))
    both: Counter[tuple[int, int]] = Counter()
    for g, y, weight in zip(group, label, found.weights, strict=True):
        both[g, y] += weight
    share = label.count(0) / len(label)
    for g in range(len(races)):
        assert abs(both[g, 0] / (both[g, 0] + both[g, 1]) - share) < 1e-9
        assert abs(both[g, 0] + both[g, 1] - len(label) / len(races)) < 1e-6
    assert 4500 < found.effective < 5000
