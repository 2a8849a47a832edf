"""From a playbook to what is started: judged by this rig's own config, word by word, and never seen by a shell."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Final

import msgspec

from agent.rig.config import AllowedProgram, RigServiceConfig
from agent.rig.options import OptionError, Options, check_arguments, checks
from agent.rig.shapes import ARGUMENT_MAX
from agent.rig.xmrig import xmrig_options
from contract.hiding import quoted
from contract.rigmonitor.playbook import PlaybookEntry, worker_name

ARGUMENTS_MAX: Final = 128
"""Words of one playbook."""
_SHIPPED: Final = {"XMRig": xmrig_options}
_VARIABLE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


class PlaybookRefusedError(Exception):
    """The playbook is not obeyed. The message names the field or option, and what would work."""


class MiningOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is started. Two that are equal are one process's: it goes on."""

    software_name: str
    software_version: str = ""
    path: str = ""
    sha256: str = ""
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}


def order_of(entry: PlaybookEntry, config: RigServiceConfig) -> MiningOrder:
    """What a playbook has started here. Raises PlaybookRefusedError."""
    program = config.allowed(entry.software_name, entry.software_version)
    if program is None:
        raise PlaybookRefusedError(_not_allowed(entry, config))
    words = _words(entry.command_argument)
    given = tuple(_filled_in(each, _variables(entry, config)) for each in words)
    try:
        check_arguments(given, _options(program, config))
    except OptionError as error:
        raise PlaybookRefusedError(f"command_argument: {error}") from None
    return MiningOrder(
        software_name=program.software_name,
        software_version=program.software_version,
        path=str(program.path),
        sha256=program.sha256,
        arguments=(*given, *program.arguments),
        environment=program.environment,
    )


def _words(text: str) -> list[str]:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > ARGUMENT_MAX:
        raise PlaybookRefusedError(
            f"command_argument: it is too long; {ARGUMENT_MAX} bytes are the most"
        )
    if not all(each.isprintable() or each in " \t\r\n" for each in text):
        raise PlaybookRefusedError("command_argument: it holds control characters")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise PlaybookRefusedError(f"command_argument: {str(error).lower()}") from None
    if len(words) > ARGUMENTS_MAX:
        raise PlaybookRefusedError(
            f"command_argument: it has {len(words)} words; {ARGUMENTS_MAX} are the most"
        )
    return words


def _filled_in(word: str, variables: Mapping[str, str | None]) -> str:
    """One word stays one word, whatever a variable holds; what a variable holds is no variable.

    A word is told only where it begins like a variable: another may be a password.
    """
    given = word.partition("=")[2] if word.startswith("-") else word
    shown = quoted(given) if given.startswith("$") else "a word"

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in variables:
            known = ", ".join(f"${each}" for each in variables)
            what = f"${name[:40]}" if given.startswith("$") else "what follows the `$` in a word"
            raise PlaybookRefusedError(
                f"command_argument: {what} is no variable of a playbook; known are {known}"
            )
        if not (held := variables[name]):
            raise PlaybookRefusedError(
                f"command_argument: ${name} has no value; set the address in the playbook, or "
                f"{name.lower()} in rig.toml"
            )
        return held

    filled = _VARIABLE.sub(value, word)
    if "$" in filled:
        raise PlaybookRefusedError(
            f"command_argument: {shown} holds a `$` that begins no variable; no shell will read it"
        )
    return filled


def _variables(entry: PlaybookEntry, config: RigServiceConfig) -> dict[str, str | None]:
    """What the server may have left to the rig: its own addresses first, else those of rig.toml."""
    pools = (entry.cpu_pool_address, entry.gpu_pool_address_1, entry.gpu_pool_address_2)
    wallets = (entry.cpu_wallet_address, entry.gpu_wallet_address_1, entry.gpu_wallet_address_2)
    return {
        "WORKER_NAME": worker_name(config.worker_name or os.uname().nodename),
        "POOL_ADDRESS": next(filter(None, pools), config.pool_address),
        "WALLET_ADDRESS": next(filter(None, wallets), config.wallet_address),
    }


def _options(program: AllowedProgram, config: RigServiceConfig) -> Options:
    if program.options is not None:
        return {
            name: checks(kind, http_port=program.http_port, pools=config.pools)
            for name, kind in program.options.items()
        }
    shipped = _SHIPPED.get(program.software_name)
    return {} if shipped is None else shipped(program.http_port, config.pools)


def _not_allowed(entry: PlaybookEntry, config: RigServiceConfig) -> str:
    name, version = quoted(entry.software_name), quoted(entry.software_version)
    versions = [
        each.software_version
        for each in config.programs
        if each.software_name == entry.software_name
    ]
    if versions:
        return (
            f"software_version: {version} of {name} is not allowed here; {', '.join(versions)} is"
        )
    names = sorted({each.software_name for each in config.programs})
    there = f"{', '.join(names)} may" if names else "no program may"
    return f"software_name: {name} may not be started here; {there}, by [[programs]] in rig.toml"
