"""The pages in a real browser: on a phone, in dark mode, by keyboard, to a screen reader.

KPH_SCREENSHOTS=docs/site writes the pictures of the documentation anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.campaign.nightly.history import History
from harness.report.site import build
from tests.unit import generated_history as generated
from tests.unit.chromium import MISSING, PROGRAM, Browser, browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)

PHONE, DESKTOP = 360, 1280
KINDS = (
    "index.html", "nights.html", "night/*.html", "run/*.html", "place/*.html", "scenario/*/regressed.html",
    "scenario/*/own-*.html", "compare/*-*.html", "compare/index.html", "console/*/*.html",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    generated.make(folder / "history.sqlite", generated.Shape(evidence=folder / "evidence"))
    with History(folder / "history.sqlite", read_only=True) as history:
        build(history, folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def shown() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def pages(site: Path) -> list[Path]:
    """The newest of each kind, and the first."""
    found: list[Path] = []
    for kind in KINDS:
        files = sorted(site.glob(kind), key=lambda file: (len(str(file)), str(file)))
        assert files, kind
        found += dict.fromkeys((files[0], files[-1]))
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_no_page_is_wider_than_the_screen(site: Path, shown: Browser, width: int, dark: bool) -> None:
    for file in pages(site):
        shown.open(file.as_uri(), width, dark=dark)
        assert shown.run("document.documentElement.scrollWidth") <= width, file
        back = shown.run("getComputedStyle(document.body).backgroundColor")
        assert back == ("rgb(21, 25, 30)" if dark else "rgb(255, 255, 255)"), "the style sheet is there"


def test_the_first_page_opens_at_once(site: Path, shown: Browser) -> None:
    index = (site / "index.html").as_uri()
    assert min(shown.open(index) for _ in range(3)) < 1


def test_a_keyboard_reaches_the_content(site: Path, shown: Browser) -> None:
    shown.open((site / "index.html").as_uri())
    shown.press("Tab")
    assert shown.run("document.activeElement.textContent") == "Skip to the content"
    shown.press("Enter")
    assert shown.run("document.activeElement.id") == "main"
    shown.press("Tab")
    assert shown.run("document.activeElement.closest('h2') !== null"), "the newest night comes first"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert shown.run(outline) == "solid", "where the keyboard is can be seen"
    seen = set()
    for _ in range(12):
        shown.press("Tab")
        seen.add(shown.run("document.activeElement.getAttribute('aria-label')"))
    assert "grid of places and nights" in seen, "what scrolls can be scrolled by keys"


def test_a_screen_reader_has_names(site: Path, shown: Browser) -> None:
    for file in pages(site):
        shown.open(file.as_uri())
        names = shown.names()
        roles = {role for role, _ in names}
        assert {"navigation", "main", "heading", "contentinfo"} <= roles, file
        nameless = [role for role, name in names if role in ("link", "image", "heading", "region") and not name.strip()]
        assert not nameless, (file, nameless)


def test_a_link_to_a_line_of_a_console_shows_it(site: Path, shown: Browser) -> None:
    file = sorted(site.glob("console/*/*.html"))[0]
    shown.open(f"{file.as_uri()}#L9", PHONE, 300)
    place = shown.run("(b => [b.top, b.bottom])(document.querySelector('#L9').getBoundingClientRect())")
    assert 0 <= place[0] < place[1] <= 300


def test_pictures(site: Path, shown: Browser, tmp_path: Path) -> None:
    folder = Path(os.environ.get("KPH_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    timeline = next(site.glob("scenario/main-stable-x86*/regressed.html"))
    last = max(site.glob("console/*/crashes.html"))
    run = site / "run" / f"{last.parent.name}.html"
    for name, file, width, height, dark in (
        ("overview", site / "index.html", 1000, 760, False),
        ("timeline-dark", timeline, 1000, 700, True),
        ("run-phone", run, PHONE, 740, False),
        ("console-phone-dark", last, PHONE, 740, True),
    ):
        shown.open(file.as_uri(), width, height, dark=dark)
        shown.picture(folder / f"{name}.png")
        assert 5_000 < (folder / f"{name}.png").stat().st_size < 150_000, name
