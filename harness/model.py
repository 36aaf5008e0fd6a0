"""The values that pass between rooms. Frozen, every field commented, tuples for sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


# --- source -----------------------------------------------------------------
@dataclass(frozen=True)
class Tree:
    """A kernel source tree, held as a commit in a repository of our own."""

    spec: str  # what the user asked for: a path, or debian:7.3
    repo: Path  # git directory in our cache that has the commit (never the user's own)
    commit: str  # full commit id
    content: str  # git tree id of the commit: equal content, equal id
    version: str  # kernel version from the top Makefile, e.g. 7.3.4
    lineage: str  # e.g. linux-7.3; trees that share it build well incrementally on each other


@dataclass(frozen=True)
class Patch:
    """One patch of a series."""

    number: int  # 1-based place in the order of application, over all series of the run
    subject: str  # without [PATCH ...] prefix
    author: str  # Name <mail>
    diff: bytes  # what git apply takes
    files: tuple[str, ...]  # paths it touches, relative to the tree
    origin: str  # where it was read: file, mail or commit
    strip: int = 1  # leading path components that git apply removes (its -p)


@dataclass(frozen=True)
class Series:
    """Ordered patches; several --series of one run are one Series."""

    specs: tuple[str, ...]  # as given
    title: str  # subject of the cover letter, or of the first patch
    patches: tuple[Patch, ...]
    base_commit: str = ""  # commit that the author worked on, if the series says so


# --- build ------------------------------------------------------------------
@dataclass(frozen=True)
class Kernel:
    """A built kernel in the artifact store."""

    key: str  # content key
    folder: Path  # holds every file below
    image: Path  # what QEMU boots
    symbols: Path  # System.map
    config: Path  # the .config it was built from
    release: str  # kernel release string; the same for all kernels of a version
    seconds: float  # what the build took when it was built
    build_id: str = ""  # GNU build id in hexadecimal, which tells the running kernel from every other
    identity: str = ""  # digest of the boot image: equal identity, the very same kernel, whatever its sources


@dataclass(frozen=True)
class Module:
    """A suite's test module, built against one kernel."""

    key: str
    files: tuple[Path, ...]  # .ko files in load order
    identity: str = ""  # digest of their content

    @property
    def folders(self) -> frozenset[Path]:
        """Where the files are."""
        return frozenset(file.parent for file in self.files)


@dataclass(frozen=True)
class Programs:
    """Programs of the tree, built for the guest."""

    files: tuple[Path, ...]
    identity: str  # digest of their content


@dataclass(frozen=True)
class Guest:
    """What a VM boots."""

    kernel: Kernel
    initrd: Path  # initramfs image with agent, modules and programs
    ssh: SshKeys | None  # keys of the SSH root file system; None for serial


@dataclass(frozen=True)
class SshKeys:
    """Keys made for one run."""

    client: Path  # private key of the harness, OpenSSH format
    host_public: str  # the guest's host key as a known_hosts value: "ssh-ed25519 AAAA..."
    host_private: Path | None = None  # the guest's private host key, in the format of its SSH server


@dataclass(frozen=True)
class Qemu:
    """A QEMU installation that has our devices."""

    folder: Path  # prefix: bin/ and share/qemu below it
    version: str  # as the binary says it
    key: str  # content key of our build; "user" for --qemu


# --- scenario ---------------------------------------------------------------
class Status(StrEnum):
    """How a scenario ended on one kernel."""

    PASS = "pass"
    FAIL = "fail"  # an expectation did not hold
    SKIP = "skip"  # a capability is missing; the reason says which
    CRASH = "crash"  # the guest panicked, oopsed or died while it ran
    HANG = "hang"  # a step did not answer in time
    ERROR = "error"  # the harness or host failed: no evidence either way


class SplatKind(StrEnum):
    """What the kernel complained of on its console."""

    PANIC = "panic"
    OOPS = "oops"
    BUG = "bug"
    WARN = "warn"
    KASAN = "kasan"
    UBSAN = "ubsan"
    LOCKDEP = "lockdep"
    RCU_STALL = "rcu-stall"
    SOFT_LOCKUP = "soft-lockup"
    HUNG_TASK = "hung-task"
    REFCOUNT = "refcount"
    LIST_CORRUPTION = "list-corruption"
    ATOMIC_SLEEP = "atomic-sleep"
    SLAB = "slab"
    DEBUG_OBJECTS = "debug-objects"  # an object that is in use was freed or started again
    LEAK = "leak"  # memory that nothing points to any more


@dataclass(frozen=True)
class Place:
    """Where a frame of a splat is in the source."""

    frame: str  # as the console has it: function+0x12/0x34 [module]
    function: str  # the frame's own, or one that the compiler inlined into it
    file: str  # relative to the tree; the bare name for a file of the test module
    line: int


@dataclass(frozen=True)
class Splat:
    """One complaint of the kernel, normalised so that two runs can be compared."""

    kind: SplatKind
    title: str  # addresses, numbers, pids and task names removed: equal bug, equal title
    frames: tuple[str, ...]  # functions of the call trace, innermost first, guesses ("?") dropped
    text: tuple[str, ...]  # the console lines themselves, bounded
    line: int  # 1-based line of the console where it starts
    corrupted: bool = False  # the report is cut or interleaved: title may be wrong
    # of the frames in text, in its order, inlined functions before those they are in; empty without line numbers
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Pattern:
    """Splats that somebody knows of."""

    title: str  # of the splat, with wildcards
    reason: str  # why it does not count
    kind: str = ""  # of the splat; empty: any
    target: str = ""  # name of the target, with wildcards; empty: any
    link: str = ""  # where it is told
    until: str = ""  # date (2027-01-31) after which, or kernel version (7.4) from which on it counts again
    origin: str = ""  # file and line


@dataclass(frozen=True)
class Known:
    """A splat that does not count, and why."""

    splat: Splat
    pattern: Pattern


@dataclass(frozen=True)
class IommuFault:
    """A DMA fault, from the console or from the emulated IOMMU's own trace."""

    device: str  # PCI address without domain, e.g. 00:04.0
    address: int  # faulting virtual address
    reason: str  # fault reason in hex, or the event's name
    pasid: int | None  # None: the request had none, or it is not known
    write: bool


@dataclass(frozen=True)
class StepResult:
    """One step as it went."""

    index: str  # "3", or "3.2.1" inside repeat blocks
    text: str  # the step in one line
    ok: bool
    expected: str  # empty when it held
    got: str
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What a scenario found out that is worth telling, whether it passed or not."""

    what: str  # as the scenario calls it
    values: tuple[tuple[str, str | int | bool], ...]  # name and value, in the order in which they came


@dataclass(frozen=True)
class Outcome:
    """One scenario on one kernel."""

    scenario: str  # id: file name without suffix
    status: Status
    reason: str  # one line; empty for a plain pass
    seconds: float
    steps: tuple[StepResult, ...] = ()
    splats: tuple[Splat, ...] = ()
    faults: tuple[IommuFault, ...] = ()
    advice: tuple[str, ...] = ()  # expectations that are our choice and did not hold
    evidence: Path | None = None  # folder in the run directory
    began: bool = True  # its first step was reached; a failure before it tells of both kernels alike
    earlier: Path | None = None  # directory of the earlier run that measured it; None: this run did
    lacking: str = ""  # failed for want of this, as the scenario is there to show; says nothing against a tree alone
    started: float = 0.0  # seconds since the start of the run; 0 when it did not run
    worker: str = ""  # lane it ran on, e.g. patched-1; empty when there is one only
    measured: tuple[Measured, ...] = ()  # in the order of the steps
    known: tuple[Known, ...] = ()  # splats besides, which do not count


# --- verdict ----------------------------------------------------------------
class Change(StrEnum):
    """Base against patched."""

    FIXED = "fixed"  # bad on base, pass on patched
    REGRESSED = "regressed"  # pass on base, anything else on patched
    NEW_PASS = "new pass"  # skipped on base, pass on patched
    NEW_FAILURE = "new failure"  # skipped on base, bad on patched; or bad in a new, worse way
    UNCHANGED = "unchanged"
    UNKNOWN = "unknown"  # one side has no evidence (error, or not run)
    BASE_ONLY = "base only"  # there is no series
    PATCHED_ONLY = "patched only"  # nothing is wrong on patched, so base was not asked


@dataclass(frozen=True)
class Row:
    """One line of the verdict."""

    scenario: str
    summary: str  # the scenario's own one-line summary
    target: str
    flavour: str  # "base" when there is none on top
    base: Outcome | None
    patched: Outcome | None
    change: Change
    new_splats: tuple[Splat, ...] = ()  # on patched, not on base

    @property
    def place(self) -> str:
        """See ``place``."""
        return place(self.target, self.flavour)


def place(target: str, flavour: str) -> str:
    """Where something ran, for people: the target, and the flavour unless it is the plain one."""
    return target if flavour == "base" else f"{target} ({flavour})"


class Verdict(StrEnum):
    """What the run says of the series (or of the tree when there is none)."""

    PASS = "pass"  # exit status 0
    FAIL = "fail"  # exit status 1
    ERROR = "error"  # exit status 3


@dataclass(frozen=True)
class Phase:
    """Where time went."""

    name: str  # fetch, build, boot, scenarios, ...
    side: str  # base, patched, or empty
    seconds: float  # wall time
    note: str = ""  # e.g. "from cache"
    target: str = ""  # which target, with its flavour (Cell.place); empty for what all of them share
    started: float = 0.0  # seconds since the start of the run
    lane: str = ""  # thread it ran in: phases of one lane are inside of or after each other


@dataclass(frozen=True)
class Cell:
    """One target of a run, with kernels of one flavour."""

    target: str
    verdict: Verdict  # of this target alone
    reasons: tuple[str, ...]  # why, worst first; empty for a plain pass
    accelerator: str  # tcg or kvm, with the reason when it is a fallback; empty when it came to none
    rows: tuple[Row, ...]
    boot_splats: tuple[Splat, ...] = ()  # new on patched, outside any scenario
    facts: Mapping[str, Any] = field(default_factory=dict)  # versions, keys, commands worth recording
    notes: tuple[str, ...] = ()  # how it was measured, where that is not as the reader would think
    flavour: str = "base"  # "base" when there is none on top
    known: tuple[Known, ...] = ()  # splats outside any scenario, on any kernel, which do not count

    @property
    def place(self) -> str:
        """See ``place``."""
        return place(self.target, self.flavour)


@dataclass(frozen=True)
class RunResult:
    """Everything a report needs."""

    run: Path  # run directory
    verdict: Verdict  # over all cells
    reasons: tuple[str, ...]  # why, worst first, with the cell's place where there are several; empty for a plain pass
    tree: Tree
    series: Series | None
    suite: str
    channel: str
    cells: tuple[Cell, ...]  # one or more, in the order asked for
    phases: tuple[Phase, ...]  # in the order in which they ended
    seconds: float = 0.0  # wall time from the start of the process until there was a verdict
    notes: tuple[str, ...] = ()  # what is to be said of the run's input, such as patterns of no use any more
    seed: int = 1  # of the choices of scenarios that race
    stress: int = 1  # by which their rounds and time boxes were multiplied

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row, cell after cell."""
        return tuple(row for cell in self.cells for row in cell.rows)
