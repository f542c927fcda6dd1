"""Distillation in a lake: who teaches, who learns from what, the files that come out, going on, and taking one along."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch

from secondlook.jobs import cli
from secondlook.jobs.distill import distill, export, fitting, lessons, measured, stored, storing, teaching
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train import train
from secondlook.jobs.train.checkpoints import Checkpoints
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import DistillSettings, TrainSettings
from secondlook.pipeline.learn.students import teachers
from secondlook.pipeline.learn.students.named import named
from secondlook.pipeline.learn.students.onnx_file import Runner
from tests.jobs.conftest import filler
from tests.jobs.test_train import pictures

CPU = torch.device("cpu")
NETS = "quick:4@12"
SETTINGS = Settings(
    train=TrainSettings(folds=3, epochs=6, image_px=16, batch=16, refits=0, threads=1),
    distill=DistillSettings(students=NETS, epochs=6, batch=16, prune=0.5, rate=0.05),
)
LABELED, UNLABELED, TESTED = 60, 8, 20


class School(NamedTuple):
    lake: Lake
    summary: dict[str, Any]


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    """A lake with a generalist and its students: one net, pruned, and both in int8. Nothing is added to it."""
    lake = Lake(str(tmp_path_factory.mktemp("school") / "lake"), create=True)
    told = [*pictures(LABELED), *pictures(UNLABELED, 100, label=False), *pictures(TESTED, 200, split="test")]
    filler(lake)([(key, label and f"<b>{label}\n", *more) for key, label, *more in told])
    train.run(lake, SETTINGS)
    return School(lake, distill.run(lake, SETTINGS))


def of(school: School, **wanted: Any) -> stored.Student:
    """The one student with these properties."""
    found = [
        one
        for one in stored.students(school.lake, school.lake.at())
        if all(getattr(one, name) == value for name, value in wanted.items())
    ]
    assert len(found) == 1
    return found[0]


def learned(school: School, **wanted: Any) -> lessons.Lessons:
    settings = dataclasses.replace(SETTINGS, distill=dataclasses.replace(SETTINGS.distill, **wanted))
    version = school.lake.at()
    return lessons.load(school.lake, version, settings, dataset.newest_model(school.lake, version).classes, 16)


def test_each_student_is_a_model_with_its_makers(school: School) -> None:
    teacher = school.summary["teacher"]["model"]
    plain = of(school, pruned=0.0, precision="float32")
    cut = of(school, pruned=0.5, precision="float32")
    small = of(school, pruned=0.5, precision="int8")
    assert [plain.made_of, cut.made_of, small.made_of] == [(teacher,), (plain.name, teacher), (cut.name, teacher)]
    assert len(stored.students(school.lake, school.lake.at())) == len(school.summary["students"]) == 4
    assert plain.classes == ("<b>across\n", "<b>upright\n")
    assert dataset.newest_model(school.lake, school.lake.at()).name == teacher  # the students are none of its kind


def test_pruned_students_are_smaller_and_int8_files_are(school: School) -> None:
    plain, cut = (of(school, pruned=share, precision="float32") for share in (0.0, 0.5))
    assert cut.metrics["parameters"] < 0.7 * plain.metrics["parameters"]
    assert cut.metrics["multiply_adds"] < plain.metrics["multiply_adds"]
    assert of(school, pruned=0.5, precision="int8").metrics["bytes"] < 0.6 * cut.metrics["bytes"]


def test_students_say_what_their_teacher_says(school: School) -> None:
    """And so they are right where it is: stripes up and across."""
    assert school.summary["teacher"]["accuracy"]["value"] >= 0.9
    for one in school.summary["students"]:
        assert one["accuracy"]["n"] == one["agreement"]["n"] == TESTED
        if "pruned" not in one["model"]:
            assert one["agreement"]["value"] >= 0.8, one["model"]


def test_the_test_split_is_never_learned_from(school: School) -> None:
    """And what was is marked, with a label or without: `forget` must find it."""
    samples = dataset.samples(school.lake, school.lake.at())
    tested = {
        c for c, split in zip(samples["content_id"].to_pylist(), samples["split"].to_pylist(), strict=True) if split
    }
    student = of(school, pruned=0.0, precision="float32")
    rows = dataset.predictions(school.lake, school.lake.at(), student.name).to_pylist()
    assert {row["content_id"] for row in rows if row["fold"] == -1} == tested
    assert len([row for row in rows if row["fold"] == stored.LEARNED]) == LABELED + UNLABELED == len(rows) - len(tested)
    labels = learned(school).labels
    assert (labels[learned(school).asked] == -1).all()


def test_without_them_unlabeled_pictures_are_not_learned_from(school: School) -> None:
    assert len(learned(school).learned) == LABELED + UNLABELED
    assert len(learned(school, unlabeled=False).learned) == LABELED
    assert len(learned(school, soft=0.0).learned) == LABELED  # nobody says what they show
    assert school.summary["unlabeled"] == UNLABELED


def test_pictures_that_memory_does_not_hold_are_the_same_from_a_stream(school: School) -> None:
    """Read, shrunk, and shown once in each epoch under their own numbers."""
    settings = dataclasses.replace(SETTINGS, train=dataclasses.replace(SETTINGS.train, hold_mb=0))
    version, held = school.lake.at(), learned(school)
    stream = lessons.load(school.lake, version, settings, dataset.newest_model(school.lake, version).classes, 16)
    rows = np.array([70, 3, 41])
    assert np.array_equal(measured.seen(stream, rows, 12), measured.seen(held, rows, 12))
    said = measured.chances(lambda some: some[:, :2, 0, 0].astype(np.float32), stream, rows, 16, 2)
    assert said == pytest.approx(measured.chances(lambda some: some[:, :2, 0, 0].astype(np.float32), held, rows, 16, 2))
    shown = list(stream.pictures.shown(stream.learned, 0, 8, CPU).batches(0))
    assert set(torch.cat([numbers for numbers, _ in shown]).tolist()) <= set(held.learned.tolist())
    first = measured.seen(held, shown[0][0].numpy(), 16)
    assert np.array_equal(shown[0][1].permute(0, 2, 3, 1).numpy(), first)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_file_says_of_held_out_pictures_what_was_measured(school: School, precision: str) -> None:
    """Predictions of the lake, accuracy and agreement follow from the ONNX file and the pictures at its resolution."""
    student = of(school, pruned=0.0, precision=precision)
    told = learned(school)
    file = student.file(school.lake)
    probs = measured.chances(Runner(file).ask, told, told.asked, 12, 2)
    assert student.metrics["accuracy"]["value"] == pytest.approx((probs.argmax(1) == told.told).mean(), abs=1e-4)
    rows = {
        row["content_id"]: row for row in dataset.predictions(school.lake, school.lake.at(), student.name).to_pylist()
    }
    for row, said in zip(told.asked, probs, strict=True):
        kept = rows[told.content_ids[row]]
        assert kept["probs"] == pytest.approx(said[kept["classes"]], abs=1e-3)


def test_the_net_comes_back_from_the_lake_as_it_was(school: School) -> None:
    """Also a pruned one, whose shape its name does not tell; an int8 student gives the net that was quantized."""
    student = of(school, pruned=0.5, precision="float32")
    told = learned(school)
    net = student.module(school.lake, CPU)
    shown = measured.seen(told, told.asked, 12)
    expected = Runner(student.file(school.lake)).ask(shown)
    assert measured.by_torch(net, CPU)(shown) == pytest.approx(expected, abs=1e-3)
    small = of(school, pruned=0.5, precision="int8").module(school.lake, CPU)
    assert all(torch.equal(one, other) for one, other in zip(net.parameters(), small.parameters(), strict=True))


def test_the_same_is_not_done_twice(school: School) -> None:
    assert distill.run(school.lake, SETTINGS) == school.summary
    version = school.lake.at()
    other = distill.inputs_of(dataclasses.replace(SETTINGS, train=TrainSettings(threads=1)), version, _teacher(school))
    assert other["distill"] == distill.inputs_of(SETTINGS, version, _teacher(school))["distill"]
    changed = dataclasses.replace(SETTINGS, distill=dataclasses.replace(SETTINGS.distill, seed=8))
    assert distill.inputs_of(changed, version, _teacher(school)) != distill.inputs_of(
        SETTINGS, version, _teacher(school)
    )


def _teacher(school: School) -> dataset.Model:
    return dataset.newest_model(school.lake, school.lake.at())


class Killed(Exception):  # noqa: N818 — no error: what kills a process
    pass


@dataclasses.dataclass
class Dying:
    """Checkpoints that live only until the n-th is kept."""

    real: Checkpoints
    left: int

    def of(self, fit: str) -> Any:
        checkpoint = self.real.of(fit)

        def keep(kept: Any) -> None:
            checkpoint.keep(kept)
            self.left -= 1
            if not self.left:
                raise Killed

        return dataclasses.make_dataclass("Watched", ["kept", "keep"])(checkpoint.kept, keep)


@pytest.mark.parametrize("kept", [2, 5])  # in the first fit, and in that of what is left after pruning
def test_what_was_stopped_goes_on_to_the_same_bytes(school: School, lake: Lake, kept: int) -> None:
    wanted = dataclasses.replace(SETTINGS, distill=dataclasses.replace(SETTINGS.distill, epochs=4))
    told = learned(school)
    teacher = teaching.load(school.lake, school.lake.at(), _teacher(school), CPU)
    students = named("quick:4,quick:4@12", 16)

    def taught(checkpoints: Any) -> list[fitting.Taught]:
        loss = fitting.loss_of(wanted, told, None)
        return fitting.taught(students, 2, wanted, told, loss, teacher.teach, CPU, checkpoints)

    whole = taught(Checkpoints(lake, "whole"))
    with pytest.raises(Killed):
        taught(Dying(Checkpoints(lake, "stopped"), kept))
    again = taught(Checkpoints(lake, "stopped"))
    for one, other in zip(whole, again, strict=True):
        assert one.losses == other.losses
        for name, value in one.net.state_dict().items():
            assert torch.equal(value, other.net.state_dict()[name]), name


def test_no_checkpoint_is_left_of_what_was_committed(school: School) -> None:
    assert not [path for path in school.lake.fs.find(f"{school.lake.root}/models") if "unfinished" in path]


def test_stored_answers_are_those_of_the_lake_out_of_fold(school: School) -> None:
    """Where only some classes were kept, the rest is spread; a picture that nothing is known of is told about."""
    version, told = school.lake.at(), learned(school)
    probs = teaching.said_before(school.lake, version, _teacher(school), told.content_ids, told.learned)
    rows = {
        row["content_id"]: row for row in dataset.predictions(school.lake, version, _teacher(school).name).to_pylist()
    }
    for content, said in zip(told.content_ids, probs, strict=True):
        assert said[rows[content]["classes"]] == pytest.approx(rows[content]["probs"])
    with pytest.raises(UserError, match=r"has no stored prediction of 1 pictures; `secondlook train --score-only`"):
        teaching.said_before(school.lake, version, _teacher(school), [*told.content_ids, "new"], np.array([len(probs)]))


def test_a_student_can_teach(school: School) -> None:
    student = of(school, pruned=0.0, precision="float32")
    version, told = school.lake.at(), learned(school)
    model = teaching.model(school.lake, version, student.name)
    teacher = teaching.load(school.lake, version, model, CPU)
    assert teacher.image_px == 12
    shown = measured.seen(told, told.asked, 12)
    said = measured.by_torch(teacher.logits, CPU)(shown)
    assert said == pytest.approx(Runner(student.file(school.lake)).ask(shown), abs=1e-3)


def test_classes_that_the_teacher_does_not_know_are_left_out_and_count_as_wrong(school: School) -> None:
    version = school.lake.at()
    told = lessons.load(school.lake, version, SETTINGS, ["<b>across\n"], 16)
    assert told.strange == LABELED // 2
    assert len(told.learned) == LABELED // 2 + UNLABELED
    assert sorted(told.told.tolist()) == [-1] * (TESTED // 2) + [0] * (TESTED // 2)
    nothing = np.zeros(len(told.unseen), np.int64)
    assert measured.figures(told, nothing, nothing)["accuracy"]["value"] == 0.5


def test_a_file_that_answers_otherwise_than_its_net_is_refused(school: School) -> None:
    one, other = (of(school, pruned=share, precision="float32") for share in (0.0, 0.5))
    told = learned(school)
    with pytest.raises(Exception, match="answers otherwise than its net: logits differ by up to"):
        storing._checked(
            "it", one.module(school.lake, CPU), other.file(school.lake), measured.seen(told, told.asked, 12)
        )


def run(school: School, *arguments: str) -> int:
    return cli.run(["distill", "--lake", school.lake.url, *arguments])


def test_one_is_taken_along_with_all_that_a_device_needs(
    school: School, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = of(school, pruned=0.5, precision="int8")
    assert run(school, "--export", str(tmp_path / "phone"), "--student", student.name, "--json") == 0
    assert json.loads(capsys.readouterr().out)["exported"] == [student.name]
    facts = json.loads((tmp_path / "phone/model.json").read_text())
    data = (tmp_path / "phone/student.onnx").read_bytes()
    assert facts["classes"] == ["<b>across\n", "<b>upright\n"]
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    side = facts["input"]["side_px"]
    picture = np.zeros((1, side, side, 3), facts["input"]["type"])
    assert session.run([facts["output"]["name"]], {facts["input"]["name"]: picture})[0].shape == (1, 2)
    readme = (tmp_path / "phone/README.md").read_text()
    assert "(n, 12, 12, 3)" in readme
    assert "<b>" not in readme
    assert f"{100 * student.metrics['accuracy']['value']:.1f} % of {TESTED}" in readme


def test_all_of_the_newest_run_are_taken_along_where_none_is_named(school: School, tmp_path: Path) -> None:
    assert run(school, "--export", str(tmp_path / "all")) == 0
    assert sorted(folder.name for folder in (tmp_path / "all").iterdir()) == sorted(
        one["model"] for one in school.summary["students"]
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--students", "resnet"), "resnet"),
        (("--students", "quick:4,quick:4"), "the student quick:4 is there twice"),
        (("--students", "quick:4@4000"), "a student's side in pixels, after @, is from 8 to 1024, got 'quick:4@4000'"),
        (("--students", ","), "--students takes nets by name"),
        (("--students", "quick:4@8", "--seed", "1", "--prune", "1.5"), "[distill] prune takes from 0 to 0.95"),
        (("--method", "sotf"), "unknown [distill] method 'sotf', did you mean 'soft'?"),
        (("--teacher", "generalits"), "unknown teacher 'generalits', did you mean 'generalist'?"),
        (("--teacher", "specialists"), "has no specialists; `secondlook specialists` makes them"),
        (("--export", "x", "--seed", "3"), "--export teaches nothing; leave out --seed"),
        (("--student", "x"), "--student names what --export DIR copies"),
        (("--export", "x", "--student", "x"), "unknown student 'x'"),
        (("--export", "."), "is not empty; choose a new folder"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    school: School, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(school, *arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_the_table_names_teacher_and_students_and_what_is_next(
    school: School, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "secondlook.toml"
    file.write_text(
        f"[train]\nfolds = 3\nepochs = 6\nimage_px = 16\nbatch = 16\nrefits = 0\nthreads = 1\n"
        f'[distill]\nstudents = "{NETS}"\nepochs = 6\nbatch = 16\nprune = 0.5\nrate = 0.05\n'
    )
    assert run(school, "--settings", str(file)) == 0
    out = capsys.readouterr().out
    assert all(one["model"] in out for one in school.summary["students"])
    assert f"{school.summary['teacher']['model']} (teacher)" in out
    assert "20 pictures of the split `test`" in out
    assert "next: secondlook frontier" in out


def test_a_teacher_of_heads_on_a_frozen_backbone_teaches_as_it_scores(
    lake: Lake, fill: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(tmp_path / "tiny")
    fill([*pictures(24), *pictures(4, 200, split="test")])
    train.run(
        lake,
        Settings(
            train=TrainSettings(backbone=str(tmp_path / "tiny"), folds=2, image_px=32, batch=16, refits=0, threads=1)
        ),
    )
    version = lake.at()
    model = teaching.model(lake, version, "generalist")
    teacher = teaching.load(lake, version, model, CPU)
    told = lessons.load(lake, version, SETTINGS, model.classes, 16)
    teach = teachers.at_px(teacher.teach, teacher.image_px)
    said = measured.chances(measured.by_torch(lambda some: teach(some)["teacher"], CPU), told, told.learned, 16, 2)
    assert teacher.image_px == 32
    assert said.shape == (24, 2)
    assert said.sum(axis=1) == pytest.approx(1)
    assert (said.argmax(axis=1) == told.labels[told.learned]).mean() > 0.8


def test_names_of_classes_are_those_of_today_in_what_is_taken_along(school: School) -> None:
    from secondlook.pipeline.learn.students.relabel import relabeled

    file = of(school, pruned=0.5, precision="int8").file(school.lake)
    renamed = Runner(relabeled(file, ["ač", '"\n']))
    assert renamed.classes == ["ač", '"\n']
    assert renamed.input == Runner(file).input
    shown = measured.seen(learned(school), learned(school).asked, 12)
    assert np.array_equal(renamed.ask(shown), Runner(file).ask(shown))


def test_a_student_of_other_classes_than_today_stays_in_the_lake(school: School, tmp_path: Path) -> None:
    student = dataclasses.replace(of(school, pruned=0.5, precision="int8"), current=False)
    with pytest.raises(UserError, match="classes were merged, split or retired since"):
        export.run(school.lake, school.lake.at(), [student], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_help_tells_each_default_and_where_nets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["distill", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "docs/guide/nets.md lists them all" in told
    plain = DistillSettings()
    for value in (
        plain.students,
        plain.method,
        plain.answers,
        f"{plain.temperature:g}",
        str(plain.soft),
        str(plain.epochs),
    ):
        assert f"Default: {value}." in told
