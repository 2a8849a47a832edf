"""A farm of simulated miners on loopback addresses, one address each."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from simulator.clock import DeviceClock
from simulator.device import Device, DevicePlace
from simulator.faults import FaultError, parse_fault
from simulator.ledger import Ledger
from simulator.makes import MAKES, SpecError, parse_specs
from simulator.miner import Miner
from simulator.net import bind_problem, free_port

VENDOR_PORTS: Final = {"http": 80, "rpc": 4028, "v3": 4433, "daemon": 4111}
HIGH_PORTS: Final = {"http": 18080, "rpc": 14028, "v3": 14433, "daemon": 14111}
_TRIES: Final = 5
_SPARE_FILES: Final = 256
_CLOSING_TURNS: Final = 8


class Farm:
    """Running miners. Make one with `Farm.start`, end it with `stop` (or use it in `async with`)."""

    def __init__(
        self,
        devices: list[Device],
        ports: dict[str, int],
        clock: DeviceClock,
        ledger: Ledger,
        seed: int = 0,
    ) -> None:
        self.miners = devices
        self.ports = ports
        self.clock = clock
        self.ledger = ledger
        self._random = random.Random(f"{seed}/leases")

    @classmethod
    async def start(
        cls,
        specs: str | Sequence[str],
        *,
        base: str = "127.10.0.1",
        http_port: int = 0,
        rpc_port: int = 0,
        v3_port: int = 0,
        daemon_port: int = 0,
        ports: Mapping[str, int] | None = None,
        time_scale: float = 1.0,
        seed: int = 0,
        ledger_path: Path | str | None = None,
        keep_ledger: bool = True,
        ledger_now: Callable[[], float] = time.time,
        faults: Mapping[str, Sequence[str | Mapping[str, Any]]] | None = None,
    ) -> Farm:
        """Build the miners and return once every socket listens.

        `specs` as in `makes.parse_specs`; addresses count up from `base`, without .0 and .255. A
        port of 0 takes a free number, the same on every address; `ports` gives the numbers of
        further services by kind. `ledger_now` dates the ledger's lines (unix seconds). `faults` is a
        faults file's content. Raises SpecError, or OSError when an address cannot be bound.
        """
        wanted = parse_specs(specs)
        addresses = list(count_up(base, len(wanted)))
        _allow_files(2 * len(wanted) + _SPARE_FILES)
        asked = {"http": http_port, "rpc": rpc_port, "v3": v3_port, "daemon": daemon_port}
        asked |= dict.fromkeys((kind for make, _ in wanted for kind in MAKES[make].ports), 0)
        asked |= ports or {}
        clock = DeviceClock(time_scale)
        ledger = Ledger(
            Path(ledger_path) if ledger_path else None, keep=keep_ledger, now=ledger_now
        )
        for attempt in range(_TRIES):
            numbers = {k: number or free_port(addresses[0]) for k, number in asked.items()}
            devices = [
                MAKES[make].build(key, DevicePlace(ip, index, seed, numbers, clock, ledger))
                for index, ((make, key), ip) in enumerate(zip(wanted, addresses, strict=True))
            ]
            farm = cls(devices, numbers, clock, ledger, seed)
            farm.apply_faults(faults or {})
            try:
                await asyncio.gather(*(device.start() for device in devices))
            except OSError as error:
                await farm._stop_devices()
                taken = error.errno == errno.EADDRINUSE and 0 in asked.values()
                if not taken or attempt == _TRIES - 1:
                    ledger.close()
                    raise
            else:
                return farm
        raise AssertionError("unreachable")

    def __getitem__(self, ip: str) -> Device:
        for device in self.miners:
            if device.ip == ip:
                return device
        raise KeyError(ip)

    def __len__(self) -> int:
        return len(self.miners)

    def __iter__(self) -> Iterator[Device]:
        return iter(self.miners)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def by_mac(self, mac: str) -> Device:
        """The miner with that address on its label. Raises KeyError."""
        for device in self.miners:
            if device.mac.upper() == mac.upper():
                return device
        raise KeyError(mac)

    def tap(self, on: bool = True) -> None:
        """Keep (or no longer keep) what clients send, in each miner's `wire_log`."""
        for device in self.miners:
            device.tapped = on or device.foreign

    def apply_faults(self, faults: Mapping[str, Sequence[str | Mapping[str, Any]]]) -> None:
        """Set every miner's faults from address (or `*`) to list; what is not named is healthy.

        Raises FaultError for an unknown fault or an address no miner has; the faults in force stay.
        """
        unknown = set(faults) - {"*"} - {device.ip for device in self.miners}
        if unknown:
            raise FaultError(f"no miner has the address {', '.join(sorted(unknown))}")
        everywhere = list(faults.get("*", []))
        for spec in (spec for specs in faults.values() for spec in specs):
            parse_fault(spec)
        for device in self.miners:
            device.faults.replace([*everywhere, *faults.get(device.ip, [])])

    def renumber(self, count: int, *, first: str | None = None) -> dict[str, str]:
        """Give so many miners new addresses, as a DHCP server does that forgot its leases: MAC to new address.

        Which ones follows from the farm's seed and what was renumbered before. New addresses count up from `first`
        (default: after the highest of the farm), those in use left out. Raises SpecError where there are too few.
        """
        able = [each for each in self.miners if isinstance(each, Miner) and each.make != "rig"]
        if count > len(able):
            raise SpecError(f"{count} of {len(able)} miners cannot be renumbered")
        chosen = self._random.sample(able, count)
        used = {each.ip for each in self.miners}
        if first is None:
            first = max(used, key=ipaddress.IPv4Address)
        free = [ip for ip in count_up(first, count + len(used)) if ip not in used]
        return self.lease(dict(zip(chosen, free, strict=False)))

    def swap(self, one: Miner, other: Miner) -> dict[str, str]:
        """Let two miners change addresses; gives MAC to new address."""
        return self.lease({one: other.ip, other: one.ip})

    def lease(self, places: Mapping[Miner, str]) -> dict[str, str]:
        """Let miners answer at other addresses from now on, all at once; gives MAC to new address. Raises SpecError
        where two devices would have one address; then nothing has changed.
        """
        moving = {miner.ip: ip for miner, ip in places.items()}
        after = Counter(moving.get(each.ip, each.ip) for each in self.miners)
        if twice := [ip for ip, number in after.items() if number > 1]:
            raise SpecError(f"two devices at one address: {', '.join(twice)}")
        before = {miner: miner.ip for miner in places}
        for miner in places:
            for listener in miner.listeners.values():
                listener.close()
        for miner, ip in places.items():
            miner.lease(ip)
            miner.record("lease", "applied", before={"ip": before[miner]}, after={"ip": ip})
        return {miner.mac: ip for miner, ip in places.items()}

    def describe(self) -> list[dict[str, Any]]:
        """The listing: one entry per miner, in the order of the addresses."""
        return [device.describe() for device in self.miners]

    async def stop(self) -> None:
        """Close every socket and the ledger."""
        await self._stop_devices()
        self.ledger.close()

    async def _stop_devices(self) -> None:
        await asyncio.gather(*(device.stop() for device in self.miners))
        # what was accepted last becomes a transport, and closes, only on the next turns of the loop;
        # the loop offers nothing to wait for until then
        for _ in range(_CLOSING_TURNS):
            await asyncio.sleep(0)


def count_up(base: str, number: int) -> Iterator[str]:
    """Loopback addresses from `base` on, leaving out .0 and .255. Raises SpecError."""
    try:
        address = ipaddress.IPv4Address(base)
    except ValueError as error:
        raise SpecError(f"not an address: {base!r}") from error
    given = 0
    while given < number:
        if not address.is_loopback:
            raise SpecError(f"{base} with {number} miners leaves 127.0.0.0/8")
        if address.packed[3] not in (0, 255):
            yield str(address)
            given += 1
        address += 1


def default_ports(base: str, say: Callable[[str], None] = lambda _text: None) -> dict[str, int]:
    """The vendors' ports where they may be bound, else the high ones; `say` is told when they could be, but
    somebody else listens there.
    """
    problems = {port: bind_problem(base, port) for port in VENDOR_PORTS.values()}
    if not any(problems.values()):
        return dict(VENDOR_PORTS)
    taken = [port for port, number in problems.items() if number == errno.EADDRINUSE]
    if taken:
        say(
            f"in use on {base}: port {', '.join(map(str, taken))} (another simulator?); "
            f"this farm listens on {', '.join(map(str, HIGH_PORTS.values()))} instead"
        )
    return dict(HIGH_PORTS)


def _allow_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(max(soft, 4 * number), hard) if hard != resource.RLIM_INFINITY else 4 * number
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
