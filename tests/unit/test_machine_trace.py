"""QEMU's trace log as events."""

from __future__ import annotations

from pathlib import Path

from harness.machine.trace import TraceLog, parse_event


def test_a_line_becomes_an_event_with_its_fields() -> None:
    event = parse_event("vtd_dmar_fault sid 0x20 fault 0x59 addr 0x7f0000001000 write 1 has_pasid 1 pasid 0x3\n")
    assert event is not None and event.name == "vtd_dmar_fault"
    assert event.fields == {
        "sid": 0x20,
        "fault": 0x59,
        "addr": 0x7F0000001000,
        "write": 1,
        "has_pasid": 1,
        "pasid": 3,
    }


def test_what_is_not_an_event_is_passed_over() -> None:
    assert parse_event("") is None
    assert parse_event("qemu-system-x86_64: warning: something") is None


def test_only_whole_lines_after_the_mark_count(tmp_path: Path) -> None:
    log = TraceLog(tmp_path / "trace.log")
    assert log.mark() == 0 and log.since(0) == ()
    log.file.write_text("a x 1\n")
    mark = log.mark()
    with log.file.open("a") as sink:
        sink.write("b x 2\nc x ")
    assert [event.name for event in log.since(mark)] == ["b"]
    with log.file.open("a") as sink:
        sink.write("3\n")
    assert [event.name for event in log.since(mark)] == ["b", "c"]
