"""What the file of an inventory says, for whoever does not own it. What cannot be read is not known."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from agent.host.databases import reading_of
from agent.ports import AwakeMode
from contract.clock import from_text
from contract.miner import Identity, awake_mode_of
from drivers.base import SetPercent
from drivers.rig.reading.cards import SeenCard

log = structlog.get_logger(__name__)


def known_miners(path: Path) -> dict[str, Identity]:
    """Who is at which address, by the file of a daemon that may be running. Nothing there, or not readable: none."""
    try:
        with reading_of(path) as db:
            return {
                str(ip): identity
                for ip, blob in db.execute("SELECT ip, identity FROM miners")
                if (identity := identity_in(str(ip), blob)) is not None
            }
    except sqlite3.Error:
        return {}


def login_refused(path: Path) -> list[str]:
    """The addresses of the miners that refuse our login, by the same file, as the daemon saw it last."""
    try:
        with reading_of(path) as db:
            query = "SELECT ip FROM miners JOIN login_refused USING (key) ORDER BY ip"
            return [str(ip) for (ip,) in db.execute(query)]
    except sqlite3.Error:
        return []


def maintained_miners(path: Path) -> frozenset[str]:
    """The miners in maintenance, by the same file, as the cloud told the daemon last."""
    try:
        with reading_of(path) as db:
            return frozenset(str(key) for (key,) in db.execute("SELECT key FROM maintained"))
    except sqlite3.Error:
        return frozenset()


def awake_modes(path: Path) -> dict[str, AwakeMode]:
    """In which mode each miner hashes when it hashes, by key, by the same file."""
    try:
        with reading_of(path) as db:
            return {
                str(key): AwakeMode(mode=mode, seen_at=from_text(at))
                for key, word, at in db.execute("SELECT key, mode, seen_at FROM awake_modes")
                if (mode := awake_mode_of(word)) is not None
            }
    except (sqlite3.Error, ValueError):
        return {}


def set_percents(path: Path) -> dict[str, SetPercent]:
    """Which percentage of power each miner was set to that does not tell it, by key, by the same file."""
    try:
        with reading_of(path) as db:
            return {
                str(key): SetPercent(percent=percent, seen_at=from_text(at))
                for key, percent, at in db.execute("SELECT key, percent, seen_at FROM set_percents")
            }
    except (sqlite3.Error, ValueError):
        return {}


def seen_cards(path: Path) -> dict[str, Mapping[str, SeenCard]]:
    """Which cards each rig was ever seen with, by key."""
    try:
        with reading_of(path) as db:
            return {
                str(key): msgspec.json.decode(cards, type=dict[str, SeenCard])
                for key, cards in db.execute("SELECT key, cards FROM cards")
            }
    except (sqlite3.Error, msgspec.DecodeError):
        return {}


def identity_in(key: str, blob: bytes) -> Identity | None:
    """`None` for a miner that another version of the agent knows, and this one does not: it is found again."""
    try:
        return msgspec.json.decode(blob, type=Identity)
    except msgspec.DecodeError as error:
        log.warning("inventory.unreadable", miner=key, error=str(error))
        return None
