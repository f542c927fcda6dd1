"""The dependency rules of ARCHITECTURE.md, held against the imports of every file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for top in ("pipeline", "labeling", "jobs", "dags") for path in (ROOT / top).rglob("*.py"))
NEIGHBOURS = ("images", "audit", "bias", "learn", "report")
HEAVY = {"torch", "transformers", "pyspark", "fiftyone", "label_studio_sdk", "matplotlib"}


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Full names of the modules that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    nodes = _without_functions(tree) if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _without_functions(tree: ast.Module) -> list[ast.AST]:
    nodes: list[ast.AST] = []
    queue: list[ast.AST] = [tree]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_type_checking(node):
            continue
        nodes.append(node)
        queue.extend(ast.iter_child_nodes(node))
    return nodes


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def allowed(path: Path) -> tuple[str, ...]:
    """Prefixes of secondlook's own modules that a file may import."""
    part = path.relative_to(ROOT).parts
    core = "secondlook.pipeline.core."
    if part[0] == "pipeline":
        neighbour = f"secondlook.pipeline.{part[1]}." if part[1] in NEIGHBOURS else core
        return (core, neighbour)
    if part[0] == "labeling":
        return (core, "secondlook.labeling.")
    if part[0] == "jobs":
        return ("secondlook.pipeline.", "secondlook.labeling.", "secondlook.jobs.")
    return ()  # dags run jobs by name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_down_only(path: Path) -> None:
    for name in imports(path):
        if name.split(".")[0] in {"pipeline", "jobs", "labeling", "dags", "tests"}:
            pytest.fail(f"imports {name}: own modules are imported as secondlook.…")
        if name.startswith("secondlook."):
            assert name.startswith(allowed(path)), f"imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_we_know_knows_no_engine(path: Path) -> None:
    """torch lives in pipeline/learn; Spark, the lake and the terminal in jobs."""
    part = path.relative_to(ROOT).parts
    roots = {name.split(".")[0] for name in imports(path)}
    if part[0] in {"pipeline", "labeling"}:
        assert not roots & {"pyspark", "pyiceberg", "sqlalchemy", "typer", "rich", "airflow", "fsspec"}
    if part[:2] != ("pipeline", "learn"):
        assert not roots & {"transformers"}
    if part[:2] != ("pipeline", "learn") and part[0] != "jobs":
        assert "torch" not in roots
    if part[0] == "dags":
        assert not roots & (HEAVY | {"secondlook"})


@pytest.mark.parametrize("path", [p for p in FILES if "jobs" in p.parts], ids=lambda path: path.name)
def test_a_verb_imports_nothing_heavy_before_it_runs(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path, top_level_only=True)} & HEAVY


def test_there_is_no_utils() -> None:
    assert not [path for path in FILES if path.stem in {"utils", "util", "helpers", "common", "misc"}]


def test_every_package_is_listed() -> None:
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {
        ".".join(["secondlook", *path.parent.relative_to(ROOT).parts]) for path in FILES if path.parts[-2] != "dags"
    }
    assert there == listed
