"""Packages from the Debian archive that the machine's own apt uses, without touching that apt's state.

Address, key, proxy and credentials are the machine's (apt.conf(5), sources.list(5),
apt_auth.conf(5)); suites, package lists, downloads and the list of installed
packages (none) are ours, under the cache.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.apt_output import Offer, as_argument, no_network, offers, upstream, uris, why
from harness.apt_sources import Archive, debian_archive, parse_deb822, parse_list
from harness.cache import Cache, digest, write_whole
from harness.errors import InfraError
from harness.proc import Door

SUITES = ("sid", "trixie-backports")  # where Debian's newest kernels are
_DAY = 86400.0  # seconds
_FRESH = 600.0  # seconds: lists younger than this are not fetched again because a name is not in them


@dataclass(frozen=True)
class _State:
    """A set of package lists: one folder of the cache."""

    folder: Path
    config: Path  # our apt.conf, read last
    name: str  # for the lock
    suites: tuple[str, ...]

    @property
    def stamp(self) -> Path:
        """Its modification time tells when the lists were last fetched."""
        return self.folder / "refreshed"

    def age(self) -> float:
        """Seconds since the lists were fetched; infinite when they never were."""
        return time.time() - self.stamp.stat().st_mtime if self.stamp.exists() else float("inf")


def _silent(_text: str) -> None:
    return None


@dataclass(frozen=True)
class PrivateApt:
    """Downloads from the machine's Debian archive.

    Every method raises InfraError: no apt, no Debian archive configured, no
    network, a key that is missing, a package that the suites do not have.
    """

    cache: Cache
    door: Door
    say: Callable[[str], None] = _silent  # receives one sentence per slow or doubtful step

    def offers(
        self, package: str, suites: Sequence[str] = SUITES, arch: str | None = None, *, source: bool = False
    ) -> tuple[Offer, ...]:
        """The versions of ``package`` in ``suites``, highest first; empty when there is none.

        Lists older than a day are fetched again, and younger ones once when the
        package is not in them. ``arch`` is a Debian architecture (default: the
        machine's); ``source`` asks for source packages.
        """
        state = self._state(suites, arch, source)
        with self.cache.lock(state.name, self.say):
            self._refresh(state, _DAY)
            found = self._madison(state, package)
            if not found and state.age() > _FRESH:
                self._refresh(state, _FRESH)
                found = self._madison(state, package)
        return found

    def names(self, prefix: str, suites: Sequence[str] = SUITES, arch: str | None = None) -> tuple[str, ...]:
        """The package names that start with ``prefix``, sorted."""
        state = self._state(suites, arch, source=False)
        with self.cache.lock(state.name, self.say):
            self._refresh(state, _DAY)
            return tuple(sorted(self._apt(state, "apt-cache", "pkgnames", prefix, timeout=60).split()))

    def download(
        self, package: str, suites: Sequence[str] = SUITES, arch: str | None = None, version: str = ""
    ) -> Path:
        """The .deb of ``package`` in the cache: the highest version, or exactly ``version``."""
        offers = self.offers(package, suites, arch)
        chosen = next((offer for offer in offers if version in ("", offer.version)), None)
        if chosen is None:
            raise self._unknown(package, version, suites, offers)
        state = self._state(suites, arch, source=False)
        wanted = f"{package}={chosen.version}"
        name, size = self._named(self._apt(state, "apt-get", "download", "--print-uris", wanted, timeout=60), wanted)
        store = self.cache.room("apt", "debs")
        if not (store / name).is_file():
            self.cache.need_space(size / 2**30 + 0.1, f"{name}")
            self.say(f"fetching {name} ({size / 2**20:.0f} MiB)")
            self._fetch_debs(state, (wanted,))
        return store / name

    def download_closure(
        self, packages: Sequence[str], suites: Sequence[str], arch: str | None = None
    ) -> tuple[Path, ...]:
        """The .debs of ``packages`` and of everything they depend on, on a system that has nothing installed."""
        state = self._state(suites, arch, source=False)
        for package in packages:
            if not self.offers(package, suites, arch):
                raise self._unknown(package, "", suites, ())
        install = ("install", "--yes", "--no-install-recommends", "--download-only", *packages)
        listing = self._apt(state, "apt-get", "--print-uris", *install, timeout=120)
        files = uris(listing)
        store = self.cache.room("apt", "debs")
        missing = [(name, size) for name, size in files if not (store / name).is_file()]
        if missing:
            total = sum(size for _, size in missing)
            self.cache.need_space(total / 2**30 + 0.1, "the download")
            self.say(f"fetching {len(missing)} packages ({total / 2**20:.0f} MiB)")
            self._fetch_debs(state, [as_argument(name) for name, _ in missing])
        return tuple(store / name for name, _ in files)

    def source(self, package: str, version: str = "", suites: Sequence[str] = ("sid",)) -> Path:
        """A folder of the cache with the .dsc and the tarballs of a source package.

        ``version`` is a Debian version, an upstream version (the highest
        Debian revision of it is taken), or empty for the highest.
        """
        offers = self.offers(package, suites, source=True)
        chosen = next((offer for offer in offers if version in ("", offer.version, upstream(offer.version))), None)
        if chosen is None:
            raise self._unknown(f"the source package {package}", version, suites, offers)
        entry = self.cache.room("apt", "sources") / f"{package}_{chosen.version}".replace(":", "%3a")
        if not entry.is_dir():
            state = self._state(suites, None, source=True)
            self.say(f"fetching the source package {package} {chosen.version}")
            words = ("source", "--download-only", "--only-source", f"{package}={chosen.version}")
            with self.cache.build(entry) as scratch:
                self._fetch(state, words, scratch)
        return entry

    def extract(self, deb: Path, into: Path) -> None:
        """Unpack the files of ``deb`` into the folder ``into``. Raises InfraError (dpkg-deb missing, bad file)."""
        into.mkdir(parents=True, exist_ok=True)
        self.door.run(("dpkg-deb", "--extract", deb, into), timeout=600)

    # --- the machine's configuration ---------------------------------------
    def archive(self) -> Archive:
        """The machine's Debian archive."""
        if shutil.which("apt-get") is None or shutil.which("apt-config") is None:
            raise InfraError("there is no apt on this machine", _ELSEWHERE)
        shell = self.door.run(
            ("apt-config", "shell", "LIST", "Dir::Etc::SourceList/f", "PARTS", "Dir::Etc::SourceParts/d"), timeout=30
        ).output
        where = dict(word.split("=", 1) for word in shlex.split(shell) if "=" in word)
        parts = Path(where.get("PARTS", "/nonexistent"))
        files = [Path(where.get("LIST", "/nonexistent"))]
        files += sorted(parts.iterdir()) if parts.is_dir() else []
        found: list[Archive] = []
        for file in files:
            parse = {".list": parse_list, ".sources": parse_deb822}.get(file.suffix)
            if parse and file.is_file():
                found += parse(file.read_text(errors="replace"))
        archive = debian_archive(found, _codename())
        if archive is None:
            raise InfraError("apt on this machine has no Debian archive in its sources", _ELSEWHERE)
        return archive

    def _state(self, suites: Sequence[str], arch: str | None, source: bool) -> _State:
        archive = self.archive()
        machine = self.door.run(("dpkg", "--print-architecture"), timeout=30).output.strip()
        stanza = archive.stanza("deb-src" if source else "deb", suites, ("main",))
        folder = self.cache.room("apt", "state", digest(stanza, arch or machine))
        config = folder / "apt.conf"
        text = _config(folder, arch or machine)
        if not config.is_file() or config.read_text() != text:
            for name in ("lists/partial", "cache/archives/partial"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            write_whole(folder / "archive.sources", stanza.encode())
            write_whole(folder / "preferences", b"Package: *\nPin: release *\nPin-Priority: 500\n")
            write_whole(folder / "status", b"")
            write_whole(config, text.encode())  # last: its presence says that the folder is complete
        return _State(folder, config, f"apt-{folder.name}", tuple(suites))

    # --- running apt --------------------------------------------------------
    def _refresh(self, state: _State, older_than: float) -> None:
        if state.age() <= older_than:
            return
        done = self.door.run(("apt-get", "-c", state.config, "update"), timeout=600, env={"LC_ALL": "C"}, check=False)
        if done.status == 0:
            state.stamp.touch()
            return
        message, hint = why(done.output)
        if not any("Packages" in file.name or "Sources" in file.name for file in (state.folder / "lists").iterdir()):
            raise InfraError(f"the package lists of {', '.join(state.suites)} cannot be fetched: {message}", hint)
        age = state.age()
        if not no_network(done.output):
            state.stamp.touch()  # a suite that is gone stays gone: do not ask again at every call
        known = f"those of {age / 3600:.0f} hours ago" if age < float("inf") else "what could be fetched"
        self.say(f"the package lists cannot be brought up to date ({message}); using {known}")

    def _madison(self, state: _State, package: str) -> tuple[Offer, ...]:
        """What the lists say; asked once for as long as they are the same."""
        kept = state.folder / f"madison-{package}"
        if kept.exists() and state.stamp.exists() and kept.stat().st_mtime_ns > state.stamp.stat().st_mtime_ns:
            return offers(kept.read_text(), package)
        said = self._apt(state, "apt-cache", "madison", package, timeout=60, check=False)
        found = offers(said, package)
        if found:
            write_whole(kept, said.encode())
        return found

    def _apt(self, state: _State, program: str, *words: str, timeout: float, check: bool = True) -> str:
        argv = (program, "-q", "-q", "-c", str(state.config), *words)
        done = self.door.run(argv, timeout=timeout, env={"LC_ALL": "C"}, check=False)
        if check and done.status != 0:
            raise InfraError(f"{program} {' '.join(words)}: {why(done.output)[0]}", why(done.output)[1])
        return done.output

    def _fetch(self, state: _State, words: Sequence[str], scratch: Path) -> None:
        """Run ``apt-get words``, which writes to the folder ``scratch``."""
        argv = ("apt-get", "-q", "-q", "-c", str(state.config), *words)
        done = self.door.run(argv, timeout=3600, cwd=scratch, env={"LC_ALL": "C"}, check=False)
        if done.status != 0:
            message, hint = why(done.output)
            raise InfraError(f"the download failed: {message}", hint)

    def _fetch_debs(self, state: _State, wanted: Sequence[str]) -> Path:
        """The folder that holds every .deb once fetched; a file there is whole."""
        store = self.cache.room("apt", "debs")
        with tempfile.TemporaryDirectory(prefix=".fetch.", dir=store) as scratch:
            self._fetch(state, ("download", *wanted), Path(scratch))
            for file in Path(scratch).glob("*.deb"):
                file.replace(store / file.name)
        return store

    def _named(self, listing: str, wanted: str) -> tuple[str, int]:
        files = uris(listing)
        if not files:
            raise InfraError(f"apt does not say where {wanted} is:\n{listing}", "run the same with a fresh cache")
        return files[0]

    def _unknown(self, package: str, version: str, suites: Sequence[str], offers: Sequence[Offer]) -> InfraError:
        have = ", ".join(offer.version for offer in offers)
        what = f"{package} {version}".strip()
        hint = f"there is {have}" if have else "check the name, and that the machine's archive has these suites"
        return InfraError(f"{what} is not in {', '.join(suites)} of the machine's Debian archive", hint)


_ELSEWHERE = "give a git checkout, a directory or a tarball instead of debian:..., or run on a Debian machine"


def _codename() -> str:
    release = Path("/etc/os-release")
    text = release.read_text(errors="replace") if release.is_file() else ""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return values.get("VERSION_CODENAME", "").strip('"') if values.get("ID", "").strip('"') == "debian" else ""


def _config(folder: Path, arch: str) -> str:
    """An apt.conf that turns everything that apt writes towards ``folder``; read last, so that #clear works."""
    values = {
        "Dir::Etc::SourceList": folder / "archive.sources",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": folder / "preferences",  # one priority for all suites: the highest version wins
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": folder,
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Cache::archives": folder / "cache/archives",
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "",
        "APT::Architecture": arch,
        "APT::Sandbox::User": "root",  # else root's apt warns that _apt cannot write to the cache
        "APT::Update::Error-Mode": "any",  # else a failed download is only a warning
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    hooks = ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success", "Post-Invoke-Stats")
    clears = [f"APT::Update::{hook}" for hook in hooks]
    # The machine's default release is none of ours: apt would refuse it.
    clears += ["APT::Default-Release", "APT::Architectures", "DPkg::Pre-Invoke", "DPkg::Post-Invoke"]
    lines = [f"#clear {name};" for name in clears]
    lines += [f'{name} "{value}";' for name, value in values.items()]
    lines.append(f'APT::Architectures {{ "{arch}"; }};')
    return "\n".join(lines) + "\n"
