"""A miniature kernel tree that really builds: a Makefile that does for a dozen lines of C what the kernel's does.

It leaves what the build room reads: .cmd files, a configuration, exported symbols, an image with a build id. What it
was asked for is in ``goals`` of the output directory, one a line.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from harness.build.kernel import Workshop
from harness.build.module import Suite
from harness.machine.target import KernelRecipe
from harness.model import Tree
from tests.unit.source_tree import Desk, git, write_tree

_MAKEFILE = r"""
VERSION = 7
PATCHLEVEL = 3
SUBLEVEL = 4
EXTRAVERSION =
# $(call compile,object,source,its .cmd file): the tree's paths are absolute, those of the output directory relative
deps = sed 's/^[^ ]*://; s/\\$$//' d | xargs -n 1 printf '  %s \\\n'
compile = cd $(O) && gcc -c -fno-pie $(KCFLAGS) -MMD -MF d -I$(CURDIR)/include -Iinclude -o $1 $2 && \
	{ echo "source_$1 := $2"; echo "deps_$1 := \\"; $(deps); } > $3

ifdef M
modules:
	echo module >> $(O)/goals
	cmp $(O)/vmlinux.symvers $(O)/Module.symvers
	$(call compile,$(M)/one.ko,$(M)/one.c,$(M)/.one.ko.cmd)
else
tinyconfig:
	echo configure >> $(O)/goals
	cat Kconfig > $(O)/.config
olddefconfig:
	true
vmlinux:
	echo vmlinux >> $(O)/goals
	mkdir -p $(O)/init $(O)/include/config $(O)/include/generated $(O)/scripts
	cp $(O)/.config $(O)/include/config/auto.conf
	cp generated $(O)/include/generated/autoconf.h
	echo 7.3.4$(LOCALVERSION) > $(O)/include/config/kernel.release
	touch $(O)/scripts/module.lds $(O)/System.map
	$(call compile,init/main.o,$(CURDIR)/init/main.c,init/.main.o.cmd)
	gcc -no-pie -nostdlib -static -Wl,-e,start -Wl,--build-id=$(shell cat build-id) -o $(O)/vmlinux $(O)/init/main.o
	tr ' ' '\t' < exports > $(O)/vmlinux.symvers
modules_prepare:
	echo prepare >> $(O)/goals
modules:
	echo modules >> $(O)/goals
	cp $(O)/vmlinux.symvers $(O)/Module.symvers
endif
"""
FILES = {
    "Makefile": _MAKEFILE,
    "Kconfig": "CONFIG_TINY=y\n",
    "Kbuild": "# nothing\n",
    "build-id": "sha1\n",
    "generated": "#define CONFIG_TINY 1\n",
    "exports": "0x0 bind vmlinux EXPORT_SYMBOL_GPL \n0x0 other vmlinux EXPORT_SYMBOL \n",
    "init/main.c": "#include <linux/all.h>\nint version = ALL;\nvoid start(void) { for (;;) ; }\n",
    "init/unused.c": "int unused;\n",
    "drivers/iommu/unused.c": "int unused;\n",
    "include/linux/all.h": "#define ALL 1\n",
    "include/linux/bind.h": "int bind(void);\n",
    "include/linux/asked.h": "/* looked at by the module's Kbuild file alone */\n",
    "include/linux/unused.h": "int unused;\n",
    "Documentation/sva.rst": "Shared addresses\n",
    "MAINTAINERS": "Maintainers\n",
    "scripts/kconfig/merge_config.sh": '#!/bin/sh\ncat "$5" >> "$4"\n',
    "scripts/unused.c": "int unused;\n",
    "tools/testing/selftests/Makefile": "all:\n",
    "arch/other/kernel/head.c": "int head;\n",
}
_RECIPE = KernelRecipe(make_arch="x86_64", fragments=("tiny",), goal="vmlinux", image="vmlinux", cmdline=())
_MODULE = "#include <linux/bind.h>\n#include <generated/autoconf.h>\nint one(void) { return bind() + CONFIG_TINY; }\n"


@dataclasses.dataclass
class Yard:
    """Where trees are made and built."""

    desk: Desk
    repo: Path  # the user's repository
    suite: Suite
    shop: Workshop
    out: Path

    @staticmethod
    def at(folder: Path, wanted: str = "CONFIG_WANTED=y\n", *, sandbox: bool = False) -> Yard:
        """``wanted``: the fragment; the test has put ``folder`` in the place of the data."""
        desk = Desk.at(folder)
        repo = folder / "linux"
        write_tree(repo, FILES)
        (repo / "scripts/kconfig/merge_config.sh").chmod(0o755)
        for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "base")):
            git(repo, *words)
        (folder / "tiny.config").write_text(wanted)
        module = folder / "suite"
        module.mkdir()
        (module / "one.c").write_text(_MODULE)
        (module / "Kbuild").write_text("seen := $(shell grep -c y $(srctree)/include/linux/asked.h)\n")
        shop = Workshop(_RECIPE, "x86_64", "base", desk.cache, desk.door, desk.ui, folder, sandbox=sandbox)
        return Yard(desk, repo, Suite("one", module, (), ("one.ko",)), shop, Path())

    def tree(self, **changes: str | None) -> Tree:
        """The tree with other contents in some files, __ for / and _dot_ for . in their names; None: without it."""
        git(self.repo, "checkout", "-q", "-f", "main")
        git(self.repo, "clean", "-fdq")
        for name, content in changes.items():
            file = self.repo / name.replace("__", "/").replace("_dot_", ".")
            if content is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-q", "--allow-empty", "-m", "change")
        git(self.repo, "branch", "-f", "wanted")
        git(self.repo, "reset", "-q", "--hard", "HEAD~")
        return self.desk.tree(self.repo, "wanted")

    def other_shop(self, arch: str, flavour: str = "base") -> Workshop:
        """Builds kernels of other options from the same trees, in an output directory of its own."""
        folder = self.repo.parent
        (folder / "flavour-leak.config").write_text("CONFIG_LEAK=y\n")
        return Workshop(
            _RECIPE, arch, flavour, self.desk.cache, self.desk.door, self.desk.ui, folder, f"CONFIG_{arch}=y\n"
        )

    def asked(self) -> list[str]:
        """What make was asked for since the last time."""
        goals = next(iter(self.desk.cache.room("slots").glob("*/out-*/goals")), None)
        if goals is None:
            return []
        found = goals.read_text().split()
        goals.unlink()
        return found
