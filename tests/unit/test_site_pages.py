"""The pages of a site: what they say, that they hang together, and that nothing in them is obeyed."""

from __future__ import annotations

import itertools
import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

import pytest

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Trend
from harness.report.site import Built, build
from harness.report.site.pages import overview
from tests.unit import generated_history as generated
from tests.unit.site_pages import Document, read

Site = tuple[Path, dict[str, Document], Built]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    generated.make(folder / "history.sqlite", generated.Shape(evidence=folder / "evidence"))
    with History(folder / "history.sqlite", read_only=True) as history:
        built = build(history, folder / "out")
    return folder / "out", read(folder / "out"), built


def test_there_is_a_page_of_each_kind(site: Site) -> None:
    _, pages, built = site
    for kind in ("index.html", "nights.html", "night/", "run/", "place/", "scenario/", "compare/", "console/", "bisec"):
        assert any(name.startswith(kind) for name in pages), kind
    assert built.pages == built.written == len(pages) + 1  # and the style sheet


def test_every_link_leads_somewhere_in_the_site(site: Site) -> None:
    root, pages, _ = site
    for name, page in pages.items():
        for link in page.links:
            if link == "data:,":
                continue  # no icon, so that a browser asks for none
            assert not re.match(r"[a-z]+:|//|/", link), f"{name}: {link}"
            path, _, fragment = link.partition("#")
            target = (root / name).parent / unquote(path) if path else root / name
            assert target.is_file(), f"{name}: {link}"
            if fragment:
                assert fragment in pages[str(target.resolve().relative_to(root.resolve()))].ids, f"{name}: {link}"


def test_nothing_comes_from_elsewhere_and_nothing_runs(site: Site) -> None:
    root, pages, _ = site
    css = (root / "style.css").read_text()
    assert "url(" not in css and "@import" not in css
    for name, page in pages.items():
        assert not {"script", "iframe", "object", "embed", "img", "form"} & set(page.tags), name
        assert not any(key.startswith("on") or key == "style" for each in page.elements for key in each.attributes)


def test_headings_are_in_order(site: Site) -> None:
    for name, page in site[1].items():
        levels = page.headings
        assert levels[:1] == [1] and levels.count(1) == 1, name
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), (name, levels)


def test_what_is_not_text_has_a_name(site: Site) -> None:
    for name, page in site[1].items():
        assert not page.nameless, (name, page.nameless[:3])
        assert len(page.ids) == len(set(page.ids)), name
        for each in page.elements:
            given = each.attributes
            if each.tag == "svg":
                assert given["role"] == "img" and given["aria-label"], name
            if "tabindex" in given and given["tabindex"] == "0":
                assert given["role"] == "region" and given["aria-label"], name
            if each.tag == "th":
                assert given["scope"] in ("col", "row"), name
            if each.tag == "html":
                assert given["lang"] == "en", name


def test_what_a_guest_prints_is_shown_and_not_obeyed(site: Site) -> None:
    _, pages, _ = site
    for name, page in pages.items():
        wrong = {letter for letter in page.file.read_text() if unicodedata.category(letter) in ("Cc", "Cf")} - {"\n"}
        assert not wrong, (name, wrong)
    assert any("\\x1b[31mred & 'so'" in page.text for page in pages.values())
    assert any("<script>alert(1)</script>" in page.text for page in pages.values())


def test_the_first_page_says_what_is_new(site: Site) -> None:
    text = " ".join(site[1]["index.html"].text.split())
    for wanted in (
        "2 new failures", "crashes on stable, x86_64-vtd, sva: crash, the guest panicked", "Fixed: 2",
        r"fails in \d+ % of its runs, flaky since the night of 2026-05-\d\d", "Quarantined: 2",
        "quarantined: fails in one run of three", "Runs dropped for want of time: 1", "Runs without a result: 1",
        "Cut off before their end: 2026-05-12", "first bad commit: 5eed5eed5eed iommu/sva: Do not take the lock",
    ):  # fmt: skip
        assert re.search(wanted, text), wanted


def test_a_night_that_was_cut_says_so(site: Site) -> None:
    assert "Cut off before its end" in site[1]["night/12.html"].text
    assert "Cut off before its end" not in site[1]["night/11.html"].text


def test_a_comparison_says_what_became_bad(site: Site) -> None:
    run = next(run for run in site[2].site.archive.runs.values() if run.night.id == 18 and run.told)
    assert run.before is not None
    text = " ".join(site[1][f"compare/{run.before.cell.id}-{run.cell.id}.html"].text.split())
    assert re.search(r"crashes\s*✓ pass\s*✗ crash\s*became bad\s*the guest panicked", text)
    assert re.search(r"fixed\s*✗ hang\s*✓ pass\s*became good", text)
    assert "6 scenarios did the same in both" in text


def test_a_timeline_names_the_first_bad_commit(site: Site) -> None:
    (page,) = [page for name, page in site[1].items() if re.search(r"scenario/main-stable-x86.*/regressed\.html", name)]
    text = " ".join(page.text.split())
    assert "Failing since the night of 2026-05-13" in text
    assert "5eed5eed5eed iommu/sva: Do not take the lock <twice> (A Dev <a@example.org>), proved" in text
    assert "Turned bad between the night of 2026-05-1" in text
    assert "../../bisection/1.html" in page.links


def test_a_run_shows_what_its_report_adds(site: Site) -> None:
    found = [page for name, page in site[1].items() if name.startswith("run/") and "bind \\x1b[1mfirst" in page.text]
    assert found
    text = " ".join(found[0].text.split())
    assert "step 3.1, bind \\x1b[1mfirst: expected ret 0, got ret -EBUSY" in text
    assert "build patched: 1.6 min" in text


def test_trends_are_those_of_the_history(tmp_path: Path) -> None:
    file = tmp_path / "history.sqlite"
    generated.make(file, generated.Shape(nights=20, places=3))
    with History(file, read_only=True) as history:
        verdicts = history.verdicts("main")
        built = build(history, tmp_path / "out")
    newest = {}
    for run in built.site.archive.runs.values():
        for result in run.results:
            newest[run.track.place, result.scenario] = built.site.judged[run.cell.id][result.scenario]
    compared = 0
    for each in verdicts:
        said = newest[each.place, each.scenario]
        if each.last.cell in _last_cells(built):
            assert (said.trend, said.since, said.rate) == (each.trend, each.since, each.rate)
            compared += each.trend is not Trend.PASSING
    assert compared > 3


def _last_cells(built: Built) -> set[int]:
    return {run.cell.id for run in built.site.archive.of_night[built.site.archive.nights[-1].id]}


def test_the_first_page_stays_small(tmp_path: Path) -> None:
    """Many places, and hundreds of failures in one night."""
    file = tmp_path / "history.sqlite"
    generated.make(file, generated.Shape(nights=overview._GRID + 2, places=24, scenarios=8))
    with History(file, read_only=True) as history:
        build(history, tmp_path / "out")
    size = sum((tmp_path / "out" / name).stat().st_size for name in ("index.html", "style.css"))
    assert size < 300_000, size


def test_colours_can_be_read() -> None:
    """WCAG 2.2, 1.4.3: text has a contrast of 4.5 to what is behind it, in both schemes."""
    css = (Path(overview.__file__).parent / "style.css").read_text()
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", css.split("@media", 1)[0]))
    dark = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", css.split("@media", 2)[1]))
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        for front in ("fg", "dim", "link", "good", "bad", "skip", "error", "none"):
            backs = ["bg", "soft", *([f"{front}-bg"] if f"{front}-bg" in colours else [])]
            for back in backs:
                assert _contrast(colours[front], colours[back]) >= 4.5, (front, back)
        assert _contrast(colours["fg"], colours["bad-bg"]) >= 4.5


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
