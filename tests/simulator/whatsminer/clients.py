"""Raw clients for simulated WhatsMiners: tokens, seals and frames spelt out, by other people's tools."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
import warnings
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

with warnings.catch_warnings(action="ignore"):  # it looks for a module that Python will drop
    from passlib.hash import md5_crypt

from tests.recorded.where import NONE_HERE, may_read, recordings_of

RECORDINGS = recordings_of("whatsminer")


def recorded(name: str) -> Any:
    """A recorded reply, parsed. Where there are no recordings the test is skipped, or fails where all must run."""
    if not may_read(RECORDINGS):
        pytest.skip(NONE_HERE)
    return json.loads((RECORDINGS / name).read_text())


def crypt(word: str, salt: str) -> str:
    return md5_crypt.using(salt=salt).hash(word).split("$")[3]


def cipher(key: str) -> Cipher[modes.ECB]:
    return Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.ECB())


class V2:
    """A client of 4028. Keeps its token until told otherwise."""

    def __init__(self, miner: Any, password: str = "admin") -> None:
        self.miner = miner
        self.password = password
        self.key = ""
        self.sign = ""

    async def raw(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self.miner.ip, self.miner.rpc_port)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()

    async def ask(self, name: str, *, key: str = "command", **more: Any) -> Any:
        return json.loads(await self.raw(json.dumps({key: name, **more}).encode()))

    async def token(self) -> Any:
        reply = await self.ask("get_token", key="cmd")
        told = reply["Msg"]
        if reply["Code"] != 136:
            self.key = crypt(self.password, told["salt"])
            self.sign = crypt(self.key + told["time"][-4:], told["newsalt"])
        return reply

    def seal(self, command: dict[str, Any]) -> bytes:
        plain = json.dumps({**command, "token": self.sign}, separators=(",", ":")).encode()
        plain += b"\0" * (16 - len(plain) % 16)
        box = cipher(self.key).encryptor()
        data = base64.b64encode(box.update(plain)).decode()
        return json.dumps({"enc": 1, "data": data}).encode()

    def open(self, reply: bytes) -> Any:
        document = json.loads(reply)
        if "enc" not in document:
            return document
        box = cipher(self.key).decryptor()
        return json.loads(box.update(base64.b64decode(document["enc"])).rstrip(b"\0"))

    async def write(self, name: str, **more: Any) -> Any:
        if not self.sign:
            await self.token()
        return self.open(await self.raw(self.seal({"cmd": name, **more})))

    async def upload(self, image: bytes) -> tuple[Any, Any]:
        if not self.sign:
            await self.token()
        reader, writer = await asyncio.open_connection(self.miner.ip, self.miner.rpc_port)
        try:
            writer.write(self.seal({"cmd": "update_firmware"}))
            ready = self.open(await reader.readuntil(b"}"))
            writer.write(struct.pack("<I", len(image)) + image)
            data = await reader.read()
            return ready, self.open(data) if data else None
        finally:
            writer.close()

    async def log(self) -> tuple[Any, bytes]:
        if not self.sign:
            await self.token()
        data = await self.raw(self.seal({"cmd": "download_logs"}))
        head, brace, rest = data.partition(b"}")
        return self.open(head + brace), rest


class V3:
    """A client of 4433 on one connection."""

    def __init__(self, miner: Any, password: str = "super", account: str = "super") -> None:
        self.miner = miner
        self.password = password
        self.account = account
        self.salt = ""
        self.reader: Any = None
        self.writer: Any = None

    async def frame(self, body: bytes) -> bytes:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                self.miner.ip, self.miner.v3_port
            )
        self.writer.write(struct.pack("<I", len(body)) + body)
        return await self.next()

    async def next(self) -> bytes:
        (length,) = struct.unpack("<I", await self.reader.readexactly(4))
        return await self.reader.readexactly(length)

    async def ask(self, name: str, param: Any = None) -> Any:
        request = {"cmd": name} | ({} if param is None else {"param": param})
        return json.loads(await self.frame(json.dumps(request).encode()))

    async def write(self, name: str, param: Any = None, **more: Any) -> Any:
        if not self.salt:
            self.salt = (await self.ask("get.device.info", "salt"))["msg"]["salt"]
        ts = more.pop("ts", self.miner.unix())
        digest = hashlib.sha256(f"{name}{self.password}{self.salt}{ts}".encode()).digest()
        if name in ("set.miner.pools", "set.user.change_passwd"):
            plain = json.dumps(param, separators=(",", ":")).encode()
            count = 16 - len(plain) % 16
            plain += bytes([count]) * count
            box = Cipher(algorithms.AES(digest), modes.ECB()).encryptor()
            param = base64.b64encode(box.update(plain)).decode()
        request = {
            "cmd": name,
            "ts": ts,
            "token": base64.b64encode(digest).decode()[:8],
            "account": self.account,
            **({} if param is None else {"param": param}),
            **more,
        }
        return json.loads(await self.frame(json.dumps(request).encode()))

    async def upload(self, image: bytes) -> tuple[Any, Any]:
        ready = await self.write("set.system.update_firmware")
        self.writer.write(struct.pack("<I", len(image)) + image)
        return ready, json.loads(await self.next())

    async def log(self) -> tuple[Any, bytes]:
        head = await self.ask("get.log.download")
        return head, await self.reader.readexactly(int(head["msg"]["logsize"]))

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def applied(farm: Any, action: str) -> list[tuple[Any, Any]]:
    return [(e["before"], e["after"]) for e in farm.ledger.of(action=action, phase="applied")]
