"""docs/results/models.md and .svg from what benchmarks/models.py put together."""

from pathlib import Path
from typing import Any


def percent(value: float) -> str:
    """0.1234 → 12.3."""
    return f"{100 * value:.1f}"


def ranged(found: dict[str, Any]) -> str:
    """Value and interval in percent, with a sign."""
    return f"{100 * found['value']:+.1f} % ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"


def points(found: dict[str, Any]) -> str:
    """The same in points of a hundred."""
    return f"{100 * found['value']:+.1f} ({100 * found['low']:+.1f} to {100 * found['high']:+.1f})"


def page(report: dict[str, Any]) -> str:
    """All of it as Markdown."""
    parts = [_head(report)]
    if report["specialists"]:
        parts.append(_specialists(report))
    parts += [_main_student(report), _frontier(report)]
    if report["cifar10n"]:
        parts.append(_cifar(report["cifar10n"]))
    return "\n\n".join(parts) + "\n"


def _head(report: dict[str, Any]) -> str:
    machine = report["machine"]
    return f"""# Generalist, clusters, specialists and students

Tiny ImageNet, 100 classes, {report["n"]:,} training pictures of which a tenth is kept apart for choices, and {report["n_test"]:,} test pictures (its `val`), at 32 pixels. All nets are fitted
from scratch, since pretrained ones have seen these pictures. Fitted on one thread of a CPU, in bfloat16, beside other work; no GPU was at hand, so nets are small and
fits are short: what holds here need not hold for large ones. {machine["cores"]} cores {machine["processor"]}, Python {machine["python"]}, commit `{report["commit"]}`.

    python benchmarks/gpu.py tinyimagenet100 --json tiny.json --kept kept     # on a GPU: all seeds, larger nets, minutes
    python benchmarks/gpu.py cifar10n --after after.csv --json cifar.json     # after.csv: benchmarks/active_labeling.py --decided
    .venv/bin/python benchmarks/models.py --runs tiny.json cifar.json --kept kept --data ../shared/data --json docs/results/models.json

Rates, epochs and sizes of clusters were set beforehand; which specialists are kept is chosen on the tenth that is kept apart, nothing on test pictures. A first run of seed 1 showed
a mistake in the specialists' loss (label smoothing gave a third of a cluster's probability to the dustbin); it was mended, and its specialists were fitted again. The goals are of a larger
machine: on a GPU the same commands fit nets of ten times the size for longer."""


def _specialists(report: dict[str, Any]) -> str:
    found = report["specialists"]
    gain = found["relative_gain"]
    met = "met" if gain["value"] >= report["goal"] else "missed"
    rows = "\n".join(
        f"| {name} | {percent(found['accuracy'][arm])} | {percent(found['conditional'][arm])} | {ranged(found[key]) if key else ''} |"
        for name, arm, key in (
            ("generalist", "generalist", ""),
            ("with the specialists that were kept", "kept", "over_generalist"),
            ("with all specialists", "all", "all_over_generalist"),
            ("control: the same compute on further generalists, averaged", "control", "control_over_generalist"),
        )
    )
    cover = "\n".join(
        f"| {row['specialists']} | {row['n']:,} | {row['right_before']:,} | {row['right_after']:,} | {100 * (row['right_after'] / max(row['right_before'], 1) - 1):+.1f} % |"
        for row in found["by_cover"]
    )
    names = "\n".join(f"* {', '.join(one)}" for one in found["clusters"])
    return f"""## Specialists

Against the control, the goal of +4.4 % is **{met}**: {ranged(gain)} with the specialists that were kept ({", ".join(f"{k} of {n}" for k, n in zip(found["kept"], found["tried"], strict=True))} in
{len(gain["seeds"])} seeds), {ranged(found["relative_gain_of_all"])} with all of them. By seed: {", ".join(f"{100 * one:+.1f} %" for one in gain["by_seed"])}.

| {len(gain["seeds"])} seeds, {found["n_test"]:,} test pictures | accuracy, % | conditional, % | relative gain over the generalist (95 %) |
|---|---|---|---|
{rows}

*Conditional*: only the classes of a cluster are allowed, for pictures whose true class is in it. Intervals: pictures and seeds drawn again, {10_000:,} times, the same
pictures for both sides. A specialist is kept where a tenth of the training pictures, which no net was fitted on, says with 90 % confidence that it rights more than it wrongs.
The control's further generalists are those of other seeds where these are there: fitted on as many pictures for as long. It spends at least what the specialists spent ({", ".join(f"{one:,}" for one in found["cost_in_pictures"])} pictures' worth of fitting, the generalist's own pass over them counted as a third).

Specialists do help (all of them, surely), and most where two of them have the right class; further generalists help more for the same money. Keeping fewer than all costs: 2,500
pictures are too few to tell which help.

Gain with all specialists by how many of them have the right class:

| specialists | pictures | right before | right after | |
|---|---|---|---|---|
{cover}

Clusters of the first seed (`greedy`, overlapping), by name:

{names}"""


def _main_student(report: dict[str, Any]) -> str:
    found = report["main_student"]
    titles = {
        "teacher": "the teacher",
        "soft": "taught: soft targets",
        "standardized": "taught: soft targets of standardized logits",
        "decoupled": "taught: decoupled",
        "logits": "taught: matched logits",
        "alone": "no teacher, label smoothing",
        "ten lines": "the peer: a loop of ten lines",
    }
    rows = "\n".join(
        f"| {titles[way]} | {', '.join(map(str, one['seeds']))} | {percent(one['accuracy'])} | {points(one['below_teacher']) if way != 'teacher' else ''} | {points(one['over_alone']) if way != 'alone' else ''} |"
        for way, one in ((way, found["ways"][way]) for way in titles if way in found["ways"])
    )
    best = max(
        (way for way in found["ways"] if way not in ("teacher", "alone", "ten lines")),
        key=lambda way: found["ways"][way]["accuracy"],
    )
    over, below = found["ways"][best]["over_alone"]["value"], found["ways"][best]["below_teacher"]["value"]
    verdict = (
        f"Missed: the best of the methods ({titles[best].removeprefix('taught: ')}) is {100 * below:.1f} points below its teacher after 14 short epochs. "
        f"{'Met' if over >= 0.03 else 'Missed'}: it is {100 * over:.1f} above no teacher (soft targets, the default, {100 * found['ways']['soft']['over_alone']['value']:.1f}). Which "
        "method is best was seen on these test pictures, so its lead is a little flattered; one seed."
    )
    return f"""## A student of a tenth of the teacher's parameters

`{found["net"]}`, 84 thousand parameters. Goal: at most 1 point below its teacher, and at least 3 above the same net without one.

{verdict}

| | seeds | accuracy, % | below the teacher, points (95 %) | above no teacher, points (95 %) |
|---|---|---|---|---|
{rows}"""


def _frontier(report: dict[str, Any]) -> str:
    made = sorted(report["students"], key=lambda one: -one["accuracy"])
    rows = "\n".join(
        f"| {'**' if one['frontier'] else ''}{one['name']}{'**' if one['frontier'] else ''} | {percent(one['accuracy'])} | {percent(one['conditional'])} | {one['ms_1']:.2f} | {one['ms_64']:.1f} | "
        f"{one['multiply_adds'] / 1e6:.1f} | {one['parameters'] / 1e3:.0f} | {one['bytes'] / 1e3:.0f} | {percent(one['gap'])} | {one['forgotten']} | {'' if one['pgd_1'] is None else percent(one['pgd_1'])} |"
        for one in made
    )
    return f"""## The frontier

![Accuracy by latency of all students](models.svg)

{len(made)} points, {sum(one["frontier"] for one in made)} of them on the frontier (bold): nothing is at least as good on every axis and surely better on one. ONNX Runtime, one thread, all in one run,
median of {50} rounds in turn on a machine that did other work too. Gap: between the darkest fifth of the pictures, the brightest, and the rest. Forgotten: classes
surely worse than the teacher's (Holm over 100) by more than 10 points; with 50 pictures a class only a fall of some 25 points is sure.

| net @ pixels | accuracy, % | conditional, % | ms, batch 1 | ms, batch 64 | million multiply-adds | thousand parameters | kB | gap, points | forgotten | right under PGD, 1 of 255, % |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}"""


def _cifar(found: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {'teacher' if way == 'teacher' else 'student, ' + ('no teacher' if way == 'alone' else 'taught')} ({found['nets'][way]['net']}, {found['nets'][way]['parameters'] / 1e3:.0f} thousand) | {percent(one['before'])} | {percent(one['after'])} | {points(one['gain'])} |"
        for way, one in sorted(
            found["arms"].items(),
            key=lambda item: (
                ("teacher", "soft", "alone").index(item[0]) if item[0] in ("teacher", "soft", "alone") else 9
            ),
        )
    )
    seeds = next(iter(found["arms"].values()))["gain"]["seeds"]
    return f"""## CIFAR-10N: before and after the review loop

The first {found["n"]:,} training pictures with the labels that one person gave each ({percent(found["labels_right"]["random1"])} % of them right), and with those after the loop bought 10,000 further
answers for all 50,000 ({percent(found["labels_right"]["after"])} % right). {found["n_test"]:,} test pictures with their published labels, which no stage saw;
{len(seeds)} seed{"s" if len(seeds) > 1 else ""}. Student and teacher are both fitted to these labels. The loop is that of [active labeling](active_labeling.md) (seed 7, 2,000 landmarks): it decides the most probable class for every picture.

| | before, % | after, % | gain, points (95 %) |
|---|---|---|---|
{rows}"""


def plot(report: dict[str, Any], file: Path) -> None:
    """Accuracy by latency, float and int8, and the frontier's points."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    drawing = Figure(figsize=(8.5, 4.6), layout="constrained")
    axis = drawing.subplots()
    made = report["students"]
    for precision, colour in (("float32", "#2b6cb0"), ("int8", "#c05621")):
        some = [one for one in made if one["precision"] == precision]
        axis.scatter(
            [one["ms_1"] for one in some],
            [100 * one["accuracy"] for one in some],
            s=[14 + one["bytes"] / 8000 for one in some],
            facecolors=[colour if one["frontier"] else "white" for one in some],
            edgecolors=colour,
            linewidths=1.2,
            alpha=0.85,
            label=precision,
        )
    told: list[tuple[float, float]] = []
    for one in sorted(made, key=lambda one: -one["accuracy"]):
        at = one["ms_1"], 100 * one["accuracy"]
        crowded = any(abs(at[1] - y) < 0.5 and 0.7 < at[0] / x < 1.4 for x, y in told)
        if one["precision"] == "float32" and not crowded:
            told.append(at)
            axis.annotate(
                one["name"],
                (one["ms_1"], 100 * one["accuracy"]),
                xytext=(5, 3),
                textcoords="offset points",
                fontsize=6.5,
            )
    axis.set(
        xlabel="ms for one picture (one thread)",
        ylabel="accuracy, %",
        title="Students by latency; filled: on the frontier of all axes; size: bytes",
    )
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator([0.1, 0.15, 0.2, 0.3, 0.5, 0.8]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.margins(x=0.14)
    axis.legend(frameon=False, loc="lower right")
    axis.grid(alpha=0.25)
    with mpl.rc_context({"svg.hashsalt": "secondlook"}):
        drawing.savefig(file, metadata={"Date": None})
