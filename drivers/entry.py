"""What a make tells the registry of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic, Protocol, TypeVar

from contract.clock import Clock
from contract.miner import Identity, Make
from drivers.base import Capabilities, Timing
from drivers.changes.way import Ways
from drivers.driver import CredentialsFor, MinerDriver
from drivers.wire import Wire

Driven = TypeVar("Driven", bound=MinerDriver)


class OpensDriver(Protocol[Driven]):
    """What the driver class of a make is called with."""

    def __call__(
        self,
        ways: Ways[Driven],
        wire: Wire,
        clock: Clock,
        timing: Timing,
        credentials: CredentialsFor,
        identity: Identity,
    ) -> Driven: ...


class Entry(ABC, Generic[Driven]):
    """One make: where it may be found, how it is recognised, what can be done to it."""

    make: ClassVar[Make]
    ports: ClassVar[tuple[str, ...]]  # of Endpoint: where this make may be found
    generations: ClassVar[Mapping[str, Capabilities]]  # what each can do, oldest first
    ways: Ways[Driven]
    driver: OpensDriver[Driven]

    @abstractmethod
    async def recognise(
        self, wire: Wire, clock: Clock, timing: Timing, credentials: CredentialsFor
    ) -> Driven | None:
        """A driver if this make answers; `None` if something else does. Asks nothing that needs a password before it
        is sure. Raises UnreachableError when nothing answers where this make listens, MalformedError for what answers
        neither as this make nor as anything else.
        """

    def open_driver(
        self,
        wire: Wire,
        clock: Clock,
        timing: Timing,
        credentials: CredentialsFor,
        identity: Identity,
    ) -> Driven:
        """A driver for a miner identified earlier; nothing is sent."""
        return self.driver(self.ways, wire, clock, timing, credentials, identity)
