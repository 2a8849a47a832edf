"""Rigs on the way to the monitor: what they are, what they do, and when; over real sockets, to the strict server."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from structlog.testing import capture_logs

from agent.config.file import Config, ConfigError, parse
from agent.sinks.rigmonitor.checkup import check_monitor
from agent.sinks.rigmonitor.machines import machines_of
from agent.sinks.rigmonitor.reports import CARDS_LEFT_OUT, REFUSED_WAIT_S
from agent.sinks.rigmonitor.rig_records import cards_beyond
from contract.miner import Moving
from contract.rigmonitor.shared import MachineKind
from tests.agent.rigmonitor.rig_stage import CARDS, CODE, MOVING, NAME, STATIC, rig_stage
from tests.agent.rigmonitor.strict_rigs import playbook
from tests.agent.rigmonitor.strict_server import strict_server

KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvSxsxFkdOjfyNN1RaFDfVVWdpOdpz3CMAv1QVpy3oG"


async def test_a_rig_is_told_of_by_its_name_in_the_house(tmp_path: Path) -> None:
    known = {"gpu_1": {"coin_name": "Ravencoin", "wallet_address": "RXa"}}
    async with rig_stage(tmp_path, of_rig=known) as at:
        at.see()
        body = await at.until_logged()
        assert at.rig.specs == [
            {
                "motherboard_name": "Supermicro X10DRL-i 1.01",
                "cpu_name": "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz",
                "ram_size": "126GB",
                "gpu_1_name": "RTX 3080",
                "gpu_2_name": "RTX 3080",
            }
        ]
        assert (body["gpu_2_hashrate_1"], body["gpu_hashrate_uom_1"]) == (60_520, "KH/s")
        assert (body["gpu_coin_name_1"], body["gpu_wallet_address_1"]) == ("Ravencoin", "RXa")
        assert (body["cpu_hashrate"], body["cpu_coin_name"]) == (9563, "Monero")
        assert (body["lan_ip"], body["uptime"]) == ("192.168.18.60", "00:01:01:01")
        assert "wan_ip" not in body
        assert at.monitor.state == "ok"
        assert at.server.header_names == {"API_CODE"}
        # no code of a rig is good where ASICs are asked for
        assert {path for path, _ in at.server.replies} == {"specs", "logs"}


@pytest.mark.parametrize(("every_s", "least", "most"), [(30.0, 27.0, 33.0), (60.0, 54.0, 66.0)])
async def test_logs_go_out_on_schedule(
    tmp_path: Path, every_s: float, least: float, most: float
) -> None:
    async with rig_stage(tmp_path, log_every_s=every_s) as at:
        at.see()
        await at.until_logged(6)
        times = at.rig.log_times
        gaps = [after - before for before, after in pairwise(times)]
        assert all(least - 0.5 <= gap <= most + 0.5 for gap in gaps), gaps
        assert len(at.rig.specs) == 1


async def test_specs_go_out_again_when_they_changed_and_after_a_401_that_ended(
    tmp_path: Path,
) -> None:
    async with rig_stage(tmp_path) as at:
        at.see()
        await at.until_logged()
        at.see(msgspec.structs.replace(MOVING, boards=CARDS[:1]))
        await at.until_logged()
        assert [spec.get("gpu_2_name") for spec in at.rig.specs] == ["RTX 3080", None]
        at.server.mood = "refusing"
        await at.clock.sleep(60)
        assert "code not known to the monitor (401)" in at.monitor.state
        at.server.mood = "well"
        await at.clock.sleep(REFUSED_WAIT_S * 1.2)
        await at.until_logged()
        assert len(at.rig.specs) == 3
        assert at.monitor.state == "ok"


async def test_an_idle_rig_is_told_of_without_any_group(tmp_path: Path) -> None:
    async with rig_stage(tmp_path) as at:
        at.see(Moving(temp_cpu_c=35.0, uptime_s=10.0), static=None)
        body = await at.until_logged()
        assert body == {"cpu_temp": 35, "lan_ip": "192.168.18.60", "uptime": "00:00:00:10"}
        assert at.rig.specs == []  # not before it was read what it is
        at.see(Moving(temp_cpu_c=35.0, uptime_s=40.0), static=STATIC)
        await at.until_logged()
        assert len(at.rig.specs) == 1


async def test_a_rig_of_more_than_eight_cards_is_said_once(tmp_path: Path) -> None:
    cards = tuple(
        msgspec.structs.replace(CARDS[0], index=n, bus_id=f"0000:{n + 1:02x}:00.0")
        for n in range(10)
    )
    moving = msgspec.structs.replace(MOVING, boards=cards)
    assert cards_beyond(MOVING) is None
    assert cards_beyond(moving) == (
        "it has 10 graphics cards, and a Mining Rig Monitor is told of the first 8 by PCI bus id"
    )
    async with rig_stage(tmp_path) as at:
        with capture_logs() as logged:
            at.see(moving)
            body = await at.until_logged(4)
        assert body["gpu_8_hashrate_1"] == 60_520
        assert "10 graphics cards" in at.monitor.state
        (said,) = [each for each in logged if each["event"] == "rigmonitor.trouble"]
        assert (said["miner"], said["what"]) == (NAME, CARDS_LEFT_OUT)
        at.see()
        await at.until_logged()
        assert at.monitor.state == "ok"


async def test_a_coin_that_nobody_knows_is_said_with_its_key(tmp_path: Path) -> None:
    works = (msgspec.structs.replace(MOVING.works[0], algorithm="qhash"), MOVING.works[1])
    async with rig_stage(tmp_path) as at:
        at.see(msgspec.structs.replace(MOVING, works=works))
        body = await at.until_logged()
        assert "gpu_1_hashrate_1" not in body
        assert body["gpu_1_core_temp"] == 65
        assert body["cpu_hashrate"] == 9563
        assert (
            "gpu_1: no coin is known; set its coin_name in [[rigmonitor.rig]]" in at.monitor.state
        )


# --- the config ---


def with_rigs(section: dict[str, Any]) -> Config:
    """`rig-7` is this host, `rig-8` one in the network."""
    by_ssh = {
        "name": "rig-8",
        "reach": "ssh",
        "host": "192.168.18.61",
        "user": "miner",
        "key_file": "key",
        "host_key": KEY,
    }
    return parse({"rigs": [{"name": NAME, "reach": "local"}, by_ssh], "rigmonitor": section})


def test_the_codes_of_rigs_stand_in_the_table_by_their_names(tmp_path: Path) -> None:
    codes = tmp_path / "codes"
    codes.write_text("rig-7 code-1\n02:11:22:33:44:55 code-2\n")
    codes.chmod(0o600)
    section = {"url": "http://127.0.0.1:4000", "codes_file": str(codes)}
    rig, asic = machines_of(with_rigs(section | {"rig": [{"name": NAME}]}).rigmonitor)
    assert (rig.key, rig.kind, rig.code.text) == (NAME, MachineKind.RIG, "code-1")
    assert asic.kind is MachineKind.ASIC
    with pytest.raises(ConfigError, match=r"line 1: begins with neither"):
        machines_of(with_rigs(section).rigmonitor)
    with pytest.raises(ConfigError, match=r"rigmonitor\.rig rig-8 has no code"):
        machines_of(with_rigs(section | {"rig": [{"name": NAME}, {"name": "rig-8"}]}).rigmonitor)


@pytest.mark.parametrize(
    ("rigs", "words"),
    [
        ([{"name": NAME}, {"name": NAME}], "same rig"),
        ([{"name": NAME, "playbooks": True}, {"name": "b", "playbooks": True}], "of this host"),
        ([{"name": NAME, "cpu": {"coin": "Monero"}}], "coin"),
        ([{"name": "rig-9"}], r"'rig-9', which is no rig in \[\[rigs\]\]"),
        ([{"name": "rig-8", "playbooks": True}], "is not this host"),
    ],
)
def test_a_mistake_in_an_entry_is_named(rigs: list[object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        with_rigs({"rig": rigs})


async def test_the_doctor_asks_for_rigs_where_rigs_are_known(tmp_path: Path) -> None:
    codes = tmp_path / "codes"
    codes.write_text(f"rig-7 {CODE}\nrig-8 other\n02:11:22:33:44:55 code-2\n")
    codes.chmod(0o600)
    async with strict_server() as server:
        server.rigs.add(CODE, is_locked=True)
        server.add("code-2")
        section = {
            "url": server.url,
            "codes_file": str(codes),
            "rig": [{"name": NAME, "playbooks": True}, {"name": "rig-8"}],
            "rig_service_socket": str(tmp_path / "nobody"),
        }
        found = await check_monitor(with_rigs(section))
        assert [(each.level, each.text) for each in found[:3]] == [
            ("ok", f"{server.url} answers"),
            ("warning", "it does not know the code of rig-8: copy it again from its web page"),
            ("ok", "it knows the codes of 2 of 3 miners"),
        ]
        assert found[3].level == "warning"
        assert found[3].text.startswith("no playbook is carried out: no miner-agent-rig listens")
        assert server.faults == []


async def test_the_doctor_tells_what_of_the_playbooks_is_not_carried_out(tmp_path: Path) -> None:
    async with rig_stage(tmp_path, of_rig={"playbooks": True}) as at:
        at.service.dies["T-Rex"] = "exited with 1"
        at.rig.playbooks = [playbook(), playbook(61, software_name="T-Rex")]
        await at.until_asked()
        section = {
            "url": at.server.url,
            "rig_service_socket": str(at.service.path),
            "rig": [{"name": NAME, "api_code_file": str(tmp_path / "code"), "playbooks": True}],
        }
        found = await check_monitor(with_rigs(section))
        assert [(each.level, each.text) for each in found[1:]] == [
            ("ok", "it knows the codes of 1 of 1 miners"),
            ("ok", "miner-agent-rig answers; programs that it knows: 2"),
            ("warning", "T-Rex does not run: exited with 1"),
        ]
