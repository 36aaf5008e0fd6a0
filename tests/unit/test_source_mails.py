"""Every sample under tests/data/source/mails gives the patches that its .yaml names."""

from __future__ import annotations

import functools
import random
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from harness.model import Series
from harness.source.apply import apply_series
from harness.source.arrange import arrange
from harness.source.mail import parse_subject, read, split_mailbox
from harness.source.series import load_series
from tests.unit.source_tree import BASE, DATA, PATCHES, Desk, files_after, git, user_repo, write_tree

MAILS = DATA / "mails"
SAMPLES = sorted(path.name.removesuffix(".yaml") for path in MAILS.glob("*.yaml"))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk.at(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return user_repo(tmp_path_factory.mktemp("user") / "linux")


def load(desk: Desk, repo: Path, *specs: Path) -> Series:
    series = load_series([str(spec) for spec in specs], desk.tree(repo), desk.cache, desk.door, desk.ui)
    assert series is not None
    return series


@functools.cache
def content_after(*numbers: int) -> str:
    """The git tree id of the miniature tree with these patches, as git itself makes it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = user_repo(Path(scratch))
        write_tree(folder, files_after(*numbers))
        git(folder, "add", "-A")
        return git(folder, "write-tree")


def test_every_mail_has_an_expectation() -> None:
    mails = {path.name for path in MAILS.iterdir() if path.suffix != ".yaml"}
    assert mails == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_sample(name: str, desk: Desk, repo: Path) -> None:
    expected = yaml.safe_load((MAILS / f"{name}.yaml").read_text())
    desk.screen.truncate(0)
    if "error" in expected:
        with pytest.raises(UserError) as caught:
            load(desk, repo, MAILS / name)
        assert expected["error"] in caught.value.message
        assert caught.value.hint
        return
    series = load(desk, repo, MAILS / name)
    wanted = [PATCHES[number - 1] for number in expected["patches"]]
    assert series.title == expected["title"]
    if expected["title"] != name:  # a bare diff has no subject
        assert [patch.subject for patch in series.patches] == [title for title, _ in wanted]
    assert [set(patch.files) for patch in series.patches] == [set(files) for _, files in wanted]
    assert [patch.number for patch in series.patches] == list(range(1, len(wanted) + 1))
    assert {patch.strip for patch in series.patches} == {expected.get("strip", 1)}
    assert series.base_commit == expected.get("base", series.base_commit)
    assert [patch.author for patch in series.patches] == expected.get("authors", [p.author for p in series.patches])
    assert expected.get("said", "") in desk.said
    tree = apply_series(desk.tree(repo), series, desk.cache, desk.door)
    assert tree.content == content_after(*expected["patches"])


@pytest.mark.parametrize("path", sorted((DATA / "hostile").glob("*.patch")), ids=lambda path: path.stem)
def test_a_patch_that_leaves_the_tree_is_refused(path: Path, desk: Desk, repo: Path) -> None:
    expected = yaml.safe_load(path.with_name(path.name + ".yaml").read_text())
    with pytest.raises(UserError) as caught:
        load(desk, repo, path)
    assert expected["error"] in caught.value.message
    assert path.name in caught.value.message


def test_a_link_of_an_earlier_series_is_remembered(desk: Desk, repo: Path, tmp_path: Path) -> None:
    text = (DATA / "hostile" / "link-through.patch").read_text()
    cut = text.index("diff --git a/drivers/here/new.c")
    (tmp_path / "1.patch").write_text(text[:cut])
    (tmp_path / "2.patch").write_text(text[cut:])
    load(desk, repo, tmp_path / "1.patch")
    with pytest.raises(UserError, match="goes through the symbolic link drivers/here"):
        load(desk, repo, tmp_path / "1.patch", tmp_path / "2.patch")


def test_an_honest_link_is_taken(desk: Desk, repo: Path, tmp_path: Path) -> None:
    text = (DATA / "hostile" / "link-out.patch").read_text().replace("+../../up", "+../include/linux/iommu.h")
    (tmp_path / "link.patch").write_text(text)
    tree = apply_series(desk.tree(repo), load(desk, repo, tmp_path / "link.patch"), desk.cache, desk.door)
    assert tree.content != desk.tree(repo).content


def test_several_series_are_numbered_through(desk: Desk, repo: Path, tmp_path: Path) -> None:
    mails = split_mailbox((MAILS / "series.mbox").read_bytes())
    paths = []
    for place, mail in enumerate(mails[1:], 1):
        path = tmp_path / f"{place}.eml"
        path.write_bytes(mail.replace(b"/3]", b"/1]").replace(b"[PATCH %d/" % place, b"[PATCH 1/"))
        paths.append(path)
    series = load(desk, repo, *paths)
    assert [patch.number for patch in series.patches] == [1, 2, 3]
    assert series.specs == tuple(map(str, paths))
    assert apply_series(desk.tree(repo), series, desk.cache, desk.door).content == content_after(1, 2, 3)


# --- directories ----------------------------------------------------------------
def mails_in(folder: Path) -> list[bytes]:
    folder.mkdir()
    return list(split_mailbox((MAILS / "series.mbox").read_bytes()))


def test_directory_of_format_patch_files(desk: Desk, repo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "patches"
    for place, mail in enumerate(mails_in(folder)):
        (folder / f"{place:04d}-x.patch").write_bytes(mail)
    (folder / "README").write_text("not a patch\n")
    series = load(desk, repo, folder)
    assert series.title == "iommu/sva: Bonds that can be counted"
    assert len(series.patches) == 3


def test_directory_in_natural_order_when_nothing_is_numbered(desk: Desk, repo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "patches"
    for place, mail in enumerate(mails_in(folder)):
        (folder / f"{[0, 2, 9, 10][place]}-x.patch").write_bytes(mail[mail.find(b"\ndiff --git") + 1 :])
    (folder / "0-x.patch").unlink()
    series = load(desk, repo, folder)
    assert [patch.origin for patch in series.patches] == ["2-x.patch", "9-x.patch", "10-x.patch"]


def test_maildir(desk: Desk, repo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "Mail"
    mails = mails_in(folder)
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir()
    for place, mail in enumerate(mails):
        (folder / ("cur" if place % 2 else "new") / f"170000000{9 - place}.x:2,S").write_bytes(mail)
    assert [patch.subject for patch in load(desk, repo, folder).patches] == [title for title, _ in PATCHES]


def test_quilt_series(desk: Desk, repo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "patches"
    mails = mails_in(folder)
    (folder / "sub").mkdir()
    (folder / "zz.patch").write_bytes(mails[1])
    (folder / "sub" / "aa.diff").write_bytes(mails[2].replace(b" a/", b" x/a/").replace(b" b/", b" x/b/"))
    (folder / "unused.patch").write_bytes(mails[3])
    (folder / "series").write_text("# order matters\nzz.patch  # first\n\nsub/aa.diff -p2\n")
    series = load(desk, repo, folder)
    assert [(patch.origin, patch.strip) for patch in series.patches] == [("zz.patch", 1), ("sub/aa.diff", 2)]
    tree = apply_series(desk.tree(repo), series, desk.cache, desk.door)
    assert tree.content == content_after(1, 2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("zz.patch\ngone.patch\n", "lists gone.patch, which is not there"),
        ("zz.patch -R\n", "has '-R' after zz.patch"),
        ("# nothing\n", "lists no patch"),
    ],
)
def test_bad_quilt_series(text: str, error: str, desk: Desk, repo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "patches"
    (folder := folder).mkdir()
    shutil.copy(MAILS / "raw.eml", folder / "zz.patch")
    (folder / "series").write_text(text)
    with pytest.raises(UserError, match=error):
        load(desk, repo, folder)


def test_empty_things(desk: Desk, repo: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mbox").write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        load(desk, repo, tmp_path / "empty.mbox")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="holds no patch files"):
        load(desk, repo, tmp_path / "folder")
    (tmp_path / "damaged.mbox.gz").write_bytes((MAILS / "thread.mbox.gz").read_bytes()[:200])
    with pytest.raises(UserError, match="damaged gzip"):
        load(desk, repo, tmp_path / "damaged.mbox.gz")


def test_no_series(desk: Desk, repo: Path) -> None:
    assert load_series([], desk.tree(repo), desk.cache, desk.door, desk.ui) is None


def test_unknown_spec_names_the_forms(desk: Desk, repo: Path) -> None:
    with pytest.raises(UserError, match="there is no such file") as caught:
        load(desk, repo, Path("no/such.mbox"))
    for form in ("series.mbox", "patches/", "v7.3..my-branch", "b4:<message-id>"):
        assert form in caught.value.hint


# --- properties -----------------------------------------------------------------
def said_nothing(text: str) -> None:
    raise AssertionError(f"unexpected: {text}")


@given(order=st.permutations(range(4)), twice=st.lists(st.integers(0, 3), max_size=4))
def test_any_order_and_any_duplicates_give_the_series(order: list[int], twice: list[int]) -> None:
    raw = (MAILS / "series.mbox").read_bytes()
    line = b"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
    mails = split_mailbox(raw)
    box = b"".join(line + mails[place] for place in [*order, *twice])
    batch = arrange(read(box, "box"), "box", said_nothing)
    assert batch.title == "iommu/sva: Bonds that can be counted"
    assert [draft.label.title for draft in batch.drafts] == [title for title, _ in PATCHES]


@given(missing=st.sets(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_any_missing_part_is_named(missing: set[int], seed: int) -> None:
    mail = (MAILS / "raw.eml").read_bytes()
    parts = [number for number in range(1, 7) if number not in missing]
    random.Random(seed).shuffle(parts)
    line = b"From x@y Mon Sep 17 00:00:00 2001\n"
    made = [
        mail.replace(b"[PATCH]", b"[PATCH %d/6]" % number).replace(b".1-0-", b".%d-0-" % number) for number in parts
    ]
    with pytest.raises(UserError) as caught:
        arrange(read(b"".join(line + one for one in made), "box"), "box", said_nothing)
    assert f"lacks patch {', '.join(map(str, sorted(missing)))} of 6" in caught.value.message


_WORDS = st.text(alphabet="abcXYZ 09:/-_()", max_size=30).map(str.strip).filter(lambda text: text[:1].isalpha())


@given(
    title=_WORDS,
    version=st.integers(1, 40),
    total=st.integers(1, 99),
    replies=st.integers(0, 2),
    tag=st.sampled_from(["PATCH", "RFC PATCH", "PATCH net-next", "RFC", "PATCH RESEND"]),
)
def test_subjects(title: str, version: int, total: int, replies: int, tag: str) -> None:
    if parse_subject(title).title != title:  # the title itself looks like "Re: ..."
        return
    number = total // 2
    label = parse_subject(f"{'Re: ' * replies}[{tag} v{version} {number}/{total}] {title}")
    assert (label.title, label.version, label.number, label.total) == (title, version, number, total)
    assert label.reply is (replies > 0)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    for draft in read(data.removeprefix(b"\x1f\x8b"), "x"):
        assert draft.origin == "x"


def test_base_of_the_samples_is_the_miniature_tree(repo: Path) -> None:
    expected = yaml.safe_load((MAILS / "series.mbox.yaml").read_text())
    assert git(repo, "rev-parse", "base") == expected["base"]
    assert set(BASE) > {name for _, files in PATCHES for name in files} - {"include/linux/sva.h"}
