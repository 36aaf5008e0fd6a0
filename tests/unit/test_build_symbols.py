"""File and line of frames, from images that a compiler made here."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.build.elf import functions
from harness.build.symbols import Symbols, parse
from harness.model import Kernel, Module, Splat, SplatKind
from harness.proc import Door

MAIN = """\
void outer(int);
int start_kernel(void)
{
	outer(3);
	return 0;
}
int _start(void) { return start_kernel(); }
"""
CODE = """\
volatile int sink;
__attribute__((noinline)) void callee(int x)
{
	sink = x;
}
static inline __attribute__((always_inline)) void inner(int x)
{
	callee(x);
}
__attribute__((noinline)) void outer(int x)
{
	inner(x);

	sink = 1;
}
"""
CALL, BODY, INLINED = 8, 4, 12  # lines of CODE: of the call, what callee does, where inner is called


@dataclass(frozen=True)
class Built:
    """A kernel and a module, made by a cross compiler."""

    cross: str
    kernel: Kernel
    module: Module
    log: Path

    def symbols(self) -> Symbols:
        return Symbols(self.kernel, self.module, self.cross, Door(self.log))

    def after_call(self, image: Path) -> tuple[int, int]:
        """Offset in ``outer`` of the instruction after its call of ``callee``, and the size of ``outer``."""
        text = _run(f"{self.cross}objdump", "-d", "-r", image)
        body = text.split("<outer>:", 1)[1].split("\n\n", 1)[0].splitlines()
        begin = int(re.search(r"([0-9a-f]+) <outer>:", text)[1], 16)  # type: ignore[index]
        lines = [line for line in body if re.match(r"\s*[0-9a-f]+:\t", line)]
        at = next(number for number, line in enumerate(lines) if re.search(r"\t(?:call|callq|bl)\s", line))
        return int(lines[at + 1].split(":")[0], 16) - begin, _size(image, self.cross)


def _size(image: Path, cross: str) -> int:
    listed = _run(f"{cross}nm", "-S", image)
    return int(re.search(r"^\S+ (\S+) T outer$", listed, re.MULTILINE)[1], 16)  # type: ignore[index]


def _run(*words: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run([*map(str, words)], check=True, capture_output=True, text=True, cwd=cwd).stdout


@pytest.fixture(scope="module", params=["x86_64-linux-gnu-", "aarch64-linux-gnu-"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    cross = request.param
    if not shutil.which(f"{cross}gcc"):
        pytest.skip(f"needs {cross}gcc")
    yield make(tmp_path_factory.mktemp("built"), cross)


def make(folder: Path, cross: str, *words: str) -> Built:
    tree, store = folder / "linux", folder / "store"
    for file, text in (("init/main.c", MAIN), ("drivers/code.c", CODE)):
        (tree / file).parent.mkdir(parents=True)
        (tree / file).write_text(text)
    store.mkdir()
    flags = ("-g", "-O2", "-fno-pie", "-fno-optimize-sibling-calls", *words)
    sources = (tree / "init/main.c", tree / "drivers/code.c")
    _run(f"{cross}gcc", *flags, "-static", "-no-pie", "-nostdlib", "-o", store / "vmlinux", *sources)
    _run(f"{cross}gcc", *flags, "-c", "-o", store / "mine.ko", sources[1])
    (store / "System.map").write_text(_run(f"{cross}nm", "-n", store / "vmlinux"))
    kernel = Kernel("k", store, store / "vmlinux", store / "System.map", store / "config", "7.3.4", 0.0)
    return Built(cross, kernel, Module("m", (store / "mine.ko",)), folder / "commands.log")


def splat(*text: str) -> Splat:
    return Splat(SplatKind.WARN, "WARNING in outer", ("callee", "outer"), text, 1)


def test_a_return_address_is_the_line_of_its_call(built: Built) -> None:
    offset, size = built.after_call(built.kernel.folder / "vmlinux")
    (found,) = built.symbols().placed((splat("Call Trace:", f" outer+{offset:#x}/{size:#x}"),))
    assert [(place.function, place.file, place.line) for place in found.places] == [
        ("inner", "drivers/code.c", CALL),
        ("outer", "drivers/code.c", INLINED),
    ]
    assert {place.frame for place in found.places} == {f"outer+{offset:#x}/{size:#x}"}


@pytest.mark.parametrize("line", ["RIP: 0010:{}", "pc : {}", " {} (P)"])
def test_an_instruction_is_looked_up_where_it_is(built: Built, line: str) -> None:
    offset, size = built.after_call(built.kernel.folder / "vmlinux")
    (found,) = built.symbols().placed((splat(line.format(f"outer+{offset:#x}/{size:#x}")),))
    assert [place.function for place in found.places] == ["outer"]
    assert found.places[0].line > INLINED, "the call is over"


def test_a_module_is_its_own_image(built: Built) -> None:
    offset, size = built.after_call(built.module.files[0])
    text = (
        f" outer+{offset:#x}/{size:#x} [mine]",
        " outer+0x4/0x10 [another]",
        f" ? outer+{offset:#x}/{size:#x} [mine]",
    )
    (found,) = built.symbols().placed((splat(*text),))
    assert [(place.function, place.file, place.line) for place in found.places] == [
        ("inner", "code.c", CALL),
        ("outer", "code.c", INLINED),
    ]


def test_one_process_for_each_image(built: Built) -> None:
    before = len(built.log.read_text().splitlines()) if built.log.exists() else 0
    text = (" outer+0x4/0x10", " callee+0x4/0x10", " outer+0x4/0x10 [mine]", " callee+0x4/0x10 [mine]")
    found = built.symbols().placed((splat(*text), splat(*text[:1]), splat("nothing")))
    assert [len({place.frame for place in each.places}) for each in found] == [4, 1, 0]
    assert len(built.log.read_text().splitlines()) - before == 2


def test_a_function_that_is_there_twice_has_no_place_unless_its_size_tells(built: Built, tmp_path: Path) -> None:
    lines = built.kernel.symbols.read_text()
    outer = int(re.search(r"^(\S+) T outer$", lines, re.MULTILINE)[1], 16)  # type: ignore[index]
    twice = tmp_path / "System.map"
    twice.write_text(f"{lines}{outer + 0x100000:016x} t outer\n{outer + 0x100123:016x} t another\n")
    kernel = dataclasses.replace(built.kernel, symbols=twice)
    symbols = Symbols(kernel, built.module, built.cross, Door())
    assert symbols.placed((splat(" outer+0x4/0x999"),))[0].places == ()
    starts = sorted({int(line.split()[0], 16) for line in twice.read_text().splitlines() if line.split()[1] in "tTwW"})
    size = next(each for each in starts if each > outer) - outer
    assert symbols.placed((splat(f" outer+0x4/{size:#x}"),))[0].places


def test_an_image_without_line_numbers(tmp_path: Path) -> None:
    if not shutil.which("x86_64-linux-gnu-gcc"):
        pytest.skip("needs x86_64-linux-gnu-gcc")
    plain = make(tmp_path, "x86_64-linux-gnu-", "-g0")
    assert not plain.symbols().known()
    assert plain.symbols().placed((splat(" outer+0x4/0x10"),))[0].places == ()


def test_an_image_with_line_numbers(built: Built) -> None:
    assert built.symbols().known()


def test_functions_of_a_module(built: Built) -> None:
    found = {each.name: each for each in functions(built.module.files[0].read_bytes())}
    assert found.keys() == {"callee", "outer"}
    assert found["outer"].size == _size(built.module.files[0], built.cross)
    assert all(each.section.startswith(".text") for each in found.values())


def test_what_addr2line_does_not_know() -> None:
    said = "0x00000001\n??\n??:0\n0x2\nf\n/a/b.c:7 (discriminator 3)\ng\n/a/c.c:?\n"
    assert parse(said) == [[("??", "??:0")], [("f", "/a/b.c:7"), ("g", "/a/c.c:?")]]
    assert parse("") == []
