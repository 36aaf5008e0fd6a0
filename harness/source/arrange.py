"""Which drafts of a mailbox make up the series, and in which order (pure)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import UserError
from harness.source.mail import Draft

_SPLIT = "put the one series that you mean into a file of its own"


@dataclass(frozen=True)
class Batch:
    """What one --series gave."""

    title: str  # subject of the cover letter, or of the first patch
    drafts: tuple[Draft, ...]  # in the order of application
    base_commit: str = ""  # commit that the author worked on, when the series says so
    prerequisites: int = 0  # how many other patches it says it stands on


def arrange(drafts: Sequence[Draft], what: str, say: Callable[[str], None]) -> Batch:
    """Order the patches among ``drafts``, drop the rest, and tell through ``say`` what was dropped.

    Numbered patches go by their n/M, others keep their order. The highest
    version wins. Raises UserError: no patch, a part missing, more than one series.
    """
    # A cover letter may hold a diff as well: git format-patch --interdiff writes one there.
    patches = _unique(
        [draft for draft in drafts if draft.has_diff and not draft.label.reply and draft.label.number != 0]
    )
    if not patches:
        patches = _lone_reply(drafts, what, say)
    version = max(draft.label.version for draft in patches)
    older = [draft for draft in patches if draft.label.version != version]
    newest = [draft for draft in patches if draft.label.version == version]
    if older:
        _same_work(older, newest, what)
        say(f"{what} holds {_versions(older)} and v{version} of the series: v{version} is used")
    dropped = [draft for draft in drafts if draft.has_diff and draft.label.reply and draft not in patches]
    if dropped:
        say(f"{what}: a diff in a reply is left out: {dropped[0].label.title!r}" + _and_more(len(dropped) - 1))
    ordered = _numbered(newest, what, say) if any(draft.label.number for draft in newest) else newest
    return _batch(drafts, ordered, version)


def _batch(drafts: Sequence[Draft], ordered: Sequence[Draft], version: int) -> Batch:
    total = ordered[0].label.total
    covers = [
        draft
        for draft in drafts
        if not draft.label.reply and (draft.label.number, draft.label.version, draft.label.total) == (0, version, total)
    ]
    bases = [draft.base_commit for draft in (*covers, *ordered) if draft.base_commit]
    title = covers[0].label.title if covers else ordered[0].label.title
    needs = max(draft.prerequisites for draft in (*covers, *ordered))
    return Batch(title, tuple(ordered), bases[0] if bases else "", needs)


def _numbered(patches: Sequence[Draft], what: str, say: Callable[[str], None]) -> list[Draft]:
    loose = [draft for draft in patches if not draft.label.number]
    for draft in loose:
        if not draft.answers:
            raise UserError(f"{what} holds a numbered series and also {draft.label.title!r}", _SPLIT)
        say(f"{what}: a patch that answers the series is left out: {draft.label.title!r}")
    parts = [draft for draft in patches if draft.label.number]
    totals = sorted({draft.label.total or 0 for draft in parts})
    if len(totals) > 1:
        raise UserError(f"{what} holds series of {' and of '.join(map(str, totals))} patches", _SPLIT)
    placed: dict[int, Draft] = {}
    for draft in parts:
        number = draft.label.number or 0
        other = placed.setdefault(number, draft)
        if other is not draft:
            raise UserError(
                f"{what} holds two patches {number}/{totals[0]}: {other.label.title!r} and {draft.label.title!r}",
                _SPLIT,
            )
    missing = [str(number) for number in range(1, totals[0] + 1) if number not in placed]
    if missing:
        version = parts[0].label.version
        raise UserError(
            f"{what} lacks patch {', '.join(missing)} of {totals[0]} of the series"
            + (f" (v{version})" if version > 1 else ""),
            "add the missing mail; if it was only resent in part, put the parts that belong together into one file",
        )
    return [placed[number] for number in sorted(placed)]


def _unique(patches: Sequence[Draft]) -> list[Draft]:
    """Without mails that came twice: by id, or resent with the same label and diff."""
    kept: dict[object, Draft] = {}
    seen_ids: set[str] = set()
    for draft in patches:
        if draft.message_id and draft.message_id in seen_ids:
            continue
        seen_ids.add(draft.message_id)
        label = draft.label
        kept.setdefault((label.title, label.version, label.number, label.total, _diff_part(draft.text)), draft)
    return list(kept.values())


def _diff_part(text: bytes) -> bytes:
    start = text.find(b"diff --git ")
    return text[start:].split(b"\n-- \n")[0].strip() if start >= 0 else text.strip()


def _lone_reply(drafts: Sequence[Draft], what: str, say: Callable[[str], None]) -> list[Draft]:
    replies = [draft for draft in drafts if draft.has_diff]
    if len(replies) == 1:
        say(f"{what}: the only diff is in a reply; it is taken as the patch: {replies[0].label.title!r}")
        return replies
    if replies:
        raise UserError(f"{what} holds no patch, only replies with diffs in them", _SPLIT)
    raise UserError(
        f"{what} holds no patch",
        "a patch has a line that starts with 'diff --git' or with '--- '; was the mail saved as text, unquoted?",
    )


def _same_work(older: Sequence[Draft], newest: Sequence[Draft], what: str) -> None:
    """Raise UserError when patches of other versions are plainly another series."""
    numbered = any(draft.label.number for draft in (*older, *newest))
    titles = {draft.label.title for draft in newest}
    strangers = [draft for draft in older if draft.label.title not in titles and not draft.answers]
    if not numbered and strangers:
        raise UserError(f"{what} holds unrelated patches: {strangers[0].label.title!r}, {min(titles)!r}", _SPLIT)


def _versions(drafts: Sequence[Draft]) -> str:
    return ", ".join(f"v{version}" for version in sorted({draft.label.version for draft in drafts}))


def _and_more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""
