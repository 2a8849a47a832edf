"""The rigs that are enrolled, each at an address that is its own: whatever else answers there is asked nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from agent.config.file import Config, ConfigError
from agent.config.keyfiles import read_secret
from agent.config.rigs import RigConfig, RigProgramConfig
from agent.host.lan import lan_address
from contract.clock import Clock
from contract.miner import Identity
from drivers.base import Timing
from drivers.rig.reading.cards import SeenCard
from drivers.rig.spec import EnrolledRig, LocalSpec, ProgramSpec, SshSpec

if TYPE_CHECKING:
    from drivers.rig.driver import RigDriver

_LOOPBACK: Final = "127.0.0.1"


class Rigs:
    """By address. Opens their drivers."""

    def __init__(self, rigs: Mapping[str, EnrolledRig], clock: Clock, timing: Timing) -> None:
        self._rigs = dict(rigs)
        self._clock = clock
        self._timing = timing
        self._drivers: dict[str, RigDriver] = {}

    def __contains__(self, ip: str) -> bool:
        return ip in self._rigs

    def __iter__(self) -> Iterator[str]:
        return iter(self._rigs)

    def at(self, ip: str) -> EnrolledRig:
        """The rig of this address. Raises KeyError."""
        return self._rigs[ip]

    def address(self, name: str) -> str | None:
        """Where the rig of that name is."""
        return next((ip for ip, rig in self._rigs.items() if rig.name == name), None)

    @property
    def unusable(self) -> list[str]:
        """What is wrong with the keys and tokens of rigs with which nobody can speak, one line for each."""
        return [f"rig {rig.name}: {rig.unusable}" for rig in self._rigs.values() if rig.unusable]

    def open(self, ip: str, identity: Identity | None = None) -> RigDriver:
        """Its driver; nothing is sent. `identity` is who it was when it was last asked."""
        from drivers.rig.entry import RIG

        driver = RIG.enrolled(
            self._rigs[ip], clock=self._clock, timing=self._timing, identity=identity
        )
        self._drivers[ip] = driver
        return driver

    def expect(self, ip: str, cards: Mapping[str, SeenCard]) -> None:
        """Have the driver of this address miss these cards, too, where they are gone."""
        self._drivers[ip].expect(cards)

    def cards(self, ip: str) -> Mapping[str, SeenCard]:
        """The graphics cards that the rig of this address was ever seen with, by bus id; none where there is no rig."""
        driver = self._drivers.get(ip)
        return {} if driver is None else driver.seen

    async def close(self) -> None:
        """Let go of what is kept open to them."""
        for driver in self._drivers.values():
            await driver.rig_wire.reach.close()


def rigs_of(
    config: Config,
    clock: Clock,
    timing: Timing,
    *,
    address_here: Callable[[], str | None] = lan_address,
) -> Rigs:
    """Those of the config. `address_here` tells that of this host, by which a local rig is known; where there is none
    it is known by that of its loopback. One with a key or token file that cannot be used says so whenever it is asked,
    and holds up no other miner. Raises ConfigError for a rig in the network that is this very host.
    """
    found: dict[str, EnrolledRig] = {}
    for entry in config.rigs:
        rig = _enrolled(entry, address_here)
        if rig.host in found:
            raise ConfigError(
                f"the rigs {found[rig.host].name!r} and {rig.name!r} are both at {rig.host}, the address of this host: "
                "keep one of them"
            )
        found[rig.host] = rig
    return Rigs(found, clock, timing)


def address_of(entry: RigConfig, address_here: Callable[[], str | None] = lan_address) -> str:
    """Where a rig is in the network."""
    return entry.host or address_here() or _LOOPBACK


def rig_of(entry: RigConfig, address_here: Callable[[], str | None] = lan_address) -> EnrolledRig:
    """One rig as its driver takes it. Raises ConfigError for an unusable key or token file."""
    if entry.key_file is not None and "PRIVATE KEY-----" not in read_secret(entry.key_file):
        raise ConfigError(
            f"{entry.key_file} (key_file of the rig {entry.name!r}) is no private key: name the file without .pub; "
            "ssh-keygen -t ed25519 -N '' -f FILE makes one"
        )
    return EnrolledRig(
        name=entry.name,
        reach=_reach_of(entry, address_here),
        programs=tuple(map(_program_of, entry.programs)),
        reboot_argv=entry.reboot,
        ignored_cards=entry.ignored_cards,
    )


def _enrolled(entry: RigConfig, address_here: Callable[[], str | None]) -> EnrolledRig:
    try:
        return rig_of(entry, address_here)
    except ConfigError as error:
        why = f"{error}; then restart the agent: systemctl restart miner-agent"
        return EnrolledRig(name=entry.name, reach=_reach_of(entry, address_here), unusable=why)


def _reach_of(entry: RigConfig, address_here: Callable[[], str | None]) -> LocalSpec | SshSpec:
    if entry.reach == "local":
        return LocalSpec(root=entry.root, host=address_of(entry, address_here))
    assert entry.host is not None  # as the config checked, like the three below
    assert entry.user is not None
    assert entry.key_file is not None
    assert entry.host_key is not None
    return SshSpec(
        host=entry.host,
        port=entry.port,
        user=entry.user,
        key_file=str(entry.key_file),
        host_key=entry.host_key,
        root=entry.root,
    )


def _program_of(program: RigProgramConfig) -> ProgramSpec:
    token = None if program.token_file is None else read_secret(program.token_file)
    return ProgramSpec(
        kind=program.kind,
        port=program.port,
        token=token,
        unit=program.unit,
        log_file=program.log_file,
    )
