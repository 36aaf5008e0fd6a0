"""The archive that the kernel unpacks, read back by a small reader and by cpio(1)."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.build import cpio
from harness.build.cpio import Entry
from harness.proc import Door


def read(raw: bytes) -> Iterator[tuple[str, dict[str, int], bytes]]:
    """Every record of one or several archives, as the kernel's init/initramfs.c takes them."""
    names = [
        "ino",
        "mode",
        "uid",
        "gid",
        "nlink",
        "mtime",
        "size",
        "major",
        "minor",
        "rmajor",
        "rminor",
        "namesize",
        "check",
    ]
    at = 0
    while at < len(raw):
        if raw[at] == 0:  # padding between archives
            at += 1
            continue
        assert at % 4 == 0 and raw[at : at + 6] == b"070701"
        words = [int(raw[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        fields = dict(zip(names, words, strict=True))
        at += 110
        name = raw[at : at + fields["namesize"]]
        assert name[-1] == 0
        at = (at + fields["namesize"] + 3) & ~3
        content = raw[at : at + fields["size"]]
        assert len(content) == fields["size"]
        at = (at + fields["size"] + 3) & ~3
        if name != b"TRAILER!!!\0":
            yield name[:-1].decode(), fields, content


SAMPLE = (
    cpio.character_device("dev/console", 5, 1),
    cpio.file("init", b"\x7fELF...", 0o755),
    cpio.folder("root", 0o700),
    cpio.file("root/.ssh/authorized_keys", "ssh-ed25519 AAAA\n", 0o600),
    cpio.link("bin", "usr/bin"),
)


def test_what_was_put_in_comes_out() -> None:
    found = {name: (fields, content) for name, fields, content in read(cpio.archive(SAMPLE))}
    assert list(found) == ["dev", "dev/console", "init", "root", "root/.ssh", "root/.ssh/authorized_keys", "bin"]
    console = found["dev/console"][0]
    assert stat.S_ISCHR(console["mode"]) and (console["rmajor"], console["rminor"]) == (5, 1)
    assert found["init"][1] == b"\x7fELF..." and stat.S_IMODE(found["init"][0]["mode"]) == 0o755
    assert stat.S_IMODE(found["root"][0]["mode"]) == 0o700
    assert stat.S_ISLNK(found["bin"][0]["mode"]) and found["bin"][1] == b"usr/bin"
    assert all(fields["uid"] == fields["gid"] == fields["mtime"] == 0 for fields, _ in found.values())
    inodes = [fields["ino"] for fields, _ in found.values()]
    assert len(set(inodes)) == len(inodes)


def test_equal_entries_give_equal_bytes() -> None:
    assert cpio.archive(SAMPLE) == cpio.archive(tuple(SAMPLE))


def test_archives_may_follow_each_other() -> None:
    first = cpio.archive([cpio.file("a", b"1")])
    assert len(first) % 512 == 0
    both = first + cpio.archive([cpio.file("b", b"22")])
    assert [(name, content) for name, _, content in read(both)] == [("a", b"1"), ("b", b"22")]


@given(st.binary(max_size=600), st.text(alphabet="abcdefgh", min_size=1, max_size=40))
def test_any_length_of_name_and_content_is_aligned(content: bytes, name: str) -> None:
    raw = cpio.archive([cpio.file(name, content), cpio.file("z", b"end")])
    assert [(found, what) for found, _, what in read(raw)] == [(name, content), ("z", b"end")]


@pytest.mark.parametrize("path", ["/init", "a/../b", "./a", "a//b", ""])
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="plain"):
        cpio.archive([Entry(path, stat.S_IFREG)])


def test_a_path_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        cpio.archive([cpio.file("a", b""), cpio.file("a", b"")])


def test_a_folder_after_its_file_would_be_lost_and_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        cpio.archive([cpio.file("root/key", b""), cpio.folder("root", 0o700)])


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_itself_lists_the_same(tmp_path: Path) -> None:
    listing = Door().run(["cpio", "-itv"], timeout=30, stdin=cpio.archive(SAMPLE), env={"LC_ALL": "C", "TZ": "UTC"})
    lines = [line.split() for line in listing.output.splitlines() if "blocks" not in line]
    assert [words[0] for words in lines] == [
        *("drwxr-xr-x", "crw-------", "-rwxr-xr-x", "drwx------"),
        *("drwxr-xr-x", "-rw-------", "lrwxrwxrwx"),
    ]
    assert lines[1][4:6] == ["5,", "1"]
    assert lines[-1][-3:] == ["bin", "->", "usr/bin"]
