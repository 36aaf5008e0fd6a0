"""The compiler's identity, our ccache, and the errors in a build log."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.build import toolchain
from harness.cache import Cache
from harness.errors import InfraError
from harness.proc import Door


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text("#!/bin/sh\n" + script)
    file.chmod(0o755)


def test_ccache_is_ours_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin", "ccache", "exit 0\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    env = toolchain.compiler_env(Cache(tmp_path / "cache"))
    assert env["CCACHE_DIR"] == str(tmp_path / "cache" / "ccache")
    assert env["CCACHE_CONFIGPATH"].startswith(env["CCACHE_DIR"])
    assert env["CCACHE_MAXSIZE"] == "4G"
    assert toolchain.compiler("clang") == "ccache clang"


def test_without_ccache_the_compiler_is_called_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.compiler() == "gcc"
    assert not any(name.startswith("CCACHE") for name in toolchain.compiler_env(Cache(tmp_path / "cache")))


def test_the_users_environment_does_not_change_what_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KCFLAGS", "-O3")
    monkeypatch.setenv("MAKEFLAGS", "-j --jobserver-auth=3,4")
    monkeypatch.delenv("LLVM", raising=False)
    env = toolchain.compiler_env(Cache(tmp_path))
    assert env["KCFLAGS"] == env["MAKEFLAGS"] == ""
    assert "LLVM" not in env


def test_compilers_of_different_version_or_machine_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speak = 'case $1 in --version) echo "cc (Debian) {0}"; echo more;; *) echo {1};; esac\n'
    for name, version, machine in (("a", "12.2", "x86_64"), ("b", "14.1", "x86_64"), ("c", "12.2", "aarch64")):
        program(tmp_path / "bin", name, speak.format(version, machine))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    said = [toolchain.compiler_id(Door(), name) for name in "abc"]
    assert said[0] == "cc (Debian) 12.2 for x86_64"
    assert len(set(said)) == 3


def test_a_missing_compiler_is_the_hosts_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfraError, match="no-such-cc is not installed"):
        toolchain.compiler_id(Door(), "no-such-cc")


LOG = """\
  CC      drivers/iommu/iommu-sva.o
../drivers/iommu/iommu-sva.c: In function 'iommu_sva_bind_device':
../drivers/iommu/iommu-sva.c:131:9: error: implicit declaration of function 'frob' [-Werror]
  131 |         frob();
      |         ^~~~
make[4]: *** [../scripts/Makefile.build:287: drivers/iommu/iommu-sva.o] Error 1
  CC      kernel/fork.o
"""


def test_error_lines_are_the_compilers_own() -> None:
    found = toolchain.error_lines(LOG)
    assert found[0].endswith("[-Werror]")
    assert found[1].strip() == "131 |         frob();"
    assert found[-1].startswith("make[4]: ***")
    assert not any("CC  " in line for line in found)


@pytest.mark.parametrize(
    "line",
    [
        "FAILED: libqemu.a.p/hw_misc_kph.c.o",
        "../hw/misc/kph.c:7:10: fatal error: kph_dma_regs.h: No such file or directory",
        "/usr/bin/ld: a.o: undefined reference to `frob'",
        'ERROR: modpost: "iommu_sva_bind_device_pasid" [sva.ko] undefined!',
        '../meson.build:1:0: ERROR: Dependency "glib-2.0" not found, tried pkgconfig',
        "ninja: error: loading 'build.ninja': No such file or directory",
        "gcc: fatal error: Killed signal terminated program cc1",
    ],
)
def test_each_tool_is_understood(line: str) -> None:
    assert toolchain.error_lines(f"[1/9] Compiling\n{line}\n[2/9] Compiling\n") == (line,)


def test_a_log_without_a_known_complaint_shows_its_end() -> None:
    log = "\n".join(f"line {number}" for number in range(100))
    assert toolchain.error_lines(log, limit=3) == ("line 97", "line 98", "line 99")


def test_warnings_and_file_names_are_not_errors() -> None:
    log = "  CC      lib/error.o\nx.c:1:1: warning: unused [-Wunused]\n  CC  drivers/xen-error-injection.o\ndone\n"
    assert toolchain.error_lines(log, limit=1) == ("done",)
