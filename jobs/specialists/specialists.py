"""`secondlook specialists`: nets for the clusters of classes that the generalist confuses, kept where held-out pictures say so."""

import dataclasses
import json as json_format
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as settings_of
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import TrainSettings

if TYPE_CHECKING:
    from secondlook.jobs.lake.dataset import Model
    from secondlook.jobs.lake.store import Lake, Version
    from secondlook.jobs.specialists.making import Made
    from secondlook.jobs.specialists.tried import Setting, Trial
    from secondlook.jobs.train.stored import Stored
    from secondlook.pipeline.core.clusters import Cluster
    from secondlook.pipeline.learn.specialists.choice import Tried
    from secondlook.pipeline.learn.training.recipe import Recipe

Reals = npt.NDArray[np.float32]

# What specialists read and so depend on, beside the generalist and its clusters.
READS = ("samples", "labels", "classes", "images", "fingerprints")


def run(lake: "Lake", settings: Settings, *, as_of: str | None = None) -> dict[str, Any]:
    """Fit, try and keep specialists of a version's newest generalist; returns the summary that --json prints.

    Writes `models` (the kept ones, and the set of them), `predictions` of the set and the weights below `models/` in the lake, as
    one new version; none where that was done before. Raises UserError where there is no generalist that was fitted whole,
    or where it has no clusters.
    """
    from secondlook.jobs.clusters import stored as of_clusters
    from secondlook.jobs.lake import dataset
    from secondlook.pipeline.learn import torch_setup

    version = lake.at(as_of)
    model = dataset.newest_model(lake, version)
    _refuse_stale(lake, version, model)
    clusters = of_clusters.clusters(lake, version, model.name)
    if not clusters:
        raise _without_clusters(lake, version, model)
    inputs = {
        "specialists": {
            name: value for name, value in dataclasses.asdict(settings.specialists).items() if name != "on"
        },
        "generalist": model.name,
        "clusters": [list(cluster.classes) for cluster in clusters],
        "top_k": settings.train.top_k,
        "tables": {name: version.tables.get(name) for name in READS},
    }
    done = lake.find("specialists", inputs)
    if done is not None:
        console.say(f"nothing to do: version {done.id} has the specialists of {model.name} by these settings")
        return dict(done.summary)
    where = torch_setup.device(settings.train.device)
    with torch_setup.threads(settings.train.threads):
        return _specialists(lake, settings, version, model, clusters, inputs, where)


def _without_clusters(lake: "Lake", version: "Version", model: "Model") -> UserError:
    last = lake.newest("clusters", version)
    if last is None or last.summary.get("model") != model.name:
        return UserError(f"{model.name} has no clusters yet; `secondlook clusters` finds them")
    return UserError(
        f"`secondlook clusters` looked and left none of {model.name} (version {last.id}), so there is nothing for specialists: "
        "`secondlook distill` goes on without, and another `--method` or a generalist of more pictures may show some"
    )


def _refuse_stale(lake: "Lake", version: "Version", model: "Model") -> None:
    from secondlook.jobs.lake import dataset

    if not model.current:
        raise UserError(
            f"classes were merged, split or retired since {model.name} was trained; `secondlook train` makes one that knows them"
        )
    if waiting := set(dataset.quarantined(lake, version).values()) & set(model.classes):
        raise UserError(
            f"{len(waiting)} classes of {model.name} wait for a sign-off (`secondlook classes list`): sign them off, or train again"
        )


def _setting(
    lake: "Lake", settings: Settings, version: "Version", model: "Model", name: str, where: Any
) -> tuple["Setting", int]:
    """All that specialists are fitted with, and how many epochs the generalist's nets were fitted for."""
    from secondlook.jobs.specialists import fitting, lessons, on_spark
    from secondlook.jobs.specialists.stored import precision_of
    from secondlook.jobs.specialists.tried import Setting
    from secondlook.jobs.train import stored
    from secondlook.jobs.train.checkpoints import Checkpoints

    found = stored.load(lake, model, where)
    if found.net is None:
        raise UserError(
            f"specialists go on from nets that learned whole, and {model.name} is heads on a frozen backbone; "
            "`secondlook train --mode finetune` makes nets"
        )
    train = _train_settings(model)
    how = fitting.how_of(settings.specialists, _recipe_of(train, found), len(model.classes))
    learned = lessons.load(lake, version, settings, model, found.image_px, doubt=train.refits > 0)
    nets = (found.net, *found.fold_nets)
    checkpoints = Checkpoints(lake, name)
    elsewhere = None
    if settings.specialists.on == "spark":
        elsewhere = on_spark.elsewhere(lake, settings, model, learned, how, checkpoints)
    precision = precision_of(found.facts)
    return Setting(settings.specialists, nets, learned, how, where, precision, checkpoints, elsewhere), train.epochs


def _train_settings(model: "Model") -> TrainSettings:
    """What a generalist was trained by; what did not exist then is as it is by default."""
    known = {field.name for field in dataclasses.fields(TrainSettings)}
    return TrainSettings(**{k: v for k, v in json_format.loads(model.settings).items() if k in known})


def _recipe_of(train: TrainSettings, found: "Stored") -> "Recipe":
    """What the generalist's nets were fitted by. `small` has a loop of its own, which never mirrors: it is for digits, too."""
    from secondlook.pipeline.learn import generalist, whole
    from secondlook.pipeline.learn.training.recipe import Recipe

    if train.backbone == generalist.SMALL:
        return Recipe(batch=train.batch, flip=False)
    assert found.net is not None, "heads were refused"
    return whole.recipe_of(train, generalist.mode_of(train), found.net)


def _specialists(
    lake: "Lake",
    settings: Settings,
    version: "Version",
    model: "Model",
    clusters: "Sequence[Cluster]",
    inputs: dict[str, Any],
    where: Any,
) -> dict[str, Any]:
    from secondlook.jobs.lake.store import digest
    from secondlook.jobs.machine.provenance import commit, machine
    from secondlook.jobs.specialists import making, storing, tried

    start = time.monotonic()
    attempt = lake.attempt("specialists", inputs)
    name = f"specialists-{digest(inputs)[:12]}"
    setting, epochs = _setting(lake, settings, version, model, name, where)
    parts, left_out = making.parts_of(clusters, model.classes, setting)
    seconds = {"reading": time.monotonic() - start}
    if not parts:
        raise UserError(f"no cluster of {model.name} can have a specialist: of {left_out[0][0]!r}, {left_out[0][1]}")
    start = time.monotonic()
    trial = tried.trial(setting, parts, model.classes)
    seconds["trying"] = time.monotonic() - start
    start = time.monotonic()
    made = making.made(setting, trial, epochs) if trial.kept else None
    seconds["fitting those kept"] = time.monotonic() - start
    summary = _summary(name, model, setting, trial, made, left_out)
    summary["read_version"] = version.id
    summary["seconds"] = {stage: round(value, 2) for stage, value in seconds.items()}
    if made is not None:
        storing.store(attempt, settings, model, name, setting, trial, made, summary)
    summary["version"] = (attempt.base.id if attempt.base else 0) + 1
    committed = attempt.commit(summary, {"read": version.id, "machine": machine(), "commit": commit()})
    setting.checkpoints.remove()
    return dict(committed.summary) | {"version": committed.id}


def _summary(
    name: str,
    model: "Model",
    setting: "Setting",
    trial: "Trial",
    made: "Made | None",
    left_out: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """What was tried and what it brings; see docs/guide/models.md for what each figure means."""
    from secondlook.jobs.specialists import choosing

    wanted = setting.wanted
    before, after = trial.others.p_g, trial.others.together(trial.kept)
    members = [np.array(trial.parts[number].members) for number in trial.kept]
    return {
        "model": name if made else None,
        "generalist": model.name,
        "tried_on_folds": wanted.folds,
        "chose": len(trial.chose.rows),
        "specialists": [_told(one, trial, before, after, wanted.confidence) for one in trial.tried],
        "left_out": [{"cluster": cluster, "why": why} for cluster, why in left_out],
        "kept": len(trial.kept),
        "held_out": choosing.figures(before, after, trial.others.labels, members, wanted.seed),
        "test": dict(made.test) if made and made.test else None,
        "seed": wanted.seed,
        "device": setting.where.type,
    }


def _told(one: "Tried", trial: "Trial", before: Reals, after: Reals, confidence: float) -> dict[str, Any]:
    from secondlook.pipeline.learn.specialists import choice

    part = trial.parts[one.specialist]
    within = [choice.conditional(probs, trial.others.labels, [np.array(part.members)])[0] for probs in (before, after)]
    if one.kept:
        why = "kept"
    elif one.rights <= one.wrongs:
        why = "it wrongs as many as it rights" if one.rights else "it changes nothing for the better"
    else:
        why = f"{100 * one.sure:.0f} % sure that it helps, {100 * confidence:g} % are asked for"
    return {
        "cluster": part.cluster.name,
        "classes": list(part.cluster.classes),
        "level": part.cluster.level,
        "parent": part.cluster.parent,
        "righted": one.rights,
        "wronged": one.wrongs,
        "sure": round(one.sure, 4),
        "kept": one.kept,
        "why": why,
        "conditional": {
            "n": len(within[0]),
            "before": round(float(within[0].mean()), 4) if len(within[0]) else None,
            "after": round(float(within[1].mean()), 4) if len(within[0]) and one.kept else None,
        },
    }


# The verb


def specialists(
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Passes over a cluster's pictures and as many others. Default: 6.")
    ] = None,
    active: Annotated[
        int | None,
        typer.Option(metavar="N", help="Of how many most probable classes specialists are asked. Default: 3."),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(metavar="N", help="Folds whose held-out pictures choose. Default: 2.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(metavar="SHARE", help="How sure a specialist must help to be kept. Default: 0.9.")
    ] = None,
    levels: Annotated[
        int | None, typer.Option(metavar="1|2", help="2: clusters that stay hard are divided once more.")
    ] = None,
    spark: Annotated[bool, typer.Option("--spark", help="Fit each specialist as a task of Spark.")] = False,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of order and halves.")] = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = False,
) -> None:
    """Train a specialist for each cluster of classes that the generalist confuses; keep those that help.

    A specialist is the generalist's net, trained further: half of what it sees is of its cluster, half of all else, which is
    one class to it. It is tried first: fitted from the nets of some folds, and asked about pictures that they never saw. One half of
    these chooses who is kept, the other tells what those bring. Then they are fitted from the net of all labels, and measured
    on the split `test`, beside further generalists that cost the same.

    It needs a generalist whose nets learned whole (`secondlook train --mode scratch` or `finetune`) and its clusters. A command
    that was interrupted goes on where it was.

        secondlook clusters && secondlook specialists
    """
    from secondlook.jobs.lake.store import Lake
    from secondlook.jobs.specialists.told import told

    given = {
        "epochs": epochs, "active": active, "folds": folds, "confidence": confidence, "levels": levels, "seed": seed,
        "on": "spark" if spark else None,
    }  # fmt: skip
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    chosen = settings_of(settings, lake)
    chosen = dataclasses.replace(chosen, specialists=dataclasses.replace(chosen.specialists, **options))
    summary = run(Lake.open(chosen.lake), chosen, as_of=as_of)
    console.finish(summary, as_json=json, lines=lambda: told(summary))
