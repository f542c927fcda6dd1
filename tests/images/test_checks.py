"""The rules on pictures: what they flag, what they must leave alone, on made and on real pictures."""

import dataclasses
import io
import random
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFilter

from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.images.checks import (
    CHECKS,
    COLUMNS,
    Columns,
    Pictures,
    pictures,
    sharpness_threshold,
    thresholds,
    unreadable,
)
from secondlook.pipeline.images.fingerprint import fingerprint
from secondlook.pipeline.images.rules import RULES

SETTINGS = LintSettings()
Shared = Callable[[str], Path]


def columns(images: Iterable[Image.Image]) -> dict[str, npt.NDArray[Any]]:
    rows = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        row = fingerprint(buffer.getvalue(), Limits())
        assert isinstance(row, dict), row
        rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in COLUMNS}


def share(code: str, seen: Columns, blur: npt.NDArray[Any] | None = None) -> float:
    limit = thresholds(SETTINGS, seen["blur"] if blur is None else blur)[code]
    return float(CHECKS[code](seen, limit).flagged.mean())


def codes(image: Image.Image, dataset_blur: float = 0.1) -> set[str]:
    seen = columns([image])
    limits = thresholds(SETTINGS, np.array([dataset_blur]))
    return {code for code, check in CHECKS.items() if check(seen, limits[code]).flagged[0]}


def test_every_rule_has_words_and_every_check_a_rule() -> None:
    assert set(CHECKS) | {"SL301"} == set(RULES)
    fields = {field.name for field in dataclasses.fields(LintSettings)}
    for code, rule in RULES.items():
        assert rule.code == code
        assert all(len(words) > 20 for words in (rule.what, rule.why, rule.how, rule.todo)), code
        assert set(rule.thresholds) <= fields
        assert all(name in rule.how for name in rule.thresholds), "`how` must say what the threshold does"


def test_by_hand() -> None:
    scene = Image.effect_noise((96, 96), 90)
    assert codes(scene) == set()
    assert codes(scene.point(lambda v: v // 8)) == {"SL302"}
    assert codes(scene.point(lambda v: 220 + v // 8)) == {"SL303"}
    assert codes(Image.new("L", (96, 96), 128)) == {"SL305"}
    assert codes(Image.new("L", (96, 96), 255)) == {"SL303", "SL305"}
    assert codes(scene.resize((96, 20))) == {"SL306", "SL307"}
    assert codes(scene.resize((96, 24))) == set()
    assert codes(scene.resize((30, 23))) == {"SL307"}
    assert codes(scene.crop((0, 0, 4, 4)).resize((96, 96), Image.Resampling.BICUBIC)) == {"SL304"}


def test_drawings_and_scans_are_left_alone() -> None:
    """White ink on black is not dark, a line drawing on white neither bright nor empty."""
    for paper, ink in ((255, 0), (0, 255)):
        drawing = Image.new("L", (200, 200), paper)
        ImageDraw.Draw(drawing).line([(20, 30), (180, 60), (40, 170)], fill=ink, width=5)
        assert codes(drawing) == set()


def test_numbers_say_how_far_beyond_the_threshold() -> None:
    seen: Columns = {
        "brightness_p99": np.array([0.0, 0.1, 0.2, 0.9]),
        "brightness_p01": np.array([1.0, 0.875, 0.75, 0.0]),
        "contrast": np.array([0.2, 0.2, 0.005, 0.2]),
        "blur": np.array([0.0, 0.05, 0.05, 5.0]),
        "entropy": np.array([0.0, 0.5, 7.0, 8.0]),
        "width": np.array([10, 8, 400, 50]),
        "height": np.array([80, 12, 100, 50]),
    }
    expected = {
        "SL302": ([True, True, False, False], [0.0, 0.1, 0.2, 0.9], [1.0, 0.5]),
        "SL303": ([True, True, False, False], [1.0, 0.875, 0.75, 0.0], [1.0, 0.5]),
        "SL304": ([True, True, False, False], [0.0, 0.05, 0.05, 5.0], [1.0, 0.5]),
        "SL305": ([False, False, True, False], [0.0, 0.5, 7.0, 8.0], [1.0, 0.9375]),
        "SL306": ([True, False, False, False], [8.0, 1.5, 4.0, 1.0], [0.5]),
        "SL307": ([True, True, False, False], [10.0, 8.0, 100.0, 50.0], [1 - 10 / 24, 1 - 8 / 24]),
    }
    limits = thresholds(SETTINGS, np.array([1.0]))
    for code, (flagged, value, scores) in expected.items():
        judged = CHECKS[code](seen, limits[code])
        assert judged.flagged.tolist() == flagged, code
        assert judged.value.tolist() == value, code
        assert judged.score[: len(scores)] == pytest.approx(scores), code


def test_a_dataset_that_is_smooth_by_nature_is_judged_by_itself() -> None:
    assert sharpness_threshold(np.array([3.0, 2.0, 5.0]), SETTINGS) == SETTINGS.blur
    assert sharpness_threshold(np.array([0.004, 0.003, 0.002]), SETTINGS) == pytest.approx(0.0003)
    assert sharpness_threshold(np.array([np.nan, 0.004]), SETTINGS) == pytest.approx(0.0004)
    assert sharpness_threshold(np.array([]), SETTINGS) == 0


def test_findings_name_picture_value_and_threshold() -> None:
    seen = columns([Image.effect_noise((96, 96), 90), Image.new("L", (96, 20), 0)])
    found = list(
        pictures(
            Pictures(["a", "b"], ["1.png", "2.png"], ["train", ""], seen), thresholds(SETTINGS, seen["blur"]), SETTINGS
        )
    )
    assert [finding.rule for finding in found] == ["SL302", "SL305", "SL306", "SL307"]
    dark = found[0]
    assert (dark.subject_kind, dark.subject, dark.key, dark.split, dark.score) == ("sample", "b", "2.png", "", 1.0)
    assert dark.evidence == {"value": 0.0, "threshold": SETTINGS.dark}
    assert dark.message == "dark: 99 of 100 pixels are below 0.00 of 1"
    assert found[2].message == "odd shape: one side is 4.8 times the other"


def test_rejects_become_findings() -> None:
    (found,) = unreadable(["a"], ["x.jpg"], ["truncated"], [None])
    assert (found.rule, found.subject, found.key) == ("SL301", "a", "x.jpg")
    assert found.evidence == {"reason": "truncated", "detail": ""}
    assert found.message == "unreadable: truncated, the picture ends before all of its pixels are there"


# Real pictures


def _sample(archive: Path, n: int) -> list[bytes]:
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png"))]
        return [opened.read(name) for name in random.Random(0).sample(sorted(names), n)]  # noqa: S311 — no secret


@pytest.mark.parametrize(
    ("name", "archive", "blurred_at_most"),
    [("cifar10n", "images-train.zip", 0.01), ("tinyimagenet100", "images.zip", 0.01), ("faces", "images.zip", 0.04)],
)
def test_ordinary_pictures_pass_and_spoiled_ones_do_not(
    shared_data: Shared, name: str, archive: str, blurred_at_most: float
) -> None:
    whole = [Image.open(io.BytesIO(data)).convert("RGB") for data in _sample(shared_data(name) / archive, 200)]
    seen = columns(whole)
    for code in CHECKS:
        assert share(code, seen) <= (blurred_at_most if code == "SL304" else 0.005), code
    few = whole[:50]
    assert share("SL302", columns(image.point(lambda v: v * 0.15) for image in few)) == 1
    assert share("SL303", columns(image.point(lambda v: 255 - (255 - v) * 0.12) for image in few)) == 1
    smeared = columns(image.filter(ImageFilter.GaussianBlur(image.width * 0.05)) for image in few)
    assert share("SL304", smeared, seen["blur"]) > 0.9


@pytest.mark.parametrize("how", [Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
@pytest.mark.parametrize("paper", [0, 235])
def test_handwriting_enlarged_from_eight_pixels_passes(how: Image.Resampling, paper: int) -> None:
    from sklearn.datasets import load_digits

    ink = 13 if paper == 0 else -13
    scans = [(paper + digit * ink).astype(np.uint8) for digit in load_digits().images[:200]]
    seen = columns(Image.fromarray(scan).resize((64, 64), how) for scan in scans)
    assert {code: share(code, seen) for code in CHECKS} == dict.fromkeys(CHECKS, 0.0)
