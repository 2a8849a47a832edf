"""The rig itself: its chips, its folder, programs and boots. `simulator.rig.build` puts servers behind its ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from simulator.device import DevicePlace
from simulator.ledger import Phase
from simulator.miner import Miner
from simulator.orders import Reaction
from simulator.rig import state
from simulator.rig.catalogue import NVIDIA, CpuModel, RigProduct
from simulator.rig.folder import RigFolder
from simulator.rig.hardware import CpuChip, GpuChip
from simulator.rig.orders import RigOrder
from simulator.rig.tree import replace
from simulator.rig.units import ProgramUnit
from simulator.rig.work import GpuView

USER: Final = "miner"
LOOPBACK: Final = "127.0.0.1"
PROGRAM_PORTS: Final = ("program", "program2")
_TURN_S: Final = 5.0
"""So often the folder is brought up to date, in device seconds; reads over SSH find it up to date anyway."""
_FIRST_PID: Final = 1200
_REBOOT_S: Final = 2.0
_ACT_S: Final = 0.2
_FIRST_BUS: Final = 3
_IDLE_LOAD: Final = 0.02


class RigDevice(Miner):
    """One rig."""

    make: ClassVar[str] = "rig"
    boot_s: ClassVar[float] = 40.0
    pool_up_s: ClassVar[float] = 0.0

    def __init__(self, spec: RigProduct, place: DevicePlace) -> None:
        super().__init__(place, board_slots=len(spec.gpus))
        self.spec = spec
        self.key = self.model = spec.key
        self.generation = "linux"
        self.firmware = "debian"
        self.hashrate_hs = spec.hashrate_hs
        self.files = RigFolder(spec)
        self.folder = self.files.path
        self.machine_id = f"{self.random.getrandbits(128):032x}"
        self.key_seed = self.random.randbytes(32)
        """Its SSH keys follow from it."""
        self.processor = CpuChip(spec.cpu, self.clock, self.random)
        self.cards = [
            GpuChip(index, model, _FIRST_BUS + 2 * index, self.clock, self.random)
            for index, model in enumerate(spec.gpus)
        ]
        self.may_limit = False
        """Whoever logs in may set power limits."""
        self.may_sudo = True
        """And may have commands run by root, without a password."""
        self.has_service = False
        """The service `miner-agent-rig` owns its programs, and answers."""
        self.is_up = True
        self._up_s = self.random.uniform(3 * 3600, 10 * 86_400)
        self._booted = self._first_started = self.clock.now() - self._up_s
        self.boot_id = self._draw_boot_id()
        self._pids = _FIRST_PID
        self._events_read = 0
        self._mined: dict[int, dict[str, Any]] = {}
        """What runs as a process of its own, by pid."""
        self._own_pids: set[int] = set()
        """Those that a unit began."""
        self.units = [
            ProgramUnit(self, job, place.ports[kind])
            for job, kind in zip(spec.jobs, PROGRAM_PORTS, strict=False)
        ]

    # --- what programs see of it -----------------------------------------------------------------

    @property
    def firmware_version(self) -> str:
        return "12"

    @property
    def cpu(self) -> CpuModel:
        return self.spec.cpu

    @property
    def worker(self) -> str:
        return f"rig{self.index:03d}"

    @property
    def loopback(self) -> str:
        """Where its programs are heard. Many rigs live on one host, so it is their one address."""
        return LOOPBACK if self.spec.is_host else self.ip

    def now(self) -> float:
        return self.clock.now()

    def unix(self) -> int:
        return self.clock.unix()

    def gpus(self) -> Sequence[GpuView]:
        return [state.view_of(gpu, lost=gpu.index in self._off_bus()) for gpu in self.cards]

    def next_pid(self) -> int:
        self._pids += 7
        return self._pids

    def note(self, action: str, phase: str, **more: Any) -> None:
        """Put down what a program did."""
        if self._running:  # what ends with the farm is nobody's doing
            self.record(action, cast("Phase", phase), **more)

    # --- what it shows ---------------------------------------------------------------------------

    @property
    def uptime_s(self) -> float:
        return self._lied(self.clock.now() - self._booted)

    def describe(self) -> dict[str, Any]:
        from simulator.rig.keys import host_public

        return super().describe() | {
            "folder": str(self.folder),
            "machine_id": self.machine_id,
            "ssh_port": self.ports["ssh"],
            "ssh_user": USER,
            "ssh_key": str(self.folder / "keys" / "client"),
            "host_key": host_public(self.key_seed),
            "gpus": [
                {
                    "bus_id": gpu.bus,
                    "name": gpu.model.name,
                    "limit_w": gpu.default_limit_w if gpu.model.vendor == NVIDIA else None,
                }
                for gpu in self.cards
            ],
            "programs": [
                {
                    "software": unit.job.software,
                    "version": unit.job.version,
                    "unit": unit.name,
                    "port": unit.port,
                    "token": unit.job.token or None,
                    "executable": str(unit.executable),
                }
                for unit in self.units
            ],
        }

    def refresh(self) -> None:
        """Bring folder and chips up to date with what happened."""
        if not self.folder.exists():
            return
        self._read_events()
        for unit in self.units:
            unit.look()
        self._read_processes()
        self._bear_loads()
        if not self.is_up:
            return
        files, faults = self.files, self.faults
        files.show_boot(self.boot_id, self.uptime_s, self.processor.warmth.load)
        files.show_network(self.shown_mac())
        files.show_chips(self.processor, self.cards, gone=self._gone())
        files.show_processes(self.processes())
        blocking, failing = (faults.get(name) for name in ("sensor_blocks", "sensor_fails"))
        files.spoil(
            blocking=blocking.args.get("files", []) if blocking else (),
            failing=failing.args.get("files", []) if failing else (),
        )
        self._write_state()

    def unit(self, name: str) -> ProgramUnit | None:
        """By its name, with or without `.service`."""
        slug = name.removesuffix(".service")
        return next((unit for unit in self.units if unit.slug == slug), None)

    def processes(self) -> dict[int, list[str]]:
        """The command lines of all mining programs by pid."""
        found = {
            unit.pid: [str(unit.executable), *unit.arguments]
            for unit in self.units
            if unit.pid is not None and unit.is_active and unit.child is None
        }
        return found | {pid: each["command"] for pid, each in self._mined.items()}

    # --- orders ----------------------------------------------------------------------------------

    async def accept(self, order: RigOrder) -> Reaction:
        """Carry out an order that came by SSH; comes back when it is done."""
        self.record(order.action, "received", before=order.before, after=order.after, **order.part)
        reaction = self._struck(order)
        if reaction is not None:
            return reaction
        if order.later:
            self._schedule(order, order.delay_s)
        else:
            await self.clock.sleep(order.delay_s)
            order.act()
        return Reaction.ANSWER

    def reboot_order(self) -> RigOrder:
        """Power is lost a moment later; what is written to disk stays."""
        return RigOrder("reboot", self.power_cycle, {}, {}, _REBOOT_S, later=True)

    def start_order(self, unit: ProgramUnit) -> RigOrder:
        before, after = {"active": unit.is_active}, {"active": True}
        part = {"program": unit.slug}
        act = lambda: self._start(unit, by="order")  # noqa: E731
        return RigOrder("start", act, before, after, _ACT_S, part=part)

    def stop_order(self, unit: ProgramUnit, number: int = signal.SIGTERM) -> RigOrder:
        before, after = {"active": unit.is_active}, {"active": False}
        part = {"program": unit.slug}
        return RigOrder("stop", lambda: self._stop(unit, number), before, after, _ACT_S, part=part)

    def limit_order(self, bus_id: str, watts: float) -> RigOrder:
        """That GPU is to draw no more."""
        gpu = next(gpu for gpu in self.cards if f"0000{gpu.bus}".upper() == bus_id)
        part = {"bus_id": bus_id}

        def act() -> None:
            before, gpu.power_limit_w = {"watts": gpu.power_limit_w}, watts
            self.record("power_limit", "applied", before=before, after=after, **part)

        before, after = {"watts": gpu.power_limit_w}, {"watts": watts}
        return RigOrder("power_limit", act, before, after, _ACT_S, part=part)

    def limit_power(self, bus_id: str, watts: float) -> None:
        """Hold a GPU to so many watts from now on."""
        for gpu in self.cards:
            if f"0000{gpu.bus}".upper() != bus_id:
                continue
            before, after = {"watts": gpu.power_limit_w}, {"watts": watts}
            self.record("power_limit", "received", before=before, after=after, bus_id=bus_id)
            if not self.faults.take("ignores", action="power_limit"):
                gpu.power_limit_w = watts
                self.record("power_limit", "applied", before=before, after=after, bus_id=bus_id)

    def _start(self, unit: ProgramUnit, *, by: str) -> None:
        if unit.is_active:
            return
        self._begin(unit)
        now = {"program": unit.slug, "pid": unit.pid, "by": by}
        self.record("start", "applied", before={"active": False}, after={"active": True}, **now)
        self.sync_listeners()
        self.refresh()

    def _begin(self, unit: ProgramUnit, *, ago_s: float = 0.0) -> None:
        unit.start(ago_s=ago_s)
        if unit.child is not None:
            self._own_pids.add(unit.child.pid)

    def _stop(self, unit: ProgramUnit, number: int) -> None:
        if not unit.is_active:
            return
        pid = unit.pid
        unit.stop(number)
        if unit.child is None:  # the end of a process of its own is seen later
            self._note_end(program=unit.slug, pid=pid)
        self.sync_listeners()
        self.refresh()

    def _note_end(self, **more: Any) -> None:
        self.record("stop", "applied", before={"active": True}, after={"active": False}, **more)

    # --- power and sockets -----------------------------------------------------------------------

    async def start(self) -> None:
        self.files.furnish(self.key_seed, mac=self.shown_mac(), machine_id=self.machine_id)
        for unit in self.units:
            self._begin(unit, ago_s=self.random.uniform(3600, 2 * 3600))
        self.refresh()
        for chip in (self.processor, *self.cards):
            chip.warmth.settle(chip.warmth.load)
        self.refresh()
        await super().start()
        self.spawn(self._live())

    async def stop(self) -> None:
        self._running = False
        for unit in self.units:
            unit.end()
        await super().stop()
        self.files.remove()

    def wants_open(self, kind: str) -> bool:
        if not self.is_up or not super().wants_open(kind):
            return False
        if kind == "ssh":
            return "refuses_22" not in self.faults
        unit = self.units[PROGRAM_PORTS.index(kind)]
        return unit.api is not None and "no_api" not in self.faults

    def wipe(self) -> None:
        """Nothing of a rig is reset."""

    def _go_dark(self) -> None:
        self.is_up = False
        for pid in self._mined:  # each was seen to be a program of this rig
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._bury(pid, by="power")
        for unit in self.units:
            unit.end()
        self._mined = {}
        self._bear_loads()

    def _power_on(self) -> None:
        self.is_up = True
        self._booted = self.clock.now()
        self.boot_id = self._draw_boot_id()
        for gpu in self.cards:
            gpu.power_limit_w = gpu.default_limit_w  # which the driver does not keep
        for unit in self.units:
            self._start(unit, by="boot")
        self.refresh()
        self.sync_listeners()
        self.spawn(self._live())

    def _heed_health(self) -> None:
        if self._running:
            self.refresh()

    async def _live(self) -> None:
        while True:
            await self.clock.sleep(self.clock.patience(_TURN_S))
            self.refresh()
            self._let_die()

    def _let_die(self) -> None:
        dying = self.faults.get("program_dies")
        for unit in self.units if dying is not None else ():
            run = unit.run
            assert dying is not None
            if run is not None and run.uptime_s >= float(dying.args.get("after_s", 30)):
                pid, unit.died = unit.pid, True
                unit.stop()
                self._note_end(program=unit.slug, pid=pid, by="itself")
                self.sync_listeners()

    def _draw_boot_id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    # --- its state -------------------------------------------------------------------------------

    def driver_state(self) -> dict[str, Any]:
        """What NVIDIA's driver knows."""
        wrong = self.faults.get("nvml_error")
        value = int(wrong.args.get("value", 9)) if wrong else 0
        figures = wrong.args.get("figures") if wrong else None
        errors = dict.fromkeys(figures or (), value)
        off, gone = self._off_bus(), self._gone()
        gpus = [gpu for gpu in self.cards if gpu.model.vendor == NVIDIA]
        found = [gpu for gpu in gpus if gpu.index not in gone]
        return {
            # without any of its GPUs there is no driver either
            "nvml": (0 if figures else value) or (0 if gpus else 12),
            "nvml_hangs": "nvml_hangs" in self.faults,
            "driver_version": state.DRIVER_VERSION,
            "may_limit": self.may_limit,
            "gpus": [
                state.driver_entry(gpu, number, lost=gpu.index in off, errors=errors)
                for number, gpu in enumerate(found)
            ],
        }

    def _write_state(self) -> None:
        document = self.driver_state() | {
            "key": self.key,
            "loopback": self.loopback,
            "worker": self.worker,
            "time_scale": self.clock.scale,
            "faults": self.faults.specs(),
            "views": [state.view_entry(view) for view in self.gpus()],
        }
        replace(self.folder / state.STATE, json.dumps(document))

    # --- what runs beside it ---------------------------------------------------------------------

    def _read_events(self) -> None:
        """What others told it since it last looked."""
        with (
            contextlib.suppress(FileNotFoundError),
            (self.folder / state.EVENTS).open("rb") as told,
        ):
            told.seek(self._events_read)
            for line in told:
                if not line.endswith(b"\n"):
                    break
                self._events_read += len(line)
                event = json.loads(line)
                name = event.pop("event")
                if name in ("start", "stop") and event["pid"] in self._own_pids:
                    continue  # it is known who began it, and it is seen when it ends
                if name == "power_limit":
                    self.limit_power(event["bus_id"], event["watts"])
                else:
                    self.record(name, event.pop("phase", "applied"), **event)

    def _read_processes(self) -> None:
        self._mined = {}
        for record in (self.folder / state.PROGRAMS).glob("*.json"):
            pid = int(record.stem)
            try:
                entry = json.loads(record.read_bytes())
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except FileNotFoundError:
                entry, command = {}, b""
            parts = [part.decode("utf-8", "replace") for part in command.split(b"\0")[:-1]]
            if parts and entry["started"] == state.started_ticks(pid):
                self._mined[pid] = entry | {"command": parts[1:] or parts}
            else:  # it was killed, and could not say so
                self._bury(pid, by="kill")

    def _bury(self, pid: int, *, by: str) -> None:
        """A process is gone that had no time to say so."""
        (self.folder / state.PROGRAMS / f"{pid}.json").unlink(missing_ok=True)
        if pid not in self._own_pids:
            self._note_end(pid=pid, by=by)

    def _bear_loads(self) -> None:
        runs = [unit.run for unit in self.units if unit.run is not None]
        processes, up = list(self._mined.values()), self.is_up
        loads = [run.load(None) for run in runs] + [each["cpu_load"] for each in processes]
        self._bear(self.processor, max([*loads, _IDLE_LOAD]) if up else 0.0)
        off = self._off_bus()
        for gpu in self.cards:
            works = any(run.load(gpu.index) for run in runs)
            works = works or any(gpu.index in each["gpus"] for each in processes)
            self._bear(gpu, 1.0 if works and up and gpu.index not in off else 0.0)

    @staticmethod
    def _bear(chip: CpuChip | GpuChip, load: float) -> None:
        if chip.warmth.load != load:
            chip.warmth.bear(load)

    def _off_bus(self) -> set[int]:
        fallen = self.faults.get("gpu_falls_off")
        return set(fallen.args.get("gpus", [0])) if fallen else set()

    def _gone(self) -> set[int]:
        """Of those, the ones that no driver lists any more."""
        fallen = self.faults.get("gpu_falls_off")
        return self._off_bus() if fallen and fallen.args.get("variant") == "gone" else set()
