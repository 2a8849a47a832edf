"""Decoys: machines with foreign firmware. They answer reads and keep every byte they are sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from simulator.device import Device, Place
from simulator.http import HttpConnection, Request, Response
from simulator.net import Connection, Listener

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoy:
    """One foreign firmware on one machine."""

    key: str
    firmware: str
    model: str
    version: str
    hashrate_hs: float
    description: str
    version_row: dict[str, Any] = field(default_factory=dict)
    """Empty: `version` is an invalid command here."""
    stats_head: dict[str, Any] = field(default_factory=dict)
    """First object of STATS; empty: no `stats` command."""
    malformed: bool = False
    extra: dict[str, tuple[str, Rows]] = field(default_factory=dict)
    """More 4028 commands: section name and rows."""
    mhs: bool = False
    """Rates in MH/s under MHS keys."""
    web_status: int = 200
    web_body: str = ""
    web_headers: tuple[tuple[str, str], ...] = ()
    web_pages: dict[str, str] = field(default_factory=dict)
    """Further paths answered 200, JSON or text."""
    speaks_http_on_rpc: bool = False


_CHALLENGE: Final = (
    (
        "WWW-Authenticate",
        'Digest realm="antMiner Configuration", nonce="4d0d2a7c0f3b7bb6f0a2a1c9d6f3e812", qop="auth"',
    ),
)
_BRAIINS_PAGE: Final = "<html><head><title>Braiins OS</title></head><body></body></html>"
_LUX_PAGE: Final = "<html><head><title>Luxor Firmware</title></head><body></body></html>"
_VNISH_PAGE: Final = (
    '<!DOCTYPE html><html><head><meta name="firmware" content="AnthillOS">'
    "<title>Firmware</title></head><body></body></html>"
)
_EPIC_PAGE: Final = "<html><head><title>Miner Web Dashboard</title></head><body></body></html>"


def _head(kind: str, version: str, miner: str, compiled: str, model: str) -> dict[str, Any]:
    return {kind: version, "Miner": miner, "CompileTime": compiled, "Type": model}


_DECOYS: Final = (
    Decoy(
        key="braiins",
        firmware="braiins",
        model="Antminer S9",
        version="0.4.0-908ca41d",
        hashrate_hs=14e12,
        description="BOSminer bosminer-plus-am1-s9 0.4.0-908ca41d",
        version_row={"API": "3.7", "BOSminer+": "0.4.0-908ca41d"},
        extra={
            "temps": ("TEMPS", [{"Board": 53.0, "Chip": 0.0, "ID": 6, "TEMP": 0}]),
            "fans": ("FANS", [{"FAN": 0, "ID": 0, "RPM": 1560, "Speed": 40}]),
            "devdetails": (
                "DEVDETAILS",
                [{"DEVDETAILS": 0, "Driver": "", "ID": 6, "Model": "Antminer S9", "Name": ""}],
            ),
        },
        mhs=True,
        web_body=_BRAIINS_PAGE,
    ),
    Decoy(
        key="vnish",
        firmware="vnish",
        model="Antminer S21 Pro",
        version="1.2.7",
        hashrate_hs=234e12,
        description="cgminer 4.11.1",
        stats_head={
            "Type": "Antminer S21 Pro (Vnish 1.2.7)",
            "Miner": "0.0.0",
            "Cgminer": "1.2.7",
            "CompileTime": "2025-12-22 19:12:30",
        },
        extra={
            "devdetails": (
                "DEVDETAILS",
                [{"DEVDETAILS": 0, "Name": "BTM_S21PRO", "ID": 0, "Driver": "bitmain_s21pro_drv"}],
            ),
        },
        web_body=_VNISH_PAGE,
        web_pages={
            "/api/v1/info": json.dumps(
                {"miner": "Antminer S21 Pro", "model": "s21pro", "fw_name": "Vnish"}
            )
        },
    ),
    Decoy(
        key="luxos",
        firmware="luxos",
        model="Antminer S19 XP",
        version="2025.3.12.203801-2f83ae7f",
        hashrate_hs=141e12,
        description="LUXminer 2025.3.12.203801-2f83ae7f",
        version_row={
            "API": "3.7",
            "CompileTime": "Wed Mar 12 20:38:01 UTC 2025",
            "LUXminer": "2025.3.12.203801-2f83ae7f",
            "Miner": "LUXminer",
            "Type": "Antminer S19 XP",
        },
        stats_head=_head(
            "LUXminer",
            "2025.3.12.203801",
            "LUXminer",
            "Wed Mar 12 20:38:01 UTC 2025",
            "Antminer S19 XP",
        ),
        web_body=_LUX_PAGE,
    ),
    Decoy(
        key="hiveon",
        firmware="hiveon",
        model="Antminer S9",
        version="2.0.0 rwglr",
        hashrate_hs=12e12,
        description="bmminer 1.0.0",
        version_row={
            "BMMiner": "2.0.0 rwglr",
            "API": "3.1",
            "Miner": "30.0.1.3",
            "CompileTime": "Tue Nov 20 10:12:30 UTC 2019",
            "Type": "Antminer S9 Hiveon",
        },
        stats_head=_head(
            "BMMiner",
            "2.0.0 rwglr",
            "30.0.1.3",
            "Tue Nov 20 10:12:30 UTC 2019",
            "Antminer S9 Hiveon",
        ),
        malformed=True,
        web_status=401,
        web_body="401 - Unauthorized",
        web_headers=_CHALLENGE,
    ),
    Decoy(
        key="asicseer",
        firmware="asicseer",
        model="Antminer S9",
        version="2.4.0-asicseer-1.1.9-f7b7",
        hashrate_hs=13.4e12,
        description="bmminer 2.4.0-asicseer-1.1.9-f7b7",
        version_row={
            "BMMiner": "2.4.0-asicseer-1.1.9-f7b7",
            "Miner": "30.0.1.3",
            "CompileTime": "Mon Nov 11 17:07:20 CST 2019",
            "Type": "Antminer S9",
            "API": "3.1",
        },
        stats_head=_head(
            "BMMiner",
            "2.4.0-asicseer-1.1.9-f7b7",
            "30.0.1.3",
            "Mon Nov 11 17:07:20 CST 2019",
            "Antminer S9",
        ),
        web_status=401,
        web_body="401 - Unauthorized",
        web_headers=_CHALLENGE,
    ),
    Decoy(
        key="marathon",
        firmware="marathon",
        model="Antminer S21",
        version="MaraFW 2025.1",
        hashrate_hs=200e12,
        description="kaonsu-old-api",
        version_row={
            "API": "3.1",
            "CGMiner": "MaraFW 2025.1",
            "CompileTime": "2025-01-15",
            "Miner": "kaonsu",
            "Type": "Antminer S21",
        },
        stats_head=_head("CGMiner", "MaraFW 2025.1", "kaonsu", "2025-01-15", "Antminer S21"),
        web_status=401,
        web_body="401 - Unauthorized",
        web_headers=_CHALLENGE,
        web_pages={
            "/kaonsu/v1/overview": json.dumps({"model": "S21", "firmware": "MaraFW 2025.1"})
        },
    ),
    Decoy(
        key="epic",
        firmware="epic",
        model="Antminer S19j Pro",
        version="1.14.2",
        hashrate_hs=104e12,
        description="",
        web_body=_EPIC_PAGE,
        speaks_http_on_rpc=True,
        web_pages={
            "/capabilities": json.dumps({"Model": "Antminer S19j Pro", "Software": "PowerPlay-BM"}),
            "/summary": json.dumps({"Software": "PowerPlay-BM v1.14.2", "Hostname": "miner"}),
        },
    ),
    Decoy(
        key="vnish-old",
        firmware="vnish",
        model="Antminer S9",
        version="3.8.6",
        hashrate_hs=13e12,
        description="cgminer 4.11.1",
        version_row={
            "CGMiner": "4.11.1",
            "API": "3.7",
            "Miner": "26.0.1.3",
            "CompileTime": "Fri May  8 15:27:59 CST 2020",
            "Type": "Antminer S9 (vnish 3.8.6)",
        },
        stats_head=_head(
            "Cgminer",
            "4.11.1",
            "26.0.1.3",
            "Fri May  8 15:27:59 CST 2020",
            "Antminer S9 (vnish 3.8.6)",
        ),
        malformed=True,
        web_status=401,
        web_body="401 - Unauthorized",
        web_headers=_CHALLENGE,
    ),
    Decoy(
        key="blissz",
        firmware="blissz",
        model="Antminer D3",
        version="2.06 beta",
        hashrate_hs=17e9,
        description="cgminer 4.10.0",
        version_row={
            "CGMiner": "4.10.0",
            "API": "3.1",
            "Miner": "1.0.0.9",
            "CompileTime": "Fri Jan 05 16:48:56 CST 2018",
            "Type": "Antminer D3 Blissz v2.06 beta",
        },
        stats_head=_head(
            "CGMiner",
            "4.10.0",
            "1.0.0.9",
            "Fri Jan 05 16:48:56 CST 2018",
            "Antminer D3 Blissz v2.06 beta",
        ),
        malformed=True,
        web_status=401,
        web_body="401 - Unauthorized",
        web_headers=_CHALLENGE,
    ),
)
DECOYS: Final[dict[str, Decoy]] = {decoy.key: decoy for decoy in _DECOYS}
MIX: Final = tuple(DECOYS)


def build(key: str, place: Place) -> Device:
    """One decoy by its key."""
    return Foreign(DECOYS[key], place)


class Foreign(Device):
    """A machine that must be left alone; its `wire_log` is the evidence."""

    make = "antminer"
    foreign = True

    def __init__(self, decoy: Decoy, place: Place) -> None:
        super().__init__(place)
        self.decoy = decoy
        self.key, self.model, self.firmware = decoy.key, decoy.model, decoy.firmware
        self.hashrate_hs = decoy.hashrate_hs
        self.tapped = True
        self._started = self.clock.now() - self.random.uniform(3600, 86400)
        self.listeners["http"] = Listener(
            self.ip, self.ports["http"], lambda listener: HttpConnection(self, listener, self.web)
        )
        if decoy.speaks_http_on_rpc:
            self.listeners["rpc"] = Listener(
                self.ip,
                self.ports["rpc"],
                lambda listener: HttpConnection(self, listener, self.web),
            )
        else:
            self.listeners["rpc"] = Listener(
                self.ip, self.ports["rpc"], lambda listener: _Api(self, listener)
            )

    @property
    def firmware_version(self) -> str:
        return self.decoy.version

    async def web(self, request: Request) -> Response:
        """Pages and nothing else; orders are noted and turned away."""
        if request.method not in ("GET", "HEAD"):
            self.record("foreign_write", "rejected", line=request.line)
            return Response(405)
        body = self.decoy.web_pages.get(request.path)
        if body is not None:
            return Response(200, body.encode(), (("Content-Type", "application/json"),))
        if request.path != "/" and self.decoy.web_status == 200:
            return Response(404)
        return Response(
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
        rate = self.decoy.hashrate_hs / (1e6 if self.decoy.firmware == "blissz" else 1e9)
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

    def __init__(self, device: Foreign, listener: Listener) -> None:
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
