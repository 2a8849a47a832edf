"""What the programs' APIs have in common: one document, asked for by GET."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from simulator.http import HttpConnection, WebRequest, WebResponse
from simulator.net import Connection, Host, ListeningPort
from simulator.rig.catalogue import ProgramJob
from simulator.rig.work import MiningRun

JSON: Final = ("Content-Type", "application/json")
Say = Callable[[str, str, dict[str, Any]], None]
"""What became of an order: its name, the ledger's phase, what else is to be told."""


class ProgramApi(ABC):
    """The API of one program while it runs. `say` puts an order down."""

    software: ClassVar[str]
    slug: ClassVar[str]
    """The name of its executable and of its unit."""

    def __init__(self, run: MiningRun, device: Host, say: Say) -> None:
        self.run = run
        self.device = device
        self.say = say

    @abstractmethod
    def connection(self, listener: ListeningPort) -> Connection:
        """One client's connection."""

    @staticmethod
    @abstractmethod
    def arguments(job: ProgramJob, port: int, worker: str) -> list[str]:
        """What the program is started with."""

    @staticmethod
    @abstractmethod
    def port_of(arguments: Sequence[str]) -> int | None:
        """The port those arguments open; None when they open none."""


class ProgramConnection(HttpConnection):
    """None of them tells what serves it."""

    server: ClassVar[str | None] = None


class HttpApi(ProgramApi):
    """A program that answers GET on a few paths with one JSON document."""

    paths: ClassVar[tuple[str, ...]]

    def connection(self, listener: ListeningPort) -> Connection:
        return ProgramConnection(self.device, listener, self.serve)

    async def serve(self, request: WebRequest) -> WebResponse:
        self.run.look()
        if request.path not in self.paths:
            return WebResponse(404, b"", (("Content-Type", "text/plain"),))
        if request.method != "GET":
            return WebResponse(405)
        return reply(200, self.document())

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """All that it tells."""


def reply(status: int, document: object, *, indent: int | None = None) -> WebResponse:
    """One JSON document."""
    return WebResponse(status, json.dumps(document, indent=indent).encode(), (JSON,))


def value_of(arguments: Sequence[str], *options: str) -> str | None:
    """The value of the first of those options, given as `--option value` or `--option=value`."""
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in options:
            if equals:
                return value
            return arguments[index + 1] if index + 1 < len(arguments) else None
    return None


def port_in(text: str | None) -> int | None:
    """The port of `host:port`, or of `port` alone; None for 0 and for what is none."""
    digits = (text or "").rpartition(":")[2]
    return int(digits) or None if digits.isdigit() else None


def pool_arguments(job: ProgramJob, worker: str, url: str, user: str, algorithm: str) -> list[str]:
    """The first pool, spelt with those options."""
    first = job.algorithms[0]
    return [algorithm, first.name, url, first.pool, user, wallet(first.coin, worker)]


def wallet(coin: str, worker: str) -> str:
    """Whom a pool pays."""
    return f"{coin.lower()}-wallet.{worker}"
