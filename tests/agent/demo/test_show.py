"""What the demo prints: tables that hold 120 columns, and commands that can be pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.demo.audit import Audit
from agent.demo.report import BatchReport, PlaybookReport, Report, Special, SubscriptionReport
from agent.demo.show import Show
from agent.demo.subscriptions import LISTEN, commands

BATCHES = (
    BatchReport(
        "miner.power_mode.update", "no release that could be replaced", "partial_succeed",
        117, 100, 17, 123.4, {"not_verified": 1, "unreachable": 12, "policy_refused": 4},
        {"unsupported_mode": 15, "unstable_miner": 1},
    ),
)  # fmt: skip
REPORT = Report(
    18, 18, BATCHES, Audit(55, 0, 0), 33.3, True,
    (Special("127.77.0.1", "Antminer S21", "lies", {"not_verified": 4}),),
    playbook=(
        PlaybookReport("a playbook: mine with XMRig", 9575.2, 4711, 3.31),
        PlaybookReport("its expected_status: stop", None, None, 2.0),
    ),
    subscription=SubscriptionReport(
        task_name="miner.light.update", task_small_id=6, batch_id="b", held={"not_subscribed": 1}, status="succeed",
        amount="5", seconds=1.0,
    ),
)  # fmt: skip


def test_the_table_fits_and_folds_only_between_the_items_of_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Show(as_json=False).report(REPORT)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("Every task the agent carries out")
    assert max(len(line.rstrip()) for line in lines) <= 120
    for whole in (
        "miner.power_mode.update", "no release that could be replaced", "1 not_verified", "4 policy_refused",
        "12 unreachable", "15 skipped (unsupported_mode)", "1 skipped (unstable_miner)",
        "given no more of it (not_subscribed)",
    ):  # fmt: skip
        assert whole in out
    (special,) = (line for line in lines if line.startswith("127.77.0.1"))
    assert special.split() == ["127.77.0.1", "Antminer", "S21", "lies", "4", "not_verified"]
    mines, rests = (line.split()[-4:] for line in lines if line.startswith(("a playbook", "its ")))
    assert mines == ["9575", "H/s", "4711", "3.3"]
    assert rests == ["stop", "none", "none", "2.0"]


def test_the_commands_to_go_on_with_name_what_is_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Ground:
        cloud_url, workspace_id, farm_id, api_key, folder = (
            "http://127.0.0.1:1",
            "w",
            "f",
            "k",
            tmp_path,
        )
        miners: Any = (type("Miner", (), {"ip": "127.77.0.1"}),)

    stage: Any = Ground()
    Show(as_json=False).invite(stage, "miner-7", "batch-9", commands(6))
    out = capsys.readouterr().out
    assert "/tasks/batches/batch-9'" in out
    assert "/miners/miner-7/tasks'" in out
    assert '"miner_ids": ["miner-7"]' in out
    for path in ("task_subscribe", "task_update_subscription", "task_unsubscribe"):
        assert f"curl -X POST http://{LISTEN}/{path} -H 'Content-Type: application/json'" in out
    assert "MINER_ID" not in out
    assert "BATCH_ID" not in out
