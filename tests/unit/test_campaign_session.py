"""A guest is taken for the kernel that was built only if it says so itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.campaign.session import Session
from harness.channel.agent import PROTOCOL
from harness.errors import InfraError
from harness.scenario.link import GuestLost


def introduced(built: str, **hello: object) -> dict[str, Any]:
    """The facts of a guest whose agent says ``hello`` and whose kernel was built with the id ``built``."""
    session = Session.__new__(Session)
    kernel = SimpleNamespace(build_id=built, release="7.3.4-kph")
    target = SimpleNamespace(roles={})
    plan: Any = SimpleNamespace(guest=SimpleNamespace(kernel=kernel), target=target, flavour="kasan+leak")
    link: Any = SimpleNamespace(hello=hello, call=lambda op, *rest: {"op": op, "ret": 0})
    session._plan, session._link = plan, link
    session._introduce()
    return dict(session.facts)


def test_the_kernel_with_our_build_id_is_ours() -> None:
    said = {"protocol": PROTOCOL, "release": "7.3.4-kph", "init": "ok"}
    assert introduced("0a1b", build_id="0a1b", **said)["op"] == "facts"
    with pytest.raises(GuestLost, match="no module"):
        introduced("0a1b", build_id="0a1b", **{**said, "init": "no module"})


@pytest.mark.parametrize(
    ("built", "hello"),
    [
        ("0a1b", {"build_id": "0a1c"}),
        ("0a1b", {"build_id": ""}),
        ("0a1b", {}),
        ("0a1b", {"build_id": "0a1b", "protocol": PROTOCOL + 1}),
        ("", {"build_id": ""}),
    ],
)
def test_any_other_is_not(built: str, hello: dict[str, object]) -> None:
    with pytest.raises(InfraError, match="not the kernel with build id"):
        introduced(built, **{"protocol": PROTOCOL, "release": "7.3.4-kph", "init": "ok", **hello})
