"""What each program of the judges does around its own work: `python -m tests.judges.<program> JUDGE FILE [KEY ...]`
leaves one JSON document in FILE.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec


def run_program(
    work: Callable[[str, list[str]], Awaitable[dict[str, Any]]], keys: Iterable[str]
) -> None:
    """Have the `work` done for the judge and the models of the command line (`keys`, if it names none)."""
    judge, target, *asked = sys.argv[1:]
    _bring_up_loopback()

    async def found() -> dict[str, Any]:
        return await work(judge, asked or list(keys))

    Path(target).write_text(json.dumps(msgspec.to_builtins(asyncio.run(found()))), "utf-8")


def _bring_up_loopback() -> None:
    """In a network namespace of its own the loopback interface is down at first; harmless elsewhere."""
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(sock, get_flags, request))[1]
        if not flags & up:
            fcntl.ioctl(sock, set_flags, struct.pack("16sh14x", b"lo", flags | up))
