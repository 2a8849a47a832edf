"""The device around btminer: power, boot, API daemons, settings on flash, accounts."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Final

from simulator.device import DevicePlace
from simulator.miner import Miner
from simulator.orders import Order, Reaction
from simulator.pools import SLOTS, Pool, SlotState, blank, pool_states, working_pools
from simulator.supervisor import Supervisor
from simulator.whatsminer import firmware, tokens
from simulator.whatsminer.accounts import Accounts
from simulator.whatsminer.catalogue import NO_LIMIT_W, Dialect, WhatsminerProduct
from simulator.whatsminer.health import ErrorCodes
from simulator.whatsminer.process import POWER_OF_MODE, Btminer
from simulator.whatsminer.settings import Led, factory_settings

_PROCESS_START_S: Final = 35.0
_RESTART_S: Final = 15.0
_WATCHDOG_S: Final = 20.0
_WAKE_S: Final = 10.0
_SLIP_S: Final = 120.0


class WhatsminerDevice(Miner):
    """One WhatsMiner with MicroBT's firmware. `simulator.whatsminer.build` puts servers behind its ports."""

    make = "whatsminer"
    boot_s = 40.0
    pool_up_s = 8.0

    def __init__(self, spec: WhatsminerProduct, place: DevicePlace) -> None:
        super().__init__(place, board_slots=spec.boards)
        self.spec = spec
        self.key, self.model = spec.key, spec.name
        self.generation = spec.dialect.value
        self.hashrate_hs = spec.hashrate_hs
        self.version = spec.version
        self.pending: firmware.WhatsminerImage | None = None
        self.misfit = False
        """The image that runs was made for the other cooling."""
        self.accounts = Accounts(self)
        self.mode = "normal"
        """The configured power mode: low, normal or high."""
        self.high_failed = False
        self.pools = working_pools(place.index)
        self.live_pools = copy.deepcopy(self.pools)
        self.leds: dict[str, Led] = {}
        self.settings = factory_settings()
        self._takes_limit = False
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
        self.booted_at = self.clock.now() - uptime_s - _PROCESS_START_S
        self._first_started = self.clock.now() - uptime_s
        self._supervisor = Supervisor(self, self.process, self._start_process)
        self.health = ErrorCodes(self)
        self.faults.build_in(spec.quirks)
        self.tokens = tokens.TokenSlots(
            self.clock, self.random, tokens.SLOTS_LATE if spec.is_late else tokens.SLOTS
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
        entry = super().describe() | {
            "v3_port": self.v3_port,
            "power_limit_w": self.spec.power_limit_w,
        }
        return entry if self.spec.shows_mac else entry | {"firmware_version": None}

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
        """The limit that is set, or that of the firmware."""
        return int(self.settings["power_limit"] or self.spec.power_limit_w)

    def limit_in_force_w(self) -> int:
        """As the process tells it: 0 while it takes a new one."""
        return 0 if self._takes_limit else self.limit_w()

    def pool_states(self) -> list[SlotState]:
        """The pools the process runs with; empty slots are left out."""
        process = self.process
        found = pool_states(
            self.live_pools, self._alive, accepted=process.accepted(), rejected=process.rejected()
        )
        return [pool for pool in found if pool.url]

    def last_share(self, pool: SlotState) -> int:
        """When that pool took the last one, unix seconds; 0 for never."""
        return self.unix() - self.unix() % 7 if pool.active and pool.accepted > 0 else 0

    # --- sockets ---------------------------------------------------------------------------------

    def wants_open(self, kind: str) -> bool:
        if not super().wants_open(kind) or not self.api_up:
            return False
        if kind == "rpc" and self.dialect is Dialect.LEGACY:
            return self.process.is_up  # cgminer listens itself, without a daemon before it
        return kind != "v3" or (self.dialect is Dialect.V3 and "refuses_4433" not in self.faults)

    # --- orders ----------------------------------------------------------------------------------

    def accept(self, order: Order) -> Reaction:
        """Take an order that was proved and understood; its effect comes later, by a script."""
        self.record(order.action, "received", before=order.before, after=order.after)
        reaction = self._struck(order)
        if reaction is None:
            self._schedule(order, order.delay_s)
        return reaction or Reaction.ANSWER

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

    def set_pools(self, slots: list[Pool]) -> None:
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

    def set_limit(self, limit_w: int) -> None:
        """Write a power limit down, 0 for that of the firmware, and restart the process into it."""
        self._takes_limit = True
        self.after(_RESTART_S + self.process.init_s, self._limit_taken)
        self.set_setting("power_limit", "power_limit", limit_w)
        self.restart_process()

    def set_percent(self, percent: int, *, restarts: bool) -> None:
        """Let the process draw so much of what it would; forgotten with the next boot."""
        self.set_setting("power_percent", "power_percent", percent)
        if restarts:
            self.restart_process()
        else:
            self.retune()

    def retune(self) -> None:
        """Let the running process take a new percentage."""
        self.process.scale = self._scale()

    def power_off(self) -> None:
        before = {"mining": not self.is_off}
        self.is_off = True
        self._supervisor.stop()
        self.record("power_off", "applied", before=before, after={"mining": False})
        if "power_off_slips" in self.faults:
            self.after(_SLIP_S, self._slip)

    def power_on(self) -> None:
        before = {"mining": not self.is_off}
        was_off, self.is_off = self.is_off, False
        self.record("power_on", "applied", before=before, after={"mining": True})
        if was_off:
            self._restart_in(_WAKE_S)

    def restart_process(self) -> None:
        """Stop btminer and start it again: it takes mode and pools from flash."""
        self._restart_in(_RESTART_S)

    def crash_process(self) -> None:
        """Btminer dies; the watchdog brings it back."""
        self._restart_in(_WATCHDOG_S)

    # --- power -----------------------------------------------------------------------------------

    def wipe(self) -> None:
        """Factory settings; MAC and serial stay."""
        before = {"pools": self.pools, "mode": self.mode}
        self.pools = [blank() for _ in range(SLOTS)]
        self.mode, self.settings = "normal", factory_settings()
        self.accounts.reset()
        self.record("factory_reset", "applied", before=before, after={"pools": self.pools})

    def flash(self, image: firmware.WhatsminerImage) -> None:
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

    def _go_dark(self) -> None:
        self.leds, self.is_off, self.api_up = {}, False, False
        self.settings["power_percent"], self._takes_limit = 100, False
        self.tokens.clear()
        self._supervisor.stop()

    def _power_on(self) -> None:
        if (image := self.pending) is not None:
            self.pending = None
            if "upgrade_bad_flash" not in self.faults:
                self._boot_into(image)
        self.api_up = True
        self.is_off = not self.settings["autostart"]
        self.booted_at = self.clock.now()
        self.sync_listeners()
        self._restart_in(_PROCESS_START_S)

    def _boot_into(self, image: firmware.WhatsminerImage) -> None:
        before, after = {"version": self.version}, {"version": image.version}
        self.record("flash", "applied", before=before, after=after)
        self.version = image.version
        self.misfit = image.liquid != self.spec.is_liquid
        if image.api:
            late = Dialect.V3 if image.api_v3 else Dialect.COMPAT
            dialect = late if image.api.startswith("2.2") else Dialect.V2
            self.spec = replace(self.spec, dialect=dialect, api=image.api, api_v3=image.api_v3)
            self.generation = dialect.value

    def _limit_taken(self) -> None:
        self._takes_limit = False

    def _slip(self) -> None:
        # seen on one build: asleep by the API of 4028, and back in minutes by itself
        if self.is_off:
            self.is_off = False
            self._restart_in(_WAKE_S)

    def _restart_in(self, seconds: float) -> None:
        if self.is_off:
            self._supervisor.stop()
            self.sync_listeners()
        else:
            self._supervisor.restart_in(seconds)

    def _start_process(self) -> None:
        self._heed_health()
        if "forgets_limit" in self.faults and self.settings["power_limit"]:
            self.set_setting("limit_lost", "power_limit", 0)
        self.process.start(self.mode, self._scale())
        self._take_pools()
        self.sync_listeners()

    def _take_pools(self) -> None:
        self.live_pools = copy.deepcopy(self.pools)
        self._pools_since = self.clock.now()

    def _scale(self) -> float:
        full_w = self.spec.power_w * POWER_OF_MODE[self.mode]
        limit_w = self.settings["power_limit"] or NO_LIMIT_W
        percent = self.settings["power_percent"]
        if "draws_on" in self.faults:
            limit_w, percent = NO_LIMIT_W, 100
        percent += self.settings["target_freq"]
        return float(max(0.05, min(1.0, limit_w / full_w) * percent / 100))

    def _heed_health(self) -> None:
        self.process.overheated = "overheated" in self.faults
        self.process.barren = "no_hash" in self.faults or self.misfit

    def _alive(self, pool: Pool) -> bool:
        return self.process.is_up and self.reaches(pool)
