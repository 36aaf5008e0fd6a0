"""Functions that say nothing about a bug: it is in whoever called them."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Those that report. A title never names them.
_REPORTING = (
    r"dump_stack(?:_lvl)?|show_(?:stack|regs).*|v?panic|nmi_panic|check_panic_on_warn|__warn.*|warn_slowpath_.*",
    r"__WARN_trap|_*report_bug.*|handle_bug|_*die|die_addr|oops_(?:begin|end|enter|exit)|make_task_dead|bad_page",
    r"rewind_stack_.*|print_(?:bad|lock|irq_inversion)_.*|print_.*(?:report|bug|description|usage|deadlock).*|dump_page",
    r"object_err|slab_err|__slab_err|debug_print_object|_*debug_(?:object|check)_.*|check_preemption_disabled",
    r"(?:debug_)?smp_processor_id|spin_(?:bug|dump)|rwlock_bug",
    # exceptions
    r"(?:asm_)?(?:exc|sysvec|common_interrupt).*|page_fault_.*|do_(?:trap|error_trap|user_addr_fault|kern_addr_fault).*",
    r"gp_try_fixup.*|_*bad_area.*|kernelmode_fixup_.*|do_mem_abort|do_translation_fault|do_page_fault|die_kernel_fault",
    r"__do_kernel_fault|brk_handler|bug_brk_handler|bug_handler|call_break_hook|call_el1_break_hook|_*el1[ht]?_.*",
    r"do_el1_.*|el1_abort|do_debug_exception|do_undefinstr|default_do_nmi|end_repeat_nmi|nmi_(?:handle|cpu_|trigger).*",
    r"arch_trigger_.*|do_(?:bad_area|alignment_fault|sea|sp_pc_abort|serror|tag_check_fault)|arm64_(?:serror_panic|notify_die)",
    r"_*panic_(?:bad_stack|unhandled)|(?:__|handle_)bad_stack|bad_mode|dump_backtrace|(?:ubsan|kasan|cfi)_brk_handler",
    # sanitizers, and checks of counters, lists and locks
    r"_*kasan_.*|__asan_.*|__hwasan_.*|_*kmsan_.*|_*kcsan_.*|__tsan_.*|kfence_.*|check_region_inline|check_memory_region",
    r"__ubsan_.*|ubsan_.*|handle_overflow|handle_shift_.*|_*refcount_.*|__list_(?:add|del).*valid.*",
    r"_*lock_acquire.*|_*lock_release.*|_*lock_(?:is_held|pin).*|lockdep_.*|validate_chain|register_lock_class",
    r"check_(?:noncircular|prev.*add|deadlock|wait_context|irq_usage|usage.*|lock)|mark_(?:lock|usage|held_locks).*",
    r"_*might_(?:sleep|resched|fault|alloc).*|__cant_.*",
    r"__schedule(?:_bug|_loop)?|schedule|preempt_schedule.*",
    # what finds stalls
    r"tick_.*|update_process_times|_*hrtimer_(?:run|interrupt).*|run_timer_.*|watchdog_(?:timer_fn|hardlockup.*|overflow.*)",
    r"is_softlockup|rcu_(?:sched_clock_irq|pending|dump_cpu_stacks|check_.*|print_.*)|print_(?:cpu|other_cpu)_stall.*",
    r"check_cpu_stall|local_apic_timer_interrupt",
)
# Those that copy; in assembly, without a frame of their own.
_COPYING = (
    r"(?:__pi_)?(?:__)?(?:memcpy|memset|memmove|memcmp|str[a-z]*cpy|strlen|strnlen|strcmp|strncmp)(?:_.*)?",
    r"_*(?:arch_)?copy_(?:to|from)_.*|_*arch_clear_user",
    r"__?copy_user_.*|rep_(?:movs|stos)_.*|__get_user_.*|__put_user_.*",
)
# Those that do what they are asked: allocate, lock, wait, enter and leave.
_PLUMBING = (
    # the allocator
    r"_*k[vz]?m?alloc.*|_*kfree.*|kvfree.*|_*kmem_cache_.*|_*slab_.*|___slab_.*|slub_.*|_*do_kmalloc.*|do_slab_free",
    r"free_to_(?:partial|pcs).*|free_debug_processing|free_from_.*|alloc_debug_processing|alloc_from_pcs|barn_.*",
    r"check_(?:slab|object|bytes.*|valid_pointer)|on_freelist|set_track.*|init_object|.*_consistency_checks",
    r"kmemleak_.*|_*vz?m?alloc.*|_*vmalloc_.*|pcpu_alloc.*|_*alloc_percpu.*|_*kmem(?:dup|get).*|_*kstrn?dup.*|mempool_.*",
    r"_*get_free_pages?.*|get_zeroed_page.*",
    r"_*free_(?:frozen_)?pages?(?:_.*)?|free_unref_.*|_*alloc_(?:frozen_)?pages?_.*|get_page_from_freelist|_*folio_put.*",
    r"validate_slab.*|sheaf_.*|__pcs_.*|__rcu_free_sheaf.*|quarantine_.*|qlist_.*",
    # locks
    r"_*(?:raw_)?_*(?:spin|read|write)_(?:lock|unlock|trylock).*|do_raw_(?:spin|read|write)_.*",
    r"(?:native_)?queued_(?:spin|read|write)_.*|_*mutex_(?:lock|trylock|unlock).*|_*ww_mutex_.*|_*rt_mutex_.*",
    r"_*(?:down|up)(?:_read|_write|_killable|_interruptible|_timeout|_trylock)*|_*rwsem_.*|percpu_(?:down|up)_.*|__pv_.*",
    # waiting and ending
    r"schedule_(?:timeout|preempt|hrtimeout|rtlock|idle).*|_*cond_resched.*",
    r"io_schedule.*|_*wait_for_(?:common|completion).*|do_wait_for_common|do_nanosleep|hrtimer_nanosleep|usleep_range.*",
    r"msleep.*|ssleep|_*context_switch|_*switch_to.*|_*flush_work|__flush_workqueue|_*synchronize_s?rcu.*|_*wait_rcu_gp",
    r"rcu_barrier.*|do_task_dead|do_exit|do_group_exit|__fput|_*fput.*|task_work_run",
    # timers, work and callbacks that are set up, started and stopped
    r"timer_(?:init|setup|delete|shutdown)_?.*|init_timer.*|_*(?:add|mod|del)_timer.*|_*init_work|_*queue_(?:delayed_)?work.*",
    r"_*hrtimer_(?:init|setup|start|cancel).*|_*call_rcu.*|kvfree_call_rcu.*|_*cancel_(?:delayed_)?work.*",
    # interrupts and idling
    r"_*irq_(?:enter|exit|work_run).*|handle_softirqs|_*do_softirq.*|run_ksoftirqd|_*local_bh_.*|generic_handle_.*",
    r"handle_irq.*|_*handle_irq_event.*|do_interrupt_handler|call_on_irq_stack|_*smp_call_.*|csd_.*",
    r"_*gic_handle_.*|handle_percpu_devid_.*|arch_timer_handler_.*|arch_counter_get_.*|do_handle_IPI|ipi_handler",
    r"call_timer_fn|__run_timers|native_(?:safe_)?halt|delay_(?:tsc|halt|loop).*|_*const_udelay|_*udelay|_*delay|_*ndelay",
    r"cpu_relax|arch_cpu_idle|cpu_do_idle|default_idle.*|do_idle|cpu_startup_entry|cpuidle_.*|rest_init|rcu_(?:do_batch|core).*",
    # entry and exit
    r"entry_(?:SYSCALL|SYSENTER|INT80|ibpb).*|do_syscall_.*|x64_sys_call|invoke_syscall.*|syscall_(?:enter|exit|trace).*",
    r"el0_.*|el0t_.*|do_el0_.*|ret_from_fork.*|kthread|worker_thread|_*ret_to_.*|_*(?:x64|ia32|arm64|se|do)_sys_.*",
    r"_*(?:primary|secondary)_switch(?:ed)?|secondary_start_kernel",
    r"secondary_startup_.*|start_secondary|common_startup_.*|x86_64_start_.*|start_kernel|exit_to_user_mode.*",
    r"arch_do_signal.*|do_notify_resume|work_pending",
)
_NEVER = re.compile("|".join(_REPORTING))
_FRAMELESS = re.compile("|".join(_COPYING))
_RATHER_NOT = re.compile("|".join(_COPYING + _PLUMBING))


def is_generic(function: str) -> bool:
    """The function reports, locks, waits or enters: it says nothing about the bug."""
    return bool(_NEVER.fullmatch(function) or _RATHER_NOT.fullmatch(function))


def is_frameless(function: str) -> bool:
    """The function is a copying one, whose caller an unwinder by frame pointers does not see."""
    return bool(_FRAMELESS.fullmatch(function))


def own(frames: Sequence[str]) -> tuple[str, ...]:
    """The frames that say something about the bug, innermost first."""
    return tuple(name for name in frames if not is_generic(name))


def blamed(frames: Sequence[str], named: str = "") -> str:
    """The function to put into a title; empty when none is known.

    ``named`` is the one that the report's first line names, ``frames`` its call trace. The
    first function that is not generic, else the first that does not merely report.
    """
    candidates = (*((named,) if named else ()), *frames)
    own_ones = own(candidates) or tuple(name for name in candidates if not _NEVER.fullmatch(name)) or candidates
    return own_ones[0] if own_ones else ""
