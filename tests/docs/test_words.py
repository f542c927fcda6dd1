"""What may not be said: no page, rule, template or help text of ours promises what no measurement can show."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide" / "bias.md"
PROMISES = re.compile(
    r"\bunbiased\b(?! estimat)"  # an unbiased estimator is a term of statistics, and no promise about data
    r"|\bbias[- ]free\b|\bfree (of|from) (any )?bias(es)?\b|\bde-?biased\b"
    r"|\bfair (model|dataset|data|labels?|classifier|predictions?|system|algorithm|result)s?\b"
    r"|\b(is|are|was|were|be) fair\b|\bfairness (is |was )?guarante|\bguarantees? fairness\b"
    r"|\bpass(es|ed)? (the|a|our) (bias|fairness) (audit|check|test)\b|\bdiscriminates? against\b",
    re.IGNORECASE,
)
# Models that say of a face what somebody is: by the names of their packages, and of those on model hubs.
FACE_READERS = re.compile(
    r"\b(deepface|insightface|face[-_]recognition|facenet[-_]pytorch|facenet|dlib|mediapipe|retinaface|mivolo|facexlib|py-?feat|"
    r"rekognition|(age|gender|race|ethnicity|emotion)[-_/]?(classification|classifier|detection|estimat(?:ion|or)|net))\b",
    re.IGNORECASE,
)


def pages() -> Iterator[tuple[str, str]]:
    """Every page for people, without the guide's list of what not to say."""
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        text = page.read_text(encoding="utf-8")
        if page == GUIDE:
            text = re.sub(r"### What not to say\n.*?(?=^## )", "", text, count=1, flags=re.DOTALL | re.MULTILINE)
        yield str(page.relative_to(ROOT)), text
    for page in sorted((ROOT / "pipeline").rglob("templates/*")):
        yield str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")
    yield "pyproject.toml", (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for top in ("pipeline", "jobs", "labeling", "dags", "benchmarks"):
        for path in sorted((ROOT / top).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def texts(tree: ast.Module) -> Iterator[str]:
    """Every string of a module, help texts and rules among them; parts that are written in one go are one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_page_or_template_promises_what_cannot_be_measured() -> None:
    said = [(page, match.group()) for page, text in pages() for match in PROMISES.finditer(" ".join(text.split()))]
    assert not said


def test_no_rule_help_text_or_message_promises_what_cannot_be_measured() -> None:
    said = [(name, match.group()) for name, tree in modules() for text in texts(tree) for match in PROMISES.finditer(text)]  # fmt: skip
    assert not said


@pytest.mark.parametrize(
    "sentence",
    ["The data is unbiased.", "a bias-free set", "This is a fair model.", "Labels are fair", "It passed the bias audit",
     "debiased features", "Unbiased share of pairs", "it discriminates against group A", "fairness is guaranteed"],
)  # fmt: skip
def test_the_words_are_found(sentence: str) -> None:
    assert PROMISES.search(sentence)


@pytest.mark.parametrize(
    "sentence",
    ["ciFAIR and FairFace", "an unbiased estimate of the mean", "a fair part of the batch", "the bias audit"],
)
def test_other_words_are_left_alone(sentence: str) -> None:
    assert not PROMISES.search(sentence)


def test_the_guide_says_what_not_to_say_and_nothing_else_is_left_out() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert text.count("### What not to say\n") == 1
    listed = text.split("### What not to say\n")[1].split("\n## ")[0]
    assert len(PROMISES.findall(listed)) >= 5
    assert len(listed) < 2500  # a list, not a place to hide sentences in


def test_nothing_in_the_house_infers_an_attribute_from_a_face() -> None:
    """No import, dependency or name of a model that says of a face what sex, age, origin or mood somebody has."""
    found = [(name, module) for name, tree in modules() for module in imports(tree) if FACE_READERS.search(module)]
    assert not found
    named = [(name, text[:80]) for name, tree in modules() for text in texts(tree) if FACE_READERS.search(text)]
    assert not named
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert not [one for one in wanted if FACE_READERS.search(one)]


def test_models_that_read_faces_would_be_found() -> None:
    for name in (
        "deepface",
        "insightface.app",
        "nateraw/vit-age-classifier",
        "gender-classification",
        "face_recognition",
    ):
        assert FACE_READERS.search(name), name
