"""`miner-agent doctor`: is everything as the agent needs it? In words, each with what to do."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from yarl import URL

from agent.cli.answers import DONE, FAILED, Ended
from agent.cli.commands import stopped
from agent.cli.foreground import StoppedError, run
from agent.cli.render import counted
from agent.cli.rigs import doubts
from agent.config.file import Config, ConfigError, load, why
from agent.config.host import LogSection
from agent.config.keyfiles import check_cloud_ca
from agent.host.logs import set_up
from agent.host.version import agent_version
from agent.link.enroll import membership
from agent.link.trust import fingerprints_in
from agent.local.socket import listens
from agent.miners.credentials import CredentialBook, from_config
from agent.miners.inventory import Inventory, file_trouble, known_miners, login_refused
from agent.miners.rigs import address_of
from agent.miners.site import Site, open_site
from agent.miners.territory import Territory
from agent.ports import CloudError
from agent.sinks.registry import SINKS
from agent.sinks.sink import SinkEntry
from agent.update.check import updates_here
from agent.update.managed import ReleaseHost
from contract.clock import Clock, SystemClock
from contract.errors import (
    LOGIN_FIX,
    AuthFailedError,
    BadParamsError,
    MinerError,
    UnreachableError,
)
from contract.link import Settings
from contract.miner import Make
from drivers.base import Depth, Driver
from service.files import is_open_to_others
from service.hostuser import HostUser, acting_as, is_root, myself, owner_of
from service.ownfolder import (
    files_trouble,
    folder_trouble,
    is_accessible,
    is_read_only,
    quoted,
    shown_name,
    unwritable,
)

OK: Final = "ok"
WARNING: Final = "warning"
PROBLEM: Final = "problem"
_SAMPLES: Final = 3
_NAMED: Final = 10  # addresses, or files, in one finding
_READ_WITHOUT_LOGIN: Final = (Make.WHATSMINER,)  # only changes need its password
_ROOM_BYTES: Final = 200 * 2**20
_FILES: Final = 4096
_EARLIEST_YEAR: Final = 2026  # a host without a battery clock starts long before
# What lies here is read by the service manager and handed over: LoadCredential= of miner-agent.service.
_HANDED_OVER: Final = Path("/etc/miner-agent/credentials")


class Finding(msgspec.Struct, frozen=True):
    """One thing that was checked. `level` is ok, warning or problem."""

    level: str
    subject: str
    text: str


def run_doctor(path: Path, user: HostUser | None) -> Ended:
    """Check what this config needs, for the user that the agent runs as. Exit 0 unless there is a problem."""
    set_up(LogSection(level="error"))
    try:
        findings = run(examine(path, SystemClock(), user))
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


async def examine(
    path: Path, clock: Clock, user: HostUser | None = None, *, host: ReleaseHost | None = None
) -> list[Finding]:
    """Everything, in the order in which it should be put right. `user` is who the agent runs as; where none is named,
    whose the state folder is. `host` is this one, unless a test plays another.
    """
    try:
        config = load(path)
    except ConfigError as error:
        return [Finding(PROBLEM, "config", str(error))]
    findings = [Finding(OK, "config", f"{path} is well formed")]
    folder, who, settings = config.state.dir, user or myself(), None
    with _catching(findings, "user"):
        who = user or owner_of(folder) or myself()
        findings.append(_user(who, folder, path))
        findings += _proxy(config, path, who)
        findings += _unreadable(config, path, who)
    if _may_act_as(who):
        with _catching(findings, "state folder"), acting_as(who):
            findings.extend(_state(folder, config, who))
    runs = False
    with _catching(findings, "daemon"):
        findings.append(daemon := await _daemon(config, path))
        runs = daemon.level == OK
        findings += _metrics(config, runs=runs)
    with _catching(findings, "subscriptions"):
        findings += _subscriptions(config, runs=runs)
    with _catching(findings, "host"):
        findings.extend(_host(clock))
    with _catching(findings, "cloud"):
        cloud, settings = await _cloud(config, path)
        findings += cloud
    with _catching(findings, "updates"):
        is_well, words = await updates_here(config, host or ReleaseHost())
        findings.append(Finding(OK if is_well else WARNING, "updates", words))
    with _catching(findings, "ranges"):
        findings.extend(_ranges(config, settings))
    for sink in SINKS:
        with _catching(findings, sink.title):
            findings += await _sink(sink, config)
    with _catching(findings, "rigs"):
        findings += await _rigs(config, clock)
    with _catching(findings, "miners"):
        findings += await _miners(config, clock)
    return findings


@contextmanager
def _catching(findings: list[Finding], subject: str) -> Iterator[None]:
    """What goes wrong in one check is a finding, and the others follow."""
    try:
        yield
    except ConfigError as error:
        findings.append(Finding(PROBLEM, subject, str(error)))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        findings.append(Finding(PROBLEM, subject, f"{where}{why(error)}"))
    except Exception as error:  # noqa: BLE001 our bug, told in a line: who runs the doctor needs the other findings
        text = f"this check broke off ({type(error).__name__}: {str(error)[:200]}), which is a fault of "
        findings.append(
            Finding(PROBLEM, subject, f"{text}miner-agent {agent_version()}: report it")
        )


def _may_act_as(who: HostUser) -> bool:
    return is_root() or who.uid == myself().uid


def _user(who: HostUser, folder: Path, path: Path) -> Finding:
    if _may_act_as(who):
        return Finding(OK, "user", f"files are checked as {who.name}, whom the agent runs as")
    return Finding(
        PROBLEM,
        "user",
        f"{folder} belongs to {who.name}, and only root may check it for that user; "
        f"run: sudo miner-agent doctor --config {path}",
    )


def _proxy(config: Config, path: Path, who: HostUser) -> list[Finding]:
    """The config is for everybody to read, unless the password of a proxy stands in it."""
    proxy = config.cloud.proxy
    if proxy is None or URL(proxy).password is None or not path.stat().st_mode & stat.S_IROTH:
        return []
    fix = f"chgrp {who.gid} {quoted(path)} && chmod 0640 {quoted(path)}"
    text = f"everybody on this host can read the password of `proxy` in it; run: {fix}"
    return [Finding(WARNING, "config", text)]


def _unreadable(config: Config, path: Path, who: HostUser) -> list[Finding]:
    """The files that the config names and root can read, but not the user that the agent runs as. Those in the state
    folder are checked there.
    """
    if not is_root() or who.uid == 0:
        return []
    sui = config.subscriptions.sui
    secrets = (
        config.token_file,
        config.subscriptions.token_file,
        config.subscriptions.tls_key,
        None if sui is None else sui.keystore,
        *(each.password_file for each in config.credentials),
        *(each.key_file for each in config.rigs),
        *(program.token_file for each in config.rigs for program in each.programs),
        *(file for sink in SINKS for file in sink.secret_files(config)),
    )
    fixes = {each: f"chown {who.name} {quoted(each)}" for each in secrets if each is not None}
    public = (
        path,
        config.cloud_ca,
        config.subscriptions.tls_cert,
        None if sui is None else sui.ca_file,
        *(file for sink in SINKS for file in sink.public_files(config)),
    )
    fixes |= {each: f"chmod a+r {quoted(each)}" for each in public if each is not None}
    elsewhere = (_HANDED_OVER, config.state.dir.absolute())
    files = [each for each in fixes if each.absolute().parent not in elsewhere and each.exists()]
    with acting_as(who):
        unread = [each for each in files if not is_accessible(each, os.R_OK)]
    return [
        Finding(
            PROBLEM,
            "user",
            f"{each} cannot be read by {who.name}; run: {fixes[each]}, and see that the folders above let it through",
        )
        for each in unread
    ]


def _state(folder: Path, config: Config, who: HostUser) -> Iterator[Finding]:
    subject = "state folder"
    if folder.is_dir() and is_open_to_others(folder.stat()):
        yield Finding(
            WARNING,
            subject,
            f"others on this host can look into it; run: chmod 0700 {quoted(folder)}",
        )
    if folder.is_dir() and is_read_only(folder):
        text = f"the disk of {folder} is mounted read-only: the agent begins no task until it can be written"
        yield Finding(PROBLEM, subject, text)
        return
    trouble = folder_trouble(folder, who)
    if trouble is not None:
        yield Finding(PROBLEM, subject, trouble)
        return
    foreign = unwritable(folder)
    if foreign:
        shown = _named([shown_name(each) for each in foreign])
        yield Finding(PROBLEM, subject, files_trouble(folder, foreign, shown, who))
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
    if not config.token_file.exists():
        text = "it does nothing before this agent is enrolled; a unit that runs waits for that"
        return Finding(WARNING, subject, text)
    return Finding(
        WARNING,
        subject,
        "it does not run; start it: systemctl start miner-agent, "
        f"or miner-agent run --config {path}",
    )


def _subscriptions(config: Config, *, runs: bool) -> list[Finding]:
    """Nothing where none is served. Raises ConfigError."""
    section = config.subscriptions
    if section.listen is None:
        return []
    from agent.subscriptions.http import check_listen

    check_listen(section, port_too=not runs)
    return [Finding(OK, "subscriptions", f"{section.listen} {'serves' if runs else 'is free'}")]


def _metrics(config: Config, *, runs: bool) -> list[Finding]:
    """Nothing where no port is wanted, or the agent itself has it."""
    health = config.health
    if health.metrics_port is None or runs:
        return []
    from agent.sinks.prometheus import check_port

    try:
        check_port(health.metrics_host, health.metrics_port)
    except ConfigError as error:
        return [Finding(PROBLEM, "metrics", str(error))]
    return [Finding(OK, "metrics", f"{health.metrics_host}:{health.metrics_port} is free")]


def _ranges(config: Config, settings: Settings | None) -> Iterator[Finding]:
    """Whether a scan takes what it is to look through, from the config and from the cloud (as far as it was asked)."""
    territory, most = Territory(config.miners), config.scan.max_addresses
    wished = () if settings is None else settings.ranges
    if config.miners.ranges:
        try:
            spans = territory.select((), max_addresses=most)
        except BadParamsError as error:
            yield Finding(PROBLEM, "ranges", str(error))
        else:
            yield Finding(OK, "ranges", f"{counted(sum(map(len, spans)), 'address', 'addresses')}")
    elif not wished:
        yield Finding(WARNING, "ranges", "no range is configured: set ranges in [miners]")
    for text in wished:
        try:
            territory.select([text], max_addresses=most)
        except BadParamsError as error:
            yield Finding(WARNING, "ranges", f"{text[:80]} of the cloud is not scanned: {error}")


async def _cloud(config: Config, path: Path) -> tuple[list[Finding], Settings | None]:
    """And the cloud's wishes, where it tells them."""
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
        ], None
    try:
        check_cloud_ca(config)
        link = open_link(config)
        member = membership(config.token_file)
        known_by = _known_by(config)
    except (ConfigError, ValueError) as error:
        return [Finding(PROBLEM, "cloud", str(error))], None
    try:
        settings = await link.settings()
    except CloudError as error:
        text = str(error)
        if error.status in (401, 403):
            text += f"; run: {enroll}"
        elif error.status is None:
            text += "; check url in [cloud], the network, and that the cloud runs"
        return [Finding(PROBLEM, "cloud", text)], None
    finally:
        await link.close()
    findings = [Finding(OK, "cloud", f"{config.cloud.url} knows this agent{known_by}")]
    if member is not None:
        findings.append(Finding(OK, "farm", f"agent {member.agent_id} of farm {member.farm_id}"))
    return findings, settings


def _known_by(config: Config) -> str:
    """By which authority the agent knows its cloud, as the end of a sentence."""
    if config.cloud.ca_file is not None:
        return f", and is known by {config.cloud.ca_file}"
    prints = fingerprints_in(config.cloud_ca)
    return f", and is known by the authority sha256 {' or '.join(prints)}" if prints else ""


async def _sink(sink: SinkEntry, config: Config) -> list[Finding]:
    known = await asyncio.to_thread(known_miners, config.state.dir / "inventory.db")
    checks = await sink.check(config, known)
    return [Finding(each.level, sink.title, each.text) for each in checks]


async def _rigs(config: Config, clock: Clock) -> list[Finding]:
    """Each that is enrolled: whether it is reached, as who it was enrolled, and what it tells."""
    if not config.rigs:
        return []
    site = open_site(config, clock, Inventory(None), CredentialBook(factory_defaults=False))
    try:
        looks = [_rig(site, ip) for ip in site.rigs]
        return [finding for found in await asyncio.gather(*looks) for finding in found]
    finally:
        await site.rigs.close()


async def _rig(site: Site, ip: str) -> list[Finding]:
    subject = f"rig {site.rigs.at(ip).name}"
    try:
        driver, _ = await site.fleet.look_at(ip)
        assert driver is not None  # of an enrolled rig there is one
        reading = await driver.read(Depth.FULL)
    except MinerError as error:
        is_away = isinstance(error, UnreachableError)
        advice = "; is it switched on?" if is_away else ""
        return [Finding(WARNING if is_away else PROBLEM, subject, f"{error.code}: {error}{advice}")]
    faults = reading.slow.faults if reading.slow is not None else ()
    troubles = [*(f"{each.code}: {each.text}" for each in faults), *doubts(driver, reading)]
    if troubles:
        return [Finding(WARNING, subject, text) for text in troubles]
    identity = driver.identity
    text = f"{identity.model or 'it'} at {ip} reads well"
    if not identity.drivable:
        text += f", but is not driven: {identity.reason}"
    return [Finding(OK, subject, text)]


async def _miners(config: Config, clock: Clock) -> list[Finding]:
    inventory = Inventory(None)
    findings: list[Finding] = []
    try:
        book = from_config(config)
        # Rigs were looked at before: what is wrong with them is said there.
        site = open_site(config.model_copy(update={"rigs": ()}), clock, inventory, book)
    except ConfigError as error:
        return [Finding(PROBLEM, "passwords", str(error))]
    path = config.state.dir / "inventory.db"
    met = await asyncio.to_thread(known_miners, path)
    enrolled = {address_of(each) for each in config.rigs}
    # A rig that is enrolled no more is none of ours.
    known = [ip for ip, each in met.items() if ip not in enrolled and each.make is not Make.RIG]
    if not known and config.rigs:
        return findings
    if not known:
        return [Finding(WARNING, "miners", f"none is known yet: {_first_scan(config)}")]
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
        elif identity.make in _READ_WITHOUT_LOGIN:
            text += "; its password is not tried by reading"
        findings.append(Finding(OK, ip, text))
    return findings


def _first_scan(config: Config) -> str:
    if not config.miners.ranges:
        return "set ranges in [miners], or have the cloud order a scan"
    if not config.scan.at_start:
        return "have the cloud order a scan, or set at_start in [scan]"
    return "the agent scans the ranges of [miners] when it starts"


def _refused(ips: list[str]) -> str:
    return f"auth_failed at {counted(len(ips), 'miner')} when the agent last looked: {_named(ips)}; {LOGIN_FIX}"


def _named(those: list[str]) -> str:
    more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
    return ", ".join(those[:_NAMED]) + more


def _advice(error: MinerError, ip: str, driver: Driver | None, book: CredentialBook) -> str:
    if isinstance(error, AuthFailedError):
        return f"; tried with {book.source(ip, driver.identity if driver else None)}"
    if isinstance(error, UnreachableError):
        return "; is it switched on? if it moved to another address, a scan finds it there"
    return ""
