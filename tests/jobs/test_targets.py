"""Collection targets of an audit: rows and their CSV."""

import csv
import dataclasses
import io

from secondlook.jobs.bias.targets import COLUMNS, GAP, table, targets
from secondlook.pipeline.bias.power import power
from secondlook.pipeline.core.comparison import AuditedAttribute, Compared, Estimate, GroupAudit, Measure
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval


def estimate(value: float) -> Estimate:
    return Estimate(value, Interval(value, value))


def of(name: str, value: str, n: int, k: float, against: float, missing: float | None = None) -> Compared:
    group = Group(((name, value),))
    return Compared(group, n, k, estimate(k / n), estimate(against), estimate(k / n - against), 0.5, missing=missing)


def audited(*measures: Measure, least_gap: float = 0.0) -> GroupAudit:
    return GroupAudit(1, 100, (), measures, 2, 0.05, 0.95, 0.8, "permutation", least_gap, 10, 50, 7)


SHARES = Measure(
    "SL401", "share", "Share", "is there", "all pictures", "lower",
    groups=(
        of("race", "A", 100, 80, 0.5, -60), of("race", "=B", 100, 20, 0.5, 60),
        of("age", "young", 100, 50, 0.4, -25), of("age", "old", 100, 50, 0.6, 25),
    ),
)  # fmt: skip
ACCURACY = Measure(
    "SL403", "accuracy", "Accuracy", "is right", "judged", "lower", n=5000,
    groups=(of("race", "A", 4900, 4000, 0.8), of("race", "=B", 100, 70, 0.8)),
)  # fmt: skip


def test_a_picture_counts_in_all_attributes_at_once() -> None:
    found = {one.group.values[0]: one for one in targets(audited(SHARES))}
    assert [found["race", "A"].collect, found["race", "=B"].collect] == [0, 60]
    assert found["age", "old"].collect + found["age", "young"].collect == 60, "the same 60 pictures"  # type: ignore[operator]
    assert found["age", "old"].collect == 46  # 96 of 160 are 60 %
    assert (found["race", "=B"].alone, found["race", "A"].alone) == (60, 0)
    loose = {one.group.values[0]: one for one in targets(audited(SHARES, least_gap=0.05))}
    assert sum(one.collect or 0 for one in loose.values()) < 120


def test_a_gap_is_seen_with_so_many_pictures() -> None:
    many, few = sorted(targets(audited(ACCURACY)), key=lambda one: -one.have)
    assert many.alone is None, "100 others are too few to hold 4,900 against"
    assert few.alone is not None
    enough = few.have + few.alone
    assert power(enough, 4900, 0.8, -GAP, 0.05 / 50) >= 0.8 > power(0.97 * enough, 4900, 0.8, -GAP, 0.05 / 50)


def test_the_table_reads_back_and_hides_small_groups() -> None:
    text = table(targets(audited(SHARES, ACCURACY)), min_cell=50)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == list(COLUMNS)
    small = next(row for row in rows if row["group"] == "race =B")
    assert (small["have"], small["share"], small["collect"]) == ("", "", "")
    assert next(row for row in rows if row["group"] == "age old")["collect"] == "46"
    assert table([]) == ",".join(COLUMNS) + "\n"


def test_a_group_that_a_model_estimated_says_so() -> None:
    estimated = dataclasses.replace(audited(SHARES), attributes=(AuditedAttribute("age", {}, estimated=True),))
    told = {one.group.name: one.note for one in targets(estimated)}
    assert told["age old"].endswith("age was estimated by a model")
    assert "estimated" not in told["race A"]


def test_a_name_of_a_group_is_no_formula() -> None:
    shares = Measure(
        "SL401", "share", "", "", "", "lower", groups=(of("=cmd", "x", 10, 5, 0.5, 0), of("=cmd", "y", 10, 5, 0.5, 0))
    )
    assert "\nshare,share,'=cmd x," in table(targets(audited(shares)))


def test_who_should_not_be_there_has_no_target() -> None:
    shares = Measure(
        "SL401",
        "share",
        "",
        "",
        "",
        "lower",
        groups=(of("a", "x", 100, 20, 0.0, float("-inf")), of("a", "y", 100, 80, 1.0, float("inf"))),
    )
    found = targets(audited(shares))
    assert [(one.alone, one.collect) for one in found] == [(None, None)] * 2
    assert found[0].note.startswith("adding pictures is not enough")


def test_an_audit_without_a_reference_has_targets_of_gaps_only() -> None:
    assert {one.why for one in targets(audited(ACCURACY))} == {"gap"}
    assert targets(audited()) == []
