"""One way to give an order to a WhatsMiner in either of its dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.base import Effect
from drivers.whatsminer.driver import Whatsminer


def api_port(miner: Whatsminer) -> int:
    """The port of its API daemon, which is another process than the one that mines."""
    return miner.endpoint.v3_port if miner.is_v3 else miner.endpoint.rpc_port


async def give(
    miner: Whatsminer, effect: Effect, *, v2: Mapping[str, Any], v3: tuple[str, Any]
) -> None:
    """Give an order, once: `v2` (with `cmd` first) on port 4028, or `v3` (command and parameter) on 4433.

    Accepted is not done. Raises what `Tokens.write` and `Api3.write` do.
    """
    # Orders that restart something are often not answered at all.
    patience_s = min(miner.timing.write_s, miner.timing.read_s)
    if miner.is_v3:
        await miner.v3.write(*v3, effect, deadline_s=patience_s)
    else:
        await miner.tokens.write(v2, effect, deadline_s=patience_s)


def forget_login(miner: Whatsminer) -> None:
    """Tokens and salts end with a restart of the device."""
    miner.tokens.forget()
    miner.v3.forget()
