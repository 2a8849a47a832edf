"""A miner that we play on loopback, read by its own driver: sockets, loop and drivers work on this host."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from agent.selftest.failure import CheckFailedError
from contract.clock import Clock
from contract.miner import Endpoint, Firmware, Identity, Make
from drivers.base import Depth, Timing

_HOST: Final = "127.0.0.1"
_TIMING: Final = Timing(connect_s=2.0, read_s=5.0)
_RATE_HS: Final = 1.25e12
_BOARDS: Final = 2
_LINE_BYTES: Final = 4096
# It has firmware that nothing is ever written to, and one port.
_IDENTITY: Final = Identity(make=Make.ICERIVER, firmware=Firmware.PBFARMER)
_TELLS: Final[dict[str, dict[str, Any]]] = {
    "boardpow": {"rtpow": "1250.00G", "avgpow": "1240.00G", "runtime": "01:02:03:04", "unit": "G"},
    "board": {
        "boards": [
            {"no": number + 1, "rtpow": "625.00G", "intmp": 41, "outtmp": 55, "state": True}
            for number in range(_BOARDS)
        ]
    },
    "fan": {"fans": [3000, 3010, 0, 0]},
    "getpool": {
        "pools": [{"no": 1, "addr": "stratum+tcp://pool.invalid:1", "user": "w", "connect": True}]
    },
}


class _Question(msgspec.Struct, frozen=True):
    id: str


async def read_on_loopback(clock: Clock) -> str:
    """What was read, in words. Raises CheckFailedError for a reading that is not what was told, MinerError, OSError."""
    from drivers.registry import open_driver

    server = await asyncio.start_server(_answer, _HOST, 0, limit=_LINE_BYTES)
    try:
        endpoint = Endpoint(host=_HOST, daemon_port=server.sockets[0].getsockname()[1])
        driver = open_driver(
            endpoint, _IDENTITY, clock=clock, timing=_TIMING, credentials=lambda _: None
        )
        found = (await driver.read(Depth.MOVING)).moving
    finally:
        server.close()
        await server.wait_closed()
    told = (_RATE_HS, _BOARDS, 1)
    seen = (found.hashrate_hs, len(found.boards), len(found.pools))
    if seen != told:
        raise CheckFailedError(
            f"hash rate, boards and pools read are {seen}, of a miner that tells {told}"
        )
    return f"a driver read {_BOARDS} boards and 1 pool of a miner that is played on {_HOST}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One question and its answer. Somebody else on this host may connect, too, and is told nothing for any other."""
    try:
        line = await reader.readline()
        question = msgspec.json.decode(line, type=_Question).id
        ret = _TELLS[question]
        writer.write(msgspec.json.encode({"id": question, "ret": {"code": 0, **ret}}) + b"\n")
        await writer.drain()
    except (ValueError, KeyError, OSError):  # of a line that is too long, too
        return
    finally:
        writer.close()
