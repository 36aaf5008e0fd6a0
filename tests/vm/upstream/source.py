"""What tests the tree's own source declares."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.cache import Cache
from harness.proc import Door

_TEST = re.compile(r"^TEST(?:_F|_F_FORK|_F_SIGNAL|_F_TIMEOUT|_FAIL_NTH)\((\w+),\s*(\w+)", re.MULTILINE)
_VARIANT = re.compile(r"^FIXTURE_VARIANT_ADD\((\w+),\s*(\w+)\)", re.MULTILINE)
_FIXTURE = re.compile(r"^FIXTURE\((\w+)\)", re.MULTILINE)
_CASE = re.compile(r"^\tKUNIT_CASE(?:_FMT|_PARAM)?\((\w+)[,)]", re.MULTILINE)


def show(tree: Mapping[str, str], path: str) -> str:
    """The file ``path`` of a report's tree."""
    cache, door = Cache.default(), Door()
    for repo in sorted(cache.room("trees").glob("*.git")):
        done = door.run(["git", f"--git-dir={repo}", "show", f"{tree['commit']}:{path}"], timeout=60, check=False)
        if done.status == 0:
            return done.output
    raise AssertionError("no cache has the tree")


def harness_tests(source: str) -> set[str]:
    """Full names of the tests of a program that uses kselftest_harness.h: fixture, variant and test."""
    variants: dict[str, list[str]] = {fixture: [] for fixture in _FIXTURE.findall(source)}
    for fixture, variant in _VARIANT.findall(source):
        variants[fixture].append(f".{variant}")
    return {
        f"{fixture}{variant}.{test}" for fixture, test in _TEST.findall(source) for variant in variants[fixture] or [""]
    }


def kunit_cases(source: str) -> list[str]:
    """Names of the KUnit cases, in order."""
    return _CASE.findall(source)
