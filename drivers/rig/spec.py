"""A rig as it is enrolled: how it is reached, and which programs mine on it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from contract.miner import Frozen


class MiningProgram(StrEnum):
    """The programs whose API we read."""

    XMRIG = "xmrig"
    LOLMINER = "lolminer"
    TREX = "t-rex"
    RIGEL = "rigel"
    BZMINER = "bzminer"
    SRBMINER = "srbminer"
    TEAMREDMINER = "teamredminer"
    GMINER = "gminer"
    NBMINER = "nbminer"


def program_named(text: str) -> MiningProgram | None:
    """The one that is meant, however its name is spelt: `SRBMiner-Multi`, `T-Rex`."""
    bare = _bare(text)
    return next((each for each in MiningProgram if bare.startswith(_bare(each))), None)


def _bare(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


class ProgramSpec(Frozen, frozen=True, kw_only=True):
    """One mining program and the port of its API on the rig's own loopback. Prints without its token.

    `unit` is the systemd unit that runs it; without one the service `miner-agent-rig` owns it. `log_file` is its own
    log, where it writes one beside the journal.
    """

    kind: MiningProgram
    port: int
    token: str | None = None
    unit: str | None = None
    log_file: str | None = None

    def __repr__(self) -> str:
        return f"ProgramSpec({self.kind}, {self.port})"


class LocalSpec(Frozen, frozen=True, kw_only=True, tag="local"):
    """The host we run on. `root` is where its `/sys` and `/proc` are: not `/` in a container. `host` is its address in
    the network, by which it is known.
    """

    root: str = "/"
    host: str = "127.0.0.1"


class SshSpec(Frozen, frozen=True, kw_only=True, tag="ssh"):
    """A host in the network, reached by SSH. `host_key` is its public key as OpenSSH writes it (`ssh-ed25519 AAAA..`),
    `key_file` holds our private key, without a passphrase.
    """

    host: str
    user: str
    key_file: str
    host_key: str
    port: int = 22
    root: str = "/"


class EnrolledRig(Frozen, frozen=True, kw_only=True):
    """One rig. `reboot_argv` is the command that restarts it; empty: it is not restarted. `ignored_cards` are PCI bus
    ids of cards that are none of its: taken out, or only for a screen. `unusable` is why nobody can speak with it: what
    is wrong with its key or with the token of one of its programs.
    """

    name: str
    reach: LocalSpec | SshSpec = msgspec.field(default_factory=LocalSpec)
    programs: tuple[ProgramSpec, ...] = ()
    reboot_argv: tuple[str, ...] = ()
    ignored_cards: tuple[str, ...] = ()
    unusable: str | None = None

    @property
    def host(self) -> str:
        """Where it is in the network."""
        return self.reach.host
