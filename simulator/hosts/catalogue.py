"""Each host by its key: what it says at which kind of port; what is not named is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

SERVICES: Final = ("https", "ssh", "ipp", "jetdirect")
"""The kinds of ports that no miner has. A farm gives them numbers of its own unless it is asked for the usual ones."""
MINERS_PORTS: Final = ("http", "rpc", "v3", "daemon")


@dataclass(frozen=True, slots=True)
class Pages:
    """A web server: one answer for `/`; where `elsewhere` is another status, that at other paths and 405 to orders."""

    body: str = ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    elsewhere: int = 404
    """The status at other paths. The same status: the same answer to everything."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Raw TCP: what is said to who connects, and what becomes of what is sent there."""

    greeting: bytes = b""
    echoes: bool = False
    one_by_one: bool = False
    """The next client is accepted only when this one has gone; the kernel lets the others wait."""


@dataclass(frozen=True, slots=True)
class RpcApi:
    """Port 4028 as cgminer speaks it: command to section and row; all else is an invalid command."""

    description: str
    replies: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)


Said = Pages | Speech | RpcApi


@dataclass(frozen=True, slots=True, kw_only=True)
class LanHostKind:
    """One kind of host."""

    key: str
    name: str
    says: Mapping[str, Said]


_SSH: Final = Speech(b"SSH-2.0-dropbear_2022.83\r\n")
_NOTHING: Final = Speech()
_UI: Final = "<!DOCTYPE html><html><head><meta charset=utf-8><TITLE>用户界面</TITLE></head><body></body></html>"


def _page(title: str, *headers: tuple[str, str]) -> Pages:
    return Pages(f"<html><head><title>{title}</title></head><body></body></html>", headers=headers)


def _login(realm: str, scheme: str = "Digest") -> Pages:
    more = ', nonce="5f1c7b0d3f1e4b0c", qop="auth"' if scheme == "Digest" else ""
    header = ("WWW-Authenticate", f'{scheme} realm="{realm}"{more}')
    return Pages("401 - Unauthorized", 401, (header,), elsewhere=401)


_HOSTS: Final = (
    LanHostKind(
        key="printer",
        name="printer",
        says={
            "http": _page("HP LaserJet Pro MFP", ("Server", "HP HTTP Server")),
            "ipp": _page("HP LaserJet Pro MFP"),
            "jetdirect": _NOTHING,
        },
    ),
    LanHostKind(key="ssh", name="host with SSH only", says={"ssh": _SSH}),
    LanHostKind(
        key="silent",
        name="accepts everywhere and says nothing",
        says=dict.fromkeys((*MINERS_PORTS, "ssh"), _NOTHING),
    ),
    LanHostKind(key="title", name="page with IceRiver's title", says={"http": Pages(_UI)}),
    LanHostKind(
        key="title-everywhere",
        name="page with IceRiver's title at every path",
        says={"http": Pages(_UI, elsewhere=200)},
    ),
    LanHostKind(
        key="word",
        name="shop for miners",
        says={"http": _page("Antminer S21 - WhatsMiner M60 - IceRiver KS5L | shop")},
    ),
    LanHostKind(
        key="teamredminer",
        name="TeamRedMiner",
        says={
            "rpc": RpcApi(
                "TeamRedMiner 0.10.21",
                {
                    "version": (
                        "VERSION",
                        {"SGMiner": "5.5.0", "Miner": "TeamRedMiner 0.10.21", "API": "3.1"},
                    ),
                    "summary": ("SUMMARY", {"Elapsed": 5077, "KHS av": 62410.1, "KHS 30s": 62405.9}),
                    "devdetails": (
                        "DEVDETAILS",
                        {"DEVDETAILS": 0, "Name": "GPU", "ID": 0, "Driver": "opencl", "Model": ""},
                    ),
                },
            ),
            "ssh": _SSH,
        },
    ),
    LanHostKind(
        key="luci",
        name="router with LuCI",
        says={
            "http": Pages(status=307, headers=(("Location", "https://{ip}/cgi-bin/luci"),), elsewhere=307),
            "https": _page("OpenWrt - LuCI"),
            "ssh": _SSH,
        },
    ),
    LanHostKind(
        key="echo",
        name="says back what it hears, at every port",
        says=dict.fromkeys((*MINERS_PORTS, *SERVICES), Speech(echoes=True)),
    ),
    LanHostKind(
        key="banner",
        name="says that it is an AntMiner, at every port and unasked",
        says=dict.fromkeys(
            (*MINERS_PORTS, *SERVICES),
            Speech(
                b'{"STATUS":[{"STATUS":"S","When":1700000000,"Code":22,"Msg":"CGMiner versions","Description":'
                b'"cgminer 1.0.0"}],"VERSION":[{"BMMiner":"1.0.0","API":"3.1","Miner":"uart_trans.1.3","CompileTime":'
                b'"Fri Nov 17 18:12:01 CST 2023","Type":"Antminer S19 Pro"}],"id":1}\0'
            ),
        ),
    ),
    LanHostKind(
        key="queue",
        name="serves one client of 4028 at a time, and none of them ever",
        says={"rpc": Speech(one_by_one=True)},
    ),
    LanHostKind(key="camera", name="camera", says={"http": _login("IP Camera"), "ssh": _SSH}),
    LanHostKind(key="blackminer", name="Hammer or VolcMiner", says={"http": _login("blackMiner Configuration")}),
    LanHostKind(key="elphapex", name="ElphaPex", says={"http": _login("Daoge Configuration")}),
    LanHostKind(key="axeos", name="Bitaxe", says={"http": _page("AxeOS")}),
    LanHostKind(key="goldshell", name="Goldshell", says={"http": _page("cloud-box")}),
    LanHostKind(
        key="avalon",
        name="Avalon",
        says={
            "http": _page("Avalon Device"),
            "rpc": RpcApi(
                "cgminer 4.11.1",
                {
                    "version": (
                        "VERSION",
                        {"CGMiner": "4.11.1", "API": "3.7", "STM8": "20.08.01", "PROD": "AvalonMiner 1246-85"},
                    ),
                    "summary": ("SUMMARY", {"Elapsed": 66377, "MHS av": 84922541.9, "MHS 5s": 84310011.2}),
                },
            ),
        },
    ),
)  # fmt: skip
HOSTS: Final[dict[str, LanHostKind]] = {host.key: host for host in _HOSTS}
EVERYTHING: Final = "everything"
"""Answers at every port as the maker whose port it is would."""
MIX: Final = (*HOSTS, EVERYTHING)
