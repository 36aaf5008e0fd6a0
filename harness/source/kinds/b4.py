"""``b4:<message-id>``: a series from a mail archive, fetched by the b4 command."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from harness.errors import InfraError, UserError
from harness.source.arrange import Batch, arrange
from harness.source.kind import Context, Kind
from harness.source.mail import Draft, read

_PREFIX = "b4:"
_NO_NETWORK = re.compile(r"Max retries exceeded|NameResolutionError|ConnectionError|Connection refused|timed out", re.I)


def _read(spec: str, context: Context) -> Batch:
    message_id = spec.removeprefix(_PREFIX).strip().strip("<>")
    if not message_id or message_id.startswith("-"):
        raise UserError(f"{spec!r} has no message-id", "write b4: and the Message-ID of any mail of the series")
    if shutil.which("b4") is None:
        raise UserError(
            f"{spec} needs the b4 command, which is not installed",
            "install it (apt install b4, or pipx install b4), or save the series as an mbox and give that file",
        )
    context.ui.say(f"fetching {message_id} with b4")
    with tempfile.TemporaryDirectory(prefix="kph-b4-") as scratch:
        folder = Path(scratch)
        # b4 picks the highest version of the thread; -n names the file, whose suffix depends on b4's version.
        done = context.door.run(
            ("b4", "am", "-o", folder, "-n", "series", message_id), timeout=600, cwd=folder, check=False
        )
        drafts = _drafts(folder, message_id)
    if done.status != 0 or not drafts:
        _explain(done.output, message_id)
    return arrange(drafts, f"the thread of {message_id}", context.ui.say)


def _drafts(folder: Path, message_id: str) -> tuple[Draft, ...]:
    """The patches that b4 wrote, after the cover letter, which it puts into a file of its own."""
    drafts: list[Draft] = []
    for file in sorted(folder.rglob("*"), key=lambda file: (file.suffix != ".cover", str(file))):
        if file.is_file():
            drafts += read(file.read_bytes(), message_id)
    return tuple(replace(draft, origin=f"{message_id}, patch {place}") for place, draft in enumerate(drafts))


def _explain(output: str, message_id: str) -> None:
    last = "\n".join(f"    {line}" for line in output.strip().splitlines()[-8:])
    if _NO_NETWORK.search(output):
        raise InfraError(
            f"b4 cannot reach the mail archive:\n{last}", "check the network, or give the series as a file"
        )
    raise UserError(f"b4 found no series for {message_id}:\n{last}", "check the message-id: b4 am " + message_id)


KIND = Kind("b4", "b4:<message-id>", lambda spec: spec.startswith(_PREFIX), _read)
