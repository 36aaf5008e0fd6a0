"""Reads the pages of a site as a browser would: links, names, headings, texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "link", "br", "img", "input", "hr"}
_NAMED = {"a", "svg", "th", "h1", "h2", "h3", "title", "figcaption", "summary"}  # each must say something


@dataclass
class Element:
    """One that must have a name."""

    tag: str
    attributes: dict[str, str]
    text: str = ""

    @property
    def name(self) -> str:
        return self.attributes.get("aria-label", "") or self.text.strip()


@dataclass
class Document(HTMLParser):
    """A page."""

    file: Path
    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    elements: list[Element] = field(default_factory=list)
    text: str = ""
    _open: list[Element] = field(default_factory=list)
    _stack: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.file.read_text(encoding="utf-8"))
        self.close()
        assert not self._stack, f"{self.file}: {self._stack} are not closed"

    def __hash__(self) -> int:
        return id(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.links += [found[name] for name in ("href", "src") if name in found]
        if "id" in found:
            self.ids.append(found["id"])
        element = Element(tag, found)
        self.elements.append(element)
        if tag in _VOID:
            return
        self._stack.append(tag)
        self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._stack and self._stack[-1] == tag, f"{self.file}:{self.getpos()}: </{tag}> in {self._stack[-3:]}"
        self._stack.pop()
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        for element in self._open:
            element.text += data

    @property
    def headings(self) -> list[int]:
        return [int(tag[1]) for tag in self.tags if tag in ("h1", "h2", "h3", "h4")]

    @property
    def nameless(self) -> list[Element]:
        return [each for each in self.elements if each.tag in _NAMED and not each.name and _must(each)]


def _must(element: Element) -> bool:
    return not (element.tag == "th" and element.attributes.get("scope") == "col")  # a column of signs, or of labels


def read(folder: Path) -> dict[str, Document]:
    """Every page below ``folder`` by its name."""
    return {str(file.relative_to(folder)): Document(file) for file in sorted(folder.rglob("*.html"))}
