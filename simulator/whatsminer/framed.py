"""Port 4433: messages with their length before them, on a line that stays."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from simulator.net import Connection, ListeningPort
from simulator.orders import OrderError, Reaction
from simulator.whatsminer import logs, modern, orders, writes_v3
from simulator.whatsminer.firmware import WhatsminerImageError, check_image
from simulator.whatsminer.modern import DENIED, FAIL, INVALID, MISSING, OK, ReadError
from simulator.whatsminer.upload import Upload

if TYPE_CHECKING:
    from simulator.whatsminer.device import WhatsminerDevice

Reply = dict[str, Any]
IDLE_S: Final = 300.0
MAX_CLIENTS: Final = 10
MAX_FRAME: Final = 1 << 20
_LENGTH: Final = struct.Struct("<I")
_HUGE: Final = b"\xff\xff\xff\xff"
_CHUNK: Final = 10 * 1024
_PACK_S: Final = 2.0
_LOG: Final = "get.log.download"


class FramedConnection(Connection):
    """Answers frame by frame, in order."""

    kind = "v3"

    def __init__(self, miner: WhatsminerDevice, listener: ListeningPort) -> None:
        super().__init__(miner, listener)
        self.miner = miner
        self._buffer = bytearray()
        self._upload: Upload | None = None
        self._busy = False
        self._done = False
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self.listener.live) > MAX_CLIENTS:
            self.abort()
            return
        self._wait_for_client()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._buffer and self._upload is None:
            self._tap(bytes(self._buffer))  # a frame that never became whole
        super().connection_lost(exc)

    def eof_received(self) -> bool:
        return self._busy and not self._done

    def data_received(self, data: bytes) -> None:
        if self._done:
            return
        if self._upload is not None:
            self._take_image(data)
            return
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        while not self._busy and not self._done and len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME:
                self._tap(bytes(self._buffer))
                self._done = True
                self.abort()
                return
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._wait_for_client()
            if length:  # a frame of nothing is a sign of life
                self._tap(frame)
                self._serve(frame[_LENGTH.size :])
            if self._upload is not None and self._buffer:
                rest = bytes(self._buffer)
                self._buffer.clear()
                self._take_image(rest)

    # --- requests --------------------------------------------------------------------------------

    def _serve(self, body: bytes) -> None:
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            request = None
        command = request.get("cmd") if isinstance(request, dict) else None
        text = command if isinstance(command, str) else ""
        if self.attack(text):
            self._done = True
        elif not isinstance(request, dict):
            self._answer(FAIL, "invalid json", "")
        elif not text:
            self._answer(MISSING, "cmd item is null", "")
        elif text == _LOG:
            self._busy = True
            self.start(self._send_log())
        elif text.startswith("set."):
            self._serve_write(text, request)
        else:
            self._serve_read(text, request.get("param"))

    def _serve_read(self, command: str, param: object) -> None:
        no_salt = "token_never" in self.miner.faults
        if no_salt and param == "salt":
            self._done = True
            return
        try:
            message = modern.read(self.miner, command, param)
        except ReadError as error:
            self._answer(error.code, error.message, command)
            return
        if no_salt:
            message.pop("salt", None)
        self._answer(OK, message, command)

    def _serve_write(self, command: str, request: Reply) -> None:
        miner, accounts = self.miner, self.miner.accounts
        action = writes_v3.action_of(command)
        if not writes_v3.knows(command):
            self._answer(INVALID, "invalid command", command)
            return
        missing = next((n for n in ("ts", "token", "account") if request.get(n) is None), None)
        if missing is not None:
            miner.refuse(action, f"no {missing}")
            self._answer(MISSING, f"{missing} item is null", command)
            return
        if "locked_account" in miner.faults:
            miner.refuse(action, "locked")
            self._answer(DENIED, "account is locked", command)
            return
        digest = accounts.prove(command, request)
        if digest is None or not accounts.may(request["account"], command):
            miner.refuse(action, "token" if digest is None else "permission")
            if digest is None and "denied_as_fail" in miner.faults:
                self._answer(FAIL, "invalid json or wrong password", command)
            else:
                self._answer(DENIED, "no permission for write command", command)
        elif not accounts.writes_allowed:
            miner.refuse(action, "switched off")
            self._answer(DENIED, "no permission for write command", command)
        elif command == writes_v3.UPLOAD:
            self._upload = Upload()
            self._answer(OK, "ready", command)
        else:
            self._serve_order(command, request, digest)

    def _serve_order(self, command: str, request: Reply, digest: bytes) -> None:
        miner = self.miner
        try:
            order = writes_v3.parse(miner, command, request.get("param"), digest)
        except OrderError as error:
            miner.refuse(writes_v3.action_of(command), str(error))
            self._answer(FAIL, "fail", command)
            return
        assert order is not None  # the name is known
        self._react(miner.accept(order), command)

    def _take_image(self, data: bytes) -> None:
        assert self._upload is not None
        self._wait_for_client()
        try:
            image = self._upload.feed(data)
        except ValueError:
            self.abort()
            return
        cut = self.miner.faults.get("upload_cut")
        if cut is not None and self._upload.received >= int(cut.args.get("bytes", 1024)):
            self._done = True
            self.reset()
            return
        if image is None:
            return
        self._upload = None
        miner = self.miner
        try:
            found = check_image(image, platform=miner.spec.platform)
        except WhatsminerImageError as error:
            miner.refuse("firmware", str(error))
            self._answer(FAIL, str(error), writes_v3.UPLOAD)
            return
        self._react(miner.accept(orders.install(miner, found)), writes_v3.UPLOAD)

    async def _send_log(self) -> None:
        miner = self.miner
        await miner.clock.sleep(_PACK_S)
        log = logs.package(miner)
        self._answer(OK, {"logsize": str(len(log))}, _LOG)
        is_short = "log_short" in miner.faults
        if is_short:
            log = log[: len(log) // 2]
        for start in range(0, len(log), _CHUNK):
            await self._writable.wait()
            if self.transport is None or self.transport.is_closing():
                return
            self.transport.write(log[start : start + _CHUNK])
            # lets the transport say that it is full, and the other miners run
            await asyncio.sleep(0)
        self._busy = False
        if is_short and self.transport is not None:
            self.transport.close()
        else:
            self._advance()

    # --- answers ---------------------------------------------------------------------------------

    def _react(self, reaction: Reaction, command: str) -> None:
        if reaction is Reaction.ANSWER:
            self._answer(OK, "ok", command)
            return
        self._done = True
        if reaction is Reaction.HANG_UP and self.transport is not None:
            self.transport.close()

    def _answer(self, code: int, message: Any, command: str) -> None:
        reply = {"code": code, "when": self.miner.unix(), "msg": message, "desc": command}
        body = msgspec.json.encode(reply)
        faults = self.miner.faults
        if not faults.names():
            self.send(_LENGTH.pack(len(body)) + body, close=False, text=command)
            return
        body = self.spoil(body, command)
        head = _LENGTH.pack(len(body))
        close = "closes_after_each" in faults
        if faults.take("short_frames", text=command):
            head, close = _LENGTH.pack(len(body) + 64), True
        elif faults.take("oversized_length", text=command):
            head = _HUGE
        if "heartbeats" in faults:
            head = _LENGTH.pack(0) + head
        self._done = self._done or close
        self.send(head + body, close=close, text=command)

    # --- the line --------------------------------------------------------------------------------

    def _tap(self, frame: bytes) -> None:
        sealed = b'"token"' in frame
        self.miner.tap(self.listener.port, self.kind, frame, had_credentials=sealed)

    def _wait_for_client(self) -> None:
        clock = self.miner.clock
        if self._idle is not None:
            self._idle.cancel()
        self._idle = clock.call_later(clock.patience(IDLE_S), self.abort)
