"""Text from a guest, made safe to show.

A console can hold escape sequences that repaint the reader's terminal, characters that
XML does not allow, and marks that turn the direction of writing. They are shown as
escapes, so that nothing is lost and nothing is obeyed.
"""

from __future__ import annotations

import unicodedata

_SHOWN = {"\t": "    "}
# Cc controls, Cf format marks (direction, joiners), Cs halves of pairs, Co private, Cn unassigned, Zl Zp line ends
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def line(text: str) -> str:
    """``text`` as one line of printable characters; ends of line become spaces."""
    return _escape(" ".join(part.rstrip() for part in text.splitlines()) if "\n" in text or "\r" in text else text)


def lines(text: str) -> tuple[str, ...]:
    """``text`` as lines of printable characters."""
    return tuple(_escape(part.rstrip("\r")) for part in text.split("\n"))


def whole(text: str) -> str:
    """``text`` without halves of surrogate pairs, which no encoding of Unicode can carry; else unchanged."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _escape(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_SHOWN.get(letter) or _shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if unicodedata.category(letter) not in _HIDDEN:
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
