"""The options of every command that builds kernels and carries scenarios out, and what they ask for."""

from __future__ import annotations

import argparse
import difflib
import secrets
from collections.abc import Sequence
from pathlib import Path

from harness import doctor
from harness.build import flavour, sandbox
from harness.cache import Cache
from harness.campaign.request import Request
from harness.errors import UserError
from harness.machine import target as targets
from harness.machine.target import Target
from harness.proc import Door
from harness.scenario import known
from harness.scenario import load as suites
from harness.scenario.schema import Suite
from harness.scenario.tuning import SEED_LIMIT, STRESS_LIMIT, Tuning

_TARGET = "x86_64-vtd"


def add_arguments(parser: argparse.ArgumentParser, *, snapshot: bool = True) -> None:
    """What is tested, in which machine, and how; the tree's revision and series are the command's own.

    ``snapshot``: whether scenarios run on copies of one guest unless the user says otherwise.
    """
    add = parser.add_argument
    add(
        "--target",
        action="append",
        default=[],
        metavar="NAME",
        help="machine, IOMMU and devices: a name, a YAML file of your own, several with commas, or all;"
        f" may be repeated (default: {_TARGET})",
    )
    add("--suite", default="sva", help="suite of scenarios (default: %(default)s)")
    add(
        "--scenario",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these, or with ! before it all but these; may be repeated, takes wildcards",
    )
    add("--expect", action="append", default=[], metavar="NAME=VALUE", help="which behaviour the suite expects")
    add(
        "--flavour",
        action="append",
        default=[],
        metavar="NAME",
        help="kernel configuration on top of the base, a+b for two in one; several with commas, each with kernels"
        " of its own; may be repeated (default: what the suite needs)",
    )
    add(
        "--known",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="splats that do not count; may be repeated",
    )
    add("--channel", default="serial", help="how to talk to the guest: serial or ssh (default: %(default)s)")
    add("--accel", help="kvm or tcg (default: the first that is proved to work)")
    add("--qemu", type=Path, metavar="DIR", help="your own QEMU build instead of ours")
    add(
        "--snapshot",
        action=argparse.BooleanOptionalAction,
        default=snapshot,
        help="run scenarios on copies of one booted guest, or boot a guest for each of them (default:"
        f" {'copies' if snapshot else 'a boot for each'})",
    )
    add("--jobs", type=_jobs, metavar="N", help="guests at a time (default: what CPUs and memory carry)")
    add(
        "--seed",
        type=_seed,
        default=1,
        metavar="N",
        help="of the choices of scenarios that race, or 'random' (default: 1)",
    )
    add("--stress", type=_stress, default=1, metavar="FACTOR", help="rounds and time of those scenarios, times this")
    add(
        "--sandbox",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="build without network, home and rights to write elsewhere: for patches that you do not trust",
    )
    add("--force", action="store_true", help="measure again what an earlier run has measured")


def request(args: argparse.Namespace, base: str | None = None, series: Sequence[str] = ()) -> Request:
    """What ``args`` ask for, for the revision ``base`` of the tree. Raises UserError for a name that is not known."""
    chosen = targets.choose(args.target or [_TARGET])
    suite = suites.load_suite(args.suite)
    flavours = flavour.choose(args.flavour or [suite.spec.flavour])
    channel = _channel(args.channel, chosen)
    for target in chosen:
        _faults(suite, target)
        for name in flavours:
            flavour.require(target, name, channel)
    chosen = tuple(target.with_memory(suite.spec.memory_mib) for target in chosen)
    return Request(
        tree=args.tree,
        base=base,
        series=tuple(series),
        targets=chosen,
        suite=suite,
        scenarios=suites.select(suite, args.scenario),
        patterns=tuple(args.scenario),
        behaviours=suites.choose_behaviours(suite, args.expect),
        flavours=flavours,
        known=known.load([*_own(suite), *args.known]),
        channel=channel,
        accelerator=args.accel,
        qemu=args.qemu,
        snapshot=args.snapshot,
        jobs=args.jobs,
        tuning=Tuning(args.seed, args.stress),
        force=args.force,
        sandbox=args.sandbox,
    )


def require(request: Request, cache: Cache, door: Door) -> None:
    """Raises InfraError or UserError, before any work, when this host cannot build what ``request`` asks for."""
    for target in request.targets:
        doctor.require(target, cache, door)
    if request.sandbox:
        sandbox.require(door)


def single(args: argparse.Namespace) -> str:
    """The one scenario, target and flavour that ``args`` name. Raises UserError when there are several."""
    if len(args.scenario) != 1 or set("*?[!") & set(args.scenario[0]):
        raise UserError("this needs one scenario", f"name it in full: --scenario NAME; kph list {args.suite} has them")
    if any("," in word or word == "all" for word in (*args.target, *args.flavour)) or len(args.target) > 1:
        raise UserError("this needs one target and one flavour", "name one of each; a+b is one flavour")
    return str(args.scenario[0])


def _own(suite: Suite) -> list[Path]:
    """The suite's own file of known splats, if it has one."""
    file = suite.folder / known.NAME
    return [file] if file.is_file() else []


def _seed(text: str) -> int:
    if text == "random":
        return secrets.randbelow(SEED_LIMIT)
    if not (text.isdecimal() and int(text) < SEED_LIMIT):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'random' nor a number below {SEED_LIMIT}")
    return int(text)


def _stress(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= STRESS_LIMIT):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {STRESS_LIMIT}")
    return int(text)


def count(text: str) -> int:
    """A number of things for argparse."""
    if not (text.isdecimal() and 1 <= int(text) <= 100):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def _jobs(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64")
    return int(text)


def _channel(name: str, chosen: Sequence[Target]) -> str:
    for target in chosen:
        _known(f"channel of {target.name}", name, tuple(target.channels))
    return name


def _faults(suite: Suite, target: Target) -> None:
    """A fault that nobody reads would be a pass for lack of evidence."""
    if not suite.spec.faults:
        return
    known = ", ".join(suite.spec.faults)
    if not target.fault_events:
        raise UserError(
            f"the target {target.name} names no fault_events, so the suite {suite.name} would see no DMA fault",
            f"name those of its trace events that are IOMMU faults; the suite knows {known}",
        )
    if strange := [name for name in target.fault_events if name not in suite.spec.faults]:
        raise UserError(
            f"the suite {suite.name} does not know the fault event {', '.join(strange)} of the target {target.name}",
            f"say in its suite.yaml, under 'faults', which fields the event has; it knows {known}",
        )


def _known(what: str, name: str, names: Sequence[str]) -> str:
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(f"there is no {what} {name!r}", f"{hint}known: {', '.join(names)}")
