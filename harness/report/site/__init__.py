"""The history of nights as a site of static pages.

::

    History ──► archive ──► trends ──► pages/* ──► folder
    SQLite      runs and    what was   one module   written when
                neighbours  new when   a kind       it changed

It works from ``file://``: links are relative, and nothing comes from elsewhere. No page needs a script.
"""

from harness.report.site.build import Built, build

__all__ = ["Built", "build"]
