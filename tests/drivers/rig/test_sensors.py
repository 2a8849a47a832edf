"""What files, nvidia-smi and NVML tell of a host and its cards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.rig.nvml import NvmlReader
from drivers.rig.protocol.nvidia_smi import ARGV
from drivers.rig.protocol.report import CARDS_CAP, ProgramCard, ProgramReport
from drivers.rig.reading import amd, nvidia
from drivers.rig.reading.cards import CardLook, CardSensors, SeenCard, SensorState
from drivers.rig.reading.host import HostFacts, host_of, mac_of, motherboard_of
from drivers.rig.reading.snapshot import snapshot_of
from tests.drivers.rig import tree

SMI_LINE = "00000000:05:00.0, NVIDIA GeForce RTX 3080, 65, [N/A], 1835, 9505, 35, 105.32"


def test_a_host_tells_who_it_is_and_what_it_is_made_of() -> None:
    facts = host_of(tree.texts(tree.HOST))
    assert (facts.mac, facts.serial, facts.boot_id) == (tree.MAC, tree.MACHINE, tree.BOOT)
    assert (facts.uptime_s, facts.temp_cpu_c) == (93784.25, 84.875)
    assert facts.motherboard == "Supermicro X10DRL-i 1.01"
    assert facts.cpu_name == "AMD Ryzen 9 7950X 16-Core Processor"
    assert facts.ram_bytes == 32786316 * 1024
    assert (facts.kernel, facts.hostname) == ("6.1.0-28-amd64", "rig-7")


class _Files(dict[str, str]):
    """The texts of a rig, with how many of them were gone through."""

    looked_at = 0

    def items(self) -> Any:
        self.looked_at += len(self)
        return super().items()


def test_a_rig_that_tells_of_sensors_without_end_costs_by_their_number() -> None:
    files = _Files({"/proc/uptime": "1 1"})
    for number in range(500):
        folder = f"/sys/class/hwmon/hwmon{number}"
        files |= {
            f"{folder}/name": "k10temp",
            f"{folder}/temp1_label": "Tctl",
            f"{folder}/temp1_input": "61000",
        }
    assert host_of(files).temp_cpu_c == 61
    assert files.looked_at <= 5 * len(files)


def test_the_mac_is_that_of_the_default_route_with_the_lowest_metric() -> None:
    other = tree.texts(tree.HOST) | {"/proc/net/route": tree.ROUTE.replace("\t100\t", "\t700\t")}
    assert mac_of(other) == "02:00:00:00:00:99"
    assert mac_of({"/proc/net/route": "Iface\n??\neth0\t00000000"}) is None


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [("processor\t: 0\n\nHardware\t: Rockchip RK3588\nModel\t\t: Radxa ROCK 5B\n", "Radxa ROCK 5B"),
     ("Hardware\t: Rockchip RK3588\n", "Rockchip RK3588"), ("processor\t: 0\nmodel\t\t: 97\n", None), ("", None)],
)  # fmt: skip
def test_a_processor_of_arm_has_the_name_of_its_board(cpuinfo: str, name: str | None) -> None:
    assert host_of({"/proc/cpuinfo": cpuinfo}).cpu_name == name


FILES = [*tree.texts(tree.HOST, tree.amd_card(1, "0c")), "/proc/device-tree/model"]


@given(
    st.dictionaries(
        st.sampled_from(FILES), st.text(max_size=40) | st.from_regex(r"[-0-9.e:\t ²٣]*")
    )
)
def test_whatever_files_hold_they_are_read(changed: dict[str, str]) -> None:
    texts = tree.texts(tree.HOST, tree.amd_card(1, "0c")) | changed
    facts = host_of(texts)
    assert facts.temp_cpu_c is None or 0 < facts.temp_cpu_c <= 150
    for card in amd.look_of(texts).cards:
        assert card.power_w is None or 0 <= card.power_w <= 2000


@given(
    st.integers() | st.none(),
    st.text(),
    st.lists(st.text(alphabet="0123456789abcdef:., []\n/AN"), max_size=5),
)
def test_whatever_nvidia_smi_says_is_a_look(
    status: int | None, errors: str, parts: list[str]
) -> None:
    assert nvidia.look_of(status, SMI_LINE + "".join(parts), errors).source == nvidia.NVIDIA


@pytest.mark.parametrize(
    ("vendor", "name", "version", "board"),
    [("Supermicro\n", "X10DRL-i\n", "To be filled by O.E.M.\n", "Supermicro X10DRL-i"),
     ("To be filled by O.E.M.", "Default string", "None", None),
     ("  ASUSTeK  COMPUTER INC. ", "B250 MINING EXPERT", "Rev 1.xx", "ASUSTeK COMPUTER INC. B250 MINING EXPERT Rev 1.xx")],
)  # fmt: skip
def test_what_a_board_has_as_filler_is_no_name(
    vendor: str, name: str, version: str, board: str | None
) -> None:
    told = {"vendor": vendor, "name": name, "version": version}
    assert motherboard_of({f"/sys/class/dmi/id/board_{k}": v for k, v in told.items()}) == board


def test_a_board_without_dmi_is_named_by_its_device_tree() -> None:
    texts = {
        "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "/proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
        "/sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "/sys/class/thermal/thermal_zone0/temp": "52300\n",
    }
    facts = host_of(texts)
    assert facts.motherboard == facts.cpu_name == "Raspberry Pi 5 Model B Rev 1.0"
    assert facts.temp_cpu_c == 52.3


def test_files_of_nonsense_tell_nothing() -> None:
    texts = dict.fromkeys(tree.texts(tree.HOST), "\x1b[31m1e999 nan \u202e\n" * 3)
    facts = host_of(texts)
    assert (facts.mac, facts.serial, facts.uptime_s, facts.temp_cpu_c) == (None,) * 4
    assert "\x1b" not in (facts.motherboard or "")


def test_amd_cards_are_read_by_label_in_si_units() -> None:
    look = amd.look_of(tree.texts(tree.amd_card(1, "0c"), tree.amd_card(0, "03", vendor="0x8086")))
    assert look.state is SensorState.READ
    assert look.cards == (
        CardSensors(
            bus_id="0000:0c:00.0", name="Radeon RX 6800 XT", temp_c=63.0, temp_memory_c=78.0, core_hz=1.32e9,
            memory_hz=1e9, fan_percent=40.0, power_w=148.0,
        ),
    )  # fmt: skip


def test_an_amd_card_that_sleeps_loses_its_sensors_and_not_itself() -> None:
    texts = {p: t for p, t in tree.texts(tree.amd_card(1, "0c")).items() if "hwmon" not in p}
    assert amd.look_of(texts).cards == (
        CardSensors(bus_id="0000:0c:00.0", name="Radeon RX 6800 XT"),
    )


def test_nvidia_smi_tells_a_line_for_each_card() -> None:
    look = nvidia.look_of(
        0, f"{SMI_LINE}\n00000000:01:00.0, X, [N/A], 90, [Unknown Error], 1, 2, [N/A]\n", ""
    )
    assert look.cards[0] == CardSensors(
        bus_id="0000:05:00.0", name="NVIDIA GeForce RTX 3080", temp_c=65, core_hz=1.835e9, memory_hz=9.505e9,
        fan_percent=35, power_w=105.32,
    )  # fmt: skip
    assert look.cards[1].temp_memory_c == 90
    assert "--format=csv,noheader,nounits" in ARGV


@pytest.mark.parametrize(
    ("status", "output", "state", "lost"),
    [(9, "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", SensorState.ABSENT, ()),
     (6, "No devices were found", SensorState.READ, ()),
     (15, "Unable to determine the device handle for GPU 0000:05:00.0: GPU is lost.  Reboot the system to recover",
      SensorState.READ, ("0000:05:00.0",)),
     (0, "00000000:05:00.0, [GPU is lost], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A]", SensorState.READ, ("0000:05:00.0",)),
     (255, "Segmentation fault", SensorState.FAILED, ()), (None, "", SensorState.FAILED, ()),
     (0, "<html>a page</html>", SensorState.FAILED, ()), (0, "", SensorState.FAILED, ()),
     (0, "No devices were found", SensorState.READ, ())],
)  # fmt: skip
def test_what_else_nvidia_smi_says(status: Any, output: str, state: SensorState, lost: Any) -> None:
    look = nvidia.look_of(status, output, "")
    assert (look.state, look.lost, look.cards) == (state, lost, ())


class StubError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"NVML error {value}")
        self.value = value


class StubNvml:
    """As much of pynvml as is called, with errors for single values."""

    NVMLError = StubError

    def __init__(self, buses: list[str], **errors: int) -> None:
        self.buses = buses
        self.errors = errors
        self.block = threading.Event()
        self.block.set()
        self.inits = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        answers: dict[str, Callable[..., Any]] = {
            "nvmlDeviceGetCount": lambda: len(self.buses),
            "nvmlDeviceGetHandleByIndex": lambda at: at,
            "nvmlDeviceGetPciInfo": lambda at: SimpleNamespace(busId=self.buses[at].encode()),
            "nvmlDeviceGetName": lambda _: b"NVIDIA GeForce RTX 3080",
            "nvmlDeviceGetTemperature": lambda _, kind: 65 if kind == 0 else 0,
            "nvmlDeviceGetFieldValues": lambda _, fields: [
                SimpleNamespace(
                    nvmlReturn=0, value=SimpleNamespace(uiVal=90 if fields == [82] else 0)
                )
            ],
            "nvmlDeviceGetClockInfo": lambda _, kind: {0: 1835, 2: 9505}[kind],
            "nvmlDeviceGetPowerUsage": lambda _: 105320,
            "nvmlDeviceGetFanSpeed": lambda _: 35,
            "nvmlShutdown": lambda: None,
            "nvmlInit": self._init,
        }
        if name not in answers:
            raise AttributeError(name)

        def call(*args: Any) -> Any:
            self.block.wait(30)
            if (value := self.errors.get(name)) is not None:
                raise StubError(value)
            return answers[name](*args)

        return call

    def _init(self) -> None:
        self.inits += 1


CARD = CardSensors(
    bus_id="0000:05:00.0", name="NVIDIA GeForce RTX 3080", temp_c=65, temp_memory_c=90, core_hz=1.835e9,
    memory_hz=9.505e9, fan_percent=35, power_w=105.32,
)  # fmt: skip
LACKING = {
    "nvmlDeviceGetName": {"name": None}, "nvmlDeviceGetTemperature": {"temp_c": None},
    "nvmlDeviceGetFieldValues": {"temp_memory_c": None}, "nvmlDeviceGetPowerUsage": {"power_w": None},
    "nvmlDeviceGetClockInfo": {"core_hz": None, "memory_hz": None}, "nvmlDeviceGetFanSpeed": {"fan_percent": None},
}  # fmt: skip


async def look(nvml: StubNvml, deadline_s: float = 20.0) -> Any:
    return await NvmlReader(nvml).look(deadline_s=deadline_s)


async def test_nvml_tells_what_nvidia_smi_does() -> None:
    found = await look(StubNvml(["00000000:05:00.0"]))
    assert (found.state, found.cards) == (SensorState.READ, (CARD,))


@pytest.mark.parametrize("name", LACKING)
async def test_one_value_that_a_card_has_not_loses_no_other(name: str) -> None:
    import msgspec

    found = await look(StubNvml(["00000000:05:00.0"], **{name: 3}))
    assert found.cards == (msgspec.structs.replace(CARD, **LACKING[name]),)


@pytest.mark.parametrize("value", [9, 12])
async def test_no_driver_and_no_library_are_no_fault(value: int) -> None:
    assert (await look(StubNvml([], nvmlInit=value))).state is SensorState.ABSENT


async def test_another_error_of_the_library_is_one() -> None:
    found = await look(StubNvml([], nvmlDeviceGetCount=999))
    assert (found.state, "999" in found.trouble) == (SensorState.FAILED, True)


async def test_a_card_that_is_lost_is_named_and_the_library_begun_anew() -> None:
    nvml = StubNvml(["00000000:05:00.0"], nvmlDeviceGetPowerUsage=15)
    reader = NvmlReader(nvml)
    found = await reader.look(deadline_s=20)
    assert (found.state, found.lost, found.cards) == (SensorState.READ, ("0000:05:00.0",), ())
    nvml.errors.clear()
    assert (await reader.look(deadline_s=20)).cards == (CARD,)
    assert nvml.inits == 2


@pytest.mark.real_time
async def test_a_hung_library_holds_up_one_thread_and_tells_again_when_it_is_back() -> None:
    nvml = StubNvml(["00000000:05:00.0"])
    reader = NvmlReader(nvml)
    nvml.block.clear()
    before = threading.active_count()
    for _ in range(3):
        found = await reader.look(deadline_s=0.02)
        assert (found.state, "does not answer" in found.trouble) == (SensorState.FAILED, True)
    assert threading.active_count() == before + 1
    nvml.block.set()
    assert (await reader.look(deadline_s=20)).cards == (CARD,)


def test_cards_without_end_are_not_all_kept() -> None:
    """A rig that tells other cards with each look fills neither our memory nor a reading."""
    seen: dict[str, SeenCard] = {}
    for at in range(4):
        rows = (
            f"0000{at:04x}:{bus:02x}:00.0, {'N' * 900}\x1b[2J, 60, 60, 1, 1, 1, 1"
            for bus in range(256)
        )
        look = nvidia.look_of(0, "\n".join(rows), "")
        told = snapshot_of(HostFacts(), (look,), (), seen, None)
        seen = told.seen
    assert len(seen) == len(told.moving.boards) == CARDS_CAP
    assert len(told.faults) <= CARDS_CAP
    assert len(msgspec.json.encode(told.moving)) < 64 * 1024
    assert all((card.name or "").isprintable() for card in seen.values())


def test_cards_of_a_program_without_end_are_not_all_kept() -> None:
    cards = tuple(ProgramCard(bus_id=f"{at:04x}:01:00.0", name="N") for at in range(300))
    nameless = tuple(ProgramCard(name="N") for _ in range(300))
    report = ProgramReport(name="XMRig", cards=(*cards, *nameless))
    looks = (CardLook(source=nvidia.NVIDIA, state=SensorState.READ),)
    told = snapshot_of(HostFacts(), looks, (report,), {}, None)
    assert len(told.moving.boards) == len(told.faults) == CARDS_CAP
