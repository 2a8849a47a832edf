"""The control board: power, boot, what is on flash, the daemon's state behind both ports."""

from __future__ import annotations

import asyncio
import copy
import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from simulator.device import Device, Place
from simulator.iceriver import firmware
from simulator.iceriver.catalogue import Model, Variant, next_build
from simulator.iceriver.daemon import DaemonConnection
from simulator.iceriver.orders import MODES, SLOTS, Order, Reaction
from simulator.iceriver.process import Hasher
from simulator.iceriver.web import WebServer
from simulator.net import Listener

BOOT_S: Final = 45.0
"""Until the web server listens; its start script alone sleeps for most of that."""
DAEMON_START_S: Final = 30.0
"""From then on until the daemon listens."""
USER: Final = "admin"
PASSWORD: Final = "12345678"
_RATIO: Final = 60
_POOL_UP_S: Final = 8.0
_RESTART_EVERY_S: Final = 1800.0


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool as the daemon sees it; `index` counts from 0."""

    index: int
    url: str
    user: str
    password: str
    alive: bool
    active: bool
    accepted: int
    rejected: int


class Iceriver(Device):
    """One IceRiver with the maker's firmware."""

    make = "iceriver"

    def __init__(self, spec: Model, place: Place) -> None:
        super().__init__(place)
        self.spec = spec
        self.key, self.model, self.firmware = spec.key, spec.name, spec.firmware
        self.variant = spec.variant
        self.generation = "stock" if spec.firmware == "stock" else None
        self.hashrate_hs = spec.hashrate_hs
        self.build = spec.build
        self.pending: tuple[firmware.Image, bool] | None = None
        """The image for the next boot, and whether the configuration outlives it."""
        self.uploads: dict[str, bytes] = {}
        self.bricked = False
        self.password = PASSWORD
        self.password_changes = 0
        self.mode = "normal"
        self.fan_control = False
        """The fans are set by hand, to `fan_ratio` percent."""
        self.fan_ratio = _RATIO
        self.light = False
        self.pools = self._working_pools()
        self.network = self._factory_network()
        self.web_up = True
        self.daemon_up = True
        self.hasher = Hasher(spec, self.clock, self.random)
        uptime_s = self.random.uniform(3 * 3600, 10 * 86_400)
        self.hasher.start(asleep=False, ago_s=uptime_s)
        self._first_started = self.clock.now() - uptime_s
        self._pools_since = -math.inf
        self._era = 0  # counts power cycles: late timers of an earlier one are void
        self._waiting: list[Order] = []
        self._restless = False
        self.web = WebServer(self)
        self.faults.build_in(spec.quirks)
        self.listeners["http"] = Listener(self.ip, self.ports["http"], self.web.connection)
        self.listeners["daemon"] = Listener(
            self.ip, self.ports["daemon"], lambda listener: DaemonConnection(self, listener)
        )

    # --- what it shows of itself -----------------------------------------------------------------

    @property
    def firmware_version(self) -> str:
        return self.softver1

    @property
    def softver1(self) -> str:
        return self.spec.softver1(self.build)

    @property
    def softver2(self) -> str:
        return self.spec.softver2(self.build)

    @property
    def daemon_port(self) -> int:
        return self.ports["daemon"]

    @property
    def state(self) -> str:
        """`off`, `booting` (web without daemon), `sleeping`, `stopped` (protection), `starting`, `mining`."""
        if not self.web_up or not self._running:
            return "off"
        if not self.daemon_up:
            return "booting"
        if self.mode == "sleep":
            return "sleeping"
        if self.hasher.overheated:
            return "stopped"
        return "mining" if self.hasher.rate_over(60.0) > 0 else "starting"

    def describe(self) -> dict[str, Any]:
        # the serial number is nowhere to be read, nor the model in some people's builds
        shown = {"serial": None, "model": self.model or None, "daemon_port": self.daemon_port}
        return super().describe() | shown

    def shown_mac(self) -> str:
        """The address as this build writes it."""
        other = self.faults.get("changes_mac")
        mac = str(other.args.get("mac", "02:FF:FF:00:00:01")) if other else self.mac
        return mac.lower().replace(":", "-") if self.spec.mac_dashes else mac.lower()

    def unix(self) -> int:
        """What the device believes the date to be; many are wrong by years."""
        if "clock_1970" in self.faults:
            return int(self.hasher.elapsed())
        return self.clock.unix() + self.spec.clock_off_s

    def elapsed(self) -> float:
        """Seconds since the daemon started, true or as the fault wants it."""
        lie = self.faults.get("lies_uptime")
        if lie is None:
            return self.hasher.elapsed()
        variant = lie.args.get("variant", "never_restarts")
        if variant == "constant":
            return 4242
        if variant == "jumps":
            return self.hasher.elapsed() + int(self.clock.now() * 7919) % 1_000_000
        return self.clock.now() - self._first_started

    def boards(self) -> list[int]:
        """Slots (from 0) of the hash boards found."""
        missing = self.faults.get("board_missing")
        gone = missing.args.get("chains", [0]) if missing else ()
        return [slot for slot in range(self.spec.boards) if slot not in gone]

    def fan_rpms(self) -> list[int]:
        """Four, whatever is there."""
        ratio = self.fan_ratio if self.fan_control else None
        rpms = [self.hasher.fan_rpm(n, ratio=ratio) for n in range(self.spec.fans)]
        if rpms and "fan_failed" in self.faults:
            rpms[0] = 0
        return [*rpms, *(0 for _ in range(4 - len(rpms)))]

    def pool_states(self) -> list[PoolState]:
        """All three slots."""
        alive = [self._alive(pool) for pool in self.pools]
        active = alive.index(True) if True in alive else None
        return [
            PoolState(
                index=slot,
                url=pool["url"],
                user=pool["user"],
                password=pool["pass"],
                alive=alive[slot],
                active=slot == active,
                accepted=self.hasher.accepted() if slot == active else 0,
                rejected=self.hasher.rejected() if slot == active else 0,
            )
            for slot, pool in enumerate(self.pools)
        ]

    # --- sockets ---------------------------------------------------------------------------------

    @property
    def daemon_answers(self) -> bool:
        """The daemon runs, so that its web layer can reach it."""
        return self.daemon_up and "daemon_down" not in self.faults

    def wants_open(self, kind: str) -> bool:
        if not super().wants_open(kind) or not self.web_up:
            return False
        if kind == "daemon":
            return self.daemon_answers and "refuses_4111" not in self.faults
        return "web_down" not in self.faults and not self.web.is_out_of_memory

    async def start(self) -> None:
        self._heed_health()
        await super().start()

    def move_to(self, ip: str) -> None:
        """Answer under another address from now on."""
        for listener in self.listeners.values():
            listener.close()
            listener.ip = ip
        self.ip = ip
        self.network["ip"] = ip
        self.sync_listeners()

    # --- orders ----------------------------------------------------------------------------------

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something so many device seconds later, unless power is lost before."""
        era = self._era

        def due() -> None:
            if self._running and era == self._era:
                act()

        self.clock.call_later(seconds, due)

    async def accept(self, order: Order) -> Reaction:
        """Carry out an order that was understood; comes back when the daemon would answer."""
        self.record(order.action, "received", before=order.before, after=order.after)
        faults, action = self.faults, order.action
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
        if order.later:
            self._schedule(order, order.delay_s)
            drops = action == "reboot" and "reboot_drops" in faults
            return Reaction.HANG_UP if drops else Reaction.ANSWER
        self._waiting.append(order)
        await self.clock.sleep(order.delay_s)
        if order in self._waiting:  # else the power went meanwhile
            self._waiting.remove(order)
            order.act()
        return Reaction.ANSWER

    def refuse(self, action: str, reason: str) -> None:
        """Put down that a write was turned away."""
        self.record(action, "rejected", reason=reason)

    def login_password(self) -> str:
        """What `login` compares with."""
        other = self.faults.get("wrong_password")
        return str(other.args.get("password", "other")) if other else self.password

    def set_light(self, on: bool) -> None:
        before, self.light = {"on": self.light}, on
        self.record("light", "applied", before=before, after={"on": on})

    def set_mode(self, word: str) -> None:
        """Sleep, or wake up. A word that is no mode changes nothing."""
        before = {"mode": self.mode}
        if word in MODES:
            self.mode = word
            self._rest()
        self.record("mode", "applied", before=before, after={"mode": self.mode})

    def set_fan(self, *, control: bool, ratio: int) -> None:
        before = {"control": self.fan_control, "ratio": self.fan_ratio}
        self.fan_control, self.fan_ratio = control, ratio
        self.record("fan", "applied", before=before, after={"control": control, "ratio": ratio})

    def set_pools(self, slots: list[dict[str, str]]) -> None:
        """Write the pools down and change over to them at once."""
        before = {"pools": copy.deepcopy(self.pools)}
        if "locked_pools" not in self.faults:
            self.pools = copy.deepcopy(slots)
        self.record("pools", "applied", before=before, after={"pools": copy.deepcopy(self.pools)})
        self._pools_since = self.clock.now()

    def set_password(self, word: str) -> None:
        before, self.password_changes = (
            {"changes": self.password_changes},
            self.password_changes + 1,
        )
        self.password = word
        self.record("password", "applied", before=before, after={"changes": self.password_changes})

    def set_network(self, wanted: dict[str, Any]) -> None:
        """Write the address down; a fixed one on loopback is where the device answers from now on."""
        before, self.network = {"network": dict(self.network)}, dict(wanted)
        self.record("network", "applied", before=before, after={"network": dict(wanted)})
        if not wanted["dhcp"] and wanted["ip"] != self.ip and _is_loopback(wanted["ip"]):
            self.move_to(wanted["ip"])

    def flash(self, image: firmware.Image, *, keep_config: bool) -> None:
        """Keep a checked image for the next boot."""
        self.pending = (image, keep_config)
        before, after = {"version": self.firmware_version}, {"pending": image.build}
        self.record("firmware", "applied", before=before, after=after)

    @property
    def image_name(self) -> str:
        return f"{self.key}.bgz"

    def newer_image(self) -> bytes | None:
        """What the maker would offer for this model."""
        if self.foreign:
            return None
        return firmware.build_image(self.spec.name, next_build(self.build))

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
        self.light, self.web_up, self.daemon_up, self._restless = False, False, False, False
        self.uploads.clear()
        self.web.restart()
        self.hasher.stop()
        self.sync_listeners()
        for task in tuple(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self.after(BOOT_S * self.random.uniform(0.8, 1.3), self._power_on)

    def wipe(self, action: str = "factory_reset") -> None:
        """Factory settings; the MAC stays. `action` is what the ledger calls it."""
        before = {"pools": copy.deepcopy(self.pools), "mode": self.mode}
        self.pools = _factory_pools()
        self.mode, self.fan_control, self.fan_ratio = "normal", False, _RATIO
        self.password, self.network = PASSWORD, self._factory_network()
        after = {"pools": copy.deepcopy(self.pools), "mode": self.mode}
        self.record(action, "applied", before=before, after=after)

    def _power_on(self) -> None:
        if self.pending is not None:
            image, keep_config = self.pending
            self.pending = None
            if "upgrade_bad_flash" not in self.faults:
                self._boot_into(image, keep_config=keep_config)
        if self.bricked:
            return
        if "dhcp_reverts" in self.faults and self.network["dhcp"]:
            self.network["dhcp"] = False
        self.web_up = True
        self.sync_listeners()
        self.after(DAEMON_START_S, self._start_daemon)

    def _start_daemon(self) -> None:
        self.daemon_up = True
        self.hasher.start(asleep=self.mode == "sleep")
        self._heed_health()
        self._rest()
        self._pools_since = self.clock.now()
        self.sync_listeners()

    def _boot_into(self, image: firmware.Image, *, keep_config: bool) -> None:
        before, after = {"version": self.build}, {"version": image.build}
        self.record("flash", "applied", before=before, after=after)
        if image.model != self.spec.name:
            self.bricked = True
            return
        self.build, self.variant = image.build, Variant(image.variant)
        if not keep_config:
            self.wipe("config_lost")

    def _schedule(self, order: Order, delay_s: float) -> None:
        self._waiting.append(order)

        def due() -> None:
            self._waiting.remove(order)
            order.act()

        self.after(delay_s, due)

    def _rest(self) -> None:
        if self.hasher.is_up:
            self.hasher.sleep(self.mode == "sleep" and "stuck_awake" not in self.faults)

    def _restart_again(self) -> None:
        if "restarts_often" in self.faults:
            self.power_cycle()
        self._restless = False

    def _heed_health(self) -> None:
        faults = self.faults
        self.hasher.ail(overheated="overheated" in faults, barren="no_hash" in faults)
        often = faults.get("restarts_often")
        if often is not None and self.daemon_up and not self._restless:
            self._restless = True
            self.after(float(often.args.get("every_s", _RESTART_EVERY_S)), self._restart_again)

    def _faults_changed(self) -> None:
        self._heed_health()
        super()._faults_changed()

    def _alive(self, pool: dict[str, str]) -> bool:
        if not pool["url"] or "pools_dead" in self.faults or not self.hasher.is_up:
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

    def _factory_network(self) -> dict[str, Any]:
        gateway = self.ip.rpartition(".")[0] + ".254"
        return {
            "dhcp": True,
            "ip": self.ip,
            "netmask": "255.255.255.0",
            "host": "miner",
            "gateway": gateway,
            "dns": gateway,
        }


class ForeignIceriver(Iceriver):
    """An IceRiver machine with somebody else's firmware, to be left alone: orders are noted and turned away."""

    foreign: ClassVar[bool] = True

    def __init__(self, spec: Model, place: Place) -> None:
        super().__init__(spec, place)
        self.generation = spec.firmware if spec.firmware == "pbfarmer" else None
        self.tapped = True

    async def accept(self, order: Order) -> Reaction:
        self.record("foreign_write", "rejected", line=order.action)
        return Reaction.HANG_UP


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _factory_pools() -> list[dict[str, str]]:
    return [
        {"url": f"stratum+tcp://factory{n}.example.com:3333", "user": "iceriver.test", "pass": "x"}
        for n in range(1, SLOTS + 1)
    ]
