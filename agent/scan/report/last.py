"""What is other than at the last scan of the same addresses: new, lost, moved, replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from agent.ports import AddressVerdict, FoundMiner
from contract.scan import ChangedMiner, ScanChanges

# Nobody is there who was there: what could not be asked may be there still.
_GONE: Final = frozenset({AddressVerdict.SILENT, AddressVerdict.REFUSED, AddressVerdict.UNKNOWN})


class SeenMiner(msgspec.Struct, frozen=True, kw_only=True):
    """Who was at an address when a scan met it last."""

    ip: str
    mac: str | None
    make: str | None
    model: str | None


class LastScan(msgspec.Struct, frozen=True, kw_only=True):
    """Who was met at some addresses; `ended_at`: when the last scan of all of them ended, `None` where there was none.
    `elsewhere`: where else the miners that are found now were met last, by MAC.
    """

    ended_at: str | None
    seen: Mapping[str, SeenMiner]
    elsewhere: Mapping[str, str]


def changes_since(
    last: LastScan, found: Mapping[str, FoundMiner], said_of: Callable[[str], AddressVerdict | None]
) -> ScanChanges:
    """`found` are the miners by address. A miner without a MAC is taken for the one that was there before."""
    now_at: dict[str, set[str]] = {}
    for ip, miner in found.items():
        if miner.mac is not None:
            now_at.setdefault(miner.mac, set()).add(ip)
    before_at = dict(last.elsewhere)
    before_at |= {each.mac: ip for ip, each in last.seen.items() if each.mac is not None}
    new, moved, replaced, lost = [], [], [], []
    for ip, miner in found.items():
        then = last.seen.get(ip)
        if then is not None and (then.mac == miner.mac or None in (then.mac, miner.mac)):
            continue
        was_at = before_at.get(miner.mac) if miner.mac is not None else None
        if was_at is not None and was_at in now_at[miner.mac or ""]:
            was_at = None  # it is still there, too: two show one MAC
        was = then.mac if then is not None and then.mac not in now_at else None
        if was_at is not None:
            moved.append(_changed(miner, was_at=was_at, was=was))
        elif was is not None:
            replaced.append(_changed(miner, was=was))
        else:
            new.append(_changed(miner))
    for ip, then in last.seen.items():
        verdict = said_of(ip)
        if verdict in _GONE and (then.mac is None or then.mac not in now_at):
            lost.append(_changed(then, now=verdict))
    return ScanChanges(
        since=last.ended_at or "",
        new=tuple(new),
        lost=tuple(lost),
        moved=tuple(moved),
        replaced=tuple(replaced),
    )


def _changed(
    miner: FoundMiner | SeenMiner,
    *,
    was_at: str | None = None,
    was: str | None = None,
    now: AddressVerdict | None = None,
) -> ChangedMiner:
    return ChangedMiner(
        ip=miner.ip,
        mac=miner.mac,
        make=miner.make,
        model=miner.model,
        was_at=was_at,
        was=was,
        now=now,
    )
