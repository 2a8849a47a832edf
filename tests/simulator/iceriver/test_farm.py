"""IceRivers among other makes: ports, default mix, the command, bad bytes."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from simulator.iceriver.catalogue import MIX, MODELS
from simulator.iceriver.device import ForeignIceriverDevice
from tests.simulator.iceriver.clients import act, ask, daemon, daemon_raw, panel


async def test_the_default_mix_is_every_stock_model_once(start):
    farm = await start(f"iceriver:{len(MIX)}")
    assert [miner.key for miner in farm] == list(MIX)
    assert set(MIX) == {key for key, model in MODELS.items() if not model.foreign}
    assert not any(isinstance(miner, ForeignIceriverDevice) for miner in farm)


async def test_makes_share_a_farm_each_on_its_own_ports(start):
    farm = await start("antminer:1,iceriver/ks3,whatsminer:1", daemon_port=0)
    assert len(set(farm.ports.values())) == len(farm.ports)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(farm.miners[0].ip, farm.ports["daemon"])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(farm.miners[1].ip, farm.ports["rpc"])
    assert (await panel(farm.miners[1]))["softver1"].endswith("_ks3_miner")


@pytest.mark.real_time
async def test_the_command_announces_the_daemons_port_and_writes_images_by_their_names(
    base, tmp_path
):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from simulator.cli import main; main()",
        "--make", "iceriver/ks3m,iceriver/ks0-pbfarmer", "--base", base, "--http-port", "0",
        "--rpc-port", "0", "--v3-port", "0", "--daemon-port", "0", "--firmware", str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        first, second = ready["miners"]
        assert first["daemon_port"] == ready["daemon_port"] != ready["http_port"]
        assert (first["generation"], first["foreign"]) == ("stock", False)
        assert (second["generation"], second["foreign"]) == ("pbfarmer", True)
        assert [path.name for path in tmp_path.iterdir()] == [first["image"]] == ["ks3m.bgz"]
        _, writer = await asyncio.open_connection(base, ready["daemon_port"])
        writer.close()
        process.terminate()
        await asyncio.wait_for(process.communicate(), 10)
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize(
    "line",
    [
        b'{"id":"\\ud800"}\n',
        b'{"id":"setpool","pools":[{"no":1,"addr":"\\ud800","user":"","pass":""}]}\n',
        b'{"id":"sethw","fan":{"control":true,"ratio":1e999},"mode":"sleep"}\n',
        b'{"id":"setnet","dhcp":1}\n',
        b'{"id":"firmupdate","file":7}\n',
        b"\xff\xfe{}\n",
        b"{" * 50_000 + b"\n",
        b'{"id":"setpool","pools":' + b"9" * 5000 + b"}\n",
        b"x" * 70_000,
    ],
)
async def test_bad_bytes_are_refused_and_harm_nothing(start, line):
    (miner,) = (await start("iceriver/ks5l")).miners
    assert b"code" in await daemon_raw(miner, line)
    assert (await daemon(miner, "hello"))["code"] == 0
    assert (await panel(miner))["online"] is True
    assert miner.ledger.of(phase="applied") == []


async def test_bad_forms_are_refused_and_harm_nothing(start):
    (miner,) = (await start("iceriver/ks5l")).miners
    for action in ("userpanel", "machineconfig", "ipconfig", "systemconfig", "firconfig"):
        for post in (2, 5, 6):
            if (action, post) != ("userpanel", 2):
                reply = await ask(miner, action, post, **{"\x00%": "\xff'\"{"})
                assert reply.get("error") != 0
    assert json.loads(await act(miner, "userpanel", 7))["error"] == 0
    assert miner.ledger.of(phase="applied") == []
