"""The device around the miner process: power, boot, web server, mailbox, config on flash."""

from __future__ import annotations

import copy
import socket
from collections.abc import Callable
from typing import Final

from simulator.antminer import firmware
from simulator.antminer.catalogue import AntminerProduct, Generation
from simulator.antminer.config import Conf, factory_config, mode_of
from simulator.antminer.mailbox import Mailbox
from simulator.antminer.process import MinerProcess
from simulator.antminer.units import Units
from simulator.device import DevicePlace
from simulator.http import WebResponse
from simulator.miner import Miner
from simulator.orders import Reaction
from simulator.pools import Pool, working_pools
from simulator.supervisor import Supervisor

POWER_PORT: Final = 6060
_PROCESS_START_S: Final = 15.0
_RESTART_S: Final = 10.0
_WATCHDOG_S: Final = 20.0
_MAC_LATE_S: Final = 3.0


class AntminerDevice(Miner):
    """One AntMiner with Bitmain's firmware. `simulator.antminer.build` puts servers behind its ports."""

    make = "antminer"
    boot_s = 45.0
    pool_up_s = 10.0

    def __init__(self, spec: AntminerProduct, place: DevicePlace) -> None:
        super().__init__(place, board_slots=len(spec.chains))
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
        self._leased_ip = place.ip
        self.conf: Conf = factory_config(spec) | {"pools": working_pools(place.index)}
        self.live_pools: list[Pool] = copy.deepcopy(self.conf["pools"])
        self.miner_id = f"{self.random.randrange(16**16):016x}"
        self.board_serials = [
            f"SIMB{place.index:05d}{chain}{self.random.randrange(16**5):05X}"
            for chain in range(len(spec.chains))
        ]
        self.blinking = False
        self.archives: dict[str, bytes] = {}
        self.web_up = True
        self.web_hung = False
        self.most_scripts = 0
        """The largest number of CGIs that ever ran side by side."""
        self.config_lock = False
        self.config_corrupt = False
        """Two writers at once have spoilt the config file; a factory reset mends it."""
        self._awake_boot = self.boot
        self.process = MinerProcess(spec, self.clock, self.random)
        uptime_s = self.random.uniform(3 * 3600, 10 * 86400)
        self.process.start(mode_of(self.conf), ago_s=uptime_s)
        self.booted_at = self.clock.now() - uptime_s - _PROCESS_START_S
        self._first_started = self.clock.now() - uptime_s
        self._supervisor = Supervisor(self, self.process, self._start_process)
        self.mailbox = Mailbox(self)
        self.units = Units(spec, self.faults)
        self.faults.build_in(spec.quirks)

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
    def pools(self) -> list[Pool]:
        """The configured pools, three slots."""
        return copy.deepcopy(self.conf["pools"])

    def shown_mac(self) -> str:
        """The MAC as the CGIs print it; empty for some seconds after a boot."""
        late = self.faults.get("mac_late")
        late_s = float(late.args.get("seconds", 60)) if late else _MAC_LATE_S
        if self.clock.now() - self.booted_at < late_s:
            return ""
        return super().shown_mac()

    def shown_type(self) -> str:
        """The model as the API gives it."""
        nameless = self.faults.get("nameless_api")
        return str(nameless.args.get("text", "")) if nameless else self.web_type()

    def web_type(self) -> str:
        """The model as the system information gives it."""
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
        """Whole seconds of the process, true or as the fault wants it."""
        return int(self._lied(self.process.elapsed()))

    def ideal_hs(self) -> float:
        """Nominal rate of the boards that are there, H/s."""
        return self.spec.hashrate_hs * len(self.boards()) / len(self.spec.chains)

    def board_rate(self, index: int) -> float:
        """The rate of one board, H/s."""
        return self.board_figure(self.process.board_rate(index))

    def board_temps(self, index: int) -> list[int]:
        return self.process.board_temps(index, cold="cold" in self.faults)

    def chip_temps(self, index: int) -> list[int]:
        return self.process.chip_temps(index, cold="cold" in self.faults)

    def pic_temps(self, index: int) -> list[int]:
        lower = round(10 * self.process.heat())
        return [temp - lower for temp in self.board_temps(index)]

    # --- sockets ---------------------------------------------------------------------------------

    def wants_open(self, kind: str) -> bool:
        if not super().wants_open(kind) or not self.web_up:
            return False
        return self.process.is_up if kind == "rpc" else True

    # --- orders ----------------------------------------------------------------------------------

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
            self._supervisor.stop()
            self.sync_listeners()
        self.after(self.spec.reboot_delay_s, self.power_cycle)

    def restart_process(self) -> None:
        """Stop and start the miner process; it takes mode and pools from the file."""
        self.end_blink()
        self._supervisor.restart_in(_RESTART_S)

    def crash_process(self) -> None:
        """The miner process dies; the watchdog brings it back."""
        self._supervisor.restart_in(_WATCHDOG_S)

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
        self, actions: list[str], effect: Callable[[], None], answer: WebResponse
    ) -> WebResponse:
        """Do what was ordered and answer, or as the faults have it. `received` is written already."""
        reaction = self.strike(
            actions, effect, late=lambda seconds: self.after(seconds, effect), silent=effect
        )
        if reaction is None:
            effect()
        if reaction is Reaction.HANG_UP:
            return WebResponse(drop=True)
        return WebResponse(hold=True) if reaction is Reaction.SILENCE else answer

    def _go_dark(self) -> None:
        self.mailbox.lose_power()
        self.blinking, self.web_hung, self.config_lock = False, False, False
        self.archives.clear()
        self.web_up = False
        self._supervisor.stop()

    def lease(self, ip: str) -> None:
        self._leased_ip = ip
        super().lease(ip)

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
        if self.network["nettype"] == "DHCP" and self.ip != self._leased_ip:
            self.move_to(self._leased_ip)
        self.web_up = True
        self.booted_at = self.clock.now()
        self.sync_listeners()
        self._supervisor.restart_in(_PROCESS_START_S)

    def _start_process(self) -> None:
        mode = mode_of(self.conf)
        if "stuck_awake" in self.faults and self._awake_boot == self.boot:
            mode = 0
        self._heed_health()
        self.process.start(mode)
        if not self.process.asleep:
            self._awake_boot = self.boot
        self.reload()
        self.sync_listeners()

    def _heed_health(self) -> None:
        self.process.overheated = "overheated" in self.faults
        self.process.barren = "no_hash" in self.faults
