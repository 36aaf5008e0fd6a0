"""git on one repository, shut off from the user's configuration, environment and working trees."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfraError
from harness.proc import Door, Finished

# Fixed, so that equal content gives equal commit ids on every machine.
IDENTITY = "kph <kph@localhost>"
WHEN = "946684800 +0000"  # seconds since 1970, zone

# The configuration of every repository of ours. Packs are written once and read often, on this machine only:
# fast compression, and no fsync since everything here can be made again.
_SETTINGS = """\
[core]
	repositoryFormatVersion = {format}
	bare = true
	autocrlf = false
	fileMode = true
	fsync = none
	fsmonitor = false
	hooksPath = /dev/null
	excludesFile = /dev/null
	attributesFile = /dev/null
	compression = 1
	quotePath = false
[gc]
	auto = 0
[maintenance]
	auto = false
[checkout]
	workers = 0
[index]
	threads = true
[fastimport]
	unpackLimit = 0
{extensions}"""
_ID = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$", re.M)


@dataclass(frozen=True)
class Git:
    """git commands on the git directory ``folder``."""

    door: Door
    folder: Path
    index: Path | None = None  # index file to use; None: commands that need one must not be run
    work: Path | None = None  # working tree to use

    @staticmethod
    def create(door: Door, folder: Path, object_format: str = "sha1") -> Git:
        """A new bare repository of ours in the existing folder ``folder``."""
        for name in ("objects/info", "objects/pack", "refs/heads", "info"):
            (folder / name).mkdir(parents=True)
        sha256 = object_format != "sha1"
        extensions = f"[extensions]\n\tobjectFormat = {object_format}\n" if sha256 else ""
        (folder / "config").write_text(_SETTINGS.format(format=int(sha256), extensions=extensions))
        (folder / "HEAD").write_text("ref: refs/heads/import\n")
        return Git(door, folder)

    def run(
        self,
        *words: str | Path,
        timeout: float = 300,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Finished:
        """Run one git command. Raises InfraError when it fails (with ``check``) or git is missing."""
        argv, full = self.command(*words)
        return self.door.run(
            argv, timeout=timeout, cwd=self.work, env={**full, **(env or {})}, stdin=stdin, check=check
        )

    def command(self, *words: str | Path) -> tuple[tuple[str | Path, ...], dict[str, str]]:
        """The argv and the environment of a git command."""
        env = {
            "GIT_DIR": str(self.folder),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "none",  # nothing is ever fetched, not even the blobs of a partial clone
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        if self.index:
            env["GIT_INDEX_FILE"] = str(self.index)
        if self.work:
            env["GIT_WORK_TREE"] = str(self.work)
        # When we are started from a git hook, its GIT_* variables must not reach our commands.
        foreign = sorted(
            name
            for name in os.environ
            if name.startswith("GIT_") and not name.startswith("GIT_SSL_") and name not in env
        )
        drop = [word for name in foreign for word in ("-u", name)]
        return (*(("env", *drop) if drop else ()), "git", *words), env

    def text(self, *words: str | Path, timeout: float = 300) -> str:
        """The output of a command that must succeed."""
        return self.run(*words, timeout=timeout).output

    def id(self, *words: str | Path, env: Mapping[str, str] | None = None, timeout: float = 300) -> str:
        """The object id that a command prints. Raises InfraError when it prints none."""
        output = self.run(*words, env=env, timeout=timeout).output
        found = _ID.findall(output)
        if not found:
            raise InfraError(f"git {words[0]} printed no object id: {output.strip()[-300:]}", "see the command log")
        return str(found[-1])

    def blob(self, name: str) -> bytes | None:
        """The content of a blob, e.g. ``:path`` in the index; None if there is no such blob."""
        argv, env = self.command("cat-file", "blob", name)
        with tempfile.TemporaryDirectory(prefix="kph-blob-") as scratch:
            file = Path(scratch) / "content"
            done = self.door.run(argv, env=env, timeout=60, output=file, check=False)
            return file.read_bytes() if done.status == 0 else None

    def commit(self, revision: str) -> str | None:
        """The commit that ``revision`` names here; None if it names none."""
        if revision.startswith("-"):
            return None
        done = self.run("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}", check=False)
        found = _ID.findall(done.output)
        return str(found[-1]) if done.status == 0 and found else None

    def commit_tree(self, tree: str, parent: str | None, message: str, author: str = IDENTITY) -> str:
        """A commit of ``tree`` whose id depends on nothing but the arguments."""
        name, _, mail = re.sub(r"[>\n]", "", author).rpartition(" <")
        name, mail = name.replace("<", "").strip(), mail.replace("<", "").strip()
        env = {"GIT_AUTHOR_NAME": name or mail or "unknown", "GIT_AUTHOR_EMAIL": mail or "unknown"}
        env |= {"GIT_COMMITTER_NAME": "kph", "GIT_COMMITTER_EMAIL": "kph@localhost"}
        env |= {"GIT_AUTHOR_DATE": WHEN, "GIT_COMMITTER_DATE": WHEN}
        parents = ("-p", parent) if parent else ()
        return self.id("commit-tree", *parents, "-m", message, tree, env=env)
