"""All that the file of the nights asks for: reports written, mail and webhook sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.campaign.nightly.file import NightlyFile, Out, Webhook
from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Night
from harness.errors import KphError, UserError
from harness.proc import Door
from harness.report.nightly import b4, junit, kcidb, mail, webhook, write


def check(out: Out, environment: Mapping[str, str] = os.environ) -> None:
    """What can be told before a night is: no mail address, no secret. Raises UserError."""
    if out.mail:
        envelope(out)
        if not (out.mail.sendmail or out.mail.file):
            raise UserError("out.mail goes nowhere", "add sendmail: true, or file: FILE")
    if out.webhook:
        _secret(out.webhook, environment)
        webhook.checked(out.webhook.url)


def envelope(out: Out) -> mail.Envelope:
    """Who sends the mail to whom. Raises UserError."""
    assert out.mail is not None
    return mail.Envelope(out.mail.sender, tuple(out.mail.to), out.mail.tester)


def deliver(
    file: NightlyFile, history: History, night: Night, door: Door, environment: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """What could not be delivered, and why; it keeps nothing else from its way."""
    night = history.night(night.id) or night  # as it has ended
    problems = []
    for name, step in _steps(file, history, night, door, environment):
        try:
            step()
        except KphError as error:
            problems.append(f"{name} of the night: {error.message}; {error.hint}".removesuffix("; "))
    return tuple(problems)


def _steps(
    file: NightlyFile, history: History, night: Night, door: Door, environment: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], object]]]:
    out = file.out
    if out.kcidb:
        yield "the KCIDB report", _writing(out.kcidb, lambda: kcidb.render(history, night, names(file)))
    if out.junit:
        yield "the JUnit report", _writing(out.junit, lambda: junit.render(history, night))
    if out.b4:
        yield "the array for b4", _writing(out.b4, lambda: b4.render(history, night))
    if out.mail:
        if out.mail.file:
            yield "the mail", _writing(out.mail.file, lambda: mail.render(history, night, envelope(out)))
        if out.mail.sendmail:
            yield "the mail", lambda: mail.send(mail.render(history, night, envelope(out)), door)
    hook = out.webhook
    if hook:
        text = webhook.render(history, night)
        yield "the webhook", lambda: webhook.post(hook.url, text, _secret(hook, environment))


def names(file: NightlyFile) -> kcidb.Names:
    """What the file says of origin and repositories."""
    urls = {name: entry.remote for name, entry in file.trees.items() if entry.remote.startswith("https://")}
    branches = {name: entry.branch for name, entry in file.trees.items() if entry.branch}
    return kcidb.Names(file.out.kcidb_origin, urls, branches)


def _writing(file: Path, text: Callable[[], str]) -> Callable[[], None]:
    return lambda: write(text(), file)


def _secret(hook: Webhook, environment: Mapping[str, str]) -> webhook.Secret:
    return webhook.secret(hook.secret_file, environment, hook.secret_env or webhook.VARIABLE)
