"""The entries of `[[rigs]]`: computers that mine with a processor or graphics cards, each enrolled by its name."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from agent.config.fields import AddressText, Port, Section, ShortText
from drivers.rig.protocol.figures import full_bus_id
from drivers.rig.spec import MiningProgram

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")
# Of an SSH rig alone; the first four it cannot do without.
_BY_SSH: Final = ("host", "user", "key_file", "host_key", "port")


def _checked_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text[:70]!r} is not a name of letters, digits, '.', '_' and '-'")
    return text


def _checked_host_key(text: str) -> str:
    """An OpenSSH public key without its comment. Raises ValueError."""
    kind, _, rest = text.strip().partition(" ")
    data = rest.strip().partition(" ")[0]
    try:
        told = base64.b64decode(data, validate=True)
    except binascii.Error:
        told = b""
    if not data or told[4 : 4 + int.from_bytes(told[:4])] != kind.encode():
        raise ValueError(
            "is not a public key as ssh-keyscan prints it behind the host ('ssh-ed25519 AAAA...'); "
            "miner-agent rig add fetches it"
        )
    return f"{kind} {data}"


def _checked_bus_id(text: str) -> str:
    """As the sensors have it: nvidia-smi and lspci write other zeros before it. Raises ValueError."""
    bus_id = full_bus_id(text)
    if bus_id is None:
        raise ValueError(f"{text[:40]!r} is not the PCI address of a card, such as 0000:05:00.0")
    return bus_id


def _checked_unit(text: str) -> str:
    if not _UNIT.fullmatch(text) or text.startswith("-"):
        raise ValueError(f"{text[:40]!r} is not the name of a systemd unit, such as xmrig.service")
    return text


def _checked_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text[:40]!r} is not a path from / on")
    return text


def _refuse(data: Any, key: str, instead: str) -> Any:
    if isinstance(data, dict) and key in data:
        raise ValueError(f"{key} does not stand in the config: {instead}")
    return data


class RigProgramConfig(Section):
    """One mining program of a rig, with the port of its API on the rig's own loopback."""

    kind: MiningProgram
    port: Port
    token_file: Path | None = None
    unit: Annotated[str, AfterValidator(_checked_unit)] | None = None
    log_file: Annotated[str, AfterValidator(_checked_path)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_secret(cls, data: Any) -> Any:
        return _refuse(data, "token", "write it into a file of its own and name that: token_file")


class RigConfig(Section):
    """One rig: this very host, or one in the network by SSH."""

    name: Annotated[str, AfterValidator(_checked_name)]
    reach: Literal["local", "ssh"]
    root: Annotated[str, AfterValidator(_checked_path)] = "/"
    host: AddressText | None = None
    port: Port = 22
    user: ShortText | None = None
    key_file: Path | None = None
    host_key: Annotated[str, AfterValidator(_checked_host_key)] | None = None
    reboot: Annotated[tuple[ShortText, ...], Field(max_length=64)] = ()
    ignored_cards: tuple[Annotated[str, AfterValidator(_checked_bus_id)], ...] = ()
    programs: Annotated[tuple[RigProgramConfig, ...], Field(max_length=16)] = ()

    @model_validator(mode="before")
    @classmethod
    def _no_secret(cls, data: Any) -> Any:
        return _refuse(data, "password", "rigs are logged in to by a key: key_file")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.reach == "local":
            given = [key for key in _BY_SSH if key in self.model_fields_set]
            if given := [key for key in given if getattr(self, key) is not None]:
                raise ValueError(
                    f"{self.name} is reached locally, which takes no {' and no '.join(given)}: leave it out, or "
                    'set reach = "ssh"'
                )
        elif missing := [key for key in _BY_SSH if getattr(self, key) is None]:
            raise ValueError(
                f"{self.name} is reached by ssh, which needs {' and '.join(missing)}; all of them: "
                "host (its IPv4 address), user, key_file (our private key), host_key (its public one); "
                "miner-agent rig add asks it for its key"
            )
        ports = [each.port for each in self.programs]
        if twice := next((port for port in ports if ports.count(port) > 1), None):
            raise ValueError(
                f"{self.name} has two programs at port {twice}: give each the port of its own API"
            )
        return self


def check_distinct(rigs: tuple[RigConfig, ...]) -> tuple[RigConfig, ...]:
    """Raises as `check_apart`."""
    check_apart((each.name, each.host) for each in rigs)
    return rigs


def check_apart(rigs: Iterable[tuple[str, str | None]]) -> None:
    """By name and address (`None`: this host). Raises ValueError for two rigs that could be taken for one."""
    names: set[str] = set()
    by_address: dict[str, str] = {}
    for name, host in rigs:
        if name.lower() in names:
            raise ValueError(
                f"two rigs are called {name!r}: give each a name of its own, or take the other away "
                f"(miner-agent rig remove {name})"
            )
        names.add(name.lower())
        where = host or "this host"
        if where in by_address:
            raise ValueError(
                f"{by_address[where]!r} and {name!r} are both at {where}: one address is one miner, so keep one of "
                "them, with the programs of both"
            )
        by_address[where] = name
