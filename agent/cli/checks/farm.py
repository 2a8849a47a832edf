"""The farm: the ranges that are scanned, where readings go besides the cloud, rigs and some of the miners."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Final

from agent.cli.checks.findings import OK, PROBLEM, WARNING, Finding, named
from agent.cli.rigs import doubts
from agent.config.file import Config, ConfigError
from agent.miners.credentials import CredentialBook, from_config
from agent.miners.inventory import Inventory
from agent.miners.known import known_miners, login_refused
from agent.miners.rigs import address_of
from agent.miners.site import Site, open_site
from agent.miners.territory import Territory
from agent.scan.crowding import TABLE_FIX, crowding
from agent.sinks.sink import SinkEntry
from contract.clock import Clock
from contract.errors import (
    LOGIN_FIX,
    AuthFailedError,
    BadParamsError,
    MinerError,
    UnreachableError,
)
from contract.link import Settings
from contract.miner import Make
from contract.texts import counted
from drivers.base import Depth, Driver
from drivers.stranger import Stranger

_SAMPLES: Final = 3
_READ_WITHOUT_LOGIN: Final = (Make.WHATSMINER,)  # only changes need its password


def ranges_check(config: Config, settings: Settings | None) -> Iterator[Finding]:
    """Whether a scan takes what it is to look through, from the config and from the cloud (as far as it was asked)."""
    named = tuple(each.range for each in config.ranges)
    territory, most = Territory(config.miners, named=named), config.scan.max_addresses
    wished = {} if settings is None else _of_the_cloud(settings)
    if territory.ranges:
        try:
            spans = territory.select((), max_addresses=most)
        except BadParamsError as error:
            yield Finding(PROBLEM, "ranges", str(error))
        else:
            yield Finding(OK, "ranges", f"{counted(sum(map(len, spans)), 'address', 'addresses')}")
    elif not wished:
        yield Finding(WARNING, "ranges", "no range is configured: set ranges in [miners]")
    for called, text in wished.items():
        try:
            territory.select([text], max_addresses=most)
        except BadParamsError as error:
            yield Finding(WARNING, "ranges", f"{called} of the cloud is not scanned: {error}")


def _of_the_cloud(settings: Settings) -> dict[str, str]:
    """What the cloud wishes to be scanned, by what it is called."""
    plain = {text[:80]: text for text in settings.ranges}
    return plain | {f"{each.name} ({each.range})": each.range for each in settings.named}


async def neighbours_check(config: Config) -> Finding:
    """Whether the neighbour table of this host holds those who are asked and polled on its own networks."""
    subject = "neighbour table"
    spans = Territory(config.miners, named=tuple(each.range for each in config.ranges)).ranges
    known = await asyncio.to_thread(known_miners, config.state.dir / "inventory.db")
    found = crowding(spans, known)
    places = f"it has places for {found.places}"
    if found.miners > found.places:
        text = f"{counted(found.miners, 'known miner is', 'known miners are')} on networks of this host, and {places}: "
        return Finding(
            WARNING, subject, f"{text}some will look offline that are not; run: {TABLE_FIX}"
        )
    if found.addresses > found.places:
        text = f"{found.addresses} addresses to be scanned are on networks of this host, and {places}: "
        text += f"a scan takes some {found.scan_s} s for that alone, and more miners than places could not be polled; "
        return Finding(WARNING, subject, f"{text}run: {TABLE_FIX}")
    return Finding(OK, subject, f"{places}, and {found.addresses} may be needed")


async def sink_check(sink: SinkEntry, config: Config) -> list[Finding]:
    known = await asyncio.to_thread(known_miners, config.state.dir / "inventory.db")
    checks = await sink.check(config, known)
    return [Finding(each.level, sink.title, each.text) for each in checks]


async def rigs_check(config: Config, clock: Clock) -> list[Finding]:
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
        assert not isinstance(driver, Stranger)  # of an enrolled rig there is a driver
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


async def miners_check(config: Config, clock: Clock) -> list[Finding]:
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
            if isinstance(driver, Stranger):
                findings.append(Finding(WARNING, ip, "what answers there is no known miner"))
                continue
            await driver.read(Depth.FULL)
        except MinerError as error:
            advice = _advice(error, ip, site.fleet.at(ip), book)
            findings.append(Finding(WARNING, ip, f"{error.code}: {error}{advice}"))
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
    if not config.scanned:
        return "set ranges in [miners], or have the cloud order a scan"
    if not config.scan.at_start:
        return "have the cloud order a scan, or set at_start in [scan]"
    return "the agent scans the ranges of [miners] when it starts"


def _refused(ips: list[str]) -> str:
    return f"auth_failed at {counted(len(ips), 'miner')} when the agent last looked: {named(ips)}; {LOGIN_FIX}"


def _advice(error: MinerError, ip: str, driver: Driver | None, book: CredentialBook) -> str:
    if isinstance(error, AuthFailedError):
        return f"; tried with {book.source(ip, driver.identity if driver else None)}"
    if isinstance(error, UnreachableError):
        return "; is it switched on? if it moved to another address, a scan finds it there"
    return ""
