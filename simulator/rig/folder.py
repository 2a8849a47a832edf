"""The rig's folder: its host's files, the programs and the keys in it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from simulator.rig import contents
from simulator.rig.catalogue import AMD, RigProduct
from simulator.rig.hardware import CpuChip, GpuChip
from simulator.rig.programs.registry import BY_SLUG
from simulator.rig.standins import nvidia_smi, pynvml_path
from simulator.rig.tree import HostTree

_SHARED_MEMORY: Final = "/dev/shm"
_FOLDERS: Final = ("run/programs", "var/log", "bin", "python", "keys", "home/miner/.ssh", "proc")


class RigFolder:
    """There from `furnish` until `remove`."""

    def __init__(self, spec: RigProduct) -> None:
        self.path = Path(_memory() or tempfile.gettempdir()) / f"miner-simulator-rig-{uuid.uuid4()}"
        self._spec = spec
        self._tree = HostTree(self.path)

    def furnish(self, key_seed: bytes, *, mac: str, machine_id: str) -> None:
        """What is there before anything moves."""
        from simulator.rig.keys import write_keys

        self.path.mkdir(mode=0o700)
        for name in _FOLDERS:
            (self.path / name).mkdir(parents=True, exist_ok=True)
        write_keys(key_seed, self.path)
        self._tree.write(contents.host_files(self._spec, mac=mac, machine_id=machine_id))
        root = Path(__file__).resolve().parents[2]
        for slug in BY_SLUG:
            self._write_script(
                slug,
                f"import sys\nsys.path.insert(0, {str(root)!r})\n"
                f"from simulator.rig.process import main\nmain({slug!r}, {str(self.path)!r})\n",
            )
        self._write_script("nvidia-smi", Path(nvidia_smi.__file__).read_text("utf-8"))
        (self.path / "python" / "pynvml.py").write_text(pynvml_path().read_text("utf-8"))

    def show_boot(self, boot_id: str, uptime_s: float, load: float) -> None:
        self._tree.write(contents.boot_files(boot_id, uptime_s, load))

    def show_network(self, mac: str) -> None:
        self._tree.write(contents.mac_files(mac))

    def show_chips(self, cpu: CpuChip, gpus: Sequence[GpuChip], *, gone: set[int]) -> None:
        """The sensors; the GPUs of these numbers are no longer on the bus."""
        files = contents.cpu_files(cpu)
        number, hwmon = 0, self._spec.cpu.packages if self._spec.cpu.hwmon else 0
        if self._spec.bmc:
            files |= contents.bmc_files("sys/class/drm/card0/device")
            number = 1
        for gpu in gpus:
            card = f"sys/class/drm/card{number}"
            slot, sensors = f"{card}/device", f"{card}/device/hwmon/hwmon{hwmon}"
            on_bus, in_hwmon = f"sys/bus/pci/devices/{gpu.bus}", f"sys/class/hwmon/hwmon{hwmon}"
            if gpu.index in gone:
                self._tree.remove(card)
                self._tree.unlink(in_hwmon)
                self._tree.unlink(on_bus)
            else:
                files |= contents.gpu_files(gpu, slot, sensors)
                files[f"{card}-HDMI-A-1/status"] = "disconnected\n"
                if gpu.model.vendor == AMD:
                    self._tree.link(in_hwmon, sensors)
                self._tree.link(on_bus, slot)
            number += 1
            hwmon += gpu.model.vendor == AMD
        self._tree.write(files)

    def show_processes(self, running: Mapping[int, list[str]]) -> None:
        """`/proc/<pid>` of these command lines by pid, and of no others."""
        files: dict[str, str] = {}
        for pid, command in running.items():
            files[f"proc/{pid}/cmdline"] = "".join(f"{part}\0" for part in command)
            files[f"proc/{pid}/comm"] = f"{Path(command[0]).name[:15]}\n"
        shown = [each.name for each in (self.path / "proc").iterdir() if each.name.isdigit()]
        for name in shown:
            if int(name) not in running:
                self._tree.remove(f"proc/{name}")
        self._tree.write(files)

    def spoil(self, *, blocking: Iterable[str], failing: Iterable[str]) -> None:
        """From now on the files that match these patterns block or fail, and no others."""
        self._tree.spoil(blocking=blocking, failing=failing)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _write_script(self, name: str, text: str) -> None:
        place = self.path / "bin" / name
        place.write_text(f"#!{sys.executable}\n{text}")
        place.chmod(0o755)


def _memory() -> str | None:
    """Where files cost no disk, if programs may run there; None: where temporary files are."""
    try:
        flags = os.statvfs(_SHARED_MEMORY).f_flag
    except FileNotFoundError:
        return None
    may_run = not flags & (os.ST_NOEXEC | os.ST_RDONLY)
    return _SHARED_MEMORY if may_run and os.access(_SHARED_MEMORY, os.W_OK) else None
