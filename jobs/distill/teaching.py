"""Who teaches: a model of the lake as something that is asked about pictures, or as what it said of them before."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.distill import stored as students
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.errors import UserError, unknown

if TYPE_CHECKING:
    import torch

    from secondlook.pipeline.learn.training.loop import Teach

Reals = npt.NDArray[np.float32]

KINDS = ("generalist", "specialists")  # the newest of a kind teaches, where its kind is said instead of its name


@dataclass(frozen=True)
class Teacher:
    """`teach`: pictures (n, 3, side, side) on the device → {"teacher": logits (n, K)}; `image_px`: the side that it is asked at."""

    teach: "Teach"
    image_px: int

    def logits(self, pictures: "torch.Tensor") -> "torch.Tensor":
        """Pictures (n, 3, image_px, image_px) on the device → (n, K)."""
        from secondlook.pipeline.learn.students.distill import TEACHER

        return self.teach(pictures)[TEACHER]


def model(lake: Lake, version: Version, wanted: str) -> Model:
    """The model that a setting names; UserError where there is none, or where its classes are not what they were."""
    if wanted in KINDS:
        found = _newest(lake, version, wanted)
    else:
        named = dataset.model_named(lake, version, wanted)
        if named is None:
            names = lake.latest("models", version, ["model"])["model"].to_pylist()
            raise unknown("teacher", wanted, [*KINDS, *names])
        found = named
    again = "`secondlook train` makes one that knows them as they are"
    if not found.current:
        raise UserError(f"classes were merged, split or retired since the teacher {found.name} was trained; {again}")
    waiting = set(dataset.quarantined(lake, version).values())
    if held := waiting & set(found.classes):
        raise UserError(
            f"{len(held)} classes of the teacher {found.name} wait for a sign-off (`secondlook classes list`): sign them off, or "
            + again
        )
    return found


def _newest(lake: Lake, version: Version, kind: str) -> Model:
    rows = lake.latest("models", version, ["kind"])["kind"].to_pylist() if kind != KINDS[0] else [kind]
    if kind not in rows:
        raise UserError(
            f"version {version.id} has no {kind}; `secondlook {kind}` makes them, `--teacher generalist` needs none"
        )
    return dataset.newest_model(lake, version, kind)


def load(lake: Lake, version: Version, model: Model, where: "torch.device") -> Teacher:
    """The teacher as it is asked live. Nets of folds teach together, as they score; others by their `score`."""
    from secondlook.pipeline.learn.students import teachers

    if model.kind == students.KIND:
        one = students.student(lake, version, model.name)
        return Teacher(teachers.alone(one.module(lake, where)), one.image_px)
    if model.kind == KINDS[1]:
        return _specialists(lake, version, model, where)
    from secondlook.jobs.train import stored

    found = stored.load(lake, model, where)
    nets = list(found.fold_nets)
    teach = teachers.together(nets) if nets else teachers.scored(found.score)
    return Teacher(teach, found.image_px)


def _specialists(lake: Lake, version: Version, model: Model, where: "torch.device") -> Teacher:
    from secondlook.jobs.specialists import stored

    found = stored.load(lake, version, model, where)
    return Teacher(found.teach, found.image_px)


def said_before(
    lake: Lake, version: Version, model: Model, content_ids: list[str], wanted: npt.NDArray[np.int64]
) -> Reals:
    """The teacher's stored probabilities (N, K) of contents, out of fold where it learned from their labels.

    Raises UserError where it has none of one of the rows `wanted` (n,); of others that have none all classes are alike.
    """
    from secondlook.pipeline.learn.students.teachers import spread

    rows = dataset.predictions(lake, version, model.name)
    place = pc.index_in(rows["content_id"], value_set=pa.array(content_ids, pa.string())).combine_chunks()
    rows, at = rows.filter(pc.is_valid(place)), place.drop_null().to_numpy().astype(np.int64)
    probs = np.full((len(content_ids), len(model.classes)), 1 / len(model.classes), np.float32)
    if len(at):
        best, values = (
            rows[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(at), -1)
            for name in ("classes", "probs")
        )
        probs[at] = spread(best, values, len(model.classes))
    if missing := len(np.setdiff1d(wanted, at)):
        raise UserError(
            f"{model.name} has no stored prediction of {missing:,} pictures; `secondlook train --score-only` makes them, or "
            "leave out `--answers stored`"
        )
    return probs
