"""The host's programs of a kernel build, taken from an output directory beside: conf, fixdep, modpost, objtool.

They are the same for every configuration, and with objtool they are most of what comes before the first object of a
kernel (kernel-configs/README.md). make itself sees whether what it finds is what it would make, by times and by the
command in each ``.cmd`` file; what it would make with other words, as for another architecture, it makes again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_FOLDERS = ("scripts", "tools")  # of an output directory
_SCRATCH = ".kph-host-tools"
# In the command of whatever is made for the kernel (KBUILD_CPPFLAGS in the tree's Makefile). That depends on the
# configuration, and not always in a way that make sees: an option that is not there has no file that could be newer.
_KERNELS = b"-D__KERNEL__"


def adopt(out: Path, others: Iterable[Path]) -> None:
    """Give ``out``, where nothing was made yet, the host's programs of the first of ``others`` that has any.

    All of them were built from the work tree of ``out``, and no make runs in them.
    """
    scratch = out / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)  # of one that was cut off
    found = next((other for other in others if (other / _FOLDERS[0]).is_dir()), None)
    if found is None or any((out / name).exists() for name in _FOLDERS):
        return
    for name in _FOLDERS:
        if (found / name).is_dir():
            shutil.copytree(found / name, scratch / name, symlinks=True, ignore=_of_the_kernel)
    for file in scratch.rglob(".*.cmd"):
        _moved(file, found, out)
    for folder in scratch.iterdir():  # whole, or not at all
        folder.rename(out / folder.name)
    scratch.rmdir()


def _of_the_kernel(folder: str, names: list[str]) -> set[str]:
    """Those of the files ``names`` that were made for the kernel, and their ``.cmd`` files."""
    commands = (name for name in names if name.startswith(".") and name.endswith(".cmd"))
    made = {name for name in commands if _KERNELS in Path(folder, name).read_bytes()}
    return made | {name.removeprefix(".").removesuffix(".cmd") for name in made}


def _moved(file: Path, old: Path, new: Path) -> None:
    """Let ``file`` speak of the folder ``new`` where it does of ``old``; tools/ has absolute names."""
    text, times = file.read_bytes(), file.stat()
    file.write_bytes(text.replace(b"%b/" % os.fsencode(old), b"%b/" % os.fsencode(new)))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
