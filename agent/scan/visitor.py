"""Finds out who is at an address that accepted a connection, and tells the cloud at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from agent.miners.fleet import Fleet
from agent.miners.members import in_words
from agent.ports import AddressVerdict, FoundMiner, OtherAddresses, ScanRow
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.observation import is_other_device, look, message
from agent.telemetry.poller import Poller
from contract.clock import Clock
from contract.errors import MinerError, UnreachableError
from contract.miner import Identity
from drivers.base import Depth, Driver
from drivers.doors import Doors
from drivers.stranger import Stranger

log = structlog.get_logger(__name__)
_NOTE_CHARS = 500
OnHit = Callable[[str, Driver | None, str | None], None]


class VisitResult(msgspec.Struct, frozen=True):
    """What came of it. `is_new`: a miner that was not known so far."""

    verdict: AddressVerdict
    row: ScanRow
    is_new: bool = False


class Visitor:
    """Each hit is read whole, told to the cloud, and joins the fleet."""

    def __init__(
        self,
        fleet: Fleet,
        clock: Clock,
        *,
        buffer: ReadingBuffer | None,
        telemetry: Poller | None,
        look_timeout_s: float,
        on_hit: OnHit | None,
    ) -> None:
        """`on_hit(ip, driver, problem)` is told of every address where something answered."""
        self._fleet = fleet
        self._clock = clock
        self._buffer = buffer
        self._telemetry = telemetry
        self._look_timeout_s = look_timeout_s
        self._on_hit = on_hit

    async def visit(self, ip: str, doors: Doors) -> VisitResult:
        """Ask who is there, at the ports that were just seen. What that runs into is told, not raised."""
        driver, is_new, note = None, False, None
        verdict, banner = AddressVerdict.FAILED, None
        ports = tuple(sorted(doors.open))
        try:
            async with asyncio.timeout(self._look_timeout_s):
                who, is_new = await self._fleet.look_at(ip, doors)
            if isinstance(who, Stranger):
                verdict, banner = AddressVerdict.UNKNOWN, who.banner
                ports = tuple(sorted({*ports, *who.ports}))
                note = f"{_open(ports)} open but no make known here answers"
            else:
                driver = who
                note = await self._tell(driver)
        except TimeoutError:
            # drivers end their own exchanges before: it waited for a task on that very miner
            driver = self._fleet.at(ip)
            note = "it did not come to its turn in time; scan again"
            if driver is not None:
                note = "busy with a task; shown as it was last seen"
        except UnreachableError as error:
            # its port accepted a moment ago, so it is a host; it just says nothing to us
            note = str(error)
        except MinerError as error:
            note = f"{error.code}: {error}"
        except Exception as error:
            log.exception("scan.bug", ip=ip)
            note = f"internal: {type(error).__name__}"
        finally:
            doors.close()
        note = note and note[:_NOTE_CHARS]
        if self._on_hit is not None:
            self._on_hit(ip, driver, note)
        if driver is not None:
            return VisitResult(AddressVerdict.FOUND, _found(driver, ports, note), is_new)
        row = OtherAddresses(
            range=ip, addresses=1, verdict=verdict, ports=ports, banner=banner, note=note
        )
        return VisitResult(verdict, row)

    async def _tell(self, driver: Driver) -> str | None:
        """Read the miner whole and tell the cloud now; gives what went wrong with that, or is odd about it."""
        ip = driver.endpoint.host
        twins = self._fleet.members.twins(ip)
        odd = driver.identity.reason
        if twins:
            odd = f"the same MAC is shown at {in_words(twins)}, so neither is written to"
        if self._buffer is None:
            return odd
        seen = await look(driver, Depth.FULL, timeout_s=self._look_timeout_s)
        if seen is None:
            return "busy, it is read later"
        if is_other_device(driver, seen, self._fleet.members.mac_at(ip)):
            return "another miner came to this address meanwhile; scan again"
        slow = seen.reading.slow if seen.reading else None
        static = seen.reading.static if seen.reading else None
        interval_s = self._telemetry.interval_s if self._telemetry else None
        told = message(
            driver,
            seen,
            self._clock,
            slow=slow,
            static=static,
            interval_s=interval_s,
            twin_ips=twins,
        )
        self._buffer.add(told, urgent=True)
        if self._telemetry is not None:
            self._telemetry.take_scanned(ip, seen)
        return seen.problem or odd


def _open(ports: tuple[int, ...]) -> str:
    verb = "port {} is" if len(ports) == 1 else "ports {} are"
    return verb.format(", ".join(map(str, ports)))


def _found(driver: Driver, ports: tuple[int, ...], note: str | None) -> FoundMiner:
    identity = driver.identity
    return FoundMiner(
        ip=driver.endpoint.host,
        mac=identity.mac,
        make=identity.make,
        model=identity.model,
        firmware=identity.firmware,
        firmware_version=identity.firmware_version,
        serial=identity.serial,
        ports=ports,
        evidence=_evidence(identity),
        note=note,
    )


def _evidence(identity: Identity) -> tuple[str, ...]:
    """Which facts it told of itself, by the names that an identity has for them."""
    facts = ("mac", "serial", "model", "firmware_version", "hostname")
    return tuple(name for name in facts if getattr(identity, name) is not None)
