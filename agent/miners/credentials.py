"""Which user and password belong to which miner: by MAC, by range, or the maker's factory default."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from agent.config.file import Config
from agent.config.keyfiles import read_secret
from contract.miner import Firmware, Identity, Make
from contract.ranges import Range, parse_range
from drivers.base import Credentials

FACTORY_DEFAULTS: Final = {
    Make.ANTMINER: Credentials("root", "root"),
    Make.WHATSMINER: Credentials("admin", "admin"),
    Make.ICERIVER: Credentials("admin", "12345678"),
}
# Where a newer API of the same make has accounts of its own.
FACTORY_DEFAULTS_BY_GENERATION: Final = {
    (Make.WHATSMINER, "v3"): Credentials("super", "super"),
}


class CredentialRule(msgspec.Struct, frozen=True):
    """One entry; exactly one of `range` and `mac` is set."""

    credentials: Credentials
    range: Range | None = None
    mac: str | None = None
    source: str = ""  # where it was written down, for whoever has to correct it


class CredentialBook:
    """Answers with the most particular rule: MAC, else the narrowest range, else the factory default."""

    def __init__(self, rules: Iterable[CredentialRule] = (), *, factory_defaults: bool) -> None:
        given = tuple(rules)
        self._by_mac = {rule.mac: rule for rule in given if rule.mac is not None}
        self._by_range = sorted(
            ((rule.range, rule) for rule in given if rule.range is not None),
            key=lambda pair: len(pair[0]),
        )
        self._factory_defaults = factory_defaults

    def find(self, ip: str, identity: Identity, mac: str | None = None) -> Credentials | None:
        """What to log in with, or `None`. Firmware that is not the maker's own never gets any."""
        if identity.firmware is not Firmware.STOCK:
            return None
        rule = self._rule(ip, identity.mac or mac)
        if rule is not None:
            return rule.credentials
        return factory_default(identity) if self._factory_defaults else None

    def source(self, ip: str, identity: Identity | None = None) -> str:
        """Which login is used at this address and where it is written down, for whoever has to correct it."""
        rule = self._rule(ip, identity.mac if identity else None)
        if rule is not None:
            return f"user {rule.credentials.user!r}, {rule.source}"
        known = factory_default(identity) if identity and self._factory_defaults else None
        if known is None:
            return "no login is known for it: no entry of [[credentials]] fits"
        return f"the maker's own login, user {known.user!r}: no entry of [[credentials]] fits"

    def _rule(self, ip: str, mac: str | None) -> CredentialRule | None:
        by_mac = self._by_mac.get(mac or "")
        if by_mac is not None:
            return by_mac
        return next((rule for span, rule in self._by_range if ip in span), None)

    def at(self, ip: str, mac: str | None = None) -> Callable[[Identity], Credentials | None]:
        """The lookup for one address, as drivers ask it; `mac` is the one last seen there, since a miner
        may tell its own only after the login.
        """
        return lambda identity: self.find(ip, identity, mac)


def factory_default(identity: Identity) -> Credentials | None:
    """What this kind of miner is delivered with."""
    own = FACTORY_DEFAULTS_BY_GENERATION.get((identity.make, identity.generation or ""))
    return own or FACTORY_DEFAULTS.get(identity.make)


def from_config(config: Config) -> CredentialBook:
    """Read every password file. Raises ConfigError for one that cannot be used."""
    return CredentialBook(
        (
            CredentialRule(
                Credentials(entry.user, read_secret(entry.password_file)),
                range=None if entry.range is None else parse_range(entry.range),
                mac=entry.mac,
                source=f"password of {entry.password_file} "
                f"([[credentials]] {f'range {entry.range}' if entry.range else f'mac {entry.mac}'})",
            )
            for entry in config.credentials
        ),
        factory_defaults=config.miners.use_factory_defaults,
    )
