"""One simulated miner with `miner-agent act` beside it, as its operator would run it by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from agent.demo.play import serve_images
from contract.task import TaskName
from simulator.farm import Farm
from tests.warm import started

PACE: Final = 100.0
POOLS: Final = [
    {"url": "stratum+tcp://pool.example.com:3333", "user": "farm.{ip4}", "password": "secret"},
    {"url": "stratum+tcp://backup.example.com:3333", "user": "farm.backup", "password": "x"},
]
# The ledger's side of an effect (its action, and the facts before or after), as the evidence words it.
AsShown = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


def _as_it_is(action: str, facts: Mapping[str, Any]) -> Mapping[str, Any]:
    del action
    return facts


class Acting:
    """The miner, and the command line beside it."""

    def __init__(self, farm: Farm, folder: Path, images_url: str, as_shown: AsShown) -> None:
        self.farm = farm
        self.miner: Any = farm.miners[0]
        self.image_url = f"{images_url}/{self.miner.image_name}"  # its next firmware
        self._as_shown = as_shown
        self._config = folder / "config.toml"
        self._logs = folder / "logs"
        lines = {f"{kind}_port": number for kind, number in farm.ports.items()}
        lines["device_pace"] = int(PACE)
        text = "\n".join(f"{name} = {value}" for name, value in lines.items())
        self._config.write_text(
            f"[state]\ndir = '{folder / 'state'}'\n[firmware]\nallowed = ['127.0.0.1']\n[miners]\n{text}\n"
        )

    async def act(
        self, name: str, params: Mapping[str, Any] | None = None, *, code: int = 0
    ) -> dict[str, Any]:
        """The result of one task; `code` is the exit code it must end with."""
        process = await started(
            "agent.cli.app", "act", self.miner.ip, name, "--params", json.dumps(params or {}),
            "--config", self._config, "--logs", self._logs, "--json",
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == code, (out, err)
        result: dict[str, Any] = json.loads(out.decode().splitlines()[-1])["result"]
        return result

    def applied(self, action: str) -> list[dict[str, Any]]:
        return self.farm.ledger.of(action=action, phase="applied")

    def received(self) -> int:
        return len(self.farm.ledger.of(phase="received"))

    def check(self, action: str, result: Mapping[str, Any]) -> None:
        """One effect of that kind so far, and the evidence agrees with the ledger field by field."""
        (line,) = self.applied(action)
        evidence = result["evidence"]
        for side in ("before", "after"):
            for name, value in self._as_shown(action, line[side]).items():
                assert evidence[side][name] == value, (side, name, evidence)

    async def done(self, name: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result of a task that is done and proven."""
        result = await self.act(name, params)
        assert (result["outcome"], result["verified"]) == ("done", True), result
        return result

    async def check_pools(self) -> None:
        """New pools are set and proven, and no password is in the proof."""
        result = await self.done(TaskName.POOLS, {"pools": POOLS})
        self.check("pools", result)
        assert "secret" not in json.dumps(result)

    async def check_mode(self, mode: str) -> None:
        """A power mode is set and proven; asked for again, it is there already and nothing is sent."""
        wished = {"mode": mode}
        self.check("mode", await self.done(TaskName.POWER_MODE, wished))
        received = self.received()
        again = await self.act(TaskName.POWER_MODE, wished)
        assert (again["outcome"], self.received()) == ("done", received)

    async def check_switch(self) -> None:
        """Mining is switched off and on again, each proven and each sent once, whoever asks for it again."""
        for action in ("off", "on"):
            wished = {"action": action}
            await self.done(TaskName.MINING, wished)
            received = self.received()
            await self.done(TaskName.MINING, wished)
            assert self.received() == received

    async def check_reboot(self, shown_by: str) -> None:
        """Refused while it hashes, and done when forced: once, which the fall of `shown_by` proves."""
        refused = await self.act(TaskName.REBOOT, code=1)
        assert refused["error"]["code"] == "policy_refused"
        evidence = (await self.done(TaskName.REBOOT, {"force": True}))["evidence"]
        assert len(self.applied("reboot")) == 1
        assert evidence["after"][shown_by] < evidence["before"][shown_by]

    async def check_log(self) -> None:
        """The log is fetched as one file, of the size that is told."""
        log = await self.act(TaskName.LOG)
        (file,) = self._logs.iterdir()
        assert file.stat().st_size == log["file"]["size_bytes"] > 0

    async def check_firmware(self) -> dict[str, Any]:
        """Its next firmware is put on it, which restarts it once. Gives the result."""
        reboots = len(self.applied("reboot"))
        result = await self.done(TaskName.FIRMWARE, {"firmware_url": self.image_url})
        assert len(self.applied("reboot")) == reboots + 1
        return result

    async def check_unsupported(self, *modes: str) -> None:
        """These power modes, and locking its pools, are refused without a byte that would change it."""
        received = self.received()
        for mode in modes:
            result = await self.act(TaskName.POWER_MODE, {"mode": mode}, code=1)
            assert result["error"]["code"] == "unsupported_mode"
        lock = {"action": "lock", "url": "http://127.0.0.1/x"}
        result = await self.act(TaskName.POOL_LOCK, lock, code=1)
        assert result["error"]["code"] == "unsupported"
        assert self.received() == received


@asynccontextmanager
async def acting(
    spec: str, folder: Path, base: str, as_shown: AsShown = _as_it_is
) -> AsyncIterator[Acting]:
    """Set it up: `spec` as the simulator takes it (`whatsminer/m60s`)."""
    images = folder / "images"
    images.mkdir()
    farm = await Farm.start(spec, base=base, time_scale=PACE)
    try:
        async with serve_images(images) as url:
            on = Acting(farm, folder, url, as_shown)
            if (image := on.miner.newer_image()) is not None:
                (images / on.miner.image_name).write_bytes(image)
            yield on
    finally:
        await farm.stop()
