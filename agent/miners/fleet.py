"""The miners of this site as living objects: one driver per address, shared by tasks and telemetry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import msgspec
import structlog

from agent.miners.credentials import CredentialBook
from agent.miners.inventory import Inventory, MinerRecord, key_of
from agent.miners.likeness import agrees, check_is, is_like, may_be
from agent.miners.missing import BOOT_S, Missing
from agent.miners.places import Places
from agent.miners.rigs import Rigs
from agent.miners.territory import Territory
from agent.ports import AwakeMode
from contract.clock import Clock
from contract.errors import (
    MalformedError,
    MinerError,
    ServiceAwayError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.link import MinerKey, MinerRef
from contract.miner import Endpoint, Identity, Make, PowerMode, awake_mode_of, normalize_mac
from drivers.base import Credentials, Driver, Timing
from drivers.doors import Doors
from drivers.link import HungError
from drivers.stranger import Stranger

log = structlog.get_logger(__name__)
NEVER: Final = float("-inf")
GONE_AFTER_S: Final = 600.0  # of the device: as long as a boot is waited for
_FORMER_S: Final = 86_400.0
_ASK_S: Final = 30.0  # for the one at another address to say who it is
_ASK_FORMER_S: Final = 5.0  # and for one that most likely is there no more
_JUST_NOW_S: Final = 15.0
_SILENT_S: Final = 30.0  # so long nobody is asked again who gave no answer
_NAMED: Final = 8  # addresses that are told of many


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


class Member(msgspec.Struct):
    """A miner at an address, who it said it is, and when (monotonic). `left_mono`: since when it is known to be
    elsewhere; `asked_mono`: when somebody last looked whether it came back.
    """

    driver: Driver
    identity: Identity
    identified_mono: float
    left_mono: float | None = None
    asked_mono: float = NEVER


class AddressLock(msgspec.Struct):
    """The lock of one address, and how many hold it or wait for it."""

    lock: asyncio.Lock
    users: int = 0


class Fleet:
    """Implements `agent.ports.Miners`.

    There is never more than one driver object per address, since its mutex is what keeps polls and tasks
    from talking over each other.

    A miner moves to a new address once the one at its old address was asked, and is silent or shows another MAC. Two
    that show one MAC are both read, and neither is handed out for a task, until one of them is gone or shows another.
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
        gone_after_s: float = GONE_AFTER_S,
        rigs: Rigs | None = None,
    ) -> None:
        """`ports` is an endpoint whose ports are used for every miner; its host does not matter. `gone_after_s` is how
        long one of two with one MAC has to be silent to count as gone. `rigs` are those that are enrolled: each is who
        is at its address, whatever answers there.
        """
        self._inventory = inventory
        self._book = book
        self._territory = territory
        self._ports = ports
        self._clock = clock
        self._recognise = recognise
        self._open_driver = open_driver
        self._rigs = rigs or Rigs({}, clock, Timing())
        self._members: dict[str, Member] = {}
        self._left: dict[str, Member] = {}
        self._left_by_mac: dict[str, str] = {}
        self._places = Places(gone_after_s)
        self._gone_after_s = gone_after_s
        self._turns: dict[str, AddressLock] = {}
        self._silent_mono: dict[str, float] = {}  # when nobody answered, by address
        self.missing = Missing(clock, boot_s=gone_after_s * BOOT_S / GONE_AFTER_S)
        self.on_joined: list[Callable[[str], None]] = []
        self.on_task: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._members))

    def restore(self) -> None:
        """Open a driver, without asking it anything, for every rig that is enrolled and every other miner that the
        inventory remembers.
        """
        for ip in self._rigs:
            known = self._inventory.by_ip(ip)
            if known is None or known.identity.make is not Make.RIG:
                self._join(ip, self._rigs.open(ip), NEVER)
                continue
            self._join(ip, self._rigs.open(ip, known.identity), NEVER)
            self._rigs.expect(ip, self._inventory.cards(known.key))
            self._places.show(ip, known.identity.mac)
        for record in self._inventory.all():
            if record.ip not in self._territory or record.ip in self._rigs:
                continue
            if self._is_hidden_one(record):
                self._inventory.forget(record.key)
                continue
            try:
                driver = self._open_driver(
                    self.endpoint(record.ip),
                    record.identity,
                    credentials=self._credentials(record.ip),
                )
            except UnsupportedError:
                continue  # a make that an earlier version could read, or a rig that is enrolled no more
            driver.set_percent = self._inventory.set_percent(record.key)
            self._join(record.ip, driver, NEVER)
            mac = record.identity.mac
            self._places.show(record.ip, mac)
            if mac is not None and self._places.twins(record.ip):
                self._places.set_two(mac)

    def _is_hidden_one(self, record: MinerRecord) -> bool:
        """Whether this is a miner without a MAC that is most likely the one which told its MAC at the same address
        before, as earlier versions kept it.
        """
        named = self._inventory.by_key(self._inventory.mac_told_at(record.ip) or "")
        return (
            named is not None
            and named is not record
            and record.identity.mac is None
            and agrees(named.identity, record.identity)
        )

    def endpoint(self, ip: str) -> Endpoint:
        """That address with the ports of this site."""
        return msgspec.structs.replace(self._ports, host=ip)

    def at(self, ip: str) -> Driver | None:
        """The driver of whoever is known to be at this address."""
        member = self._members.get(ip)
        return member.driver if member else None

    def rig(self, name: str) -> Driver | None:
        """The driver of the rig that is enrolled by that name."""
        ip = self._rigs.address(name)
        return None if ip is None else self.at(ip)

    def mac_at(self, ip: str) -> str | None:
        """The MAC that whoever is known to be at this address told when it was last asked who it is."""
        member = self._members.get(ip)
        return member.identity.mac if member else None

    def identified_ago_s(self, ip: str) -> float:
        """How long ago whoever is here last said who it is; infinite where that was before this process began."""
        return self._clock.mono() - self._identified_mono(ip)

    def hides_mac(self, ip: str) -> bool:
        """Whether what is here tells no MAC, but may well be the one that told it here before: one that boots, or that
        refuses our password by now.
        """
        return self.mac_at(ip) is None and self._places.mac_at(ip) is not None

    def presumed_mac(self, ip: str) -> str | None:
        """The MAC by which what tells none at this address is told of: that of the miner which was here, if all that
        this one tells is what that one told, and nobody else shows its MAC. Nothing is written on the strength of it.
        """
        member, mac = self._members.get(ip), self._places.mac_at(ip)
        if member is None or member.identity.mac is not None or mac is None or self.twins(ip):
            return None
        record = self._inventory.by_key(mac)
        if record is None or record.ip != ip or not agrees(record.identity, member.identity):
            return None
        return mac

    def note_silence(self, ip: str) -> None:
        """Nobody answers at this address: whoever was there is missing, unless it is known to be elsewhere."""
        self._silent_mono[ip] = self._clock.mono()
        member, mac = self._members.get(ip), self._places.mac_at(ip)
        if member is not None and mac is not None and ip not in self._rigs and not self.twins(ip):
            self.missing.lose(mac, ip, member.identity)

    def note_answer(self, ip: str) -> None:
        """A look at this address was answered."""
        self._silent_mono.pop(ip, None)
        if (mac := self._places.mac_at(ip)) is not None:
            self.missing.find(mac, ip)

    def hidden_mac(self, ref: MinerRef) -> str | None:
        """See `agent.ports.Miners`."""
        return None if ref.mac or not ref.last_ip else self.hidden_mac_at(ref.last_ip)

    def hidden_mac_at(self, ip: str) -> str | None:
        """The MAC that was told at this address last, if nobody tells it there now, nor elsewhere."""
        mac = self._inventory.mac_told_at(ip)
        if mac is None or self.mac_at(ip) is not None or {*self._places.showing(mac)} - {ip}:
            return None
        return mac

    def twins(self, ip: str) -> tuple[str, ...]:
        """Other addresses that show the same MAC as this one."""
        return self._places.twins(ip)

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for the operator: which miners cannot be told apart."""
        return tuple(
            f"{in_words(ips)} show the same MAC {mac}, so no task is carried out there: take one off the network or "
            "give it a MAC of its own"
            for mac, ips in self._places.doubled()[:_NAMED]
        )

    def was_left(self, ip: str) -> bool:
        """Whether a miner was here a while ago and was found elsewhere since. It may have been another one all along,
        which only restarted: then it comes back.
        """
        member = self._left.get(ip)
        if member is None or member.left_mono is None:
            return False
        if self._clock.mono() - member.left_mono > _FORMER_S:
            del self._left[ip]
            return False
        return True

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

    def note_login(self, ip: str, *, refused: bool) -> None:
        """Keep whether whoever is at this address refuses our login."""
        self._inventory.note_login(ip, refused=refused)

    def awake_mode(self, ref: MinerRef) -> AwakeMode | None:
        """See `agent.ports.Miners`."""
        return self._inventory.awake_mode(self._key(ref))

    def note_cards(self, ip: str) -> None:
        """Keep which cards the rig at this address has: one that is gone is missed after a restart, too."""
        record = self._inventory.by_ip(ip)
        if record is not None and (cards := self._rigs.cards(ip)):
            self._inventory.note_cards(record.key, cards)

    def note_awake_mode(self, ip: str, mode: PowerMode) -> None:
        """Whoever is at this address hashes in this mode."""
        record = self._inventory.by_ip(ip)
        if record is not None:
            self._inventory.note_awake_mode(record.key, mode, self._clock.now())

    def keep_set_percent(self, ip: str) -> None:
        """Keep the percentage of power that whoever is at this address was set to, where it does not tell it."""
        record, driver = self._inventory.by_ip(ip), self.at(ip)
        if record is not None and driver is not None:
            self._inventory.note_set_percent(record.key, driver.set_percent)

    async def learn_awake_modes(self, modes: Mapping[str, PowerMode]) -> None:
        """How miners, by MAC or address, hashed before they were switched off; of some it is known here already."""
        for name, mode in modes.items():
            key = normalize_mac(name) or key_of(None, name)
            if self._inventory.awake_mode(key) is None and awake_mode_of(mode) is not None:
                self._inventory.note_awake_mode(key, mode, self._clock.now())
        await self._inventory.flush()

    async def keep_awake_mode(self, ref: MinerRef, mode: PowerMode) -> None:
        """See `agent.ports.Miners`. A file that cannot be written costs only the memory over a restart."""
        self._inventory.note_awake_mode(self._key(ref), mode, self._clock.now())
        await self._inventory.flush()

    async def look_at(self, ip: str, doors: Doors | None = None) -> tuple[Driver | Stranger, bool]:
        """Ask whoever is at this address who it is, afresh. Gives its driver (Stranger when no driver claims what
        answers) and whether the miner was unknown so far. `doors`: its ports, as they were just seen; none of their
        sockets is open afterwards.

        Raises PolicyRefusedError, UnreachableError, and what identification runs into.
        """
        doors = Doors() if doors is None else doors
        if ip in self._turns or ip in self._members:
            doors.close()  # somebody else speaks with it, and some serve one client at a time
        try:
            self._territory.check(ip)
            async with self._turn(ip):
                found, is_new = await self._identify(ip, doors)
        finally:
            doors.close()
        await self._ask_elsewhere(ip)
        return found, is_new

    async def driver_for(
        self, ref: MinerRef, *, max_age_s: float, may_be_off: bool = False
    ) -> Driver:
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
                identity = driver.identity
                if may_be_off:
                    identity = await self._identity_of_silent(ip, driver, wanted_mac)
                check_is(ref, wanted_mac, ip, identity)
                await self._check_alone(ip)
            except (UnreachableError, WrongDeviceError) as error:
                problems.append(error)
                continue
            self.missing.expect(ip)
            for tell in self.on_task:
                tell(ip)
            return driver
        # somebody else at its place tells the operator more than silence does
        raise next((each for each in problems if isinstance(each, WrongDeviceError)), problems[0])

    async def _driver_at(self, ip: str, max_age_s: float) -> Driver:
        async with self._turn(ip):
            member = self._members.get(ip)
            if (
                member is not None
                and self.identified_ago_s(ip) <= max_age_s
                and not self.hides_mac(ip)
            ):
                return member.driver
            found, _ = await self._identify(ip, Doors())
            if isinstance(found, Stranger):
                raise WrongDeviceError(f"what answers at {ip} is not a miner this agent knows")
            return found

    async def _identity_of_silent(
        self, ip: str, driver: Driver, wanted_mac: str | None
    ) -> Identity:
        """Who is there. Old WhatsMiners that are switched off cannot tell their MAC, and could never be woken: such a
        one is who was seen there last, unless that one was seen elsewhere since.
        """
        identity = driver.identity
        if identity.mac is not None or wanted_mac is None:
            return identity
        record = self._inventory.by_key(wanted_mac)
        if record is None or record.ip != ip or not is_like(record.identity, identity):
            return identity
        if {*self._places.showing(wanted_mac)} - {ip}:
            return identity
        who = await driver.who()
        if who is not None:  # it mines by now, and says so
            return msgspec.structs.replace(identity, mac=who.mac, serial=who.serial)
        return msgspec.structs.replace(identity, mac=wanted_mac)

    async def _check_alone(self, ip: str) -> None:
        """Raises WrongDeviceError where another device shows the MAC of this one."""
        await self._ask_elsewhere(ip)
        if twins := self.twins(ip):
            raise WrongDeviceError(
                f"the MAC {self._places.mac_at(ip)} is shown at {ip} and at {in_words(twins)}, so it is not certain "
                "which miner is meant: find out whose it is; take the other off the network or give it a MAC of its own"
            )

    # --- who is where ---

    async def _ask_elsewhere(self, ip: str) -> None:
        """Ask the others that showed the MAC of this address, until one still does, and whoever was known by it until
        lately: it may only have been restarting.
        """
        began_mono, mac = self._clock.mono(), self._places.mac_at(ip)
        if mac is None:
            return
        for other in sorted(self._places.twins(ip), key=self._identified_mono, reverse=True):
            if not self._places.are_two(mac) and self._was_silent(other):
                self._silent(other, only_part=False)
            elif not self._places.are_two(mac) or self.identified_ago_s(other) > _JUST_NOW_S:
                await self._ask(other)
            if other in self._places.twins(ip):
                if (
                    self._identified_mono(other) >= began_mono
                    and self.identified_ago_s(ip) <= _JUST_NOW_S
                ):
                    self._places.set_two(mac)
                return
        former = self._left_by_mac.get(mac)
        if former is None or not self.was_left(former):
            return
        left = self._left[former]
        now = self._clock.mono()
        if (
            now - (left.left_mono or 0.0) < self._gone_after_s
            and now - left.asked_mono > _JUST_NOW_S
        ):
            left.asked_mono = now
            await self._ask(former, _ASK_FORMER_S)
            if former in self._places.twins(ip):
                self._places.set_two(mac)

    async def _ask(self, ip: str, within_s: float = _ASK_S) -> None:
        """Have whoever is at this address say who it is, and keep what comes of it."""
        try:
            async with asyncio.timeout(within_s), self._turn(ip):
                await self._identify(ip, Doors())
        except (MinerError, TimeoutError) as error:
            log.info("fleet.asked", ip=ip, error=str(error)[:200])

    async def _identify(self, ip: str, doors: Doors) -> tuple[Driver | Stranger, bool]:
        """The turn of this address is held."""
        asked_mono = self._clock.mono()
        before = self._members.get(ip) or self._left.get(ip)
        try:
            driver = await self._driver_of(ip, before, doors)
        except UnreachableError as error:
            only_part = isinstance(error, ServiceAwayError)
            self._silent(ip, only_part=only_part)
            if not only_part:
                self.note_silence(ip)
            raise
        was_mac = self._places.mac_at(ip)
        if isinstance(driver, Stranger):
            if self._places.twins(ip):  # what boots may seem to be something else
                self._silent(ip, only_part=False)
            else:
                self._left.pop(ip, None)
                self._members.pop(ip, None)
                self._places.forget(ip)
                self._displaced(was_mac, ip)
            return driver, False
        self._left.pop(ip, None)
        identity = driver.identity
        mac = identity.mac
        if mac is None and before is not None and may_be(before.identity, identity):
            mac = was_mac  # it hides it now: that does not make it another
        had_twins = bool(self._places.twins(ip))
        self._places.show(ip, mac)
        if mac != was_mac:
            self._displaced(was_mac, ip)
        self.note_answer(ip)
        twins = self._places.twins(ip)
        self._join(ip, driver, asked_mono)
        if (presumed := self._inventory.by_key(self.presumed_mac(ip) or "")) is not None:
            identity = presumed.identity  # which tells all that this one does
        _, is_new = self._inventory.seen(ip, identity, self._clock.now(), has_twin=bool(twins))
        if was_mac is not None and mac != was_mac:
            self._keep_heir(was_mac)
        if twins and not had_twins:
            log.info("fleet.twins", ip=ip, mac=mac, others=twins[:_NAMED])
        return driver, is_new

    def _displaced(self, mac: str | None, ip: str) -> None:
        """Somebody else is at this address now. Whoever was is missing, unless it is known to be elsewhere."""
        record = self._inventory.by_key(mac or "")
        if mac is not None and record is not None and not self._places.showing(mac):
            self.missing.lose(mac, ip, record.identity)

    def _keep_heir(self, mac: str) -> None:
        """Another one is where this MAC was shown: the record is of the only one that shows it still."""
        record, showing = self._inventory.by_key(mac), self._places.showing(mac)
        if record is None or len(showing) != 1 or record.ip == showing[0]:
            return
        heir = self._members.get(showing[0])
        if heir is not None and heir.identity.mac == mac:
            self._inventory.seen(showing[0], heir.identity, self._clock.now())

    async def _driver_of(self, ip: str, before: Member | None, doors: Doors) -> Driver | Stranger:
        """The driver of whoever is there, asked just now: that of before, where it is the same; that of the rig, where
        one is enrolled.
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
                    self.endpoint(ip), credentials=credentials, doors=doors
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
        return await self._recognise(self.endpoint(ip), credentials=credentials, doors=doors)

    def _join(self, ip: str, driver: Driver, identified_mono: float) -> None:
        known = ip in self._members
        self._members[ip] = Member(driver, driver.identity, identified_mono)
        if not known:
            for tell in self.on_joined:
                tell(ip)

    def _silent(self, ip: str, *, only_part: bool) -> None:
        """The one that was there does not answer. Where its MAC is shown elsewhere, it may be there no more."""
        if not self._places.note_silence(ip, self._clock.mono(), only_part=only_part):
            return
        mac, others = self._places.mac_at(ip), self._places.twins(ip)
        self._places.forget(ip)
        if ip in self._rigs:
            return  # it stays enrolled there, and is looked at there
        member = self._members.pop(ip, None)
        self._silent_mono.pop(ip, None)
        record = self._inventory.by_ip(ip)
        if member is None or mac is None:
            return
        log.info("fleet.moved", mac=mac, before=ip, after=others[:_NAMED])
        member.left_mono = member.asked_mono = self._clock.mono()
        self._left[ip], self._left_by_mac[mac] = member, ip
        if record is not None and record.key != mac:
            self._inventory.forget(record.key)
        elif heir := next((each for each in others if each in self._members), None):
            self._inventory.seen(heir, self._members[heir].identity, self._clock.now())

    def _was_silent(self, ip: str) -> bool:
        """Whether it was asked a moment ago and gave no answer."""
        return self._clock.mono() - self._silent_mono.get(ip, NEVER) <= _SILENT_S

    def _identified_mono(self, ip: str) -> float:
        member = self._members.get(ip)
        return NEVER if member is None else member.identified_mono

    def _credentials(
        self, ip: str, changed: bool = False
    ) -> Callable[[Identity], Credentials | None]:
        record = None if changed else self._inventory.by_ip(ip)
        return self._book.at(ip, record.identity.mac if record else None)

    def _key(self, ref: MinerRef) -> str:
        """What this miner is known by in the inventory."""
        if (mac := self._wanted_mac(ref)) is not None:
            return mac
        record = self._inventory.by_id(ref.id) or self._inventory.by_ip(ref.last_ip or "")
        return self.hidden_mac(ref) or (record.key if record else key_of(None, ref.last_ip or ""))

    def _wanted_mac(self, ref: MinerRef) -> str | None:
        if (mac := normalize_mac(ref.mac)) is not None:
            return mac
        record = self._inventory.by_id(ref.id)
        return record.identity.mac if record else None

    def _addresses(self, ref: MinerRef) -> list[str]:
        mac = self._wanted_mac(ref)
        record = (self._inventory.by_key(mac) if mac else None) or self._inventory.by_id(ref.id)
        given = (record.ip if record else None, ref.last_ip, *self._places.showing(mac))
        return list(dict.fromkeys(ip for ip in given if ip))

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


def in_words(addresses: tuple[str, ...]) -> str:
    """The first few of them."""
    more = len(addresses) - _NAMED
    named = addresses if more <= 0 else (*addresses[:_NAMED], f"{more} more")
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
