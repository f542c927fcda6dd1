"""A comparison in words: one sentence that claims nothing unsure, a summary for programs, and a table for people."""

from typing import Any

from secondlook.jobs.helped.comparing import Comparison, Part
from secondlook.jobs.terminal import console
from secondlook.pipeline.core.paired import Paired
from secondlook.pipeline.report.formats import printable

ON = {
    "verified": "verified pictures",
    "test": "pictures of the split test, by labels that nobody verified",
    "out of fold": "pictures that both models were held out of, by labels that nobody verified",
}
SHOWN = 12  # parts of each kind that the terminal lists


def sentence(found: Comparison) -> str:
    """Whether the later model is better, in one sentence; no claim where the interval spans zero."""
    if found.on == "nothing":
        return "no claim: there is no labeled picture that both models were held out of"
    one = found.whole
    helped = one.helped(found.alpha)
    verdict = {True: "helped", False: "hurt", None: "no claim"}[helped]
    text = f"{verdict}: {points(one)} on {one.n:,} {ON[found.on]}"
    if helped is not None:
        return text
    if one.interval.low <= 0 <= one.interval.high:
        return f"{text}; the interval spans zero"
    return f"{text}; chance alone does as much in {100 * one.p:.0f} % of cases"


def points(one: Paired) -> str:
    """A difference with its interval.

    >>> from secondlook.pipeline.core.statistics import Interval
    >>> points(Paired(1000, 0.90, 0.918, 20, 2, Interval(0.009, 0.027), 0.001))
    '+1.8 points (0.9 to 2.7)'
    """
    low, value, high = (_number(100 * end) for end in (one.interval.low, one.difference, one.interval.high))
    return f"{value if value.startswith('-') else '+' + value} points ({low} to {high})"


def _number(value: float) -> str:
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text


def summary(found: Comparison, *, sure_only: bool = False) -> dict[str, Any]:
    """For --json. sure_only: of classes and groups only those that a claim is made of, as training keeps it."""
    parts = [part for part in found.parts if not sure_only or part.found.helped(found.alpha) is not None]
    return {
        "helped": found.whole.helped(found.alpha),
        "sentence": sentence(found),
        "before": found.pair.before.name,
        "after": found.pair.after.name,
        "kind": found.pair.after.kind,
        "differ": list(found.pair.differ),
        "version": found.version,
        "on": found.on,
        "overall": _figures(found.whole, found.alpha),
        "classes": [{"name": part.name} | _figures(part.found, found.alpha) for part in parts if part.kind == "class"],
        "groups": [{"name": part.name} | _figures(part.found, found.alpha) for part in parts if part.kind == "group"],
        "comparisons": len(found.parts),
        "too_small": found.small,
        "verified": found.verified,
        "leaked": found.leaked,
        "unknown": found.unknown,
        "confidence": found.confidence,
        "alpha": found.alpha,
        "seed": found.seed,
        "notes": list(found.notes),
    }


def _figures(one: Paired, alpha: float) -> dict[str, Any]:
    if not one.n:
        return {"n": 0}
    figures = {
        "n": one.n,
        "before": round(one.before, 4),
        "after": round(one.after, 4),
        "difference": round(one.difference, 4),
        "interval": [round(one.interval.low, 4), round(one.interval.high, 4)],
        "gained": one.gained,
        "lost": one.lost,
        "p": float(f"{one.p:.3g}"),
    }
    if one.adjusted == one.adjusted:  # nan of what was not compared among others
        figures |= {"adjusted": float(f"{one.adjusted:.3g}"), "helped": one.helped(alpha)}
    return figures


def print_all(found: Comparison) -> None:
    """The comparison for people: both models, the sentence, what surely changed, and what stayed out."""
    out = console.out()
    one, before, after = found.whole, found.pair.before, found.pair.after
    out.print(f"before: {before.name}", markup=False)
    out.print(f"now:    {after.name}", markup=False)
    out.print(sentence(found), markup=False, style="bold")
    if one.n:
        right = f"right before {100 * one.before:.1f} %, now {100 * one.after:.1f} %"
        out.print(f"  {right}: {one.gained:,} pictures gained, {one.lost:,} lost")
    for kind, many in (("class", "classes"), ("group", "groups")):
        _print_parts([part for part in found.parts if part.kind == kind], many, found.alpha)
    for note in _notes(found):
        console.say(note, style="yellow")


def _print_parts(parts: list[Part], many: str, alpha: float) -> None:
    if not parts:
        return
    out = console.out()
    sure = sorted(
        (part for part in parts if part.found.helped(alpha) is not None), key=lambda part: part.found.difference
    )
    if not sure:
        out.print(f"no claim for any of {len(parts):,} {many}")
        return
    out.print(f"surely changed, of {len(parts):,} {many} (corrected over all comparisons):")
    shown = sure if len(sure) <= SHOWN else [*sure[: SHOWN // 2], *sure[-SHOWN // 2 :]]
    for part in shown:
        verdict = "helped" if part.found.helped(alpha) else "hurt  "
        out.print(f"  {verdict}  {printable(part.name)[:60]}: {points(part.found)} of {part.found.n:,}", markup=False)
    if len(sure) > len(shown):
        out.print(f"  … and {len(sure) - len(shown):,} more: --json has all")


def _notes(found: Comparison) -> list[str]:
    notes = []
    if found.pair.differ:
        notes.append(f"settings differ too ({printable('; '.join(found.pair.differ))}): it is not the labels alone")
    if found.on == "test" and found.verified:
        notes.append(
            f"{found.verified:,} of them are verified, too few: `secondlook review push --verify test` asks for more"
        )
    if found.leaked:
        notes.append(f"{found.leaked:,} pictures that leaked from the test split were left out")
    if found.unknown:
        notes.append(
            f"{found.unknown:,} pictures are of classes that the earlier model did not know: it has them wrong"
        )
    if found.small:
        notes.append(f"{found.small:,} classes and groups have too few pictures to be looked at ([bias] min_cell)")
    return [*notes, *found.notes]
