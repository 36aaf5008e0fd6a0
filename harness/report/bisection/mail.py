"""Text for the mail to the author and the list, in the form that regzbot reads.

The commands are those of the kernel's Documentation/process/handling-regressions.rst and of regzbot's own manual.
"""

from __future__ import annotations

import shlex
import textwrap

from harness.campaign.bisect.order import Found
from harness.report import clean

_WIDTH = 72
_LOG_LINES = 30  # of the console with the splat


def render(found: Found) -> str:
    """A mail to edit: the first lines are its head."""
    order, culprit = found.order, found.culprit
    what = "fixed by" if order.mends else "regression:"
    names = [culprit] if culprit else [commit for commit, _ in found.suspects]
    name = f"{culprit.short}" if culprit else f"one of {len(names)} commits"
    subject = clean.line(culprit.subject) if culprit else name
    lines = [f"Subject: {'' if order.mends else '[REGRESSION] '}{order.test} {what} {subject}"]
    if culprit:
        lines.append(f"To: {culprit.author}")
    lines += ["Cc: iommu@lists.linux.dev, regressions@lists.linux.dev", ""]
    lines += _wrapped(
        f"The test {order.test} {'passes' if order.mends else 'fails'} since {name}"
        + (f' ("{clean.line(culprit.subject)}").' if culprit else ":")
    )
    if not culprit:
        lines += [f"  {commit.short} {clean.line(commit.subject)}" for commit in names]
    lines += ["", "What is seen:", f"  {found.signature}", ""]
    lines += _proof(found)
    lines += _splat(found)
    lines += ["To reproduce, in a checkout of the commit:", f"  {shlex.join(_command(found))}", ""]
    if not order.mends:
        introduced = culprit.id if culprit else _range(found)
        title = f"{order.test}: {clean.line(str(found.signature))}"
        lines += [f"#regzbot introduced: {introduced}", f"#regzbot title: {title[:120]}"]
    elif culprit:
        lines += [f"#regzbot fix: {clean.line(culprit.subject)}"]
    return "\n".join(lines).rstrip() + "\n"


def _range(found: Found) -> str:
    """The suspects as git names a range: after what comes before the oldest, up to the newest."""
    assert found.search is not None
    index = found.search.graph.index
    commits = sorted((commit for commit, _ in found.suspects), key=lambda commit: index[commit.id])
    return f"{commits[0].parents[0] if commits[0].parents else found.old.id}..{commits[-1].id}"


def _command(found: Found) -> list[str]:
    """What tests one commit as this bisection did."""
    order, request = found.order, found.order.request
    words = ["kph", "test-commit", "--tree", ".", "--target", request.targets[0].name, "--suite", request.suite.name]
    words += ["--scenario", order.test]
    words += ["--flavour", request.flavours[0]] if request.flavours[0] != "base" else []
    words += ["--splat", order.title] if order.title else []
    usual = {name: each.default for name, each in request.suite.spec.behaviours.items()}
    changed = {name: value for name, value in request.behaviours.items() if usual.get(name) != value}
    words += [word for name, value in changed.items() for word in ("--expect", f"{name}={str(value).lower()}")]
    for name, value in (("--seed", request.tuning.seed), ("--stress", request.tuning.stress)):
        words += [name, str(value)] if value != 1 else []
    return words


def _proof(found: Found) -> list[str]:
    if found.culprit is None:
        return [*_wrapped(f"The bisection could not decide: {found.conclusion}."), ""]
    lines = []
    for finding in found.findings:
        held = {True: "yes", False: "NO", None: "not tried"}[finding.held]
        lines += _wrapped(f"* {finding.what}: {held}{f' ({finding.why})' if finding.why else ''}")
    return [*lines, ""]


def _splat(found: Found) -> list[str]:
    splat = found.signature.splat if found.signature else None
    if splat is None or not splat.frames:
        return []
    return ["Call trace:", *(f"  {frame}" for frame in splat.frames[:_LOG_LINES]), ""]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(clean.line(text), _WIDTH, subsequent_indent="  " if text.startswith("* ") else "")
