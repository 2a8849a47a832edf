"""What the changes need of a WhatsMiner: its two ports, and one way to give an order in either dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from drivers import subject
from drivers.base import Effect
from drivers.whatsminer.models import V3
from drivers.whatsminer.protocol.rpc import Rpc
from drivers.whatsminer.protocol.tokens import Tokens
from drivers.whatsminer.protocol.v3 import Api3


class Subject(subject.Subject, Protocol):
    """One stock WhatsMiner, as its driver holds it."""

    @property
    def rpc(self) -> Rpc: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def v3(self) -> Api3: ...
    @property
    def platform(self) -> str | None:
        """What firmware packages name the part for its control board by; `None` where it does not tell."""


def is_v3(miner: Subject) -> bool:
    """Whether it is spoken to on port 4433."""
    return miner.identity.generation == V3


def api_port(miner: Subject) -> int:
    """The port of its API daemon, which is another process than the one that mines."""
    return miner.endpoint.v3_port if is_v3(miner) else miner.endpoint.rpc_port


def patience_s(miner: Subject) -> float:
    """How long the answer to an order is waited for. Orders that restart something are often not answered at all."""
    return min(miner.timing.write_s, miner.timing.read_s)


async def give(
    miner: Subject, effect: Effect, *, v2: Mapping[str, Any], v3: tuple[str, Any]
) -> None:
    """Give an order, once: `v2` (with `cmd` first) on port 4028, or `v3` (command and parameter) on 4433.

    Accepted is not done. Raises what `Tokens.write` and `V3.write` do.
    """
    if is_v3(miner):
        await miner.v3.write(*v3, effect, deadline_s=patience_s(miner))
    else:
        await miner.tokens.write(v2, effect, deadline_s=patience_s(miner))


def forget_login(miner: Subject) -> None:
    """Tokens and salts end with a restart of the device."""
    miner.tokens.forget()
    miner.v3.forget()
