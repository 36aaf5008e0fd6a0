"""Reading the machine's apt configuration, and using its archive with lists of our own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.apt import PrivateApt
from harness.apt_output import offers, sort_key, upstream, uris, why
from harness.apt_sources import Archive, debian_archive, parse_deb822, parse_list
from harness.cache import Cache
from harness.errors import InfraError
from harness.proc import Door
from tests.unit.fake_commands import FakeApt

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApt:
    return FakeApt(tmp_path / "machine", monkeypatch)


@pytest.fixture
def apt(tmp_path: Path) -> PrivateApt:
    return PrivateApt(Cache(tmp_path / "cache"), Door())


# --- sources ----------------------------------------------------------------------
def test_one_line_style() -> None:
    found = parse_list(
        f"# deb http://commented.invalid/debian sid main\n"
        f"deb-src http://src.invalid/debian trixie main\n"
        f"deb [ arch=amd64,arm64 signed-by={KEYRING} check-valid-until=no ]"
        f" http://a.invalid/debian trixie main contrib # x\n"
        f"   deb http://b.invalid/debian trixie-updates main\n"
        f"deb broken\n"
    )
    assert found == (
        Archive(
            "http://a.invalid/debian",
            ("trixie",),
            ("main", "contrib"),
            (("Signed-By", KEYRING), ("Check-Valid-Until", "no")),
        ),
        Archive("http://b.invalid/debian", ("trixie-updates",), ("main",), ()),
    )


DEB822 = f"""\
# the machine's own
Types: deb deb-src
URIs: http://a.invalid/debian/ http://second.invalid/debian
Suites: trixie
 trixie-updates
Components: main
Architectures: amd64
Signed-By: {KEYRING}

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: trixie
Components: main

types: deb
uris: http://inline.invalid/debian
suites: trixie
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYB
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_deb822_style() -> None:
    found = parse_deb822(DEB822)
    assert [archive.uri for archive in found] == [
        "http://a.invalid/debian/",
        "http://second.invalid/debian",
        "http://inline.invalid/debian",
    ]
    assert found[0].suites == ("trixie", "trixie-updates")
    assert found[0].options == (("Signed-By", KEYRING),)
    assert dict(found[2].options)["signed-by"].splitlines()[2:4] == [" .", " mDMEY865UxYJKwYB"]


def test_our_stanza_changes_only_the_suite() -> None:
    first, _, inline = parse_deb822(DEB822)
    assert first.stanza("deb", ("sid", "trixie-backports"), ("main",)) == (
        "Types: deb\nURIs: http://a.invalid/debian/\nSuites: sid trixie-backports\nComponents: main\n"
        f"Targets: Packages\nSigned-By: {KEYRING}\n"
    )
    again = parse_deb822(inline.stanza("deb", ("sid",), ("main",)))
    assert again == (Archive(inline.uri, ("sid",), ("main",), inline.options),)
    assert "Targets: Sources\n" in first.stanza("deb-src", ("sid",), ("main",))


@pytest.mark.parametrize(
    ("lines", "uri"),
    [
        (["http://security.invalid/debian-security trixie-security main", "http://a.invalid/debian trixie main"], 1),
        (["http://cloud.invalid/apt cloud-sdk-bookworm main", "http://a.invalid/debian bookworm main"], 1),
        (["http://docker.invalid/linux/debian trixie stable", "http://a.invalid/mirror trixie main"], 1),
        (["http://vendor.invalid/debian/13/prod trixie main", "http://a.invalid/debian trixie main"], 1),
        (["http://db.invalid/pub/repos/apt trixie-pgdg main", "http://a.invalid/debian sid main"], 1),
        (["cdrom:[Debian]/ trixie main", "http://a.invalid/debian trixie-updates main"], 1),
        (["http://s.invalid/archive/debian/20250101T000000Z/ sid main", "http://a.invalid/debian sid main"], 1),
        (["http://first.invalid/debian trixie main", "http://a.invalid/debian sid main"], 0),
        (["mirror+file:/etc/apt/mirrors.list trixie main"], 0),
        (["http://ubuntu.invalid/ubuntu noble main universe"], None),
        ([], None),
    ],
)
def test_the_debian_archive_is_told_from_others(lines: list[str], uri: int | None) -> None:
    found = debian_archive(parse_list("".join(f"deb {line}\n" for line in lines)))
    assert (found.uri if found else None) == (lines[uri].split()[0] if uri is not None else None)


def test_a_release_newer_than_we_know() -> None:
    lists = parse_list("deb http://a.invalid/debian zurg main\n")
    assert debian_archive(lists) is None
    assert debian_archive(lists, codename="zurg") == lists[0]


# --- versions ---------------------------------------------------------------------
# deb-version(7), "Sorting algorithm", and Debian policy 5.6.12
ORDERED = [
    "1.0~~",
    "1.0~~a",
    "1.0~",
    "1.0",
    "1.0-1~bpo13+1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-2",
    "1.0-10",
    "1.0a",
    "1.0+",
    "1.0.1",
]


def test_versions_are_ordered_as_dpkg_does() -> None:
    assert sorted(reversed(ORDERED), key=sort_key) == ORDERED
    assert sort_key("1:0.1") > sort_key("9.9")
    assert sort_key("7.3.10-1") > sort_key("7.3.9-1")
    assert sort_key("7.3.4-1") > sort_key("7.3.4-1~bpo13+1") > sort_key("7.3.4~rc7-1~exp1")


@given(st.lists(st.from_regex(r"[0-9][0-9a-z.+~]{0,6}(-[0-9a-z+~]{1,3})?", fullmatch=True), min_size=3, max_size=3))
def test_versions_have_one_order(versions: list[str]) -> None:
    first, second, third = sorted(versions, key=sort_key)
    assert sort_key(first) <= sort_key(second) <= sort_key(third)
    assert sort_key(first + "~") < sort_key(first)


def test_offers_are_sorted_whatever_apt_prints() -> None:
    table = (
        " qemu | 1:10.2.2+ds-1 | http://a.invalid/debian sid/main Sources\n"
        " qemu | 1:11.1.3+ds-1 | http://a.invalid/debian sid/main Sources\n"
        " qemu | 1:11.1.3+ds-1~bpo13+1 | http://a.invalid/debian trixie-backports/main Sources\n"
        " qemu-x | 9 | http://a.invalid/debian sid/main Sources\nW: noise\n"
    )
    assert [offer.version for offer in offers(table, "qemu")] == [
        "1:11.1.3+ds-1",
        "1:11.1.3+ds-1~bpo13+1",
        "1:10.2.2+ds-1",
    ]
    assert upstream("1:10.2.2+ds-1") == "10.2.2"
    assert upstream("7.3.4-1~bpo13+1") == "7.3.4"
    assert uris("'http://a.invalid/x%3a1_all.deb' x_1%3a1_all.deb 1234 SHA256:ff\nNeed 1\n") == (
        ("x_1%3a1_all.deb", 1234),
    )


@pytest.mark.parametrize(
    ("output", "message", "hint"),
    [
        (
            "Err:1 x\nW: GPG error: x NO_PUBKEY 6ED0E7B82643E131\nE: not signed",
            "6ED0E7B82643E131",
            "debian-archive-keyring",
        ),
        ("W: OpenPGP signature verification failed: Missing key B8B80B5B623E, which is", "B8B80B5B623E", "keyring"),
        ("E: Failed to fetch http://a  Temporary failure resolving 'a'", "no network", "proxy"),
        ("E: Failed to fetch x  Could not connect to a:80", "no network", "proxy"),
        ("E: Release file for x is not valid yet (invalid for another 3h)", "not valid yet", "clock"),
        ("E: Write error - write (28: No space left on device)", "No space left", "XDG_CACHE_HOME"),
        ("W: a\nE: The repository 'x' does not have a Release file.", "a", "apt-get update"),
    ],
)
def test_the_cause_of_a_failure(output: str, message: str, hint: str) -> None:
    said = why(output)
    assert message in said[0]
    assert hint in said[1]


# --- the machine ------------------------------------------------------------------
def test_the_highest_version_of_all_suites_is_fetched_once(archive: FakeApt, apt: PrivateApt) -> None:
    archive.offer("linux-source-7.3", "7.3.4-1~bpo13+1", "trixie-backports/main")
    archive.offer("linux-source-7.3", "7.3.10-1")
    deb = apt.download("linux-source-7.3")
    assert deb.name == "linux-source-7.3_7.3.10-1_all.deb"
    assert deb.is_relative_to(apt.cache.root)
    assert apt.download("linux-source-7.3") == deb
    assert apt.download("linux-source-7.3", version="7.3.4-1~bpo13+1").name.endswith("bpo13+1_all.deb")
    assert archive.calls("update") == 1
    stanza = (archive.home / "stanza").read_text()
    assert "URIs: http://archive.invalid/debian\nSuites: sid trixie-backports\n" in stanza
    assert "Signed-By: /k/debian-archive-keyring.gpg\n" in stanza


def test_lists_are_fetched_again_after_a_day(archive: FakeApt, apt: PrivateApt) -> None:
    archive.offer("hello", "1.0")
    apt.download("hello")
    stamp = next(apt.cache.root.glob("apt/state/*/refreshed"))
    hour = time.time() - 3600
    os.utime(stamp, (hour, hour))
    apt.download("hello")
    assert archive.calls("update") == 1
    os.utime(stamp, (hour - 86400, hour - 86400))
    apt.download("hello")
    assert archive.calls("update") == 2


def test_lists_are_fetched_again_for_a_new_name(archive: FakeApt, apt: PrivateApt) -> None:
    archive.offer("hello", "1.0")
    apt.download("hello")
    assert apt.offers("world") == ()
    assert archive.calls("update") == 1  # they are minutes old: asking again would not help
    stamp = next(apt.cache.root.glob("apt/state/*/refreshed"))
    hour = time.time() - 3600
    os.utime(stamp, (hour, hour))
    with pytest.raises(InfraError, match="world is not in sid, trixie-backports"):
        apt.download("world")
    assert archive.calls("update") == 2


def test_old_lists_serve_when_there_is_no_network(archive: FakeApt, tmp_path: Path) -> None:
    said: list[str] = []
    apt = PrivateApt(Cache(tmp_path / "cache"), Door(), said.append)
    archive.offer("hello", "1.0")
    deb = apt.download("hello")
    stamp = next(apt.cache.root.glob("apt/state/*/refreshed"))
    os.utime(stamp, (1, 1))
    archive.fail("E: Failed to fetch http://archive.invalid  Temporary failure resolving 'archive.invalid'")
    assert apt.download("hello") == deb
    assert any("cannot be brought up to date" in line and "no network" in line for line in said)


def test_no_network_and_no_lists(archive: FakeApt, apt: PrivateApt) -> None:
    archive.fail("E: Failed to fetch http://archive.invalid  Could not connect to archive.invalid:80")
    with pytest.raises(InfraError, match="cannot be fetched: no network") as caught:
        apt.download("hello")
    assert "proxy" in caught.value.hint


def test_a_failed_download_leaves_nothing(archive: FakeApt, apt: PrivateApt) -> None:
    archive.offer("hello", "1.0")
    apt.offers("hello")
    archive.fail("E: Failed to fetch http://archive.invalid/x  Connection timed out")
    with pytest.raises(InfraError, match="the download failed: no network"):
        apt.download("hello")
    assert not list((apt.cache.root / "apt/debs").iterdir())


def test_a_missing_version_names_those_there_are(archive: FakeApt, apt: PrivateApt) -> None:
    archive.offer("hello", "1.0")
    archive.offer("hello", "1.1")
    with pytest.raises(InfraError) as caught:
        apt.download("hello", version="2.0")
    assert caught.value.hint == "there is 1.1, 1.0"


def test_a_machine_without_a_debian_archive(archive: FakeApt, apt: PrivateApt) -> None:
    archive.sources.write_text("deb http://ubuntu.invalid/ubuntu noble main\n")
    with pytest.raises(InfraError, match="no Debian archive in its sources") as caught:
        apt.offers("hello")
    assert "tarball" in caught.value.hint


def test_a_machine_without_apt(apt: PrivateApt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InfraError, match="there is no apt") as caught:
        apt.offers("hello")
    assert "git checkout" in caught.value.hint


def test_sources_in_the_parts_folder_are_read(archive: FakeApt, apt: PrivateApt) -> None:
    archive.sources.unlink()
    parts = archive.home / "etc/sources.list.d"
    (parts / "a.list.disabled").write_text("deb http://off.invalid/debian trixie main\n")
    (parts / "b.list").write_text("deb http://cloud.invalid/apt cloud main\n")
    (parts / "debian.sources").write_text(DEB822)
    assert apt.archive().uri == "http://a.invalid/debian/"


def test_the_machines_own_state_is_left_alone(archive: FakeApt, apt: PrivateApt) -> None:
    archive.offer("hello", "1.0")
    apt.download("hello")
    config = next(apt.cache.root.glob("apt/state/*/apt.conf")).read_text()
    for name in ("Dir::State", "Dir::State::Lists", "Dir::State::status", "Dir::Cache", "Dir::Cache::archives"):
        assert f'{name} "{apt.cache.root}' in config
    assert "#clear APT::Update::Post-Invoke;" in config
    assert "#clear APT::Default-Release;" in config
    assert 'APT::Sandbox::User "root";' in config
