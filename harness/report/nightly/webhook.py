"""A signed POST of the night, for whoever wants to act on it.

The body is JSON (``render``). The header ``Kph-Signature: t=SECONDS,v1=HEX`` holds when it was signed, in seconds since
1970, and the HMAC-SHA256, under a secret that both ends know, of ``SECONDS``, a dot and the body. A receiver calls
``verify()``, or does the same: it compares in constant time, and refuses what is older than five minutes, so that
nobody can send it again. ``Kph-Delivery`` is the same in each try of one call.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import queue
import stat
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.campaign.nightly.history import History
from harness.campaign.nightly.records import Cell, Night
from harness.errors import InfraError, UserError
from harness.report import clean
from harness.report.nightly import facts
from harness.report.nightly.facts import Line

NAME = "webhook"
HELP = "what a webhook gets: the night as JSON"
SCHEMA = "kph.night.v1"
SIGNATURE, DELIVERY = "Kph-Signature", "Kph-Delivery"
VARIABLE = "KPH_WEBHOOK_SECRET"  # environment variable with the secret
TOLERANCE = 300.0  # seconds between the clocks of the two ends, and on the way

_SHORTEST = 16  # bytes of a secret
_TRY = 10.0  # seconds for one try
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Secret:
    """What both ends know. It shows in no text made of it."""

    value: bytes = field(repr=False)

    def __str__(self) -> str:
        return "secret"


def render(history: History, night: Night) -> str:
    """See Form.render."""
    found = facts.of(history, night)
    document = {
        "schema": SCHEMA,
        "night": {
            "id": night.id,
            "name": night.name,
            "started": night.started,
            "ended": night.ended,
            "state": str(night.state),
        },
        "exit": int(found.exit),
        "cells": [_cell(cell) for cell in found.cells],
        **{
            name: [_line(line) for line in lines]
            for name, lines in (
                ("new", found.new),
                ("fixed", found.fixed),
                ("flaky", found.flaky),
                ("failing", found.failing),
                ("quarantined", found.quarantined),
            )
        },
        "series": [{"name": each.name, "passed": not each.doubt, "doubt": each.doubt} for each in found.series],
    }
    return json.dumps(document, indent=1) + "\n"


def _cell(cell: Cell) -> dict[str, Any]:
    place = cell.place
    return {
        "id": cell.id,
        "tree": place.tree,
        "series": place.series,
        "target": place.target,
        "flavour": place.flavour,
        "suite": place.suite,
        "version": cell.version,
        "commit": cell.commit,
        "state": str(cell.state),
        "verdict": cell.verdict,
        "reason": clean.whole(cell.reason),
        "seconds": round(cell.seconds, 3),
    }


def _line(line: Line) -> dict[str, Any]:
    result = line.result
    return {
        "cell": line.cell.id,
        "scenario": result.scenario,
        "status": result.status,
        "base": result.base,
        "since": line.since,
        "rate": round(line.rate, 3),
        "reason": clean.whole(result.reason),
        "splats": [clean.whole(each) for each in result.splats],
        "tries": list(result.tries),
        "quarantined": clean.whole(result.quarantined),
        "culprit": line.bisected.culprit if line.bisected else "",
    }


# --- the secret ----------------------------------------------------------------
def secret(file: Path | None, environment: Mapping[str, str] = os.environ) -> Secret:
    """From a file that nobody else can read, or the environment variable. Raises UserError."""
    if file is None:
        value = environment.get(VARIABLE, "").encode()
        where = f"the environment variable {VARIABLE}"
    else:
        value, where = _kept(file), str(file)
    if len(value) < _SHORTEST:
        what = "is not set" if not value else f"is shorter than {_SHORTEST} bytes"
        raise UserError(f"the webhook's secret: {where} {what}", "make one with: openssl rand -hex 32")
    return Secret(value)


def _kept(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            mode = os.fstat(source.fileno()).st_mode
            if not stat.S_ISREG(mode) or stat.S_IMODE(mode) & 0o077:
                raise UserError(f"the webhook's secret: others may read {file}", f"chmod 600 {file}")
            return source.read(4096).strip()
    except OSError as error:
        raise UserError(f"the webhook's secret: {file}: {error.strerror}", "name a file with the secret") from None


# --- signature -------------------------------------------------------------------
def sign(key: Secret, body: bytes, now: float) -> str:
    """The value of the header."""
    return f"t={int(now)},v1={_code(key, int(now), body)}"


def verify(key: Secret, header: str, body: bytes, now: float, tolerance: float = TOLERANCE) -> bool:
    """Whether ``body``, as it was received, byte for byte, comes from who knows the secret, and was signed just now."""
    found = dict(part.strip().partition("=")[::2] for part in header.split(","))
    moment, code = found.get("t", ""), found.get("v1", "")
    if not (moment.isascii() and moment.isdigit() and len(moment) < 16) or abs(now - int(moment)) > tolerance:
        return False
    return hmac.compare_digest(_code(key, int(moment), body).encode(), code.encode())


def _code(key: Secret, moment: int, body: bytes) -> str:
    return hmac.new(key.value, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()


# --- on the way --------------------------------------------------------------------
@dataclass(frozen=True)
class Clock:
    """What time is made of; tests have their own."""

    now: Callable[[], float] = time.time  # seconds since 1970, for the signature
    passed: Callable[[], float] = time.monotonic  # seconds, for the deadline
    sleep: Callable[[float], None] = time.sleep


def post(url: str, text: str, key: Secret, deadline: float = 60.0, clock: Clock | None = None) -> int:
    """Send it, again and again while the other end cannot take it; how many tries it took.

    Raises UserError for an address that is not to be used, InfraError when it was refused, or not taken in time.
    """
    clock, shown = clock or Clock(), checked(url)
    body, delivery = text.encode(), str(uuid.uuid4())
    end, pause, tries = clock.passed() + deadline, 1.0, 0
    while True:
        tries += 1
        left = end - clock.passed()
        headers = {"Content-Type": "application/json", "User-Agent": "kph", DELIVERY: delivery}
        headers[SIGNATURE] = sign(key, body, clock.now())
        trouble, again = _try(urllib.request.Request(url, body, headers, method="POST"), max(0.1, min(_TRY, left)))
        if not trouble:
            return tries
        pause = max(pause, again)
        if again < 0 or clock.passed() + pause >= end:
            raise InfraError(f"the webhook {shown} does not take the night: {trouble} (tries: {tries})", "see its log")
        clock.sleep(pause)
        pause *= 2


def _try(request: urllib.request.Request, timeout: float) -> tuple[str, float]:
    """What went wrong, and how many seconds to wait before the next try; less than 0: there is no use in one."""
    # The library's time-out is for each part of an answer: one that comes in drops would never end.
    answer: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
    threading.Thread(target=lambda: answer.put(_once(request, timeout)), daemon=True).start()
    try:
        return answer.get(timeout=timeout)
    except queue.Empty:
        return "no answer in time", 0.0


def _once(request: urllib.request.Request, timeout: float) -> tuple[str, float]:
    try:
        with _OPENER.open(request, timeout=timeout):
            return "", 0.0
    except urllib.error.HTTPError as error:
        error.close()
        wait = str(error.headers.get("Retry-After", ""))
        later = error.code in (408, 425, 429) or error.code >= 500
        return f"status {error.code}", (float(wait) if wait.isdecimal() else 0.0) if later else -1.0
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return clean.line(str(reason)), 0.0


class _Stay(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected would become a GET without the body."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def checked(url: str) -> str:
    """``url`` as it may be shown: all but the host may hold a password or a token. Raises UserError."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        shown = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        raise UserError("the webhook's address cannot be read", "write https://HOST/PATH") from None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOCAL)):
        raise UserError(f"the webhook {shown} is no https address", "what was found would be readable on the way")
    return clean.line(shown)
