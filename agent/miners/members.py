"""Who is where, as it was last seen: the miners at their addresses, and those that left. Asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import structlog

from agent.miners.inventory import Inventory
from agent.miners.matching import agrees, may_be
from agent.miners.missing import BOOT_S, Missing
from agent.miners.places import Places
from agent.miners.rigs import Rigs
from contract.clock import Clock
from contract.miner import Identity
from drivers.base import Driver

log = structlog.get_logger(__name__)
NEVER: Final = float("-inf")
GONE_AFTER_S: Final = 600.0  # of the device: as long as a boot is waited for
_FORMER_S: Final = 86_400.0
_SILENT_S: Final = 30.0  # so long nobody is asked again who gave no answer
_NAMED: Final = 8  # addresses that are named of many


class Member(msgspec.Struct):
    """A miner at an address, who it said it is, and when (monotonic). `left_mono`: since when it is known to be
    elsewhere; `asked_mono`: when somebody last looked whether it came back.
    """

    driver: Driver
    identity: Identity
    identified_mono: float
    left_mono: float | None = None
    asked_mono: float = NEVER


class Members:
    """There is never more than one driver object per address, since its mutex is what keeps polls and tasks
    from talking over each other.

    A miner moves to a new address once the one at its old address was asked, and is silent or shows another MAC.
    """

    def __init__(
        self, inventory: Inventory, rigs: Rigs, clock: Clock, *, gone_after_s: float = GONE_AFTER_S
    ) -> None:
        """`gone_after_s` is how long one of two with one MAC has to be silent to count as gone."""
        self._inventory = inventory
        self._rigs = rigs
        self._clock = clock
        self._here: dict[str, Member] = {}
        self._left: dict[str, Member] = {}
        self._left_by_mac: dict[str, str] = {}
        self._silent_mono: dict[str, float] = {}  # when nobody answered, by address
        self.places = Places(gone_after_s)
        self.missing = Missing(clock, boot_s=gone_after_s * BOOT_S / GONE_AFTER_S)
        self.on_joined: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        return len(self._here)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._here))

    def __contains__(self, ip: str) -> bool:
        return ip in self._here

    def at(self, ip: str) -> Driver | None:
        """The driver of the miner that is known to be at this address."""
        member = self._here.get(ip)
        return member.driver if member else None

    def latest(self, ip: str) -> Member | None:
        """Who is at this address, or was there last."""
        return self._here.get(ip) or self._left.get(ip)

    def mac_at(self, ip: str) -> str | None:
        """The MAC that the miner known to be at this address told when it was last identified."""
        member = self._here.get(ip)
        return member.identity.mac if member else None

    def identified_mono(self, ip: str) -> float:
        """When the miner here was last identified; `NEVER` in this process."""
        member = self._here.get(ip)
        return NEVER if member is None else member.identified_mono

    def identified_ago_s(self, ip: str) -> float:
        """How long ago the miner here was last identified; infinite where that was before this process began."""
        return self._clock.mono() - self.identified_mono(ip)

    def hides_mac(self, ip: str) -> bool:
        """Whether what is here tells no MAC, but may well be the one that told it here before: one that boots, or that
        refuses our password by now.
        """
        return self.mac_at(ip) is None and self.places.mac_at(ip) is not None

    def presumed_mac(self, ip: str) -> str | None:
        """The MAC under which what tells none at this address is reported: that of the miner which was here, if all
        that this one tells is what that one told, and nobody else shows its MAC. Nothing is written on the strength
        of it.
        """
        member, mac = self._here.get(ip), self.places.mac_at(ip)
        if member is None or member.identity.mac is not None or mac is None or self.twins(ip):
            return None
        record = self._inventory.by_key(mac)
        if record is None or record.ip != ip or not agrees(record.identity, member.identity):
            return None
        return mac

    def hidden_mac_at(self, ip: str) -> str | None:
        """The MAC that was told at this address last, if nobody tells it there now, nor elsewhere."""
        mac = self._inventory.mac_told_at(ip)
        if mac is None or self.mac_at(ip) is not None or self.is_elsewhere(mac, ip):
            return None
        return mac

    def is_elsewhere(self, mac: str, ip: str) -> bool:
        """Whether this MAC is shown at another address than this one."""
        return bool({*self.places.showing(mac)} - {ip})

    def twins(self, ip: str) -> tuple[str, ...]:
        """Other addresses that show the same MAC as this one."""
        return self.places.twins(ip)

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for the operator: which miners cannot be told apart."""
        return tuple(
            f"{in_words(ips)} show the same MAC {mac}, so no task is carried out there: take one off the network or "
            "give it a MAC of its own"
            for mac, ips in self.places.doubled()[:_NAMED]
        )

    def former(self, mac: str) -> tuple[str, Member] | None:
        """At which address the miner of this MAC was a while ago, which is at another one since."""
        ip = self._left_by_mac.get(mac)
        return None if ip is None or not self.was_left(ip) else (ip, self._left[ip])

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

    def was_silent(self, ip: str) -> bool:
        """Whether it was asked a moment ago and gave no answer."""
        return self._clock.mono() - self._silent_mono.get(ip, NEVER) <= _SILENT_S

    def capabilities(self) -> dict[str, Any]:
        """What each generation that is here can do, as its driver declares it."""
        found = {}
        for member in self._here.values():
            each = member.driver.capabilities
            if each is not None:
                found[f"{each.make} {each.generation}"] = each
        return {name: msgspec.to_builtins(each) for name, each in sorted(found.items())}

    # --- what a look or an identification saw ---

    def note_silence(self, ip: str) -> None:
        """Nobody answers there: the miner that was there is missing, unless it is known to be elsewhere."""
        self._silent_mono[ip] = self._clock.mono()
        member, mac = self._here.get(ip), self.places.mac_at(ip)
        if member is not None and mac is not None and ip not in self._rigs and not self.twins(ip):
            self.missing.lose(mac, ip, member.identity)

    def note_answer(self, ip: str) -> None:
        """A look at this address was answered."""
        self._silent_mono.pop(ip, None)
        if (mac := self.places.mac_at(ip)) is not None:
            self.missing.find(mac, ip)

    def join(self, ip: str, driver: Driver, identified_mono: float = NEVER) -> None:
        """The miner at this address is spoken to by this driver."""
        is_known = ip in self._here
        self._here[ip] = Member(driver, driver.identity, identified_mono)
        if not is_known:
            for hear in self.on_joined:
                hear(ip)

    def note_identity(self, ip: str, driver: Driver, asked_mono: float) -> bool:
        """The miner at this address was identified, having been asked at that time. Gives whether it was unknown."""
        before, was_mac = self.latest(ip), self.places.mac_at(ip)
        self._left.pop(ip, None)
        identity = driver.identity
        mac = identity.mac
        if mac is None and before is not None and may_be(before.identity, identity):
            mac = was_mac  # it hides it now: that does not make it another
        had_twins = bool(self.twins(ip))
        self.places.show(ip, mac)
        if mac != was_mac:
            self._displace(was_mac, ip)
        self.note_answer(ip)
        twins = self.twins(ip)
        self.join(ip, driver, asked_mono)
        if (presumed := self._inventory.by_key(self.presumed_mac(ip) or "")) is not None:
            identity = presumed.identity  # which tells all that this one does
        _, is_new = self._inventory.seen(ip, identity, self._clock.now(), has_twin=bool(twins))
        if was_mac is not None and mac != was_mac:
            self._keep_heir(was_mac)
        if twins and not had_twins:
            log.info("fleet.members.twins", ip=ip, mac=mac, others=twins[:_NAMED])
        return is_new

    def note_stranger(self, ip: str) -> None:
        """What answers at this address is no miner of a known make."""
        if self.twins(ip):  # what boots may seem to be something else
            self.leave(ip, only_part=False)
            return
        was_mac = self.places.mac_at(ip)
        self._left.pop(ip, None)
        self._here.pop(ip, None)
        self.places.forget(ip)
        self._displace(was_mac, ip)

    def leave(self, ip: str, *, only_part: bool) -> None:
        """The one that was there does not answer. Where its MAC is shown elsewhere, it may be there no more.
        `only_part`: a host is there, only a service of it is away.
        """
        if not self.places.note_silence(ip, self._clock.mono(), only_part=only_part):
            return
        mac, others = self.places.mac_at(ip), self.twins(ip)
        self.places.forget(ip)
        if ip in self._rigs:
            return  # it stays enrolled there, and is looked at there
        member = self._here.pop(ip, None)
        self._silent_mono.pop(ip, None)
        record = self._inventory.by_ip(ip)
        if member is None or mac is None:
            return
        log.info("fleet.moved", mac=mac, before=ip, after=others[:_NAMED])
        member.left_mono = member.asked_mono = self._clock.mono()
        self._left[ip], self._left_by_mac[mac] = member, ip
        if record is not None and record.key != mac:
            self._inventory.forget(record.key)
        elif heir := next((each for each in others if each in self._here), None):
            self._inventory.seen(heir, self._here[heir].identity, self._clock.now())

    def _displace(self, mac: str | None, ip: str) -> None:
        """Another device is at this address. Its miner is missing, unless it is known to be elsewhere."""
        record = self._inventory.by_key(mac or "")
        if mac is not None and record is not None and not self.places.showing(mac):
            self.missing.lose(mac, ip, record.identity)

    def _keep_heir(self, mac: str) -> None:
        """Another one is where this MAC was shown: the record is of the only one that shows it still."""
        record, showing = self._inventory.by_key(mac), self.places.showing(mac)
        if record is None or len(showing) != 1 or record.ip == showing[0]:
            return
        heir = self._here.get(showing[0])
        if heir is not None and heir.identity.mac == mac:
            self._inventory.seen(showing[0], heir.identity, self._clock.now())


def in_words(addresses: tuple[str, ...]) -> str:
    """The first few of them."""
    more = len(addresses) - _NAMED
    named = addresses if more <= 0 else (*addresses[:_NAMED], f"{more} more")
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
