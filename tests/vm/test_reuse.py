"""What an earlier run has measured, and what the series cannot change, is not measured again; and it is said."""

from __future__ import annotations

import time
from pathlib import Path

from tests.vm.conftest import SERIES, Kph, Ran

CHOSEN = ("--scenario", "[go]*-first-bind", "--scenario", "motive-*")


def _statuses(ran: Ran) -> dict[str, tuple[str, str]]:
    return {name: (row["base"]["status"], row["patched"]["status"]) for name, row in ran.rows().items()}


def _edit(folder: Path) -> Path:
    """A patch that changes the kernel's image, and nothing that it does."""
    patch = folder / "edit.patch"
    patch.write_text(
        "Subject: [PATCH] iommu/sva: carry the time\n\n---\n"
        "diff --git a/drivers/iommu/iommu-sva.c b/drivers/iommu/iommu-sva.c\n"
        "--- a/drivers/iommu/iommu-sva.c\n+++ b/drivers/iommu/iommu-sva.c\n"
        '@@ -9,6 +9,7 @@\n #include <linux/iommu.h>\n \n #include "iommu-priv.h"\n'
        f'+static const char kph_time[] __used = "{time.time_ns()}";\n'
        " \n static DEFINE_MUTEX(iommu_sva_lock);\n static bool iommu_sva_present;\n"
    )
    return patch


def _boots(ran: Ran) -> dict[str, int]:
    (cell,) = ran.report["targets"]
    boots: dict[str, int] = cell["facts"]["boots"]
    return boots


def test_a_run_with_nothing_changed_measures_nothing(kph: Kph) -> None:
    words = ("--series", SERIES, *CHOSEN)
    first = kph(*words, name="first")
    started = time.monotonic()
    again = kph(*words, name="again", fresh=False)
    print(f"nothing changed: {time.monotonic() - started:.2f} s")
    assert (first.status, again.status) == (0, 0)
    assert _statuses(first) == _statuses(again)
    assert _boots(first) == {"base": 1, "patched": 1} and _boots(again) == {"base": 0, "patched": 0}
    rows = again.rows().values()
    assert {row[side]["earlier"] for row in rows for side in ("base", "patched")} == {str(first.folder)}
    assert "4 of 4 results are those of an earlier run (first); --force measures them again" in " ".join(
        again.said.split()
    )


def test_only_the_patched_kernel_runs_when_only_the_series_changed(kph: Kph, tmp_path: Path) -> None:
    first = kph("--series", SERIES, *CHOSEN, name="first")
    again = kph("--series", SERIES, "--series", _edit(tmp_path), *CHOSEN, name="again", fresh=False)
    assert _boots(again) == {"base": 0, "patched": 1}
    assert _statuses(first) == _statuses(again)


def test_a_series_that_touches_nothing_that_is_read_is_not_built(kph: Kph, tmp_path: Path) -> None:
    patch = tmp_path / "docs.patch"
    patch.write_text(
        "Subject: [PATCH] docs: say more\n\n---\n"
        "diff --git a/Documentation/kph-test.rst b/Documentation/kph-test.rst\nnew file mode 100644\n"
        f"--- /dev/null\n+++ b/Documentation/kph-test.rst\n@@ -0,0 +1 @@\n+{time.time_ns()}\n"
    )
    ran = kph("--series", patch, "--scenario", "global-first-bind", fresh=False)
    assert ran.status == 0 and not list(ran.folder.glob("build-patched.log"))
    assert "touches no file that the kernel's build reads" in " ".join(ran.said.split())
    forced = kph("--series", patch, "--scenario", "global-first-bind", name="forced")
    assert forced.status == 0 and (forced.folder / "build-patched.log").exists()
    assert _boots(forced) == {"base": 1, "patched": 1}
    assert "byte for byte" in " ".join(forced.said.split())


def test_a_changed_comment_shares_the_results_of_the_base(kph: Kph, tmp_path: Path) -> None:
    """No line moves, so even __LINE__ is the same."""
    patch = tmp_path / "comment.patch"
    patch.write_text(
        "Subject: [PATCH] iommu/sva: say the time\n\n---\n"
        "diff --git a/drivers/iommu/iommu-sva.c b/drivers/iommu/iommu-sva.c\n"
        "--- a/drivers/iommu/iommu-sva.c\n+++ b/drivers/iommu/iommu-sva.c\n"
        "@@ -1,4 +1,4 @@\n // SPDX-License-Identifier: GPL-2.0\n /*\n"
        f"- * Helpers for IOMMU drivers implementing SVA\n+ * {time.time_ns()}\n  */\n"
    )
    ran = kph("--series", patch, "--scenario", "global-first-bind", fresh=False)
    assert ran.status == 0 and (ran.folder / "build-patched.log").exists()
    assert "byte for byte" in " ".join(ran.said.split())
    assert _boots(ran)["patched"] == 0
