"""Facts of a small dataset whose every text tries to break out of the page."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secondlook.pipeline.core.rules import Rule
from secondlook.pipeline.core.statistics import Interval, share
from secondlook.pipeline.report import facts as f

EVIL = "<img src=x onerror=alert(1)>"
BREAKOUT = "\"'></style></title><script>alert(2)</script>"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
LABELS = Rule(
    "SL101",
    "likely mislabeled",
    "Says `p` < q.",
    "Because.",
    "By `margin`.",
    "Look.",
    "A & B 2021",
    thresholds=("mislabel_margin",),
)
COPIES = Rule("SL201", "exact duplicate", "The same bytes.", "They weigh.", "By hash.", "Drop.", "ours")


def picture(key: str, label: str | None = EVIL, **changes: Any) -> f.Picture:
    return dataclasses.replace(f.Picture(key, PIXEL, 1, 1, label, BREAKOUT), **changes)


def everything() -> f.Facts:
    """Facts for every section, hostile in every text that comes from data."""
    labels = f.RuleFindings(
        LABELS,
        30,
        1,
        (
            f.Card((picture(EVIL + "/a.png"),), 0.987, EVIL, given=EVIL, suggested=BREAKOUT),
            f.Card((picture("b.png", src=""),), 0.9, "", given="cat", suggested="dog", waiver=EVIL),
        ),
        covered=2,
        thresholds={"mislabel_margin": "0.1"},
    )
    copies = f.RuleFindings(
        COPIES,
        3,
        0,
        (f.Card((picture("c.png"), picture(BREAKOUT)), 0.5, BREAKOUT, more=4), f.Card((), 1.0, EVIL)),
        covered=3,
    )
    return f.Facts(
        title=EVIL,
        version=4,
        created="2026-01-02 03:04 UTC",
        counts=f.Counts(1003, 1000, 990, 900, 100, 3, {EVIL: 900, "": 100}),
        rejects=f.Rejects(
            {EVIL: 2, "truncated": 1},
            {"truncated": "the picture ends too early"},
            (f.Reject(BREAKOUT, EVIL, EVIL), f.Reject("\x00\x1b[31m\u202egnp.exe", "truncated", "")),
        ),
        classes=(f.ClassCount(EVIL, 500, 25), f.ClassCount(BREAKOUT, 400, 0), f.ClassCount("x" * 300, 0, 0)),
        history=f.History(
            (
                f.VersionFacts(1, "ingest", "2026-01-01 00:00 UTC", EVIL, {"ingest": 900}, 1.5),
                f.VersionFacts(4, EVIL, "2026-01-02 03:04 UTC", BREAKOUT, {"review": 9}),
            ),
            {"ingest": 900, EVIL: 9},
            (f.Change(EVIL, BREAKOUT, 9),),
            9,
        ),
        findings=f.Findings(3, True, 7, (labels, copies), {"SL102": EVIL}),
        share=f.ShareFacts(
            called="share of wrong labels",
            value=0.0912,
            method=EVIL,
            p_error="p_error is a score",
            measured=f.Estimated(0.0912, 480, Interval(0.0811, 0.1024)),
            population=900,
            drawn_from=3,
            classes={
                EVIL: f.Estimated(0.12, 40, Interval(0.05, 0.21)),
                "x" * 300: f.Estimated(0, 31, Interval(0, 0.02)),
            },
            pooled=1,
            drawn=500,
            answered=490,
            adjudicated=480,
            open={EVIL: 20},
            changed=5,
            left=(0.0755, 0.0968),
        ),
        human=f.HumanFacts(
            (f.PersonFacts("by supplied gold", 0.061, Interval(0.044, 0.084), 600, 60),),
            {(0.8, 2.5): f.Estimated(0.11, 300, Interval(0.08, 0.15))},
            share(9, 120),
        ),
        model=f.ModelFacts(
            name=EVIL,
            backbone=BREAKOUT,
            version=2,
            stale=False,
            agreement=share(850, 900),
            confusion=f.Confusion((EVIL, BREAKOUT, "x" * 300), {(0, 0): 475, (0, 1): 25, (1, 1): 375, (1, 0): 25}),
            ece_before=0.041,
            ece_after=0.0123,
            chance=0.02,
            by_split={EVIL: share(9, 10), "": share(850, 900)},
            verified={EVIL: share(40, 44), "": share(7, 7)},
            rescored=(f.Rescored(EVIL, share(9, 10), share(8, 9), share(1, 1)),),
            metrics={"note": EVIL},
            settings={EVIL: BREAKOUT},
        ),
        pictures=f.PictureFacts(
            990,
            (0.4914, 0.4822, 0.4465),
            (0.2471, 0.2435, 0.2616),
            {"32 × 32": 990},
            {EVIL: 990},
            {"RGB": 990},
            (f.Histogram("Brightness", "0 to 1", (1, 5, 2), (0.0, 0.25, 0.5, 1.0)),),
        ),
        attributes=(f.AttributeFacts(EVIL, {EVIL: share(1, 40), "": share(20, 500)}, without=360, hidden=2),),
        attributes_left_out=(BREAKOUT,),
        provenance={"version": EVIL},
        settings={"dark": "0.2"},
    )


def bare() -> f.Facts:
    """Facts of a lake where pictures were ingested, and nothing else happened."""
    return f.Facts(
        title="mine",
        version=1,
        created="2026-01-01 00:00 UTC",
        counts=f.Counts(5, 5, 5, 0, 5, 0),
        rejects=f.Rejects({}, {}, ()),
        classes=(),
        history=f.History((f.VersionFacts(1, "ingest", "2026-01-01 00:00 UTC", "5 samples"),), {}, (), 0),
    )


@pytest.fixture
def hostile() -> Callable[..., f.Facts]:
    """Facts with every section, hostile texts; with changes: `hostile(model=None)`."""
    return lambda **changes: dataclasses.replace(everything(), **changes)


@pytest.fixture
def new() -> Callable[..., f.Facts]:
    """Facts of a lake that was only ingested."""
    return lambda **changes: dataclasses.replace(bare(), **changes)


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """Open a page from disk: the page, and a list of everything that it should not have done."""
    contexts = []

    def go(html: str, width: int = 1280, **options: Any) -> tuple[Any, list[str]]:
        file = tmp_path / "a report #1.html"
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        contexts.append(context)
        page, seen = context.new_page(), []

        def dialog(box: Any) -> None:
            seen.append(f"dialog {box.message}")
            box.dismiss()

        def request(asked: Any) -> None:
            if not asked.url.startswith("data:") and asked.url != file.as_uri():
                seen.append(f"request {asked.url}")

        page.on(
            "requestfinished",
            lambda asked: (
                None if asked.url.startswith(("data:", file.as_uri())) else seen.append(f"loaded {asked.url}")
            ),
        )
        page.on("dialog", dialog)
        page.on("request", request)
        page.on("console", lambda message: seen.append(f"console {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error {error}"))
        page.goto(file.as_uri())
        page.wait_for_load_state("networkidle")
        return page, seen

    yield go
    for context in contexts:
        context.close()
