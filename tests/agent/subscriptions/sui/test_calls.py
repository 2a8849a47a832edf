"""The published calls with a Sui network behind them: bodies and codes, as with any ledger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config.file import ConfigError, parse
from agent.local.socket import LocalRefusedError
from agent.subscriptions.room import Subscriptions
from contract.clock import SystemClock
from contract.subscription.ids import object_id_text
from contract.subscription.rules import ABORT_BASE
from tests.agent.subscriptions.sui.fake.client import BADGES, fake_sui
from tests.agent.subscriptions.sui.machine import DATABASE, PACKAGE
from tests.agent.subscriptions.sui.site import Cloud, section
from tests.waiting import until

pytestmark = pytest.mark.real_time


@asynccontextmanager
async def room(url: str, folder: Path, link: Any) -> AsyncIterator[Subscriptions]:
    section(url, folder)  # for its keystore
    sui = {
        "graphql_url": url,
        "package_id": object_id_text(PACKAGE),
        "atoma_db": object_id_text(DATABASE),
        "keystore": "sui.keystore",
        "timeout_s": 10.0,
    }
    data = {"state": {"dir": "."}, "subscriptions": {"ledger": "sui", "sui": sui}}
    made = Subscriptions(parse(data, folder=folder), link, SystemClock())
    async with made.opened():
        yield made


async def call(made: Subscriptions, path: str, body: Any = None) -> tuple[int, Any]:
    method, text = ("GET", "") if body is None else ("POST", json.dumps(body))
    answer = await made.answered({"method": method, "path": path, "body": text})
    return answer.status, answer.document


async def test_the_published_calls_reach_the_network(tmp_path: Path) -> None:
    cloud = Cloud()
    terms = {"task_small_id": 1, "price_per_compute_unit": 10, "max_num_compute_units": 20}
    badge, _ = BADGES
    async with fake_sui("per_million") as fake, room(fake.url, tmp_path, cloud) as made:
        code, body = await call(made, "/task_subscribe", {**terms, "node_badge_id": badge})
        assert (code, list(body)) == (200, ["tx_digest"])
        code, found = await call(made, f"/transactions/{body['tx_digest']}")
        assert (code, found["status"], found["ledger"]) == (200, "success", "sui")
        code, (row,) = await call(made, "/subscriptions/1")
        assert (code, row["max_num_compute_units"], row["max_enforced_by"]) == (
            200,
            20,
            "control_plane",
        )
        code, body = await call(made, "/task_subscribe", terms)
        assert (code, body["error"]) == (500, "Failed to submit node task subscription tx")
        assert body["abort_code"] == ABORT_BASE + 16
        higher = {**terms, "price_per_compute_unit": 2**63 - 1}
        code, body = await call(made, "/task_update_subscription", {**higher, "node_small_id": 1})
        assert code == 422
        assert "price_per_compute_unit is at most" in body["error"]
        code, _ = await call(made, "/task_unsubscribe", {"task_small_id": 1, "node_small_id": 7})
        assert code == 422
        code, _ = await call(made, "/task_unsubscribe", {"task_small_id": 1, "node_small_id": 1})
        assert code == 200
        await until(lambda: len(cloud.taken) == 2)
        assert (await fake.look())["subscriptions"] == []
        with pytest.raises(LocalRefusedError, match="keystore"):
            await made.answered({"new_key": True})


async def test_what_keeps_it_from_taking_anything_is_a_notice(tmp_path: Path) -> None:
    async with fake_sui() as fake:
        section(fake.url, tmp_path).keystore.chmod(0o604)
        async with room(fake.url, tmp_path, Cloud()) as made:
            (notice,) = made.notices
            assert "No subscription can be changed" in notice
            assert "chmod 600" in notice


def test_the_ledger_sui_needs_its_section() -> None:
    with pytest.raises(ConfigError, match=r"needs \[subscriptions.sui\]"):
        parse({"subscriptions": {"ledger": "sui"}})
