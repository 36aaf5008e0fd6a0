"""The site over HTTP, to this machine alone; built anew when the history has changed."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.campaign.nightly.history import History
from harness.errors import InfraError
from harness.report.site.build import Built, build
from harness.report.site.pages import comparison

HOST = "127.0.0.1"
_PAIR = re.compile(r"/compare/(\d{1,18})-(\d{1,18})\.html")
_NAMES = (HOST, "localhost")


@dataclass
class Served:
    """The site as it stands; requests are answered while it is built anew."""

    history: History
    folder: Path
    name: str  # of nights; empty: all
    refresh: int  # seconds after which a browser asks again while a night runs
    built: Built = field(init=False)
    _seen: int = field(init=False)

    def __post_init__(self) -> None:
        self._build()

    def renew(self) -> bool:
        """Build again if the history has changed since; whether it had."""
        if self.history.moved() == self._seen:
            return False
        self._build()
        return True

    def pair(self, older: int, newer: int) -> str | None:
        """Two runs compared of which there is no page; None when they are no runs with results."""
        runs = self.built.site.archive.runs
        if not (older in runs and newer in runs and runs[older].told and runs[newer].told):
            return None
        return comparison.pair(self.built.site, runs[older], runs[newer]).make()

    def _build(self) -> None:
        self._seen = self.history.moved()  # first: what changes while it is built is built next time
        self.built = build(self.history, self.folder, self.name, refresh=self.refresh)


class Server(ThreadingHTTPServer):
    """``with Server(served, port) as server``: answers until the block ends."""

    daemon_threads = True

    def __init__(self, served: Served, port: int) -> None:
        """Raises InfraError when the port is taken."""
        self.served = served
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InfraError(f"port {port} of {HOST}: {error.strerror}", "name another --port, or 0 for any") from error
        self._thread = threading.Thread(target=self.serve_forever, name="server", daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    server: Server

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, directory=str(args[2].served.folder), **more)

    def do_GET(self) -> None:
        if not self._ours():
            self.send_error(HTTPStatus.FORBIDDEN, "not the name of this server")
            return
        pair = _PAIR.fullmatch(urlsplit(self.path).path)
        page = None
        if pair and not Path(self.translate_path(self.path)).exists():
            page = self.server.served.pair(int(pair[1]), int(pair[2]))
        if page is None:
            super().do_GET()
            return
        content = page.encode(errors="replace")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_HEAD(self) -> None:
        if self._ours():
            super().do_HEAD()
        else:
            self.send_error(HTTPStatus.FORBIDDEN, "not the name of this server")

    def _ours(self) -> bool:
        """Asked for by the name of this machine, not by that of a site that leads the browser here; no hidden file."""
        host = self.headers.get("Host", HOST).rpartition(":")[0] or self.headers.get("Host", HOST)
        return host in _NAMES and "/." not in unquote(self.path)

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND, "there is no such page")

    def end_headers(self) -> None:
        asked = urlsplit(self.path)
        page = unquote(asked.path).lstrip("/") or "index.html"
        if page in self.server.served.built.live and asked.query != "still":
            self.send_header("Refresh", str(self.server.served.refresh))
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """A page that refreshes would fill the terminal."""
