"""What an independent client and our driver say of the same simulated AntMiners, at the same instant.

A program: `python -m tests.judges.hearing JUDGE FILE [KEY ...]` leaves one JSON document in FILE. It runs apart from
pytest because the judges know only the vendors' ports, and one of them brings its own event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from contract.clock import SystemClock
from contract.miner import Endpoint
from drivers.base import Credentials, Depth, Timing
from simulator.antminer.catalogue import MODELS
from simulator.farm import Farm
from tests.drivers.meeting import meet
from tests.judges.program import run_program

BASES: Final = {"pyasic": "127.91.0.1", "pyasic-rs": "127.92.0.1"}
VENDOR_PORTS: Final[dict[str, Any]] = {"http_port": 80, "rpc_port": 4028}
AT_ONCE: Final = 12
_CLOCK = SystemClock()
T = TypeVar("T")


class Board(msgspec.Struct, kw_only=True):
    """One board. Temperatures in degC, the rate in H/s."""

    chips: int | None = None
    hashrate_hs: float | None = None
    temp_pcb_c: float | None = None
    temp_chip_c: float | None = None


class Says(msgspec.Struct, kw_only=True):
    """What one client says of one miner, in our units. What it leaves open is `None`."""

    make: str | None = None
    model: str | None = None
    firmware: str | None = None
    version: str | None = None
    mac: str | None = None
    serial: str | None = None
    hashrate_hs: float | None = None
    ideal_hs: float | None = None
    uptime_s: float | None = None
    light_on: bool | None = None
    fans: list[int] | None = None
    pools: list[tuple[str, str, bool]] | None = None  # url, user, alive
    boards: list[Board] | None = None
    failed: str | None = None  # why it says nothing at all


class Heard(msgspec.Struct, kw_only=True):
    """Both, with the sensors they looked at: per board the PCB's and the chips', in degC."""

    judge: Says
    ours: Says
    averages_hs: list[float]  # the other rates our driver reads: 30 minutes, and since the start
    sensors_pcb_c: list[list[int]]
    sensors_chip_c: list[list[int]]


async def identify(get_miner: Callable[[str], Awaitable[Any]], host: str) -> Any:
    """By a judge's own identification, asked twice: it gives up after seconds, and a busy host may take as many."""
    return await get_miner(host) or await get_miner(host)


async def ask_pyasic(host: str, leave_out: Sequence[str] = ()) -> Says:
    """Through pyasic's own identification and `get_data`, but for what it is to `leave_out`."""
    import pyasic

    miner = await identify(pyasic.get_miner, host)
    if miner is None:
        return Says(failed="not identified")
    data: Any = await miner.get_data(exclude=list(leave_out))
    return Says(
        make=data.make,
        model=data.model,
        firmware=data.firmware,
        version=data.fw_ver,
        mac=data.mac,
        serial=data.serial_number,
        hashrate_hs=_hs(data.hashrate),
        ideal_hs=_hs(data.expected_hashrate),
        uptime_s=data.uptime,
        light_on=data.fault_light,
        fans=[each.speed for each in data.fans if each.speed],
        pools=[(str(each.url), each.user, bool(each.alive)) for each in data.pools if each.url],
        boards=[
            Board(
                chips=each.chips,
                hashrate_hs=_hs(each.hashrate),
                temp_pcb_c=each.temp,
                temp_chip_c=each.chip_temp,
            )
            for each in data.hashboards
        ],
    )


async def ask_pyasic_rs(host: str) -> Says:
    """Through pyasic-rs' own identification and `get_data`."""
    from pyasic_rs import MinerFactory

    miner = await identify(MinerFactory().get_miner, host)
    if miner is None:
        return Says(failed="not identified")
    data: dict[str, Any] = (await miner.get_data()).model_dump()
    info = data["device_info"]
    return Says(
        make=info["make"],
        model=info["model"],
        firmware=info["firmware"],
        version=data["firmware_version"],
        mac=data["mac"],
        serial=data["serial_number"],
        hashrate_hs=_rs_hs(data["hashrate"]),
        ideal_hs=_rs_hs(data["expected_hashrate"]),
        uptime_s=data["uptime"].total_seconds() if data["uptime"] else None,
        light_on=data["light_flashing"],
        fans=[round(each["rpm"]) for each in data["fans"] if each["rpm"]],
        pools=[
            (each["url"], each["user"], bool(each["alive"]))
            for group in data["pools"]
            for each in group["pools"]
            if each["url"] != "stratum+tcp://:80"  # how it writes an empty slot
        ],
        boards=[
            Board(
                chips=each["working_chips"],
                hashrate_hs=_rs_hs(each["hashrate"]),
                temp_pcb_c=each["board_temperature"],
                temp_chip_c=each["outlet_chip_temperature"],
            )
            for each in data["hashboards"]
        ],
    )


JUDGES: Final[dict[str, Callable[[str], Awaitable[Says]]]] = {
    "pyasic": ask_pyasic,
    "pyasic-rs": ask_pyasic_rs,
}


async def ask_judge(judge: str, host: str) -> Says:
    """What that judge says, or why it says nothing."""
    said, fault = await in_its_words(JUDGES[judge](host))
    return Says(failed=fault) if said is None else said


async def in_its_words(work: Awaitable[T]) -> tuple[T | None, str | None]:
    """What a judge's call gives; or `None` and the judge's own fault, as `ValueError: not enough values to unpack`."""
    try:
        return await work, None
    except Exception as fault:  # noqa: BLE001 - a client of strangers may raise anything, and that is a finding as well
        return None, f"{type(fault).__name__}: {fault}"


async def ask_ours(miner: Any) -> tuple[Says, list[float]]:
    """Through our driver; with the rates besides the present one."""
    endpoint = Endpoint(
        host=miner.ip,
        http_port=miner.http_port,
        rpc_port=miner.rpc_port,
        daemon_port=getattr(miner, "daemon_port", 4111),
    )
    root = Credentials("root", "root")
    timing = Timing()
    driver = await meet(endpoint, lambda _: root, timing, clock=_CLOCK)
    identity, reading = driver.identity, await driver.read(Depth.FULL)
    assert reading.slow is not None
    assert reading.static is not None
    moving = reading.moving
    says = Says(
        make=identity.make,
        model=identity.model,
        firmware=identity.firmware,
        version=identity.firmware_version,
        mac=identity.mac,
        serial=identity.serial,
        hashrate_hs=moving.hashrate_hs,
        ideal_hs=reading.static.hashrate_ideal_hs,
        uptime_s=moving.uptime_s,
        light_on=reading.slow.light_on,
        fans=list(moving.fan_rpm),
        pools=[(each.url, each.user or "", each.status == "alive") for each in moving.pools],
        boards=[
            Board(
                chips=each.chips,
                hashrate_hs=each.hashrate_hs,
                temp_pcb_c=each.temp_pcb_c,
                temp_chip_c=each.temp_chip_c,
            )
            for each in moving.boards
        ],
    )
    return says, [each for each in (moving.hashrate_30m_hs, moving.hashrate_avg_hs) if each]


async def hear(judge: str, keys: list[str]) -> dict[str, Heard]:
    """Ask the judge, then our driver, about each model; the farm's figures stand still meanwhile."""
    gate = asyncio.Semaphore(AT_ONCE)
    specs = [f"antminer/{key}" for key in keys]
    async with await Farm.start(specs, base=BASES[judge], **VENDOR_PORTS) as farm:
        farm.clock.hold()

        async def one(miner: Any) -> Heard:
            async with gate:
                said = await ask_judge(judge, miner.ip)
                ours, averages = await ask_ours(miner)
            boards = range(len(miner.spec.chains))
            return Heard(
                judge=said,
                ours=ours,
                averages_hs=averages,
                sensors_pcb_c=[miner.process.board_temps(index) for index in boards],
                sensors_chip_c=[miner.process.chip_temps(index) for index in boards],
            )

        found = await asyncio.gather(*(one(miner) for miner in farm))
    return dict(zip(keys, found, strict=True))


def _hs(rate: Any) -> float | None:
    """A pyasic rate in H/s: its units count H/s by themselves."""
    return None if rate is None else float(rate.rate) * int(rate.unit.value)


_RS_UNITS: Final = {prefix: 1000.0**power for power, prefix in enumerate(" KMGTPE")}


def _rs_hs(rate: dict[str, Any] | None) -> float | None:
    if rate is None:
        return None
    unit = str(rate["unit"])
    return float(rate["value"]) * (_RS_UNITS[unit[0]] if unit[1:2] == "H" else 1.0)


if __name__ == "__main__":
    run_program(hear, MODELS)
