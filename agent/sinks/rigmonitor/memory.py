"""What must outlive a restart: whether each miner was switched off, and when it was last switched."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import structlog

from contract.clock import Clock, from_text, to_text
from contract.miner import PowerMode
from service.files import write_whole

log = structlog.get_logger(__name__)


class Switched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One miner, as it was last switched here. `mode`: how it ran before it was switched off, from before the inventory
    kept that; it is read and no more written.
    """

    at: str
    off: bool = False
    mode: PowerMode | None = None


class Memory:
    """A small file, replaced whole; everybody who waits meanwhile shares one write.

    A damaged file costs the memory, not the agent: it is set aside and said.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._miners: dict[str, Switched] = {}
        self._version = 0
        self._written = 0
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Read what an earlier run left."""
        self._miners = await asyncio.to_thread(self._load)

    def is_off(self, key: str) -> bool:
        """Whether it was switched off here, and not on again."""
        known = self._miners.get(key)
        return known is not None and known.off

    @property
    def modes_before(self) -> dict[str, PowerMode]:
        """How those ran that an earlier version of the agent switched off."""
        return {key: each.mode for key, each in self._miners.items() if each.off and each.mode}

    def since_switch_s(self, key: str) -> float | None:
        """How long ago it was last switched, by the clock on the wall; 0 if that was set back since."""
        known = self._miners.get(key)
        if known is None:
            return None
        return max(0.0, (self._clock.now() - from_text(known.at)).total_seconds())

    async def keep(self, key: str, *, off: bool) -> None:
        """It is switched now. Durable on return; raises OSError when it cannot be, and then forgets it again."""
        before = self._miners.get(key)
        self._miners[key] = Switched(at=to_text(self._clock.now()), off=off)
        self._version += 1
        wanted = self._version
        try:
            async with self._lock:
                if self._written < wanted:
                    now, body = self._version, msgspec.json.encode(self._miners)
                    await asyncio.to_thread(write_whole, self._path, body)
                    self._written = now
        except OSError:
            if before is None:
                self._miners.pop(key, None)
            else:
                self._miners[key] = before
            raise

    def _load(self) -> dict[str, Switched]:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Switched])
            for each in found.values():
                from_text(each.at)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            log.warning("rigmonitor.memory_damaged", path=str(self._path), error=str(error)[:300])
        else:
            return found
        try:
            self._path.replace(self._path.with_suffix(".damaged"))
        except OSError as error:
            log.warning("rigmonitor.memory_stays", path=str(self._path), error=str(error))
        return {}
