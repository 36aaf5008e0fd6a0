"""kph gc: what goes, and that nothing goes which is in use, or not ours."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import inuse
from harness.cache import Cache
from harness.campaign import gc, logs, rooms
from harness.campaign.gc import Policy, Report
from harness.cli.main import main
from harness.errors import InfraError, UserError
from harness.report.nightly.logs import read

DAY = 86400.0


def _aged(path: Path, days: float) -> Path:
    """``path`` and all below it, last used that long ago."""
    moment = time.time() - days * DAY
    for each in (*path.rglob("*"), path) if path.is_dir() else (path,):
        os.utime(each, (moment, moment), follow_symlinks=False)
    return path


@dataclass(frozen=True)
class House:
    """A cache and a state directory, made by hand."""

    cache: Path
    state: Path

    def entry(self, name: str, days: float, size: int = 1 << 16) -> Path:
        folder = self.cache / name
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(os.urandom(size))
        return _aged(folder, days)

    def file(self, name: str, days: float) -> Path:
        file = self.cache / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"{}")
        return _aged(file, days)

    def run(self, days: float, kind: str = "runs", name: str = "x86_64-vtd-abc", mark: str = ".in-use") -> Path:
        folder = self.state / kind / f"20261101-0200{len(list(self.state.glob('*/*'))):02}-{name}"
        (folder / "base" / "boot-1").mkdir(parents=True)
        (folder / mark).touch()
        (folder / "base" / "boot-1" / "console.log").write_bytes(b"[    0.000000] Linux version\r\n" * 4000)
        (folder / "report.json").write_text("{}")
        return _aged(folder, days)

    def slot(self, name: str, outs: dict[str, float]) -> Path:
        folder = self.cache / "slots" / name
        (folder / "work").mkdir(parents=True)
        (folder / "work" / "Makefile").touch()
        (folder / "work.index").touch()
        _aged(folder, max(outs.values()))
        for out, days in outs.items():
            (folder / out).mkdir()
            (folder / out / "vmlinux").write_bytes(os.urandom(1 << 16))
            (folder / out / ".kph-built").touch()
            _aged(folder / out, days)
        os.utime(folder, (time.time() - min(outs.values()) * DAY,) * 2)
        return folder

    def collect(self, days: float | None = None, gib: float | None = None, **more: bool) -> Report:
        return gc.collect(self.cache, self.state, Policy(days, gib, more.pop("compress", True)), **more)


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "cache", tmp_path / "state")
    with inuse.run(made.cache):
        pass
    return made


@contextmanager
def _elsewhere(code: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """``code`` in another process, which holds what it took until it is told to end."""
    begin = "import sys; from pathlib import Path; from harness import inuse; from harness.cache import Cache\n"
    argv = [sys.executable, "-c", begin + code, *map(str, words)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


_HOLD = "print('ready', flush=True); sys.stdin.read()"
_RUN = f"""
with inuse.run(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None):
    {_HOLD}
"""
_LOCK = f"""
with Cache(Path(sys.argv[1])).lock(sys.argv[2]):
    {_HOLD}
"""


# --- what goes ----------------------------------------------------------------------
def test_what_was_not_used_for_long_goes_and_the_rest_stays(house: House) -> None:
    rooms_ = (
        "kernels/k",
        "modules/g/m",
        "programs/g/p",
        "libraries/l",
        "agents/a",
        "ssh-roots/s",
        "qemu/q",
        "trees/t.git",
    )
    old = [house.entry(f"{name}-old", 31) for name in rooms_]
    new = [house.entry(f"{name}-new", 29) for name in rooms_]
    old += [house.file("results/old.json", 31), house.file("applied/old", 31), house.file("downloads/old.tar", 31)]
    new += [
        house.file("results/new.json", 29),
        house.file("results/seconds-sva.json", 99),
        house.file("locks/x.lock", 99),
    ]
    new += [house.file("accel/a.json", 99), house.entry("ccache/0", 99), house.entry("stranger", 99)]
    old += [house.run(31), house.run(40, mark="request.json"), house.run(31, "bisections", mark="journal.jsonl")]
    new += [house.run(29)]
    report = house.collect(30)
    assert not any(path.exists() for path in old) and all(path.exists() for path in new)
    assert {each.path for each in report.freed if not each.compressed} == set(old) and not report.kept
    assert all(each.bytes > 0 for each in report.freed)
    assert not list(house.cache.rglob(".gc-*")) and not list(house.state.rglob(".gc-*"))


def test_a_dry_run_says_the_same_and_touches_nothing(house: House) -> None:
    house.entry("kernels/old", 31)
    house.slot("tree", {"out-a": 50, "out-b": 5})
    house.run(40)
    house.run(3)
    before = {path: path.stat().st_mtime_ns for path in (*house.cache.rglob("*"), *house.state.rglob("*"))}
    told = house.collect(30, dry_run=True)
    for path, moment in before.items():
        assert path.stat().st_mtime_ns == moment, path
    done = house.collect(30)
    assert [(each.path, each.compressed) for each in told.freed] == [
        (each.path, each.compressed) for each in done.freed
    ]
    assert [each.bytes for each in told.freed if not each.compressed] == [
        each.bytes for each in done.freed if not each.compressed
    ]


def test_the_oldest_goes_first_until_the_rest_fits(house: House) -> None:
    entries = [house.entry(f"kernels/{days:02}", days, 4 << 20) for days in range(1, 9)]
    run = house.run(4.5)
    report = house.collect(gib=18 / 1024)
    assert [path.exists() for path in entries] == [True] * 4 + [False] * 4
    assert run.exists() and report.left is not None and 16 << 20 < report.left < 18 << 20 and not report.over


def test_what_cannot_be_made_to_fit_is_said(house: House) -> None:
    house.entry("ccache/0", 99, 4 << 20)
    fresh = house.entry("kernels/fresh", 0.01)
    report = house.collect(gib=0.001)
    assert report.over and report.left and report.left > 4 << 20 and fresh.exists()
    assert (fresh, "used within the last hour") in report.kept


def test_outputs_of_a_slot_go_one_by_one_and_the_work_tree_with_the_last(house: House) -> None:
    slot = house.slot("debian-7.3", {"out-x86_64-base": 40, "out-aarch64-base": 5})
    house.collect(30)
    assert not (slot / "out-x86_64-base").exists() and (slot / "out-aarch64-base").exists()
    assert (slot / "work" / "Makefile").exists()
    house.collect(4)
    assert not slot.exists(), "that an output was removed is no use of the slot"


def test_what_killed_builds_left_goes_after_a_day(house: House) -> None:
    scratch = house.entry("kernels/.key.abcdef", 1.1)
    young = house.entry("kernels/.key.ghijkl", 0.5)
    trash = house.entry("kernels/.gc-1-key", 0)
    apply = house.entry("trees/apply-x", 2)
    house.collect(None)
    assert not scratch.exists() and young.exists() and not trash.exists() and not apply.exists()


def test_links_to_modules_that_are_gone_go_with_them(house: House) -> None:
    old, new = house.entry("modules/g/old", 31), house.entry("modules/g/new", 1)
    for target in (old, new):
        (target.parent / f"for-{target.name}").symlink_to(target.name)
    house.collect(30)
    assert sorted(path.name for path in old.parent.iterdir()) == ["for-new", "new"]


# --- what is in use -------------------------------------------------------------------
def test_what_a_run_has_found_stays_and_the_rest_goes(house: House) -> None:
    found, other = house.entry("kernels/found", 31), house.entry("kernels/other", 31)
    code = _RUN.replace(_HOLD, f"assert inuse.mark(Path(sys.argv[1]), Path(sys.argv[3])); {_HOLD}")
    with _elsewhere(code, house.cache, house.state / "runs" / "20261101-020000-x", found):
        report = house.collect(0, compress=False)
        assert found.exists() and not other.exists()
        assert (found, "in use: a run that goes on may have found it") in report.kept
    _aged(found, 31)
    house.collect(0)
    assert not found.exists(), "the run is dead, and holds nothing any more"
    assert not list((house.cache / "in-use").glob("run-*"))


def test_what_a_run_has_made_stays_however_small_the_budget(house: House) -> None:
    with _elsewhere(_RUN, house.cache):
        made = house.entry("kernels/made", 0)
        house.collect(0, 0)
        assert made.exists()


def test_the_folder_of_a_run_that_goes_on_stays_as_it_is(house: House) -> None:
    folder, other = house.run(31), house.run(31)
    with _elsewhere(_RUN, house.cache, folder):
        _aged(folder, 31)  # it writes below, where nobody looks
        report = house.collect(0)
        assert folder.exists() and not other.exists() and (folder, "in use: its run goes on") in report.kept
        assert (folder / "base/boot-1/console.log").exists(), "not compressed under its hands"


def test_evidence_that_a_run_tells_of_stays(house: House) -> None:
    folder = house.run(31)
    code = _RUN.replace(_HOLD, f"inuse.mark_run(Path(sys.argv[1]), Path(sys.argv[3])); {_HOLD}")
    with _elsewhere(code, house.cache, house.state / "runs" / "20261101-020000-x", folder / "base" / "boot-1"):
        house.collect(0)
        assert folder.exists()


@pytest.mark.parametrize(
    ("path", "lock"),
    [
        ("slots/debian-7.3/out-a", "slot-debian-7.3"),
        ("results/abc.json", "results-abc"),
        ("trees/debian-7.3.4-1.git", "trees-debian-7.3.4-1"),
        ("trees/git-abc.git", "trees-git-abc.git"),
        ("qemu/key", "qemu"),
        ("downloads/qemu.tar", "qemu"),
        ("ssh-roots/key", "ssh-root"),
    ],
)
def test_what_is_being_built_under_its_lock_stays(house: House, path: str, lock: str) -> None:
    entry = house.entry(path, 31)
    if path.startswith("slots"):
        _aged(entry.parent, 31)
    with _elsewhere(_LOCK, house.cache, lock):
        report = house.collect(0)
        assert entry.exists() and any("holds its lock" in why for _, why in report.kept)
    house.collect(0)
    assert not entry.exists()


def test_the_locks_are_those_of_the_builders(tmp_path: Path) -> None:
    """The names above, as the harness takes them."""
    source = "".join(file.read_text() for file in Path(gc.__file__).parents[1].rglob("*.py"))
    wanted = ('f"slot-{tree.lineage}"', 'f"results-{self._key}"', 'f"trees-{name}"', 'f"trees-{entry.name}"')
    for name in (*wanted, 'f"trees-{folder.name}"', '"qemu"', '"ssh-root"'):
        assert f"lock({name}" in source


def test_a_bisection_that_goes_on_stays(house: House) -> None:
    folder = house.run(31, "bisections", mark="journal.jsonl")
    (folder / ".lock").touch()
    _aged(folder, 31)
    code = f"from filelock import FileLock\nwith FileLock(sys.argv[1]):\n    {_HOLD}"
    with _elsewhere(code, folder / ".lock"):
        assert house.collect(0).kept == [(folder, "in use: a run holds its lock")]
    house.collect(0)
    assert not folder.exists()


def test_a_mark_and_a_removal_do_not_overlap(house: House) -> None:
    """What mark() has found is there afterwards, while a gc goes by."""
    code = """
print('ready', flush=True)
with inuse.run(Path(sys.argv[1])):
    found = [Path(sys.argv[1], 'kernels', str(number)) for number in range(300)]
    there = [path for path in found if inuse.mark(Path(sys.argv[1]), path)]
    sys.stdin.readline()
    print(len(there), all(path.exists() for path in there), flush=True)
    sys.stdin.read()
"""
    for number in range(300):
        (house.cache / "kernels" / str(number)).mkdir(parents=True)
    _aged(house.cache / "kernels", 31)
    with _elsewhere(code, house.cache) as child:
        house.collect(30)
        assert child.stdin and child.stdout
        child.stdin.write("\n")
        child.stdin.flush()
        found, whole = child.stdout.readline().split()
        assert whole == "True"
        assert len(list((house.cache / "kernels").iterdir())) >= int(found)


def test_two_at_a_time(house: House) -> None:
    with _elsewhere(_LOCK, house.cache, "gc"), pytest.raises(InfraError, match="another kph gc"):
        house.collect(30)


# --- what is not ours -----------------------------------------------------------------
def test_a_folder_that_no_run_has_marked_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path / "cache", tmp_path / "state")
    entry = house.entry("kernels/old", 31)
    with pytest.raises(UserError, match=r"CACHEDIR\.TAG is missing"):
        house.collect(30)
    (house.cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# of somebody else\n")
    with pytest.raises(UserError):
        house.collect(30)
    assert entry.exists()
    assert House(tmp_path / "none", tmp_path / "state").collect(30) == Report()


def test_folders_of_evidence_that_are_not_runs_stay(house: House, tmp_path: Path) -> None:
    notes = house.run(31, name="my-notes", mark="notes.txt")
    named = _aged(house.run(31).rename(house.state / "runs" / "keep-this"), 31)
    outside = house.entry("../elsewhere", 31)
    link = house.state / "runs" / "20261101-020000-link"
    link.symlink_to(outside)
    inside = house.cache / "kernels" / "link"
    inside.parent.mkdir()
    inside.symlink_to(outside)
    house.collect(0)
    assert (
        notes.exists() and named.exists() and link.is_symlink() and (outside / "data").exists() and inside.is_symlink()
    )


def test_a_removal_does_not_follow_links_out_of_a_folder(house: House, tmp_path: Path) -> None:
    outside = house.entry("../elsewhere", 0)
    run = house.run(31)
    (run / "link").symlink_to(outside)
    _aged(run, 31)
    house.collect(0)
    assert not run.exists() and (outside / "data").exists()


def test_a_folder_without_permissions_goes(house: House) -> None:
    run = house.run(31)
    (run / "base").chmod(0o500)
    house.collect(30)
    assert not run.exists()


# --- logs ----------------------------------------------------------------------------------
def test_logs_of_runs_older_than_a_day_are_compressed_and_can_be_read(house: House) -> None:
    old, young = house.run(2), house.run(0.5)
    log = old / "base/boot-1/console.log"
    (log.with_name("protocol.log")).write_bytes(b"small")
    _aged(old, 2)
    raw, moment = log.read_bytes(), log.stat().st_mtime_ns
    report = house.collect(None)
    packed = log.with_name("console.log.gz")
    assert not log.exists() and gzip.decompress(packed.read_bytes()) == raw and read(log) == raw
    assert packed.stat().st_mtime_ns == moment and (young / "base/boot-1/console.log").exists()
    assert log.with_name("protocol.log").exists(), "too small to gain anything"
    assert [(each.path, each.compressed) for each in report.freed] == [(old, True)]
    assert report.freed[0].bytes > 100_000
    assert rooms.units(house.cache, house.state)[0].used < time.time() - 1.9 * DAY, "that was no use of the run"
    assert house.collect(None).freed == [], "nothing is left to do"


def test_a_full_disk_keeps_logs_whole_and_does_not_keep_gc_from_removing(house: House) -> None:
    """As if it were full: no file may grow beyond a few bytes, as with ENOSPC the write fails."""
    gone, kept = house.run(31), house.run(2)
    log = kept / "base/boot-1/console.log"
    log.write_bytes(os.urandom(100_000))
    _aged(kept, 2)
    raw = log.read_bytes()
    code = """
import resource
from harness.campaign import gc
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
report = gc.collect(Path(sys.argv[1]), Path(sys.argv[2]), gc.Policy(30))
print('ready', flush=True)
print([why for _, why in report.kept], flush=True)
"""
    with _elsewhere(code, house.cache, house.state) as child:
        assert child.stdout and child.stdout.readline() == "['not compressed: File too large']\n"
    assert not gone.exists() and log.read_bytes() == raw
    assert sorted(path.name for path in log.parent.iterdir()) == ["console.log"], "nothing half done"


def test_a_run_cannot_begin_on_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InfraError), inuse.run(file / "cache"):
        pass


def test_errors_of_the_run_itself_are_not_those_of_the_cache(house: House) -> None:
    for error in (FileNotFoundError("x"), BlockingIOError("x"), OSError(28, "full")):
        with pytest.raises(type(error)), inuse.run(house.cache, house.state / "run"):
            raise error
        with pytest.raises(type(error)), inuse.alone(house.state / "run"):
            raise error
    assert not list((house.cache / "in-use").glob("run-*"))


def test_logs_that_are_compressed_are_those_of_guests_and_builds() -> None:
    assert (
        "console.log" in logs.PATTERNS and "commands.log" not in logs.PATTERNS and "git-bisect.log" not in logs.PATTERNS
    )


# --- the command ---------------------------------------------------------------------------
def test_the_command(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
    mine = House(Cache.default().root, tmp_path / "xdg-state" / "kph")
    with inuse.run(mine.cache):
        pass
    old, run = mine.entry("kernels/old", 31), mine.run(2)
    assert main(["gc", "--dry-run"]) == 0 and old.exists()
    assert "1 kernels would be removed" in capsys.readouterr().out
    assert main(["gc", "-v"]) == 0 and not old.exists() and run.exists()
    said = capsys.readouterr().out
    assert f"MiB  {old}" in said and "logs of 1 runs compressed" in said
    mine.entry("kernels/fresh", 0)
    assert main(["gc", "--keep-gib", "0"]) == 1, "what was used a moment ago stays"
    assert "more than the 0 GiB asked for" in capsys.readouterr().out and not run.exists()
    for wrong in ("-1", "nan", "x"):
        with pytest.raises(SystemExit):
            main(["gc", "--keep-days", wrong])
