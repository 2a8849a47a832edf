"""What the changes look at: who it is, how long it runs, its light, its pools, its fan and mode. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from contract.errors import MalformedError, MinerError, UnreachableError
from contract.miner import PowerMode, normalize_mac
from drivers.base import StoredPool
from drivers.changes.pools import SLOTS
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.protocol import panel
from drivers.iceriver.protocol.web import CONFIG
from drivers.iceriver.reading.figures import mode_of, rate_hs, runtime_s, truth
from drivers.protocol.values import number, text_of, whole

# Of the average over 30 minutes, which in 90 s without work falls by a twentieth only.
_FALLING: Final = 0.85


class IceriverSlot(StoredPool, frozen=True, kw_only=True):
    """One pool slot as it is stored, and whether the miner is connected to it and works for it."""

    connected: bool = False
    active: bool = False


class IceriverState(msgspec.Struct, frozen=True, kw_only=True):
    """How it runs. `None`: the miner does not say."""

    mac: str | None = None
    package: str | None = None  # the name of the miner's software, `softver1`
    versions: dict[str, str] = {}  # of each part by its key, where it tells one
    runtime_s: float | None = None  # since its mining process began
    light_on: bool | None = None
    hashrate_hs: float | None = None  # over the last 5 minutes
    hashrate_30m_hs: float | None = None
    is_online: bool | None = None
    slots: tuple[IceriverSlot, ...] = ()


class IceriverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is set: always all SLOTS slots, the fan in percent, and the mode. `None`: the miner does not say."""

    slots: tuple[IceriverSlot, ...]
    ratio: int | None = None
    mode: PowerMode | None = None


async def look(miner: Iceriver) -> IceriverState:
    """How it runs now, in one request; of the daemon where the web side fails. Raises as `IceriverWeb.ask`."""
    return state_of(await panel.fetch(miner.web, miner.daemon))


async def glance(miner: Iceriver, *commands: str) -> IceriverState:
    """What these commands of the daemon tell, and no more for certain: made to be asked often. Raises as
    `IceriverWeb.ask`.
    """
    return state_of(await panel.glance(miner.web, miner.daemon, commands))


def rests(now: IceriverState) -> bool:
    """Whether its hash rate shows that it works no more: none, or one that falls. What cannot be read shows nothing."""
    if now.hashrate_hs is None:
        return False
    mean_hs = now.hashrate_30m_hs
    return now.hashrate_hs == 0 or (mean_hs is not None and now.hashrate_hs <= _FALLING * mean_hs)


async def config(miner: Iceriver) -> IceriverSettings:
    """What is set, in one request. Where the web side is away or broken (a quote in a password breaks its JSON) the
    daemon is asked. Raises as `IceriverWeb.ask`, and MalformedError without pools.
    """
    try:
        return config_of(await miner.web.ask(*CONFIG))
    except (UnreachableError, MalformedError):
        try:
            pools = await miner.daemon.ask("getpool")
            return config_of(pools | await miner.daemon.ask("gethw"))
        except MinerError:
            pass
        raise


def state_of(fields: Mapping[str, Any]) -> IceriverState:
    """A panel, as `panel` gives it."""
    unit = fields.get("unit")
    return IceriverState(
        mac=normalize_mac(text_of(fields.get("mac"))),
        package=text_of(fields.get("softver1")),
        versions={key: text for key in _VERSIONS if (text := text_of(fields.get(key)))},
        runtime_s=runtime_s(fields.get("runtime")),
        light_on=truth(fields.get("locate")),
        hashrate_hs=rate_hs(fields.get("rtpow"), unit),
        hashrate_30m_hs=rate_hs(fields.get("avgpow"), unit),
        is_online=truth(fields.get("online")),
        slots=_slots(fields.get("pools")),
    )


def config_of(fields: Mapping[str, Any]) -> IceriverSettings:
    """`machineconfig` 1, or `getpool` and `gethw` together. Raises MalformedError without pools."""
    if not isinstance(fields.get("pools"), list):
        raise MalformedError("its configuration has no pools")
    ratio = whole(fields.get("ratio", fields.get("getratio")))
    return IceriverSettings(
        slots=_slots(fields["pools"]),
        ratio=ratio if ratio is not None and ratio <= 100 else None,
        mode=mode_of(fields.get("mode", fields.get("getmode"))),
    )


# --- private -------------------------------------------------------------------------------------

_ACTIVE: Final = 1.0
_VERSIONS: Final = ("softver1", "softver2", "firmver1", "firmver2")


def _slots(rows: Any) -> tuple[IceriverSlot, ...]:
    """All slots, in the order of their numbers; missing ones are empty."""
    found: dict[int, IceriverSlot] = {}
    for at, row in enumerate(rows if isinstance(rows, list) else [], 1):
        if not isinstance(row, dict):
            continue
        index = whole(row.get("no"))
        index = at if index is None else index
        if 1 <= index <= SLOTS:
            found.setdefault(index, _slot(row))
    return tuple(found.get(index) or IceriverSlot() for index in range(1, SLOTS + 1))


def _slot(row: Mapping[str, Any]) -> IceriverSlot:
    url = _text(row.get("addr"))
    return IceriverSlot(
        url=url,
        user=_text(row.get("user")),
        password=_text(row.get("pass")),
        connected=bool(truth(row.get("connect"))),
        active=number(row.get("state")) == _ACTIVE,
    )


def _text(value: Any) -> str:
    """As it is stored, blanks and all; the JSON of a broken text may give another kind."""
    return value if isinstance(value, str) else ""
