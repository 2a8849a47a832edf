"""The control board: power, boot, what is on flash, the daemon's state behind both ports."""

from __future__ import annotations

import copy
import ipaddress
from typing import Any, ClassVar, Final

from simulator.device import DevicePlace
from simulator.iceriver import factory, firmware
from simulator.iceriver.catalogue import IceriverProduct, Variant, next_build
from simulator.iceriver.memory import WebMemory
from simulator.iceriver.process import MODES, Hasher
from simulator.miner import Miner
from simulator.orders import Order, Reaction
from simulator.pools import Pool, SlotState, pool_states, working_pools

_DAEMON_START_S: Final = 30.0
"""From the boot on until the daemon listens."""
_RESTART_EVERY_S: Final = 1800.0


class IceriverDevice(Miner):
    """One IceRiver with the maker's firmware. `simulator.iceriver.build` puts servers behind its ports."""

    make = "iceriver"
    boot_s = 45.0  # the start script of the web server alone sleeps for most of that
    pool_up_s = 8.0

    def __init__(self, spec: IceriverProduct, place: DevicePlace) -> None:
        super().__init__(place, board_slots=spec.boards)
        self.spec = spec
        self.key, self.model, self.firmware = spec.key, spec.name, spec.firmware
        self.variant = spec.variant
        self.generation = "stock" if spec.firmware == "stock" else None
        self.hashrate_hs = spec.hashrate_hs
        self.build = spec.build
        self.pending: tuple[firmware.IceriverImage, bool] | None = None
        """The image for the next boot, and whether the configuration outlives it."""
        self.uploads: dict[str, bytes] = {}
        self.bricked = False
        self.password = factory.PASSWORD
        self.password_changes = 0
        self.mode = "normal"
        self.fan_control = False
        """The fans are set by hand, to `fan_ratio` percent."""
        self.fan_ratio = factory.FAN_RATIO
        self.light = False
        self.pools = working_pools(place.index)
        self.network = factory.network(self.ip)
        self.web_up = True
        self.daemon_up = True
        self.hasher = Hasher(spec, self.clock, self.random)
        uptime_s = self.random.uniform(3 * 3600, 10 * 86_400)
        self.hasher.start(asleep=False, ago_s=uptime_s)
        self._first_started = self.clock.now() - uptime_s
        self._restless = False
        self.web = WebMemory(self.faults)
        self.faults.build_in(spec.quirks)

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
        mac = super().shown_mac().lower()
        return mac.replace(":", "-") if self.spec.mac_dashes else mac

    def unix(self) -> int:
        """What the device believes the date to be; many are wrong by years."""
        if "clock_1970" in self.faults:
            return int(self.hasher.elapsed())
        return self.clock.unix() + self.spec.clock_off_s

    def elapsed(self) -> float:
        """Seconds since the daemon started, true or as the fault wants it."""
        return self._lied(self.hasher.elapsed())

    def fan_rpms(self) -> list[int]:
        """Four, whatever is there."""
        ratio = self.fan_ratio if self.fan_control else None
        rpms = [self.hasher.fan_rpm(n, ratio=ratio) for n in range(self.spec.fans)]
        if rpms and "fan_failed" in self.faults:
            rpms[0] = 0
        return [*rpms, *(0 for _ in range(4 - len(rpms)))]

    def pool_states(self) -> list[SlotState]:
        """All three slots."""
        hasher = self.hasher
        return pool_states(
            self.pools, self._alive, accepted=hasher.accepted(), rejected=hasher.rejected()
        )

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
        return "web_down" not in self.faults and not self.web.is_used_up

    def move_to(self, ip: str) -> None:
        super().move_to(ip)
        self.network["ip"] = ip

    # --- orders ----------------------------------------------------------------------------------

    async def accept(self, order: Order) -> Reaction:
        """Carry out an order that was understood; comes back when the daemon would answer."""
        self.record(order.action, "received", before=order.before, after=order.after)
        if (reaction := self._struck(order)) is not None:
            return reaction
        if order.later:
            self._schedule(order, order.delay_s)
            drops = order.action == "reboot" and "reboot_drops" in self.faults
            return Reaction.HANG_UP if drops else Reaction.ANSWER
        self._waiting.append(order)
        await self.clock.sleep(order.delay_s)
        if order in self._waiting:  # else the power went meanwhile
            self._waiting.remove(order)
            order.act()
        return Reaction.ANSWER

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

    def set_pools(self, slots: list[Pool]) -> None:
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

    def flash(self, image: firmware.IceriverImage, *, keep_config: bool) -> None:
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

    def wipe(self, action: str = "factory_reset") -> None:
        """Factory settings; the MAC stays. `action` is what the ledger calls it."""
        before = {"pools": copy.deepcopy(self.pools), "mode": self.mode}
        self.pools = factory.pools()
        self.mode, self.fan_control, self.fan_ratio = "normal", False, factory.FAN_RATIO
        self.password, self.network = factory.PASSWORD, factory.network(self.ip)
        after = {"pools": copy.deepcopy(self.pools), "mode": self.mode}
        self.record(action, "applied", before=before, after=after)

    def _go_dark(self) -> None:
        self.light, self.web_up, self.daemon_up, self._restless = False, False, False, False
        self.uploads.clear()
        self.web.restart()
        self.hasher.stop()

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
        self.after(_DAEMON_START_S, self._start_daemon)

    def _start_daemon(self) -> None:
        self.daemon_up = True
        self.hasher.start(asleep=self.mode == "sleep")
        self._heed_health()
        self._rest()
        self._pools_since = self.clock.now()
        self.sync_listeners()

    def _boot_into(self, image: firmware.IceriverImage, *, keep_config: bool) -> None:
        before, after = {"version": self.build}, {"version": image.build}
        self.record("flash", "applied", before=before, after=after)
        if image.model != self.spec.name:
            self.bricked = True
            return
        self.build, self.variant = image.build, Variant(image.variant)
        if not keep_config:
            self.wipe("config_lost")

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

    def _alive(self, pool: Pool) -> bool:
        return self.hasher.is_up and self.reaches(pool)


class ForeignIceriverDevice(IceriverDevice):
    """An IceRiver machine with somebody else's firmware, to be left alone: orders are noted and turned away."""

    foreign: ClassVar[bool] = True

    def __init__(self, spec: IceriverProduct, place: DevicePlace) -> None:
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
