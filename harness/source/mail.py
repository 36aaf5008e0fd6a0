"""Mails, mailboxes and patch files as drafts of patches (pure).

Formats: mbox (RFC 4155, and as ``git format-patch --stdout`` writes it), MIME
(RFC 2045-2047), flowed text (RFC 3676), patch headers of ``git format-patch``,
``git show`` and Debian (DEP-3).
"""

from __future__ import annotations

import contextlib
import email
import email.message
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.header import decode_header, make_header
from pathlib import PurePath

from harness.errors import UserError

# A line of prose may start with "From " too; git's mailsplit asks for a time and a year as well.
_FROM_LINE = re.compile(rb"^From \S+.*\d\d?:\d\d.*\d{4}", re.M)
_HEADERS = re.compile(rb"\A(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
_MAIL_FIELD = re.compile(rb"^(?:Subject|From|Author|Description|Message-Id):", re.M | re.I)
_DIFF = re.compile(rb"^diff --git |^--- [^\n]*\n\+\+\+ [^\n]*\n@@ -", re.M)
_REPLY = re.compile(r"(?:re|aw|fw|fwd|sv|antw|odp)(?:\[\d+\])?\s*:\s*", re.I)
_BRACKET = re.compile(r"\[([^\]]*)\]\s*")
_PATCH_TYPES = ("text/plain", "text/x-patch", "text/x-diff", "application/x-patch", "application/octet-stream")


@dataclass(frozen=True)
class Label:
    """What a subject line says."""

    title: str  # without prefixes
    version: int = 1  # of the series: v2 is 2
    number: int | None = None  # n of n/M; 0 is the cover letter; None when there is no n/M
    total: int | None = None  # M of n/M
    reply: bool = False  # Re:


@dataclass(frozen=True)
class Draft:
    """A mail or file that may hold a patch."""

    label: Label
    author: str  # Name <mail>; empty when not given
    text: bytes  # body with the diff, as UTF-8 where the mail names its charset
    origin: str  # where it was read
    message_id: str = ""
    answers: bool = False  # it is part of a thread that it did not start
    strip: int | None = None  # leading path components to drop; None: found from the diff

    @property
    def has_diff(self) -> bool:
        """Whether there is a diff at the start of a line (a quoted one is not)."""
        return _DIFF.search(self.text) is not None

    @property
    def base_commit(self) -> str:
        """What the base-commit: trailer says (git-format-patch(1), "BASE TREE INFORMATION"); else empty."""
        found = re.search(rb"^base-commit: ([0-9a-f]{12,64})\s*$", self.text, re.M)
        return found[1].decode() if found else ""

    @property
    def prerequisites(self) -> int:
        """How many other patches the series says it stands on."""
        return len(re.findall(rb"^prerequisite-patch-id: [0-9a-f]+\s*$", self.text, re.M))


def read(data: bytes, origin: str) -> tuple[Draft, ...]:
    """The drafts in the file content ``data``: a mailbox, one mail, or a bare diff; gzip is undone.

    Raises UserError when a compressed file is damaged.
    """
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as fault:
            raise UserError(f"{origin} is a damaged gzip file: {fault}") from fault
    data = _unix_lines(data)
    if data.startswith(b"From ") and _FROM_LINE.match(data):
        mails = split_mailbox(data)
        several = len(mails) > 1
        drafts: list[Draft] = []
        for place, mail in enumerate(mails, 1):
            drafts += _mail(mail, f"{origin}, message {place}" if several else origin)
        return tuple(drafts)
    head = _HEADERS.match(data)
    if head and _MAIL_FIELD.search(head[0]):
        return tuple(_mail(data, origin))
    return (_bare(data, origin),)


def split_mailbox(data: bytes) -> tuple[bytes, ...]:
    """The mails of an mbox, without their From lines."""
    starts = [spot.start() for spot in _FROM_LINE.finditer(data)]
    ends = [*starts[1:], len(data)]
    return tuple(data[start:end].split(b"\n", 1)[-1] for start, end in zip(starts, ends, strict=True))


def parse_subject(raw: str) -> Label:
    """``Re: [PATCH v2 3/5] x: y`` in its parts; leading brackets are prefixes, as for git am."""
    rest = " ".join(raw.split())
    label = Label("")
    while True:
        if match := _REPLY.match(rest):
            label = replace(label, reply=True)
        elif match := _BRACKET.match(rest):
            label = _prefix(label, match[1])
        else:
            break
        rest = rest[match.end() :]
    return replace(label, title=rest)


def _prefix(label: Label, inside: str) -> Label:
    inside = re.sub(r"(\d+) of (\d+)", r"\1/\2", inside)
    for word in re.split(r"[\s,:]+", inside):
        if match := re.fullmatch(r"(?:PATCH|RFC)?v(\d+)(?:\.\d+)?", word, re.I):
            label = replace(label, version=int(match[1]))
        elif match := re.fullmatch(r"(?:PATCH)?(\d+)/(\d+)", word, re.I):
            label = replace(label, number=int(match[1]), total=int(match[2]))
    return label


def _mail(data: bytes, origin: str) -> Iterator[Draft]:
    message = email.message_from_bytes(data)
    described = str(message.get("Description", "")).partition("\n")[0]  # DEP-3: its first line is the subject
    label = parse_subject(_text(message, "Subject") or described)
    author = _text(message, "From") or _text(message, "Author")
    bodies = list(_bodies(message))
    main = next((body for _, body in bodies if _DIFF.search(body)), bodies[0][1] if bodies else b"")
    attached = [(name, body) for name, body in bodies if name and _DIFF.search(body)]
    if len(attached) > 1:  # several patches hang on one mail: each speaks for itself
        for name, body in attached:
            yield from read(body, f"{origin}, attachment {name}")
        return
    if attached and attached[0][1] is main and (inner := read(main, origin)[0]).author:
        yield inner
        return
    author, main = _in_body_author(author, main)
    yield Draft(
        label=label,
        author=author,
        text=main,
        origin=origin,
        message_id=_text(message, "Message-Id"),
        answers=bool(_text(message, "In-Reply-To") or _text(message, "References")),
    )


def _bodies(message: email.message.Message) -> Iterator[tuple[str, bytes]]:
    """(file name or nothing, content as UTF-8) of each part that could hold a patch."""
    for part in message.walk():
        if part.is_multipart() or part.get_content_type() not in _PATCH_TYPES:
            continue
        content = part.get_payload(decode=True)
        if not isinstance(content, bytes):
            continue
        charset = part.get_content_charset("utf-8")
        with contextlib.suppress(LookupError, UnicodeError):  # with a wrong label the diff's own bytes must do
            content = content.decode(charset).encode()
        content = _unix_lines(content)
        if part.get_param("format", "fixed") == "flowed":
            content = unstuff(content)
        yield part.get_filename("") or "", content


def unstuff(text: bytes) -> bytes:
    """Undo the space-stuffing of flowed text, if the diff in it was stuffed.

    A stuffed line that started with a space has two. A diff of which every
    context line has two was stuffed; code that really is indented so
    throughout does not occur, since kernel code is indented with tabs.
    """
    spaced = [line for line in text.split(b"\n") if line.startswith(b" ")]
    if not spaced or not all(line.startswith(b"  ") for line in spaced):
        return text
    return re.sub(rb"^ ", b"", text, flags=re.M)


def _in_body_author(author: str, text: bytes) -> tuple[str, bytes]:
    """A From: line at the top of the body names the author, as for git am."""
    match = re.match(rb"\s*From: ([^\n]+)\n", text)
    return (match[1].decode(errors="replace").strip(), text[match.end() :]) if match else (author, text)


def _bare(data: bytes, origin: str) -> Draft:
    """A diff without mail headers; the output of ``git show`` names author and subject."""
    title, author = PurePath(origin).name, ""
    shown = re.match(rb"commit [0-9a-f]{40,64}\b", data)
    if shown:
        head = data[: (_DIFF.search(data) or re.search(rb"\Z", data)).start()]  # type: ignore[union-attr]
        names = re.search(rb"^Author:\s*(.+)$", head, re.M)
        first = re.search(rb"^    (\S.*)$", head, re.M)
        author = names[1].decode(errors="replace") if names else ""
        title = first[1].decode(errors="replace") if first else title
    return Draft(Label(title), author, data, origin)


def _text(message: email.message.Message, name: str) -> str:
    """A header as one line: raw UTF-8 (RFC 6532) is taken as well as encoded words (RFC 2047)."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    plain = raw.encode(errors="surrogateescape").decode(errors="replace")
    with contextlib.suppress(LookupError, ValueError, UnicodeError):
        plain = str(make_header(decode_header(plain)))
    return " ".join(plain.split())


def _unix_lines(data: bytes) -> bytes:
    """Mails travel with CRLF. One bare LF says that the CRs are the files' own."""
    return data.replace(b"\r\n", b"\n") if data.count(b"\n") == data.count(b"\r\n") else data
