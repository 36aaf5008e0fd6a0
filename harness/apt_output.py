"""What apt prints, as values (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NO_NETWORK = re.compile(
    r"Could not resolve|Temporary failure resolving|Could not connect|Unable to connect|Network is unreachable"
    r"|Connection (timed out|refused|failed)|No route to host"
)


@dataclass(frozen=True)
class Offer:
    """One version of one package in the archive."""

    package: str
    version: str  # Debian version, epoch included
    suite: str  # suite and component that have it, e.g. sid/main


def offers(listing: str, package: str) -> tuple[Offer, ...]:
    """The lines of ``apt-cache madison`` that are about ``package``, highest version first."""
    found = set()
    for line in listing.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 3 and cells[0] == package:
            place = cells[2].split()
            found.add(Offer(package, cells[1], place[1] if len(place) > 1 else ""))
    return tuple(sorted(found, key=lambda offer: (sort_key(offer.version), offer.suite), reverse=True))


def sort_key(version: str) -> tuple[object, ...]:
    """A key that orders Debian versions as dpkg does (deb-version(7), "Sorting algorithm")."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    main, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return (int(epoch) if epoch.isdigit() else 0, _part_key(main), _part_key(revision))


def _part_key(text: str) -> tuple[object, ...]:
    pieces = re.findall(r"(\D*)(\d*)", text)  # ends with a pair of empty strings: the end of the text, which ~ precedes
    return tuple(((*(_rank(letter) for letter in word), 0), int(number or 0)) for word, number in pieces)


def _rank(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256


def upstream(version: str) -> str:
    """The upstream part of a Debian version (deb-version(7))."""
    return re.sub(r"^\d+:", "", version).rsplit("-", 1)[0].split("+dfsg")[0].split("+ds")[0]


def uris(listing: str) -> tuple[tuple[str, int], ...]:
    """(file name, size in bytes) of every line of ``apt-get --print-uris``."""
    return tuple((name, int(size)) for name, size in re.findall(r"^'\S+' (\S+) (\d+)", listing, re.M))


def as_argument(deb: str) -> str:
    """``name_1%3a2_arch.deb`` as ``name=1:2``."""
    name, version, _ = deb.rsplit("_", 2)
    return f"{name}={version.replace('%3a', ':')}"


def no_network(output: str) -> bool:
    """Whether a failed apt run could not reach the archive at all."""
    return _NO_NETWORK.search(output) is not None


def why(output: str) -> tuple[str, str]:
    """The cause of a failed apt run, and what to do about it."""
    key = re.search(r"(?:NO_PUBKEY|Missing key) ([0-9A-F]+)", output)  # as gpgv and as sqv say it
    if key:
        return (
            f"this machine lacks the archive's key {key[1]}",
            "install a newer debian-archive-keyring (apt install debian-archive-keyring), then run again",
        )
    errors = [line[2:].strip() for line in output.splitlines() if re.match(r"[EW]:", line)]
    first = next((line for line in errors if "Failed to fetch" in line), errors[0] if errors else output.strip()[-300:])
    if no_network(output):
        return f"no network: {first}", "check the connection and the proxy of apt, then run again"
    if "No space left" in output:
        return first, "free some space, or point XDG_CACHE_HOME at a larger disk"
    if "not valid yet" in output:
        return first, "set the machine's clock"
    return first, "the machine's own apt configuration gives the address; check it with: apt-get update"
