"""The page of benchmarks/bias_simulation.py."""

from typing import Any

from secondlook.pipeline.core.statistics import wilson


def page(result: dict[str, Any]) -> str:
    """In Markdown."""
    figures, where = result["figures"], result["machine"]
    worst = min(figures["coverage_of_differences"], key=lambda row: row["least"])
    return f"""# The audit by groups keeps its word: simulated reports

What an audit by groups promises (`[bias]`, its defaults): with a chance of at most 5 % a report says anything false of SL4; intervals hold the truth 95 times
of 100; a gap as large as `smallest_gap` is found 80 times of 100. Here all of it is tried on data of which the truth is known, with secondlook's own functions.
Why it is computed so: [decision 17](../decisions/0017-statistics-of-the-audit-by-groups.md).

## False alarms over whole reports

{result["reports"]:,} reports, in all of which attributes have nothing to do with outcomes: 500 to 5,000 pictures; gender, race (seven values, 34 % to
3 %) and age (nine, 30 % to 1 %), two or three of them, that go together to some degree, and all groups of two; five measures of the same pictures (label errors, accuracy, false negatives of
a class, what the queue asked for, dark pictures) that depend on one another. So a report makes some {_mean_of_comparisons(figures["false_alarms"])} comparisons. In half of the reports 30 % of the
pictures are in clusters of 2 to 8 copies, which share attributes in 97 % and what happened to them in 95 %.

| | reports | with any false alarm (95 % interval) |
|---|---|---|
{_lines([*_all_reports(figures["false_alarms"]), *figures["false_alarms"]], _alarm)}

"As a finding": also at least `least_gap` large, in the direction that harms. The t-test of group against rest, p at or below 0.05 each time, is what REVISE makes. Of
measures, not reports: how often the interval of the largest gap leaves 0 out, though no groups differ.

Where one group of race differs a lot in every measure, others still must not be said to differ: among groups of gender, age and both, which do not,
reports with a false alarm (three attributes, 500 to 5,000 pictures):

| | reports | rate (95 % interval) |
|---|---|---|
{_lines(figures["others_differ"], lambda row: f"| {_NAMES.get(row['method'], row['method'])} | {row['of']:,} | {_rate(row)} |")}

## Intervals

Exact, all tables enumerated. Shares: every n from 5 to 60, true shares of 1, 2, … 50 %.

| n | cases | coverage, mean | least | cases below 94 % |
|---|---|---|---|---|
{_lines(list(figures["coverage_of_shares"].items()), lambda one: f"| {one[0]} | {one[1]['cases']:,} | {_summary(one[1])} |")}

Differences between a group and the rest: every n from 5 to 60, as many, 200 or 2,000 others, shares of 1, 2, 5, 10, 20, 30 and 50 % on either side.

| method | n | cases | coverage, mean | least | cases below 94 % | mean width |
|---|---|---|---|---|---|---|
{_lines(figures["coverage_of_differences"], lambda row: f"| {row['method']} | {row['n']} | {row['cases']:,} | {_summary(row)} | {row['width']:.3f} |")}

Below 40 both promises are kept in every case. From 40 on they are kept on average: Wilson's interval, which is narrower, dips below for single shares (worst where a share
of 1 % meets an n of 48 to 55). The textbook's interval (Wald) covers {worst["least"] * 100:.1f} % in its worst case.

With copies (40 % of the pictures in clusters of 2 to 8; groups of 5 to 300; simulated):

| | n | intervals | covered (95 % interval) |
|---|---|---|---|
{_lines(figures["coverage_with_copies"], _copied)}

Fairlearn's own bootstrap by group (`MetricFrame`, 200 draws, percentiles) beside ours, for a share of 10 %:

| n of the group | Fairlearn | secondlook |
|---|---|---|
{_lines(_by_n(figures["fairlearn"]), lambda row: f"| {row[0]} | {_rate(row[1])} | {_rate(row[2])} |")}

A bootstrap of a group in which nothing happened says 0 to 0; ours says 0 to what so few pictures could have missed.

## Power

A gap is planted in one group; the report has five measures over gender, race and age, and all groups of two. Promised: the power that is stated at the p which a finding needs in that
report. Found: adjusted p at or below 0.05, two points or more, in the right direction.

| pictures | in the group | share elsewhere | planted gap | promised | reports | found (95 % interval) |
|---|---|---|---|---|---|---|
{_lines(figures["planted"], _planted)}

In the last {sum(row["smallest"] for row in figures["planted"])} rows the gap planted is the `smallest_gap` of a first report, which promises 80 %; beside it the power at each report's own level.
Five points at n = 2,000 are nearly always found where a share is small, and often missed where it is near a half: that is what the statement is for.

{where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}, {result["cpu_seconds"]:.0f} s of one core, seed {result["seed"]}. Reproduce: `.venv/bin/python
benchmarks/bias_simulation.py --json docs/results/bias-simulation.json`.
"""


_NAMES = {
    "permutation": "permutation (default)",
    "finding": "permutation, as a finding",
    "benjamini-yekutieli": "Benjamini-Yekutieli",
    "holm": "Holm",
    **{
        f"found: {name}": f"a crossed group that does differ (race 1, age 6: 1.6 % of the pictures) is found in some measure, {told}"
        for name, told in (
            ("permutation", "permutation"),
            ("benjamini-yekutieli", "Benjamini-Yekutieli"),
            ("holm", "Holm"),
        )
    },
}


def _lines(rows: Any, line: Any) -> str:
    return "\n".join(text for text in map(line, rows) if text)


def _rate(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['rate'] * 100:.1f} % ({low * 100:.1f}–{high * 100:.1f})"


def _summary(row: dict[str, Any]) -> str:
    return f"{row['mean'] * 100:.1f} % | {row['least'] * 100:.1f} % | {row['below_94'] * 100:.1f} %"


def _mean_of_comparisons(rows: list[dict[str, Any]]) -> str:
    return f"{sum(row['mean'] for row in rows if 'mean' in row) / sum('mean' in row for row in rows):.0f}"


def _all_reports(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The corrections over reports with and without copies."""
    both = []
    for method in ("permutation", "finding", "benjamini-yekutieli", "holm"):
        k, of = (sum(row[name] for row in rows if row["method"] == method) for name in ("k", "of"))
        interval = wilson(k, of)
        ends = [interval.low, interval.high]
        both.append({"method": method, "k": k, "of": of, "rate": k / of, "interval": ends, "copied": None})
    return both


def _alarm(row: dict[str, Any]) -> str:
    if "mean" in row:
        return ""
    copies = {None: "all: ", 0.0: "no copies: "}.get(row["copied"], "with copies: ")
    return f"| {copies}{_NAMES.get(row['method'], row['method'])} | {row['of']:,} | {_rate(row)} |"


def _copied(row: dict[str, Any]) -> str:
    known = "as secondlook does" if row["copies_known"] else "copies taken for single pictures"
    return f"| {row['what']}, {known} | {row['n']} | {row['of']:,} | {_rate(row)} |"


def _by_n(rows: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
    by = {(row["method"], row["n"]): row for row in rows}
    return [(n, by["Fairlearn", n], by["secondlook", n]) for n in sorted({row["n"] for row in rows})]


def _planted(row: dict[str, Any]) -> str:
    return (
        f"| {row['pictures']:,} | {row['n']:,} | {row['share'] * 100:.0f} % | {row['gap'] * 100:+.1f} points "
        f"| {row['promised'] * 100:.1f} % | {row['of']} | {_rate(row)} |"
    )
