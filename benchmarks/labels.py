"""One page of what the audit of labels was measured to do: the figures of the other benchmarks side by side.

.venv/bin/python benchmarks/labels.py --json docs/results/labels.json

It measures nothing itself: it reads what flags, evidence, share, leaks, outliers, neighbors and label_issues wrote beside
the file that it writes, and says of each figure which run it is from. What is not there yet is left out, and said.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

RESULTS = Path(__file__).parents[1] / "docs" / "results"
Result = dict[str, Any]
# The rows of the table, and the cases of flags.json that they are.
MATRICES = {
    "`aggre`, ResNet-18": "cifar-aggre-resnet18",
    "`worse`, ResNet-18": "cifar-worse-resnet18",
    "`aggre`, linear head on MobileNetV2": "cifar-aggre1-linear-n50000-d256-s0",
    "`random1`, the same": "cifar-random11-linear-n50000-d256-s0",
    "`worse`, the same": "cifar-worse1-linear-n50000-d256-s0",
    "`aggre`, the loop's ensemble, all evidence": "aggre",
    "`random1`, the same, all evidence": "random1",
    "`worse`, the same, all evidence": "worse",
    "one of 51 people (CIFAR-10H), the same, all evidence": "one_of_51",
    "Tiny ImageNet, a fifth moved to the nearest class, the same": "tiny_nearest",
}


def percent(value: float, digits: int = 1) -> str:
    """A share as people read it."""
    return f"{100 * value:.{digits}f}"


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    columns = head.split(" | ")
    return "\n".join([f"| {head} |", f"|{'---|' * len(columns)}", *(f"| {' | '.join(row)} |" for row in rows), ""])


def matrices(flags: Result) -> list[Result]:
    """The table's rows: F1 of each way to flag, and the shares."""
    found = {case["name"]: case for case in flags["cases"]}
    rows = []
    for title, name in MATRICES.items():
        case = found.get(name)
        if case is not None:
            rows.append({"title": title} | {key: case[key] for key in ("n", "wrong", "best", "f1", "share", "ap")})
    return rows


def flag_section(flags: Result) -> str:
    """The issue's table, and regret by group."""
    rows = [
        [
            row["title"],
            percent(row["wrong"]),
            *(percent(row["f1"][way]) for way in ("cleanlab", "disagrees", "difference_0.10", "secondlook")),
            percent(row["best"]),
            percent(row["share"]["cleanlab"]),
            percent(row["share"]["secondlook"]),
        ]
        for row in matrices(flags)
    ]
    head = "probabilities | wrong % | cleanlab default F1 | given ≠ predicted F1 | margin 0.10 F1 | secondlook F1 | best F1 | cleanlab's share % | secondlook's estimate %"
    regrets = [
        [
            name,
            str(group["cases"]),
            *(
                f"{one['mean']:.3f} ({one['mean_95'][0]:.3f}–{one['mean_95'][1]:.3f})"
                for one in (group["regret"][way] for way in ("cleanlab", "disagrees", "difference_0.10", "secondlook"))
            ),
            f"{group['regret']['difference_0.10']['worst']:.2f}",
            f"{group['regret']['secondlook']['worst']:.2f}",
        ]
        for name, group in flags["groups"].items()
    ]
    return f"""## Flags, chosen without truth

All flags of a row come from the same published or cross-fitted probabilities, n = 50,000 (CIFAR-10H 10,000, Tiny ImageNet
30,000). The linear head is one on 256 principal directions. "Best" is any threshold's on secondlook's score, in hindsight. More rows and how cases are made: [flags](flags.md).

{table(head, rows)}
Regret, 1 − F1 / best F1, over cases (mean with a bootstrap interval over cases). The goal was a mean of 0.019 and a worst of 0.05.

{table("group | cases | cleanlab default | given ≠ predicted | margin 0.10 | secondlook | worst of margin 0.10 | worst of secondlook", regrets)}"""


def evidence_section(evidence: Result) -> str:
    """Average precision of rankings."""
    ways = ("linear head, self-confidence", "average of heads, margin", "combined")
    rows = [
        [
            name,
            f"{case['n']:,}",
            percent(case["wrong"] / case["n"]),
            *(
                f"{one['ap']:.3f} ({one['ap_95'][0]:.3f}–{one['ap_95'][1]:.3f})"
                for one in (case["ranking"][way] for way in ways)
            ),
        ]
        for name, case in evidence["cases"].items()
    ]
    return f"""## The ranking

Average precision (Poisson bootstrap, 95 %). Required on `aggre` 0.74 and on `worse` 0.93, goal 0.76 and 0.94, all on MobileNetV2 features.
Each kind of evidence alone, and what chose: [evidence](evidence.md).

{table("labels | n | wrong % | linear head, self-confidence | average of heads, margin | combined evidence", rows)}"""


def share_section(share: Result) -> str:
    """Coverage and width of the interval, and calibration before and after audit answers."""
    rows = [
        [
            row["case"],
            row["method"],
            str(row["answers"]),
            f"{row['draws']:,}",
            f"{percent(row['coverage'])} ({percent(row['coverage_95'][0])}–{percent(row['coverage_95'][1])})",
            percent(row["half_width"], 2),
        ]
        for row in share["figures"]["coverage"]
        if row["answers"] == 500 and row["case"] in {"aggre", "worse"}
    ]
    calibrated = []
    for name, one in share["figures"]["calibration"].items():
        calibrated.append([f"`{name}`", "none: a score", f"{one['before']['ece']:.3f}", ""])
        calibrated += [
            [f"`{name}`", str(after["answers"]), f"{after['ece']:.3f}", f"{after['ece_95th']:.3f}"]
            for after in one["after"]
        ]
    return f"""## The share of wrong labels, with an interval

Simulated audits with adjudicated answers, ResNet-18 scores, N = 50,000. Asked: coverage from 93.5 to 96.5 %, a half-width near 1.1 points.
Other sizes, small datasets, weak scores, classes: [share](share.md).

{table("labels | how | answers | audits | coverage of the 95 % interval, % | half-width, points", rows)}
## p_error before and after audit answers

Expected calibration error on labels that were not audited. Asked: at most 0.05.

{table("labels | audit answers | calibration error, mean | 95th percentile over audits", calibrated)}
![Reliability before and after 500 audit answers](labels-reliability.svg)
"""


def reliability(share: Result, file: Path) -> None:
    """The diagram: what is said of labels against what is true, before and after 500 answers."""
    cases = share["figures"]["calibration"]
    drawing = Figure(figsize=(4.2 * len(cases), 4.2), layout="constrained")
    axes = drawing.subplots(1, len(cases), squeeze=False)
    for axis, (name, one) in zip(axes[0], cases.items(), strict=True):
        after = next(row for row in one["after"] if row["answers"] == 500)
        axis.plot([0, 1], [0, 1], color="#999999", lw=1, ls="--", label="said = true")
        for bins, color, label in (
            (one["before"]["bins"], "#b9483e", "score"),
            (after["bins"], "#2a6f97", "calibrated"),
        ):
            axis.plot([b["p"] for b in bins], [b["wrong"] for b in bins], "o-", ms=4, color=color, label=label)
        axis.set(title=name, xlabel="p_error", ylabel="share wrong", xlim=(0, 1), ylim=(0, 1))
        axis.legend(frameon=False)
    with mpl.rc_context({"svg.hashsalt": "secondlook", "svg.fonttype": "none"}):  # equal figures, equal bytes
        drawing.savefig(file, metadata={"Date": None, "Creator": None})


def leak_section(leaks: Result) -> str:
    """Recall and precision of leaks."""
    c = leaks["cifar"]
    ways = [name for name, one in c.items() if isinstance(one, dict) and "judgment 1" in one]
    rows = [
        [
            way,
            *(
                f"{one['found']} of {one['of']}, {percent(one['recall'])} % ({percent(one['recall_95'][0])}–{percent(one['recall_95'][1])})"
                for one in (c[way]["judgment 1"], c[way]["all"])
            ),
            f"{c[way]['pairs']:,}",
            f"{c[way]['mirrored']:,}",
        ]
        for way in ways
    ]
    eye = c["precision"]
    seen = (
        f"{eye['copies']} of {eye['drawn']} randomly drawn reported pairs are copies ({percent(eye['copies_95'][0], 0)}–{percent(eye['copies_95'][1], 0)} %)"
        if eye["copies"] is not None
        else "nobody has looked at a draw of this run"
    )
    return f"""## Copies and leaks

ciFAIR's 286 pairs of CIFAR-10's test and training pictures. Required: 95 % of judgment 1, 90 % of all, precision 90 % by eye: {seen}.
[leaks](leaks.md)

{table("candidates from | judgment 1 | all | pairs reported | mirrored", rows)}"""


def outlier_section(outliers: Result) -> str:
    """AUROC by plant."""
    found = outliers["figures"]["kinds"]
    judges = list(next(iter(found.values()))["judges"]) if "judges" in next(iter(found.values())) else None
    rows = []
    for kind, one in found.items():
        scores = one["judges"] if judges else {k: v for k, v in one.items() if isinstance(v, dict)}
        rows.append([kind, *(f"{score['auroc']:.3f}" for score in scores.values())])
    names = judges or [k for k, v in next(iter(found.values())).items() if isinstance(v, dict)]
    return f"""## Unlike the rest

AUROC of planted pictures among CIFAR-10's. [outliers](outliers.md) has intervals, what is flagged, and what chose.

{table("planted | " + " | ".join(names), rows)}"""


def speed_section(speed: Result, neighbors: Result | None) -> str:
    """Ratios to the peers."""
    rows = [
        [
            f"{one['n']:,} x {one['classes']:,}",
            f"{sorted(one['kernel_s'])[len(one['kernel_s']) // 2]:.2f} s",
            f"{one['ratio_default']:g} x",
            f"{one['ratio_batched']:g} x",
            f"{one['processes']['secondlook label-issues, C']['peak_mb']:.0f} MB",
        ]
        for one in speed["dense"]
    ]
    lists = [
        [
            f"{one['n']:,} x {speed['sparse']['classes']:,}, top {speed['sparse']['top']}",
            f"{min(one['kernel_s']):.2f} s",
            *(
                [f"{min(one['command']['seconds']):.1f} s", f"{one['command']['peak_mb']:.0f} MB"]
                if isinstance(one["command"]["seconds"], list)
                else [f"{one['command']['seconds']:.1f} s", f"{one['command']['peak_mb']:.0f} MB"]
            ),
        ]
        for one in speed["sparse"]["rows"]
    ]
    text = f"""## Speed

The kernel in memory against cleanlab's two, medians of one run; memory of the whole command. [label_issues](label_issues.md)

{table("labels x classes | kernel | cleanlab's default takes | cleanlab's batched takes | peak of the command", rows)}
{table("lists | kernel | command | peak of the command", lists)}
"""
    if neighbors is not None:
        searches = [
            [
                kind,
                f"{row['n']:,}",
                f"{row['secondlook']['seconds']:.1f} s",
                f"{row['secondlook']['found']:,} of {row['secondlook']['planted']:,}",
                f"{row['secondlook']['recall']:.3f}" if "recall" in row["secondlook"] else "1, by construction",
                f"{row['ratio']:g} x ({row['peer']['of']})" if "ratio" in row else "",
            ]
            for kind in ("hashes", "vectors")
            for row in neighbors[kind]["sizes"]
        ]
        text += f"Neighbors, in a process each: [neighbors](neighbors.md)\n\n{table('what | n | seconds | planted copies found | recall of the 20 nearest | the peer takes', searches)}"
    return text


SECTIONS: dict[str, Callable[..., str]] = {
    "flags": flag_section,
    "evidence": evidence_section,
    "share": share_section,
    "leaks": leak_section,
    "outliers": outlier_section,
}


def source(name: str, result: Result) -> list[str]:
    """Where a section's figures are from."""
    machine = result["machine"]
    where = f"{machine['cores']} cores {machine['processor']}, Python {machine['python']}"
    return [
        f"[{name}]({name}.md)",
        f"`benchmarks/{name}.py`",
        str(result.get("seed", 7)),
        where,
        f"`{result['commit']}`",
    ]


def main() -> None:
    """Write the page, the diagram, and the figures in one JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, default=RESULTS / "labels.json")
    arguments = parser.parse_args()
    folder = arguments.json.parent
    names = [*SECTIONS, "neighbors", "label_issues"]
    there = {name: json.loads(file.read_text()) for name in names if (file := folder / f"{name}.json").exists()}
    parts = [section(there[name]) for name, section in SECTIONS.items() if name in there]
    if "label_issues" in there:
        parts.append(speed_section(there["label_issues"], there.get("neighbors")))
    if "share" in there:
        reliability(there["share"], folder / "labels-reliability.svg")
    missing = [name for name in names if name not in there]
    sources = table("figures | script | seed | machine | commit", [source(*one) for one in there.items()])
    text = "\n".join(
        [
            "# The audit of labels: what it finds, and how sure it is",
            "",
            "Figures of several runs side by side; each page has more, with the command that made it.",
            *([f"Not measured yet: {', '.join(missing)}."] if missing else []),
            "",
            *parts,
            "## Where the figures are from",
            "",
            sources,
            "Reproduce this page: `.venv/bin/python benchmarks/labels.py`.",
            "",
        ]
    )
    arguments.json.with_suffix(".md").write_text(text)
    figures = {"claim": "labels", "matrices": matrices(there["flags"]) if "flags" in there else [], "runs": there}
    if "flags" in there:
        figures["runs"] = {name: one for name, one in there.items() if name != "flags"} | {
            "flags": {key: value for key, value in there["flags"].items() if key != "cases"}
        }
    arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
