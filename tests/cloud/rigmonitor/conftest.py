"""A cloud with one machine of the Mining Rig Monitor API, and the bodies of the published text, word for word."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from cloud.store.miners import rigs
from contract.rigmonitor.shared import MachineKind
from tests.cloud.conftest import Cloud

SPEC: Final[dict[str, Any]] = {
    "model": "Ice River KS5L",
    "model_variant": "12TH",
    "firmware_version": "BOOT_3_1_image_1.0",
    "software_version": "ICM168_3_2_10_ks5L_miner_ICM168_3_2_10_ks5L_bg",
}
_POOL: Final = "stratum+tcp://asia1.kaspa-pool.org:4441"
_USER: Final = "kaspa:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.worker_1"
LOG: Final[dict[str, Any]] = {
    "hashrate_5_min": 13135, "hashrate_30_min": 8642, "hashrate_uom": "GH/s",
    "pool_rejection_rate": 0.0001, "uptime": "07:23:50:20",
    "pool_1_address": _POOL, "pool_1_user": _USER, "pool_1_state": "Connected",
    "pool_1_accepted_share": 100000, "pool_1_rejected_share": 0,
    "pool_2_address": _POOL, "pool_2_user": _USER, "pool_2_state": "Unconnected",
    "pool_2_accepted_share": 0, "pool_2_rejected_share": 0,
    "pool_3_address": _POOL, "pool_3_user": _USER, "pool_3_state": "Unconnected",
    "pool_3_accepted_share": 0, "pool_3_rejected_share": 0,
    "hashboard_1_hashrate_5_min": 1234.56, "hashboard_1_hashrate_30_min": 1234.56,
    "hashboard_1_temp_1": 50, "hashboard_1_temp_2": 55,
    "hashboard_2_hashrate_5_min": 1234.56, "hashboard_2_hashrate_30_min": 1234.56,
    "hashboard_2_temp_1": 50, "hashboard_2_temp_2": 55,
    "hashboard_3_hashrate_5_min": 1234.56, "hashboard_3_hashrate_30_min": 1234.56,
    "hashboard_3_temp_1": 50, "hashboard_3_temp_2": 55,
    "fan_1_speed": 5855, "fan_2_speed": 5900, "fan_3_speed": 5900, "fan_4_speed": 5855,
    "lan_ip": "192.168.18.50", "wan_ip": "50.85.22.87", "coin_name": "Kaspa", "power": 3500,
}  # fmt: skip
SPEC_REQUIRED: Final = ("model", "firmware_version", "software_version")
LOG_REQUIRED: Final = (
    "hashrate_5_min", "hashrate_uom", "uptime", "pool_1_address", "pool_1_user", "pool_1_state",
    "fan_1_speed", "lan_ip", "coin_name", "power",
)  # fmt: skip


@dataclass
class Machine:
    """Speaks the API as a client would; `code` is what it was given."""

    cloud: Cloud
    id: str
    code: str
    operations: dict[str, Any] | None
    kind: MachineKind = MachineKind.ASIC

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any]:
        """Status and decoded body; the code goes along unless other headers are given."""
        headers = {"API_CODE": self.code} if headers is None else headers
        url = f"{self.cloud.base}/api/v1/{path}"
        async with self.cloud.http.request(method, url, headers=headers, **more) as answer:
            assert answer.content_type == "application/json"
            return answer.status, json.loads(await answer.read())

    async def specs(self, **changes: Any) -> tuple[int, Any]:
        return await self.call("POST", "asic_miners/specs", json=SPEC | changes)

    async def logs(self, **changes: Any) -> tuple[int, Any]:
        return await self.call("POST", "asic_miners/logs", json=LOG | changes)

    async def expected(self) -> Any:
        status, body = await self.call("GET", "asic_miners/expected_status")
        assert status == 200, body
        return body

    async def bulk(self, **lists: Any) -> tuple[int, Any]:
        return await self.call("POST", "asic_miners/expected_status_bulk", headers={}, json=lists)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        shape: str | None = None,
        **more: Any,
    ) -> tuple[int, Any]:
        """As an operator, below the farm; the answer is held against the published shape."""
        url = f"{self.at_farm}/{path}"
        headers = {"x-api-key": key or self.cloud.key}
        async with self.cloud.http.request(method, url, headers=headers, **more) as answer:
            body = await answer.json()
            if shape is not None and self.operations is not None:
                jsonschema.Draft202012Validator(self.operations[shape]["output"]).validate(body)
            return answer.status, body

    async def miner(self) -> Any:
        """The one miner of the farm as ListMiners shows it."""
        status, body = await self.ask("GET", "miner/latest", shape="ListMiners")
        assert status == 200, body
        [item] = body["data"]
        return item

    async def rig(self) -> Any:
        status, body = await self.ask("GET", f"rigs/{self.id}")
        assert status == 200, body
        return body["data"]

    @property
    def at_farm(self) -> str:
        cloud = self.cloud
        return f"{cloud.base}/private-api/v1/{cloud.workspace_id}/farms/{cloud.farm_id}"

    async def another(self, name: str = "KS-02", farm_id: str | None = None) -> Machine:
        row, code = await rigs.create_rig(
            self.cloud.store,
            farm_id or self.cloud.farm_id,
            name,
            self.cloud.clock.now(),
            kind=self.kind,
        )
        return Machine(self.cloud, row["id"], code, self.operations, self.kind)


@pytest.fixture(scope="session")
def operations() -> dict[str, Any] | None:
    """The published shapes of the Nonce API, where they are at hand."""
    folder = Path(os.environ.get("MINER_AGENT_PROTOCOLS", "../shared/protocols"))
    path = folder / "nonce-operations.json"
    if path.exists():
        shapes: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return shapes
    assert os.environ.get("MINER_AGENT_REQUIRE_ALL") != "1", f"{path} is missing"
    return None


@pytest.fixture
async def machine(cloud: Cloud, operations: dict[str, Any] | None) -> Machine:
    row, code = await rigs.create_rig(cloud.store, cloud.farm_id, "KS-01", cloud.clock.now())
    return Machine(cloud, row["id"], code, operations)


@pytest.fixture
async def rig(cloud: Cloud, operations: dict[str, Any] | None) -> Machine:
    """A CPU/GPU rig."""
    kind = MachineKind.RIG
    row, code = await rigs.create_rig(
        cloud.store, cloud.farm_id, "Rig Đà Nẵng 1", cloud.clock.now(), kind=kind
    )
    return Machine(cloud, row["id"], code, operations, kind)
