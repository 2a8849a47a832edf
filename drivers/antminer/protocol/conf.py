"""The configuration file of a stock AntMiner: what `get_miner_conf.cgi` prints and `set_miner_conf.cgi` takes.

Two dialects: JSON on the firmwares since 2020, a form whose values are assigned by position on the
older ones. Bytes in, bytes out; no socket.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from contract.errors import BadParamsError, MalformedError, UnsupportedError
from drivers.antminer.protocol.repair import decode_json
from drivers.base import StoredPool

SLOTS: Final = 3  # the firmware keeps three pools; a shorter list leaves its old tail in place
MAX_CONFIG: Final = 64 * 1024
_MAX_POOLS: Final = 16  # custom firmwares list more than three; beyond this it is no pool list

_MODE_KEYS: Final = ("bitmain-work-mode", "miner-mode")
# Not seen in a changed reply as "something else changed": the mode is compared by meaning.
_COMPARED_APART: Final = frozenset({"pools", *_MODE_KEYS})


class MinerConf(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `fields` is everything but the pools, as the miner spelt it."""

    pools: tuple[StoredPool, ...]
    fields: dict[str, Any]

    def __repr__(self) -> str:
        return f"MinerConf({len(self.pools)} pools, {sorted(self.fields)})"

    @property
    def mode_number(self) -> str:
        """The configured work mode as text: "0" where the file leaves it empty or out.

        A string on one firmware family and a bare number on the other, so it is compared as text;
        some builds name it `miner-mode`.
        """
        for key in _MODE_KEYS:
            value = self.fields.get(key)
            if value not in (None, ""):
                return mode_text(value)
        return "0"

    @property
    def has_mode(self) -> bool:
        """Whether the file knows a work mode at all (old models without sleep do not)."""
        return any(key in self.fields for key in _MODE_KEYS)

    @property
    def slots(self) -> tuple[StoredPool, ...]:
        """Exactly three slots: the first three listed, filled up with empty ones."""
        return filled_up(self.pools[:SLOTS])


def parse(body: bytes) -> MinerConf:
    """Read a configuration reply.

    Raises MalformedError when it is no JSON object or has no list of pools. A miner that was never
    set up, or is just starting, answers so: writing onto that would wipe what it holds.
    """
    if len(body) > MAX_CONFIG:
        raise MalformedError(f"configuration of {len(body)} bytes: over {MAX_CONFIG}, not read")
    root = decode_json(body)
    if not isinstance(root, dict):
        raise MalformedError("the miner's configuration is not a JSON object")
    pools = pool_list(root)
    fields = {key: value for key, value in root.items() if key != "pools"}
    for key, value in fields.items():
        if isinstance(value, dict | list):
            raise MalformedError(f"the miner's configuration has a nested value under {key[:40]!r}")
    return MinerConf(pools=tuple(_slot(each) for each in pools), fields=fields)


def json_body(
    config: MinerConf, slots: tuple[StoredPool, ...], mode: str, *, as_text: bool = False
) -> bytes:
    """The whole configuration as `set_miner_conf.cgi` of the newer firmwares takes it.

    `mode` is sent as a number, or as a string with `as_text`, under both names: the scripts read
    `miner-mode`, some builds `bitmain-work-mode`. Raises BadParamsError for a pool value the
    miner's shell would destroy, UnsupportedError when it is a value already in the file.
    """
    check_slots(slots)
    body: dict[str, Any] = {}
    echo_fans(config, body)
    name_mode(body, mode if as_text or not mode.isdecimal() else int(mode))
    echo_rest(config, body)
    body["pools"] = [{"url": s.url, "user": s.user, "pass": s.password} for s in slots]
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # The script reads one line into an unquoted shell word: blanks cut it, backslashes vanish, and
    # the pools are then written empty while the reply still says success.
    if not is_shell_safe(text):
        raise UnsupportedError(
            "a value in the miner's present configuration holds a blank, a backslash or a character beyond ASCII; "
            "writing it back would destroy it. Correct it on the miner's web page first"
        )
    return text.encode()


def form_body(config: MinerConf, slots: tuple[StoredPool, ...], mode: str) -> bytes:
    """The form of the older firmwares: every value in its place, since names are not looked at.

    Raises UnsupportedError for a layout we do not know, BadParamsError for a pool value the
    script cannot decode.
    """
    check_layout(config)
    check_slots(slots)
    pairs: list[tuple[str, str]] = []
    for index, slot in enumerate(slots, 1):
        pairs.append((f"_ant_pool{index}url", slot.url))
        pairs.append((f"_ant_pool{index}user", slot.user))
        pairs.append((f"_ant_pool{index}pw", slot.password))
    fields = config.fields
    pairs += [
        ("_ant_nobeeper", _word(fields.get("bitmain-nobeeper"), "false")),
        ("_ant_notempoverctrl", _word(fields.get("bitmain-notempoverctrl"), "false")),
        # Sent on every image since 2017, also where the file does not show the two.
        ("_ant_fan_customize_switch", _word(fields.get("bitmain-fan-ctrl"), "false")),
        ("_ant_fan_customize_value", _word(fields.get("bitmain-fan-pwm"), "")),
        ("_ant_freq", _word(fields.get("bitmain-freq"), "")),
    ]
    if "bitmain-voltage" in fields:
        pairs.append(("_ant_voltage", _word(fields["bitmain-voltage"], "")))
    if config.has_mode:
        pairs.append(("_ant_work_mode", mode))
    return "&".join(f"{name}={percent(value)}" for name, value in pairs).encode("ascii")


def pool_list(root: dict[str, Any]) -> list[Any]:
    """The raw pools of a configuration. Raises MalformedError where there is no such list.

    A device that is not set up yet answers so, and a save would make that its configuration.
    """
    pools = root.get("pools")
    if not isinstance(pools, list) or len(pools) > _MAX_POOLS:
        raise MalformedError(
            "the miner's configuration has no list of pools: it may still be starting or was never set up; "
            "open its web page once and save the settings, then try again"
        )
    return pools


def filled_up(slots: tuple[StoredPool, ...]) -> tuple[StoredPool, ...]:
    """Exactly three: the firmware keeps its old pools in slots that are not sent."""
    return (*slots, *(StoredPool(),) * (SLOTS - len(slots)))


def mode_text(value: object) -> str:
    """A mode as text: one firmware family writes it as a string, the other as a number after the first save."""
    return str(value).strip()


def name_mode(body: dict[str, Any], value: int | str) -> None:
    """Put the mode under both names: it is read back under one and taken, by most scripts, only under the other."""
    body["miner-mode"] = value
    body["bitmain-work-mode"] = value


def changed_beside(before: MinerConf, after: MinerConf) -> dict[str, tuple[Any, Any]]:
    """What differs between two configurations, pools and work mode left out: key -> (before, after).

    Values are compared as text, since a save turns strings into numbers on some images.
    """
    keys = (before.fields.keys() | after.fields.keys()) - _COMPARED_APART
    return {
        key: (before.fields.get(key), after.fields.get(key))
        for key in sorted(keys)
        if _plain(before.fields.get(key)) != _plain(after.fields.get(key))
    }


def same_pools(left: tuple[StoredPool, ...], right: tuple[StoredPool, ...]) -> bool:
    """Whether two lists hold the same pools byte for byte, empty slots at the end not counted."""
    return _trimmed(left) == _trimmed(right)


def check_slots(slots: tuple[StoredPool, ...]) -> None:
    """Raises BadParamsError for a value the miner cannot hold: visible ASCII without quote and backslash."""
    for index, slot in enumerate(slots, 1):
        for name, value in (("url", slot.url), ("user", slot.user), ("password", slot.password)):
            if not is_shell_safe(value) or '"' in value:
                raise BadParamsError(
                    f"pool {index}: the {name} holds a blank, a quote, a backslash or a character beyond ASCII; "
                    "this miner's firmware would store it damaged"
                )


def is_shell_safe(text: str) -> bool:
    """Whether the miner's shell script passes this text on unharmed."""
    return _SAFE.fullmatch(text) is not None


def echo_fans(config: MinerConf, body: dict[str, Any]) -> None:
    """Carry the fan settings over: images of 2024 on reset them when they are not sent."""
    _echo(config, body, "bitmain-fan-ctrl", "bitmain-fan-ctrl")
    _echo(config, body, "bitmain-fan-pwm", "bitmain-fan-pwm")


def echo_rest(config: MinerConf, body: dict[str, Any]) -> None:
    """Carry over what a save would lose: the percent settings, the worker suffix, the algorithm.

    Without `algo` the newer coins' firmware falls back to the algorithm of the factory.
    """
    _echo(config, body, "bitmain-freq-level", "freq-level")  # read and written under two names
    _echo(config, body, "freq-level", "freq-level")
    _echo(config, body, "bitmain-user-ip-cat", "bitmain-user-ip-cat")
    _echo(config, body, "bitmain-hashrate-percent", "bitmain-hashrate-percent")
    _echo(config, body, "algo", "algo")


def check_layout(config: MinerConf) -> None:
    """Raises UnsupportedError when an old firmware's file holds a setting whose place we do not know.

    Values go by position: one field too many or too few shifts all that follow.
    """
    unknown = [
        key[:40]
        for key in config.fields
        if key.startswith("bitmain-") and key not in _FORM_KEYS and key not in _MODE_KEYS
    ]
    if unknown or "bitmain-freq" not in config.fields:
        what = f"unknown settings {', '.join(sorted(unknown))}" if unknown else "no bitmain-freq"
        raise UnsupportedError(
            f"the layout of this miner's configuration is not known ({what}): it is read but not written"
        )


def percent(value: str) -> str:
    """Percent-encode what the old firmware's script decodes, and nothing else.

    Raises BadParamsError for a character it neither decodes nor takes as it is.
    """
    out: list[str] = []
    for char in value:
        if char in _PLAIN:
            out.append(char)
        elif char in _DECODED:
            out.append(f"%{ord(char):02X}")
        else:
            raise BadParamsError(f"this miner's firmware cannot store the character {char!r}")
    return "".join(out)


_SAFE: Final = re.compile(r"[\x21-\x5b\x5d-\x7e]*")
_DECODED: Final = frozenset("#$%&,+:;<=>?@[]^{|}/")
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!*()")
_FORM_KEYS: Final = frozenset(
    {
        "bitmain-use-vil",
        "bitmain-freq",
        "bitmain-voltage",
        "bitmain-nobeeper",
        "bitmain-notempoverctrl",
        "bitmain-fan-ctrl",
        "bitmain-fan-pwm",
    }
)


def _slot(entry: object) -> StoredPool:
    if not isinstance(entry, dict):
        raise MalformedError("a pool in the miner's configuration is not an object")
    return StoredPool(
        url=_text(entry.get("url")),
        user=_text(entry.get("user")),
        password=_text(entry.get("pass")),
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        raise MalformedError("a pool in the miner's configuration holds something that is no text")
    return str(value)


def _echo(config: MinerConf, body: dict[str, Any], key: str, to: str) -> None:
    if config.fields.get(key) is not None and to not in body:
        body[to] = config.fields[key]


def _word(value: object, absent: str) -> str:
    if value is None:
        return absent
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plain(value: object) -> str:
    return "" if value is None else _word(value, "").lower()


def _trimmed(slots: tuple[StoredPool, ...]) -> tuple[StoredPool, ...]:
    kept = list(slots)
    while kept and not kept[-1].url:
        kept.pop()
    return tuple(kept)
