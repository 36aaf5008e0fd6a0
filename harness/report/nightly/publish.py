"""Everything that a nightly file wants of its night: pages, files, mail, webhook. One that fails costs no other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.campaign.nightly.file import Mail, NightlyFile, Webhook
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Night
from harness.errors import KphError, UserError
from harness.proc import Door
from harness.report.nightly import b4, junit, kcidb, mail, webhook, write
from harness.report.site import build

_DEADLINE = 120.0  # seconds until a webhook must have it


def check(file: NightlyFile, environment: Mapping[str, str] = os.environ) -> None:
    """Raise UserError for what could not be sent, before a night is spent on it."""
    mail_, hook = file.out.mail, file.out.webhook
    if mail_ is not None:
        _envelope(mail_)
        if not (mail_.sendmail or mail_.file):
            raise UserError("out.mail goes nowhere", "add sendmail: true, or file: FILE")
    if hook is not None:
        webhook.secret(hook.secret_file, environment)
        webhook.checked(hook.url)


def publish(
    file: NightlyFile, history: History, night: Night, door: Door, environment: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Write and send all of it; what failed, in words."""
    night = history.night(night.id) or night  # as it has ended
    problems = []
    for what, work in _works(file, history, night, door, environment):
        try:
            work()
        except (KphError, OSError) as error:
            problems.append(f"{what}: {error}")
    return tuple(problems)


def _works(
    file: NightlyFile, history: History, night: Night, door: Door, environment: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], None]]]:
    out = file.out
    names = kcidb.Names(
        out.kcidb_origin,
        urls={name: entry.remote for name, entry in file.trees.items() if entry.remote.startswith("https://")},
        branches={name: entry.branch for name, entry in file.trees.items() if entry.branch},
    )
    if out.site:
        yield "site", _builder(out.site, history, night)
    if out.kcidb:
        yield "KCIDB", _writer(out.kcidb, lambda: kcidb.render(history, night, names))
    if out.junit:
        yield "JUnit", _writer(out.junit, lambda: junit.render(history, night))
    if out.b4:
        yield "b4", _writer(out.b4, lambda: b4.render(history, night))
    if out.mail:
        yield "mail", _mailer(out.mail, history, night, door)
    if out.webhook:
        yield "webhook", _poster(out.webhook, history, night, environment)


def _builder(folder: Path, history: History, night: Night) -> Callable[[], None]:
    def work() -> None:
        build(history, folder, night.name)

    return work


def _writer(file: Path, render: Callable[[], str]) -> Callable[[], None]:
    return lambda: write(render(), file)


def _mailer(wanted: Mail, history: History, night: Night, door: Door) -> Callable[[], None]:
    def work() -> None:
        text = mail.render(history, night, _envelope(wanted))
        if wanted.file:
            _writer(wanted.file, lambda: text)()
        if wanted.sendmail:
            mail.send(text, door)

    return work


def _poster(wanted: Webhook, history: History, night: Night, environment: Mapping[str, str]) -> Callable[[], None]:
    def work() -> None:
        key = webhook.secret(wanted.secret_file, environment)
        webhook.post(wanted.url, webhook.render(history, night), key, _DEADLINE)

    return work


def _envelope(wanted: Mail) -> mail.Envelope:
    return mail.Envelope(wanted.sender, wanted.to, wanted.tester)
