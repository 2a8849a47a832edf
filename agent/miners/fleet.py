"""The miners of this site as living objects: one driver per address, shared by tasks and telemetry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from agent.miners.credentials import CredentialBook
from agent.miners.identification import Identification, OpenDriver, Recognise
from agent.miners.inventory import Inventory, MinerRecord, key_of
from agent.miners.matching import agrees, check_is, is_like
from agent.miners.members import GONE_AFTER_S, Members, in_words
from agent.miners.rigs import Rigs
from agent.miners.territory import Territory
from agent.ports import AwakeMode
from contract.clock import Clock
from contract.errors import MinerError, UnreachableError, UnsupportedError, WrongDeviceError
from contract.link import MinerKey, MinerRef
from contract.miner import Endpoint, Identity, Make, PowerMode, awake_mode_of, normalize_mac
from drivers.base import Driver, Timing
from drivers.doors import Doors
from drivers.stranger import Stranger


class Fleet:
    """Implements `agent.ports.Miners`: hands out drivers, and keeps what is learned of their miners.

    Two that show one MAC are both read, and neither is handed out for a task, until one of them is gone or shows
    another.
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
        self._territory = territory
        self._clock = clock
        self._rigs = rigs or Rigs({}, clock, Timing())
        self.members = Members(inventory, self._rigs, clock, gone_after_s=gone_after_s)
        self._identification = Identification(
            self.members,
            inventory,
            self._rigs,
            book,
            ports,
            clock,
            recognise=recognise,
            open_driver=open_driver,
            gone_after_s=gone_after_s,
        )
        self.on_task: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def restore(self) -> None:
        """Open a driver, without asking it anything, for every rig that is enrolled and every other miner that the
        inventory remembers.
        """
        for ip in self._rigs:
            known = self._inventory.by_ip(ip)
            if known is None or known.identity.make is not Make.RIG:
                self.members.join(ip, self._rigs.open(ip))
                continue
            self.members.join(ip, self._rigs.open(ip, known.identity))
            self._rigs.expect(ip, self._inventory.cards(known.key))
            self.members.places.show(ip, known.identity.mac)
        for record in self._inventory.all():
            if record.ip not in self._territory or record.ip in self._rigs:
                continue
            if self._is_hidden_one(record):
                self._inventory.forget(record.key)
                continue
            try:
                driver = self._identification.open_known(record)
            except UnsupportedError:
                continue  # a make that an earlier version could read, or a rig that is enrolled no more
            driver.set_percent = self._inventory.set_percent(record.key)
            self.members.join(record.ip, driver)
            mac = record.identity.mac
            self.members.places.show(record.ip, mac)
            if mac is not None and self.members.places.twins(record.ip):
                self.members.places.set_two(mac)

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

    def at(self, ip: str) -> Driver | None:
        """The driver of whoever is known to be at this address."""
        return self.members.at(ip)

    def rig(self, name: str) -> Driver | None:
        """The driver of the rig that is enrolled by that name."""
        ip = self._rigs.address(name)
        return None if ip is None else self.at(ip)

    def hidden_mac(self, ref: MinerRef) -> str | None:
        """See `agent.ports.Miners`."""
        return None if ref.mac or not ref.last_ip else self.members.hidden_mac_at(ref.last_ip)

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
        """Identify the device at this address, whatever is known of it. Gives its driver (Stranger when no driver
        claims what answers) and whether the miner was unknown so far. `doors`: its ports, as they were just seen;
        none of their sockets is open afterwards.

        Raises PolicyRefusedError, UnreachableError, and what identification runs into.
        """
        doors = Doors() if doors is None else doors
        if self._identification.is_asked(ip) or ip in self.members:
            doors.close()  # somebody else speaks with it, and some serve one client at a time
        try:
            self._territory.check(ip)
            found = await self._identification.ask(ip, doors)
        finally:
            doors.close()
        await self._identification.ask_elsewhere(ip)
        return found

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
                driver = await self._identification.driver_at(ip, max_age_s)
                identity = driver.identity
                if may_be_off:
                    identity = await self._identity_of_silent(ip, driver, wanted_mac)
                check_is(ref, wanted_mac, ip, identity)
                await self._check_alone(ip)
            except (UnreachableError, WrongDeviceError) as error:
                problems.append(error)
                continue
            self.members.missing.expect(ip)
            for hear in self.on_task:
                hear(ip)
            return driver
        # somebody else at its place tells the operator more than silence does
        raise next((each for each in problems if isinstance(each, WrongDeviceError)), problems[0])

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
        if self.members.is_elsewhere(wanted_mac, ip):
            return identity
        who = await driver.who()
        if who is not None:  # it mines by now, and says so
            return msgspec.structs.replace(identity, mac=who.mac, serial=who.serial)
        return msgspec.structs.replace(identity, mac=wanted_mac)

    async def _check_alone(self, ip: str) -> None:
        """Raises WrongDeviceError where another device shows the MAC of this one."""
        await self._identification.ask_elsewhere(ip)
        if twins := self.members.twins(ip):
            mac = self.members.places.mac_at(ip)
            raise WrongDeviceError(
                f"the MAC {mac} is shown at {ip} and at {in_words(twins)}, so it is not certain "
                "which miner is meant: find out whose it is; take the other off the network or give it a MAC of its own"
            )

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
        given = (record.ip if record else None, ref.last_ip, *self.members.places.showing(mac))
        return list(dict.fromkeys(ip for ip in given if ip))
