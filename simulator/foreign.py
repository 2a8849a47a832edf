"""Decoys: machines with foreign firmware. They answer reads and keep every byte they are sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from simulator.decoys import DECOYS, Decoy, Rows
from simulator.device import Device, DevicePlace
from simulator.http import HttpConnection, WebRequest, WebResponse
from simulator.net import Connection, ListeningPort


def build(key: str, place: DevicePlace) -> Device:
    """One decoy by its key."""
    return Foreign(DECOYS[key], place)


class Foreign(Device):
    """A machine that must be left alone; its `wire_log` is the evidence."""

    make = "antminer"
    foreign = True

    def __init__(self, decoy: Decoy, place: DevicePlace) -> None:
        super().__init__(place)
        self.decoy = decoy
        self.key, self.model, self.firmware = decoy.key, decoy.model, decoy.firmware
        self.hashrate_hs = decoy.hashrate_hs
        self.tapped = True
        self._started = self.clock.now() - self.random.uniform(3600, 86400)
        self.listeners["http"] = ListeningPort(
            self.ip, self.ports["http"], lambda listener: HttpConnection(self, listener, self.web)
        )
        if decoy.speaks_http_on_rpc:
            self.listeners["rpc"] = ListeningPort(
                self.ip,
                self.ports["rpc"],
                lambda listener: HttpConnection(self, listener, self.web),
            )
        else:
            self.listeners["rpc"] = ListeningPort(
                self.ip, self.ports["rpc"], lambda listener: _Api(self, listener)
            )

    @property
    def firmware_version(self) -> str:
        return self.decoy.version

    async def web(self, request: WebRequest) -> WebResponse:
        """Pages and nothing else; orders are noted and turned away."""
        if request.method not in ("GET", "HEAD"):
            self.record("foreign_write", "rejected", line=request.line)
            return WebResponse(405)
        body = self.decoy.web_pages.get(request.path)
        if body is not None:
            return WebResponse(200, body.encode(), (("Content-Type", "application/json"),))
        if request.path != "/" and self.decoy.web_status == 200:
            return WebResponse(404)
        return WebResponse(
            self.decoy.web_status,
            self.decoy.web_body.encode(),
            (("Content-Type", "text/html"), *self.decoy.web_headers),
        )

    def api(self, data: bytes) -> bytes:
        """The 4028 reply to one request, with its end mark."""
        try:
            document = json.loads(data.rstrip(b"\0\r\n "))
            command = document.get("command")
        except (ValueError, AttributeError):
            command = data.decode("latin-1").strip("\0\r\n ")
        if isinstance(command, str) and "+" in command:
            parts = [b'"%s":[%s]' % (c.encode(), self._single(c)) for c in command.split("+")]
            return b"{" + b",".join(parts) + b',"id":1}\0'
        return self._single(command) + b"\0"

    def _single(self, command: Any) -> bytes:
        decoy = self.decoy
        elapsed = int(self.clock.now() - self._started)
        if command == "version" and decoy.version_row:
            return self._reply(22, "versions", "VERSION", [decoy.version_row])
        if command == "summary":
            return self._reply(11, "Summary", "SUMMARY", [{"Elapsed": elapsed, **self._rates()}])
        if command == "stats" and decoy.stats_head:
            row = {"STATS": 0, "ID": "BC50", "Elapsed": elapsed, **self._rates()}
            row |= {"miner_count": 3, "fan_num": 2, "fan1": 0, "fan5": 5400, "fan6": 5880}
            row |= {"temp6": 65, "temp7": 56, "temp8": 63, "temp2_6": 80, "temp2_7": 71}
            row |= decoy.stats_more
            return self._reply(70, "stats", "STATS", [decoy.stats_head, row])
        if command == "pools":
            pool = {
                "POOL": 0,
                "URL": "stratum+tcp://pool1.example.com:3333",
                "Status": "Alive",
                "Priority": 0,
                "User": f"foreign.{self.index:05d}",
                "Accepted": elapsed // 6,
                "Rejected": 0,
                "Stratum Active": True,
            }
            return self._reply(7, "1 Pool(s)", "POOLS", [pool])
        if isinstance(command, str) and command in decoy.extra:
            section, rows = decoy.extra[command]
            return self._reply(9, section, section, rows)
        status = {
            "STATUS": "E",
            "When": self.clock.unix(),
            "Code": 0 if decoy.firmware == "vnish" else 14,
            "Msg": "Invalid command",
            "Description": decoy.description,
        }
        return msgspec.json.encode({"STATUS": [status], "id": 1})

    def _rates(self) -> dict[str, Any]:
        if self.decoy.mhs:
            rate = self.decoy.hashrate_hs / 1e6
            return {"MHS 5s": rate, "MHS av": rate}
        rate = self.decoy.hashrate_hs / self.decoy.unit_hs
        return {"GHS 5s": f"{rate:.2f}", "GHS av": rate}

    def _reply(self, code: int, message: str, section: str, rows: Rows) -> bytes:
        status = {
            "STATUS": "S",
            "When": self.clock.unix(),
            "Code": code,
            "Msg": message,
            "Description": self.decoy.description,
        }
        text = msgspec.json.encode({"STATUS": [status], section: rows, "id": 1})
        if section == "STATS" and self.decoy.malformed:
            text = text.replace(b'"},{"STATS":0', b'"}{"STATS":0')
        return text


class _Api(Connection):
    kind = "rpc"

    def __init__(self, device: Foreign, listener: ListeningPort) -> None:
        super().__init__(device, listener)
        self._foreign = device
        self._served = False

    def data_received(self, data: bytes) -> None:
        self.device.tap(self.listener.port, self.kind, data, had_credentials=False)
        if self._served:
            return
        self._served = True
        text = data.decode("latin-1")
        if not self.attack(text):
            self.send(self.spoil(self._foreign.api(data), text), close=True, text=text)
