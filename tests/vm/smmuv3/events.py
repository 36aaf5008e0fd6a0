"""Event records (Arm IHI 0070, 7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SIZE = 32  # bytes of a record


@dataclass(frozen=True)
class Event:
    """One record; fields that its type does not have read 0."""

    type: int  # event number
    ssv: bool  # the SubstreamID is valid
    ssid: int
    sid: int  # StreamID
    stag: int  # names the stalled transaction
    stall: bool  # the transaction is held
    privileged: bool  # PnU
    instruction: bool  # InD
    read: bool  # RnW
    fault_class: int  # CLASS
    address: int  # InputAddr


def decode(words: Sequence[int]) -> Event:
    """The record that consists of eight 32-bit words."""
    return Event(
        type=words[0] & 0xFF,
        ssv=bool(words[0] >> 11 & 1),
        ssid=words[0] >> 12,
        sid=words[1],
        stag=words[2] & 0xFFFF,
        stall=bool(words[2] >> 31),
        privileged=bool(words[3] >> 1 & 1),
        instruction=bool(words[3] >> 2 & 1),
        read=bool(words[3] >> 3 & 1),
        fault_class=words[3] >> 8 & 3,
        address=words[4] | words[5] << 32,
    )
