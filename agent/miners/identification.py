"""Asks who is at an address, one question there at a time, and who else shows its MAC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec
import structlog

from agent.miners.credentials import CredentialBook
from agent.miners.inventory import Inventory, MinerRecord, key_of
from agent.miners.matching import agrees
from agent.miners.members import Member, Members
from agent.miners.rigs import Rigs
from contract.clock import Clock
from contract.errors import (
    MalformedError,
    MinerError,
    ServiceAwayError,
    UnreachableError,
    WrongDeviceError,
)
from contract.miner import Endpoint, Identity
from drivers.base import Credentials, Driver
from drivers.doors import Doors
from drivers.link import HungError
from drivers.stranger import Stranger

log = structlog.get_logger(__name__)
_ASK_S: Final = 30.0  # for the one at another address to say who it is
_ASK_FORMER_S: Final = 5.0  # and for one that most likely is there no more
_JUST_NOW_S: Final = 15.0


class Recognise(Protocol):
    """`drivers.registry.recognise`, its clock and timing already given."""

    def __call__(
        self,
        endpoint: Endpoint,
        *,
        credentials: Callable[[Identity], Credentials | None],
        doors: Doors | None = None,
    ) -> Awaitable[Driver | Stranger]: ...


class OpenDriver(Protocol):
    """`drivers.registry.open_driver`, its clock and timing already given."""

    def __call__(
        self,
        endpoint: Endpoint,
        identity: Identity,
        *,
        credentials: Callable[[Identity], Credentials | None],
    ) -> Driver: ...


class AddressLock(msgspec.Struct):
    """The lock of one address, and how many hold it or wait for it."""

    lock: asyncio.Lock
    users: int = 0


class Identification:
    """What it learns is kept by `Members`."""

    def __init__(
        self,
        members: Members,
        inventory: Inventory,
        rigs: Rigs,
        book: CredentialBook,
        ports: Endpoint,
        clock: Clock,
        *,
        recognise: Recognise,
        open_driver: OpenDriver,
        gone_after_s: float,
    ) -> None:
        """As `Fleet` takes them."""
        self._members = members
        self._inventory = inventory
        self._rigs = rigs
        self._book = book
        self._ports = ports
        self._clock = clock
        self._recognise = recognise
        self._open_driver = open_driver
        self._gone_after_s = gone_after_s
        self._turns: dict[str, AddressLock] = {}

    def is_asked(self, ip: str) -> bool:
        """Whether this address is being asked right now, or somebody waits for that."""
        return ip in self._turns

    def open_known(self, record: MinerRecord) -> Driver:
        """The driver of one that was identified before; nothing is asked. Raises UnsupportedError for a make that has
        none.
        """
        credentials = self._credentials(record.ip)
        return self._open_driver(
            self._endpoint(record.ip), record.identity, credentials=credentials
        )

    async def ask(self, ip: str, doors: Doors) -> tuple[Driver | Stranger, bool]:
        """Identify the device at this address. Gives its driver, Stranger when no driver claims what answers,
        and whether the miner was unknown so far. Raises UnreachableError, and what identification runs into.
        """
        async with self._turn(ip):
            return await self._identify(ip, doors)

    async def driver_at(self, ip: str, max_age_s: float) -> Driver:
        """The driver of the miner there, identified at most `max_age_s` ago. Raises WrongDeviceError for a stranger,
        else as `ask`.
        """
        members = self._members
        async with self._turn(ip):
            known = members.at(ip)
            is_fresh = members.identified_ago_s(ip) <= max_age_s and not members.hides_mac(ip)
            if known is not None and is_fresh:
                return known
            found, _ = await self._identify(ip, Doors())
            if isinstance(found, Stranger):
                raise WrongDeviceError(f"what answers at {ip} is not a miner this agent knows")
            return found

    async def ask_elsewhere(self, ip: str) -> None:
        """Ask the others that showed the MAC of this address, until one still does, and the one that was known by it
        until lately: it may only have been restarting.
        """
        members, places = self._members, self._members.places
        began_mono, mac = self._clock.mono(), places.mac_at(ip)
        if mac is None:
            return
        for other in sorted(members.twins(ip), key=members.identified_mono, reverse=True):
            if not places.are_two(mac) and members.was_silent(other):
                members.leave(other, only_part=False)
            elif not places.are_two(mac) or members.identified_ago_s(other) > _JUST_NOW_S:
                await self._ask_within(other, _ASK_S)
            if other in members.twins(ip):
                is_now = members.identified_mono(other) >= began_mono
                if is_now and members.identified_ago_s(ip) <= _JUST_NOW_S:
                    places.set_two(mac)
                return
        if (former := members.former(mac)) is not None:
            await self._ask_former(ip, mac, *former)

    async def _ask_former(self, ip: str, mac: str, former_ip: str, former: Member) -> None:
        """Whether the one that was known by this MAC at `former_ip` is there all the same, and both have it."""
        now = self._clock.mono()
        is_lately = now - (former.left_mono or 0.0) < self._gone_after_s
        if is_lately and now - former.asked_mono > _JUST_NOW_S:
            former.asked_mono = now
            await self._ask_within(former_ip, _ASK_FORMER_S)
            if former_ip in self._members.twins(ip):
                self._members.places.set_two(mac)

    async def _ask_within(self, ip: str, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self.ask(ip, Doors())
        except (MinerError, TimeoutError) as error:
            log.info("fleet.asked", ip=ip, error=str(error)[:200])

    async def _identify(self, ip: str, doors: Doors) -> tuple[Driver | Stranger, bool]:
        """The turn of this address is held."""
        members, asked_mono = self._members, self._clock.mono()
        try:
            driver = await self._driver_of(ip, members.latest(ip), doors)
        except UnreachableError as error:
            only_part = isinstance(error, ServiceAwayError)
            members.leave(ip, only_part=only_part)
            if not only_part:
                members.note_silence(ip)
            raise
        if isinstance(driver, Stranger):
            members.note_stranger(ip)
            return driver, False
        return driver, members.note_identity(ip, driver, asked_mono)

    async def _driver_of(self, ip: str, before: Member | None, doors: Doors) -> Driver | Stranger:
        """The driver of the miner there, identified just now: that of before, where it is the same; that of the rig,
        where one is enrolled.
        """
        if ip in self._rigs:
            rig = before.driver if before is not None else self._rigs.open(ip)
            identity = await rig.identify()
            self._rigs.expect(ip, self._inventory.cards(key_of(identity.mac, ip)))
            return rig
        credentials = self._credentials(ip, changed=before is not None)
        if before is not None:
            doors.close()  # it is asked by its own driver
            try:
                now = await before.driver.identify()
            except WrongDeviceError:
                pass  # another make by now: a new driver is needed
            except (UnreachableError, MalformedError) as error:
                if not _may_be_another(error, doors):
                    raise
                found = await self._recognise(
                    self._endpoint(ip), credentials=credentials, doors=doors
                )
                if isinstance(found, Stranger) or found.make == before.driver.make:
                    raise
                return found
            else:
                was = before.identity
                if was.firmware == now.firmware and (
                    was.mac == now.mac or (now.mac is None and agrees(was, now))
                ):
                    return before.driver
        return await self._recognise(self._endpoint(ip), credentials=credentials, doors=doors)

    def _endpoint(self, ip: str) -> Endpoint:
        """That address with the ports of this site."""
        return msgspec.structs.replace(self._ports, host=ip)

    def _credentials(
        self, ip: str, changed: bool = False
    ) -> Callable[[Identity], Credentials | None]:
        record = None if changed else self._inventory.by_ip(ip)
        return self._book.at(ip, record.identity.mac if record else None)

    @asynccontextmanager
    async def _turn(self, ip: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(ip, AddressLock(asyncio.Lock()))
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:  # the table must not grow with every address ever scanned
                del self._turns[ip]


def _may_be_another(error: MinerError, doors: Doors) -> bool:
    """Whether it may be for another make at its address that a driver finds nobody, or no sense in an answer."""
    if isinstance(error, UnreachableError):
        return bool(doors.open)
    return not isinstance(error, HungError)
