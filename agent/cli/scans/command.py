"""What `miner-agent scan` does once its arguments are checked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from agent.cli.answers import DONE, FAILED, USAGE, Ended
from agent.cli.commands import Reach, failure, stopped
from agent.cli.foreground import StoppedError, run
from agent.cli.scans.view import RowsShown, ScanView
from agent.cli.targets import ranges_in
from agent.config.file import Config, ConfigError
from agent.config.host import LogSection
from agent.host.logs import set_up
from agent.ports import ScanSummary
from agent.scan.report.memory import ScanMemory, named_ranges
from agent.scan.scanner import FarmScanner
from contract.clock import SystemClock
from contract.errors import BadParamsError, MinerError
from contract.ranges import is_range
from service.hostuser import myself, owner_of
from service.limits import raise_open_files
from service.ownfolder import is_accessible

_KEY = "by hand"  # of a scan that may be gone on with
_NAMES_TOLD = 10  # where another one is given


def ranges_of_names(texts: Iterable[str], config: Config) -> tuple[str, ...]:
    """What is to be scanned: addresses, ranges, names of ranges, and names of hosts, looked up in this order: what is
    written as a range is that one, whatever a cloud calls so. Raises ValueError, in words.
    """
    of_cloud = (each for each in named_ranges(_file(config)) if not is_range(each.name))
    known = [(each.name, each.range) for each in of_cloud]
    known += [(each.name, each.range) for each in config.ranges]
    named = {name.casefold(): addresses for name, addresses in known}
    parts = (part.strip() for text in texts for part in text.split(","))
    try:
        return ranges_in(named.get(part.casefold(), part) for part in parts)
    except ValueError as error:
        if not known:
            raise
        names = sorted({name for name, _ in known})
        more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
        raise ValueError(
            f"{error}; ranges with a name, here: {', '.join(names[:_NAMES_TOLD])}{more}"
        ) from None


def run_scan(
    reach: Reach,
    ranges: tuple[str, ...],
    *,
    manner: str,
    resume: bool,
    quiet: bool,
    rows: RowsShown,
) -> Ended:
    """Look through ranges; a progress bar on stderr unless `quiet`. `resume`: go on with the one that was cut.
    One that could not ask everybody has failed.
    """
    set_up(LogSection(level="error"))
    raise_open_files()
    view = ScanView(reach.in_words, quiet=quiet, rows=rows)
    scanner: FarmScanner | None = None

    async def go() -> ScanSummary:
        nonlocal scanner
        site = reach.site(ranges)
        async with _memory(reach.config) as memory:
            if not resume:
                await memory.drop(_KEY)
            scanner = FarmScanner(
                site.fleet,
                site.territory,
                reach.config.scan,
                site.scan_ports,
                SystemClock(),
                look_timeout_s=site.look_timeout_s,
                memory=memory,
            )
            summary = await scanner.scan(ranges, view.progress, manner=manner, key=_KEY)
            if resume and not scanner.goes_on:
                notes = (*summary.notes, _nothing_to_resume(reach.config))
                return msgspec.structs.replace(summary, notes=notes)
            return summary

    try:
        with view:
            summary = run(go())
    except (BadParamsError, ConfigError) as error:
        return failure(error, USAGE)
    except (MinerError, OSError) as error:
        return failure(error)
    except StoppedError as error:
        so_far = None if scanner is None else scanner.so_far()
        if so_far is None:
            return stopped(error)
        words = f"{error}: {so_far.not_asked} of {so_far.addresses} addresses were not looked at"
        if _is_ours(reach.config.state.dir):
            words += "; the same with --resume goes on"
        document = {"ok": False, **_told(so_far, view), "problem": {"message": words}}
        return error.exit_code, document, f"{view.text(so_far)}\n{words}"
    is_whole = summary.not_asked == 0
    code = DONE if is_whole else FAILED
    return code, {"ok": is_whole, **_told(summary, view)}, view.text(summary)


def _told(summary: ScanSummary, view: ScanView) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(
        msgspec.structs.replace(
            summary,
            miners=tuple(map(view.told, summary.miners)),
            others=tuple(map(view.told, summary.others)),
        )
    )
    return told


def _file(config: Config) -> Path:
    return config.state.dir / "scans.db"


def _nothing_to_resume(config: Config) -> str:
    """Why --resume had nothing to go on with."""
    why = "no scan of just these, in this manner, was cut within the last hour"
    if not _is_ours(config.state.dir):
        why = f"what a scan has come to is kept only in a state folder of your own, and {config.state.dir} is none"
    return f"--resume had nothing to go on with, and all was asked: {why}"


def _memory(config: Config) -> ScanMemory:
    """What is kept of scans, beside what a daemon keeps; where that is another user's, it is only read."""
    if not config.state.dir.is_dir():
        return ScanMemory(None)
    return ScanMemory(_file(config), read_only=not _is_ours(config.state.dir))


def _is_ours(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        owner = owner_of(folder)
        is_own = owner is not None and owner.uid == myself().uid
        return is_own and is_accessible(folder, os.R_OK | os.W_OK | os.X_OK)
    return False
