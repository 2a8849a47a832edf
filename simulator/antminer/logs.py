"""The miner's log: text, day folders, archives."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simulator.antminer.device import AntminerDevice

_LINES: Final = 400
_DAYS: Final = 3


def log_text(miner: AntminerDevice) -> str:
    """Kernel messages, then the miner's own log up to now."""
    kernel = [
        f"[{0.1 * n:12.6f}] Booting Linux on physical CPU 0x{n:x}: {miner.spec.subtype or 'ctrl'}"
        for n in range(12)
    ]
    boot = f"boot {miner.boot}, firmware {miner.firmware_version}, mac {miner.shown_mac()}"
    now = datetime.fromtimestamp(miner.unix(), UTC)
    temps = miner.board_temps(0)
    rows = [
        f"{now - timedelta(seconds=10 * (_LINES - n)):%Y-%m-%d %H:%M:%S} "
        f"driver-btm-api.c: chain {n % len(miner.spec.chains)} temp {temps[n % 4]} "
        f"mode {miner.process.running_mode} elapsed {max(0, miner.elapsed() - 10 * (_LINES - n))}"
        for n in range(_LINES)
    ]
    text = "\n".join([*kernel, boot, *rows]) + "\n"
    big = miner.faults.get("big_log")
    if big is not None:
        size = int(big.args.get("bytes", 2_000_000))
        text = (text * (size // len(text) + 1))[:size]
    return text


def day_folders(miner: AntminerDevice) -> list[str]:
    """The folders dlog.cgi lists, newest first."""
    today = datetime.fromtimestamp(miner.unix(), UTC)
    return [f"/{today - timedelta(days=n):%Y-%m/%d}" for n in range(_DAYS)]


def archive_name(folders: list[str]) -> str:
    """The file an archive of these folders is put in."""
    return f"antminer_log{folders[0].replace('/', '-')}.tar"


def build_archive(miner: AntminerDevice, folders: list[str]) -> bytes:
    """The archive's bytes."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in folders:
            content = log_text(miner).encode()
            entry = tarfile.TarInfo(f"{folder.strip('/')}/miner.log")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return target.getvalue()
