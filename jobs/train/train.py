"""`secondlook train`: the generalist, cross-fitted, so that every probability that the audit uses is out of sample."""

import dataclasses
import json as json_format
import time
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from secondlook.jobs.helped.helped import say as say_helped
from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as settings_of
from secondlook.pipeline.core.config import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from secondlook.jobs.lake.store import Attempt, Lake, Version
    from secondlook.jobs.train.fitting import Fitted
    from secondlook.jobs.train.training_set import TrainingSet

Reals = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def run(lake: "Lake", settings: Settings, *, as_of: str | None = None) -> dict[str, Any]:
    """Train on a version of the lake; returns the summary that --json prints.

    Writes `models`, `predictions`, `evidence`, `embeddings` and the weights below `models/` in the lake, as one new version; none
    where the same version was trained on with the same settings before. Raises UserError where there is too little to
    learn from or no such backbone, UnavailableError where the hub does not answer.
    """
    from secondlook.jobs.lake import dataset
    from secondlook.jobs.train import evidence
    from secondlook.jobs.train.inputs import inputs_of
    from secondlook.pipeline.learn import torch_setup

    version = lake.at(as_of)
    heard = evidence.other_models(lake, version, settings.train.backbone)
    inputs = inputs_of(settings, version, heard)
    waiting = dataset.quarantined(lake, version)
    if waiting:  # the same tables may read otherwise with newer lists of terms
        inputs["quarantined"] = sorted(waiting)
    done = lake.find("train", inputs)
    if done is not None:
        console.say(f"nothing to do: version {done.id} was trained on this with these settings")
        return _beside_the_one_before(lake, settings, dict(done.summary) | {"version": done.id})
    wanted = settings.train
    where = torch_setup.device(wanted.device)
    with torch_setup.threads(wanted.threads) as n_threads:
        made = _train(lake, settings, version, inputs, where, n_threads)
    return _beside_the_one_before(lake, settings, made)


def _beside_the_one_before(lake: "Lake", settings: Settings, summary: dict[str, Any]) -> dict[str, Any]:
    from secondlook.jobs.helped.helped import after

    found = after(lake, settings, summary["version"], [summary["model"]])
    return summary | ({"helped": found[summary["model"]]} if found else {})


def _train(
    lake: "Lake", settings: Settings, version: "Version", inputs: dict[str, Any], where: Any, n_threads: int
) -> dict[str, Any]:
    from secondlook.jobs.lake.dataset import told_quarantined
    from secondlook.jobs.lake.store import digest
    from secondlook.jobs.train import figures, fitting, reweighed, training_set
    from secondlook.jobs.train.checkpoints import Checkpoints
    from secondlook.pipeline.learn import generalist

    reweighed.groups(lake, version, settings)  # what can't be had is refused before pictures are embedded for an hour
    start = time.monotonic()
    wanted = settings.train
    data = training_set.load(lake, version, settings.lint, wanted.folds)
    seconds = {"reading": time.monotonic() - start}
    attempt = lake.attempt("train", inputs)
    name = f"generalist-{digest(inputs)[:12]}"
    n_labeled = int((data.labels >= 0).sum())
    console.say(
        f"{len(data.content_ids):,} pictures, {n_labeled:,} with a label to learn from, {len(data.classes)} classes; "
        f"{wanted.folds} folds, on {where.type}"
    )
    if said := told_quarantined(data.quarantined):
        console.say(said, style="yellow")
    mode = generalist.mode_of(wanted)
    fit = fitting.fit_frozen if mode == "frozen" else fitting.fit_nets
    fitted = fit(attempt, settings, version, data, name, where)
    start = time.monotonic()
    probs, temperature = figures.calibrated(data, fitted)
    metrics = figures.metrics(data, fitted, probs, temperature)
    path = f"models/{name}/{attempt.id[:12]}"
    _store(lake, path, fitted, data, temperature)
    rows = np.flatnonzero(fitted.readable)
    _predictions(attempt, data, name, probs, fitted.folds, rows, wanted.top_k)
    _evidence(attempt, version, data, name, fitted, inputs.get("heard", []))
    seconds |= fitted.seconds | {"calibrating and writing": time.monotonic() - start}
    metrics |= {
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
        "mode": mode,
        "seed": wanted.seed,
        "device": where.type,
        "threads": n_threads,
    }
    if fitted.reweighed:
        metrics["reweighed"] = dict(fitted.reweighed)
    attempt.append("models", _model_row(name, settings, data, path, metrics, fitted.embedder))
    summary = {
        "model": name,
        "backbone": wanted.backbone,
        "embedder": fitted.embedder,
        "read_version": version.id,
        "embeddings_computed": fitted.embedded["computed"],
        "embeddings_reused": fitted.embedded["reused"],
        "quarantined": dict(data.quarantined),
        **metrics,
    }
    committed = _committed(attempt, version, summary)
    Checkpoints(lake, name).remove()
    return committed


def _committed(attempt: "Attempt", version: "Version", summary: dict[str, Any]) -> dict[str, Any]:
    from secondlook.jobs.machine.provenance import commit, machine

    summary["version"] = (attempt.base.id if attempt.base else 0) + 1
    made = attempt.commit(summary, {"read": version.id, "machine": machine(), "commit": commit()})
    return dict(made.summary) | {"version": made.id}


def _store(lake: "Lake", path: str, fitted: "Fitted", data: "TrainingSet", temperature: float) -> None:
    from safetensors.numpy import save

    from secondlook.jobs.train.stored import FILES
    from secondlook.pipeline.learn import generalist

    folder = lake.folder(*path.split("/"))
    facts = {**fitted.facts, "embedder": fitted.embedder, "classes": data.classes}
    arrays = {key: np.ascontiguousarray(value) for key, value in generalist.stored(fitted.model, temperature).items()}
    for file, data_bytes in zip(FILES, (save(arrays), json_format.dumps(facts, indent=1).encode()), strict=True):
        with lake.fs.open(f"{folder}/{file}", "wb") as stream:
            stream.write(data_bytes)


def _predictions(
    attempt: "Attempt", data: "TrainingSet", name: str, probs: Reals, folds: Ints, rows: Ints, k: int
) -> None:
    from secondlook.jobs.train.features import prediction_rows

    ids = [data.content_ids[i] for i in rows]
    attempt.append("predictions", prediction_rows(attempt.seq, ids, name, probs[rows], k, folds[rows]))


def _evidence(
    attempt: "Attempt", version: "Version", data: "TrainingSet", name: str, fitted: "Fitted", heard: list[str]
) -> None:
    from secondlook.jobs.train import evidence

    judged = np.where(fitted.folds >= 0, data.labels, -1)
    said = dict(fitted.evidence)
    if heard:
        labels = evidence.names_of(data.classes, judged)
        said[evidence.OTHERS] = evidence.of_others(attempt.lake, version, heard, data.content_ids, labels)
    attempt.append("evidence", evidence.rows_of(name, data.content_ids, data.classes, judged, said))


def _model_row(
    name: str, settings: Settings, data: "TrainingSet", path: str, metrics: dict[str, Any], embedder: str
) -> "pa.Table":
    import pyarrow as pa

    from secondlook.pipeline.core.schemas import TABLES

    row = {
        "model": name,
        "kind": "generalist",
        "backbone": settings.train.backbone,
        "classes": data.classes,
        "path": path,
        "settings": json_format.dumps(dataclasses.asdict(settings.train), sort_keys=True),
        "metrics": json_format.dumps(metrics, sort_keys=True),
        "embedder": embedder,
    }
    return pa.Table.from_pylist([row], TABLES["models"].schema)


# The verb


def train(
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="small|NET|NAME|DIR",
            help="A small net, a net by name such as resnet:32, or a transformers image model of the hub or a local folder.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="frozen|finetune|scratch",
            help="Only heads, all of it, or all of it from random weights. Default: scratch for nets, frozen for others.",
        ),
    ] = None,
    image_px: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS", help="Side that pictures are resized to. Default: 128, nets from scratch by name: 32."
        ),
    ] = None,
    folds: Annotated[int | None, typer.Option(metavar="K", help="Folds of the cross-fitting. Default: 5.")] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Passes over the data of nets that are fitted whole. Default: 12.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of folds, weights and order.")] = None,
    score_only: Annotated[
        bool, typer.Option("--score-only", help="Fit nothing: score, with Spark, pictures that the model has not seen.")
    ] = False,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = False,
) -> None:
    """Train the generalist: probabilities and an embedding for every picture, out of sample where there is a label.

    The labeled pictures are cut into folds that keep copies together; each fold is judged by a model that has not seen
    it. Then again, learning only from labels that held up. Pictures in the split `test` are never learned from.

    Use `small` (the default) for pictures of up to some 64 pixels, and a pretrained backbone for photographs: kept
    frozen, its embeddings are computed once, and training again after a review takes only the heads. Where that is not
    good enough, and a GPU is at hand, fit all of it (`--mode finetune`), or a net by name from random weights
    (`--backbone resnet:32`). What was killed goes on where it was when the same command is run again.

    After more pictures came in, `--score-only` gives them probabilities by the stored model, with Spark.

        secondlook train --backbone google/mobilenet_v2_1.0_224
        secondlook train --backbone google/mobilenet_v2_1.0_224 --mode finetune --epochs 6
        secondlook train --backbone resnet:32 --epochs 24
    """
    from secondlook.jobs.lake.store import Lake

    given = {"backbone": backbone, "mode": mode, "image_px": image_px, "folds": folds, "epochs": epochs, "seed": seed}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    chosen = settings_of(settings, lake)
    opened = Lake.open(chosen.lake)
    if score_only:
        _score_only(opened, chosen, options, as_of, json=json)
        return
    chosen = dataclasses.replace(chosen, train=dataclasses.replace(chosen.train, **options))
    summary = run(opened, chosen, as_of=as_of)
    console.finish(summary, as_json=json, lines=lambda: _print(summary))


def _score_only(lake: "Lake", settings: Settings, options: dict[str, Any], as_of: str | None, *, json: bool) -> None:
    from secondlook.jobs.train import scoring
    from secondlook.pipeline.core.errors import UserError

    if options:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in options)
        raise UserError(f"--score-only uses the stored model as it is; leave out {named}")
    summary = scoring.run(lake, settings, as_of=as_of)
    lines = f"{summary['scored']:,} pictures scored by {summary['model']} (version {summary['version']})"
    console.finish(summary, as_json=json, lines=lambda: console.out().print(lines, markup=False))


def _print(summary: dict[str, Any]) -> None:
    out = console.out()
    given = summary["accuracy_given"]
    low, high = (100 * bound for bound in given["interval"])
    out.print(f"{summary['model']}: {summary['classes']} classes, {summary['n']:,} labels in {summary['folds']} folds")
    out.print(
        f"agrees with {100 * given['value']:.1f} % of the given labels, out of sample ({low:.1f} to {high:.1f} %)"
    )
    for split, share in summary["accuracy_by_split"].items():
        if split:
            out.print(f"  {split}: {100 * share['value']:.1f} % of {share['n']:,}", markup=False)
    for split, share in summary.get("accuracy_verified", {}).items():
        low, high = (100 * bound for bound in share["interval"])
        where = split or "in no split"
        out.print(
            f"  {where}, verified labels: right on {100 * share['value']:.1f} % of {share['n']:,} ({low:.1f} to {high:.1f} %)",
            markup=False,
        )
    if weighed := summary.get("reweighed"):
        out.print(
            f"reweighed by {', '.join(weighed['by'])} ({weighed['to']}): {weighed['n']:,} labels that count for "
            f"{weighed['effective']:,.0f}; the largest weight is {weighed['largest']:.1f}"
            + (f", {weighed['capped']:,} were cut down to it" if weighed["capped"] else ""),
            markup=False,
        )
    out.print(f"calibration error {summary['ece_before']:.3f}, after temperature scaling {summary['ece_after']:.3f}")
    reused = summary["embeddings_reused"]
    out.print(
        f"embeddings: {summary['embeddings_computed']:,} computed" + (f", {reused:,} used again" if reused else "")
    )
    if "helped" in summary:
        say_helped(summary["helped"])
    out.print(f"version {summary['version']}; next: secondlook lint")
