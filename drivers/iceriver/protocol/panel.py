"""Everything a miner shows of itself, in the one shape of `userpanel`: in one request of the web side, or piece by
piece of the daemon behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from contract.errors import MalformedError, MinerError, UnreachableError
from drivers.iceriver.protocol.daemon import IceriverDaemon
from drivers.iceriver.protocol.web import PANEL, IceriverWeb

Row = Mapping[str, Any]

MOVING: Final = ("boardpow", "board", "fan", "getpool")
STATE: Final = ("state", "getlocate")
WHO: Final = ("info", "getnet")
EVERYTHING: Final = (*WHO, *STATE, *MOVING)


async def from_web(web: IceriverWeb, *, deadline_s: float | None = None) -> dict[str, Any]:
    """Everything. Raises as `IceriverWeb.ask`, and MalformedError for a panel without the name of its software."""
    fields = await web.ask(*PANEL, deadline_s=deadline_s)
    if not isinstance(fields.get("softver1"), str):
        raise MalformedError("its panel does not tell its software")
    return fields


async def from_daemon(daemon: IceriverDaemon, commands: tuple[str, ...]) -> dict[str, Any]:
    """What the commands (of EVERYTHING) tell, one connection each. Raises as `IceriverDaemon.ask`; MalformedError when
    it went away in between, for half a look is none.
    """
    fields: dict[str, Any] = {}
    for command in commands:
        try:
            ret = await daemon.ask(command)
        except UnreachableError as error:
            if not fields:
                raise
            raise MalformedError(f"it went away between two commands: {error}") from None
        names = _NAMES.get(command, {})
        fields |= {names.get(key, key): value for key, value in ret.items() if key not in _VERDICT}
    return fields


async def fetch(web: IceriverWeb, daemon: IceriverDaemon) -> dict[str, Any]:
    """Everything, of the web side, or of the daemon where that is away or broken. Raises the web side's error."""
    try:
        return await from_web(web)
    except (UnreachableError, MalformedError):
        try:
            return await from_daemon(daemon, EVERYTHING)
        except MinerError:
            pass
        raise


async def glance(
    web: IceriverWeb, daemon: IceriverDaemon, commands: tuple[str, ...]
) -> dict[str, Any]:
    """At least what the commands (of EVERYTHING) tell, for whoever looks again and again: of the daemon, for the web
    side does not bear that; of the web side where the daemon is closed. Raises the web side's error.
    """
    try:
        return await from_daemon(daemon, commands)
    except MinerError:
        return await from_web(web)


# --- private -------------------------------------------------------------------------------------

_VERDICT: Final = ("code", "msg")
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "state": {"pow": "powstate", "net": "netstate", "fan": "fanstate", "temp": "tempstate"},
    "getlocate": {"on": "locate"},
}
