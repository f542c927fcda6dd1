"""Forgotten pictures leave FiftyOne: their samples in the lake's datasets, and the files that `explore` wrote for it."""

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from secondlook.jobs.forget.work import Work
from secondlook.jobs.lake.store import Lake


def run(lake: Lake, work: Work) -> dict[str, int]:
    """Returns samples (deleted in all datasets of this lake) and files; raises UnavailableError where FiftyOne's database is away.

    The plot of the embeddings goes with them: its points are theirs. `secondlook explore` makes it anew.
    """
    from secondlook.jobs.explore.dataset import name_of
    from secondlook.jobs.explore.explore import cache

    name = name_of(lake)
    contents = set(work.contents)
    files = sum(_unlinked(folder.iterdir(), contents) for folder in cache().glob(f"{name}*") if folder.is_dir())
    samples = 0
    if importlib.util.find_spec("fiftyone") is not None and used():
        from secondlook.jobs.explore.database import fiftyone

        fo = fiftyone()
        for dataset in fo.list_datasets(f"{name}*"):
            gone, paths = _without(fo, dataset, work)
            samples += gone
            files += _unlinked(map(Path, paths), contents)
    return {"samples": samples, "files": files}


def used() -> bool:
    """Whether there is a database of FiftyOne for this user: it is not started to find out."""
    import os

    from secondlook.jobs.explore.database import URI

    folder = Path(os.environ.get("FIFTYONE_DATABASE_DIR") or Path.home() / ".fiftyone")
    return bool(os.environ.get(URI)) or folder.is_dir()


def _without(fo: Any, name: str, work: Work) -> tuple[int, list[str]]:
    """Delete the samples of a dataset; returns how many, and the paths of their files."""
    from secondlook.jobs.explore.dataset import KEY
    from secondlook.jobs.explore.views import PLOT

    dataset = fo.load_dataset(name)
    if not dataset.has_sample_field(KEY):
        return 0, []
    mine = dataset.match(fo.ViewField(KEY).is_in(list(work.samples)))
    paths = mine.values("filepath")
    if paths:
        dataset.delete_samples(mine)
        if dataset.has_brain_run(PLOT):
            dataset.delete_brain_run(PLOT)
    return len(paths), paths


def _unlinked(files: Iterable[Path], contents: set[str]) -> int:
    """Delete the files that are called by a content's id, as `explore` calls its own: a source's file is never one."""
    mine = [file for file in files if file.name.split(".", 1)[0] in contents]
    for file in mine:
        file.unlink(missing_ok=True)
    return len(mine)
