"""What a report shows, gathered from a version of the lake: counts over everything, pictures for a few."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.machine import provenance
from secondlook.jobs.people.compare import on_verified
from secondlook.jobs.report.gallery import findings_of
from secondlook.jobs.report.leaked import rescored
from secondlook.jobs.report.person import person
from secondlook.jobs.report.timeline import history, time
from secondlook.jobs.report.wrong_labels import wrong_labels
from secondlook.pipeline.core.cells import cells
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.decode import REASONS
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import Interval, Share, calibration_chance, calibration_error, share
from secondlook.pipeline.images.fingerprint import combined
from secondlook.pipeline.report import facts as f

LISTED_REJECTS = 200
ATTRIBUTE_VALUES = 12  # that are listed, the most frequent ones
MOST_VALUES = 40  # an attribute with more is a number or a name of its own, not a group
BINS = 32
MOST_KINDS = 6  # sizes, formats and modes that are listed


def gather(lake: Lake, version: Version, settings: Settings, *, thumbnails: int) -> f.Facts:
    """All that the page shows of a version, with at most so many thumbnails a rule."""
    samples = dataset.samples(lake, version)
    found = findings_of(lake, version, samples, settings, thumbnails=thumbnails)
    doubted = found.doubted if found else None
    rejects = dataset.rejects(lake, version)
    attributes, left_out = _attributes(samples, doubted, settings)
    return f.Facts(
        title=title_of(samples),
        version=version.id,
        created=time(version.created),
        counts=_counts(samples, rejects.num_rows),
        rejects=_rejected(rejects),
        classes=_classes(
            [*dataset.class_names(lake, version), *dataset.quarantined(lake, version).values()], samples, doubted
        ),
        history=history(lake, version),
        findings=found.findings if found else None,
        share=wrong_labels(lake, version, settings),
        human=person(lake, version, settings),
        model=_model(lake, version, samples),
        pictures=_pictures(lake, version, samples),
        attributes=attributes,
        attributes_left_out=left_out,
        asked=_asked(lake, version, settings),
        provenance=provenance_of(lake, version, settings),
        settings={name: str(value) for name, value in vars(settings.lint).items()},
    )


def title_of(samples: pa.Table) -> str:
    """The dataset's name, or where nobody gave one that of the folder that it came from."""
    names = pc.unique(samples["dataset"]).drop_null().to_pylist()
    if names and names != ["default"]:
        return ", ".join(sorted(names))
    sources = pc.unique(samples["source"]).drop_null().to_pylist()
    last = sources[0].split("#")[0].rstrip("/").rsplit("/", 1)[-1] if len(sources) == 1 else ""
    return last or "Your pictures"


def _frequent(values: Any, most: int | None = None) -> dict[str, int]:
    """Values and how often each occurs, most frequent first."""
    counted = Counter(dict(zip(*(c.to_pylist() for c in pc.value_counts(values).flatten()), strict=True)))
    counted.pop(None, None)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], str(item[0])))[:most])


def _counts(samples: pa.Table, rejected: int) -> f.Counts:
    n, unlabeled = samples.num_rows, samples["label"].null_count
    splits = _frequent(samples["split"])
    return f.Counts(
        found=n + rejected,
        samples=n,
        contents=int(pc.count_distinct(samples["content_id"]).as_py()),
        labeled=n - unlabeled,
        unlabeled=unlabeled,
        rejected=rejected,
        splits={} if set(splits) <= {""} else splits,
    )


def _rejected(rows: pa.Table) -> f.Rejects:
    rows = rows.sort_by([("reason", "ascending"), ("key", "ascending")])
    files = (
        f.Reject(row["key"], row["reason"], row["detail"] or "") for row in rows.slice(0, LISTED_REJECTS).to_pylist()
    )
    return f.Rejects(_frequent(rows["reason"]), REASONS, tuple(files))


def _classes(names: list[str], samples: pa.Table, doubted: pa.Array | None) -> tuple[f.ClassCount, ...]:
    counts = _frequent(samples["label"])
    wrong = _frequent(samples["label"].filter(doubted)) if doubted is not None else None
    return tuple(
        f.ClassCount(name, counts.get(name, 0), None if wrong is None else wrong.get(name, 0)) for name in names
    )


def _attributes(
    samples: pa.Table, doubted: pa.Array | None, settings: Settings
) -> tuple[tuple[f.AttributeFacts, ...], tuple[str, ...]]:
    """Doubted labels by the value of each attribute, over labeled samples; and the attributes that are no groups.

    Groups with few labeled pictures are left out, and what would give them away.
    """
    labeled = pc.is_valid(samples["label"])
    column = pa.concat_arrays(samples["attributes"].chunks) if samples.num_rows else None
    if column is None:
        return (), ()
    offsets = column.offsets.to_numpy()
    rows = np.repeat(np.arange(samples.num_rows), np.diff(offsets))
    keys, values = (part.slice(offsets[0], len(rows)) for part in (column.keys, column.items))
    is_labeled = labeled.to_numpy()
    is_wrong = np.zeros(samples.num_rows, bool) if doubted is None else doubted.to_numpy(zero_copy_only=False)
    compared, left_out = [], []
    for name in in_order(pc.unique(keys).to_pylist()):
        here = pc.equal(keys, name).to_numpy(zero_copy_only=False) & is_labeled[rows]
        texts, place = rows[here], values.filter(pa.array(here)).fill_null("").dictionary_encode()
        if len(place.dictionary) > MOST_VALUES:
            left_out.append(name)
            continue
        codes, groups = place.indices.to_numpy(), place.dictionary.to_pylist()
        totals = np.bincount(codes, minlength=len(groups))
        wrong = np.bincount(codes[is_wrong[texts]], minlength=len(groups))
        without = int(is_labeled.sum()) - len(np.unique(texts))
        sizes = {group: int(n) for group, n in zip(groups, totals, strict=True)}
        kept = cells(sizes | {NOT_SAID: without}, settings.bias.min_cell)
        shares = {group: share(int(wrong[i]), sizes[group]) for i, group in enumerate(groups) if group in kept.shown}
        listed = sorted(shares, key=lambda group: -shares[group].n)[:ATTRIBUTE_VALUES]
        compared.append(
            f.AttributeFacts(
                name,
                {group: shares[group] for group in in_order(listed)},
                without=kept.shown.get(NOT_SAID, 0),
                hidden=len(shares) - len(listed),
                kept_back=kept.hidden,
                estimated=name in settings.estimated,
            )
        )
    return tuple(one for one in compared if one.values or one.kept_back), tuple(left_out)


def _asked(lake: Lake, version: Version, settings: Settings) -> f.AskedFacts | None:
    """The newest batch up to this version that was balanced; of groups with few candidates only how many they are."""
    made = (one for one in reversed(lake.versions.all()) if one.id <= version.id and one.job == "review push")
    found = next((one for one in made if one.summary.get("balance")), None)
    if found is None:
        return None
    groups, kept_back = [], 0
    for name, values in found.summary["balance"].items():
        kept = cells({group: one["candidates"] for group, one in values.items()}, settings.bias.min_cell)
        kept_back += kept.hidden
        groups += [
            f.AskedGroup(
                name, group, one["candidates"], one["without"], one["with"], one["kept"], name in settings.estimated
            )
            for group, one in values.items()
            if group in kept.shown
        ]
    return f.AskedFacts(str(found.summary["batch"]), tuple(groups), kept_back)


# The model


def _flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Settings or figures for a list: a number with what digits it has use for, all else as JSON."""
    shown = {}
    for name, value in values.items():
        if isinstance(value, float):
            shown[name] = f"{value:.4g}"
        else:
            shown[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shown


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _model(lake: Lake, version: Version, samples: pa.Table) -> f.ModelFacts | None:
    try:
        model = dataset.newest_model(lake, version)
    except UserError:  # there is none
        return None
    given, predicted, confidence = _judged(samples, dataset.predictions(lake, version, model.name), model.classes)
    k = len(model.classes)
    codes, counts = np.unique(given * k + predicted, return_counts=True)
    pairs = {(int(code // k), int(code % k)): int(n) for code, n in zip(codes, counts, strict=True)}
    metrics, chosen = json.loads(model.metrics or "{}"), json.loads(model.settings or "{}")
    trained = lake.newest("train", version)
    after = _number(metrics, "ece_after")
    return f.ModelFacts(
        name=model.name,
        backbone=model.backbone,
        version=trained.id if trained else version.id,
        stale=trained is not None and _labels_changed(trained, version),
        agreement=share(int((given == predicted).sum()), len(given)),
        confusion=f.Confusion(tuple(model.classes), pairs),
        ece_before=_number(metrics, "ece_before"),
        ece_after=calibration_error(confidence, given == predicted) if after is None and len(given) else after,
        rescored=rescored(lake, version, samples, model),
        verified=on_verified(lake, version),
        by_split=_by_split(metrics.get("accuracy_by_split")),
        chance=calibration_chance(confidence, generator(7, "report", "chance")) if len(given) else None,
        metrics=_flat(metrics),
        settings=_flat(chosen),
    )


def _by_split(measured: Any) -> dict[str, Share]:
    """Shares by split from the figures of a model: {split: {"value": …, "n": …, "interval": [low, high]}}."""
    shares = {}
    for split, one in measured.items() if isinstance(measured, dict) else ():
        if one.get("n"):
            shares[split] = Share(round(one["value"] * one["n"]), one["n"], Interval(*one["interval"]))
    return shares


def _labels_changed(before: Version, after: Version) -> bool:
    return any(before.tables.get(name) != after.tables.get(name) for name in ("labels", "classes"))


def _judged(samples: pa.Table, predictions: pa.Table, classes: list[str]) -> tuple[Any, Any, Any]:
    """Given class, predicted class and its probability, of the labeled samples that were judged out of sample, (n,)."""
    judged = predictions.filter(
        pc.and_(pc.greater_equal(predictions["fold"], 0), pc.greater(pc.list_value_length(predictions["classes"]), 0))
    )
    place = pc.index_in(samples["content_id"], value_set=judged["content_id"].combine_chunks()).combine_chunks()
    given = pc.index_in(samples["label"], value_set=pa.array(classes, pa.string())).combine_chunks()
    both = pc.and_(pc.is_valid(place), pc.is_valid(given))
    place, given = place.filter(both), given.filter(both)
    best, held = (pc.list_element(judged[name], 0).combine_chunks().take(place) for name in ("classes", "probs"))
    return (
        given.to_numpy().astype(np.int64),
        best.to_numpy().astype(np.int64),
        np.clip(held.to_numpy().astype(np.float64), 0.0, 1.0),
    )


# The pictures


def _pictures(lake: Lake, version: Version, samples: pa.Table) -> f.PictureFacts | None:
    columns = ["content_id", "format", "mode", "width", "height", "brightness", "contrast", "blur", "entropy"]
    channels = [f"{what}_{channel}" for what in ("mean", "std") for channel in "rgb"]
    rows = lake.latest("fingerprints", version, columns + channels)
    rows = rows.filter(pc.is_in(rows["content_id"], value_set=samples["content_id"].combine_chunks()))
    if not rows.num_rows:
        return None
    figures = np.column_stack([rows[name].to_numpy() for name in channels]).astype(np.float64)
    figures = figures[np.isfinite(figures).all(axis=1)]
    whole = combined(figures[:, :3], figures[:, 3:])
    sides = [pc.cast(rows[name], pa.string()) for name in ("width", "height")]
    spreads = (
        _spread(rows, "brightness", "Brightness", "mean, 0 to 1", (0.0, 1.0)),
        _spread(rows, "contrast", "Contrast", "deviation, 0 to 0.5", (0.0, 0.5)),
        _spread(rows, "blur", "Sharpness", "its logarithm to base 10", None, log=True),
        _spread(rows, "entropy", "Entropy", "bits", (0.0, 8.0)),
    )
    return f.PictureFacts(
        n=rows.num_rows,
        mean=whole.mean,
        std=whole.std,
        sizes=_frequent(pc.binary_join_element_wise(*sides, " × "), MOST_KINDS),
        formats=_frequent(rows["format"], MOST_KINDS),
        modes=_frequent(rows["mode"], MOST_KINDS),
        histograms=tuple(spread for spread in spreads if spread),
    )


def _spread(
    rows: pa.Table, column: str, name: str, unit: str, span: tuple[float, float] | None, *, log: bool = False
) -> f.Histogram | None:
    values = rows[column].to_numpy().astype(np.float64)
    values = values[np.isfinite(values)]
    if log:
        values = np.log10(np.maximum(values, 1e-6))
    if not len(values):
        return None
    low, high = span or (float(values.min()), float(values.max()))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
    return f.Histogram(name, unit, tuple(counts.tolist()), tuple(edges.tolist()))


def provenance_of(lake: Lake, version: Version, settings: Settings) -> dict[str, str]:
    """What made a page of a version, so that it can be made again."""
    machine = provenance.machine()
    shown = {
        "version": f"{version.id}, made by {version.job}, {time(version.created)}",
        "secondlook": machine["secondlook"] + (f", commit {provenance.commit()}" if provenance.commit() else ""),
        "page made on": f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['processor']}, Python {machine['python']}",
        "seed": f"{settings.train.seed} for folds, weights and order",
    }
    for job in ("ingest", "train", "lint"):
        newest = lake.newest(job, version)
        if newest is not None:
            parts = [f"version {newest.id}", time(newest.created)]
            parts += [f"{newest.run['seconds']:.3g} s"] if "seconds" in newest.run else []
            parts += [f"{newest.run['cores']} cores"] if "cores" in newest.run else []
            shown[f"newest {job}"] = ", ".join(parts)
    return shown
