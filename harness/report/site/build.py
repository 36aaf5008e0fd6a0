"""All pages, each written when what it is made from has changed."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from harness.cache import digest, digest_folder
from harness.campaign.nightly.history import History
from harness.report.site import archive, pages, trends
from harness.report.site.folder import Folder
from harness.report.site.pages import bisection, console
from harness.report.site.site import Site


@dataclass(frozen=True)
class Built:
    """What a build came to."""

    site: Site  # what the pages were made from
    pages: int  # of the site
    written: int  # of these, pages that had changed
    live: frozenset[str]  # those that change while a night runs


def build(history: History, folder: Path, name: str = "", *, refresh: int = 0) -> Built:
    """Write the pages of all nights, or of those called ``name``, below ``folder``.

    ``refresh``: a server has pages of a running night loaded again after so many seconds, and they say so.
    Raises UserError when ``folder`` holds something else, InfraError when it cannot be written.
    """
    found = archive.read(history, name)
    with Folder(folder) as sink:
        site = Site(found, trends.judge(found), console.choose(found, sink), bisection.choose(found, sink), refresh)
        count, live = 0, set()
        for module in _kinds():
            for page in module.pages(site):
                sink.page(page.name, digest(_version(), page.key, str(refresh if page.live else 0)), page.make)
                count += 1
                live |= {page.name} if page.live else set()
    return Built(site, count, sink.written, frozenset(live))


def _kinds() -> Iterator[ModuleType]:
    """One module per kind of page, found by being there."""
    for each in pkgutil.iter_modules(pages.__path__):
        yield importlib.import_module(f"{pages.__name__}.{each.name}")


@functools.cache
def _version() -> str:
    """Of the code and the templates: pages of an earlier kph are written anew."""
    return digest_folder(Path(__file__).parent)
