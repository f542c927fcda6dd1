"""benchmarks/gpu.py runs where only torch, numpy, pillow, transformers and safetensors are installed; here small and on a CPU."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BARE = """
import importlib.util, runpy, sys

there = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name.split(".")[0] in {absent!r} else there(name, *more)

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.path.insert(0, {folder!r})
sys.argv = {argv!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ABSENT = [
    *("cv2", "scipy", "sklearn", "pandas", "pyarrow", "pyiceberg", "pyspark", "onnx", "onnxruntime", "typer", "rich"),
    *("statsmodels", "matplotlib", "simplejpeg", "faiss", "sqlalchemy", "jinja2", "fiftyone"),
]


@pytest.mark.parametrize("dataset", ["tinyimagenet100", "cifar10n"])
def test_runs_on_a_bare_machine(dataset: str, shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    data = shared_data(dataset).parent
    argv = [str(ROOT / "benchmarks" / "gpu.py"), dataset, "--tiny", "--data", str(data), "--threads", "1"]
    argv += ["--json", str(tmp_path / "found.json")]
    code = BARE.format(absent=ABSENT, folder=str(ROOT / "benchmarks"), argv=argv)
    outcome = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text())
    ways = {row["way"] for row in found["students"]}
    assert {"teacher", "soft", "alone"} <= ways
    for row in found["students"]:
        assert 0 <= row["accuracy"]["value"] <= 1
        assert row["parameters"] > 1000
        assert row["attacked"]["pgd 2"] <= row["attacked"]["unchanged"]
    if dataset == "tinyimagenet100":
        assert "ten lines" in ways
        special = found["seeds"][0]["specialists"]
        assert len(special["tried"]) == len(special["clusters"]) == 2
        assert special["control"]["nets"] >= 1
    else:
        assert {row["labels"] for row in found["students"]} == {"random1", "clean"}
        assert found["folds"]["accuracy"]["n"] == found["n"]
