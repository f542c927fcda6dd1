"""The page of benchmarks/bias_estimates.py."""

from collections.abc import Iterable
from typing import Any


def _percent(one: dict[str, float], places: int = 1) -> str:
    return f"{100 * one['share']:.{places}f} % ({100 * one['low']:.{places}f}–{100 * one['high']:.{places}f})"


def _table(head: str, rows: Iterable[Iterable[str]]) -> list[str]:
    return ["", f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {' | '.join(row)} |" for row in rows), ""]


def page(result: dict[str, Any]) -> str:
    """The page beside the JSON."""
    lines = [
        "# Estimates beside the plain shares",
        "",
        f"What is known of made data is held against what is told, in {result['reports']:,} datasets a row (pooling: {result['reports'] // 5:,}), by secondlook's own functions. "
        "Intervals are of 95 %; those of shares here are Wilson's. What was chosen (spreads of pooling, the trust in all groups' answers, the limits) was chosen on other seeds of such data.",
        "",
        "## Pooling small groups",
        "",
        "Seven races by nine ages, 2,000 pictures (errors of 2 %: 5,000). The error is the root of the mean square, in points.",
        *_table(
            "case | pictures in the group | groups | raw error | pooled error | pooled interval covers | its width",
            (
                [
                    one["case"],
                    f"{one['from']}–{one['below'] - 1}",
                    f"{one['groups']:,}",
                    f"{100 * one['raw']:.1f}",
                    f"{100 * one['pooled']:.1f}",
                    _percent(one["covered"]),
                    f"{100 * one['width']:.0f} points",
                ]
                for one in result["pooling"]
            ),
        ),
        "Where every group is its own there is little to learn from the others: pooling is then hardly better than raw. Where groups have effects of their own at all, its "
        "intervals cover a little less than they promise, as the spread of these effects is guessed from the same few pictures; where they have none, more. "
        "Coverage is an average over groups: one group that is far from all of its like is drawn towards them, and its interval misses it more often than that. "
        "That is why the raw figure and its interval stand first, tests are of it alone, and pooled is beside.",
    ]
    if "faces" in result:
        one = result["faces"]
        lines += [
            "",
            f"Faces (FairFace's 5,000, gender as annotated, linear head on frozen features, {100 * one['accuracy']:.1f} % accuracy on 3,000 that it has not seen): from 600 of these, the accuracy of groups of 5 to 49 "
            f"({one['groups_a_draw']:.0f} a draw) is told and held against the accuracy on the other 2,400, whose own noise is taken off. Error: raw {100 * one['raw']:.1f} points, pooled {100 * one['pooled']:.1f} points; "
            f"pooled is better in {_percent(one['better_in'], 0)} of {one['draws']} draws. Draws are of the same 3,000 faces, so they are not independent.",
        ]
    lines += [
        "",
        "## Label errors by group, corrected by answers (SL402)",
        "",
        "Four groups of 5,000 labels, of which the detector doubts 70 % of the wrong ones; figures are of the last group, a tenth. p is at 0.05 (and 0.005), uncorrected for several tests.",
        *_table(
            "case | answers | p ≤ 0.05 by doubts | by answers | by answers, p ≤ 0.005 | interval covers | width",
            (
                [
                    one["case"],
                    f"{one['answers']:,}",
                    *(_percent(one[name]) for name in ("doubts", "answered", "answered_0005", "covered")),
                    f"{100 * one['width']:.0f} points",
                ]
                for one in result["detector"]
            ),
        ),
        "By doubts alone the noisier group is called worse nearly always, though its labels are as right as the others'. By answers it is not; with 300 answers the interval there covers somewhat too little, "
        "and small p are, if anything, a little too frequent. The price is power, "
        "as a tenth of the answers are of a tenth of the pictures.",
        "",
        "## Groups that a model estimated",
        *_table(
            "case | true gap | raw | corrected | raw interval covers | corrected covers | raw p ≤ 0.05 | corrected p ≤ 0.05",
            (
                [
                    one["case"],
                    *(f"{100 * one[name]:.1f}" for name in ("true", "raw", "corrected")),
                    *(_percent(one[name]) for name in ("raw_covered", "covered", "raw_found", "found")),
                ]
                for one in result["estimated"]
            ),
        ),
        "The gap is of the last group to the rest, in points. The correction holds where the model mistakes people as often with the outcome as without; it can't tell where not.",
        "",
        "## Calibration by group (SL403)",
        *_table(
            "case | pictures | p ≤ 0.05 | p ≤ 0.005 | interval of the difference covers",
            (
                [
                    one["case"],
                    f"{one['pictures']:,}",
                    *(_percent(one[name]) for name in ("found", "found_0005", "covered")),
                ]
                for one in result["calibration"]
            ),
        ),
        "Random groups, where there is nothing to find: reports in which any group is said to be too sure or too humble.",
        "",
        *_table(
            "model | random groups | at 0.05 | at 0.005",
            (
                [one["case"], str(one["groups"]), *(_percent(one[name]) for name in ("found", "found_0005"))]
                for one in result["by_chance"]
            ),
        ),
        "p permutes attributes against each picture's confidence less right, studentized. The first version took p from the interval, "
        "with confidences as given: the first of these models then had a false finding in 59 % of reports.",
        "",
        "## Association of class and group (SL404)",
        *_table(
            "case | npmi | interval covers | width | p ≤ 0.05",
            (
                [
                    one["case"],
                    f"{one['true']:.3f}",
                    _percent(one["covered"]),
                    f"{one['width']:.3f}",
                    _percent(one["found"]),
                ]
                for one in result["association"]
            ),
        ),
        f"Seed {result['seed']}, {result['machine']['cores']} cores, {result['machine']['memory_gib']} GiB, Python {result['machine']['python']}, commit {result['commit']}, {result['date']}"
        + "".join(f"; {name.replace('_', ' ')} anew at {commit}" for name, commit in result.get("anew", {}).items())
        + ". "
        "`.venv/bin/python benchmarks/bias_estimates.py --json docs/results/bias-estimates.json --features FEATURES.npy`",
        "",
    ]
    return "\n".join(lines)
