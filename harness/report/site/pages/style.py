"""The style sheet that all pages share."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.site.site import TEMPLATES, Page, Site

NAME = "style.css"


def pages(site: Site) -> Iterator[Page]:
    yield Page(NAME, "", (TEMPLATES / NAME).read_text)
