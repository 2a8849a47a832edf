"""`miner-agent doctor`: is everything as the agent needs it? In words, each with what to do."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from agent.commands import DONE, FAILED, Ended, stopped
from agent.config import Config, ConfigError, load, why
from agent.credentials import CredentialBook, from_config
from agent.enroll import membership
from agent.foreground import StoppedError, run
from agent.inventory import Inventory, file_trouble, known_miners, login_refused
from agent.keyfiles import check_ca_file
from agent.local import listens
from agent.logs import set_up
from agent.ports import CloudError
from agent.sections.host import LogSection
from agent.shown import counted
from agent.site import open_site
from contract.clock import Clock, SystemClock
from contract.errors import AuthFailedError, MinerError, UnreachableError
from drivers.base import Depth, Driver

OK: Final = "ok"
WARNING: Final = "warning"
PROBLEM: Final = "problem"
_SAMPLES: Final = 3
_NAMED: Final = 10  # addresses in one finding
_ROOM_BYTES: Final = 200 * 2**20
_FILES: Final = 4096
_EARLIEST_YEAR: Final = 2026  # a host without a battery clock starts long before


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked. `level` is ok, warning or problem."""

    level: str
    subject: str
    text: str


def run_doctor(path: Path) -> Ended:
    """Check what this config needs. Exit 0 unless there is a problem."""
    set_up(LogSection(level="error"))
    try:
        findings = run(examine(path, SystemClock()))
    except StoppedError as error:
        return stopped(error)
    problems = sum(each.level == PROBLEM for each in findings)
    warnings = sum(each.level == WARNING for each in findings)
    ok = not problems
    document = {"ok": ok, "checks": msgspec.to_builtins(findings)}
    lines = [f"{each.level:<8} {each.subject}: {each.text}" for each in findings]
    lines.append(
        f"{counted(problems, 'problem')}, {counted(warnings, 'warning')}"
        + (": the agent can run" if ok else "")
    )
    return (DONE if ok else FAILED), document, "\n".join(lines)


async def examine(path: Path, clock: Clock) -> list[Finding]:
    """Everything, in the order in which it should be put right."""
    try:
        config = load(path)
    except ConfigError as error:
        return [Finding(PROBLEM, "config", str(error))]
    findings = [Finding(OK, "config", f"{path} is well formed")]
    findings += _state(config.state.dir, config)
    findings.append(await _daemon(config, path))
    findings += _host(clock)
    cloud, settings_ok = await _cloud(config, path)
    findings += cloud
    if not config.miners.ranges and not settings_ok:
        findings.append(
            Finding(WARNING, "ranges", "no range is configured: set ranges in [miners]")
        )
    findings += await _monitor(config)
    findings += await _miners(config, clock)
    return findings


def _state(folder: Path, config: Config) -> Iterator[Finding]:
    subject = "state folder"
    if not folder.is_dir():
        yield Finding(PROBLEM, subject, f"{folder} is missing; run: install -d -m 0700 {folder}")
        return
    if folder.stat().st_mode & 0o077:
        yield Finding(
            WARNING, subject, f"others on this host can look into it; run: chmod 0700 {folder}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding(PROBLEM, subject, f"{folder} cannot be written by this user")
        return
    free = shutil.disk_usage(folder).free
    wanted = _ROOM_BYTES + config.state.buffer_max_mb * 2**20
    level = OK if free > wanted else PROBLEM if free < _ROOM_BYTES else WARNING
    yield Finding(
        level, subject, f"{folder} has {free // 2**20} MB free, {wanted // 2**20} MB may be needed"
    )
    journal = folder / "journal.db"
    if journal.exists():
        trouble = file_trouble(journal)
        if trouble is None:
            yield Finding(OK, "journal", f"{journal} is sound")
        else:
            yield Finding(
                PROBLEM,
                "journal",
                f"{journal}: {trouble}; the agent sets a damaged journal aside when it starts",
            )


def _host(clock: Clock) -> Iterator[Finding]:
    now = clock.now()
    if now.year < _EARLIEST_YEAR:
        yield Finding(PROBLEM, "clock", f"it says {now:%Y-%m-%d}: set up time synchronisation")
    else:
        yield Finding(OK, "clock", f"it says {now:%Y-%m-%d %H:%M:%S} UTC")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FILES:
        yield Finding(
            WARNING, "open files", f"at most {hard} are allowed: set LimitNOFILE=65536 in the unit"
        )
    else:
        yield Finding(OK, "open files", f"up to {hard} are allowed")
    threshold = _neighbours()
    if threshold is not None and threshold <= 1024:
        yield Finding(
            WARNING,
            "neighbour table",
            f"gc_thresh3 is {threshold}: scans of more than a /22 on the own network may fail; run: "
            "sysctl -w net.ipv4.neigh.default.gc_thresh3=16384",
        )


def _neighbours() -> int | None:
    try:
        return int(Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3").read_text("ascii"))
    except (OSError, ValueError):
        return None


async def _daemon(config: Config, path: Path) -> Finding:
    subject = "daemon"
    try:
        runs = await listens(config.socket_path)
    except OSError as error:
        return Finding(WARNING, subject, f"{config.socket_path} cannot be asked: {why(error)}")
    if runs:
        return Finding(OK, subject, "it runs")
    return Finding(
        WARNING,
        subject,
        "it does not run; start it: systemctl start miner-agent, "
        f"or miner-agent run --config {path}",
    )


async def _cloud(config: Config, path: Path) -> tuple[list[Finding], bool]:
    """And whether the cloud names ranges to scan."""
    from agent.daemon import open_link

    enroll = "miner-agent enroll --code CODE"
    if config.cloud.url is None:
        enroll += " --cloud URL"
    enroll += f" --config {path}"
    if not config.token_file.exists():
        return [
            Finding(
                PROBLEM,
                "cloud",
                "this agent is not enrolled; get a code from the cloud (miner-cloud enroll-code) "
                f"and run: {enroll}",
            )
        ], False
    try:
        check_ca_file(config.cloud.ca_file)
        link = open_link(config)
        member = membership(config.token_file)
    except (ConfigError, ValueError) as error:
        return [Finding(PROBLEM, "cloud", str(error))], False
    try:
        settings = await link.settings()
    except CloudError as error:
        text = str(error)
        if error.status in (401, 403):
            text += f"; enroll again: {enroll}"
        elif error.status is None:
            text += "; check url in [cloud], the network, and that the cloud runs"
        return [Finding(PROBLEM, "cloud", text)], False
    finally:
        await link.close()
    findings = [Finding(OK, "cloud", f"{config.cloud.url} knows this agent")]
    if member is not None:
        findings.append(Finding(OK, "farm", f"agent {member.agent_id} of farm {member.farm_id}"))
    return findings, bool(settings.ranges)


async def _monitor(config: Config) -> list[Finding]:
    from agent.sinks.rigmonitor.checkup import check_monitor

    known = await asyncio.to_thread(known_miners, config.state.dir / "inventory.db")
    checks = await check_monitor(config, known)
    return [Finding(each.level, "rig monitor", each.text) for each in checks]


async def _miners(config: Config, clock: Clock) -> list[Finding]:
    inventory = Inventory(None)
    findings = []
    try:
        book = from_config(config)
        site = open_site(config, clock, inventory, book)
    except ConfigError as error:
        return [Finding(PROBLEM, "passwords", str(error))]
    path = config.state.dir / "inventory.db"
    known = list(await asyncio.to_thread(known_miners, path))
    if not known:
        return [Finding(WARNING, "miners", "none is known yet: run a scan")]
    refused = await asyncio.to_thread(login_refused, path)
    if refused:
        findings.append(Finding(WARNING, "passwords", _refused(refused)))
    # One of them says which login was tried.
    others = [ip for ip in known if ip not in refused[:1]]
    for ip in refused[:1] + random.sample(others, min(_SAMPLES, len(others))):
        try:
            driver, _ = await site.fleet.look_at(ip)
            if driver is None:
                findings.append(Finding(WARNING, ip, "what answers there is no known miner"))
                continue
            await driver.read(Depth.FULL)
        except MinerError as error:
            driver = site.fleet.at(ip)
            findings.append(
                Finding(WARNING, ip, f"{error.code}: {error}{_advice(error, ip, driver, book)}")
            )
            continue
        identity = driver.identity
        text = f"{identity.make} {identity.model or ''} reads well"
        if not identity.drivable:
            text += f", but is not driven: {identity.reason}"
        findings.append(Finding(OK, ip, text))
    return findings


def _refused(ips: list[str]) -> str:
    more = f" and {len(ips) - _NAMED} more" if len(ips) > _NAMED else ""
    return (
        f"auth_failed at {counted(len(ips), 'miner')} when the agent last looked: {', '.join(ips[:_NAMED])}{more}; "
        "correct their [[credentials]]"
    )


def _advice(error: MinerError, ip: str, driver: Driver | None, book: CredentialBook) -> str:
    if isinstance(error, AuthFailedError):
        return f"; tried with {book.source(ip, driver.identity if driver else None)}"
    if isinstance(error, UnreachableError):
        return "; is it switched on? if it moved to another address, a scan finds it there"
    return ""
