"""`secondlook clusters`: which classes the generalist confuses with one another."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as settings_of
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import ClusterSettings

if TYPE_CHECKING:
    from secondlook.jobs.lake.dataset import Model
    from secondlook.jobs.lake.store import Lake, Version
    from secondlook.pipeline.core.clusters import Cluster
    from secondlook.pipeline.learn.clusters.answers import Answers
    from secondlook.pipeline.learn.clusters.background import Confused
    from secondlook.pipeline.learn.clusters.find import Tried
    from secondlook.pipeline.learn.clusters.stability import Stability

# What clusters are found from and so depend on.
READS = ("samples", "labels", "classes", "predictions")


def run(lake: "Lake", settings: Settings, *, as_of: str | None = None) -> dict[str, Any]:
    """Find the clusters of the newest generalist; returns the summary that --json prints.

    Writes `clusters` as one new version; none where they were found in the same data with the same settings before. Raises
    UserError where there is no generalist.
    """
    from secondlook.jobs.clusters.answers import answers
    from secondlook.jobs.lake import dataset

    version = lake.at(as_of)
    model = dataset.newest_model(lake, version)
    _refuse(settings.clusters, model)
    inputs: dict[str, Any] = {
        "clusters": dataclasses.asdict(settings.clusters),
        "model": model.name,
        "tables": {name: version.tables.get(name) for name in READS},
    }
    done, last = lake.find("clusters", inputs), lake.newest("clusters")
    others = last is not None and last.summary.get("model") == model.name
    if done is not None and last is not None and others and last.summary["clusters"] != done.summary["clusters"]:
        inputs["after"] = last.id  # the clusters that hold are the last ones: these are to hold again
        done = None
    if done is not None:
        console.say(f"nothing to do: version {done.id} has the clusters of {model.name} by these settings")
        return dict(done.summary)
    heard = answers(lake, version, model)
    summary, found = _found(settings.clusters, model, heard)
    attempt = lake.attempt("clusters", inputs)
    return _committed(attempt, version, model, summary, found)


def _refuse(chosen: ClusterSettings, model: "Model") -> None:
    """A cluster has two classes at least, and where none is in two, there are at most half as many as classes."""
    most = len(model.classes) // 2
    if chosen.method != "greedy" and chosen.n > most:
        raise UserError(
            f"[clusters] n takes from 1 to {most} for {len(model.classes):,} classes, or 0 to choose, got {chosen.n}: a "
            "cluster has two classes at least"
        )
    if chosen.largest == 1:
        raise UserError(
            "[clusters] largest takes from 2 classes up, or 0 for no limit, got 1: alone, a class is no cluster"
        )


def _committed(
    attempt: Any, version: "Version", model: "Model", summary: dict[str, Any], found: "Sequence[Cluster]"
) -> dict[str, Any]:
    from secondlook.jobs.clusters.stored import rows_of
    from secondlook.jobs.machine.provenance import commit, machine

    attempt.append("clusters", rows_of(model.name, found))
    summary |= {"read_version": version.id, "version": attempt.seq}
    made = attempt.commit(summary, {"read": version.id, "machine": machine(), "commit": commit()})
    return dict(made.summary) | {"version": made.id}


def _found(chosen: ClusterSettings, model: "Model", heard: "Answers") -> "tuple[dict[str, Any], list[Cluster]]":
    """The clusters, and the summary without the version."""
    from secondlook.pipeline.core.seeds import generator
    from secondlook.pipeline.learn.clusters import find
    from secondlook.pipeline.learn.clusters.answers import mistakes
    from secondlook.pipeline.learn.clusters.pairs import coverage, excess
    from secondlook.pipeline.learn.clusters.stability import stability

    method, largest, seed = chosen.method, chosen.largest, chosen.seed
    seen = find.links_of(heard, method)
    tried = find.tried(seen.bonds, largest, seed) if method != "greedy" and not chosen.n else []
    n = chosen.n or (find.best(tried) if tried else 0)
    members = find.find(seen, method, n, largest, seed)
    with console.progress("bootstrap", chosen.draws, "draws") as advance:
        firm = stability(
            heard,
            members,
            lambda drawn: find.find(find.links_of(drawn, method), method, n or len(members), largest, seed),
            chosen.draws,
            generator(seed, "clusters", "bootstrap"),
            advance,
        )
    made = mistakes(heard)
    found = _clusters(model, heard, seen, members, firm)
    summary = {
        "model": model.name,
        "method": method,
        "n": len(members),
        "chosen": _chosen(chosen, tried),
        "pictures": int((heard.labels >= 0).sum()),
        "mistakes": round(made.total / 2),
        "classes": len(model.classes),
        "in_none": sorted(set(model.classes) - {name for one in found for name in one.classes}),
        "coverage": round(coverage(made, members), 4),
        "excess": round(excess(made, members), 4),
        "draws": firm.draws,
        "stability": _told(firm.rand),
        "coverage_left_out": _told(firm.coverage),
        "excess_left_out": _told(firm.excess),
        "seed": seed,
        "clusters": [{"name": one.name, "classes": list(one.classes), **one.evidence} for one in found],
    }
    return summary, found


def _clusters(
    model: "Model", heard: "Answers", seen: "Confused", members: Sequence[tuple[int, ...]], firm: "Stability"
) -> "list[Cluster]":
    """Clusters by name with what speaks for them, in the order in which they were found."""
    from secondlook.pipeline.core.clusters import Cluster, name_of
    from secondlook.pipeline.core.statistics import share
    from secondlook.pipeline.learn.clusters.answers import mistakes
    from secondlook.pipeline.learn.clusters.described import described

    total = round(mistakes(heard).total / 2)
    found: list[Cluster] = []
    for one, stable in zip(described(heard, seen.bonds, members), firm.each, strict=True):
        classes = tuple(model.classes[number] for number in one.classes)
        held = share(one.mistakes, total)
        evidence = {
            "pictures": one.pictures,
            "mistakes": one.mistakes,
            "share": round(held.value, 4) if total else None,
            "interval": [round(held.interval.low, 4), round(held.interval.high, 4)],
            "stability": round(stable, 4),
            "pairs": [[model.classes[a], model.classes[b], n] for a, b, n in one.pairs],
        }
        found.append(Cluster(name_of(classes, {other.name for other in found}), classes, evidence=evidence))
    return found


def _chosen(chosen: ClusterSettings, tried: "Sequence[Tried]") -> dict[str, Any]:
    """How the number of clusters came about."""
    if chosen.n:
        return {"by": "setting", "tried": []}
    if chosen.method == "greedy":
        return {"by": "greedy", "tried": []}
    return {"by": "excess", "tried": [[one.n, round(one.excess, 4)] for one in tried]}


def _told(spread: Any) -> dict[str, Any]:
    return {"value": round(spread.mean, 4), "low": round(spread.low, 4), "high": round(spread.high, 4)}


# The verb


def clusters(
    method: Annotated[
        str | None,
        typer.Option(metavar="covariance|confusion|greedy", help="How classes are put together. Default: covariance."),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", metavar="N", help="How many clusters. Default: 0, as many as a criterion chooses."),
    ] = None,
    largest: Annotated[
        int | None, typer.Option(metavar="N", help="Classes in one cluster, at most. Default: 0, no limit; greedy: 8.")
    ] = None,
    draws: Annotated[
        int | None, typer.Option(metavar="N", help="Bootstrap draws of the stability. Default: 20.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a page with the confusion matrix in cluster order."),
    ] = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = False,
) -> None:
    """Find the clusters of classes that the newest generalist confuses with one another: cat / lynx / tiger +3.

    They come from what it said of pictures that were held out of its folds. A class that it confuses with no other more than
    with all is in no cluster. With `--method greedy`, a class may be in several. Each cluster is told with the share of all
    mistakes that lie inside of it, which is the most that a specialist for it could put right, and how surely it comes back
    from other pictures.

    `secondlook specialists` trains a net for each.

        secondlook clusters --method greedy --largest 12 --output clusters.html
    """
    from secondlook.jobs.clusters.told import told
    from secondlook.jobs.lake.store import Lake

    given = {"method": method, "n": n, "largest": largest, "draws": draws}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    chosen = settings_of(settings, lake)
    chosen = dataclasses.replace(chosen, clusters=dataclasses.replace(chosen.clusters, **options))
    opened = Lake.open(chosen.lake)
    summary = run(opened, chosen, as_of=as_of)
    if output is not None:
        from secondlook.jobs.clusters.picture import write

        summary = summary | write(opened, summary, output)
    console.finish(summary, as_json=json, lines=lambda: told(summary))
