"""Port 4028: one request per connection, in plain or sealed, and what may follow it there."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from simulator.net import CHUNK, Connection, ListeningPort
from simulator.orders import OrderError, Reaction
from simulator.whatsminer import classic, compat, logs, orders, writes_v2
from simulator.whatsminer.catalogue import Dialect
from simulator.whatsminer.crypto import SealError, aes_key, seal, unseal
from simulator.whatsminer.firmware import WhatsminerImageError, check_image
from simulator.whatsminer.upload import Upload

if TYPE_CHECKING:
    from simulator.whatsminer.device import WhatsminerDevice

Reply = dict[str, Any]
SILENCE_S: Final = 10.0
MAX_REQUEST: Final = 64 * 1024
MAX_JOINED: Final = 4
NOT_RUNNING: Final = b"Socket connect failed: Connection refused\n"
_FLOOD_BYTES: Final = 4096
_PACK_S: Final = 2.0
_GAP_S: Final = 0.01  # real: the log begins that long after its header
_NO_COMMAND: Final = "Missing JSON 'command'"


class WhatsminerRpcConnection(Connection):
    """Reads a request, answers, closes; keeps the line only for an image or a log."""

    kind = "rpc"

    def __init__(self, miner: WhatsminerDevice, listener: ListeningPort) -> None:
        super().__init__(miner, listener)
        self.miner = miner
        self._data = b""
        self._served = False
        self._upload: Upload | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._name = ""
        self._client = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._client = str((transport.get_extra_info("peername") or ("",))[0])
        self._wait_for_client()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._data and not self._served:
            self._tap(self._data, sealed=False)
        super().connection_lost(exc)

    def eof_received(self) -> bool:
        # a client may close its sending half and still wait for its answer
        return self._served and not self.abandoned and self._upload is None

    def data_received(self, data: bytes) -> None:
        if self._upload is not None:
            self._take_image(data)
        elif not self._served:
            self._data += data
            document = _whole(self._data)
            if document is not None:
                self._served = True
                self._stop_waiting()
                self._serve(document)

    # --- requests --------------------------------------------------------------------------------

    def _serve(self, document: Any) -> None:
        if not isinstance(document, dict):
            self._tap(self._data, sealed=False)
            if not self.attack(self._data.decode("utf-8", "replace")):
                self._plain(self._error(23, "json cmd err"))
        elif "enc" in document and self.miner.dialect is not Dialect.LEGACY:
            self._serve_sealed(document)
        else:
            self._tap(self._data, sealed=False)
            self._name = self._named(document)
            if not self.attack(self._name):
                self._serve_plain(document)

    def _named(self, command: Reply) -> str:
        keys = ("command",) if self.miner.dialect is Dialect.LEGACY else ("cmd", "command")
        return next((name for key in keys if isinstance(name := command.get(key), str)), "")

    def _serve_plain(self, document: Reply) -> None:
        miner, name = self.miner, self._name
        if not name:
            self._plain(self._error(24, _NO_COMMAND))
        elif name == "get_token" and miner.dialect is not Dialect.LEGACY:
            self._give_token()
        elif writes_v2.knows(name) and miner.dialect is not Dialect.LEGACY:
            miner.refuse(writes_v2.action_of(name), "not sealed")
            self._plain(self._error(45, "can't access write cmd"))
        else:
            self._plain(self._read(name, document))

    def _serve_sealed(self, document: Reply) -> None:
        miner = self.miner
        self._tap(self._data, sealed=True)
        try:
            plain = unseal(str(document.get("data")), miner.accounts.aes_key)
            command = json.loads(plain)
        except SealError as error:
            command = None
            problem = (137, "base64 decode err") if error.encoding else (23, "enc json load err")
        except (ValueError, RecursionError):
            command = None
            problem = 23, "enc json load err"
        if not isinstance(command, dict):
            if not self.attack("enc"):
                miner.refuse("write", problem[1] if command is None else "json cmd err")
                self._plain(self._error(*(problem if command is None else (23, "json cmd err"))))
            return
        self._name = self._named(command)
        if self.attack(self._name):
            return
        if not writes_v2.knows(self._name):
            self._sealed(self._read(self._name, command))
            return
        self._serve_write(command)

    def _serve_write(self, command: Reply) -> None:
        miner, name = self.miner, self._name
        action = writes_v2.action_of(name)
        if not miner.accounts.admits_sign(command.get("token")):
            miner.refuse(action, "token")
            self._sealed(self._error(135, "check token err"))
        elif not miner.accounts.writes_allowed:
            miner.refuse(action, "switched off")
            self._sealed(self._error(45, "can't access write cmd"))
        elif name == writes_v2.UPLOAD:
            self._upload = Upload()
            self._sealed(self._message("ready"), close=False)
            self._wait_for_client()
        elif name == writes_v2.LOGS:
            self.start(self._send_log())
        else:
            self._serve_order(command, action)

    def _serve_order(self, command: Reply, action: str) -> None:
        miner = self.miner
        try:
            order = writes_v2.parse(miner, self._name, command)
        except OrderError as error:
            miner.refuse(action, str(error))
            self._sealed(self._error(132, str(error)))
            return
        assert order is not None  # the name is known
        reaction = miner.accept(order)
        ok = self._message("" if miner.dialect is Dialect.V1 else "API command OK")
        if reaction is Reaction.ANSWER and command.get("respbefore") == "false":
            miner.after(order.delay_s, lambda: self._sealed(ok))
        else:
            self._react(reaction, ok)

    def _give_token(self) -> None:
        miner = self.miner
        if miner.faults.take("token_never", port=self.kind):
            return
        full = miner.faults.take("busy_slots") is not None
        token = None if full else miner.tokens.issue(self._client, miner.accounts.key)
        if token is None:
            bare = "bare_136" in miner.faults
            self._plain({"Code": 136} if bare else self._error(136, "over max connect"))
            return
        told = {"time": token.time, "salt": miner.accounts.salt, "newsalt": token.newsalt}
        other = miner.faults.get("token_code")
        self._plain(self._message(told, int(other.args.get("code", 131)) if other else 134))

    # --- what follows an order on the same line --------------------------------------------------

    def _take_image(self, data: bytes) -> None:
        assert self._upload is not None
        try:
            image = self._upload.feed(data)
        except ValueError:
            self.abort()
            return
        cut = self.miner.faults.get("upload_cut")
        if cut is not None and self._upload.received >= int(cut.args.get("bytes", 1024)):
            self.reset()
            return
        if image is None:
            return
        self._upload = None
        self._stop_waiting()
        miner = self.miner
        try:
            found = check_image(image, platform=miner.spec.platform)
        except WhatsminerImageError as error:
            miner.refuse("firmware", str(error))
            self._sealed(self._error(132, str(error)))
            return
        reaction = miner.accept(orders.install(miner, found))
        self._react(reaction, self._message("Updated"))

    async def _send_log(self) -> None:
        miner = self.miner
        await miner.clock.sleep(_PACK_S)
        log = logs.package(miner)
        header = self._seal(self._message({"logfilelen": str(len(log))}))
        if "log_short" in miner.faults:
            log = log[: len(log) // 2]
        if "log_glued" in miner.faults:
            self.send(header + log, close=True, text=self._name)
            return
        self.send(header, close=not log, text=self._name)
        if log:
            await asyncio.sleep(_GAP_S)
            await self.stream(log[n : n + CHUNK] for n in range(0, len(log), CHUNK))

    # --- reads -----------------------------------------------------------------------------------

    def _read(self, name: str, request: Reply) -> Reply | bytes:
        if "+" in name:
            return self._joined(name.split("+"))
        return self._single(name, request)

    def _joined(self, names: list[str]) -> Reply | bytes:
        is_legacy = self.miner.dialect is Dialect.LEGACY
        known = is_legacy or all(name in classic.FORWARDED for name in names)
        if not known or len(names) > MAX_JOINED or "joined_refused" in self.miner.faults:
            return self._error(45, "command join err")
        found: Reply = {}
        for name in names:
            part = self._single(name, {})
            if isinstance(part, bytes):
                return part
            found[name] = [part]
        return found | {"id": 1}

    def _single(self, name: str, request: Reply) -> Reply | bytes:
        miner = self.miner
        if name in classic.FORWARDED:
            if not miner.process.is_up:
                return NOT_RUNNING
            return self._late(name) if miner.spec.is_late else classic.FORWARDED[name](miner)
        own = compat.OWN if miner.spec.is_late else classic.OWN
        early = miner.dialect in (Dialect.LEGACY, Dialect.V1) and name in classic.SINCE_V2
        if miner.dialect is Dialect.LEGACY or name not in own or early:
            return self._error(14, "Invalid command" if not miner.spec.api else "invalid cmd")
        message = own[name](miner)
        if name == "get_miner_info" and isinstance(asked := request.get("info"), str):
            message = {key: message[key] for key in asked.split(",") if key in message}
        return self._message(message)

    def _late(self, name: str) -> Reply:
        if name == "summary":
            return self._message(compat.summary(self.miner))
        if name in compat.ROWS:
            return compat.ROWS[name](self.miner)
        return self._error(132, "This command is deprecated.")

    # --- answers ---------------------------------------------------------------------------------

    def _react(self, reaction: Reaction, ok: Reply) -> None:
        if reaction is Reaction.ANSWER:
            self._sealed(ok)
        elif reaction is Reaction.HANG_UP and self.transport is not None:
            self.transport.close()

    def _message(self, message: Any, code: int = 131) -> Reply:
        return {
            "STATUS": "S",
            "When": self.miner.unix(),
            "Code": code,
            "Msg": message,
            "Description": self._description(),
        }

    def _error(self, code: int, message: str) -> Reply:
        reply = self._message(message, code) | {"STATUS": "E"}
        if self.miner.dialect is Dialect.LEGACY:
            return {"STATUS": [reply | {"Description": "cgminer 4.9.2"}], "id": 1}
        return reply

    def _description(self) -> str:
        return self.miner.spec.api if self.miner.dialect is Dialect.V1 else ""

    def _plain(self, reply: Reply | bytes) -> None:
        faults = self.miner.faults
        body = reply if isinstance(reply, bytes) else msgspec.json.encode(reply)
        if faults.names():
            body = self.spoil(_slip(self.miner, self._name, body), self._name)
            if "newline_end" in faults:
                body += b"\n"
            elif "nul_end" in faults:
                body += b"\0"
        self.send(body, close=True, text=self._name)

    def _sealed(self, reply: Reply | bytes, *, close: bool = True) -> None:
        body = self._seal(reply)
        if self.miner.faults.names():
            body = self.spoil(body, self._name)
        self.send(body, close=close, text=self._name)

    def _seal(self, reply: Reply | bytes) -> bytes:
        accounts, faults = self.miner.accounts, self.miner.faults
        plain = reply if isinstance(reply, bytes) else msgspec.json.encode(reply)
        key = accounts.aes_key
        action = writes_v2.action_of(self._name)
        if faults.names():
            if faults.take("empty_reply", action=action, text=self._name):
                plain = b"\0" * 16
            if faults.take("wrong_key_reply", action=action, text=self._name):
                key = aes_key("another key")
            if faults.take("wrong_padding", action=action, text=self._name):
                plain += b"\x5e" * (16 - len(plain) % 16)
        return msgspec.json.encode({"enc": seal(plain, key)})

    # --- the line --------------------------------------------------------------------------------

    def _tap(self, data: bytes, *, sealed: bool) -> None:
        self.miner.tap(self.listener.port, self.kind, data, had_credentials=sealed)

    def _wait_for_client(self) -> None:
        clock = self.miner.clock
        self._stop_waiting()
        patience_s = clock.patience(SILENCE_S)
        self._silence = clock.call_later(patience_s, self._silent)

    def _stop_waiting(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent(self) -> None:
        self.abort()


def _whole(data: bytes) -> Any:
    """The request's document once it is there, `None` while it is not; text when it is no JSON."""
    text = data.strip(b"\0\r\n \t")
    if not text:
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        # torn by the network, or nonsense? what breaks off at its end may go on
        torn = text.startswith(b"{") and (error.pos >= len(text) - 1 or not text.endswith(b"}"))
        if torn and not data.endswith(b"\n") and len(data) < MAX_REQUEST:
            return None
    except (ValueError, RecursionError):
        pass  # no JSON, and no more bytes would make it some: it is answered as text
    return data.decode("utf-8", "replace")


def _slip(miner: WhatsminerDevice, name: str, body: bytes) -> bytes:
    # slips of single builds: they break the JSON, not the facts in it
    faults = miner.faults
    if name == "get_error_code":
        if "error_numbers" in faults:
            codes = ",".join(str(code) for code in miner.health.codes()).encode()
            head, _, tail = body.partition(b'"error_code":[')
            body = head + b'"error_code":[' + codes + b"]" + tail[tail.index(b"]") + 1 :]
        if "error_list_slip" in faults:
            body = body.replace(b'[{"', b'["').replace(b'"}]', b'"]').replace(b'"},{"', b'","')
        if "error_flood" in faults:
            body = body[:_FLOOD_BYTES]
    elif name == "get_psu" and "psu_slip" in faults:
        body = body.replace(b'","temp0"', b'""temp0"')
    return body
