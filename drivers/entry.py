"""What a make tells the registry of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar

from contract.miner import Identity, Make
from drivers.base import Capabilities
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor, MinerDriver
from drivers.wire import Wire

Driven = TypeVar("Driven", bound=MinerDriver)


class Entry(Generic[Driven]):
    """One make: where it may be found, and what can be done to it."""

    make: ClassVar[Make]
    # Of Endpoint: where this make may be found. Without any, each one is enrolled, and never scanned for.
    ports: ClassVar[tuple[str, ...]]
    driver: type[Driven]
    ways: Ways[Driven]

    @property
    def generations(self) -> Mapping[str, Capabilities]:
        """What each generation of it can do, oldest first; those that are only read have no changes."""
        return self.ways.generations

    def open_driver(
        self,
        wire: Wire,
        credentials: CredentialsFor,
        identity: Identity,
    ) -> Driven:
        """A driver for a miner identified earlier; nothing is sent."""
        return self.driver(self.ways, wire, credentials, identity)
