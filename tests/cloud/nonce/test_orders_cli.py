"""`miner-cloud task`, `undo`, `group`, `selection`, as a person and as a script use them."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from typer.testing import CliRunner

from agent.ports import AddressVerdict, ScanSummary
from agent.scan.report.rows import scan_result
from cloud.cli.commands import app
from cloud.context import SWEEPER
from contract.scan import ChangedMiner, ScanChanges
from tests.cases import case
from tests.waiting import until

DONE = {
    "outcome": "done",
    "verified": True,
    "evidence": {"before": {"light_on": False}, "after": {}},
}
ON = ("--params", '{"action": "on"}')
LIGHT = ("task", "miner.light.update", *ON)


async def run(stage: Any, *words: str, status: int = 0, stdin: str = "") -> tuple[str, str]:
    """Beside the cloud that the test serves: a command has a loop of its own."""
    env = {"MINER_CLOUD_URL": stage.url, "MINER_CLOUD_KEY": stage.key}
    done = await asyncio.to_thread(CliRunner().invoke, app, words, input=stdin, env=env)
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout, done.stderr


async def told(stage: Any, *words: str, status: int = 0, stdin: str = "") -> Any:
    out, _ = await run(stage, *words, "--json", status=status, stdin=stdin)
    assert len(out.splitlines()) == 1
    return json.loads(out)


async def test_a_selection_is_shown_first_and_the_command_that_does_it_is_told(stage: Any) -> None:
    shown, _ = await run(stage, *LIGHT, "--select", "status=online", "--dry-run")
    assert "5 miners are meant, 0 are skipped" in shown
    assert "10.0.0.1" in shown
    assert shown.endswith(
        "To do it:\n  miner-cloud task miner.light.update --select status=online "
        '--params \'{"action": "on"}\' --expect 5\n'
    )
    out, err = await run(stage, *LIGHT, "--select", "status=online", status=2)
    assert out == ""
    command = (
        "miner-cloud task miner.light.update --select status=online "
        '--params \'{"action": "on"}\' --expect 5'
    )
    assert command in err
    assert "nothing was done" in err
    _, err = await run(stage, *LIGHT, "--all", "--canary", "2", "--farm", "North", status=2)
    assert '--all --params \'{"action": "on"}\' --canary 2 --farm North --expect 5' in err
    assert await stage.count("tasks") == 0
    _, err = await run(stage, *LIGHT, "--select", "status=online", "--expect", "4", status=1)
    assert "5 miners are selected now, and expect_count is 4" in err
    _, err = await run(stage, *LIGHT, "--select", "status=online", "--expect", "4~10%", status=1)
    made = await told(stage, *LIGHT, "--select", "status=online", "--expect", "4~25%")
    assert made["meta"]["summary"]["created_count"] == 5


WRONG: Final = [
    (("task", "miner.log.get"), "miner.log.get: say which miners, by --select, --saved, --all or --miner"),
    (("task", "log"), "task_name: no task is called so; did you mean miner.log.get?"),
    (("task", "pool"), "task_name: no task is called so; must be one of agent.scan.create, "),
    ((*LIGHT, "--select", "all"), "--select: for every miner of the farm, give --all in its place"),
    ((*LIGHT, "--select", "name=nobody"), "no miner is selected, so nothing was done"),
    ((*LIGHT, "--select", "status"), "--select: 'status' is no filter; write it as model=S21"),
    ((*LIGHT, "--select", "ip_ranges=0.0.0.0/0", "--expect", "5"), "selection: selects nothing in particular"),
    ((*LIGHT, "--select", "status=online", "--miner", "c"), "--miner names the miners"),
    ((*LIGHT, "--all", "--select", "status=online"), "--all is every miner of the farm, and takes no"),
    ((*LIGHT, "--miner", "c", "--expect", "1"), "--expect is for --select, --saved and --all"),
    ((*LIGHT, "--select", "status=online", "--expect", "some"), "--expect: 'some' is not how many miners are meant: write 300, or 300~5%"),
    (("task", "miner.light.update", "--params", "action=on", "--miner", "a"), '--params is no JSON, such as {"mode": "sleep"}: '),
    (("task", "miner.light.update", "--params", "[]", "--miner", "a"), "--params is no JSON object"),
    (("task", "miner.light.update", "--params", "@/no/file", "--miner", "a"), "cannot be read: no such file"),
]  # fmt: skip


async def test_what_is_asked_for_wrongly_says_what_would_work(stage: Any) -> None:
    by_cloud = ("task_name:", "selection:", "no miner is selected")
    for words, message in WRONG:
        with case(words, message):
            runner_status = 1 if message.startswith(by_cloud) else 2
            out, err = await run(stage, *words, status=runner_status)
            assert out == ""
            assert message in err
            assert await stage.count("tasks") == 0


async def test_a_miner_that_is_named_and_not_there_fails_the_order(stage: Any) -> None:
    for wait in ((), ("--wait",)):
        out, _ = await run(stage, *LIGHT, "--miner", "Berta", *wait, status=1)
        assert "0 tasks, 1 skipped" in out
        assert "skipped, miner_not_found: " in out
        assert "(1: Berta)" in out
    out, _ = await run(stage, *LIGHT, "--miner", "Berta", "--miner", "10.0.0.1", status=1)
    assert out.startswith("1 task, 1 skipped\n")


async def test_an_order_is_followed_to_its_end(stage: Any) -> None:
    waiting = asyncio.create_task(
        run(stage, *LIGHT, "--select", "status=online", "--expect", "5", "--wait", status=3)
    )

    async def made() -> list[Any]:
        batches = (await stage.ask("GET", f"{stage.at_farm}/tasks/batches"))["data"]
        return (await stage.batch(batches[0]["batch_id"]))["tasks"] if batches else []

    await until(made)
    first, *others = await made()
    await stage.settle(first["id"], "failed", {"outcome": "unknown"})
    for task in others:
        await stage.settle(task["id"], "succeed", DONE)
    out, _ = await waiting
    assert "4 succeed, 1 failed, 1 of them unknown\n" in out
    [group] = json.loads((await run(stage, "group", "list", "--json"))[0])
    assert (group["status"], group["task_count"]) == ("partial_succeed", 5)
    head = (await run(stage, "group", "list"))[0].splitlines()[0].split()
    assert head[3:] == ["task_count", "succeed_count", "failed_count", "created_at"]
    made_again = await told(stage, "group", "retry", group["group_id"])
    assert made_again["meta"]["summary"]["created_count"] == 1
    undone = await told(stage, "undo", group["group_id"])
    assert undone["meta"]["summary"]["created_count"] == 4


async def test_a_scan_that_is_followed_says_what_it_found(stage: Any) -> None:
    words = ("task", "agent.scan.create", "--params", '{"ip_range": "10.0.0.0/24"}', "--wait")
    waiting = asyncio.create_task(run(stage, *words))

    async def made() -> list[Any]:
        batches = (await stage.ask("GET", f"{stage.at_farm}/tasks/batches"))["data"]
        return (await stage.batch(batches[0]["batch_id"]))["tasks"] if batches else []

    await until(made)
    [task] = await made()
    moved = ChangedMiner(
        ip="10.0.0.7", mac="02:00:00:00:00:07", make="Bitmain", model="S21", was_at="10.0.0.4"
    )
    lost = ChangedMiner(
        ip="10.0.0.9",
        mac="02:00:00:00:00:09",
        make=None,
        model="M60\x1b",
        now=AddressVerdict.SILENT,
    )
    summary = ScanSummary(
        addresses=254, silent=250, refused=0, unknown=0, failed=1, found=3, new=0, seconds=4.26,
        changes=ScanChanges(since="2026-11-21T12:00:00.123456Z", moved=(moved,), lost=(lost,)),
        notes=("slow",),
    )  # fmt: skip
    await stage.settle(task["id"], "succeed", {**DONE, "scan": scan_result(summary)})
    out, _ = await waiting
    assert out.splitlines()[2:] == [
        "1 succeed",
        "254 addresses in 4.3 s: 3 miners, 1 failed, 250 silent",
        "since the scan that ended at 2026-11-21T12:00:00Z: 0 new, 1 lost, 1 moved, 0 replaced",
        "  lost      10.0.0.9         02:00:00:00:00:09 M60?  now silent",
        "  moved     10.0.0.7         02:00:00:00:00:07 Bitmain S21  was at 10.0.0.4",
        "slow",
    ]


async def test_a_canary_that_failed_ends_the_waiting_and_is_let_go_by_command(stage: Any) -> None:
    words = (*LIGHT, "--select", "status=online", "--expect", "5", "--canary", "1", "--wait")
    waiting = asyncio.create_task(run(stage, *words, status=1))

    async def first() -> list[Any]:
        groups = (await stage.ask("GET", f"{stage.at_farm}/tasks/groups"))["data"]
        if not groups:
            return []
        url = f"{stage.at_farm}/tasks/groups/{groups[0]['group_id']}"
        batch = (await stage.ask("GET", url))["data"]["batches"][0]
        return (await stage.batch(batch["batch_id"]))["tasks"]

    await until(first)
    [task] = await first()
    await stage.settle(task["id"], "failed", {"outcome": "not_done", "error": {"message": "No"}})
    out, _ = await waiting
    assert "1 of the 1 that go first are not proven: 10.0.0.1 failed (No)" in out
    [group] = await told(stage, "group", "list")
    shown, _ = await run(stage, "group", "show", group["group_id"])
    assert "4 wait until you let them go" in shown
    assert (await told(stage, "group", "release", group["group_id"]))["released_count"] == 4
    assert (await told(stage, "group", "cancel", group["group_id"]))["cancelled_count"] == 4
    await stage.app[SWEEPER].sweep()
    shown, _ = await run(stage, "group", "show", group["group_id"])
    assert "Called off" in shown


async def test_a_batch_is_undone_with_the_passwords_that_it_needs(
    stage: Any, tmp_path: Any
) -> None:
    pools = {"pools": [{"url": "stratum+tcp://new:1", "user": "u", "password": "p"}]}
    made = await told(
        stage, "task", "miner.pool.update", "--miner", stage.miners[1], "--params", "-",
        stdin=json.dumps(pools),
    )  # fmt: skip
    batch_id = made["data"][0]["batch_id"]
    [task] = (await stage.batch(batch_id))["tasks"]
    old = {"url": "stratum+tcp://old:1", "user": "w", "password": "***"}
    evidence = {"before": {"pools": [old]}, "after": {}}
    await stage.settle(task["id"], "succeed", {"outcome": "done", "evidence": evidence})
    shown, _ = await run(stage, "undo", batch_id, "--dry-run")
    assert "needs the password of stratum+tcp://old:1 (user w)" in shown
    _, err = await run(stage, "undo", batch_id, status=2)
    assert "stratum+tcp://old:1 (user w)" in err
    path = tmp_path / "passwords.json"
    path.write_text(json.dumps({"w": "secret"}), "utf-8")
    undone = await told(stage, "undo", batch_id, "--passwords", f"@{path}")
    assert undone["meta"]["summary"]["created_count"] == 1
    assert "secret" not in str(undone)
    _, err = await run(stage, "undo", "nothing", status=1)
    assert "Task batch not found" in err


async def test_selections_are_kept_and_used_by_command(stage: Any) -> None:
    await run(stage, "selection", "save", "hall b", "--select", "ip_ranges=10.0.0.1-10.0.0.2")
    _, err = await run(stage, "selection", "save", "hall b", "--select", "status=online", status=1)
    assert "replace" in err
    made = await told(stage, *LIGHT, "--saved", "hall b", "--expect", "2")
    assert made["meta"]["summary"]["created_count"] == 2
    out, _ = await run(stage, "selection", "list")
    assert "hall b" in out
    await run(stage, "selection", "delete", "hall b")
    assert await told(stage, "selection", "list") == []
    plan = await told(stage, *LIGHT, "--all", "--dry-run")
    assert plan["count"] == 5


async def test_what_miners_and_agents_tell_moves_no_terminal(stage: Any) -> None:
    made = await stage.create("miner.light.update", 1, 2, params={"action": "on"}, canary=1)
    [task] = (await stage.batch(made["data"][0]["batch_id"]))["tasks"]
    error = {"code": "internal", "message": "no\x1b]0;owned\x07\x9b2J"}
    await stage.settle(task["id"], "failed", {"outcome": "unknown", "error": error})
    out, _ = await run(stage, "group", "show", made["meta"]["group_id"])
    assert "no?]0;owned??2J" in out
    assert out.replace("\n", "").isprintable()
    pools = {"pools": [{"url": "stratum+tcp://p:1", "user": "u"}]}
    made = await stage.create("miner.pool.update", 3, params=pools)
    [task] = (await stage.batch(made["data"][0]["batch_id"]))["tasks"]
    slot = {"url": "stratum+tcp://old:1", "user": "u\x1b[2J", "password": "***"}
    evidence = {"before": {"pools": [slot]}}
    await stage.settle(task["id"], "succeed", {"outcome": "done", "evidence": evidence})
    for more, status in ((("--dry-run",), 0), ((), 2)):
        out, err = await run(stage, "undo", made["data"][0]["batch_id"], *more, status=status)
        assert (out + err).replace("\n", "").isprintable()
        assert "old:1 (user u?[2J)" in out + err
