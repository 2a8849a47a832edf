"""Which options a playbook may give a program, and with which values: whatever is not named here is refused.

A playbook comes from a server. Nothing that it says may name a file, listen beyond loopback, or change where a program
writes; so options are allowed one by one, each with the kind of its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatch
from typing import Final

from contract.hiding import quoted
from contract.hosts import is_loopback

Check = Callable[[str], None]
"""Raises OptionError, whose words follow the name of the option."""
Options = Mapping[str, Check | None]
"""By their full names, `--url` and `-o` apart; None: takes no value."""

VALUE_MAX: Final = 1024
"""Characters of one value."""
POOL_SCHEMES: Final = (
    "stratum+tcp", "stratum+ssl", "stratum+tls", "stratum2+tcp", "stratum2+ssl", "tcp", "ssl", "tls",
)  # fmt: skip
_POOL: Final = re.compile(
    r"(?:([a-z0-9+]+)://)?([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})"
)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9/._+-]*")
_LIST: Final = re.compile(r"[0-9]{1,4}(?:,[0-9]{1,4})*")
_HEX: Final = re.compile(r"(?:0[xX])?[0-9A-Fa-f]{1,64}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


class OptionError(Exception):
    """An argument that is not allowed. The message names it, and what would work."""


class OptionKind(StrEnum):
    """What the value of an option has to be, as a config says it."""

    FLAG = "flag"
    """None: the option stands alone."""
    TEXT = "text"
    """One word that the program sends to the pool: a user, a password, the name of a worker."""
    WORD = "word"
    """Letters, digits and `/ . _ + -`, beginning with a letter or digit: an algorithm, a coin. No path is one."""
    INTEGER = "integer"
    LIST = "list"
    """Whole numbers between commas: cards."""
    HEX = "hex"
    POOL = "pool"
    """host:port, with a scheme of stratum or without."""
    LOOPBACK = "loopback"
    """Where its API listens: an address of this host's loopback, with the `http_port` of the config or without."""
    API_PORT = "api_port"
    """The `http_port` of the config."""


def check_arguments(arguments: Sequence[str], options: Options) -> None:
    """Raises OptionError for the first that is not allowed. `--name value` and `--name=value` are understood, short
    options apart from their value; no name is completed, nothing stands alone.
    """
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, value = argument.partition("=")
        if not name.startswith("-"):
            raise OptionError(
                f"{quoted(argument)} is no option; each begins with `-`, and a value follows the option it is for"
            )
        if name not in options:
            raise OptionError(f"{quoted(name)} is not allowed here; {_allowed(options)}")
        check = options[name]
        if check is None:
            if equals:
                raise OptionError(f"{name} takes no value")
            continue
        if equals and not name.startswith("--"):
            raise OptionError(f"{name}: write `{name} VALUE`")
        if not equals:
            value = next(waiting, "")
            if value.startswith("-"):
                hint = f"; write {name}=VALUE for one that begins so" if name[:2] == "--" else ""
                known = value.partition("=")[0]
                what = quoted(known) if known in options else "what follows"
                raise OptionError(f"{name} wants a value, and {what} is an option{hint}")
        _check_value(name, value, check)


def checks(kind: OptionKind, *, http_port: int | None, pools: Sequence[str]) -> Check | None:
    """What judges values of a kind. `pools`: patterns of the hosts that may be mined at; none: all."""
    plain: dict[OptionKind, Check | None] = {
        OptionKind.FLAG: None,
        OptionKind.TEXT: _nothing_more,
        OptionKind.WORD: matching(_WORD, "is no word; letters, digits and / . _ + - are allowed"),
        OptionKind.INTEGER: integer(-(10**18), 10**18),
        OptionKind.LIST: matching(_LIST, "is no list of numbers such as 0,1,3"),
        OptionKind.HEX: matching(_HEX, "is no hexadecimal number"),
        OptionKind.POOL: pool(pools),
        OptionKind.LOOPBACK: loopback(http_port),
        OptionKind.API_PORT: api_port(http_port),
    }
    return plain[kind]


def integer(least: int, most: int) -> Check:
    def check(value: str) -> None:
        if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
            raise OptionError(f"{quoted(value)} is no whole number from {least} to {most}")

    return check


def one_of(*values: str) -> Check:
    def check(value: str) -> None:
        if value not in values:
            raise OptionError(f"{quoted(value)} is none of {', '.join(values)}")

    return check


def matching(pattern: re.Pattern[str], words: str) -> Check:
    def check(value: str) -> None:
        if not pattern.fullmatch(value):
            raise OptionError(f"{quoted(value)} {words}")

    return check


def pool(patterns: Sequence[str]) -> Check:
    def check(value: str) -> None:
        found = _POOL.fullmatch(value)
        if found is None or not 1 <= int(found[3]) <= 65535:
            raise OptionError(
                f"{quoted(value)} is no pool; write host:port or stratum+tcp://host:port"
            )
        if found[1] is not None and found[1] not in POOL_SCHEMES:
            raise OptionError(f"{quoted(value)}: the scheme is none of {', '.join(POOL_SCHEMES)}")
        if patterns and not any(fnmatch(found[2].lower(), each.lower()) for each in patterns):
            raise OptionError(
                f"{quoted(value)} is none of this rig's pools; `pools` in rig.toml has {', '.join(patterns)}"
            )

    return check


def loopback(http_port: int | None) -> Check:
    def check(value: str) -> None:
        if is_loopback(value):  # an address alone, of version 6, too
            return
        host, colon, port = value.rpartition(":")
        if colon and is_loopback(host.removeprefix("[").removesuffix("]")):
            api_port(http_port)(port)
            return
        raise OptionError(
            f"{quoted(value)} would be heard beyond this host; 127.0.0.1 is what works"
        )

    return check


def api_port(http_port: int | None) -> Check:
    def check(value: str) -> None:
        if http_port is None:
            raise OptionError("this rig's config names no http_port for the program")
        if value != str(http_port):
            raise OptionError(f"{quoted(value)} is not the port of this rig's config, {http_port}")

    return check


def _check_value(name: str, value: str, check: Check) -> None:
    """The value is not told where it breaks what holds for all: it may be a password."""
    if not value:
        raise OptionError(f"{name} wants a value")
    if len(value) > VALUE_MAX:
        raise OptionError(
            f"{name}: the value has {len(value)} characters; {VALUE_MAX} are the most"
        )
    if not value.isprintable() or any(each.isspace() for each in value):
        raise OptionError(f"{name}: a value holds no blanks and no control characters")
    try:
        check(value)
    except OptionError as error:
        raise OptionError(f"{name}: {error}") from None


def _nothing_more(_value: str) -> None:
    """Any text that holds neither blanks nor control characters."""


def _allowed(options: Options) -> str:
    if not options:
        return "no option is, for this program; `options` of the program in rig.toml allows them"
    return f"allowed are {', '.join(sorted(options))}"
