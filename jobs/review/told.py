"""What a batch is, in words: what it asks for and why, what it should cost, and whom it would have left out."""

from collections.abc import Iterator, Mapping
from typing import Any

from secondlook.jobs.review.plan import AGAIN, DOUBTED, GOLD, RANDOM, UNLABELED
from secondlook.labeling.acquire.budget import told_time
from secondlook.labeling.acquire.scores import STRATEGIES

SHOWN = 8  # groups that are named, the largest
WHY = {
    DOUBTED: "a label that may be wrong",
    UNLABELED: "no label yet",
    AGAIN: "answers that people or the model dispute; for somebody else",
    RANDOM: "drawn by chance: they keep the estimates honest",
    GOLD: "the answer is known: they tell who answers well",
}


def told(summary: Mapping[str, Any], *, files: bool, dry_run: bool = False) -> Iterator[str]:
    """Lines about a batch that was made, or would be."""
    if summary.get("audit"):
        yield f"{summary['audit']}: {summary['drawn']} pictures drawn, {summary['how']}"
    if summary.get("clipped"):
        yield str(summary["clipped"])
    if summary.get("few"):
        yield str(summary["few"])
    if summary.get("verify"):
        yield _verified(summary["verify"])
    if not summary["asked"]:
        yield "nothing to ask for: every picture was asked for before, or there is none"
        return
    name = "a dry run" if dry_run else summary["batch"]
    why = ", ".join(f"{n} {strategy}" for strategy, n in summary["strategies"].items())
    yield f"{name}: {summary['asked']} pictures ({why})"
    if "strategy" in summary:
        yield from _reasons(summary, dry_run)
    if summary.get("studio"):
        yield f"answer it here: {summary['studio'].get('url', '')}"
        yield "then: secondlook review pull"
    elif dry_run:
        yield "nothing was recorded; without --dry-run it is"
    elif not files and summary["batch"]:
        yield f"recorded; `secondlook review push --batch {summary['batch']} --to queue.csv` writes it to a file"


def _reasons(summary: Mapping[str, Any], dry_run: bool) -> Iterator[str]:
    cost = f" and {summary['price']:,.2f} {summary['currency']}" if summary["price"] is not None else ""
    yield f"about {told_time(max(summary['seconds'], 1.0))} of people's time{cost}; strategy {summary['strategy']}"
    if summary["gain"] is not None:
        yield f"expected: {summary['gain']:,.0f} wrong or missing labels fewer"
    if not summary["gold"]:
        yield "no gold among them, as there is none yet: `secondlook review gold` makes it"
    if dry_run:
        yield f"chosen by: {STRATEGIES[summary['strategy']]}"
        for strategy, n in summary["strategies"].items():
            yield f"  {n:>6,} {strategy}: {WHY.get(strategy, '')}"
        for group, n in list(summary["groups"].items())[:SHOWN]:
            yield f"  {n:>6,} among {group or 'all classes'}"
    for name, its in summary.get("of_groups", {}).items():
        yield f"of {name}: {its['asked']:,} asked for, of {its['candidates']:,} that could be and {its['pictures']:,} that there are"
    for line in summary["left_out"]:
        yield f"balance: {line}"


def _verified(state: Mapping[str, Any]) -> str:
    return f"split {state['split']}: {state['verified']:,} of {state['pictures']:,} pictures are verified"
