"""From --series options to one checked Series."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from harness.cache import Cache
from harness.errors import UserError
from harness.model import Patch, Series, Tree
from harness.proc import Door
from harness.source import kinds
from harness.source.arrange import Batch
from harness.source.diff import Damaged, find_strip, parse
from harness.source.guard import Guard
from harness.source.kind import Context, Kind
from harness.source.mail import Draft
from harness.ui import Ui


def load_series(specs: Sequence[str], tree: Tree, cache: Cache, door: Door, ui: Ui) -> Series | None:
    """Read every series of ``specs`` in their order, as one Series; None when there is none.

    Raises UserError: a spec that no kind reads, a series that is incomplete or
    damaged, a patch that reaches out of the tree. Nothing is applied here.
    """
    if not specs:
        return None
    context = Context(tree, cache, door, ui)
    guard = Guard()
    patches: list[Patch] = []
    batches: list[Batch] = []
    for spec in specs:
        batch = _find_kind(spec).read(spec, context)
        batches.append(batch)
        if batch.prerequisites:
            ui.say(f"{spec} says that it stands on {batch.prerequisites} other patches (prerequisite-patch-id)")
        for place, draft in enumerate(batch.drafts, 1):
            patches.append(_patch(draft, len(patches) + 1, f"{place}/{len(batch.drafts)}", guard))
    bases = [batch.base_commit for batch in batches if batch.base_commit]
    return Series(tuple(specs), batches[0].title, tuple(patches), bases[0] if bases else "")


def all_kinds() -> tuple[Kind, ...]:
    """Every kind, in the order of their module names."""
    found = []
    for info in sorted(pkgutil.iter_modules(kinds.__path__), key=lambda info: info.name):
        kind = importlib.import_module(f"{kinds.__name__}.{info.name}").KIND
        if not isinstance(kind, Kind):
            raise TypeError(f"{info.name}.KIND is not a Kind")
        found.append(kind)
    return tuple(found)


def _find_kind(spec: str) -> Kind:
    known = all_kinds()
    for kind in known:
        if kind.accepts(spec):
            return kind
    forms = ", ".join(f"{kind.example} ({kind.name})" for kind in known)
    missing = "there is no such file" if "/" in spec or Path(spec).suffix else "it is not one of the known forms"
    raise UserError(f"--series {spec}: {missing}", f"a series is one of: {forms}")


def _patch(draft: Draft, number: int, place: str, guard: Guard) -> Patch:
    name = f"patch {place} {draft.label.title!r} ({draft.origin})"
    try:
        strip = find_strip(draft.text) if draft.strip is None else draft.strip
        changes = parse(draft.text, strip)
    except Damaged as fault:
        raise UserError(
            f"{name} is damaged: {fault}",
            "was it copied from a web page, or sent by a program that wraps lines? get the raw mail",
        ) from fault
    if not changes:
        raise UserError(f"{name} changes nothing", "leave it out, or give the mail that has its diff")
    guard.check(changes, name)
    paths = dict.fromkeys(path for change in changes for path in (change.old, change.new) if path)
    return Patch(
        number=number,
        subject=draft.label.title,
        author=draft.author,
        diff=b"".join(change.text for change in changes),
        files=tuple(paths),
        origin=draft.origin,
        strip=strip,
    )
