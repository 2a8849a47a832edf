"""The rigs that can be simulated, with their chips and what they mine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NVIDIA: Final = 0x10DE
AMD: Final = 0x1002
ASPEED: Final = 0x1A03


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuModel:
    """One model of GPU at full load."""

    name: str
    vendor: int
    device: int
    """PCI device id."""
    core_mhz: int
    mem_mhz: int
    power_w: float
    limits_w: tuple[int, int] = (100, 400)
    """The least and the highest power limit."""
    core_c: float = 62.0
    mem_c: float | None = None
    """Of its memory; None where no sensor is."""
    shows_mem: bool = True
    """AMD: its memory's temperature is told by the driver. NVIDIA: GeForce tells none."""
    average_power: bool = False
    """amdgpu before the instantaneous reading: `power1_average`."""
    product_name: bool = True
    """amdgpu: the card tells its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuModel:
    """One model of CPU at full load; `hwmon` is the driver of its sensor, empty for a thermal zone."""

    name: str
    cores: int
    threads: int
    packages: int = 1
    hwmon: str = "coretemp"
    temp_c: float = 68.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MinedAlgorithm:
    """One algorithm of a program: its name as that program spells it, its pool, rates in H/s."""

    name: str
    coin: str
    pool: str
    gpu_hs: tuple[float, ...] = ()
    """Of each GPU in the order of the rig; shorter: the last one counts for the rest."""
    cpu_hs: float = 0.0
    unit: str = "H/s"
    """As the program shows it, with the factor below."""
    factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramJob:
    """What one program of a rig is started with."""

    software: str
    version: str
    algorithms: tuple[MinedAlgorithm, ...]
    token: str = ""
    restricted: bool = False
    """XMRig: its API is for reading only."""
    old_form: bool = False
    """lolMiner before 1.5x."""
    process: bool = False
    """Runs as a process of its own, not inside the simulator's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RigProduct:
    """One rig."""

    key: str
    cpu: CpuModel
    board: tuple[str, str, str] | None
    """DMI vendor, name and version of the board; None for a host that has a device tree instead."""
    ram_kb: int
    gpus: tuple[GpuModel, ...] = ()
    jobs: tuple[ProgramJob, ...] = ()
    bmc: bool = False
    """A card of the board's own is the first one, and no GPU."""
    is_host: bool = False
    """It stands for the host that the simulator runs on: its loopback is the host's own, where an agent of the host
    finds its programs."""

    @property
    def hashrate_hs(self) -> float:
        """Of the first algorithm of all it mines."""
        first = [job.algorithms[0] for job in self.jobs]
        return sum(
            each.cpu_hs + sum(rate_of(each, n) for n in range(len(self.gpus))) for each in first
        )


def rate_of(algorithm: MinedAlgorithm, gpu: int) -> float:
    """The nominal rate of that GPU in H/s; 0 where the algorithm is the CPU's."""
    rates = algorithm.gpu_hs
    return rates[min(gpu, len(rates) - 1)] if rates else 0.0


def _nvidia(name: str, device: int, core: int, mem: int, power: float, top: int) -> GpuModel:
    return GpuModel(
        name=f"NVIDIA GeForce {name}",
        vendor=NVIDIA,
        device=device,
        core_mhz=core,
        mem_mhz=mem,
        power_w=power,
        limits_w=(100, top),
        mem_c=84.0,
        shows_mem=False,
    )


def _amd(name: str, device: int, core: int, mem: int, power: float) -> GpuModel:
    return GpuModel(
        name=name, vendor=AMD, device=device, core_mhz=core, mem_mhz=mem, power_w=power, mem_c=78.0
    )


RTX_3080: Final = _nvidia("RTX 3080", 0x2206, 1835, 9505, 225.0, 370)
RTX_3070: Final = _nvidia("RTX 3070", 0x2484, 1110, 8100, 125.0, 270)
RTX_3060: Final = _nvidia("RTX 3060", 0x2504, 1425, 8150, 112.0, 200)
RTX_4090: Final = _nvidia("RTX 4090", 0x2684, 2520, 10501, 310.0, 600)
RTX_2080: Final = _nvidia("RTX 2080", 0x1E87, 1500, 7600, 160.0, 245)
GTX_1660: Final = _nvidia("GTX 1660 SUPER", 0x21C4, 1080, 7600, 72.0, 130)
RX_6800: Final = _amd("AMD Radeon RX 6800", 0x73BF, 1250, 1075, 118.0)
RX_6700: Final = _amd("AMD Radeon RX 6700 XT", 0x73DF, 1180, 1073, 95.0)
RX_7900: Final = _amd("AMD Radeon RX 7900 XTX", 0x744C, 2100, 1249, 290.0)
RX_580: Final = GpuModel(
    name="AMD Radeon RX 580",
    vendor=AMD,
    device=0x67DF,
    core_mhz=1150,
    mem_mhz=2050,
    power_w=95.0,
    shows_mem=False,
    average_power=True,
    product_name=False,
)

XEON: Final = CpuModel(
    name="Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", cores=28, threads=56, packages=2
)
RYZEN: Final = CpuModel(
    name="AMD Ryzen 9 5950X 16-Core Processor", cores=16, threads=32, hwmon="k10temp", temp_c=84.875
)
CELERON: Final = CpuModel(
    name="Intel(R) Celeron(R) G4900 CPU @ 3.10GHz", cores=2, threads=2, temp_c=48.0
)
ARM: Final = CpuModel(name="Cortex-A76", cores=4, threads=4, hwmon="", temp_c=71.0)

SUPERMICRO: Final = ("Supermicro", "X10DRL-i", "1.01")
ASUS: Final = ("ASUSTeK COMPUTER INC.", "PRIME X570-P", "Rev X.0x")
FILLED: Final = ("To be filled by O.E.M.", "B250 MINING EXPERT", "Default string")

_RANDOMX_POOL: Final = "pool.hashvault.pro:443"


def _xmrig(hs: float, *, restricted: bool = False, process: bool = False) -> ProgramJob:
    return ProgramJob(
        software="XMRig",
        version="6.22.2",
        algorithms=(MinedAlgorithm(name="rx/0", coin="Monero", pool=_RANDOMX_POOL, cpu_hs=hs),),
        token="simulated-token",
        restricted=restricted,
        process=process,
    )


def _etchash(*hs: float, name: str = "etchash") -> MinedAlgorithm:
    return MinedAlgorithm(
        name=name,
        coin="ETC",
        pool="etc.pool.example.com:4444",
        gpu_hs=hs,
        unit="Mh/s",
        factor=1e6,
    )


def _second(name: str, coin: str, *hs: float) -> MinedAlgorithm:
    pool = f"{coin.lower()}.pool.example.com:5555"
    return MinedAlgorithm(name=name, coin=coin, pool=pool, gpu_hs=hs, unit="Gh/s", factor=1e9)


def _job(
    software: str, version: str, *algorithms: MinedAlgorithm, old_form: bool = False
) -> ProgramJob:
    return ProgramJob(software=software, version=version, algorithms=algorithms, old_form=old_form)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Host:
    """A rig without its GPUs."""

    cpu: CpuModel
    board: tuple[str, str, str] | None
    ram_kb: int
    bmc: bool = False


_SERVER: Final = _Host(cpu=XEON, board=SUPERMICRO, ram_kb=131_812_536, bmc=True)
_DESKTOP: Final = _Host(cpu=RYZEN, board=ASUS, ram_kb=32_780_112)
_FRAME: Final = _Host(cpu=CELERON, board=FILLED, ram_kb=8_055_408)
_FRAME_WITH_BMC: Final = _Host(cpu=CELERON, board=FILLED, ram_kb=8_055_408, bmc=True)
_SMALL: Final = _Host(cpu=ARM, board=None, ram_kb=8_007_200)


def _rig(key: str, host: _Host, gpus: tuple[GpuModel, ...], *jobs: ProgramJob) -> RigProduct:
    return RigProduct(
        key=key,
        cpu=host.cpu,
        board=host.board,
        ram_kb=host.ram_kb,
        bmc=host.bmc,
        gpus=gpus,
        jobs=jobs,
    )


_TRM: Final = ("TeamRedMiner", "0.10.21")

_ALL: Final = (
    _rig("xmrig-cpu", _SERVER, (), _xmrig(9563.2)),
    _rig("xmrig-restricted", _DESKTOP, (), _xmrig(14900.0, restricted=True)),
    _rig("xmrig-process", _DESKTOP, (), _xmrig(29.93, process=True)),
    _rig("xmrig-arm", _SMALL, (), _xmrig(310.0)),
    _rig("6xrtx3080-trex", _FRAME, (RTX_3080,) * 6, _job("T-Rex", "0.26.8", _etchash(60.52e6))),
    _rig("8xrx6800-trm", _FRAME, (RX_6800,) * 8, _job(*_TRM, _etchash(63.1e6))),
    _rig(
        "4xrx6800-trm-dual",
        _FRAME,
        (RX_6800,) * 4,
        _job(*_TRM, _etchash(58.3e6), _second("kas", "KAS", 265e6)),
    ),
    _rig(
        "mixed-lolminer-dual",
        _FRAME_WITH_BMC,
        (RTX_3070, RX_6700, RTX_3070, RX_6700),
        _job(
            "lolMiner",
            "1.88",
            _etchash(61.2e6, 46.9e6, 61.4e6, 47.1e6, name="Etchash"),
            _second("HeavyHash-Kaspa", "KAS", 210e6, 180e6, 211e6, 181e6),
        ),
    ),
    _rig(
        "2xrx580-lolminer-old",
        _FRAME,
        (RX_580,) * 2,
        _job("lolMiner", "1.29", _etchash(30.4e6, name="Etchash"), old_form=True),
    ),
    _rig(
        "4xrtx4090-rigel-dual",
        _FRAME,
        (RTX_4090,) * 4,
        _job(
            "Rigel",
            "1.20.1",
            _etchash(118e6, name="octopus"),
            _second("sha512256d", "RXD", 3.1e9),
        ),
    ),
    _rig(
        "4xrtx3060-bzminer-dual",
        _FRAME,
        (RTX_3060,) * 4,
        _job("BzMiner", "v21.5.3", _etchash(48.6e6), _second("kaspa", "KAS", 340e6)),
    ),
    _rig(
        "4xrx7900-srbminer",
        _DESKTOP,
        (RX_7900,) * 4,
        _job(
            "SRBMiner-Multi",
            "2.6.8",
            _etchash(96.4e6),
            MinedAlgorithm(name="randomx", coin="Monero", pool=_RANDOMX_POOL, cpu_hs=13800.0),
        ),
    ),
    _rig("2xrtx2080-gminer", _FRAME, (RTX_2080,) * 2, _job("GMiner", "3.44", _etchash(41.7e6))),
    _rig("10xrtx3060-gminer", _FRAME, (RTX_3060,) * 10, _job("GMiner", "3.44", _etchash(48.6e6))),
    _rig(
        "2xgtx1660-nbminer-dual",
        _FRAME,
        (GTX_1660,) * 2,
        _job("NBMiner", "42.3", _etchash(31.4e6), _second("kaspa", "KAS", 120e6)),
    ),
    _rig(
        "xmrig-and-lolminer",
        _DESKTOP,
        (RTX_3080,) * 2,
        _xmrig(12400.0),
        _job("lolMiner", "1.88", _etchash(97.1e6, name="Etchash")),
    ),
    _rig("idle", _FRAME, (RTX_3070, RX_580)),
    RigProduct(
        key="host", cpu=RYZEN, board=ASUS, ram_kb=32_780_112, gpus=(RTX_3070, RX_6700), is_host=True
    ),
)

MODELS: Final = {each.key: each for each in _ALL}
MIX: Final = tuple(
    each.key for each in _ALL if not each.is_host and not any(job.process for job in each.jobs)
)
"""What a farm of rigs is made of unless it is said otherwise: no processes but the simulator's own."""
