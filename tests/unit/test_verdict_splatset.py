"""Splats of two kernels: the same bug or a new one."""

from __future__ import annotations

from harness.model import Splat, SplatKind
from harness.verdict import splatset


def splat(
    title: str = "WARNING in foo",
    frames: tuple[str, ...] = ("foo", "bar", "baz", "outer"),
    kind: SplatKind = SplatKind.WARN,
    corrupted: bool = False,
) -> Splat:
    return Splat(kind, title, frames, (title,), 1, corrupted)


def test_kind_and_title_make_a_bug() -> None:
    assert splatset.same(splat(), splat(frames=()))
    assert not splatset.same(splat(), splat(kind=SplatKind.KASAN))
    assert not splatset.same(splat(), splat(title="WARNING in other", frames=("other",)))


def test_own_frames_make_a_bug_when_the_title_differs() -> None:
    assert splatset.same(splat(), splat(title="WARNING in foo_part", frames=("dump_stack", "foo", "bar", "baz", "far")))
    assert not splatset.same(splat(), splat(title="WARNING in x", frames=("foo", "bar", "x")))
    assert not splatset.same(splat(title="a", frames=("dump_stack",)), splat(title="b", frames=("dump_stack",)))


def test_where_a_hang_is_noticed_is_chance() -> None:
    one = splat("RCU stall in foo", ("foo", "own", "a"), SplatKind.RCU_STALL)
    other = splat("RCU stall in bar", ("bar", "x", "own"), SplatKind.RCU_STALL)
    assert splatset.same(one, other)
    assert not splatset.same(one, splat("RCU stall in y", ("y", "do_syscall_64"), SplatKind.RCU_STALL))


def test_tally_counts_and_prefers_whole_reports() -> None:
    cut, whole, other = splat(corrupted=True), splat(), splat("WARNING in b", ("b",))
    counts = splatset.tally([cut, other, whole, whole])
    assert [(count.splat, count.times) for count in counts] == [(whole, 3), (other, 1)]


def test_new_splats() -> None:
    old, fresh = splat(), splat("WARNING in b", ("b",))
    assert splatset.new_splats((old,), (old, fresh, fresh, old)) == (fresh,)
    assert splatset.new_splats((), (old, old)) == (old,)
    assert splatset.new_splats((old,), ()) == ()
