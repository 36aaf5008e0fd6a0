"""A signed POST: what a receiver can check, when it is tried again, and that the secret stays one."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.errors import InfraError, UserError
from harness.report.nightly import webhook
from harness.report.nightly.webhook import Clock, Secret, sign, verify
from tests.unit import nights

KEY = Secret(b"correct horse battery staple")


@dataclass
class Receiver:
    """A server that answers with ``answers`` in turn, the last one for ever."""

    answers: list[int] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    here = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.got.append((dict(self.headers.items()), body))
            self.send_response(here.answers.pop(0) if len(here.answers) > 1 else here.answers[0])
            for name, value in here.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here.url = f"http://127.0.0.1:{server.server_address[1]}/hook?token=abc"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield here
        server.shutdown()
        thread.join()


def _clock(slept: list[float]) -> Clock:
    return Clock(now=lambda: 1_800_000_000.0, passed=lambda: sum(slept), sleep=slept.append)


def test_the_body_is_the_night(tmp_path: Path) -> None:
    history, night = nights.history(tmp_path)
    with history:
        document = json.loads(webhook.render(history, night))
    assert document["schema"] == "kph.night.v1" and document["night"]["name"] == "next" and document["exit"] == 1
    cells = {cell["id"]: cell for cell in document["cells"]}
    assert len(cells) == 8 and cells[document["new"][0]["cell"]]["series"] == "pasid-v3"
    assert document["new"][0]["scenario"] == "p01-own-bind" and document["new"][0]["culprit"] == "ab" * 20
    assert {each["name"]: each["passed"] for each in document["series"]}["cleanup-v1"] is True


def test_a_receiver_can_check_it(receiver: Receiver) -> None:
    assert webhook.post(receiver.url, '{"a": "ü"}\n', KEY) == 1
    headers, body = receiver.got[0]
    assert body == '{"a": "ü"}\n'.encode() and headers["Content-Type"] == "application/json"
    moment = float(headers["Kph-Signature"].split(",")[0].removeprefix("t="))
    assert verify(KEY, headers["Kph-Signature"], body, moment + 200)


def test_a_signature_is_of_one_body_one_secret_and_one_moment() -> None:
    header = sign(KEY, b"body", 1000.7)
    assert header.startswith("t=1000,v1=") and verify(KEY, header, b"body", 1000)
    assert not verify(KEY, header, b"Body", 1000)
    assert not verify(Secret(b"another secret of mine"), header, b"body", 1000)
    assert not verify(KEY, header, b"body", 1301) and not verify(KEY, header, b"body", 699)
    assert not verify(KEY, header.replace("t=1000", "t=1001"), b"body", 1000)
    # printf '0.{}' | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkk
    code = "543c08f8232c69490086e17ba74b08edebe38a51eb0661b9fa2672109e62daf2"
    assert sign(Secret(b"k" * 16), b"{}", 0) == f"t=0,v1={code}"


@pytest.mark.parametrize(
    "header", ["", "t=1", "v1=00", "t=x,v1=0", "t=-1,v1=", "t=²,v1=0", "t=" + "9" * 400, "=,=,,", "ä"]
)
def test_a_header_that_is_none_is_refused(header: str) -> None:
    assert not verify(KEY, header, b"body", 1)


def test_it_is_tried_again_while_the_other_end_cannot_take_it(receiver: Receiver) -> None:
    slept: list[float] = []
    receiver.answers = [503, 500, 429, 200]
    assert webhook.post(receiver.url, "{}", KEY, clock=_clock(slept)) == 4
    assert slept == [1.0, 2.0, 4.0]
    assert len({headers["Kph-Delivery"] for headers, _ in receiver.got}) == 1, "one call, however many tries"


def test_it_waits_as_long_as_it_is_asked_to_but_not_beyond_the_deadline(receiver: Receiver) -> None:
    slept: list[float] = []
    receiver.answers, receiver.headers = [429, 200], {"Retry-After": "20"}
    assert webhook.post(receiver.url, "{}", KEY, clock=_clock(slept)) == 2 and slept == [20.0]
    receiver.answers, receiver.headers = [503], {"Retry-After": "3600"}
    with pytest.raises(InfraError, match=r"status 503 \(tries: 1\)"):
        webhook.post(receiver.url, "{}", KEY, clock=_clock([]))


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 410])
def test_what_is_refused_is_not_tried_again(receiver: Receiver, status: int) -> None:
    receiver.answers, receiver.headers = [status], {"Location": receiver.url}
    with pytest.raises(InfraError, match=rf"status {status} \(tries: 1\)") as caught:
        webhook.post(receiver.url, "{}", KEY, clock=_clock([]))
    assert len(receiver.got) == 1 and "token=abc" not in str(caught.value)


def test_nobody_there() -> None:
    slept: list[float] = []
    with pytest.raises(InfraError, match=r"tries: 4\)"):
        webhook.post("http://127.0.0.1:1/", "{}", KEY, deadline=10, clock=_clock(slept))
    assert sum(slept) < 10


@pytest.mark.parametrize(
    "url", ["", "ftp://x/", "http://example.org/", "https://", "file:///etc/passwd", "https://[", "x"]
)
def test_an_address_that_others_could_read_is_refused(url: str) -> None:
    with pytest.raises(UserError):
        webhook.post(url, "{}", KEY)


# --- the secret ------------------------------------------------------------------------
def test_the_secret_comes_from_the_environment_or_a_file_of_our_own(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(KEY.value + b"\n")
    file.chmod(0o600)
    assert webhook.secret(file) == KEY
    assert webhook.secret(None, {"KPH_WEBHOOK_SECRET": KEY.value.decode()}) == KEY
    for mode in (0o640, 0o604, 0o644, 0o620):
        file.chmod(mode)
        with pytest.raises(UserError, match="others may read") as caught:
            webhook.secret(file)
        assert "chmod 600" in caught.value.hint
    for environment in ({}, {"KPH_WEBHOOK_SECRET": "short"}):
        with pytest.raises(UserError, match=r"is not set|is shorter"):
            webhook.secret(None, environment)
    with pytest.raises(UserError, match="No such file"):
        webhook.secret(tmp_path / "missing")
    with pytest.raises(UserError):
        webhook.secret(tmp_path)


def test_the_secret_is_in_no_text(receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answers = [400]
    with pytest.raises(InfraError) as caught:
        webhook.post(receiver.url, "{}", KEY, clock=_clock([]))
    said = f"{caught.value!r} {caught.value} {KEY!r} {KEY} {[KEY]} {caplog.text}"
    assert KEY.value.decode() not in said
    headers, body = receiver.got[0]
    assert KEY.value not in repr(headers).encode() + body
    assert not list(tmp_path.iterdir())
