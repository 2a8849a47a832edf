"""The host: whether its files, its disk and its kernel let the user run the agent that is to run it."""

from __future__ import annotations

import os
import resource
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from yarl import URL

from agent.cli.checks.findings import OK, PROBLEM, WARNING, Finding, named
from agent.config.file import Config, ConfigError, why
from agent.host.databases import file_trouble
from agent.local.socket import listens
from agent.sinks.registry import SINKS
from contract.clock import Clock
from service.files import is_open_to_others
from service.hostuser import HostUser, acting_as, is_root, myself
from service.ownfolder import (
    files_trouble,
    folder_trouble,
    is_accessible,
    is_read_only,
    quoted,
    shown_name,
    unwritable,
)

_ROOM_BYTES: Final = 200 * 2**20
_FILES: Final = 4096
_EARLIEST_YEAR: Final = 2026  # a host without a battery clock starts long before
# What lies here is read by the service manager and handed over: LoadCredential= of miner-agent.service.
_HANDED_OVER: Final = Path("/etc/miner-agent/credentials")


def may_act_as(who: HostUser) -> bool:
    return is_root() or who.uid == myself().uid


def user_check(who: HostUser, folder: Path, path: Path) -> Finding:
    if may_act_as(who):
        return Finding(OK, "user", f"files are checked as {who.name}, whom the agent runs as")
    return Finding(
        PROBLEM,
        "user",
        f"{folder} belongs to {who.name}, and only root may check it for that user; "
        f"run: sudo miner-agent doctor --config {path}",
    )


def proxy_check(config: Config, path: Path, who: HostUser) -> list[Finding]:
    """The config is for everybody to read, unless the password of a proxy stands in it."""
    proxy = config.cloud.proxy
    if proxy is None or URL(proxy).password is None or not path.stat().st_mode & stat.S_IROTH:
        return []
    fix = f"chgrp {who.gid} {quoted(path)} && chmod 0640 {quoted(path)}"
    text = f"everybody on this host can read the password of `proxy` in it; run: {fix}"
    return [Finding(WARNING, "config", text)]


def files_check(config: Config, path: Path, who: HostUser) -> list[Finding]:
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


def state_check(folder: Path, config: Config, who: HostUser) -> Iterator[Finding]:
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
        shown = named([shown_name(each) for each in foreign])
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


def host_check(clock: Clock) -> Iterator[Finding]:
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


async def daemon_check(config: Config, path: Path) -> Finding:
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


def subscriptions_check(config: Config, *, runs: bool) -> list[Finding]:
    """Nothing where none is served. Raises ConfigError."""
    section = config.subscriptions
    if section.listen is None:
        return []
    from agent.subscriptions.http import check_listen

    check_listen(section, port_too=not runs)
    return [Finding(OK, "subscriptions", f"{section.listen} {'serves' if runs else 'is free'}")]


def metrics_check(config: Config, *, runs: bool) -> list[Finding]:
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
