"""What the agent tells of itself: the host it runs on, how full its queues are, what the operator should know."""

from __future__ import annotations

import asyncio
import os
import platform
import random
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import psutil
import structlog

from agent.ports import CloudError
from contract.clock import Clock
from contract.link import Heartbeat, HeartbeatReply, Settings

log = structlog.get_logger(__name__)


class HeartbeatSource(Protocol):
    """The cloud, as heartbeats see it. Raises CloudError."""

    async def heartbeat(self, beat: Heartbeat) -> HeartbeatReply: ...

    async def settings(self) -> Settings: ...


class Heart:
    """Beats every so many seconds; when the cloud has newer settings, fetches and hands them over."""

    def __init__(
        self,
        source: HeartbeatSource,
        clock: Clock,
        compose: Callable[[dict[str, Any]], Heartbeat],
        apply: Callable[[Settings], Awaitable[None]],
        *,
        every_s: float,
        rng: random.Random | None = None,
    ) -> None:
        """`compose` makes the message from the host's figures."""
        self._source = source
        self._clock = clock
        self._compose = compose
        self._apply = apply
        self._every_s = every_s
        self._rng = rng or random.Random()
        self._settings_rev: int | None = None
        self.state = "ok"
        self.heard_mono: float | None = None  # the last beat that was answered

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.beat()
            await self._clock.sleep(self._every_s * self._rng.uniform(0.9, 1.0))

    async def beat(self) -> None:
        """One beat. A cloud that is away is noted, not raised: the next beat comes anyway."""
        host = await asyncio.to_thread(host_figures, self._clock)
        try:
            reply = await self._source.heartbeat(self._compose(host))
            self.heard_mono = self._clock.mono()
            if reply.settings_rev != self._settings_rev:
                settings = await self._source.settings()
                await self._apply(settings)
                self._settings_rev = settings.rev
                log.info("settings.applied", rev=settings.rev)
        except CloudError as error:
            if self.state == "ok":
                log.warning("heartbeat.unheard", error=str(error))
            self.state = str(error)
        else:
            if self.state != "ok":
                log.info("heartbeat.heard_again")
            self.state = "ok"


def host_figures(clock: Clock) -> dict[str, Any]:
    """The `host` object of the Nonce API: sizes in bytes, `uptime` of the host in seconds, `timestamp` in
    epoch seconds.
    """
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    now = clock.now().timestamp()
    return {
        "platform": platform.system(),
        "os": platform.platform(),
        "cpu_count": os.cpu_count(),
        "uptime": int(now - psutil.boot_time()),
        "timestamp": int(now),
        "load_average": [round(each, 2) for each in psutil.getloadavg()],
        "memory": {
            "total": memory.total,
            "used": memory.used,
            "free": memory.free,
            "swap_total": swap.total,
            "swap_free": swap.free,
            "swap_used": swap.used,
        },
        "ip": _own_ip(),
        "hostname": platform.node(),
    }


def _own_ip() -> str | None:
    """The first IPv4 address of an interface that is up and not loopback."""
    states = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        if name not in states or not states[name].isup:
            continue
        for each in addresses:
            if each.family.name == "AF_INET" and not each.address.startswith("127."):
                return str(each.address)
    return None
