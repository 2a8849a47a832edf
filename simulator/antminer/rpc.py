"""Port 4028: one request per connection, one connection at a time."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from simulator.antminer import legacy, modern
from simulator.antminer.catalogue import Generation
from simulator.net import Connection, ListeningPort

if TYPE_CHECKING:
    import asyncio

    from simulator.antminer.device import AntminerDevice

RECV: Final = 4095
SILENCE_S: Final = 10.0
MAX_ARRAY: Final = 11
NAME_LENGTH: Final = 15
# cgminer's other commands: known to the old firmware, but not open to the LAN
_GUARDED: Final = frozenset(
    [
        "config",
        "devdetails",
        "privileged",
        "restart",
        "quit",
        "switchpool",
        "addpool",
        "enablepool",
        "disablepool",
        "removepool",
        "poolpriority",
        "poolquota",
        "save",
        "notify",
        "coin",
        "debug",
        "setconfig",
        "usbstats",
        "pga",
        "asc",
        "ascenable",
        "ascdisable",
        "ascidentify",
        "asccount",
        "ascset",
        "lcd",
        "lockstats",
        "gpu",
        "gpucount",
        "pgacount",
        "edevs",
        "estats",
        "check",
        "failover-only",
        "zero",
        "hotplug",
    ]
)


class Queue:
    """The accept loop of the API: a silent client keeps all others waiting."""

    def __init__(self) -> None:
        self.waiting: deque[AntminerRpcConnection] = deque()

    def join(self, connection: AntminerRpcConnection) -> None:
        self.waiting.append(connection)
        if self.waiting[0] is connection:
            connection.take_turn()

    def leave(self, connection: AntminerRpcConnection) -> None:
        had_turn = bool(self.waiting) and self.waiting[0] is connection
        if connection in self.waiting:
            self.waiting.remove(connection)
        if had_turn and self.waiting:
            self.waiting[0].take_turn()


class AntminerRpcConnection(Connection):
    """Waits for its turn, reads once, answers, closes."""

    kind = "rpc"

    def __init__(self, miner: AntminerDevice, listener: ListeningPort, queue: Queue) -> None:
        super().__init__(miner, listener)
        self.miner = miner
        self._queue = queue
        self._data = b""
        self._my_turn = False
        self._served = False
        self._silence: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._queue.join(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_turn()
        super().connection_lost(exc)

    def eof_received(self) -> bool:
        # a client may close its sending half and still wait for its turn and its answer
        return not self.abandoned and (bool(self._data) or not self._my_turn)

    def data_received(self, data: bytes) -> None:
        if self._served:
            return
        self._data += data
        if self._my_turn:
            self._serve()

    def take_turn(self) -> None:
        """The API thread has accepted this client and reads now."""
        self._my_turn = True
        if self._data:
            self._serve()
        else:
            clock = self.miner.clock
            patience_s = clock.patience(SILENCE_S)
            self._silence = clock.call_later(patience_s, self.abort)

    def _serve(self) -> None:
        self._served = True
        if self._silence is not None:
            self._silence.cancel()
        request = self._data[:RECV]  # a single recv: what comes later is never read
        miner = self.miner
        miner.tap(self.listener.port, self.kind, request, had_credentials=False)
        text = request.decode("utf-8", "replace")
        if self.attack(text):
            return
        body = self.spoil(answer(miner, request), text)
        end = b"\n" if "newline_end" in miner.faults else b"\0"
        if body:
            self.send(body + end, close=True, text=text)
        elif self.transport is not None:
            self.transport.close()
        self._end_turn()

    def _end_turn(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
        self._queue.leave(self)


def answer(miner: AntminerDevice, request: bytes) -> bytes:
    """The reply's text to one request, without its end mark."""
    is_old = miner.spec.generation is Generation.OLD
    try:
        document = json.loads(request.rstrip(b"\0\r\n "))
    except ValueError:
        if is_old and request.startswith(b"{"):
            return _legacy(miner, legacy.error(miner, 23, "Invalid JSON"))
        return _plain_text(miner, request)
    if not isinstance(document, dict):
        return _plain_text(miner, request)
    return _old(miner, document) if is_old else _new(miner, document)


def _old(miner: AntminerDevice, document: dict[str, Any]) -> bytes:
    command = document.get("command")
    if not isinstance(command, str):
        return _legacy(miner, legacy.error(miner, 24, "Missing JSON 'command'"))
    if "+" not in command:
        return _old_single(miner, command)
    parts = [
        b'"%s":[%s]' % (name.encode(), _old_single(miner, name))
        for name in command.split("+")
        if name
    ]
    return b"{" + b",".join(parts) + b',"id":1}'


def _old_single(miner: AntminerDevice, command: str) -> bytes:
    reply = legacy.reply(miner, command)
    if reply is None and command in _GUARDED:
        message = f"Access denied to '{command}' command"
        return _legacy(miner, legacy.error(miner, 45, message))
    text = _legacy(miner, reply or legacy.error(miner, 14, "Invalid command"))
    return _spoilt_stats(miner, text) if command == "stats" else text


def _new(miner: AntminerDevice, document: dict[str, Any]) -> bytes:
    command = document.get("command")
    is_modern = document.get("new_api") is True and "no_new_api" not in miner.faults
    if isinstance(command, list) and "no_array" not in miner.faults:
        return _array(miner, command, is_modern=is_modern)
    if not isinstance(command, str):
        return _refusal(miner, 24, "Missing JSON 'command'")
    command = command[:NAME_LENGTH]
    if is_modern:
        return _encode(miner, modern.reply(miner, command) or modern.error(command))
    reply = legacy.reply(miner, command)
    if reply is not None:
        text = _legacy(miner, reply)
        return _spoilt_stats(miner, text) if command == "stats" else text
    return _refusal(miner, 14, "Invalid command")


def _refusal(miner: AntminerDevice, code: int, message: str) -> bytes:
    """How this build says that it does not know a command, or a form of asking."""
    if "empty_unknown" in miner.faults:
        return b""
    if plain := miner.faults.get("plain_unknown"):
        is_bare = plain.args.get("variant") == "bare"
        return b'{"id":1}' if is_bare else b'{"error": "unknown command"}'
    return _legacy(miner, legacy.error(miner, code, message))


def _array(miner: AntminerDevice, commands: list[Any], *, is_modern: bool) -> bytes:
    names = [name[:NAME_LENGTH] for name in commands[:MAX_ARRAY] if isinstance(name, str)]
    values: dict[str, Any] = {}
    for name in [*(n for n in names if n != "reload"), *(n for n in names if n == "reload")]:
        if is_modern:
            values[name] = modern.reply(miner, name) or modern.error(name)
        else:
            invalid = legacy.error(miner, 14, "Invalid command")
            values[name] = legacy.reply(miner, name) or invalid
    return _encode(miner, values)


def _plain_text(miner: AntminerDevice, request: bytes) -> bytes:
    command = request.decode("utf-8", "replace").strip("\0\r\n ").partition("|")[0]
    is_old = miner.spec.generation is Generation.OLD
    reply = legacy.reply(miner, command[:NAME_LENGTH])
    if reply is None and is_old and command in _GUARDED:
        reply = legacy.error(miner, 45, f"Access denied to '{command}' command")
    return legacy.as_text(reply or legacy.error(miner, 14, "Invalid command"))


def _spoilt_stats(miner: AntminerDevice, text: bytes) -> bytes:
    # slips of single builds: they break the JSON, not the facts in it
    if miner.faults.take("truncated_stats"):
        return text[: len(text) * 2 // 3]
    slips = miner.faults.get("json_slips")
    if slips is None:
        return text
    match slips.args.get("variant", "leading_comma"):
        case "leading_comma":
            return text.replace(b'"STATS":[{', b'"STATS":[,{', 1)
        case "trailing_comma":
            return text.replace(b'}],"id":1}', b',}],"id":1}', 1)
        case _:
            name = miner.shown_type().encode()
            return text.replace(name, name + b"\nV1.3.58", 1)


def _legacy(miner: AntminerDevice, reply: dict[str, Any]) -> bytes:
    if "lowercase_keys" in miner.faults:
        return _encode(miner, _lower(reply))
    return legacy.encode(miner, reply)


def _encode(miner: AntminerDevice, reply: dict[str, Any]) -> bytes:
    del miner
    return msgspec.json.encode(reply)


def _lower(reply: dict[str, Any]) -> dict[str, Any]:
    lowered: dict[str, Any] = {}
    for section, rows in reply.items():
        if section in ("VERSION", "POOLS", "STATUS"):
            rows = [{key.lower(): value for key, value in row.items()} for row in rows]  # noqa: PLW2901
        lowered[section.lower()] = rows
    return lowered
