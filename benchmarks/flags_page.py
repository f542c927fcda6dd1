"""The page of benchmarks/flags.py: its figures for people."""

from typing import Any

TITLES = {
    "secondlook": "SL101, chosen from the data",
    "margin_0.30": "odds, fixed margin 0.30",
    "difference_0.10": "p(other) − p(given) > 0.10, the rule before",
    "disagrees": "given ≠ predicted",
    "cleanlab": "cleanlab `find_label_issues`, defaults",
    "cleanlab_confident_learning": "cleanlab, `confident_learning`",
}
GROUPS = {
    "public": "heads and a ResNet-18 on CIFAR-10N; the constants were chosen on matrices like these",
    "choose": "drawn as the cases were on which the constants were chosen",
    "report": "other sources, other people's labels, other models",
    "report, people's mistakes": "of these, labels that people gave",
    "report, planted mistakes": "of these, planted ones",
    "report, all cases": "without the two conditions, models that know next to nothing included",
}


def page(result: dict[str, Any], findable: float, many: int, fewest: int) -> str:
    """Markdown from the JSON's figures."""
    where = result["machine"]
    return f"""# Flags that are chosen without truth

A case is a set of labels, the right ones, and a model's out-of-sample probabilities: {len(result["cases"])} of them, with at least {fewest}
mistakes each, made as benchmarks/flag_cases.py says. *Regret* is 1 − F1 / best F1, where the best is that of any threshold on
the score, known only in hindsight; the yardstick is the same for all. Means over cases with a 95 % bootstrap interval over
cases (seed {result["seed"]}). The first five groups have at least {many} classes and a best F1 of at least {findable:g}: where the scores
can find mistakes. cleanlab saw the same probabilities in the same run.

{"".join(_group(name, result["groups"][name]) for name in GROUPS if name in result["groups"])}
## The matrices of the issue's kind

F1 in percent; *share*: of wrong labels, true and as estimated without any audit answer.

| labels, probabilities | wrong | cleanlab default | given ≠ predicted | rule before | secondlook | best in hindsight | cleanlab's share | secondlook's share |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(_row(case) for case in result["cases"] if case["part"] == "public")}

{_evidence(result["cases"])}## What the odds rank

Mean average precision over the cases of a group.

| group | cases | p(other) against p(given), as odds | their difference | 1 − p(given) |
|---|---|---|---|---|
{chr(10).join(_ap(name, result["groups"][name]) for name in GROUPS if name in result["groups"])}

## Where it fails

The ten worst of `report`, of those that can be found.

| case | classes | wrong | estimated | differ from the best class | best F1 | F1 | regret |
|---|---|---|---|---|---|---|---|
{chr(10).join(_case(case) for case in _worst(result["cases"], findable, many))}

What people get wrong and what a weak model gets wrong look alike from the outside: both lie between classes that are alike.
The constants take the middle that fits people's labels. So mistakes that strike at random (planted ones), few of them, under a
model that is itself wrong on many pictures, are flagged too generously; and mistakes that a model shares cannot be seen.

cleanlab {result["cleanlab"]}; {where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}; {result["minutes"]} minutes. Data:
CIFAR-10N (CC BY-NC 4.0), CIFAR-10H (CC BY-NC-SA 4.0), Tiny ImageNet (non-commercial research), FairFace (CC BY 4.0), digits of
scikit-learn, made Gaussian clouds. Reproduce: `.venv/bin/python benchmarks/flags.py --features FEATURES --json docs/results/flags.json`.
"""


def _group(name: str, figures: dict[str, Any]) -> str:
    lines = []
    for way, title in TITLES.items():
        f = figures["regret"][way]
        lines.append(
            f"| {title} | {f['mean']:.3f} ({f['mean_95'][0]:.3f}–{f['mean_95'][1]:.3f}) | {f['median']:.3f} | {f['p90']:.3f} | {f['worst']:.3f} |"
        )
    ours, theirs = (figures["share"][who] for who in ("secondlook", "cleanlab"))
    return f"""## `{name}`: {figures["cases"]} cases

{GROUPS[name][0].upper() + GROUPS[name][1:]}.

| flagged by | mean regret | median | 9 of 10 below | worst |
|---|---|---|---|---|
{chr(10).join(lines)}

The share of wrong labels is estimated {100 * ours["mean_error"]:.1f} points off on average ({_points(ours)}); cleanlab's `num_label_issues` is {100 * theirs["mean_error"]:.1f} ({_points(theirs)}).

"""


def _points(figures: dict[str, Any]) -> str:
    low, high = figures["mean_95"]
    return f"{100 * low:.1f}–{100 * high:.1f}"


def _row(case: dict[str, Any]) -> str:
    f1, share = case["f1"], case["share"]
    cells = [f"{100 * f1[way]:.1f}" for way in ("cleanlab", "disagrees", "difference_0.10", "secondlook")]
    cells += [f"{100 * case['best']:.1f}", f"{100 * share['cleanlab']:.1f} %", f"{100 * share['secondlook']:.1f} %"]
    return f"| `{case['name']}` | {100 * case['wrong']:.1f} % | {' | '.join(cells)} |"


def _ap(name: str, figures: dict[str, Any]) -> str:
    ap = figures["ap"]
    return (
        f"| `{name}` | {figures['cases']} | {ap['odds']:.3f} | {ap['difference']:.3f} | {ap['self_confidence']:.3f} |"
    )


def _worst(cases: list[dict[str, Any]], findable: float, many: int) -> list[dict[str, Any]]:
    some = [case for case in cases if case["part"] == "report" and case["best"] >= findable and case["k"] >= many]
    return sorted(some, key=lambda case: case["f1"]["secondlook"] / case["best"])[:10]


def _case(case: dict[str, Any]) -> str:
    f1 = case["f1"]["secondlook"]
    return (
        f"| `{case['name']}` | {case['k']} | {case['wrong']:.1%} | {case['share']['secondlook']:.1%} | {case['differ']:.1%} "
        f"| {case['best']:.3f} | {f1:.3f} | {1 - f1 / case['best']:.3f} |"
    )


def _evidence(cases: list[dict[str, Any]]) -> str:
    """The table of cases in which secondlook knows more than probabilities."""
    rows = [_row(case) for case in cases if case["part"] == "evidence"]
    if not rows:
        return ""
    head = "| labels | wrong | cleanlab default | given ≠ predicted | rule before | secondlook | best in hindsight | cleanlab's share | secondlook's share |"
    return f"""### With evidence beside the probabilities

The loop's own ensemble on MobileNetV2 features ([evidence](evidence.md)): the others see its averaged, calibrated probabilities;
secondlook flags what its kinds of evidence say together, and the best is that of any threshold on this score.

{head}
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

"""
