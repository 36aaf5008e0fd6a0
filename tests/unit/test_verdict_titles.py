"""Titles: what is taken out, and which function is named."""

from __future__ import annotations

import pytest

from harness.verdict import generic, titles, traces


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("device 3 at 0xffff888004b21c48 gave up", "device N at ADDR gave up"),
        ("stuck on CPU#3 for 26s", "stuck on CPU for 26s"),
        ("kworker/1:2/4711 holds it", "TASK holds it"),
        ("bad in process foo", "bad TASK"),
        ("corrupted in: foo+0x12/0x34 [mod]", "corrupted in: foo"),
        ("at drivers/iommu/iommu-sva.c:97", "at FILE"),
        ("kmalloc-64 is full!", "kmalloc-N is full"),
        ("early exception 0x0e", "early exception 0x0e"),
        ("  two   words.\t", "two words"),
        ("bell\x07 and \u202eturn", "bell? and ?turn"),
    ],
)
def test_normalised(text: str, title: str) -> None:
    assert titles.normalise(text) == title


def test_a_title_is_short() -> None:
    assert len(titles.normalise("word " * 1000)) <= 120


@pytest.mark.parametrize(
    ("frames", "named", "function"),
    [
        (("dump_stack_lvl", "kasan_report", "own", "outer"), "", "own"),
        (("own",), "refcount_warn_saturate", "own"),
        (("own",), "named", "named"),
        (("dump_stack", "__might_sleep", "__fput", "do_syscall_64"), "", "__fput"),
        (("dump_stack", "__warn"), "", "dump_stack"),
        ((), "kfree", "kfree"),
        ((), "", ""),
    ],
)
def test_blamed(frames: tuple[str, ...], named: str, function: str) -> None:
    assert generic.blamed(frames, named) == function


@pytest.mark.parametrize(
    "function",
    [
        *(
            "entry_SYSCALL_64_after_hwframe",
            "__x64_sys_ioctl",
            "el0t_64_sync",
            "ret_from_fork_asm",
            "kthread",
            "vpanic",
        ),
        *("_raw_spin_lock_irqsave", "mutex_lock_nested", "down_read", "__kmalloc_cache_noprof", "schedule_timeout"),
        *(
            "el1t_64_sync_handler",
            "do_sp_pc_abort",
            "__bad_stack",
            "arm64_serror_panic",
            "__pi_memset",
            "__arch_copy_from_user",
        ),
        *("handle_percpu_devid_irq", "__gic_handle_irq_from_irqson", "cpu_do_idle", "__secondary_switched", "__memcpy"),
        *("asm_exc_page_fault", "__asan_report_load8_noabort", "kasan_report", "lock_acquire", "__WARN_trap"),
    ],
)
def test_generic(function: str) -> None:
    assert generic.is_generic(function)


@pytest.mark.parametrize(
    "function",
    [
        *("iommu_sva_bind_device", "irq_remapping_alloc", "intel_pasid_tear_down_entry", "arm_smmu_sva_remove", "foo"),
        *(
            "iopf_queue_flush_dev",
            "arm_smmu_evtq_thread",
            "mm_pasid_drop",
            "watchdog_dev_register",
            "kph_schedule",
            "scheduler_tick_foo",
            "upload",
        ),
        *("qi_submit_sync", "prq_event_thread", "dma_free_pages_foo", "slabby", "oops_me", "exit_mmap"),
    ],
)
def test_not_generic(function: str) -> None:
    assert not generic.is_generic(function)


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        (" foo+0x12/0x30", traces.Frame("foo", False)),
        (" ? foo+0x12/0x30 [mod]", traces.Frame("foo", True)),
        (" foo.isra.0+0x12/0x30 [mod 0123abcd]", traces.Frame("foo", False)),
        (" foo.constprop.0.cold+0x12/0x30", traces.Frame("foo", False)),
        (" foo+0x12/0x30 (P)", traces.Frame("foo", False)),
        (" 0xffffffff81012345", traces.Frame("", True)),
        ("foo+0x12/0x30", None),
        (" not a frame", None),
    ],
)
def test_frame(line: str, frame: traces.Frame | None) -> None:
    assert traces.frame(line) == frame
