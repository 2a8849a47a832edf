"""The log of a rig: journals of its units, files of its programs, capped."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.errors import MalformedError, MinerError, UnsupportedError, WrongDeviceError
from drivers.rig.entry import RIG
from tests.drivers.rig.stage import Stage

CAP = 8_000_000
stage = Stage.begin


def enrolled_as(on: Stage, **changed: Any) -> None:
    spec = on.driver.rig_wire.spec
    programs = tuple(msgspec.structs.replace(each, **changed) for each in spec.programs)
    spec = msgspec.structs.replace(spec, programs=programs)
    on.driver = RIG.enrolled(
        spec, clock=on.clock, timing=on.driver.timing, identity=on.driver.identity
    )


async def test_it_holds_the_journal_of_each_program(tmp_path: Path) -> None:
    async with stage("xmrig-and-lolminer") as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        text = Path(log.path).read_text()
        for words in ("==> xmrig: journal of xmrig.service <==", "XMRig/6.22.2", "lolMiner/1.88"):
            assert words in text
        assert (log.truncated, log.size_bytes) == (False, len(text.encode()))
        assert log.sha256 == hashlib.sha256(text.encode()).hexdigest()
        assert on.miner.mac.replace(":", "") in log.name
        assert not on.ledger()


async def test_it_holds_the_log_file_that_is_named_and_that_of_a_program_of_the_service(
    tmp_path: Path,
) -> None:
    async with stage("6xrtx3080-trex") as on:
        enrolled_as(on, log_file="/var/log/t-rex.log")
        text = Path((await on.driver.get_log(tmp_path, size_cap_bytes=CAP)).path).read_text()
        assert text.count("T-Rex/0.26.8") == 2
        enrolled_as(on, unit=None)
        on.miner.has_service = True
        text = Path((await on.driver.get_log(tmp_path, size_cap_bytes=CAP)).path).read_text()
        assert text.startswith("==> t-rex: /var/log/t-rex.log <==")
        assert text.count("T-Rex/0.26.8") == 1


async def test_it_is_cut_at_the_cap(tmp_path: Path) -> None:
    async with stage("xmrig-cpu") as on:
        with (on.miner.folder / "var/log/xmrig.log").open("a") as log_file:
            log_file.write("".join(f"line {n} {'x' * 900}\n" for n in range(200)))
        log = await on.driver.get_log(tmp_path, size_cap_bytes=20_000)
        data = Path(log.path).read_bytes()
        assert log.truncated
        assert len(data) == log.size_bytes <= 20_000


@pytest.mark.parametrize("fault", ["endless", "hangs"])
async def test_one_that_floods_or_hangs_ends_in_time(fault: str, tmp_path: Path) -> None:
    async with stage(
        "xmrig-cpu", {"fault": fault, "match": ["journalctl"], "ports": ["ssh"]}
    ) as on:
        begun = on.clock.mono()
        if fault == "endless":
            log = await on.driver.get_log(tmp_path, size_cap_bytes=100_000)
            assert log.truncated
            assert log.size_bytes == 100_000
        else:
            with pytest.raises(MalformedError):
                await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
            assert not [*tmp_path.iterdir()]
        assert on.clock.mono() - begun < 60


async def test_a_part_that_is_not_to_be_had_says_why_and_loses_no_other(tmp_path: Path) -> None:
    async with stage("xmrig-cpu") as on:
        enrolled_as(on, log_file="/var/log/none.log")
        text = Path((await on.driver.get_log(tmp_path, size_cap_bytes=CAP)).path).read_text()
        assert "XMRig/6.22.2" in text
        assert "No such file" in text
        enrolled_as(on, unit="other.service", log_file="/var/log/none.log")
        with pytest.raises(MinerError, match="No such file"):
            await on.driver.get_log(tmp_path / "second", size_cap_bytes=CAP)
        assert not [*(tmp_path / "second").iterdir()]


async def test_a_rig_without_programs_has_none(tmp_path: Path) -> None:
    async with stage("idle") as on:
        with pytest.raises(UnsupportedError, match="name them as `programs`"):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)


async def test_programs_of_which_no_log_is_known_say_so(tmp_path: Path) -> None:
    async with stage("6xrtx3080-trex") as on:
        enrolled_as(on, unit=None)
        with pytest.raises(UnsupportedError, match="name the `unit` or the `log_file`"):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert not [*tmp_path.iterdir()]


async def test_that_of_another_host_is_not_taken(tmp_path: Path) -> None:
    async with stage("xmrig-cpu") as on:
        await on.driver.rig_wire.reach.close()
        on.miner.tapped = True
        on.faults.add("changes_host_key")
        with pytest.raises(WrongDeviceError):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert on.miner.wire_log == []
        assert not [*tmp_path.iterdir()]
