"""The reports of bisections: pages of their own, taken over as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.campaign.nightly.records import Bisected
from harness.report.site.archive import Archive
from harness.report.site.evidence import stamp
from harness.report.site.folder import Folder
from harness.report.site.site import Page, Site

_LARGEST = 4 * 1024 * 1024  # bytes


def choose(archive: Archive, folder: Folder) -> dict[int, str]:
    """The page of each bisection that has one still, or had one in an earlier build."""
    found = {}
    for track in archive.tracks:
        for each in track.bisected:
            page = f"bisection/{each.id}.html"
            if _there(each) or folder.keep(page):
                found[each.id] = page
    return found


def pages(site: Site) -> Iterator[Page]:
    for track in site.archive.tracks:
        for each in track.bisected:
            if each.id in site.bisections and _there(each):
                file = _file(each)
                yield Page(site.bisections[each.id], stamp(file), file.read_text)


def _there(found: Bisected) -> bool:
    try:
        return bool(found.folder) and _file(found).is_file() and 0 < _file(found).stat().st_size <= _LARGEST
    except OSError:
        return False


def _file(found: Bisected) -> Path:
    return Path(found.folder) / "report.html"
