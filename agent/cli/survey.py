"""Who is at the addresses where a task is wished for: whether it is as many as are meant, and who is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import msgspec

from agent.cli.sheet import Sheet
from agent.miners.inventory import key_of
from agent.miners.site import Site
from agent.ports import AddressVerdict
from agent.tasks.actions import ACTIONS, ChangeAction, LookAction
from agent.telemetry.observation import look
from contract.errors import LOGIN_FIX, ErrorCode
from contract.ranges import Range, merge, parse_range
from contract.task import MinerParams, Params, TaskName
from drivers.base import Capabilities, Depth, Driver, FirmwareUpdate, Mode


class Wanted(msgspec.Struct, frozen=True):
    """Where a task is wished for. `macs`: who is meant to be at an address, where that was said; `duplicates`: how many
    addresses were given once more.
    """

    spans: tuple[Range, ...]
    macs: Mapping[str, str] = {}
    duplicates: int = 0

    @classmethod
    def of(cls, ranges: Sequence[str], sheet: Sheet | None) -> Self:
        """Of what stands on the command line and in a file. Raises ValueError."""
        rows = sheet.rows if sheet else ()
        given = [*map(parse_range, ranges), *(parse_range(row.address) for row in rows)]
        spans = merge(given)
        again = sum(map(len, given)) - sum(map(len, spans))
        return cls(
            spans,
            {row.address: row.mac for row in rows if row.mac is not None},
            again + (sheet.duplicates if sheet else 0),
        )

    @property
    def ranges(self) -> tuple[str, ...]:
        return tuple(map(str, self.spans))

    @property
    def addresses(self) -> int:
        return sum(map(len, self.spans))


class LeftOut(msgspec.Struct, frozen=True):
    """An address where nothing is asked for, and why."""

    ip: str
    code: ErrorCode
    why: str


class Survey(msgspec.Struct, frozen=True):
    """By address: the miners at which it can be asked for, and all other addresses."""

    miners: tuple[Driver, ...]
    left_out: tuple[LeftOut, ...]


class Surveyor:
    """Looks at the addresses by a scan, which is to tell `hit` what it meets, and sorts them."""

    def __init__(
        self,
        wanted: Wanted,
        name: TaskName,
        params: Params,
        site: Site,
        in_words: Callable[[str], str],
    ) -> None:
        """`in_words`: as the operator is told it."""
        self._wanted = wanted
        self._name = name
        self._params = params
        self._site = site
        self._in_words = in_words
        self._hits: dict[str, tuple[Driver | None, str | None]] = {}

    def hit(self, ip: str, driver: Driver | None, problem: str | None) -> None:
        """See `Visitor`."""
        self._hits[ip] = (driver, problem)

    async def try_logins(self, *, at_once: int, timeout_s: float) -> None:
        """Look at every miner that was met, as far as that needs its login: where it is refused, nothing is asked for.
        All else that a look may run into, the task will tell.
        """
        turns = asyncio.Semaphore(at_once)

        async def attempt(ip: str, driver: Driver) -> None:
            async with turns:
                seen = await look(driver, Depth.SLOW, timeout_s=timeout_s)
            if seen is not None and seen.error == ErrorCode.AUTH_FAILED:
                self._hits[ip] = (None, f"{seen.error}: {seen.problem}")

        async with asyncio.TaskGroup() as group:
            for ip, (driver, _) in tuple(self._hits.items()):
                if driver is not None and driver.identity.drivable:
                    group.create_task(attempt(ip, driver), name=f"login-{ip}")

    def sorted(self, said_of: Callable[[str], tuple[AddressVerdict, str | None] | None]) -> Survey:
        """What has been met, once the scan is through. `said_of` is as `FarmScanner.verdict_at`."""
        miners: list[Driver] = []
        left_out: list[LeftOut] = []
        for ip in (ip for span in self._wanted.spans for ip in span):
            driver, problem = self._hits.get(ip, (None, None))
            if driver is not None and (odd := self._odd(ip, driver)) is None:
                miners.append(driver)
                continue
            if driver is not None:
                assert odd is not None
                code, text = odd
            elif ip in self._hits:
                code, text = _told(problem or "")
            else:
                verdict, note = said_of(ip) or (AddressVerdict.SKIPPED, None)
                is_skipped = verdict is AddressVerdict.SKIPPED
                code = ErrorCode.POLICY_REFUSED if is_skipped else ErrorCode.UNREACHABLE
                text = "nobody answers" if note is None else f"could not be asked: {note}"
            left_out.append(LeftOut(ip, code, self._in_words(text)))
        return Survey(tuple(miners), tuple(left_out))

    def _odd(self, ip: str, driver: Driver) -> tuple[ErrorCode, str] | None:
        """Why a miner is not asked."""
        identity, capabilities = driver.identity, driver.capabilities
        meant = self._wanted.macs.get(ip)
        if meant is not None and identity.mac != meant:
            shown = f"shows {identity.mac}" if identity.mac else "does not tell its MAC"
            return ErrorCode.WRONG_DEVICE, f"it {shown}, not the {meant} that the file has"
        if self._site.fleet.members.twins(ip):
            return ErrorCode.WRONG_DEVICE, "another device shows the same MAC"
        if capabilities is None:
            reason = identity.reason or "it is only read"
            is_login = LOGIN_FIX in reason
            return ErrorCode.AUTH_FAILED if is_login else ErrorCode.UNSUPPORTED, reason
        action = ACTIONS[self._name]
        if isinstance(action, LookAction):
            return None if capabilities.log else self._unsupported(capabilities)
        allowed = isinstance(self._params, MinerParams) and self._params.allow_maintenance
        mac = identity.mac or self._site.fleet.members.hidden_mac_at(ip)
        if not allowed and key_of(mac, ip) in self._site.inventory.maintained:
            return ErrorCode.POLICY_REFUSED, "it is in maintenance"
        change = action.change(self._params) if isinstance(action, ChangeAction) else None
        kind = FirmwareUpdate if change is None else type(change)
        if str(kind.__struct_config__.tag) not in capabilities.changes:
            return self._unsupported(capabilities)
        if isinstance(change, Mode) and change.mode not in (None, *capabilities.modes):
            modes = ", ".join(capabilities.modes) or "none"
            return ErrorCode.UNSUPPORTED_MODE, f"it has no mode {change.mode}; its modes: {modes}"
        return None

    def _unsupported(self, capabilities: Capabilities) -> tuple[ErrorCode, str]:
        model = f"{capabilities.make} {capabilities.generation}"
        return ErrorCode.UNSUPPORTED, f"{model}: {self._name} is not carried out there"


def _told(problem: str) -> tuple[ErrorCode, str]:
    """The code that a scan's note on an address begins with, and the rest of it."""
    code, _, rest = problem.partition(": ")
    try:
        return ErrorCode(code), rest
    except ValueError:
        return ErrorCode.UNREACHABLE, problem
