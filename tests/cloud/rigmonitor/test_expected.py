"""What operators wish of machines, and how machines hear of it."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.config import CloudSettings
from cloud.rigmonitor.limiter import CALLERS_MAX, Limiter
from cloud.store.access import admin
from cloud.store.miners import rigs
from contract.rigmonitor.asic import BULK_MAX
from tests.cloud.conftest import HandClock
from tests.cloud.rigmonitor.conftest import Machine

DEFAULT = {"asic_expected_status": "on", "light_expected_status": "off", "name": "KS-01"}


async def wish(machine: Machine, rig_id: str | None = None, **more: Any) -> tuple[int, Any]:
    body = more.pop("body", None) or {f"{name}_expected_status": s for name, s in more.items()}
    return await machine.ask("PUT", f"rigs/{rig_id or machine.id}/expected-status", json=body)


async def test_a_new_machine_is_to_mine_in_the_dark(machine: Machine) -> None:
    assert await machine.expected() == DEFAULT


async def test_a_wish_reaches_the_machine_and_says_who_wished_it(machine: Machine) -> None:
    status, body = await wish(machine, asic="off")
    assert status == 200
    assert body["success"] is True
    assert body["data"]["asic_expected_status"] == "off"
    assert await machine.expected() == DEFAULT | {"asic_expected_status": "off"}
    status, _ = await wish(machine, light="on")  # leaves the other as it is
    assert status == 200
    assert await machine.expected() == {
        "asic_expected_status": "off",
        "light_expected_status": "on",
        "name": "KS-01",
    }
    rig = await machine.rig()
    assert rig["expected_set_at"] == "2026-11-21T12:00:00Z"
    assert rig["expected_set_by"].startswith("key_")
    await wish(machine, asic="on", light="off")
    assert await machine.expected() == DEFAULT


async def test_both_spellings_of_the_bulk_list_are_answered_alike(machine: Machine) -> None:
    other = await machine.another()
    await wish(machine, other.id, light="on")
    codes = [machine.code, "unknown", other.code, machine.code]
    expected = {
        machine.code: DEFAULT,
        other.code: {
            "asic_expected_status": "on",
            "light_expected_status": "on",
            "name": "KS-02",
        },
    }
    assert await machine.bulk(api_code_list=codes) == (200, expected)
    assert await machine.bulk(asic_api_code_list=codes) == (200, expected)
    assert await machine.bulk(api_code_list=codes, asic_api_code_list=codes) == (200, expected)
    both = await machine.bulk(api_code_list=[machine.code], asic_api_code_list=[other.code])
    assert both == (200, expected)


async def test_a_bulk_call_that_names_nobody_known_is_answered_with_nothing(
    machine: Machine,
) -> None:
    for codes in ([], ["a", "b"], [machine.id], ["x" * 10_000]):
        assert await machine.bulk(api_code_list=codes) == (200, {})
        assert await machine.bulk(asic_api_code_list=codes) == (200, {})


async def test_a_bulk_call_without_a_list_is_refused(machine: Machine) -> None:
    bad_request = (400, {"errors": {"detail": "Bad Request"}})
    assert await machine.bulk() == bad_request
    assert await machine.bulk(codes=[machine.code]) == bad_request
    for codes in (None, machine.code, {"a": machine.code}, 7, [7], [None], [[machine.code]]):
        machine.cloud.clock.move(1)
        for key in ("api_code_list", "asic_api_code_list"):
            assert await machine.bulk(**{key: codes}) == (422, {"errors": {key: ["is invalid"]}})


async def test_whoever_asks_for_many_without_a_code_is_held_to_ten_times_a_second(
    machine: Machine,
) -> None:
    for _ in range(10):
        assert (await machine.bulk(api_code_list=[machine.code]))[0] == 200
    url = f"{machine.cloud.base}/api/v1/asic_miners/expected_status_bulk"
    forged = {"X-Forwarded-For": "203.0.113.7"}  # nobody put a proxy in front
    for body, headers in (({"api_code_list": []}, {}), ({}, {}), ({"api_code_list": []}, forged)):
        async with machine.cloud.http.post(url, json=body, headers=headers) as answer:
            assert answer.status == 429
            assert answer.headers["Retry-After"] == "1"
            assert await answer.json() == {"errors": {"detail": "Too Many Requests"}}
    assert await machine.expected() == DEFAULT  # a code of its own has its own pace
    machine.cloud.clock.move(0.1)
    assert (await machine.bulk(api_code_list=[]))[0] == 200
    assert (await machine.bulk(api_code_list=[]))[0] == 429


async def test_as_many_codes_as_a_client_sends_at_once_are_answered(machine: Machine) -> None:
    codes = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(BULK_MAX - 1)]
    codes.append(machine.code)
    assert await machine.bulk(api_code_list=codes, asic_api_code_list=codes) == (
        200,
        {machine.code: DEFAULT},
    )
    # More than one statement of a database takes.
    many = [f"{number}" for number in range(5000)] + [machine.code]
    assert await machine.bulk(api_code_list=many) == (200, {machine.code: DEFAULT})


@pytest.mark.parametrize(
    "body",
    [
        {"asic_expected_status": "ON"}, {"asic_expected_status": 1}, {"light_expected_status": True},
        {"light_expected_status": "dim"}, {"asic": "on"}, {"asic_expected_status": "on", "name": "x"},
        {"asic_expected_status": None}, {"asic_expected_status": ["on"]},
    ],
)  # fmt: skip
async def test_a_wish_in_other_words_is_refused_and_changes_nothing(
    machine: Machine, body: dict[str, Any]
) -> None:
    status, answer = await wish(machine, body=body)
    assert status == 400
    assert set(answer) == {"statusCode", "message", "error"}
    assert await machine.expected() == DEFAULT


async def test_a_revoked_machine_a_farm_in_the_archive_and_a_closed_workspace_are_unknown(
    machine: Machine,
) -> None:
    cloud = machine.cloud
    now = cloud.clock.now()
    farm = await admin.create_farm(cloud.store, cloud.workspace_id, "G", now)
    other = await machine.another(farm_id=farm["id"])
    third = await machine.another()
    await third.logs()
    await rigs.revoke_rig(cloud.store, third.code, now)
    await admin.archive_farm(cloud.store, farm["id"], now)
    for gone in (other, third):
        assert await gone.logs() == (401, {"message": "Invalid API_CODE"})
        assert await gone.bulk(api_code_list=[gone.code, machine.code]) == (
            200,
            {machine.code: DEFAULT},
        )
    _, body = await machine.ask("GET", "rigs")
    assert [rig["id"] for rig in body["data"]] == [machine.id]
    assert (await machine.ask("GET", f"rigs/{third.id}"))[0] == 404
    assert (await wish(machine, third.id, asic="off"))[0] == 404
    _, body = await machine.ask("GET", "miner/latest", shape="ListMiners")
    assert len(body["data"]) == 1  # its miner stays in the books
    await admin.revoke_workspace(cloud.store, cloud.workspace_id, now)
    assert (await machine.logs())[0] == 401


async def test_machines_of_others_are_out_of_reach(machine: Machine) -> None:
    cloud = machine.cloud
    now = cloud.clock.now()
    foreign = await admin.create_workspace(cloud.store, "V", now)
    _, key = await admin.create_key(cloud.store, foreign["id"], "K", now)
    farm = await admin.create_farm(cloud.store, foreign["id"], "G", now)
    theirs = await machine.another(farm_id=farm["id"])
    own_farm = await admin.create_farm(cloud.store, cloud.workspace_id, "H", now)
    body = {"asic_expected_status": "off"}
    paths = [
        ("GET", "rigs", None),
        ("GET", f"rigs/{machine.id}", None),
        ("PUT", f"rigs/{machine.id}/expected-status", body),
    ]
    for method, path, sent in paths:
        assert (await machine.ask(method, path, key=key, json=sent))[0] == 403
        assert (await machine.ask(method, path, key="nonce_sk_wrong", json=sent))[0] == 401
        if path == "rigs":
            continue
        # Another farm of the same workspace, and our farm with a machine of theirs.
        url = f"{machine.at_farm}/".replace(cloud.farm_id, own_farm["id"]) + path
        headers = {"x-api-key": cloud.key}
        async with cloud.http.request(method, url, headers=headers, json=sent) as answer:
            assert answer.status == 404
        status, _ = await machine.ask(method, path.replace(machine.id, theirs.id), json=sent)
        assert status == 404
    assert (await machine.ask("PUT", f"rigs/{machine.code}/expected-status", json=body))[0] == 404
    assert await machine.expected() == DEFAULT
    assert (await theirs.expected())["asic_expected_status"] == "on"


async def test_machines_are_listed_page_by_page_without_anything_of_their_codes(
    machine: Machine,
) -> None:
    for number in range(4):
        await machine.another(f"KS-1{number}")
    status, body = await machine.ask("GET", "rigs", params={"page": "2", "pageSize": "2"})
    assert status == 200
    assert len(body["data"]) == 2
    assert body["pagination"] == {
        "total": 5,
        "limit": 2,
        "offset": 2,
        "hasNext": True,
        "hasPrevious": True,
    }
    everything = str(body) + str(await machine.rig())
    assert machine.code not in everything
    assert machine.code[:8] in everything
    assert "hash" not in str(list(body["data"][0]))


async def test_the_code_is_in_no_file_of_the_cloud(machine: Machine) -> None:
    await machine.logs()
    await machine.expected()
    kept = b"".join(
        path.read_bytes() for path in machine.cloud.settings.data.rglob("*") if path.is_file()
    )
    assert machine.id.encode() in kept
    assert machine.code.encode() not in kept


class TestWithTheAlias:
    @pytest.fixture
    def settings(self, tmp_path: Any) -> CloudSettings:
        return CloudSettings(data=tmp_path, rig_header_alias=True)

    async def test_the_header_with_a_dash_is_taken_where_the_operator_wants_it(
        self, machine: Machine
    ) -> None:
        path = "asic_miners/expected_status"
        for headers in ({"API-CODE": machine.code}, {"api-code": machine.code}):
            assert await machine.call("GET", path, headers=headers) == (200, DEFAULT)
        mixed = {"API_CODE": "wrong", "API-CODE": machine.code}
        assert (await machine.call("GET", path, headers=mixed))[0] == 401


class TestBehindAProxy:
    @pytest.fixture
    def settings(self, tmp_path: Any) -> CloudSettings:
        return CloudSettings(
            data=tmp_path, rig_bulk_calls_per_s=2, proxies=("127.0.0.0/8", "10.9.0.1", "fd00::/8")
        )

    @pytest.mark.parametrize(
        ("forwarded", "who"),
        [
            ("203.0.113.7", "203.0.113.7"),
            ("198.51.100.1, 203.0.113.7", "203.0.113.7"),  # the first is what the caller said
            ("203.0.113.7, 10.9.0.1", "203.0.113.7"),  # two proxies of ours
            ("203.0.113.7, fd00::5", "203.0.113.7"),
            ("203.0.113.7:41234", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("198.51.100.1, nonsense", "127.0.0.1"),
            ("", "127.0.0.1"),
        ],
    )
    async def test_the_one_it_forwards_is_held_back_and_no_other(
        self, machine: Machine, forwarded: str, who: str
    ) -> None:
        async def ask(forwarded_for: str) -> int:
            headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
            body = {"api_code_list": [machine.code]}
            status, _ = await machine.call(
                "POST", "asic_miners/expected_status_bulk", headers=headers, json=body
            )
            return status

        assert [await ask(forwarded) for _ in range(3)] == [200, 200, 429]
        assert await ask(who) == 429
        assert await ask("192.0.2.99") == 200


def test_a_proxy_that_is_no_address_is_named(tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="--proxy nginx: no address"):
        CloudSettings(data=tmp_path, proxies=("nginx",))


def test_of_very_many_callers_the_one_that_called_longest_ago_is_forgotten() -> None:
    limiter = Limiter(HandClock(), per_s=1, burst=1)
    for number in range(CALLERS_MAX + 1):
        assert limiter.wait_s(f"caller {number}") == 0
    assert limiter.wait_s(f"caller {CALLERS_MAX}") == 1
    assert limiter.wait_s("caller 1") == 1
    assert limiter.wait_s("caller 0") == 0


class TestWithOtherBounds:
    @pytest.fixture
    def settings(self, tmp_path: Any) -> CloudSettings:
        return CloudSettings(
            data=tmp_path, rig_offline_after_s=600, rig_calls_per_s=0.1, rig_calls_burst=3
        )

    async def test_the_operator_says_how_long_a_machine_may_be_silent_and_how_often_it_may_call(
        self, machine: Machine
    ) -> None:
        for _ in range(3):
            assert await machine.logs() == (200, None)
        assert (await machine.logs())[0] == 429
        machine.cloud.clock.move(10)
        assert await machine.logs() == (200, None)
        machine.cloud.clock.move(600)
        assert (await machine.miner())["status"] == "online"
        machine.cloud.clock.move(1)
        assert (await machine.miner())["status"] == "offline"
