"""One look at one miner, as the message the cloud gets; a failed look is a message too."""

from __future__ import annotations

import asyncio

from contract.clock import Clock, to_text
from contract.errors import AuthFailedError, MinerError
from contract.link import MinerReading
from contract.miner import Reading, Slow, Static
from drivers.base import Depth, Driver


class Observation:
    """The result of a look: `reading` or `error` (a code of the contract); both when only a part could be
    read, since the password is wrong.
    """

    __slots__ = ("error", "problem", "reading")

    def __init__(
        self, reading: Reading | None, error: str | None = None, problem: str | None = None
    ) -> None:
        self.reading = reading
        self.error = error
        self.problem = problem


async def look(driver: Driver, depth: Depth, *, timeout_s: float) -> Observation | None:
    """Read a miner. `None`: it was busy with something else for the whole time (a task, its reboot), which
    says nothing about it. Errors of the miner come back in the result; our own bugs are raised.
    """
    try:
        async with asyncio.timeout(timeout_s):
            try:
                return Observation(await driver.read(depth))
            except AuthFailedError as error:
                if depth is Depth.MOVING:
                    raise
                return Observation(await driver.read(Depth.MOVING), error.code, str(error))
    except MinerError as error:
        return Observation(None, error.code, str(error))
    except TimeoutError:
        # A driver ends its own exchanges before; only waiting for its turn takes longer.
        return None


def is_other_device(driver: Driver, seen: Observation, known_mac: str | None) -> bool:
    """Whether a look met another device than the one of this MAC, which was known to be there."""
    if seen.reading is None:
        return False
    return (seen.reading.mac or driver.identity.mac) != known_mac


def message(
    driver: Driver,
    seen: Observation,
    clock: Clock,
    *,
    slow: Slow | None,
    slow_unchanged: bool = False,
    static: Static | None,
    interval_s: float | None,
    twin_ips: tuple[str, ...],
    presumed_mac: str | None = None,
) -> MinerReading:
    """What the cloud is told; `slow` and `static` are given only where they are news, and `slow_unchanged` where slow
    facts were read that are none. It goes under the MAC that the
    look itself brought, where it brought one; under `presumed_mac` where it tells none, since it is off.
    """
    identity, capabilities, reading = driver.identity, driver.capabilities, seen.reading
    if reading is None:
        return MinerReading(
            at=to_text(clock.now()),
            ip=driver.endpoint.host,
            mac=identity.mac,
            ok=False,
            error=seen.error,
            interval_s=interval_s,
            twin_ips=twin_ips,
        )
    return MinerReading(
        at=to_text(reading.read_at),
        ip=driver.endpoint.host,
        mac=reading.mac or identity.mac or presumed_mac,
        error=seen.error,
        moving=reading.moving,
        slow=slow,
        slow_unchanged=slow_unchanged,
        static=static,
        drivable=identity.drivable,
        modes=tuple(capabilities.modes) if capabilities else (),
        interval_s=interval_s,
        raw=reading.raw,
        twin_ips=twin_ips,
    )
