"""The log package of a device: a gzip tar, made when it is asked for."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simulator.whatsminer.device import WhatsminerDevice

_LINES: Final = 300


def package(miner: WhatsminerDevice) -> bytes:
    """The bytes of the package, or nothing at all where the log is empty."""
    if "log_empty" in miner.faults:
        return b""
    files = {"btminer.log": _process_log(miner), "system.log": _system_log(miner)}
    if big := miner.faults.get("big_log"):
        # noise: a gzip of text would shrink to nothing
        size = int(big.args.get("bytes", 2_000_000))
        files["chips.bin"] = random.Random(miner.ip).randbytes(size)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"logs/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), compresslevel=1, mtime=0)


def _process_log(miner: WhatsminerDevice) -> bytes:
    now = datetime.fromtimestamp(miner.unix(), UTC)
    rows = [
        f"{now - timedelta(seconds=10 * (_LINES - n)):%Y-%m-%d %H:%M:%S} slot {n % miner.spec.boards} "
        f"temp {miner.board_c(n % miner.spec.boards)} mode {miner.process.mode}"
        for n in range(_LINES)
    ]
    return ("\n".join(rows) + "\n").encode()


def _system_log(miner: WhatsminerDevice) -> bytes:
    codes = " ".join(str(code) for code in miner.health.codes())
    text = f"boot {miner.boot} firmware {miner.firmware_version} mac {miner.shown_mac()} errors {codes}\n"
    return text.encode()
