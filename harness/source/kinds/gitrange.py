"""A range of commits in the tree: ``A..B``, or one commit as ``REV^!``."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from harness.errors import UserError
from harness.source.arrange import Batch
from harness.source.git import Git
from harness.source.kind import Context, Kind
from harness.source.mail import Draft, Label

_FORM = re.compile(r"(?P<from>[^\s.-][^\s]*?)\.\.(?P<to>[^\s.]\S*)?|(?P<one>[^\s-]\S*)\^!")


def _accepts(spec: str) -> bool:
    return _FORM.fullmatch(spec) is not None and not Path(spec).expanduser().exists()


def _read(spec: str, context: Context) -> Batch:
    match = _FORM.fullmatch(spec)
    if match is None or "..." in spec:
        raise UserError(f"{spec!r} is not a range of commits", "write A..B with two dots, or REV^! for one commit")
    git = Git(context.door, context.tree.repo)
    start = _commit(git, match["from"] or f"{match['one']}^", spec, context)
    end = _commit(git, match["one"] or match["to"] or "HEAD", spec, context)
    listing = git.text("rev-list", "--reverse", "--topo-order", "--parents", f"{start}..{end}")
    lines = [line.split() for line in listing.splitlines() if re.fullmatch(r"[0-9a-f ]+", line)]
    merges = [words[0] for words in lines if len(words) > 2]
    commits = [words[0] for words in lines if len(words) == 2]
    if merges:
        context.ui.say(f"{spec}: {len(merges)} merge commits are left out, as git format-patch does")
    if not commits:
        raise UserError(f"{spec} holds no commits", "the range goes from the older commit to the newer one")
    return Batch(_title(git, commits), tuple(_draft(git, commit) for commit in commits), start)


def _commit(git: Git, revision: str, spec: str, context: Context) -> str:
    found = git.commit(revision)
    if found is None:
        raise UserError(
            f"{spec} is neither a file nor a range in {context.tree.spec}: {revision} is not a commit there",
            "give a file, a directory, A..B with two revisions of the tree, or b4:<message-id>",
        )
    return found


def _title(git: Git, commits: list[str]) -> str:
    return git.text("log", "-1", "--format=%s", commits[0]).strip()


def _draft(git: Git, commit: str) -> Draft:
    shown = git.text("log", "-1", "--encoding=UTF-8", "--format=%an <%ae>%n%s", commit).splitlines()
    author, title = (*shown, "", "")[:2]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "diff"
        words = ("--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "-M", f"--output={file}")
        git.text("diff-tree", "-p", "-r", "--root", "--no-commit-id", *words, commit)
        text = file.read_bytes()
    return Draft(Label(title), author, text, f"commit {commit[:12]}")


KIND = Kind("git range", "v7.3..my-branch", _accepts, _read)
