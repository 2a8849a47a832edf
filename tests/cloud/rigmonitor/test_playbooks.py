"""What CPU/GPU rigs are to mine: playbooks as operators make them and as rigs read them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from cloud.store.access import admin
from contract.hiding import masked_arguments
from contract.rigmonitor.playbook import PlaybookEntry, filled_in, worker_name
from contract.roles import Role
from tests.cloud.rigmonitor.conftest import Machine

ARGUMENT: Final = (
    "--no-color --url $POOL_ADDRESS --algo rx/0 --user $WALLET_ADDRESS --pass $WORKER_NAME"
)
XMRIG: Final[dict[str, Any]] = {
    "software_name": "XMRig",
    "software_version": "6.22.2",
    "command_argument": ARGUMENT,
    "cpu_coin_name": "Monero",
    "cpu_algorithm": "RandomX",
    "cpu_wallet_address": "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9Ve",
    "cpu_pool_address": "pool.hashvault.pro:443",
}
TEXT: Final = (
    "id", "software_name", "software_version", "module_name", "command_argument",
    "coin_name_1", "coin_name_2", "algorithm_1", "algorithm_2",
)  # fmt: skip


async def create(rig: Machine, **changes: Any) -> dict[str, Any]:
    status, body = await rig.ask("POST", "playbooks", json=XMRIG | changes)
    assert status == 200, body
    made: dict[str, Any] = body["data"]
    return made


async def assign(rig: Machine, playbook_id: Any) -> tuple[int, Any]:
    return await rig.ask("PUT", f"rigs/{rig.id}/playbooks/{playbook_id}")


async def told(rig: Machine) -> list[Any]:
    status, body = await rig.call("GET", "cpu_gpu_miners/playbooks")
    assert status == 200, body
    return list(body)


async def test_an_answer_has_what_the_text_and_what_the_server_have(rig: Machine) -> None:
    assert await told(rig) == []
    made = await create(rig)
    assert await told(rig) == []  # it is nobody's yet
    assert (await assign(rig, made["id"]))[0] == 200
    [entry] = await told(rig)
    assert set(TEXT) <= entry.keys()
    assert entry == {
        "id": made["id"], "software_name": "XMRig", "software_version": "6.22.2",
        "module_name": "Miner.XMRIG_6.22.2", "module": "Elixir.MinerProvision.XMRIG_6_22_2",
        "command_argument": ARGUMENT.replace("$WORKER_NAME", "Rig--a-Nang-1"),
        "expected_status": "mining",
        "coin_name_1": "Monero", "algorithm_1": "RandomX", "coin_name_2": None, "algorithm_2": None,
        "cpu_coin_name": "Monero", "cpu_algorithm": "RandomX",
        "cpu_wallet_address": XMRIG["cpu_wallet_address"], "cpu_pool_address": "pool.hashvault.pro:443",
        "gpu_coin_name_1": None, "gpu_algorithm_1": None, "gpu_wallet_address_1": None, "gpu_pool_address_1": None,
        "gpu_coin_name_2": None, "gpu_algorithm_2": None, "gpu_wallet_address_2": None, "gpu_pool_address_2": None,
        "inserted_at": "2026-11-21T12:00:00", "updated_at": "2026-11-21T12:00:00",
    }  # fmt: skip
    assert entry.keys() == set(PlaybookEntry.__struct_fields__)


async def test_entries_come_by_id_and_only_to_the_rig_that_has_them(rig: Machine) -> None:
    other = await rig.another("Rig 2")
    made = [await create(rig, software_name=name) for name in ("XMRig", "lolMiner", "T-Rex")]
    for each in reversed(made):
        await assign(rig, each["id"])
    await assign(other, made[1]["id"])
    assert [entry["id"] for entry in await told(rig)] == [each["id"] for each in made]
    assert [entry["id"] for entry in await told(other)] == [made[1]["id"]]
    _, body = await rig.ask("GET", f"rigs/{other.id}/playbooks")
    assert [each["rig_ids"] for each in body["data"]] == [sorted([rig.id, other.id])]


async def test_coins_are_those_of_the_processor_and_of_the_cards_in_order(rig: Machine) -> None:
    slots = {"gpu_coin_name_1": "Ergo", "gpu_algorithm_1": "Autolykos2"}
    slots |= {"gpu_coin_name_2": "Kaspa", "gpu_algorithm_2": "KHeavyHash"}
    made = await create(rig, **slots)
    await assign(rig, made["id"])
    [entry] = await told(rig)
    assert (entry["coin_name_1"], entry["coin_name_2"]) == ("Monero", "Ergo")
    assert (entry["algorithm_1"], entry["algorithm_2"]) == ("RandomX", "Autolykos2")


@pytest.mark.parametrize(
    ("argument", "filled"),
    [
        ("--user $CPU_WALLET.$WORKER_NAME", "--user W.rig-1"),
        ("$GPU_WALLET_1 $GPU_WALLET_2 $CPU_POOL $GPU_POOL_1 $GPU_POOL_2", "g1  p q1 "),
        ("$POOL_ADDRESS $WALLET_ADDRESS $UNKNOWN", "$POOL_ADDRESS $WALLET_ADDRESS $UNKNOWN"),
        ("$CPU_WALLETS", "WS"),  # as the server replaces: a text in a text
    ],
)
def test_what_the_server_knows_is_filled_in_and_the_rest_is_left(
    argument: str, filled: str
) -> None:
    said = filled_in(
        argument, "rig 1", cpu_wallet="W", gpu_wallets=("g1", None), cpu_pool="p", gpu_pools=("q1", None)
    )  # fmt: skip
    assert said == filled


def test_variables_are_filled_in_one_after_the_other() -> None:
    said = filled_in(
        "$CPU_WALLET", "r", cpu_wallet="$CPU_POOL", gpu_wallets=(None, None), cpu_pool="p", gpu_pools=(None, None)
    )  # fmt: skip
    assert said == "p"


def test_the_name_of_a_worker_is_plain() -> None:
    assert worker_name("Ünïcode rig_1/ß") == "Unicode-rig-1--"


async def test_a_rig_has_each_program_once(rig: Machine) -> None:
    first, second = await create(rig), await create(rig, software_version="6.26.0")
    assert (await assign(rig, first["id"]))[0] == 200
    assert (await assign(rig, first["id"]))[0] == 200  # again
    status, body = await assign(rig, second["id"])
    assert (status, body["message"]) == (
        409,
        f"playbook {first['id']} of this rig has XMRig, too, and a rig has each program once: take that one from it first",
    )
    assert [entry["id"] for entry in await told(rig)] == [first["id"]]


async def test_a_playbook_is_forgotten_once_no_rig_mines_by_it(rig: Machine) -> None:
    made = await create(rig)
    await assign(rig, made["id"])
    status, body = await rig.ask("DELETE", f"playbooks/{made['id']}")
    assert (status, "take it from them first" in body["message"]) == (409, True)
    status, body = await rig.ask("DELETE", f"rigs/{rig.id}/playbooks/{made['id']}")
    assert (status, body["data"]["rig_ids"]) == (200, [])
    assert await told(rig) == []
    status, body = await rig.ask("DELETE", f"playbooks/{made['id']}")
    assert (status, body["data"]) == (200, {"id": made["id"], "removed": True})
    assert (await rig.ask("DELETE", f"playbooks/{made['id']}"))[0] == 404
    again = await create(rig)
    assert again["id"] > made["id"]  # whoever knew the old one is not told of another by its number


async def test_a_rig_that_is_revoked_keeps_no_playbook(rig: Machine) -> None:
    from cloud.store.miners.rigs import revoke_rig

    made = await create(rig)
    await assign(rig, made["id"])
    await revoke_rig(rig.cloud.store, rig.id, rig.cloud.clock.now())
    assert (await rig.ask("DELETE", f"playbooks/{made['id']}"))[0] == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"software_name": " "}, {"software_version": None}, {"command_argument": ""}, {"command_argument": "a\nb"},
        {"command_argument": "x" * 4001}, {"cpu_algorithm": None}, {"cpu_coin_name": None},
        {"gpu_coin_name_1": "Ergo"}, {"gpu_algorithm_2": "x"}, {"cpu_wallet_address": "a b"},
        {"cpu_wallet_address": "x" * 256}, {"cpu_pool_address": "'x'"}, {"gpu_pool_address_1": 'a"'},
        {"gpu_wallet_address_2": "a\\b"}, {"software_name": "x" * 65}, {"no_such_key": 1}, {"cpu_coin_name": 5},
    ],
)  # fmt: skip
async def test_a_playbook_that_is_none_is_refused(rig: Machine, changes: dict[str, Any]) -> None:
    before = await rig.cloud.changes()
    body = {name: value for name, value in (XMRIG | changes).items() if value is not None}
    status, answer = await rig.ask("POST", "playbooks", json=body)
    assert status == 400, answer
    assert await rig.cloud.changes() == before


async def test_playbooks_are_for_rigs_of_the_same_farm(rig: Machine, machine: Machine) -> None:
    made = await create(rig)
    status, body = await assign(machine, made["id"])
    assert (status, body["message"]) == (
        409,
        "this machine is an ASIC: playbooks are for CPU/GPU rigs",
    )
    farm = await admin.create_farm(
        rig.cloud.store, rig.cloud.workspace_id, "G", rig.cloud.clock.now()
    )
    elsewhere = await rig.another("Rig 9", farm["id"])
    assert (await assign(elsewhere, made["id"]))[0] == 404
    for playbook_id in ("none", "-1", "9" * 30, made["id"] + 1):
        assert (await assign(rig, playbook_id))[0] == 404


async def test_what_is_expected_of_a_rig_stands_in_its_entries(
    rig: Machine, machine: Machine
) -> None:
    await assign(rig, (await create(rig))["id"])
    wish = {"expected_status": "stop"}
    status, body = await rig.ask("PUT", f"rigs/{rig.id}/expected-status", json=wish)
    assert (status, body["data"]["expected_status"]) == (200, "stop")
    assert body["data"]["asic_expected_status"] is None
    assert [entry["expected_status"] for entry in await told(rig)] == ["stop"]
    wrong: tuple[tuple[Machine, dict[str, str]], ...] = (
        (rig, {"asic_expected_status": "off"}),
        (rig, {"expected_status": "stop", "light_expected_status": "on"}),
        (machine, wish),
        (rig, {"expected_status": "off"}),
        (rig, {}),
    )
    for whom, body in wrong:
        status, answer = await rig.ask("PUT", f"rigs/{whom.id}/expected-status", json=body)
        assert status == 400, answer
    [row, *_] = (await rig.ask("GET", "audit", params={"action": "rig.expect"}))[1]["data"]
    assert (row["before"], row["after"]) == (
        {"mining_expected": "mining"},
        {"mining_expected": "stop"},
    )


async def test_a_rig_in_maintenance_is_told_nothing(rig: Machine) -> None:
    await rig.call("POST", "cpu_gpu_miners/logs", json={"lan_ip": "10.0.0.1"})
    await assign(rig, (await create(rig))["id"])
    miner_id = (await rig.miner())["id"]
    order = {
        "task_name": "miner.asset.update",
        "miner_ids": [miner_id],
        "params": {"status": "maintenance"},
    }
    await rig.ask("POST", "tasks/batches", json=order)
    assert await rig.call("GET", "cpu_gpu_miners/playbooks") == (
        423,
        {"errors": {"detail": "Locked"}},
    )


async def test_who_did_what_is_written_down_without_secrets(rig: Machine) -> None:
    argument = "--user $CPU_WALLET --http-access-token=s3cret -p s3cret --pass 's3 cret'"
    with capture_logs() as logged:
        made = await create(
            rig, command_argument=argument, cpu_pool_address="stratum+tcp://me:s3cret@p:1"
        )
        await assign(rig, made["id"])
        await rig.ask("DELETE", f"rigs/{rig.id}/playbooks/{made['id']}")
        await rig.ask("DELETE", f"playbooks/{made['id']}")
    _, body = await rig.ask("GET", "audit", params={"target": str(made["id"])})
    assert [(each["action"], each["target_kind"]) for each in body["data"]] == [
        ("playbook.remove", "playbook"),
        ("playbook.take_away", "playbook"),
        ("playbook.assign", "playbook"),
        ("playbook.create", "playbook"),
    ]
    hidden = "--user $CPU_WALLET --http-access-token=*** -p *** --pass ***"
    assert body["data"][-1]["after"]["command_argument"] == hidden
    assert made["command_argument"] == hidden
    assert "s3cret" not in str(body)
    assert "s3cret" not in str(made)
    assert "s3cret" not in str(logged)


async def test_viewers_see_playbooks_and_change_none(rig: Machine) -> None:
    made = await create(rig)
    _, key = await admin.create_key(
        rig.cloud.store, rig.cloud.workspace_id, "V", rig.cloud.clock.now(), role=Role.VIEWER
    )
    _, body = await rig.ask("GET", "playbooks", key=key)
    assert [each["id"] for each in body["data"]] == [made["id"]]
    assert (await rig.ask("POST", "playbooks", key=key, json=XMRIG))[0] == 403
    path = f"rigs/{rig.id}/playbooks/{made['id']}"
    for method in ("PUT", "DELETE"):
        assert (await rig.ask(method, path, key=key))[0] == 403


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--pass x", "--pass ***"), ("--pass=x y", "--pass=*** y"), ("-p x -u y", "-p *** -u y"),
        ('--password "a b" c', "--password *** c"), ("--api-key=1", "--api-key=***"), ("--keepalive 5", "--keepalive 5"),
        ("--pass $WORKER_NAME x", "--pass $WORKER_NAME x"), ("-O u:p", "-O ***"), ("--url a://u:p@h", "--url a://u:***@h"),
        ('--pass "a"b"c d" x', "--pass *** x"), (r"--pass a\ b x", "--pass *** x"), ('--pass=a"b c" x', "--pass=*** x"),
        ('"--pass" x', '"--pass" ***'), ("'--pass=a b' x", "--pass=*** x"), ('--pa"ss" x', '--pa"ss" ***'),
        ("-p 'a b", "-p ***"), ("--pass $S3cret", "--pass ***"), ('--pass "$WORKER_NAME" y', '--pass "$WORKER_NAME" y'),
        # where a rig mines is no secret: whoever reads the audit wants to see it
        ("-o pool.example.com:3333 -p x", "-o pool.example.com:3333 -p ***"), ("-o u:x@p:1", "-o u:***@p:1"),
        ("-epsw x -P s://u:x@p", "-epsw *** -P s://u:***@p"),
        ("--HTTP-TOKEN 1", "--HTTP-TOKEN ***"), ("--no-color --pool p", "--no-color --pool p"),
    ],
)  # fmt: skip
def test_what_stands_after_an_option_that_is_called_like_a_secret_is_hidden(
    text: str, shown: str
) -> None:
    assert masked_arguments(text) == shown


async def test_two_operators_at_once_leave_a_rig_with_each_program_once(rig: Machine) -> None:
    first, second = await create(rig), await create(rig, software_version="6.26.0")
    answers = await asyncio.gather(
        *(assign(rig, made["id"]) for made in (first, second) * 5),
        *(rig.ask("DELETE", f"playbooks/{made['id']}") for made in (first, second) * 3),
    )
    assert {status for status, _ in answers} <= {200, 404, 409}
    kept = [each["id"] for each in (await rig.ask("GET", "playbooks"))[1]["data"]]
    entries = [entry["id"] for entry in await told(rig)]
    assert len(entries) <= 1
    assert set(entries) <= set(kept)
