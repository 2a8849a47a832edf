"""What may be said to a host that is only read, and whether bytes that were sent to one are that and nothing more."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Final

from simulator.net import WireEntry

SECRET: Final = "Tr0ub4dor-and-3"
"""The password that is at hand and must not be sent."""

# Everything that may be said to a machine that is only read. A new driver's reads are added here, one by one.
API_READS: Final = frozenset(
    {
        *("version", "summary", "stats", "pools", "devs", "devdetails", "temps", "fans"),
        "get_version",  # whether it is a WhatsMiner
    }
)
PAGE_READS: Final = frozenset({"/", "/kaonsu/v1/overview", "/capabilities"})
# IceRiver: what its daemon and its forms are asked for.
DAEMON_READS: Final = frozenset(
    {
        *("info", "getnet", "state", "getlocate", "boardpow", "board", "fan", "getpool", "gethw"),
    }
)
FORM_READS: Final = frozenset({("/user/userpanel", b"post=4")})
# WhatsMiner's framed API.
FRAMED_READS: Final = frozenset({"get.device.info"})


def check_only_read(entries: Iterable[WireEntry]) -> None:
    """No password in any form, and nothing outside the reads above."""
    for entry in entries:
        assert not entry.had_credentials, entry
        lower = entry.data.lower()
        assert b"authorization" not in lower, entry
        assert b"cookie" not in lower, entry
        for word in (SECRET, "root", "admin"):
            assert word.lower().encode() not in lower, entry
            assert base64.b64encode(f"root:{word}".encode()).lower() not in lower, entry
        assert is_pure_read(entry.data), entry


def is_pure_read(data: bytes) -> bool:
    """Whether these bytes are one of the requests allowed above, and nothing more."""
    if data[1:4] == b"\0\0\0":
        length, framed = int.from_bytes(data[:4], "little"), json.loads(data[4:])
        return length == len(data) - 4 and set(framed) == {"cmd"} and framed["cmd"] in FRAMED_READS
    if data.startswith(b"{"):
        said = json.loads(data)
        if data.endswith(b"\n"):
            return set(said) == {"id"} and said["id"] in DAEMON_READS
        commands = said.pop("command")
        assert said.pop("new_api", True) is True
        names = commands if isinstance(commands, list) else commands.split("+")
        return not said and set(names) <= API_READS
    head, _, body = data.partition(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ")
    if method == "POST":
        return (path, body) in FORM_READS
    return method == "GET" and path in PAGE_READS and not body
