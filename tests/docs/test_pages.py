"""What the pages and the docstrings show is what happens: all their examples run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))] if page.exists()]
BLOCK = re.compile(r"^( *)```python([^\n]*)\n(.*?)^\1```[ ]*$", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
MODULES = sorted(
    path
    for top in ("pipeline", "jobs", "labeling")
    for path in (ROOT / top).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def blocks(text: str) -> list[tuple[int, str]]:
    """Line and code of each ```python block that is meant to run."""
    found = []
    for match in BLOCK.finditer(text):
        if "no-run" not in match[2].split():
            code = "".join(line.removeprefix(match[1]) for line in match[3].splitlines(keepends=True))
            found.append((text[: match.start(3)].count("\n"), code))
    return found


def run(code: str, name: str, line: int, names: dict[str, object]) -> None:
    """One block in a page's names: as a doctest where it has prompts, else as plain code."""
    if ">>> " not in code:
        exec(compile("\n" * line + code, name, "exec"), names)  # noqa: S102 - our own pages
        return
    test = doctest.DocTestParser().get_doctest(code, names, name, name, line)
    test.globs = names  # the parser copies them; a page's blocks share theirs
    doctest.DebugRunner(optionflags=FLAGS).run(test, clear_globs=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_pages_blocks_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__page__"}
    for line, code in blocks(page.read_text(encoding="utf-8")):
        try:
            run(code, str(page.relative_to(ROOT)), line, names)
        except doctest.DocTestFailure as failure:
            where = f"{page.name}, line {line + failure.example.lineno + 1}"
            pytest.fail(f"{where}: {failure.example.source}expected:\n{failure.example.want}got:\n{failure.got}")
        except doctest.UnexpectedException as problem:
            pytest.fail(f"{page.name}, line {line + problem.example.lineno + 1}: {problem.exc_info[1]!r}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_pages_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_commands_that_there_are(page: Path) -> None:
    from secondlook.jobs.cli import verbs

    known = {word for name in verbs() for word in (name, name.split()[0])}
    for fence in FENCE.findall(page.read_text(encoding="utf-8")):
        for line in re.findall(r"^ *(?:\$ )?(?:\.venv/bin/)?secondlook ([a-z][a-z -]*)", fence, re.MULTILINE):
            words = line.split()
            assert words[0] in known or " ".join(words[:2]) in known, f"{page.name}: secondlook {line}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstring_examples(path: Path) -> None:
    module = importlib.import_module(".".join(("secondlook", *path.relative_to(ROOT).with_suffix("").parts)))
    failures = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        output: list[str] = []
        result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=output.append)
        failures += output if result.failed else []
    assert not failures, "\n" + "".join(failures)


def test_this_file_sees_a_broken_example(tmp_path: Path) -> None:
    page = "# A page\n\n```python\nx = 2\n```\n\n  ```python\n  >>> x\n  2\n  ```\n\n```python no-run\nboom\n```\n"
    found = blocks(page)
    assert [code for _, code in found] == ["x = 2\n", ">>> x\n2\n"]
    names: dict[str, object] = {}
    for line, code in found:
        run(code, "page", line, names)
    with pytest.raises(doctest.DocTestFailure):
        run(">>> x\n3\n", "page", 1, names)
    with pytest.raises(doctest.UnexpectedException):
        run(">>> y\n3\n", "page", 1, names)
