"""Names of pages: from words that may hold anything to file names that every system takes."""

from __future__ import annotations

import functools
import re

from harness.cache import digest

_LONGEST = 80  # characters before the digest
_OTHER = re.compile(r"[^a-z0-9._]+")


@functools.cache
def slug(*words: str) -> str:
    """A file name for ``words``; different words, different name, also where case does not count."""
    text = _OTHER.sub("-", "-".join(filter(None, words)).lower()).strip("-.")
    if text and words == (text,) and len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}-{digest(*words)[:6]}".lstrip("-")


def up(page: str) -> str:
    """From ``page`` to the folder of the first page."""
    return "../" * page.count("/")
