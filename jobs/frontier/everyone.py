"""Who there is to measure in a version: its students, and whoever taught them."""

from collections.abc import Mapping, Sequence

from pyiceberg.expressions import EqualTo

from secondlook.jobs.clusters.stored import clusters
from secondlook.jobs.distill import stored as students_of
from secondlook.jobs.distill.stored import Student
from secondlook.jobs.frontier.asked import Asked
from secondlook.jobs.frontier.teachers import teacher as teacher_of
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.errors import UserError


def everyone(lake: Lake, version: Version) -> tuple[list[Asked], list[str]]:
    """All students whose classes are still theirs, each with its teacher, teachers first; and in sentences who is left out.

    Raises UserError where the version has no student.
    """
    there = students_of.students(lake, version)
    if not there:
        raise UserError(f"version {version.id} has no student to measure; `secondlook distill` makes some")
    current = [one for one in there if one.current]
    notes = [
        f"{one.name} is left out: classes were merged, split or retired since it was taught; `secondlook distill` teaches anew"
        for one in there
        if not one.current
    ]
    if not current:
        raise UserError(notes[0])
    known = {one.name: one for one in there}
    roots = {one.name: root(lake, version, one.made_of, known) for one in current}
    teachers = {model.name: model for model in roots.values() if model is not None}
    asked = [teacher_of(lake, version, model) for model in teachers.values()]
    for one in current:
        taught_by = roots[one.name]
        asked.append(_student(lake, one, taught_by.name if taught_by else ""))
        if taught_by is None:
            notes.append(f"the teacher of {one.name} is not in this version: nothing is said of what it lost")
    return asked, notes


def root(lake: Lake, version: Version, made_of: Sequence[str], students: Mapping[str, Student]) -> Model | None:
    """Who taught a student first: of what it was made from, the first that is none of the students; None where that is gone."""
    seen: set[str] = set()
    while made_of and made_of[0] in students and made_of[0] not in seen:
        seen.add(made_of[0])
        made_of = students[made_of[0]].made_of
    return dataset.model_named(lake, version, made_of[0]) if made_of and made_of[0] not in seen else None


def _student(lake: Lake, one: Student, teacher: str) -> Asked:
    import torch

    from secondlook.pipeline.learn.students.cost import cost
    from secondlook.pipeline.learn.students.onnx_file import Runner

    file = one.file(lake)
    net = one.module(lake, torch.device("cpu"))
    costs = cost(net, one.image_px)
    return Asked(
        one.name, one.net, "student", one.classes, one.image_px, Runner(file).ask,
        costs.parameters, costs.multiply_adds, len(file),
        numbers=one.precision, teacher=teacher, weights=one.facts["weights"], module=lambda: net,
    )  # fmt: skip


def clusters_of(lake: Lake, version: Version, model: str) -> list[tuple[str, ...]]:
    """The classes of each cluster of a model, of the first level; of specialists those of the generalist that they started from."""
    name: str | None = model
    while name is not None:
        if found := clusters(lake, version, name):
            return [one.classes for one in found if not one.level]
        rows = lake.latest("models", version, ["made_of"], EqualTo("model", name))  # type: ignore[call-arg, arg-type]
        made_of = rows["made_of"].to_pylist()
        name = made_of[0][0] if made_of and made_of[0] else None
    return []
