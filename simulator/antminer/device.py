"""The device around the miner process: power, boot, web server, mailbox, config on flash."""

from __future__ import annotations

import asyncio
import copy
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from simulator.antminer import firmware
from simulator.antminer.catalogue import Generation, Model
from simulator.antminer.config import SLOTS, Conf, factory_config, mode_of
from simulator.antminer.mailbox import Mailbox
from simulator.antminer.process import MinerProcess
from simulator.antminer.rpc import Queue, RpcConnection
from simulator.antminer.web import PowerConnection, WebServer
from simulator.device import Device, Place
from simulator.http import HttpConnection, Response
from simulator.net import Listener

BOOT_S: Final = 45.0
PROCESS_START_S: Final = 15.0
RESTART_S: Final = 10.0
MAC_LATE_S: Final = 3.0
POWER_PORT: Final = 6060
_POOL_UP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool slot as the running process sees it."""

    url: str
    user: str
    status: str
    active: bool
    last_share: str

    @property
    def host(self) -> str:
        return self.url.partition("://")[2].partition(":")[0] or self.url.partition(":")[0]


class Antminer(Device):
    """One AntMiner with Bitmain's firmware."""

    make = "antminer"

    def __init__(self, spec: Model, place: Place) -> None:
        super().__init__(place)
        self.spec = spec
        self.key, self.model, self.generation = spec.key, spec.name, spec.generation.value
        self.hashrate_hs = spec.hashrate_hs
        self.version = spec.version
        self.pending_version: str | None = None
        self.password = "root"
        self.network = {
            "nettype": "DHCP",
            "hostname": "Antminer",
            "ipaddress": "",
            "netmask": "255.0.0.0",
            "gateway": "127.0.0.1",
            "dnsservers": "127.0.0.1",
        }
        self._first_ip = place.ip
        self.conf: Conf = self._working_config()
        self.live_pools: list[dict[str, str]] = copy.deepcopy(self.conf["pools"])
        self.miner_id = f"{self.random.randrange(16**16):016x}"
        self.board_serials = [
            f"SIMB{place.index:05d}{chain}{self.random.randrange(16**5):05X}"
            for chain in range(len(spec.chains))
        ]
        self.blinking = False
        self.archives: dict[str, bytes] = {}
        self.web_up = True
        self.web_hung = False
        self.config_lock = False
        self.config_corrupt = False
        """Two writers at once have spoilt the config file; a factory reset mends it."""
        self._awake_boot = self.boot
        self.process = MinerProcess(spec, self.clock, self.random)
        uptime_s = self.random.uniform(3 * 3600, 10 * 86400)
        self.process.start(mode_of(self.conf), ago_s=uptime_s)
        self.booted_at = self.clock.now() - uptime_s - PROCESS_START_S
        self._first_started = self.clock.now() - uptime_s
        self._pools_since = -math.inf
        self.mailbox = Mailbox(self)
        self._era = 0  # counts power cycles: late timers of an earlier one are void
        self._run = 0  # counts process restarts, likewise
        self.faults.build_in(spec.quirks)
        self.web = WebServer(self)
        queue = Queue()
        self.listeners["http"] = Listener(
            self.ip,
            self.ports["http"],
            lambda listener: HttpConnection(self, listener, self.web.handle),
        )
        self.listeners["rpc"] = Listener(
            self.ip, self.ports["rpc"], lambda listener: RpcConnection(self, listener, queue)
        )
        if spec.has_power and (self.ports["http"] == 80 or "power" in self.ports):
            self.listeners["power"] = Listener(
                self.ip,
                self.ports.get("power", POWER_PORT),
                lambda listener: PowerConnection(self, listener, self.web.power),
            )

    # --- what it shows of itself -----------------------------------------------------------------

    @property
    def firmware_version(self) -> str:
        return self.version

    @property
    def compile_time(self) -> str:
        return firmware.compile_time(self.version)

    @property
    def state(self) -> str:
        """`off`, `starting`, `sleeping`, `stopped` (protection) or `mining`."""
        if not self.web_up or not self._running:
            return "off"
        if not self.process.is_up:
            return "starting"
        if self.process.asleep:
            return "sleeping"
        if self.process.overheated:
            return "stopped"
        return "mining" if self.process.fraction() > 0 else "starting"

    @property
    def light(self) -> bool:
        return self.blinking

    @property
    def mode(self) -> int:
        """The configured power mode."""
        return mode_of(self.conf)

    @property
    def pools(self) -> list[dict[str, str]]:
        """The configured pools, three slots."""
        return copy.deepcopy(self.conf["pools"])

    def shown_mac(self) -> str:
        """The MAC as the CGIs print it; empty for some seconds after a boot."""
        late = self.faults.get("mac_late")
        late_s = float(late.args.get("seconds", 60)) if late else MAC_LATE_S
        if self.clock.now() - self.booted_at < late_s:
            return ""
        other = self.faults.get("changes_mac")
        return str(other.args.get("mac", "02:FF:FF:00:00:01")) if other else self.mac

    def shown_type(self) -> str:
        """The model as `Type` and the system information give it."""
        if platform := self.faults.get("platform_type"):
            return str(platform.args.get("text", f"Antminer {self.spec.subtype.partition('_')[2]}"))
        suffix = self.faults.get("type_suffix")
        return self.spec.name + (str(suffix.args.get("text", " (024)")) if suffix else "")

    def unix(self) -> int:
        """What the device believes the date to be."""
        if "clock_1970" in self.faults:
            return int(self.clock.now() - self.booted_at)
        return self.clock.unix()

    def shows_nothing(self) -> bool:
        """Some builds have no rows at all while they sleep."""
        return self.process.asleep and "empty_sleep" in self.faults

    def elapsed(self) -> int:
        """Elapsed as reported: true, or as the fault wants it."""
        lie = self.faults.get("lies_uptime")
        if lie is None:
            return self.process.elapsed()
        variant = lie.args.get("variant", "never_restarts")
        if variant == "constant":
            return 4242
        if variant == "jumps":
            return self.process.elapsed() + int(self.clock.now() * 7919) % 1_000_000
        return int(self.clock.now() - self._first_started)

    def ideal_hs(self) -> float:
        """Nominal rate of the boards that are there, H/s."""
        return self.spec.hashrate_hs * len(self.boards()) / len(self.spec.chains)

    def shown_ideal(self) -> float:
        """Nominal rate in the legacy unit, or a thousandfold where the build counts wrongly."""
        return self.rate(self.ideal_hs()) * (1000 if "wrong_unit" in self.faults else 1)

    def rate(self, hashrate_hs: float) -> float:
        """H/s in the unit of the legacy figures."""
        if self._counts_in_ths():
            return round(hashrate_hs / 1e12, 4)
        return round(hashrate_hs / self.spec.unit_hs, 2)

    def rate_unit(self) -> str | None:
        """The `rate_unit` of the legacy figures, None where the family names none."""
        return "TH/s" if self._counts_in_ths() else self.spec.rate_unit

    def rate_unit_word(self) -> str:
        """The unit behind legacy figures that are written with one."""
        return "TH/s" if self._counts_in_ths() else self.spec.rate_unit_new

    def rate_new(self, hashrate_hs: float) -> float:
        """H/s in the unit of the new figures."""
        if "rate_unit_ths" in self.faults:
            return round(hashrate_hs / 1e12, 4)
        return self.rate(hashrate_hs)

    def rate_unit_new(self) -> str:
        return "TH/s" if "rate_unit_ths" in self.faults else self.spec.rate_unit_new

    def boards(self) -> list[int]:
        """Indexes (from 0) of the hash boards found."""
        missing = self.faults.get("board_missing")
        gone = missing.args.get("chains", [0]) if missing else ()
        return [index for index in range(len(self.spec.chains)) if index not in gone]

    def board_temps(self, index: int) -> list[int]:
        return self.process.board_temps(index, cold="cold" in self.faults)

    def chip_temps(self, index: int) -> list[int]:
        return self.process.chip_temps(index, cold="cold" in self.faults)

    def pic_temps(self, index: int) -> list[int]:
        lower = round(10 * self.process.heat())
        return [temp - lower for temp in self.board_temps(index)]

    def pool_state(self, index: int) -> PoolState:
        """One slot of the pools the process runs with."""
        pool = self.live_pools[index]
        user = pool["user"]
        if str(self.conf.get("bitmain-user-ip-cat", "0")) == "1" and user:
            user = f"{user}.{self.ip.replace('.', 'x')}"
        if not pool["url"]:
            dead = "Dead" if self.spec.generation is Generation.OLD else "Deed"
            return PoolState("", user, dead, active=False, last_share="0")
        alive = self._alive(pool)
        first = next((n for n, other in enumerate(self.live_pools) if self._alive(other)), None)
        active = index == first
        shares = active and self.process.accepted() > 0
        return PoolState(
            url=pool["url"],
            user=user,
            status="Alive" if alive else self._dead_word(),
            active=active,
            last_share=f"0:00:{int(self.clock.now()) % 12:02d}" if shares else "0",
        )

    # --- sockets ---------------------------------------------------------------------------------

    def wants_open(self, kind: str) -> bool:
        if not super().wants_open(kind) or not self.web_up:
            return False
        return self.process.is_up if kind == "rpc" else True

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

    def set_light(self, on: bool, *, action: str = "light") -> None:
        """Switch the blinking of both lights."""
        before = {"on": self.blinking}
        self.blinking = on
        self.record(action, "applied", before=before, after={"on": on})

    def end_blink(self) -> None:
        """Other orders end a blink without a word."""
        self.blinking = False

    # --- power and process -----------------------------------------------------------------------

    def shut_down(self) -> None:
        """The reboot as the firmware does it: at once, or with the miner stopped long before."""
        if self.spec.reboot_delay_s > 10:
            self._run += 1
            self.process.stop()
            self.sync_listeners()
        self.after(self.spec.reboot_delay_s, self.power_cycle)

    def power_cycle(self, *, factory_reset: bool = False) -> None:
        """Power off now, on again after the boot time."""
        self.boot += 1
        self._era += 1
        self.record("reboot", "applied", before={"boot": self.boot - 1}, after={"boot": self.boot})
        if factory_reset:
            self.wipe()
        self.mailbox.lose_power()
        self.blinking, self.web_hung, self.config_lock = False, False, False
        self.archives.clear()
        self.web_up = False
        self._run += 1
        self.process.stop()
        self.sync_listeners()
        for task in tuple(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self.after(BOOT_S * self.random.uniform(0.8, 1.3), self._power_on)

    def restart_process(self) -> None:
        """Stop and start the miner process; it takes mode and pools from the file."""
        self.end_blink()
        self._stop_process(RESTART_S)

    def crash_process(self) -> None:
        """The miner process dies; the watchdog brings it back within 20 s."""
        self._stop_process(20.0)

    def reload(self) -> None:
        """Take the pools from the file without a restart."""
        self.live_pools = copy.deepcopy(self.conf["pools"])
        self._pools_since = self.clock.now()

    def report_ip(self, to: tuple[str, int]) -> None:
        """Press the button on the device: it sends its address and MAC as a datagram."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.bind((self.ip, 0))
            sock.sendto(f"{self.ip},{self.mac}".encode(), to)

    def wipe(self) -> None:
        """Factory settings; MAC and serial stay."""
        before = {"pools": self.conf["pools"], "mode": str(self.mode)}
        self.conf = factory_config(self.spec)
        self.config_corrupt = False
        self.password = "root"
        self.network |= {"nettype": "DHCP", "hostname": "Antminer", "ipaddress": ""}
        self.record("factory_reset", "applied", before=before, after={"pools": self.conf["pools"]})

    def newer_image(self) -> bytes | None:
        """What the maker would offer for download: a merged container, or an archive of old."""
        version = firmware.next_version(self.version)
        if self.spec.generation is Generation.OLD:
            return firmware.build_tar(self.spec.name, version)
        return firmware.build_bmu(self.spec.name, self.spec.subtype, version)

    def flash(self, version: str, *, action: str = "firmware") -> None:
        """Mark an accepted image; it is installed by the next boot."""
        self.pending_version = version
        self.record(action, "applied", before={"version": self.version}, after={"pending": version})

    def carry_out(
        self, actions: list[str], effect: Callable[[], None], answer: Response
    ) -> Response:
        """Do what was ordered and answer, or as the faults have it. `received` is written already."""
        faults = self.faults

        def struck(name: str) -> Any:
            return next((f for a in actions if (f := faults.take(name, action=a))), None)

        if faults.names():
            if dying := struck("dies_after_write"):
                if dying.args.get("applied"):
                    effect()
                faults.add("dead")
                if "for_s" in dying.args:
                    self.clock.call_later(float(dying.args["for_s"]), faults.remove, "dead")
                return Response(drop=True)
            if struck("ignores"):
                return answer
            if late := struck("late_apply"):
                self.after(float(late.args.get("seconds", 30)), effect)
                return answer
            if silent := struck("silent_apply"):
                effect()
                closes = bool(silent.args.get("close"))
                return Response(drop=closes, hold=not closes)
        effect()
        return answer

    def _power_on(self) -> None:
        if self.pending_version is not None:
            if "upgrade_bad_flash" not in self.faults:
                self.record(
                    "flash",
                    "applied",
                    before={"version": self.version},
                    after={"version": self.pending_version},
                )
                self.version = self.pending_version
            self.pending_version = None
        if self.network["nettype"] == "DHCP" and self.ip != self._first_ip:
            self.move_to(self._first_ip)
        self.web_up = True
        self.booted_at = self.clock.now()
        self.sync_listeners()
        self._stop_process(PROCESS_START_S)

    def _stop_process(self, for_s: float) -> None:
        self._run += 1
        run = self._run
        self.process.stop()
        self.sync_listeners()
        self.after(for_s, lambda: self._start_process() if run == self._run else None)

    def _start_process(self) -> None:
        mode = mode_of(self.conf)
        if "stuck_awake" in self.faults and self._awake_boot == self.boot:
            mode = 0
        self._heed_health()
        self.process.start(mode)
        if not self.process.asleep:
            self._awake_boot = self.boot
        self.live_pools = copy.deepcopy(self.conf["pools"])
        self._pools_since = self.clock.now()
        self.sync_listeners()

    def _heed_health(self) -> None:
        self.process.overheated = "overheated" in self.faults
        self.process.barren = "no_hash" in self.faults

    def _faults_changed(self) -> None:
        self._heed_health()
        super()._faults_changed()

    def _counts_in_ths(self) -> bool:
        unit = self.faults.get("rate_unit_ths")
        return unit is not None and bool(unit.args.get("legacy"))

    def _dead_word(self) -> str:
        dead = self.faults.get("pools_dead")
        return str(dead.args.get("word", "Dead")) if dead else "Dead"

    def _alive(self, pool: dict[str, str]) -> bool:
        if not pool["url"] or "pools_dead" in self.faults:
            return False
        return self.clock.now() - self._pools_since >= _POOL_UP_S

    def _working_config(self) -> Conf:
        conf = factory_config(self.spec)
        conf["pools"] = [
            {
                "url": f"stratum+tcp://pool{n}.example.com:3333",
                "user": f"farm.{self.index:05d}",
                "pass": "x",
            }
            for n in range(1, SLOTS)
        ] + [{"url": "", "user": "", "pass": ""}]
        return conf
