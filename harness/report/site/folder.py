"""The folder of the site: pages that are whole, written only when they have changed, and removed with their night."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from harness.cache import write_whole
from harness.errors import InfraError, UserError

_LIST = ".pages.json"  # every page with the key that it was made from


class Folder:
    """``with Folder(root) as folder``; what was not named in the block is removed at its end."""

    def __init__(self, root: Path) -> None:
        """Raises UserError when ``root`` holds something else."""
        self.root = root
        self.written = 0  # pages
        self._made: set[Path] = set()
        self._pages: dict[str, str] = {}
        self._before = self._read()

    def __enter__(self) -> Folder:
        if not (self.root / _LIST).exists():
            self._write(_LIST, b"{}")  # first: what a kill leaves is a site, too
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._sweep()
        else:
            self._pages = {**self._before, **self._pages}
        self._write(_LIST, json.dumps(self._pages, indent=0).encode())

    def page(self, name: str, key: str, make: Callable[[], str]) -> None:
        """Write what ``make`` returns as ``name``, unless it is there already, made from an equal ``key``."""
        self._pages[name] = key
        if self._before.get(name) == key and (self.root / name).is_file():
            return
        self._write(name, make().encode(errors="replace"))
        self.written += 1

    def keep(self, name: str) -> bool:
        """Whether ``name`` was written in an earlier build; if so it stays as it is."""
        there = name in self._before and (self.root / name).is_file()
        if there:
            self._pages[name] = self._before[name]
        return there

    def size(self, name: str) -> int:
        """Bytes of a page that was written."""
        return (self.root / name).stat().st_size

    def _read(self) -> dict[str, str]:
        file = self.root / _LIST
        try:
            if not file.is_file():
                if self.root.exists() and any(self.root.iterdir()):
                    raise UserError(f"{self.root} is not empty, and no site of kph", "name a new folder")
                return {}
            found = json.loads(file.read_text())
        except OSError as error:
            raise UserError(f"{self.root}: {error.strerror}", "name a folder") from error
        except ValueError:
            found = {}
        return found if isinstance(found, dict) else {}

    def _write(self, name: str, content: bytes) -> None:
        file = self.root / name
        try:
            if file.parent not in self._made:
                file.parent.mkdir(parents=True, exist_ok=True)
                self._made.add(file.parent)
            write_whole(file, content)
            file.chmod(0o644)  # a web server of another user may read it
        except OSError as error:
            raise InfraError(
                f"{file} cannot be written: {error.strerror}", "free some space, or name another folder"
            ) from error

    def _sweep(self) -> None:
        for name in self._before.keys() - self._pages.keys():
            file = self.root / name
            if ".." in Path(name).parts or Path(name).is_absolute():
                continue  # the list is not ours
            file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other pages are in it
                file.parent.rmdir()
