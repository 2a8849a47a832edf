"""`miner-agent self-test`: each check, in order, and what it found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from agent.config.file import Config, ConfigError, load, why
from agent.host.version import agent_version
from agent.selftest.copies import check_room, private_folder
from agent.selftest.failure import CheckFailedError
from agent.selftest.loopback import read_on_loopback
from agent.selftest.stores import STORES, StoreCheck
from contract.clock import Clock
from contract.errors import MinerError
from service.hostuser import acting_as_owner
from service.install.own import OwnRelease
from service.install.release import digest


class SelfCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was checked; `text` is for people."""

    check: str
    ok: bool
    seconds: float
    text: str


async def self_test(path: Path, clock: Clock, own: OwnRelease | None) -> list[SelfCheck]:
    """Everything that can be checked, with that config: where it cannot be read, no store is looked at. `own` is the
    release that this process runs from. As root it is done as the owner of the folder of state.
    """
    found = _Checks(clock)
    config = found.config(path)
    await found.add("release", lambda: _files(own))
    if config is not None:
        await found.add_stores(config.state.dir)
    await found.add("loopback", lambda: read_on_loopback(clock))
    return found.made


class _Checks:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.made: list[SelfCheck] = []

    def config(self, path: Path) -> Config | None:
        began_mono = self._clock.mono()
        try:
            config = load(path)
        except ConfigError as error:
            self._note("config", began_mono, str(error), ok=False)
            return None
        self._note("config", began_mono, f"{path} is well formed", ok=True)
        return config

    async def add_stores(self, state: Path) -> None:
        """Of a folder that is not there yet nothing is to be read."""
        began_mono = self._clock.mono()
        try:
            with acting_as_owner(state):
                there = [each for each in STORES if state.is_dir() and each.size(state)]
                if not there:
                    self._note("stores", began_mono, f"{state} has none yet", ok=True)
                    return
                room = check_room(state, (each.size(state) for each in there))
                with private_folder(state) as folder:
                    self._note("stores", began_mono, room, ok=True)
                    for each in there:
                        await self.add(each.subject, _trial(each, state, folder, self._clock))
        except (CheckFailedError, OSError) as error:
            self._note("stores", began_mono, _words(error), ok=False)

    async def add(self, check: str, work: Callable[[], Awaitable[str]]) -> None:
        """`work` gives what it found, in words. Whatever it raises is a failure of this check, and others follow."""
        began_mono = self._clock.mono()
        try:
            text, ok = await work(), True
        except Exception as error:  # noqa: BLE001 a new release that breaks off here would break off there
            text, ok = _words(error), False
        self._note(check, began_mono, text, ok=ok)

    def _note(self, check: str, began_mono: float, text: str, *, ok: bool) -> None:
        seconds = round(self._clock.mono() - began_mono, 3)
        self.made.append(SelfCheck(check=check, ok=ok, seconds=seconds, text=text))


def _trial(
    store: StoreCheck, state: Path, folder: Path, clock: Clock
) -> Callable[[], Awaitable[str]]:
    async def work() -> str:
        copy = folder / store.name
        store.copy(state / store.name, copy)
        return await store.attempt(copy, clock)

    return work


async def _files(own: OwnRelease | None) -> str:
    """That they are those which the stamp was made of. Raises CheckFailedError, OSError."""
    if own is None:
        return (
            f"{agent_version()}; it is no release below /opt, so there is no stamp to compare with"
        )
    if not own.sha256:
        raise CheckFailedError(f"{own.place} has no stamp that can be read: install it again")
    if digest(own.place) != own.sha256:
        raise CheckFailedError(
            f"files of {own.place} are not those that it was made of: install it again"
        )
    return f"{own.version}, sha256 {own.sha256}{'' if own.is_proven else ', not proven yet'}"


def _words(error: Exception) -> str:
    if isinstance(error, CheckFailedError | MinerError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename}: {why(error)}" if error.filename else why(error)
    return f"it broke off ({type(error).__name__}: {str(error)[:200]})"
