"""The foreign firmwares that can be simulated, with what they say of themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

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
    stats_more: dict[str, Any] = field(default_factory=dict)
    """What else stands in the second object of STATS."""
    malformed: bool = False
    extra: dict[str, tuple[str, Rows]] = field(default_factory=dict)
    """More 4028 commands: section name and rows."""
    mhs: bool = False
    """Rates in MH/s under MHS keys."""
    unit_hs: float = 1e9
    """H/s (Sol/s) in one unit of a `GHS` key, whatever that label claims."""
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
        unit_hs=1e6,
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
    # Its whole counts Sol/s, its boards kSol/s.
    Decoy(
        key="chipless",
        firmware="chipless",
        model="Antminer Z11",
        version="Chipless v3.0 Auto Paid",
        hashrate_hs=139.6e3,
        unit_hs=1.0,
        description="cgminer 4.9.0",
        version_row={
            "CGMiner": "4.9.0",
            "API": "3.1",
            "Miner": "9.0.0.5",
            "CompileTime": "Sun Nov 15 11:26:40 CST 2020 (Chipless v3.0 Auto Paid)",
            "Type": "Antminer Z11",
        },
        stats_head=_head(
            "CGMiner",
            "4.9.0",
            "9.0.0.5",
            "Sun Nov 15 11:26:40 CST 2020 (Chipless v3.0 Auto Paid)",
            "Antminer Z11",
        ),
        stats_more={f"chain_acn{n}": 3 for n in (1, 2, 3)}
        | {f"chain_acs{n}": " ooo" for n in (1, 2, 3)}
        | {"chain_rate1": "46.12", "chain_rate2": "47.03", "chain_rate3": "46.45"},
        malformed=True,
        web_status=401,
        web_body="401 - Unauthorized",
        web_headers=_CHALLENGE,
    ),
    Decoy(
        key="mskminer",
        firmware="mskminer",
        model="Antminer S9",
        version="2.0.0 rwglr",
        hashrate_hs=13.2e12,
        description="bmminer 1.0.0",
        version_row={
            "BMMiner": "2.0.0 rwglr",
            "API": "3.1",
            "Miner": "16.8.1.3",
            "CompileTime": "Tue Apr 16 09:03:51 UTC 2019",
            "Type": "Antminer S9",
        },
        stats_head=_head(
            "BMMiner", "2.0.0 rwglr", "16.8.1.3", "Tue Apr 16 09:03:51 UTC 2019", "Antminer S9"
        ),
        malformed=True,
        web_status=401,
        web_body="401 - Unauthorized",
        web_headers=_CHALLENGE,
    ),
    Decoy(
        key="luxos-s19kpro",
        firmware="luxos",
        model="Antminer S19k Pro",
        version="2025.8.26.123456-ab12cd34",
        hashrate_hs=118e12,
        description="LUXminer 2025.8.26.123456-ab12cd34",
        version_row={
            "API": "3.7",
            "CompileTime": "Tue Aug 26 12:34:56 UTC 2025",
            "LUXminer": "2025.8.26.123456-ab12cd34",
            "Miner": "LUXminer",
            "Type": "Antminer S19k Pro",
        },
        stats_head=_head(
            "LUXminer",
            "2025.8.26.123456",
            "LUXminer",
            "Tue Aug 26 12:34:56 UTC 2025",
            "Antminer S19k Pro",
        ),
        stats_more={"Mode": 2},
        web_body=_LUX_PAGE,
    ),
)
DECOYS: Final[dict[str, Decoy]] = {decoy.key: decoy for decoy in _DECOYS}
MIX: Final = tuple(DECOYS)
