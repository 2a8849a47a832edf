"""The device around btminer: power, boot, API daemons, settings on flash, accounts."""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from simulator.device import Device, Place
from simulator.net import Listener
from simulator.whatsminer import firmware, tokens
from simulator.whatsminer.accounts import Accounts
from simulator.whatsminer.catalogue import Dialect, Model
from simulator.whatsminer.framed import FramedConnection
from simulator.whatsminer.health import Health
from simulator.whatsminer.orders import SLOTS, Led, Order, Reaction
from simulator.whatsminer.process import POWER_OF_MODE, Btminer
from simulator.whatsminer.rpc import RpcConnection
from simulator.whatsminer.web import TLS_PORT, web_connection

BOOT_S: Final = 40.0
PROCESS_START_S: Final = 35.0
RESTART_S: Final = 15.0
WAKE_S: Final = 10.0
_POOL_UP_S: Final = 8.0
_SLIP_S: Final = 120.0
_NO_LIMIT_W: Final = 99_999


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool as the running process sees it; `index` counts from 0, empty slots are left out."""

    index: int
    url: str
    user: str
    alive: bool
    active: bool
    accepted: int
    rejected: int
    last_share: int


class Whatsminer(Device):
    """One WhatsMiner with MicroBT's firmware."""

    make = "whatsminer"

    def __init__(self, spec: Model, place: Place) -> None:
        super().__init__(place)
        self.spec = spec
        self.key, self.model = spec.key, spec.name
        self.generation = spec.dialect.value
        self.hashrate_hs = spec.hashrate_hs
        self.version = spec.version
        self.pending: firmware.Image | None = None
        self.misfit = False
        """The image that runs was made for the other cooling."""
        self.accounts = Accounts(self)
        self.mode = "normal"
        """The configured power mode: low, normal or high."""
        self.high_failed = False
        self.pools = self._working_pools()
        self.live_pools = copy.deepcopy(self.pools)
        self.leds: dict[str, Led] = {}
        self.settings = _factory_settings(spec)
        self.is_off = False
        """Told to stop hashing; the control board is up."""
        self.api_up = True
        self.board_serials = [
            f"SIMB{place.index:05d}K{slot}{self.random.randrange(16**5):05X}"
            for slot in range(spec.boards)
        ]
        self.psu_serial = f"SIMP{place.index:06d}{self.random.randrange(16**4):04X}"
        self.process = Btminer(spec, self.clock, self.random)
        uptime_s = self.random.uniform(3 * 3600, 10 * 86400)
        self.process.start(self.mode, self._scale(), ago_s=uptime_s)
        self.booted_at = self.clock.now() - uptime_s - PROCESS_START_S
        self._first_started = self.clock.now() - uptime_s
        self._pools_since = -math.inf
        self._era = 0  # counts power cycles: late timers of an earlier one are void
        self._run = 0  # counts process restarts, likewise
        self._waiting: list[Order] = []
        self.health = Health(self)
        self.faults.build_in(spec.quirks)
        self.tokens = tokens.TokenSlots(
            self.clock, self.random, tokens.SLOTS_LATE if spec.is_late else tokens.SLOTS
        )
        self.listeners["rpc"] = Listener(
            self.ip, self.ports["rpc"], lambda listener: RpcConnection(self, listener)
        )
        self.listeners["v3"] = Listener(
            self.ip, self.ports["v3"], lambda listener: FramedConnection(self, listener)
        )
        self.listeners["http"] = Listener(
            self.ip, self.ports["http"], lambda listener: web_connection(self, listener)
        )
        if self.ports["http"] == 80:  # the other ports of a farm on high ports stay free
            self.listeners["https"] = Listener(
                self.ip,
                TLS_PORT,
                lambda listener: web_connection(self, listener, is_tls=True),
                tls=True,
            )

    # --- what it shows of itself -----------------------------------------------------------------

    @property
    def firmware_version(self) -> str:
        return self.version

    @property
    def dialect(self) -> Dialect:
        return self.spec.dialect

    @property
    def v3_port(self) -> int:
        return self.ports["v3"]

    @property
    def password(self) -> str:
        """The password of the API on 4028."""
        return self.accounts.password

    @property
    def state(self) -> str:
        """`off`, `starting`, `sleeping`, `stopped` (protection) or `mining`."""
        if not self.api_up or not self._running:
            return "off"
        if self.is_off:
            return "sleeping"
        if not self.process.is_up:
            return "starting"
        if self.process.overheated:
            return "stopped"
        return "mining" if self.process.fraction() > 0 else "starting"

    @property
    def light(self) -> bool:
        return bool(self.leds)

    def describe(self) -> dict[str, Any]:
        entry = super().describe() | {"v3_port": self.v3_port}
        return entry if self.spec.shows_mac else entry | {"firmware_version": None}

    def shown_mac(self) -> str:
        other = self.faults.get("changes_mac")
        return str(other.args.get("mac", "02:FF:FF:00:00:01")) if other else self.mac

    def led_text(self) -> str:
        """`auto`, or a group of id, period, duration and start for each light set by hand."""
        if not self.leds:
            return "auto"
        ids = {"green": 1, "red": 0}
        rows = [(number, self.leds[name]) for name, number in ids.items() if name in self.leds]
        return "".join(f"{number},{p},{d},{s} " for number, (p, d, s) in rows)

    def unix(self) -> int:
        """What the device believes the date to be."""
        if "clock_1970" in self.faults:
            return int(self.clock.now() - self.booted_at)
        drift = self.faults.get("clock_drift")
        return self.clock.unix() + int(drift.args.get("seconds", 86_400) if drift else 0)

    def elapsed(self) -> float:
        """Seconds of the process, true or as the fault wants it."""
        return self._lied(self.process.elapsed())

    def uptime(self) -> int:
        """Seconds of the control board, true or as the fault wants it."""
        return int(self._lied(self.clock.now() - self.booted_at))

    def boards(self) -> list[int]:
        """Slots (from 0) of the hash boards found."""
        missing = self.faults.get("board_missing")
        gone = missing.args.get("chains", [0]) if missing else ()
        return [slot for slot in range(self.spec.boards) if slot not in gone]

    def portion(self) -> float:
        """Share of the nominal rate that the boards found make up."""
        return sum(self.process.share_of_board(slot) for slot in self.boards())

    def board_c(self, slot: int) -> float:
        return self.process.board_c(slot, cold="cold" in self.faults)

    def chip_c(self, slot: int) -> tuple[float, float, float]:
        return self.process.chip_c(slot, cold="cold" in self.faults)

    def env_c(self) -> float:
        return self.process.env_c(cold="cold" in self.faults)

    def fan_rpm(self, *, out: bool) -> int:
        if "fan_failed" in self.faults and not out:
            return 0
        return self.process.fan_rpm(out=out)

    def limit_w(self) -> int:
        return int(self.settings["power_limit"] or self.spec.power_limit_w)

    def pool_states(self) -> list[PoolState]:
        """The pools the process runs with."""
        alive = [self._alive(pool) for pool in self.live_pools]
        active = alive.index(True) if True in alive else None
        works = self.process.accepted() > 0
        return [
            PoolState(
                index=slot,
                url=pool["url"],
                user=pool["user"],
                alive=alive[slot],
                active=slot == active,
                accepted=self.process.accepted() if slot == active else 0,
                rejected=self.process.rejected() if slot == active else 0,
                last_share=self.unix() - self.unix() % 7 if slot == active and works else 0,
            )
            for slot, pool in enumerate(self.live_pools)
            if pool["url"]
        ]

    # --- sockets ---------------------------------------------------------------------------------

    def wants_open(self, kind: str) -> bool:
        if not super().wants_open(kind) or not self.api_up:
            return False
        if kind == "rpc" and self.dialect is Dialect.LEGACY:
            return self.process.is_up  # cgminer listens itself, without a daemon before it
        return kind != "v3" or (self.dialect is Dialect.V3 and "refuses_4433" not in self.faults)

    async def start(self) -> None:
        self._heed_health()
        await super().start()

    def move_to(self, ip: str) -> None:
        """Answer under another address from now on."""
        for listener in self.listeners.values():
            listener.close()
            listener.ip = ip
        self.ip = ip
        self.sync_listeners()

    # --- orders ----------------------------------------------------------------------------------

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something so many device seconds later, unless power is lost before."""
        era = self._era

        def due() -> None:
            if self._running and era == self._era:
                act()

        self.clock.call_later(seconds, due)

    def accept(self, order: Order) -> Reaction:
        """Take an order that was proved and understood; its effect comes later, by a script."""
        self.record(order.action, "received", before=order.before, after=order.after)
        faults, action = self.faults, order.action
        if faults.names():
            if dying := faults.take("dies_after_write", action=action):
                if dying.args.get("applied"):
                    order.act()
                faults.add("dead")
                if "for_s" in dying.args:
                    self.clock.call_later(float(dying.args["for_s"]), faults.remove, "dead")
                return Reaction.HANG_UP
            if faults.take("ignores", action=action):
                return Reaction.ANSWER
            if late := faults.take("late_apply", action=action):
                self._schedule(order, float(late.args.get("seconds", 30)))
                return Reaction.ANSWER
            if silent := faults.take("silent_apply", action=action):
                self._schedule(order, order.delay_s)
                return Reaction.HANG_UP if silent.args.get("close") else Reaction.SILENCE
        self._schedule(order, order.delay_s)
        return Reaction.ANSWER

    def refuse(self, action: str, reason: str) -> None:
        """Put down that a write was turned away."""
        self.record(action, "rejected", reason=reason)

    def set_leds(self, leds: dict[str, Led]) -> None:
        before = {"on": self.light}
        self.leds = dict(leds)
        self.record("light", "applied", before=before, after={"on": self.light})

    def set_mode(self, mode: str) -> None:
        """Write the mode down and restart the process."""
        if mode == "high" and "high_fails" in self.faults:
            self.high_failed = True
            self.record("mode", "rejected", reason="218")
            self.restart_process()
            return
        before, self.mode, self.high_failed = {"mode": self.mode}, mode, False
        self.record("mode", "applied", before=before, after={"mode": mode})
        self.restart_process()

    def set_pools(self, slots: list[dict[str, str]]) -> None:
        """Write the pools down; the running process switches at once, unless it needs a restart."""
        before = {"pools": copy.deepcopy(self.pools)}
        if "locked_pools" not in self.faults:
            self.pools = copy.deepcopy(slots)
        self.record("pools", "applied", before=before, after={"pools": copy.deepcopy(self.pools)})
        if "pools_need_restart" not in self.faults:
            self._take_pools()

    def set_setting(self, action: str, name: str, value: Any) -> None:
        before = {name: self.settings[name]}
        self.settings[name] = value
        self.record(action, "applied", before=before, after={name: value})

    def retune(self) -> None:
        """Let the running process take a new percentage."""
        self.process.scale = self._scale()

    def power_off(self) -> None:
        before = {"mining": not self.is_off}
        self.is_off = True
        self._run += 1
        self.process.stop()
        self.record("power_off", "applied", before=before, after={"mining": False})
        if "power_off_slips" in self.faults:
            self.after(_SLIP_S, self._slip)

    def power_on(self) -> None:
        before = {"mining": not self.is_off}
        was_off, self.is_off = self.is_off, False
        self.record("power_on", "applied", before=before, after={"mining": True})
        if was_off:
            self._stop_process(WAKE_S)

    def restart_process(self) -> None:
        """Stop btminer and start it again: it takes mode and pools from flash."""
        self._stop_process(RESTART_S)

    def crash_process(self) -> None:
        """Btminer dies; the watchdog brings it back."""
        self._stop_process(20.0)

    # --- power -----------------------------------------------------------------------------------

    def power_cycle(self, *, factory_reset: bool = False) -> None:
        """Power off now, on again after the boot time."""
        self.boot += 1
        self._era += 1
        self.record("reboot", "applied", before={"boot": self.boot - 1}, after={"boot": self.boot})
        for order in self._waiting:
            self.record(order.action, "lost", overwritten_by="power")
        self._waiting.clear()
        if factory_reset:
            self.wipe()
        self.leds, self.is_off, self.api_up = {}, False, False
        self.settings["power_percent"] = 100
        self.tokens.clear()
        self._run += 1
        self.process.stop()
        self.sync_listeners()
        for task in tuple(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self.after(BOOT_S * self.random.uniform(0.8, 1.3), self._power_on)

    def wipe(self) -> None:
        """Factory settings; MAC and serial stay."""
        before = {"pools": self.pools, "mode": self.mode}
        self.pools = [{"url": "", "user": "", "pass": ""} for _ in range(SLOTS)]
        self.mode, self.settings = "normal", _factory_settings(self.spec)
        self.accounts.reset()
        self.record("factory_reset", "applied", before=before, after={"pools": self.pools})

    def flash(self, image: firmware.Image) -> None:
        """Write a checked image; the device boots into it on its own."""
        self.pending = image
        after = {"pending": image.version}
        self.record("firmware", "applied", before={"version": self.version}, after=after)
        self.after(5.0, self.power_cycle)

    def newer_image(self) -> bytes | None:
        """What the maker would offer: a combined package; `None` where nothing can be uploaded."""
        if self.dialect is Dialect.LEGACY:
            return None
        version = firmware.next_version(self.version)
        return firmware.build_package(
            self.spec.platform or "h3", version, liquid=self.spec.is_liquid
        )

    def _power_on(self) -> None:
        if (image := self.pending) is not None:
            self.pending = None
            if "upgrade_bad_flash" not in self.faults:
                self._boot_into(image)
        self.api_up = True
        self.is_off = not self.settings["autostart"]
        self.booted_at = self.clock.now()
        self.sync_listeners()
        self._stop_process(PROCESS_START_S)

    def _boot_into(self, image: firmware.Image) -> None:
        before, after = {"version": self.version}, {"version": image.version}
        self.record("flash", "applied", before=before, after=after)
        self.version = image.version
        self.misfit = image.liquid != self.spec.is_liquid
        if image.api:
            late = Dialect.V3 if image.api_v3 else Dialect.COMPAT
            dialect = late if image.api.startswith("2.2") else Dialect.V2
            self.spec = replace(self.spec, dialect=dialect, api=image.api, api_v3=image.api_v3)
            self.generation = dialect.value

    def _schedule(self, order: Order, delay_s: float) -> None:
        self._waiting.append(order)

        def due() -> None:
            self._waiting.remove(order)
            order.act()

        self.after(delay_s, due)

    def _slip(self) -> None:
        # seen on one build: asleep by the API of 4028, and back in minutes by itself
        if self.is_off:
            self.is_off = False
            self._stop_process(WAKE_S)

    def _stop_process(self, for_s: float) -> None:
        self._run += 1
        run = self._run
        self.process.stop()
        self.sync_listeners()
        if not self.is_off:
            self.after(for_s, lambda: self._start_process() if run == self._run else None)

    def _start_process(self) -> None:
        self._heed_health()
        self.process.start(self.mode, self._scale())
        self._take_pools()
        self.sync_listeners()

    def _take_pools(self) -> None:
        self.live_pools = copy.deepcopy(self.pools)
        self._pools_since = self.clock.now()

    def _scale(self) -> float:
        full_w = self.spec.power_w * POWER_OF_MODE[self.mode]
        limit_w = self.settings["power_limit"] or _NO_LIMIT_W
        percent = self.settings["power_percent"] + self.settings["target_freq"]
        return float(max(0.05, min(1.0, limit_w / full_w) * percent / 100))

    def _heed_health(self) -> None:
        self.process.overheated = "overheated" in self.faults
        self.process.barren = "no_hash" in self.faults or self.misfit

    def _faults_changed(self) -> None:
        self._heed_health()
        super()._faults_changed()

    def _lied(self, true_s: float) -> float:
        lie = self.faults.get("lies_uptime")
        if lie is None:
            return true_s
        variant = lie.args.get("variant", "never_restarts")
        if variant == "constant":
            return 4242
        if variant == "jumps":
            return true_s + int(self.clock.now() * 7919) % 1_000_000
        return self.clock.now() - self._first_started

    def _alive(self, pool: dict[str, str]) -> bool:
        if not pool["url"] or "pools_dead" in self.faults or not self.process.is_up:
            return False
        return self.clock.now() - self._pools_since >= _POOL_UP_S

    def _working_pools(self) -> list[dict[str, str]]:
        pools = [
            {
                "url": f"stratum+tcp://pool{n}.example.com:3333",
                "user": f"farm.{self.index:05d}",
                "pass": "x",
            }
            for n in range(1, SLOTS)
        ]
        return [*pools, {"url": "", "user": "", "pass": ""}]


def _factory_settings(spec: Model) -> dict[str, Any]:
    del spec
    return {
        "power_limit": 0,
        "power_percent": 100,
        "target_freq": 0,
        "upfreq_speed": 0,
        "fast_boot": False,
        "web_pools": True,
        "autostart": True,
        "heat_mode": "normal",
        "hostname": "WhatsMiner",
        "zone": {"timezone": "CST-8", "zonename": "Asia/Shanghai"},
        "network": {"proto": "dhcp"},
        "custom": {},
    }
