"""``kph serve``: to this machine alone, and up to date."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.campaign.nightly.history import History
from harness.cli.main import main
from harness.report.site.server import HOST, Served, Server
from tests.unit import generated_history as generated

SHAPE = generated.Shape(nights=4, places=3, scenarios=8, running=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    generated.make(tmp_path / "history.sqlite", SHAPE)
    with (
        History(tmp_path / "history.sqlite", read_only=True) as history,
        Server(Served(history, tmp_path / "out", "", 15), 0) as server,
    ):
        yield server


def get(server: Server, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    link = http.client.HTTPConnection(HOST, server.server_port, timeout=30)
    link.request("GET", path, headers=headers)
    answer = link.getresponse()
    text = answer.read().decode()
    link.close()
    return answer.status, dict(answer.getheaders()), text


def test_pages_refresh_while_a_night_runs(server: Server, tmp_path: Path) -> None:
    for path in ("/", "/index.html", "/night/4.html"):
        status, headers, text = get(server, path)
        assert status == 200 and headers["Refresh"] == "15" and "every 15 s" in text, path
    assert "Refresh" not in get(server, "/night/1.html")[1]
    assert "Refresh" not in get(server, "/?still")[1]
    assert not server.served.renew(), "nothing has changed"
    with History(tmp_path / "history.sqlite") as history:
        history.end(4)
    assert server.served.renew()
    status, headers, text = get(server, "/")
    assert status == 200 and "Refresh" not in headers and "every 15 s" not in text


def test_only_this_machine_is_answered(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert get(server, "/", Host="evil.example")[0] == 403
    assert get(server, "/", Host="localhost:1234")[0] == 200
    for hidden in ("/.pages.json", "/run/", "/../history.sqlite", "/%2e%2e/history.sqlite", "/nothing.html"):
        assert get(server, hidden)[0] in (403, 404), hidden


def test_any_two_runs_are_compared(server: Server) -> None:
    told = [run.cell.id for run in server.served.built.site.archive.runs.values() if run.told]
    path = f"/compare/{told[-1]}-{told[0]}.html"
    assert not (server.served.folder / path[1:]).exists()
    status, _, text = get(server, path)
    assert status == 200 and "What differs" in text and "crashes" in text
    assert get(server, "/compare/1-999.html")[0] == 404


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    generated.make(tmp_path / "history.sqlite", SHAPE)
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from harness.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "serve", "--history", str(tmp_path / "history.sqlite"), "--port", "0"]
    place = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=place) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in said
    assert not list(tmp_path.glob("kph-site-*")), "nothing is left"


def test_what_cannot_be_served_is_refused(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--history", str(tmp_path / "none.sqlite")]) == 2
    file = str(tmp_path / "history.sqlite")
    assert main(["serve", "--history", file, "--port", str(server.server_port)]) == 3
    assert "name another --port" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["serve", "--port", "70000"])
