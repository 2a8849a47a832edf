"""Port 4111: one JSON object per line in, one JSON object and a white space byte out. Nobody logs in.

Chosen by us, because it is not known: which white space byte, several lines on one connection (they are answered in
turn), and that a command nobody knows fails with 1005.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from simulator.iceriver import firmware, logs, orders, reads
from simulator.iceriver.catalogue import Variant
from simulator.iceriver.firmware import IceriverImageError
from simulator.net import Connection, ListeningPort
from simulator.orders import Order, OrderError, Reaction

if TYPE_CHECKING:
    from simulator.iceriver.device import IceriverDevice

Command = dict[str, Any]
MAX_LINE: Final = 64 * 1024
OK: Final = 0
BAD_USER: Final = 1001
BAD_PASSWORD: Final = 1002
FAILED: Final = 1005
BAD_NEW_PASSWORD: Final = 1017
# its format string lacks the brace that closes the reply
INVALID: Final = b'{"ret":{"code":1007,"msg":"invalid"}'
_MAX_PASSWORD: Final = 32
_USER: Final = "admin"


@dataclass(frozen=True, slots=True)
class DaemonAnswer:
    """What is sent back, each part in a write of its own; no parts: the daemon hangs."""

    parts: tuple[bytes, ...] = ()
    reaction: Reaction = Reaction.ANSWER


async def ask(miner: IceriverDevice, line: bytes) -> DaemonAnswer:
    """Let the daemon carry out one command; comes back when it would answer."""
    command = _parse(line)
    if command is None:
        return DaemonAnswer((INVALID + _end(miner),))
    name = command["id"]
    if miner.faults.take("daemon_hangs", text=name):
        return DaemonAnswer()
    if name == "log":
        return DaemonAnswer(_log_parts(miner, is_history=command.get("history") is True))
    if (found := reads.ret(miner, name)) is not None:
        # this one's code means nothing on older builds
        strange = name == "getlocate" and miner.variant is Variant.A
        return _answer(miner, name, FAILED if strange else OK, found)
    if name == "login":
        return _answer(miner, name, _login(miner, command))
    return await _order(miner, name, command)


class DaemonConnection(Connection):
    """Answers one line after another; the client closes."""

    kind = "daemon"

    def __init__(self, miner: IceriverDevice, listener: ListeningPort) -> None:
        super().__init__(miner, listener)
        self.miner = miner
        self._buffer = bytearray()
        self._busy = False

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._advance()

    def eof_received(self) -> bool:
        return self._busy

    def connection_lost(self, exc: Exception | None) -> None:
        if self._buffer and not self._busy:
            self._tap(bytes(self._buffer))
        super().connection_lost(exc)

    def _advance(self) -> None:
        line, found, rest = bytes(self._buffer).partition(b"\n")
        if not found and len(line) <= MAX_LINE:
            return
        self._buffer[:] = rest
        self._tap(line + found)
        if self.abandoned or self.attack(line.decode("latin-1")):
            self._busy = True
            return
        self._busy = True
        self.device.spawn(self._serve(line))

    async def _serve(self, line: bytes) -> None:
        # runs on the device: what was begun is finished, whether its client waits or not
        answer = await ask(self.miner, line)
        if self.transport is None or (not answer.parts and answer.reaction is not Reaction.HANG_UP):
            return
        if answer.reaction is Reaction.HANG_UP:
            self.transport.close()
            return
        text = line.decode("latin-1")
        for part in answer.parts:
            self.send(self.spoil(part, text), close=False, text=text)
        self._busy = False
        if self._buffer and self.transport is not None:
            self._advance()

    def _tap(self, data: bytes) -> None:
        secret = b'"pass"' in data
        self.miner.tap(self.listener.port, self.kind, data, had_credentials=secret)


def _parse(line: bytes) -> Command | None:
    try:
        # stricter than needed: what it takes can always be told again
        document = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        return None
    return document


def _end(miner: IceriverDevice) -> bytes:
    return b"\n" if miner.spec.variant is Variant.A else b" "


def _answer(
    miner: IceriverDevice, name: str, code: int, found: Command | None = None
) -> DaemonAnswer:
    content: Command = {"code": code, **(found or {})}
    if code and found is None:
        content["msg"] = _MESSAGES.get(code, "failed")
    return DaemonAnswer((msgspec.json.encode({"id": name, "ret": content}) + _end(miner),))


def _login(miner: IceriverDevice, command: Command) -> int:
    if command.get("user") != _USER:
        return BAD_USER
    return OK if command.get("pass") == miner.login_password() else BAD_PASSWORD


async def _order(miner: IceriverDevice, name: str, command: Command) -> DaemonAnswer:
    build = _ORDERS.get(name)
    if build is None:
        return _answer(miner, name, FAILED)
    try:
        wanted = build(miner, command)
    except OrderError as error:
        miner.refuse(_ACTIONS[name], str(error))
        return _answer(miner, name, FAILED)
    except IceriverImageError as error:
        miner.refuse(_ACTIONS[name], str(error))
        return _answer(miner, name, error.code)
    except _PasswordError as error:
        miner.refuse(_ACTIONS[name], "password")
        return _answer(miner, name, error.code)
    for order in wanted:
        reaction = await miner.accept(order)
        if reaction is not Reaction.ANSWER:
            return DaemonAnswer(reaction=reaction)
    return _answer(miner, name, OK)


class _PasswordError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _change_password(miner: IceriverDevice, command: Command) -> list[Order]:
    word = command.get("newpass")
    if command.get("pass") != miner.login_password():
        raise _PasswordError(BAD_PASSWORD)
    if not isinstance(word, str) or not 0 < len(word) <= _MAX_PASSWORD:
        raise _PasswordError(BAD_NEW_PASSWORD)
    return [orders.password(miner, word)]


def _install(miner: IceriverDevice, command: Command) -> list[Order]:
    path, keep = command.get("file"), command.get("keepconfig")
    if not isinstance(path, str) or not isinstance(keep, bool):
        raise OrderError("file")
    data = miner.uploads.get(path)
    if data is None:
        raise IceriverImageError(firmware.NO_FILE)
    if "md5_fails" in miner.faults or command.get("filemd5") != firmware.md5(data):
        raise IceriverImageError(firmware.MD5_WRONG)
    image = firmware.open_image(data)
    locked = miner.variant is Variant.B and "takes_any_model" not in miner.faults
    if locked and image.model != miner.spec.name:
        raise IceriverImageError(firmware.INVALID_FILE)
    return [orders.install(miner, image, keep_config=keep)]


def _log_parts(miner: IceriverDevice, *, is_history: bool) -> tuple[bytes, ...]:
    parts: list[bytes] = []
    now = miner.unix()
    for number, log in enumerate(logs.history(miner) if is_history else [logs.current(miner)]):
        head = {"code": OK, "ctime": now - 3600, "mtime": now - number * 86_400, "len": len(log)}
        parts.append(msgspec.json.encode({"id": "log", "ret": head}) + _end(miner))
        parts.append(log[: len(log) // 2] if "log_short" in miner.faults else log)
    return tuple(parts)


_MESSAGES: Final = {
    BAD_USER: "user not exist",
    BAD_PASSWORD: "password error",
    FAILED: "failed",
    firmware.MD5_WRONG: "md5 err",
    firmware.INVALID_FILE: "file invalid",
    firmware.DATA_LOST: "data lost",
    firmware.NO_FILE: "file not exist",
    BAD_NEW_PASSWORD: "invalid newpass",
}
_ORDERS: Final[dict[str, Callable[[IceriverDevice, Command], list[Order]]]] = {
    "setlocate": lambda miner, command: [orders.light(miner, command)],
    "setpool": lambda miner, command: [orders.pools(miner, command)],
    "sethw": orders.hardware,
    "setnet": lambda miner, command: [orders.network(miner, command)],
    "changepass": _change_password,
    "firmupdate": _install,
    "restart": lambda miner, _: [orders.reboot(miner)],
    "resetfactory": lambda miner, _: [orders.factory_reset(miner)],
}
_ACTIONS: Final = {
    "setlocate": "light",
    "setpool": "pools",
    "sethw": "mode",
    "setnet": "network",
    "changepass": "password",
    "firmupdate": "firmware",
    "restart": "reboot",
    "resetfactory": "factory_reset",
}
