"""What the device logged, as plain bytes and as its web page shows them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simulator.iceriver.device import IceriverDevice

HISTORY: Final = 3
"""Files of the history, which always come together."""
_LINES: Final = 200


def current(miner: IceriverDevice) -> bytes:
    """The log of this run."""
    return _log(miner, 0)


def history(miner: IceriverDevice) -> list[bytes]:
    """The logs of runs before."""
    return [_log(miner, n) for n in range(1, HISTORY + 1)]


def mangle(log: bytes) -> str:
    """As the web layer writes it into its page."""
    text = log.decode("utf-8", "replace").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\t", "&nbsp;&nbsp;").replace("\n", "<br/>")


def _log(miner: IceriverDevice, run: int) -> bytes:
    if "log_empty" in miner.faults:
        return b""
    at = datetime.fromtimestamp(miner.unix() - run * 86_400, UTC)
    rows = [f"{at:%Y-%m-%d %H:%M:%S}\tboot {miner.boot - run} {miner.softver1} <{miner.mac}>"]
    for n in range(_LINES):
        board = n % miner.spec.boards
        when = at - timedelta(seconds=10 * (_LINES - n))
        rows.append(
            f"{when:%Y-%m-%d %H:%M:%S}\tboard {board + 1}\tintmp {miner.hasher.inlet_c(board)} "
            f"outtmp {miner.hasher.outlet_c(board)} mode {miner.mode}"
        )
    if big := miner.faults.get("big_log"):
        size = int(big.args.get("bytes", 2_000_000))
        rows.append(random.Random(f"{miner.ip}{run}").randbytes(size // 2).hex())
    return ("\n".join(rows) + "\n").encode()
