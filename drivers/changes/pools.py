"""Pools as every make takes them: the list given is the new set, what is left out of it is cleared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from contract.errors import BadParamsError
from contract.hiding import masked_url
from drivers.base import Pools, StoredPool
from drivers.changes.templates import fill
from drivers.driver import MinerDriver

SLOTS: Final = 3  # of every make
DEFAULT_PASSWORD: Final = "x"


def wanted_slots(
    miner: MinerDriver, change: Pools, kept_password: Callable[[int, str], str | None]
) -> tuple[StoredPool, ...]:
    """The pools as they are written, with placeholders filled in. A password that is not given is what
    `kept_password` (of a place and the url in it) says that the miner has for it, else `x`. Raises BadParamsError.
    """
    if len(change.pools) > SLOTS:
        raise BadParamsError(f"this miner has {SLOTS} pool slots, {len(change.pools)} are given")
    slots = []
    for index, pool in enumerate(change.pools):
        if not pool.url:
            raise BadParamsError(f"pool {index + 1} has no url")
        password = pool.password
        if password is None:
            kept = kept_password(index, pool.url)
            password = DEFAULT_PASSWORD if kept is None else kept
        user = fill(pool.user, miner.identity, miner.endpoint.host)
        slots.append(StoredPool(url=pool.url, user=user, password=password))
    return tuple(slots)


def shown(slots: Iterable[StoredPool]) -> list[dict[str, Any]]:
    """Pools as they may be seen: no password, none inside a url either."""
    return [
        {
            "url": masked_url(slot.url),
            "user": slot.user,
            "password": "****" if slot.password else "",
        }
        for slot in slots
        if slot.url
    ]
