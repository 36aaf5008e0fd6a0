"""The mail of the morning: plain text, what needs a look first, and lines to answer a series with."""

from __future__ import annotations

import datetime
import email.policy
import email.utils
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import BAD, Bisected, Cell, CellState, Night
from harness.errors import InfraError, UserError
from harness.proc import Door
from harness.report import clean
from harness.report.nightly import facts
from harness.report.nightly.facts import Facts, Line, Series

NAME = "mail"
HELP = "a summary as a mail, ready for sendmail"

_WIDTH = 72
_SENDMAIL = ("sendmail", "-i", "-t")  # recipients from the mail's own head; a line with one dot does not end it
_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Envelope:
    """Who sends it to whom. Raises UserError for what is no address."""

    sender: str = "kph <kph@localhost>"
    to: tuple[str, ...] = ()
    tester: str = ""  # NAME <MAIL> of who vouches for the results; without, there are no Tested-by lines

    def __post_init__(self) -> None:
        for text in (self.sender, *self.to, *filter(None, [self.tester])):
            address(text)


def address(text: str) -> Address:
    """``NAME <MAIL>`` or a bare address, read. Raises UserError."""
    name, mail = email.utils.parseaddr(text)
    user, at, domain = mail.rpartition("@")
    try:
        if not (user and at and domain) or mail not in text or clean.line(text) != text:
            raise ValueError
        return Address(name, user, domain)
    except ValueError as error:
        raise UserError(f"{text!r} is no mail address", "write NAME <user@example.org>") from error


def render(history: History, night: Night, envelope: Envelope | None = None) -> str:
    """See Form.render. Sent twice, it has the same Message-ID, by which readers drop the second."""
    envelope = envelope or Envelope()
    found = facts.of(history, night)
    sender = address(envelope.sender)
    mail = EmailMessage(email.policy.default.clone(cte_type="8bit", max_line_length=78))
    mail["From"] = sender
    if envelope.to:
        mail["To"] = tuple(address(each) for each in envelope.to)
    mail["Subject"] = subject(found)
    mail["Date"] = datetime.datetime.fromisoformat(night.ended or night.started)
    moment = "".join(letter for letter in night.started if letter.isdigit())
    mail["Message-ID"] = f"<kph.night.{night.id}.{moment[:17]}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    mail.set_content(body(found, envelope.tester), charset="utf-8", cte="8bit")
    return mail.as_bytes().decode("utf-8", "replace")


def send(text: str, door: Door) -> None:
    """Hand a rendered mail to the host's sendmail. Raises UserError without a recipient, InfraError."""
    if not email.message_from_string(text)["To"]:
        raise UserError("the mail has no recipient", "name one with --mail-to")
    try:
        door.run(_SENDMAIL, timeout=_TIMEOUT, stdin=text.encode("utf-8", "replace"))
    except InfraError as error:
        raise InfraError(
            f"the mail is not sent: {error.message}", "write it to a file with --report mail=FILE"
        ) from None


def subject(found: Facts) -> str:
    """The night in one line."""
    counts = [(len(found.new), "new failure"), (len(found.fixed), "fixed"), (len(found.flaky), "flaky")]
    words = [f"{number} {word}{'s' * (number > 1 and word.endswith('e'))}" for number, word in counts if number]
    words += [f"{len(found.dropped)} dropped"] if found.dropped else []
    words += [f"{len(found.silent)} without evidence"] if found.silent else []
    return clean.line(f"[kph] {found.night.name} {found.night.started[:10]}: {', '.join(words) or 'nothing new'}")


def body(found: Facts, tester: str = "") -> str:
    """The text below the head."""
    night = found.night
    lasted = f"{_when(night.started)} to {_when(night.ended) or night.state}"
    told = "\n".join(
        (
            f"Night {night.id} of {clean.line(night.name)}: {lasted}",
            _counts(found.cells),
            "",
            *_section("New failures", found.new, _told),
            *_cells("Without evidence, by no fault of a kernel's", found.silent),
            *_section("Flaky", found.flaky, _flaky),
            *_section("Fixed", found.fixed, lambda line: [line.result.scenario]),
            *_cells("Dropped, for want of time", found.dropped),
            *_section("Still failing", found.failing, _short),
            *_section("Quarantined, which does not count", found.quarantined, _quarantined),
            *_series(found.series, tester),
            *_table(found),
        )
    )
    return told.rstrip("\n") + "\n"


def _when(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]} UTC" if moment else ""


def _counts(cells: Sequence[Cell]) -> str:
    words: dict[str, int] = {}
    for cell in cells:
        words[_came_to(cell)] = words.get(_came_to(cell), 0) + 1
    unchanged = sum(cell.state is CellState.UNCHANGED for cell in cells)
    tail = f" ({unchanged} unchanged since an earlier night, and not run again)" if unchanged else ""
    return _wrap(f"{len(cells)} cells: {', '.join(f'{number} {word}' for word, number in words.items())}{tail}")


def _came_to(cell: Cell) -> str:
    over = cell.state in (CellState.DONE, CellState.UNCHANGED)
    return (cell.verdict if over else "") or str(cell.state)


def _section(title: str, lines: Sequence[Line], tell: Callable[[Line], Iterable[str]]) -> Iterator[str]:
    """Scenarios below their places."""
    if not lines:
        return
    yield f"{title} ({len(lines)})"
    place = None
    for line in lines:
        if line.cell.place != place:
            place = line.cell.place
            yield f"  {clean.line(str(place))}"
        yield from (f"    {clean.line(each)}" for each in tell(line))
    yield ""


def _told(line: Line) -> Iterator[str]:
    yield f"{line.result.scenario}: {line.result.status}"
    yield from _reason(line)
    yield from (f"  {splat}" for splat in line.result.splats)
    if line.bisected:
        yield f"  {_culprit(line.bisected)}"
    if line.result.evidence:
        yield f"  evidence: {line.result.evidence}"


def _short(line: Line) -> Iterator[str]:
    yield f"{line.result.scenario}: {line.result.status}{f' since {line.since[:10]}' if line.since else ''}"
    yield from _reason(line)


def _reason(line: Line) -> Iterator[str]:
    yield from textwrap.wrap(clean.line(line.result.reason), _WIDTH - 6, initial_indent="  ", subsequent_indent="  ")


def _culprit(found: Bisected) -> str:
    if not found.culprit:
        return f"bisected: {found.conclusion}"
    return f'culprit: {found.culprit[:12]} ("{found.subject}"), {"proved" if found.proved else "not proved"}'


def _flaky(line: Line) -> Iterator[str]:
    tries = f"; tonight {', '.join(line.result.tries)}" if line.result.tries else f"; tonight {line.result.status}"
    yield f"{line.result.scenario}: fails in {line.rate:.0%} of its runs, since {line.since[:10]}{tries}"


def _quarantined(line: Line) -> Iterator[str]:
    yield f"{line.result.scenario}: {line.result.status}; {line.result.quarantined}"


def _cells(title: str, cells: Sequence[Cell]) -> Iterator[str]:
    if cells:
        yield f"{title} ({len(cells)})"
        for cell in cells:
            yield f"  {clean.line(str(cell.place))}"
            yield from textwrap.wrap(clean.line(cell.reason), _WIDTH, initial_indent="    ", subsequent_indent="    ")
        yield ""


def _series(every: Sequence[Series], tester: str) -> Iterator[str]:
    passed = [series for series in every if not series.doubt]
    for series in passed:
        trees = ", ".join(dict.fromkeys(f"{cell.place.tree} {cell.version}" for cell in series.cells))
        targets = ", ".join(dict.fromkeys(cell.place.target for cell in series.cells))
        told = f"{series.name} passes on every cell: {len(series.cells)} on {trees}; {targets}"
        if series.alike:
            told += f"; fails with it and without it: {', '.join(series.alike)}"
        yield from _wrap(told).split("\n")
        # At the start of the line, so that it can be sent as it is, and b4 finds it in the answer to the series.
        yield from ([f"Tested-by: {tester.strip()}"] if tester else [])
        yield ""
    doubtful = [series for series in every if series.doubt]
    if doubtful:
        yield "No Tested-by for"
        yield from (_wrap(f"  {series.name}: {series.doubt}", "    ") for series in doubtful)
        yield ""


def _table(found: Facts) -> Iterator[str]:
    yield "Cells"
    for cell in found.cells:
        failing = sum(line.result.status in BAD for line in found.of(cell))
        words = [clean.line(str(cell.place)), f"{cell.version} {cell.commit[:12]}"]
        words += [f"{failing} {'fails' if failing == 1 else 'fail'}"] if failing else []
        words += {CellState.UNCHANGED: ["unchanged"], CellState.DONE: [f"{cell.seconds:.0f} s"]}.get(cell.state, [])
        yield f"  {_came_to(cell):8} {', '.join(words)}"
        if cell.reason and cell.state in (CellState.DONE, CellState.UNCHANGED) and cell.verdict != "pass":
            yield _wrap(f"           {cell.reason}", "           ")


def _wrap(text: str, indent: str = "") -> str:
    """Words in lines; those of an address stay whole."""
    lead = text[: len(text) - len(text.lstrip())]
    return textwrap.fill(
        clean.line(text.lstrip()), _WIDTH, initial_indent=lead, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
