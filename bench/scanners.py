"""One scan by one scanner, in a process of its own that measures itself: `python -m bench.scanners NAME BLOCK FILE`.

What it needs is imported, and has run once, before time begins. One JSON document goes to FILE.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import msgspec

_MAKES: Final = {
    "bitmain": "antminer", "antminer": "antminer", "microbt": "whatsminer", "whatsminer": "whatsminer",
    "iceriver": "iceriver",
}  # fmt: skip
_NOBODY: Final = "127.255.255.253"


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a scan. `found`: make by address. The rest: by those that say it."""

    wall_s: float
    cpu_s: float
    connects: int
    rss_mib: float
    """At most, by the whole process."""
    found: dict[str, str]
    first_row_s: float | None = None
    first_pass_s: float | None = None
    silent: int | None = None
    not_asked: int | None = None


class _Watched(io.StringIO):
    """Output that knows when it began."""

    first_at: float = 0.0

    def write(self, text: str) -> int:
        self.first_at = self.first_at or time.perf_counter()
        return super().write(text)


def ours(*options: str) -> Callable[[str], dict[str, Any]]:
    """The command as an operator runs it, within this process."""
    from agent.cli.app import main

    def scan(block: str) -> dict[str, Any]:
        sys.argv = ["miner-agent", "scan", block, "--json", "--rows", *options]
        began = time.perf_counter()
        with redirect_stdout(_Watched()) as out:
            try:
                main()
            except SystemExit as ended:
                if ended.code not in (None, 0, 1):
                    raise RuntimeError(out.getvalue()[-1000:]) from ended
        document = json.loads(out.getvalue().splitlines()[-1])
        if not document["ok"] and not document.get("not_asked"):
            raise RuntimeError(out.getvalue()[-1000:])
        keys = ("first_pass_s", "silent", "not_asked")
        rows = document["miners"]
        return {
            "found": {row["ip"]: str(row["make"]) for row in rows},
            "first_row_s": out.first_at - began,
            **{key: document[key] for key in keys},
        }

    return scan


def pyasic() -> Callable[[str], dict[str, Any]]:
    """As it comes: port 80 of all addresses at once, the API's ports where that is refused. With `sniffio` installed it
    takes an eighth less of the processor.
    """
    from pyasic.network import MinerNetwork

    def scan(block: str) -> dict[str, Any]:
        if block == _NOBODY:
            return {"found": {}}
        found = asyncio.run(MinerNetwork.from_subnet(block).scan())
        return {"found": {str(each.ip): str(each.make) for each in found}}

    return scan


def pyasic_rs() -> Callable[[str], dict[str, Any]]:
    """As it comes."""
    from pyasic_rs import MinerFactory

    async def scan_all(block: str) -> list[Any]:
        return list(await MinerFactory.from_subnet(block).scan())

    def scan(block: str) -> dict[str, Any]:
        if block == _NOBODY:
            return {"found": {}}
        found = asyncio.run(scan_all(block))
        return {"found": {str(each.ip): str(each.make) for each in found}}

    return scan


SCANNERS: Final[dict[str, Callable[[], Callable[[str], dict[str, Any]]]]] = {
    "ours": ours,
    "ours --fast": lambda: ours("--fast"),
    "pyasic": pyasic,
    "pyasic-rs": pyasic_rs,
}


def measure(name: str, block: str) -> Scanned:
    """Scan once."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    scan = SCANNERS[name]()
    scan(_NOBODY)
    connects, began, cpu = _connects(), time.perf_counter(), time.process_time()
    told = scan(block)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    makes = {ip: _MAKES.get(make.lower(), make) for ip, make in told.pop("found").items()}
    return Scanned(
        wall_s=wall_s,
        cpu_s=cpu_s,
        connects=_connects() - connects,
        rss_mib=_peak_mib(),
        found=makes,
        **told,
    )


def _peak_mib() -> float:
    """Of this program alone: what `getrusage` tells holds that of whoever started it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _connects() -> int:
    """How many connections this network namespace has begun, whoever began them."""
    names, values = (
        line.split()
        for line in Path("/proc/net/snmp").read_text().splitlines()
        if line[:4] == "Tcp:"
    )
    return int(values[names.index("ActiveOpens")])


if __name__ == "__main__":
    _, scanner, addresses, file = sys.argv
    result = msgspec.json.encode(measure(scanner, addresses))
    Path(file).write_bytes(result)
    os._exit(0)  # what a peer left running is no part of the measurement
