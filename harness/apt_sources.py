"""Which Debian archive this machine uses, as its own apt configuration says (pure: text in, values out).

Formats: sources.list(5), the one-line style and the deb822 style. No host name
is known here: an archive is told by its suites, its components and its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SYMBOLIC = ("stable", "testing", "unstable", "experimental", "oldstable", "oldoldstable")
_CODENAMES = ("sid", "buster", "bullseye", "bookworm", "trixie", "forky", "duke")
_DEBIAN_SUITES = frozenset((*_SYMBOLIC, *_CODENAMES))
_RENAMED_OPTIONS = {"arch": "Architectures", "lang": "Languages", "target": "Targets", "pdiffs": "PDiffs"}
_OURS = frozenset(("types", "uris", "suites", "components", "enabled", "architectures", "languages", "targets"))
_SNAPSHOT = re.compile(r"/\d{8}T\d{6}Z/?$")


@dataclass(frozen=True)
class Archive:
    """One entry of the apt configuration."""

    uri: str  # as configured
    suites: tuple[str, ...]  # e.g. bookworm, bookworm-updates
    components: tuple[str, ...]  # e.g. main
    options: tuple[tuple[str, str], ...]  # further deb822 fields, e.g. Signed-By; values may span lines

    def stanza(self, kind: str, suites: Sequence[str], components: Sequence[str]) -> str:
        """This archive as a deb822 entry of our own: same address, key and options, other ``suites``.

        ``kind`` is ``deb`` or ``deb-src``. Only the package index is asked for.
        """
        fields = [
            ("Types", kind),
            ("URIs", self.uri),
            ("Suites", " ".join(suites)),
            ("Components", " ".join(components)),
            ("Targets", "Packages" if kind == "deb" else "Sources"),
            *self.options,
        ]
        return "".join(f"{name}: {value}\n" for name, value in fields)


def parse_list(text: str) -> tuple[Archive, ...]:
    """The ``deb`` lines of a one-line style file; lines that apt would refuse are left out."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>\S.*)", line.split("#", 1)[0])
        words = match["rest"].split() if match else []
        if match is None or len(words) < 2:
            continue
        options = []
        for name, value in re.findall(r"(\S+?)\s*[-+]?=\s*(\S+)", match["options"] or ""):
            options.append((_field_name(name), value.replace(",", " ")))
        found.append(Archive(words[0], (words[1],), tuple(words[2:]), _kept(options)))
    return tuple(found)


def parse_deb822(text: str) -> tuple[Archive, ...]:
    """The enabled ``deb`` entries of a deb822 style file, one for each address."""
    found = []
    for fields in _paragraphs(text):
        lower = {name.lower(): value for name, value in fields}
        if "deb" not in lower.get("types", "").split() or lower.get("enabled", "yes").strip().lower() == "no":
            continue
        suites = tuple(lower.get("suites", "").split())
        components = tuple(lower.get("components", "").split())
        for uri in lower.get("uris", "").split():
            found.append(Archive(uri, suites, components, _kept(fields)))
    return tuple(found)


def debian_archive(archives: Iterable[Archive], codename: str = "") -> Archive | None:
    """The main Debian archive among ``archives``; the first of the most likely ones. None if there is none.

    ``codename`` is the machine's own release if it runs Debian: it may be newer
    than the names known here.
    """
    suites = _DEBIAN_SUITES | ({codename} if codename else frozenset())
    fit = [archive for archive in archives if _is_debian(archive, suites)]
    return max(fit, key=_likeliness, default=None)  # max() keeps the first of equals


def _is_debian(archive: Archive, known: frozenset[str]) -> bool:
    names = {re.sub(r"-(updates|backports|proposed-updates)$", "", suite) for suite in archive.suites}
    return bool(names & known) and "main" in archive.components and not archive.uri.startswith("cdrom:")


def _likeliness(archive: Archive) -> int:
    key = dict(archive.options).get("Signed-By", "")
    score = 4 if "debian-archive" in key else 0
    score += 2 if archive.uri.rstrip("/").endswith("/debian") else 0
    return score - (8 if _SNAPSHOT.search(archive.uri) else 0)  # a snapshot of the past lacks new kernels


def _paragraphs(text: str) -> list[list[tuple[str, str]]]:
    done: list[list[tuple[str, str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            done.append([])
        elif line[0] in " \t" and done[-1]:
            name, value = done[-1][-1]
            done[-1][-1] = (name, f"{value}\n {line.strip()}")
        elif ":" in line:
            name, value = line.split(":", 1)
            done[-1].append((name.strip(), value.strip()))
    return [fields for fields in done if fields]


def _field_name(option: str) -> str:
    return _RENAMED_OPTIONS.get(option.lower(), "-".join(word.capitalize() for word in option.split("-")))


def _kept(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in fields if name.lower().split("-add")[0] not in _OURS)
