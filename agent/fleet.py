"""The miners of this site as living objects: one driver per address, shared by tasks and telemetry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import msgspec
import structlog

from agent.credentials import CredentialBook
from agent.inventory import Inventory, MinerRecord
from agent.territory import Territory
from contract.clock import Clock
from contract.errors import (
    MinerError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.link import MinerKey, MinerRef
from contract.miner import Endpoint, Identity, normalize_mac
from drivers.base import Credentials, Driver

log = structlog.get_logger(__name__)
NEVER: Final = float("-inf")


class Recognise(Protocol):
    """`drivers.registry.recognise`, its clock and timing already given."""

    def __call__(
        self, endpoint: Endpoint, *, credentials: Callable[[Identity], Credentials | None]
    ) -> Awaitable[Driver | None]: ...


class OpenDriver(Protocol):
    """`drivers.registry.open_driver`, its clock and timing already given."""

    def __call__(
        self,
        endpoint: Endpoint,
        identity: Identity,
        *,
        credentials: Callable[[Identity], Credentials | None],
    ) -> Driver: ...


class Member(msgspec.Struct):
    """A miner at an address, and when (monotonic) it last said who it is."""

    driver: Driver
    identified_mono: float


class Turn(msgspec.Struct):
    """The lock of one address, and how many hold it or wait for it."""

    lock: asyncio.Lock
    users: int = 0


class Fleet:
    """Implements `agent.ports.Miners`.

    There is never more than one driver object per address, since its mutex is what keeps polls and tasks
    from talking over each other.
    """

    def __init__(
        self,
        inventory: Inventory,
        book: CredentialBook,
        territory: Territory,
        ports: Endpoint,
        clock: Clock,
        *,
        recognise: Recognise,
        open_driver: OpenDriver,
    ) -> None:
        """`ports` is an endpoint whose ports are used for every miner; its host does not matter."""
        self._inventory = inventory
        self._book = book
        self._territory = territory
        self._ports = ports
        self._clock = clock
        self._recognise = recognise
        self._open_driver = open_driver
        self._members: dict[str, Member] = {}
        self._turns: dict[str, Turn] = {}
        self.on_joined: list[Callable[[str], None]] = []
        self.on_task: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._members))

    def restore(self) -> None:
        """Open a driver, without asking it anything, for every miner the inventory remembers."""
        for record in self._inventory.all():
            if record.ip not in self._territory:
                continue
            try:
                driver = self._open_driver(
                    self.endpoint(record.ip),
                    record.identity,
                    credentials=self._credentials(record.ip),
                )
            except UnsupportedError:
                continue  # a make that an earlier version could read; a scan tells
            self._join(record.ip, driver, NEVER)

    def endpoint(self, ip: str) -> Endpoint:
        """That address with the ports of this site."""
        return msgspec.structs.replace(self._ports, host=ip)

    def at(self, ip: str) -> Driver | None:
        """The driver of whoever is known to be at this address."""
        member = self._members.get(ip)
        return member.driver if member else None

    def capabilities(self) -> dict[str, Any]:
        """What each generation that is here can do, as its driver declares it."""
        found = {}
        for member in self._members.values():
            each = member.driver.capabilities
            if each is not None:
                found[f"{each.make} {each.generation}"] = each
        return {name: msgspec.to_builtins(each) for name, each in sorted(found.items())}

    def learn_ids(self, keys: tuple[MinerKey, ...]) -> None:
        """Keep the ids the cloud gave to miners."""
        self._inventory.learn_ids(keys)

    async def look_at(self, ip: str) -> tuple[Driver | None, bool]:
        """Ask whoever is at this address who it is, afresh. Gives its driver (`None` when no driver claims
        what answers) and whether the miner was unknown so far.

        Raises PolicyRefusedError, UnreachableError, and what identification runs into.
        """
        self._territory.check(ip)
        async with self._turn(ip):
            return await self._identify(ip)

    async def driver_for(self, ref: MinerRef, *, max_age_s: float) -> Driver:
        """See `agent.ports.Miners`. Also raises PolicyRefusedError for an address outside the site."""
        wanted_mac = self._wanted_mac(ref)
        addresses = self._addresses(ref)
        if not addresses:
            raise UnreachableError(
                f"no address is known for miner {ref.id}: scan the range it is in, then try again"
            )
        problems: list[MinerError] = []
        for ip in addresses:
            self._territory.check(ip)
            try:
                driver = await self._driver_at(ip, max_age_s)
                _check_is(ref, wanted_mac, ip, driver.identity)
            except (UnreachableError, WrongDeviceError) as error:
                problems.append(error)
                continue
            for tell in self.on_task:
                tell(ip)
            return driver
        # somebody else at its place tells the operator more than silence does
        raise next((each for each in problems if isinstance(each, WrongDeviceError)), problems[0])

    async def _driver_at(self, ip: str, max_age_s: float) -> Driver:
        async with self._turn(ip):
            member = self._members.get(ip)
            if member is not None and self._clock.mono() - member.identified_mono <= max_age_s:
                return member.driver
            driver, _ = await self._identify(ip)
            if driver is None:
                raise WrongDeviceError(f"what answers at {ip} is not a miner this agent knows")
            return driver

    async def _identify(self, ip: str) -> tuple[Driver | None, bool]:
        """The turn of this address is held."""
        member, asked_mono = self._members.get(ip), self._clock.mono()
        driver: Driver | None = None
        if member is not None:
            before = member.driver.identity
            try:
                after = await member.driver.identify()
            except WrongDeviceError:
                pass  # another make by now: a new driver is needed
            else:
                if before.mac == after.mac and before.firmware == after.firmware:
                    driver = member.driver
        if driver is None:
            driver = await self._recognise(
                self.endpoint(ip), credentials=self._credentials(ip, member is not None)
            )
        if driver is None:
            self._members.pop(ip, None)
            return None, False
        record, is_new = self._inventory.seen(ip, driver.identity, self._clock.now())
        self._leave_old_place(record)
        self._join(ip, driver, asked_mono)
        return driver, is_new

    def _join(self, ip: str, driver: Driver, identified_mono: float) -> None:
        known = ip in self._members
        self._members[ip] = Member(driver, identified_mono)
        if not known:
            for tell in self.on_joined:
                tell(ip)

    def _leave_old_place(self, record: MinerRecord) -> None:
        """A miner is at one address: where the same MAC was before, nobody is known any more."""
        mac = record.identity.mac
        if mac is None:
            return
        for ip, member in tuple(self._members.items()):
            if ip != record.ip and member.driver.identity.mac == mac:
                log.info("fleet.moved", miner=record.key, before=ip, after=record.ip)
                del self._members[ip]

    def _credentials(
        self, ip: str, changed: bool = False
    ) -> Callable[[Identity], Credentials | None]:
        record = None if changed else self._inventory.by_ip(ip)
        return self._book.at(ip, record.identity.mac if record else None)

    def _wanted_mac(self, ref: MinerRef) -> str | None:
        if ref.mac:
            return normalize_mac(ref.mac)
        record = self._inventory.by_id(ref.id)
        return record.identity.mac if record else None

    def _addresses(self, ref: MinerRef) -> list[str]:
        mac = self._wanted_mac(ref)
        record = (self._inventory.by_key(mac) if mac else None) or self._inventory.by_id(ref.id)
        given = (record.ip if record else None, ref.last_ip)
        return list(dict.fromkeys(ip for ip in given if ip))

    @asynccontextmanager
    async def _turn(self, ip: str) -> AsyncIterator[None]:
        turn = self._turns.setdefault(ip, Turn(asyncio.Lock()))
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:  # the table must not grow with every address ever scanned
                del self._turns[ip]


def _check_is(ref: MinerRef, wanted_mac: str | None, ip: str, identity: Identity) -> None:
    """Raises WrongDeviceError unless this is certainly the miner that was meant."""
    if ref.serial and identity.serial and ref.serial != identity.serial:
        raise WrongDeviceError(
            f"the miner at {ip} has the serial number {identity.serial}, not {ref.serial}"
        )
    if wanted_mac is None:
        return
    if identity.mac is not None and identity.mac != wanted_mac:
        raise WrongDeviceError(f"the miner at {ip} has the MAC {identity.mac}, not {wanted_mac}")
    if identity.mac is None and not (ref.serial and identity.serial):
        why = f" ({identity.reason})" if identity.reason else ""
        raise WrongDeviceError(
            f"the miner at {ip} does not tell its MAC{why}, so it is not certain that it is {wanted_mac}"
        )
