"""Commands that stand in for apt and b4: small scripts on a PATH of a test's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_APT = r"""#!{python}
# One script for apt-get, apt-cache, apt-config, dpkg and dpkg-deb. What it offers lies in the folder {home}.
import re, shutil, sys
from pathlib import Path
home = Path({home!r})
name, words = Path(sys.argv[0]).name, sys.argv[1:]
with (home / "calls").open("a") as log:
    print(name, *words, file=log)
config = Path(words[words.index("-c") + 1]).read_text() if "-c" in words else ""
values = dict(re.findall(r'^(\S+) "(.*)";$', config, re.M))
said = [line for line in (home / "said").read_text().splitlines()] if (home / "said").exists() else []
if name == "apt-config":
    print(f"LIST='{{home}}/etc/sources.list'\nPARTS='{{home}}/etc/sources.list.d/'")
elif name == "dpkg":
    print("amd64")
elif name == "dpkg-deb":
    content = home / "debs" / Path(words[-2]).with_suffix(".content").name
    shutil.copytree(content, words[-1], dirs_exist_ok=True)
elif name == "apt-cache" and "madison" in words:
    lists = Path(values["Dir::State::Lists"])
    table = (home / "madison").read_text().splitlines() if any(lists.glob("*Packages*")) else []
    print("\n".join(line for line in table if line.split("|")[0].strip() == words[-1]))
elif name == "apt-cache" and "pkgnames" in words:
    names = {{line.split("|")[0].strip() for line in (home / "madison").read_text().splitlines()}}
    print("\n".join(name for name in names if name.startswith(words[-1])))
elif name == "apt-get" and "update" in words:
    (home / "stanza").write_text(Path(values["Dir::Etc::SourceList"]).read_text())
    if said:
        print("\n".join(said))
        sys.exit(100)
    (Path(values["Dir::State::Lists"]) / "archive_dists_sid_main_binary-amd64_Packages").touch()
elif name == "apt-get" and "download" in words:
    for wanted in (word for word in words if "=" in word):
        deb = next((home / "debs").glob(wanted.replace("=", "_").replace(":", "%3a") + "_*.deb"))
        if "--print-uris" in words:
            print(f"'http://archive.invalid/{{deb.name}}' {{deb.name}} {{deb.stat().st_size}} SHA256:00")
        elif said:
            print("\n".join(said))
            sys.exit(100)
        else:
            shutil.copy(deb, deb.name)
else:
    sys.exit(f"unexpected: {{name}} {{words}}")
"""


def install(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the script ``name`` in front of everything else on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


class FakeApt:
    """An archive with packages, and the configuration of a machine that uses it."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        for folder in ("etc/sources.list.d", "debs"):
            (home / folder).mkdir(parents=True)
        self.sources = home / "etc/sources.list"
        self.sources.write_text(
            "deb [signed-by=/k/debian-archive-keyring.gpg] http://archive.invalid/debian trixie main\n"
        )
        (home / "madison").touch()
        for name in ("apt-get", "apt-cache", "apt-config", "dpkg", "dpkg-deb"):
            install(home / "bin", name, _APT.format(python=sys.executable, home=str(home)), monkeypatch)

    def offer(self, package: str, version: str, suite: str = "sid/main", content: Path | None = None) -> None:
        """Add a package; ``content`` is the folder that it unpacks to."""
        with (self.home / "madison").open("a") as table:
            print(f" {package} | {version} | http://archive.invalid/debian {suite} amd64 Packages", file=table)
        deb = self.home / "debs" / f"{package}_{version.replace(':', '%3a')}_all.deb"
        deb.write_bytes(b"deb")
        unpacked = deb.with_suffix(".content")
        unpacked.mkdir()
        if content is not None:
            content.rename(unpacked / content.name)

    def fail(self, text: str) -> None:
        """From now on, whatever needs the network says this; empty: it works again."""
        (self.home / "said").write_text(text)

    def calls(self, word: str) -> int:
        """How many commands with ``word`` were run."""
        calls = (self.home / "calls").read_text().splitlines() if (self.home / "calls").exists() else []
        return sum(word in call.split() for call in calls)
