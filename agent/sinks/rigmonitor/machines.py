"""Which miners the monitor knows, and by which code: from the config and the files it names."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.config.file import ConfigError
from agent.config.keyfiles import read_secret
from agent.config.rigmonitor import RigMonitorMiner, RigMonitorRig, RigMonitorSection
from agent.sinks.rigmonitor.rig_records import CPU, GPU_1, GPU_2, Mined
from contract.miner import normalize_mac
from contract.rigmonitor.shared import OFFICIAL_CODE_CHARS, MachineKind

_FIELDS: Final = 2  # of a line: whose, and the code


class ApiCode(msgspec.Struct, frozen=True):
    """The secret by which the monitor knows one machine. Prints as stars."""

    text: str

    def __repr__(self) -> str:
        return "ApiCode(****)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What a trace with local variables shows."""
        return [("text", "****")]


class MonitorMachine(msgspec.Struct, frozen=True, kw_only=True):
    """One miner of the monitor. `key` is its MAC, or its address where only that was given; of a rig its name.

    `mined`: what the config says that a rig mines, by the slots of `rig_records`. `playbooks`: whether it mines what
    the monitor says.
    """

    key: str
    code: ApiCode
    kind: MachineKind = MachineKind.ASIC
    coin_name: str | None = None
    power_w: int | None = None
    mined: dict[str, Mined] = {}
    playbooks: bool = False


def machines_of(section: RigMonitorSection) -> tuple[MonitorMachine, ...]:
    """Every miner that has a code, in the order written down.

    Raises ConfigError for a file that cannot be used, a miner without a code, and one code for two miners.
    """
    entries = {entry.mac or entry.ip or "": entry for entry in section.miner}
    rigs = {entry.name: entry for entry in section.rig}
    codes = {} if section.codes_file is None else _table(section.codes_file, rigs.keys())
    for kind, key, path in (
        *(("miner", key, entry.api_code_file) for key, entry in entries.items()),
        *(("rig", key, entry.api_code_file) for key, entry in rigs.items()),
    ):
        if path is not None:
            codes[key] = _code(read_secret(path).strip(), str(path))
        elif key not in codes:
            raise ConfigError(
                f"rigmonitor.{kind} {key} has no code: give api_code_file, or a line in codes_file"
            )
    owners: dict[str, str] = {}
    for key, code in codes.items():
        other = owners.setdefault(code.text, key)
        if other != key:
            raise ConfigError(f"rigmonitor: {other} and {key} have the same code")
    return tuple(
        _rig(rigs[key], code) if key in rigs else _asic(key, entries.get(key), code)
        for key, code in codes.items()
    )


def _rig(entry: RigMonitorRig, code: ApiCode) -> MonitorMachine:
    return MonitorMachine(
        key=entry.name,
        code=code,
        kind=MachineKind.RIG,
        mined={
            slot: Mined(**known.model_dump())
            for slot, known in ((CPU, entry.cpu), (GPU_1, entry.gpu_1), (GPU_2, entry.gpu_2))
        },
        playbooks=entry.playbooks,
    )


def _asic(key: str, entry: RigMonitorMiner | None, code: ApiCode) -> MonitorMachine:
    return MonitorMachine(
        key=key,
        code=code,
        coin_name=entry.coin_name if entry else None,
        power_w=entry.power_w if entry else None,
    )


def _table(path: Path, rigs: Collection[str]) -> dict[str, ApiCode]:
    """`MAC CODE`, `IP CODE` or `NAME CODE` (of one of `rigs`) a line; empty lines and those that begin with `#` mean
    nothing.
    """
    found: dict[str, ApiCode] = {}
    for number, line in enumerate(read_secret(path).splitlines(), start=1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        place = f"{path}, line {number}"
        if len(parts) != _FIELDS:
            raise ConfigError(f"{place}: write the MAC (or the address) of a miner, then its code")
        whose = parts[0]
        key = whose if whose in rigs else normalize_mac(whose) or _address(whose)
        if key is None:
            raise ConfigError(
                f"{place}: begins with neither a MAC nor an address, nor with the name of a [[rigmonitor.rig]]"
            )
        if key in found:
            raise ConfigError(f"{place}: {key} stands there twice")
        found[key] = _code(parts[1], place)
    return found


def _address(text: str) -> str | None:
    try:
        return str(IPv4Address(text))
    except ValueError:
        return None


def _code(text: str, place: str) -> ApiCode:
    """What can stand in a header. The code itself is never repeated in a message."""
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if not is_plain or not 0 < len(text) <= OFFICIAL_CODE_CHARS:
        raise ConfigError(f"{place}: this is no code: 1 to {OFFICIAL_CODE_CHARS} letters or digits")
    return ApiCode(text)
