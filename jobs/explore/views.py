"""What a person opens with one click: saved views, the plot of the embeddings, and both side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import EqualTo

from secondlook.jobs.explore.dataset import KEY
from secondlook.jobs.explore.slices import Facts
from secondlook.jobs.lake import dataset as lake_dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal.console import say
from secondlook.pipeline.core.seeds import generator

PLOT = "embedding"  # FiftyOne's brain key
PLOT_WITH_NEIGHBORS = 5_000  # more pictures than this are plotted by their two main directions: t-SNE takes minutes
MAIN_DIRECTIONS = 50
WORKSPACE = "secondlook"


def save_views(fo: Any, dataset: Any, facts: Facts, names: dict[str, str]) -> list[str]:
    """A saved view for each rule that found something, each batch, and what is disputed, unlabeled or changed.

    `names`: rule → what it is called. Views that an earlier run made and that have nothing to show any more go.
    """
    field = fo.ViewField
    views: dict[str, tuple[Any, str]] = {
        f"{code} {names.get(code, '')}".strip(): (
            dataset.match_tags(code).sort_by(f"{code}_score", reverse=True),
            "highest score first",
        )
        for code in facts.rules
    }
    views |= {name: (dataset.match(field("batches").contains([name])), "what was asked for") for name in facts.batches}
    views["disputed"] = (dataset.match(field("disputed") == True), "people answered differently")  # noqa: E712
    views["unlabeled"] = (dataset.match(~field("label").exists()), "no label yet")
    changed = (field("given.label") != field("label.label")) & field("given").exists()
    views["changed"] = (dataset.match(changed), "the label is not the one that it came with")
    for stale in set(dataset.info.get("secondlook views", ())) - set(views):
        if dataset.has_saved_view(stale):
            dataset.delete_saved_view(stale)
    for name, (view, description) in views.items():
        dataset.save_view(name, view, description=description, overwrite=True)
    dataset.info["secondlook views"] = list(views)
    dataset.save()
    return list(views)


def save_plot(dataset: Any, lake: Lake, version: Version, facts: Facts, seed: int = 0) -> int:
    """The embeddings of the newest model in two dimensions, as a run that the Embeddings panel shows; returns how many points.

    0, and no run, where there is no model. Nothing is downloaded: the points are ours.
    """
    if not lake.latest("models", version, ["model"]).num_rows:
        return 0
    model = lake_dataset.newest_model(lake, version)
    ids, keys = dataset.values(["id", KEY])
    content = {row["sample_id"]: row["content_id"] for row in facts.rows}
    shown = sorted({content[key] for key in keys if key in content})
    done = {"embedder": model.embedder, "shown": len(shown), "first": shown[:1], "last": shown[-1:]}
    if dataset.info.get("secondlook plot") == done and dataset.has_brain_run(PLOT):
        return sum(key in content for key in keys)
    contents, vectors = _vectors(lake, version, model.embedder, shown)
    if len(contents) < 3:
        return 0
    points = dict(zip(contents, flat(vectors, seed), strict=True))
    from fiftyone import brain

    if dataset.has_brain_run(PLOT):
        dataset.delete_brain_run(PLOT)
    placed = {one: points[content[key]] for one, key in zip(ids, keys, strict=True) if content.get(key) in points}
    view = dataset.select(list(placed))
    array = np.stack([placed[one] for one in view.values("id")])
    brain.compute_visualization(view, points=array, brain_key=PLOT, method="manual", create_index=True, progress=False)
    dataset.info["secondlook plot"] = done
    dataset.save()
    return len(placed)


def _vectors(
    lake: Lake, version: Version, embedder: str, contents: Sequence[str]
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The embeddings of some contents, read a batch at a time: their names, and (n, D)."""
    wanted = pa.array(contents, pa.string())
    names: dict[str, npt.NDArray[np.float32]] = {}
    chosen = EqualTo("model", embedder)  # type: ignore[call-arg, arg-type]
    for batch in lake.batches("embeddings", version, ["content_id", "vector"], chosen):
        some = batch.filter(pc.is_in(batch["content_id"], value_set=wanted))
        for name, vector in zip(some["content_id"].to_pylist(), some["vector"], strict=True):
            names[name] = np.asarray(vector.values.to_numpy(zero_copy_only=False), np.float32)
    return list(names), np.stack(list(names.values())) if names else np.zeros((0, 0), np.float32)


def flat(vectors: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float64]:
    """Vectors (n, D) as points (n, 2): by t-SNE on their main directions, or of many by the two main directions alone."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    n, d = vectors.shape
    rng = int(generator(seed, "explore", "plot").integers(2**31))
    few = n <= PLOT_WITH_NEIGHBORS
    directions = PCA(min(MAIN_DIRECTIONS if few else 2, n, d), random_state=rng).fit_transform(vectors)
    if not few or n < 10:
        padded: npt.NDArray[np.float64] = np.zeros((n, 2))
        padded[:, : min(2, directions.shape[1])] = directions[:, :2]
        return padded
    if n > 1_000:
        say(f"placing {n:,} pictures by their neighbors")
    near = TSNE(2, perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=rng)
    return np.asarray(near.fit_transform(directions), np.float64)


def save_workspace(fo: Any, dataset: Any) -> Any:
    """Samples, and the plot beside them, colored by label: how the App opens."""
    shown = [fo.Panel(type="Samples", pinned=True)]
    if dataset.has_brain_run(PLOT):
        shown.append(fo.Panel(type="Embeddings", state={"brainResult": PLOT, "colorByField": "label.label"}))
    sides = [fo.Space(children=[panel], active_child=panel.component_id) for panel in shown]  # else the App stays empty
    both = fo.Space(children=sides, orientation="horizontal") if len(sides) > 1 else sides[0]
    dataset.save_workspace(WORKSPACE, both, description="samples, and the plot beside them", overwrite=True)
    return both
