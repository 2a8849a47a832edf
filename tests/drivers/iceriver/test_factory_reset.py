"""A factory reset is one number away from a reboot: nothing that is asked of this driver ever sends it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, Final

import pytest

from contract.errors import MinerError, PolicyRefusedError
from contract.miner import PowerMode
from drivers.base import (
    AnyChange,
    Depth,
    FirmwareUpdate,
    Light,
    Mode,
    NoChange,
    Pools,
    PoolSetting,
    Reboot,
    Resume,
    Suspend,
)
from drivers.iceriver.protocol import daemon, web
from tests.drivers.iceriver.stage import WRITABLE, Stage, stage

URL: Final = "stratum+tcp://pool.example:3333"
_RESET: Final = re.compile(rb"(?:^|[?&\s])post=2(?:&|\s|$)")


def every_change(on: Stage, folder: Path) -> list[AnyChange]:
    """Each kind of change with each parameter it takes, and with ones it does not."""
    path = folder / on.miner.image_name
    path.write_bytes(on.miner.newer_image())
    texts = ("2", "post=2", "&post=2", "x&post=2&y=1", "post=2\r\n", '","id":"resetfactory"', "%32")
    return [
        *(Light(on=on_) for on_ in (True, False, True)),
        *(Mode(mode=mode) for mode in (*PowerMode, PowerMode.SLEEP)),
        *(Mode(preset=text) for text in texts),
        Suspend(),
        Resume(),
        *(Pools(pools=(PoolSetting(url=URL, user=text, password=text),)) for text in texts),
        *(Pools(pools=(PoolSetting(url=f"{URL}/{text}", user="u"),) * 3) for text in texts),
        Reboot(),
        Reboot(force=True),
        *(FirmwareUpdate(path=str(path), target_version=text) for text in (None, *texts)),
        *(FirmwareUpdate(path=text) for text in texts),
    ]


def resets(on: Stage) -> list[bytes]:
    """What was sent on any port that could be taken for the order."""
    return [entry.data for entry in on.miner.wire_log if is_reset(entry.kind, entry.data)]


def is_reset(kind: str, data: bytes) -> bool:
    """Whether a request, in the query or in the body, could be read as the order."""
    if kind == "daemon":
        return b"resetfactory" in data.replace(b'\\"', b'"')
    head, _, body = data.partition(b"\r\n\r\n")
    line = head.partition(b"\r\n")[0]
    return b"/user/userpanel" in line and bool(_RESET.search(line) or _RESET.search(body))


@pytest.mark.parametrize("key", [*WRITABLE, "ks0"])
async def test_no_change_with_any_parameter_sends_it(key: str, tmp_path: Path) -> None:
    async with stage(key, "ignores") as on:
        on.miner.tapped = True
        changes = every_change(on, tmp_path)
        faults = (None, "no_error_key", "login_page")
        for change, fault, mode in itertools.product(changes, faults, ("normal", "sleep")):
            on.miner.mode = mode
            on.faults.replace(["ignores"])
            try:
                plan = await on.driver.plan(change)
                if fault:
                    on.faults.add(fault, times=1)
                if not isinstance(plan, NoChange):
                    await on.driver.apply(plan, on.effect())
            except MinerError:
                continue  # refused, or lost: what was sent is looked at below
        for depth in Depth:
            await on.driver.read(depth)
        await on.driver.identify()
        await on.driver.get_log(tmp_path, size_cap_bytes=100_000)
        sent = b"".join(entry.data for entry in on.miner.wire_log)
        for action in (b"userpanel", b"machineconfig", b"firconfig"):
            assert action in sent
        assert resets(on) == []
        for phase in ("received", "applied", "rejected"):
            assert on.ledger("factory_reset", phase=phase) == []
        assert on.miner.boot == 1


async def test_what_the_test_above_looks_for_is_seen_when_it_is_sent() -> None:
    async with stage("ks5l") as on:
        on.miner.tapped = True
        effect: Any = on.effect()
        wire, endpoint = on.driver.wire, on.driver.endpoint
        from drivers.protocol.http import ResponseDecoder, build_request

        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = build_request(
            "POST", "/user/userpanel", endpoint.host, headers=headers, body=b"post=2"
        )
        await wire.exchange(
            endpoint.http_port,
            request,
            ResponseDecoder(body_cap_bytes=4096),
            deadline_s=5.0,
            cap_bytes=8192,
            effect=effect,
        )
        assert len(resets(on)) == 1
        assert len(on.ledger("factory_reset", phase="received")) == 1


async def test_the_codecs_refuse_it_and_all_else_that_is_not_one_of_our_changes() -> None:
    async with stage("ks5l") as on:
        on.miner.tapped = True
        effect = on.effect()
        refused = [
            ("userpanel", 2),
            ("userpanel", 6),
            ("ipconfig", 2),
            ("systemconfig", 2),
            ("logconfig", 2),
            ("userpanel", 33),
        ]
        for action, post in refused:
            with pytest.raises(PolicyRefusedError):
                await on.driver.web.order(action, post, {}, effect)
        for action, post in [*refused, ("userpanel", 3), ("userpanel", 5), ("machineconfig", 3)]:
            with pytest.raises(PolicyRefusedError):
                await on.driver.web.ask(action, post)
        for command in ("resetfactory", "changepass", "setnet", "setchip", "firmupdate"):
            with pytest.raises(PolicyRefusedError):
                await on.driver.daemon.order(command, effect)
            with pytest.raises(PolicyRefusedError):
                await on.driver.daemon.ask(command)
        assert not on.miner.wire_log
        assert effect.sent == 0


def test_the_reset_is_in_no_list_of_what_may_be_sent() -> None:
    assert ("userpanel", 2) not in web.READS | web.ORDERS
    assert "resetfactory" not in daemon.READS | daemon.ORDERS
    source = Path(web.__file__).parent
    for path in source.glob("*.py"):
        text = path.read_text("utf-8")
        assert '"resetfactory"' not in text, path
        assert not re.search(r'"userpanel",\s*2\b', text), path
