"""The report of a bisection: text, a page, JSON, a log for git, and a mail to whom it concerns."""

from __future__ import annotations

from collections.abc import Mapping

from harness.campaign.bisect import journal
from harness.campaign.bisect.order import Found
from harness.report.bisection import config, json_, mail, page, text_

LOG = "git-bisect.log"
TEXT = config.TEXT  # the report for people

__all__ = ["LOG", "TEXT", "config", "files", "text"]


def text(found: Found) -> str:
    """The report for people, as plain text."""
    return text_.render(found)


def files(found: Found) -> Mapping[str, str]:
    """File name -> content of all that is left in the folder of the bisection."""
    history = found.history.commits if found.history else ()
    subjects = {commit.id: commit.subject for commit in (found.old, *history)}
    log = journal.git_log(
        found.journal, subjects, mends=found.order.mends, culprit=found.culprit.id if found.culprit else ""
    )
    kept = {
        TEXT: text_.render(found),
        "report.json": json_.render(found),
        "report.html": page.render(found),
        LOG: log,
    }
    if found.signature is not None and (found.culprit or found.suspects):
        kept["regression-mail.txt"] = mail.render(found)
    return kept
