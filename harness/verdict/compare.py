"""Base against patched: what a series changed, and what the run says of it.

One scenario on two kernels. ``splats`` are those of the patched kernel that the base does
not have, in this scenario or elsewhere; ``worse`` means further up in pass < fail < hang = crash::

    base     patched                        change
    -------  -----------------------------  -----------
    (there is no series)                    base only
    any, none or error on either side       unknown        no evidence
    a failure before the first step on both unknown        no evidence
    pass     pass                           unchanged
    pass     pass, the base's splats gone   fixed
    pass     pass + new splats              regressed
    pass     skip                           regressed      a capability vanished
    pass     fail, hang, crash              regressed
    skip     skip                           unchanged
    skip     pass                           new pass
    skip     pass or skip + new splats      new failure
    skip     fail, hang, crash              new failure
    bad      pass                           fixed
    bad      pass + new splats              new failure
    bad      skip                           regressed      a capability vanished
    bad      bad, not worse                 unchanged
    bad      bad, worse or + new splats     new failure
    bad      bad, but lacks nothing now     new failure    the scenario shows the need for what base lacks
    not run  pass or skip, nothing is wrong patched only   on the whole kernel: ``sound``

"bad" is fail, hang or crash. Without a series an error still is "unknown".

The verdict of a run::

    fail    a scenario is regressed or a new failure; or new splats outside of any scenario;
            without a series: a scenario fails, hangs or crashes on the base, or the base has splats;
            but a scenario that shows the need for what the tree lacks may fail
    error   not fail, and: a scenario is unknown, or there is no evidence at all: no scenario
            passed or failed on the kernel under test, so that a skip or a dead kernel is all there is;
            nor may it pass when that kernel was not built, as the base was not (campaign.rows)
    pass    otherwise

Failure wins over error: what is known to be broken stays broken. Advice never fails.

Each target and flavour of a run is judged so by itself, and the run by all of them: fail if any of them fails, else
error if any of them is an error, else pass. So the exit status is 1 as soon as one shows a failure, 3 only if none
does. The reasons name each that did not pass, so that none hides another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from harness.model import Cell, Change, Known, Outcome, Row, Splat, SplatKind, Status, Verdict
from harness.verdict import splatset

_LEVEL = {Status.PASS: 0, Status.FAIL: 1, Status.HANG: 2, Status.CRASH: 2}
_BAD = (Status.FAIL, Status.HANG, Status.CRASH)
_EVIDENCE = (Status.PASS, Status.FAIL)  # the scenario said something of the kernel, good or bad
_WORST_FIRST = (Verdict.FAIL, Verdict.ERROR, Verdict.PASS)
_BROKEN = (SplatKind.OOPS, SplatKind.PANIC, SplatKind.BUG, SplatKind.KASAN, SplatKind.SLAB)
_NAMED = 5  # scenarios named in one reason


def compare(base: Outcome | None, patched: Outcome | None, has_series: bool, known: Sequence[Splat] = ()) -> Change:
    """What the series changed for one scenario, by the table above.

    ``known``: splats seen on the base anywhere in the run, besides those of ``base`` itself.
    """
    if not has_series:
        return Change.BASE_ONLY if _ended(base) else Change.UNKNOWN
    if not _ended(base) or not _ended(patched):
        return Change.UNKNOWN
    assert base is not None and patched is not None
    if not (base.began or patched.began):
        return Change.UNKNOWN
    fresh = bool(_fresh(base, patched, known))
    if base.status is Status.PASS:
        return _after_pass(base, patched, fresh)
    if base.status is Status.SKIP:
        return _after_skip(patched.status, fresh)
    if base.lacking and patched.status in _BAD and not patched.lacking:
        return Change.NEW_FAILURE
    return _after_bad(base.status, patched.status, fresh)


def sound(outcomes: Sequence[Outcome], boot_splats: Sequence[Splat]) -> bool:
    """Whether a kernel by itself gives no reason to ask the base: something passed, and nothing else but skips."""
    statuses = {outcome.status for outcome in outcomes}
    spoilt = boot_splats or any(outcome.splats for outcome in outcomes)
    return Status.PASS in statuses <= {Status.PASS, Status.SKIP} and not spoilt


def alone(summary: str, target: str, flavour: str, patched: Outcome) -> Row:
    """The line of the verdict for one scenario of a kernel that is ``sound``."""
    return Row(patched.scenario, summary, target, flavour, None, patched, Change.PATCHED_ONLY)


def _ended(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.status is not Status.ERROR


def _after_pass(base: Outcome, patched: Outcome, fresh: bool) -> Change:
    if patched.status is not Status.PASS or fresh:
        return Change.REGRESSED
    return Change.FIXED if base.splats and not patched.splats else Change.UNCHANGED


def _after_skip(patched: Status, fresh: bool) -> Change:
    if patched in _BAD or fresh:
        return Change.NEW_FAILURE
    return Change.UNCHANGED if patched is Status.SKIP else Change.NEW_PASS


def _after_bad(base: Status, patched: Status, fresh: bool) -> Change:
    if patched is Status.SKIP:
        return Change.REGRESSED
    if fresh or _LEVEL[patched] > _LEVEL[base]:
        return Change.NEW_FAILURE
    return Change.FIXED if patched is Status.PASS else Change.UNCHANGED


def _fresh(base: Outcome | None, patched: Outcome | None, known: Sequence[Splat] = ()) -> tuple[Splat, ...]:
    """The splats of ``patched`` that are neither in ``base`` nor in ``known``."""
    if patched is None:
        return ()
    return splatset.new_splats((*(base.splats if base else ()), *known), patched.splats)


def trusted(outcome: Outcome | None, base: Sequence[Splat] = ()) -> Outcome | None:
    """``outcome``, but no pass on a kernel that said it is broken, unless the kernel of the ``base`` says so, too."""
    if outcome is None or outcome.status is not Status.PASS:
        return outcome
    broken = next((splat for splat in splatset.new_splats(base, outcome.splats) if splat.kind in _BROKEN), None)
    return dataclasses.replace(outcome, status=Status.CRASH, reason=broken.title) if broken else outcome


def row(
    summary: str,
    target: str,
    flavour: str,
    base: Outcome | None,
    patched: Outcome | None,
    has_series: bool,
    known: Sequence[Splat] = (),
) -> Row:
    """The line of the verdict for one scenario. Raises ValueError when neither side has an outcome."""
    outcome = base or patched
    if outcome is None:
        raise ValueError("a row needs an outcome on one side")
    return Row(
        scenario=outcome.scenario,
        summary=summary,
        target=target,
        flavour=flavour,
        base=base,
        patched=patched,
        change=compare(base, patched, has_series, known),
        new_splats=_fresh(base, patched, known) if has_series else (),
    )


def judge(rows: Sequence[Row], boot_splats: Sequence[Splat] = ()) -> tuple[Verdict, tuple[str, ...]]:
    """What the run says, and why, worst first; no reasons for a plain pass.

    ``boot_splats``: splats outside of any scenario, on the patched kernel and not on the base;
    without a series, those of the base.
    """
    has_series = any(_of_series(row) for row in rows)
    failures = (*_failures(rows, has_series), *_outside(boot_splats))
    gaps = _gaps(rows, has_series)
    if failures:
        return Verdict.FAIL, (*failures, *gaps)
    return (Verdict.ERROR, gaps) if gaps else (Verdict.PASS, ())


def known(cell: Cell) -> tuple[Known, ...]:
    """Every splat of a target that does not count."""
    outcomes = (outcome for row in cell.rows for outcome in (row.base, row.patched) if outcome is not None)
    return (*cell.known, *(each for outcome in outcomes for each in outcome.known))


def together(cells: Sequence[Cell]) -> tuple[Verdict, tuple[str, ...]]:
    """What a run says over all its cells, and why: failures first, each with its place where there are several."""
    worst_first = [cell for verdict in _WORST_FIRST for cell in cells if cell.verdict is verdict]
    verdict = worst_first[0].verdict if worst_first else Verdict.ERROR
    return verdict, tuple(reason for cell in worst_first for reason in _told(cell.reasons, cell.place, len(cells)))


def _told(reasons: Iterable[str], place: str, cells: int) -> Iterable[str]:
    return (f"{place}: {reason}" if cells > 1 else reason for reason in reasons)


def _of_series(row: Row) -> bool:
    return row.patched is not None or (row.change is not Change.BASE_ONLY and _ended(row.base))


def _failures(rows: Sequence[Row], has_series: bool) -> tuple[str, ...]:
    kinds: tuple[tuple[str, Callable[[Row], bool]], ...]
    if has_series:
        kinds = (
            ("regressed", lambda row: row.change is Change.REGRESSED),
            ("failed in a new way", lambda row: row.change is Change.NEW_FAILURE),
        )
    else:
        kinds = (
            ("crashed", lambda row: _ended_as(row, Status.CRASH)),
            ("hung", lambda row: _ended_as(row, Status.HANG)),
            ("failed", lambda row: _ended_as(row, Status.FAIL) and not (row.base and row.base.lacking)),
            ("left splats", lambda row: _only_splats(row.base)),
        )
    chosen = ((words, [row for row in rows if holds(row)]) for words, holds in kinds)
    return tuple(_counted(some, words) for words, some in chosen if some)


def _ended_as(row: Row, status: Status) -> bool:
    return row.base is not None and row.base.status is status


def _only_splats(outcome: Outcome | None) -> bool:
    """Whether its splats are all there is to say against it."""
    if outcome is None or not outcome.splats:
        return False
    return outcome.status in (Status.PASS, Status.SKIP) or (outcome.status is Status.FAIL and bool(outcome.lacking))


def _outside(boot_splats: Sequence[Splat]) -> tuple[str, ...]:
    return tuple(f"outside of any scenario: {count.splat.title}" for count in splatset.tally(boot_splats))


def _gaps(rows: Sequence[Row], has_series: bool) -> tuple[str, ...]:
    unknown = [row for row in rows if row.change is Change.UNKNOWN]
    gaps = (_counted(unknown, "gave no evidence (error, or not run)"),) if unknown else ()
    tested = [row.patched if has_series else row.base for row in rows]
    if not any(outcome is not None and outcome.status in _EVIDENCE for outcome in tested):
        side = "patched" if has_series else "base"
        gaps = (*gaps, f"no evidence: no scenario ran to its end on the {side} kernel")
    return gaps


def _counted(rows: Sequence[Row], words: str) -> str:
    names = [row.scenario for row in rows[:_NAMED]] + (["..."] if len(rows) > _NAMED else [])
    return f"{len(rows)} scenario{'' if len(rows) == 1 else 's'} {words}: {', '.join(names)}"
