"""gc removes what no version names, and nothing else."""

from pathlib import Path

from secondlook.jobs.lake import gc
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.config import LakeSettings
from tests.jobs.test_store import labels, write


def files(lake: Lake) -> set[str]:
    return {str(path) for path in Path(lake.root, lake.namespace).rglob("*") if path.is_file()}


def test_files_of_a_dead_attempt_go_and_every_version_reads_as_before(lake: Lake) -> None:
    write(lake, "a", ("s1", "cat"), x=1).commit({})
    write(lake, "a", ("s1", "dog"), x=2).commit({})
    write(lake, "dead", ("s1", "WRONG"))
    before = files(lake)
    dry = gc.run(lake, LakeSettings(), grace_hours=0, dry_run=True)
    assert files(lake) == before
    summary = gc.run(lake, LakeSettings(), grace_hours=0)
    assert summary["snapshots"] == dry["snapshots"] == 1
    assert summary["files"] >= 3  # its rows, its manifest, its list of manifests
    assert (labels(lake, 1), labels(lake, 2)) == ({"s1": "cat"}, {"s1": "dog"})
    assert gc.run(lake, LakeSettings(), grace_hours=0)["files"] == 0


def test_what_is_younger_than_the_grace_stays_and_may_still_commit(lake: Lake) -> None:
    write(lake, "a", ("s1", "cat"), x=1).commit({})
    running = write(lake, "a", ("s1", "dog"), x=2)
    assert gc.run(lake, LakeSettings(), grace_hours=1)["snapshots"] == 0
    running.commit({})
    assert labels(lake) == {"s1": "dog"}


def test_old_versions_go_and_the_kept_ones_read_as_before(lake: Lake) -> None:
    for n in range(6):
        write(lake, "a", (f"s{n}", "cat"), x=n).commit({})
    gc.run(lake, LakeSettings(keep_versions=2), grace_hours=0)
    assert [version.id for version in lake.versions.all()] == [5, 6]
    assert len(labels(lake)) == 6
    assert len(labels(lake, 5)) == 5


def test_weights_of_a_training_that_never_committed_go(lake: Lake) -> None:
    for name in ("kept", "dead"):
        folder = Path(lake.folder("models", "m", name))
        (folder / "weights.safetensors").write_bytes(b"12345")
    attempt = lake.attempt("train", {})
    row = {"model": "m", "kind": "generalist", "path": "models/m/kept", "classes": ["a", "b"]}
    attempt.append("models", rows("models", [row]))
    attempt.commit({})
    summary = gc.run(lake, LakeSettings(), grace_hours=0)
    assert (summary["files"], summary["bytes"]) == (1, 5)
    assert [path.parent.name for path in Path(lake.root, "models").rglob("*.safetensors")] == ["kept"]


def test_many_small_files_become_few_with_the_same_rows(lake: Lake) -> None:
    for n in range(40):
        write(lake, "a", (f"s{n % 7}", f"c{n}"), x=n).commit({})
    before = lake.read("labels", lake.at()).sort_by("seq").to_pylist()
    assert len(lake.files("labels", lake.at())) == 40
    assert gc.run(lake, LakeSettings(), grace_hours=0)["compacted"] == ["labels"]
    assert len(lake.files("labels", lake.at())) == 1
    assert lake.read("labels", lake.at()).sort_by("seq").to_pylist() == before
    write(lake, "a", ("new", "cat"), x="after").commit({})
    assert lake.read("labels", lake.at()).num_rows == 41
    metadata = [path for path in files(lake) if path.endswith(".metadata.json")]
    assert len(metadata) <= 7
