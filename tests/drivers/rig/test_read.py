"""What a reading of a rig holds."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.errors import MalformedError, UnsupportedError
from contract.miner import Make, PowerMode, Reading, RigPart, UptimeKind
from drivers.base import AnyChange, Depth, FirmwareUpdate, Light, Mode, Pools, Suspend, Timing
from drivers.rig.driver import RigDriver
from drivers.rig.entry import RIG
from drivers.rig.reach.local import LocalReach, read_file
from drivers.rig.reading.cards import CardLook, CardSensors, SeenCard, SensorState
from drivers.rig.reading.nvidia import NVIDIA
from drivers.rig.spec import EnrolledRig, LocalSpec, MiningProgram, ProgramSpec, SshSpec
from tests.drivers.rig import replies, tree
from tests.drivers.rig.servers import page, program, says, sgminer, ssh_rig, website
from tests.drivers.servers import answers, drips, endless, hangs
from tests.virtual_time import loop_clock

CPU, GPU = RigPart.CPU, RigPart.GPU
SERVED = {
    MiningProgram.XMRIG: {"/2/summary": replies.XMRIG, "/2/backends": replies.XMRIG_BACKENDS},
    MiningProgram.LOLMINER: {"/": replies.LOLMINER},
    MiningProgram.TREX: {"/summary": replies.TREX},
    MiningProgram.RIGEL: {"/": replies.RIGEL},
    MiningProgram.BZMINER: {"/status": replies.BZMINER},
    MiningProgram.SRBMINER: {"/": replies.SRBMINER},
    MiningProgram.GMINER: {"/stat": replies.GMINER},
    MiningProgram.NBMINER: {"/api/v1/status": replies.NBMINER},
}


def rig_of(
    reach: LocalSpec | SshSpec,
    *programs: ProgramSpec,
    timing: Timing | None = None,
    ignored_cards: tuple[str, ...] = (),
) -> RigDriver:
    spec = EnrolledRig(name="rig-7", reach=reach, programs=programs, ignored_cards=ignored_cards)
    return RIG.enrolled(spec, clock=loop_clock(), timing=timing or Timing())


class Sensors:
    """NVIDIA's library, in place of the thread that asks it."""

    def __init__(self, *buses: str) -> None:
        self.found = look_at(*buses)

    async def look(self, *, deadline_s: float) -> CardLook:
        return self.found


def look_at(*buses: str, state: SensorState = SensorState.READ) -> CardLook:
    cards = tuple(
        CardSensors(bus_id=f"0000:{bus}:00.0", name="RTX 3080", temp_c=65, power_w=220)
        for bus in buses
    )
    return CardLook(source=NVIDIA, state=state, cards=cards)


def local(tmp_path: Path, *programs: ProgramSpec, nvidia: Any = None, **more: Any) -> RigDriver:
    driver = rig_of(LocalSpec(root=str(tmp_path)), *programs, **more)
    driver._nvml = nvidia if nvidia is not None else Sensors()
    return driver


def faults(reading: Reading) -> list[str]:
    assert reading.slow is not None
    return [fault.code for fault in reading.slow.faults]


async def test_a_rig_is_identified_by_mac_and_machine_id(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    driver = local(tmp_path)
    identity = await driver.identify()
    assert (identity.make, identity.model) == (Make.RIG, tree.CPU)
    assert (identity.mac, identity.serial, identity.hostname) == (tree.MAC, tree.MACHINE, "rig-7")
    who = await driver.who()
    assert (who.mac, who.serial) == (tree.MAC, tree.MACHINE)


async def test_a_rig_whose_cards_its_program_alone_knows_is_named_by_them(tmp_path: Path) -> None:
    """As a monitor names it, which is told of the same cards."""
    tree.plant(tmp_path, tree.HOST)
    pages = {"/summary": replies.TREX}
    async with program(MiningProgram.TREX, website(pages)) as spec:
        driver = local(tmp_path, spec)
        await driver.read()
        assert driver.identity.model == "RTX 3080"
        pages["/summary"] = replies.TREX | {"gpus": []}
        await driver.read()
        assert driver.identity.model == tree.CPU, "it was taken out"
        pages["/summary"] = replies.TREX
        await driver.read()
    await driver.read()
    assert driver.identity.model == "RTX 3080", "its program is away, and the card is not"
    again = local(tmp_path, spec)
    again._identity = driver.identity
    assert (await again.identify()).model == "RTX 3080", "a new agent asks its program later"
    await again.read()
    assert again.identity.model == "RTX 3080"


def test_a_rig_is_never_met_by_a_scan() -> None:
    assert RIG.ports == ()


async def test_a_whole_reading_joins_sensors_and_programs_by_bus(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST, tree.amd_card(1, "0c"))
    async with AsyncExitStack() as on:
        lol = await on.enter_async_context(
            program(MiningProgram.LOLMINER, website(SERVED[MiningProgram.LOLMINER]))
        )
        xmrig = await on.enter_async_context(
            program(MiningProgram.XMRIG, website(SERVED[MiningProgram.XMRIG], "T"), "T")
        )
        reading = await local(tmp_path, xmrig, lol, nvidia=Sensors("01")).read(Depth.FULL)
    moving = reading.moving
    assert [
        (b.index, b.part, b.name, b.bus_id, b.hashrate_hs, b.hashrate_2_hs) for b in moving.boards
    ] == [
        (0, GPU, "RTX 3080", "0000:01:00.0", 98.25e6, 1e9),
        (1, GPU, "Radeon RX 6800 XT", "0000:0c:00.0", 62.25e6, 0.5e9),
        (2, CPU, "AMD Ryzen 9 7950X 16-Core Processor", None, 9500.5, None),
    ]
    nvidia_card, amd_card, cpu = moving.boards
    assert (nvidia_card.temp_chip_c, nvidia_card.temp_memory_c) == (
        65,
        88,
    )  # the program's, where NVML has none
    assert (amd_card.temp_chip_c, amd_card.temp_memory_c, amd_card.fan_percent) == (63, 78, 40)
    assert (amd_card.frequency_hz, amd_card.memory_hz, amd_card.power_w) == (1.32e9, 1e9, 148)
    assert (cpu.temp_chip_c, moving.temp_cpu_c, moving.temp_chip_c) == (84.875, 84.875, 84.875)
    assert (moving.hashrate_hs, moving.power_w) == (160.5e6, 368)
    assert (moving.uptime_s, moving.uptime_kind) == (93784.25, UptimeKind.BOOT)
    assert [(w.part, w.slot, w.program, w.algorithm, w.hashrate_hs) for w in moving.works] == [
        (CPU, 1, "XMRig", "rx/0", 9500.5),
        (GPU, 1, "lolMiner", "Etchash", 160.5e6),
        (GPU, 2, "lolMiner", "SHA512256d", 1.5e9),
    ]
    assert [pool.url for pool in moving.pools] == [
        "pool.example.org:443", "etc.example.org:4444", "rxd.example.org:3333",
    ]  # fmt: skip
    assert (faults(reading), reading.is_hashing, reading.mac) == ([], True, tree.MAC)
    assert reading.static is not None
    assert (reading.static.cpu_name, reading.static.ram_bytes) == (cpu.name, 32786316 * 1024)
    assert msgspec.json.decode(msgspec.json.encode(reading), type=Reading) == reading


@pytest.mark.parametrize("kind", SERVED)
async def test_each_program_is_asked_where_it_answers(tmp_path: Path, kind: MiningProgram) -> None:
    tree.plant(tmp_path, tree.HOST)
    async with program(kind, website(SERVED[kind])) as spec:
        reading = await local(tmp_path, spec, nvidia=Sensors("01", "0c")).read(Depth.SLOW)
    assert reading.is_hashing
    assert faults(reading) == []


async def test_teamredminer_is_asked_as_sgminer_is(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST, tree.amd_card(0, "01"), tree.amd_card(1, "0c"))
    async with program(MiningProgram.TEAMREDMINER, sgminer(replies.TEAMREDMINER)) as spec:
        reading = await local(tmp_path, spec).read(Depth.SLOW)
    assert [(b.hashrate_hs, b.hashrate_2_hs) for b in reading.moving.boards] == [
        (61e6, 5e5),
        (60.5e6, 4e5),
    ]
    assert faults(reading) == []


async def test_a_card_that_falls_off_is_a_fault_and_stays_in_the_list(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    sensors = Sensors("01", "05")
    driver = local(tmp_path, nvidia=sensors)
    assert faults(await driver.read(Depth.SLOW)) == []
    sensors.found = look_at("05")
    reading = await driver.read(Depth.SLOW)
    assert [(b.index, b.bus_id, b.name, b.state) for b in reading.moving.boards] == [
        (0, "0000:01:00.0", "RTX 3080", "bad"), (1, "0000:05:00.0", "RTX 3080", "ok"),
    ]  # fmt: skip
    assert faults(reading) == ["gpu_lost"]
    assert reading.slow is not None
    assert "0000:01:00.0" in reading.slow.faults[0].text
    assert reading.moving.power_w == 220
    sensors.found = look_at("01", "05")
    assert faults(await driver.read(Depth.SLOW)) == []


async def test_a_card_that_a_program_names_and_no_sensor_shows_is_one_too(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    async with program(MiningProgram.LOLMINER, website(SERVED[MiningProgram.LOLMINER])) as spec:
        reading = await local(tmp_path, spec, nvidia=Sensors("01")).read(Depth.SLOW)
        assert faults(reading) == ["gpu_lost"]
        assert [b.state for b in reading.moving.boards] == ["ok", "bad"]
        # Without any sensors nothing contradicts the program.
        reading = await local(tmp_path, spec, nvidia=NoDriver()).read(Depth.SLOW)
        assert faults(reading) == []
        assert [(b.bus_id, b.temp_chip_c) for b in reading.moving.boards] == [
            ("0000:01:00.0", 55), ("0000:0c:00.0", 60),
        ]  # fmt: skip


class NoDriver(Sensors):
    def __init__(self) -> None:
        self.found = look_at(state=SensorState.ABSENT)


async def test_sensors_that_hang_are_one_fault_and_no_card_is_called_lost(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    sensors = Sensors("01", "05")
    driver = local(tmp_path, nvidia=sensors)
    await driver.read(Depth.SLOW)
    sensors.found = CardLook(source=NVIDIA, state=SensorState.FAILED, trouble="NVML hangs")
    reading = await driver.read(Depth.SLOW)
    assert faults(reading) == ["gpu_sensors_failed"]
    assert [(b.name, b.state) for b in reading.moving.boards] == [("RTX 3080", None)] * 2


async def test_a_driver_that_is_gone_is_one_fault_and_no_card_is_called_lost(
    tmp_path: Path,
) -> None:
    tree.plant(tmp_path, tree.HOST)
    sensors = Sensors("01", "05")
    async with program(MiningProgram.TREX, website(SERVED[MiningProgram.TREX])) as spec:
        driver = local(tmp_path, spec, nvidia=sensors)
        await driver.read(Depth.SLOW)
        sensors.found = look_at(state=SensorState.ABSENT)
        for _ in range(2):
            reading = await driver.read(Depth.SLOW)
            assert faults(reading) == ["gpu_sensors_failed"]
            assert [b.hashrate_hs for b in reading.moving.boards] == [50.5e6, 0.0]


async def test_files_that_were_not_read_make_no_card_a_lost_one(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST, tree.amd_card(1, "0c"))
    blocked: list[str] = []

    def read(path: str) -> bytes:
        return b"" if any(each in path for each in blocked) else read_file(path)

    driver = local(tmp_path)
    reach = driver.rig_wire.reach = LocalReach(LocalSpec(root=str(tmp_path)), read=read)
    await driver.read(Depth.SLOW)
    for name, codes in (("uevent", ["gpu_sensors_failed"]), ("temp2_input", [])):
        blocked[:] = [name]
        reach._blocked = {str(p) for p in tmp_path.rglob(name) if "card1" in str(p)}
        reading = await driver.read(Depth.SLOW)
        assert faults(reading) == codes
        assert [b.bus_id for b in reading.moving.boards] == ["0000:0c:00.0"]


async def test_a_card_that_no_program_mines_on_has_a_rate_of_zero(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    async with program(MiningProgram.TREX, website(SERVED[MiningProgram.TREX])) as spec:
        reading = await local(tmp_path, spec, nvidia=Sensors("01", "05")).read()
    assert [b.hashrate_hs for b in reading.moving.boards] == [50.5e6, 0.0]
    idle = await local(tmp_path, nvidia=Sensors("01")).read()
    assert (idle.moving.boards[0].hashrate_hs, idle.moving.hashrate_hs) == (None, None)


async def test_cards_behind_one_bus_are_told_apart_by_their_order(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    sensors = Sensors()
    sensors.found = CardLook(
        source=NVIDIA,
        state=SensorState.READ,
        cards=(CardSensors(bus_id="0000:01:05.0"), CardSensors(bus_id="0000:01:06.0")),
    )
    reply = replies.TREX | {
        "gpus": [replies.TREX["gpus"][0], replies.TREX["gpus"][0] | {"hashrate": 7}]
    }
    async with program(MiningProgram.TREX, website({"/summary": reply})) as spec:
        reading = await local(tmp_path, spec, nvidia=sensors).read(Depth.SLOW)
    assert [b.hashrate_hs for b in reading.moving.boards] == [50.5e6, 7]
    assert faults(reading) == []


async def test_a_pool_that_is_gone_is_a_fault_and_no_hashing(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    gone = {
        "connection": {"pool": "p:1", "uptime": 0, "ip": None},
        "hashrate": {"total": [7.55, None, None]},
    }
    pages = {"/2/summary": replies.XMRIG | gone, "/2/backends": replies.XMRIG_BACKENDS}
    async with program(MiningProgram.XMRIG, website(pages)) as spec:
        reading = await local(tmp_path, spec).read(Depth.SLOW)
    assert (reading.is_hashing, faults(reading)) == (False, ["pool_lost"])
    assert [(p.status, p.active) for p in reading.moving.pools] == [("dead", False)]


async def test_a_whole_that_its_cards_contradict_is_not_believed(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    pages = {"/summary": replies.TREX | {"hashrate": 50.5}}
    async with program(MiningProgram.TREX, website(pages)) as spec:
        reading = await local(tmp_path, spec, nvidia=Sensors("01")).read(Depth.SLOW)
    moving = reading.moving
    assert (moving.hashrate_hs, moving.boards[0].hashrate_hs) == (None, None)
    assert (moving.works[0].hashrate_hs, moving.works[0].accepted) == (None, 9)
    assert "T-Rex" in (moving.hashrate_doubt or "")
    assert (faults(reading), reading.is_hashing) == (["rate_unit_doubtful"], True)


BAD: dict[str, Any] = {
    "a page": answers(page(b"<html><body>not found</body></html>")),
    "a gigabyte": answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 65536),
    "no length": answers(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 600_000),
    "too long": answers(page(b'{"gpus": [], "more": "' + b"x" * 600_000 + b'"}')),
    "NaN": answers(page(b'{"gpus": [{"hashrate": NaN}]}')),
    "nested": answers(page(b'{"gpus":' + b"[" * 100_000)),
    "an error": answers(page(b"", "500 Oops")),
    "hangs": hangs, "drips": drips, "endless": endless,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_a_program_that_answers_nonsense_is_a_fault_and_the_rest_is_read(
    tmp_path: Path, name: str
) -> None:
    tree.plant(tmp_path, tree.HOST, tree.amd_card(1, "0c"))
    async with AsyncExitStack() as on:
        bad = await on.enter_async_context(program(MiningProgram.TREX, BAD[name]))
        good = await on.enter_async_context(
            program(MiningProgram.XMRIG, website(SERVED[MiningProgram.XMRIG]))
        )
        driver = local(tmp_path, bad, good)
        begun = driver.clock.mono()
        reading = await driver.read(Depth.SLOW)
        assert driver.clock.mono() - begun < 8
    assert faults(reading) == ["program_unread"]
    assert [(b.part, b.hashrate_hs) for b in reading.moving.boards] == [(GPU, None), (CPU, 9500.5)]


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_wrong_token_is_told_without_the_token(tmp_path: Path, token: str | None) -> None:
    tree.plant(tmp_path, tree.HOST)
    pages = website(SERVED[MiningProgram.XMRIG], "right")
    async with program(MiningProgram.XMRIG, pages, token) as spec:
        reading = await local(tmp_path, spec).read(Depth.SLOW)
        assert "wrong" not in repr(spec)
    assert reading.slow is not None
    assert [f.code for f in reading.slow.faults] == ["program_unread"]
    assert "token" in reading.slow.faults[0].text


async def test_a_program_that_does_not_run_is_away(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    away = ProgramSpec(kind=MiningProgram.RIGEL, port=1)
    reading = await local(tmp_path, away).read(Depth.SLOW)
    assert (faults(reading), reading.moving.works, reading.is_hashing) == (
        ["program_away"],
        (),
        None,
    )


async def test_a_folder_that_is_no_host_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="root"):
        await local(tmp_path).read()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Light(on=True), "has no light"),
        (Pools(pools=()), "change its playbook"),
        (Mode(mode=PowerMode.LOW), "set a power limit"),
        (FirmwareUpdate(path="/dev/null"), "has no firmware"),
    ],
)
async def test_a_change_that_no_rig_takes_says_why_and_what_to_do(
    tmp_path: Path, change: AnyChange, words: str
) -> None:
    tree.plant(tmp_path, tree.HOST)
    driver = local(tmp_path)
    await driver.identify()
    with pytest.raises(UnsupportedError, match=words):
        await driver.plan(change)


async def test_a_rig_that_cannot_be_told_from_another_is_only_read(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    (tmp_path / "proc/net/route").unlink()
    driver = local(tmp_path)
    assert (await driver.identify()).drivable  # by its machine-id
    (tmp_path / "etc/machine-id").unlink()
    driver = local(tmp_path)
    await driver.identify()
    assert driver.capabilities is None
    with pytest.raises(UnsupportedError, match="cannot be told from another"):
        await driver.plan(Suspend())


@pytest.mark.real_time
async def test_a_rig_by_ssh_reads_as_the_same_one_locally(tmp_path: Path) -> None:
    root = tree.plant(tmp_path / "root", tree.HOST, tree.amd_card(1, "0c"))
    async with AsyncExitStack() as on:
        rig = await on.enter_async_context(ssh_rig(tmp_path / "keys", root))
        rig.commands["nvidia-smi"] = says(
            "00000000:01:00.0, RTX 3080, 65, [N/A], [N/A], [N/A], [N/A], 220.00\n"
        )
        specs = [
            await on.enter_async_context(program(MiningProgram.LOLMINER, website(SERVED[MiningProgram.LOLMINER]))),
            await on.enter_async_context(program(MiningProgram.TEAMREDMINER, sgminer(replies.TEAMREDMINER))),
        ]  # fmt: skip
        there, here = rig_of(rig.spec(), *specs), local(root, *specs, nvidia=Sensors("01"))
        far, near = await there.read(Depth.FULL), await here.read(Depth.FULL)
        assert (far.moving, far.slow, far.static, far.mac) == (
            near.moving,
            near.slow,
            near.static,
            near.mac,
        )
        assert await there.identify() == await here.identify()
        assert await there.who() == await here.who()
        assert rig.seen.count("connection") == 1
        await there.rig_wire.reach.close()


@pytest.mark.real_time
async def test_without_nvidia_smi_it_is_asked_for_seldom(tmp_path: Path) -> None:
    root = tree.plant(tmp_path / "root", tree.HOST)
    async with ssh_rig(tmp_path / "keys", root) as rig:
        rig.commands["nvidia-smi"] = says("", 127)
        driver = rig_of(rig.spec())
        for _ in range(3):
            assert faults(await driver.read(Depth.SLOW)) == []
        assert rig.seen.count("nvidia-smi") == 1
        await driver.rig_wire.reach.close()


@pytest.mark.real_time
async def test_an_nvidia_smi_that_hangs_is_not_begun_again_with_each_look(tmp_path: Path) -> None:
    """Each that hangs in the driver of a card stays on the rig for good."""
    root = tree.plant(tmp_path / "root", tree.HOST)
    gone = asyncio.Event()

    async def hang(process: Any) -> None:
        del process
        await gone.wait()

    async with ssh_rig(tmp_path / "keys", root) as rig:
        rig.commands["nvidia-smi"] = hang
        driver = rig_of(rig.spec(), timing=Timing(read_s=2.0))
        for _ in range(3):
            assert faults(await driver.read(Depth.SLOW)) == ["gpu_sensors_failed"]
        assert rig.seen.count("nvidia-smi") == 1
        assert rig.seen.count("connection") <= 2
        gone.set()
        await driver.rig_wire.reach.close()


async def test_cancelled_readings_leave_the_wire_free(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await hangs(reader, writer)

    async with program(MiningProgram.TREX, silent) as spec:
        driver = local(tmp_path, spec)
        reading = asyncio.create_task(driver.read())
        await asked.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not driver.wire.is_busy


async def test_a_rig_is_of_one_model_for_its_driver_and_for_whoever_is_told_of_it(
    tmp_path: Path,
) -> None:
    tree.plant(tmp_path, tree.HOST, tree.amd_card(1, "0c"))
    driver = local(tmp_path, nvidia=Sensors("01", "02"))
    assert (await driver.identify()).model == "RTX 3080 x2, RX 6800 XT"
    reading = await driver.read(Depth.FULL)
    assert reading.static is not None
    assert reading.static.model == driver.identity.model
    assert reading.static.control_board == "Supermicro X10DRL-i 1.01"


async def test_cards_that_an_earlier_process_saw_are_missed(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    before = local(tmp_path, nvidia=Sensors("01", "02"))
    await before.read(Depth.FULL)
    driver = local(tmp_path, nvidia=Sensors("02"))
    driver.expect(before.seen)
    assert (await driver.identify()).model == "RTX 3080 x2"
    assert faults(await driver.read(Depth.FULL)) == ["gpu_lost"]


async def test_a_card_that_is_ignored_is_neither_read_nor_missed(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST, tree.amd_card(1, "0c"))
    async with program(MiningProgram.LOLMINER, website(SERVED[MiningProgram.LOLMINER])) as lol:
        driver = rig_of(
            LocalSpec(root=str(tmp_path)), lol, ignored_cards=("0000:01:00.0", "0000:09:00.0")
        )
        driver._nvml = Sensors("01")
        driver.expect({"0000:09:00.0": SeenCard(source=NVIDIA)})
        reading = await driver.read(Depth.FULL)
    assert [board.bus_id for board in reading.moving.boards] == ["0000:0c:00.0"]
    assert faults(reading) == []


async def test_a_rig_that_was_told_to_pause_sleeps(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    summary = SERVED[MiningProgram.XMRIG]["/2/summary"] | {"paused": True}
    pages = SERVED[MiningProgram.XMRIG] | {"/2/summary": summary}
    async with program(MiningProgram.XMRIG, website(pages)) as xmrig:
        reading = await local(tmp_path, xmrig).read(Depth.FULL)
    assert reading.slow is not None
    assert reading.slow.mode is PowerMode.SLEEP


async def test_programs_that_hang_do_not_make_a_look_late(tmp_path: Path) -> None:
    tree.plant(tmp_path, tree.HOST)
    async with AsyncExitStack() as on:
        hung = [await on.enter_async_context(program(MiningProgram.TREX, hangs)) for _ in range(6)]
        driver = local(tmp_path, *hung)
        began = driver.clock.mono()
        reading = await driver.read(Depth.FULL)
    assert driver.clock.mono() - began < 3 * driver.timing.read_s
    assert faults(reading) == ["program_unread"] * 6
