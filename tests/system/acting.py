"""One simulated miner with `miner-agent act` beside it, as its operator would run it by hand."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from agent.demo.play import serve_images
from simulator.farm import Farm

PACE: Final = 100.0


class Acting:
    """The miner, and the command line beside it."""

    def __init__(self, farm: Farm, folder: Path, images_url: str) -> None:
        self.farm = farm
        self.miner: Any = farm.miners[0]
        self.image_url = f"{images_url}/{self.miner.image_name}"  # its next firmware
        self._config = folder / "config.toml"
        self._logs = folder / "logs"
        lines = {f"{kind}_port": number for kind, number in farm.ports.items()}
        lines["device_pace"] = int(PACE)
        text = "\n".join(f"{name} = {value}" for name, value in lines.items())
        self._config.write_text(f"[state]\ndir = '{folder / 'state'}'\n[miners]\n{text}\n")

    async def act(
        self, name: str, params: Mapping[str, Any] | None = None, *, code: int = 0
    ) -> dict[str, Any]:
        """The result of one task; `code` is the exit code it must end with."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "act", self.miner.ip, name,
            "--params", json.dumps(params or {}), "--config", str(self._config),
            "--logs", str(self._logs), "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == code, (out, err)
        result: dict[str, Any] = json.loads(out.decode().splitlines()[-1])["result"]
        return result

    def applied(self, action: str) -> list[dict[str, Any]]:
        return self.farm.ledger.of(action=action, phase="applied")

    def received(self) -> int:
        return len(self.farm.ledger.of(phase="received"))

    def check(
        self,
        action: str,
        result: Mapping[str, Any],
        as_shown: Callable[[str, Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        """One effect of that kind so far, and the evidence agrees with the ledger field by field.

        `as_shown` gives the ledger's side of an effect as the evidence words it.
        """
        (line,) = self.applied(action)
        evidence = result["evidence"]
        for side in ("before", "after"):
            for name, value in as_shown(action, line[side]).items():
                assert evidence[side][name] == value, (side, name, evidence)


@asynccontextmanager
async def acting(spec: str, folder: Path, base: str) -> AsyncIterator[Acting]:
    """Set it up: `spec` as the simulator takes it (`whatsminer/m60s`)."""
    images = folder / "images"
    images.mkdir()
    farm = await Farm.start(spec, base=base, time_scale=PACE)
    try:
        async with serve_images(images) as url:
            on = Acting(farm, folder, url)
            if (image := on.miner.newer_image()) is not None:
                (images / on.miner.image_name).write_bytes(image)
            yield on
    finally:
        await farm.stop()
