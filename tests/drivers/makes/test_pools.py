"""What every driver promises of the pools of a miner, whatever the make. See `makes.py`."""

from __future__ import annotations

import pytest

from contract.errors import BadParamsError
from drivers.base import Depth, Pools, PoolSetting
from tests.drivers.makes.cases import A, B, C, MakeCase, Need, each, pools


def as_seen(slots: list[dict[str, str]], *, with_passwords: bool) -> list[dict[str, str]]:
    """The ledger's slots as evidence shows them: without empty ones, passwords in stars or not at all."""
    return [
        {"url": slot["url"], "user": slot["user"]}
        | ({"password": "****"} if with_passwords else {})
        for slot in slots
        if slot["url"]
    ]


@each(Need.POOLS, every=True)
async def test_pools_are_replaced_and_nothing_else(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        settings, shown = on.settings(), make.can(Need.PASSWORDS, key)
        evidence = await on.carry_out(pools(A, B, C))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert make.pools_signal in evidence.signal
        assert on.stored == [(url, "acc.w1", "secret") for url in (A, B, C)]
        assert evidence.after["working_for"] == A
        (line,) = on.ledger("pools")
        for seen, slots in ((evidence.before, line["before"]), (evidence.after, line["after"])):
            assert seen["pools"] == as_seen(slots["pools"], with_passwords=shown)
            assert seen.items() >= make.beside_pools.items()
        assert [pool["url"] for pool in evidence.after["pools"]] == [A, B, C]
        assert on.settings() == settings
        assert "also_changed" not in evidence.after
        assert not on.ledger("reboot", "restart", "mode")


@each(Need.POOLS)
async def test_slots_beyond_the_list_are_cleared(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        assert (await on.carry_out(pools(A))).outcome == "done"
        assert on.stored == [(A, "acc.w1", "secret"), ("", "", ""), ("", "", "")]


@each(Need.POOLS)
async def test_the_same_pools_without_passwords_are_not_written(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        assert (await on.carry_out(pools(A, B))).outcome == "done"
        await on.no_change(pools(A, B, password=None))
        assert len(on.ledger("pools")) == len(on.ledger("pools", phase="received")) == 1


@each(Need.PASSWORDS)
async def test_the_same_pools_with_the_same_passwords_are_not_written(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key) as on:
        assert (await on.carry_out(pools(A, B))).outcome == "done"
        await on.no_change(pools(A, B))
        assert len(on.ledger("pools")) == len(on.ledger("pools", phase="received")) == 1


@each(Need.PASSWORDS)
async def test_a_password_not_given_is_kept_where_the_url_stays_and_is_x_elsewhere(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key) as on:
        await on.carry_out(pools(A, B))
        change = Pools(pools=(PoolSetting(url=A, user="acc.w2"), PoolSetting(url=C, user="acc.w2")))
        assert (await on.carry_out(change)).outcome == "done"
        assert on.stored[:2] == [(A, "acc.w2", "secret"), (C, "acc.w2", "x")]


@each(Need.PASSWORDS)
async def test_no_password_is_in_the_evidence(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        on.slots[0]["pass"] = "oldsecret"
        evidence = await on.carry_out(pools(A, password="newsecret"))
        shown = repr((evidence.before, evidence.after, evidence.reason))
        assert "oldsecret" not in shown
        assert "newsecret" not in shown
        assert "****" in shown


@each(Need.POOLS)
async def test_a_password_inside_a_url_reaches_the_miner_and_is_not_shown(
    make: MakeCase, key: str
) -> None:
    url = A.replace("://", "://w:new@secret@")
    async with make.begin(key) as on:
        evidence = await on.carry_out(pools(url, B))
        assert (evidence.outcome, on.stored[0][0]) == ("done", url)
        assert "secret" not in repr((evidence.before, evidence.after, evidence.reason))
        reading = await on.driver.read(Depth.FULL)
        assert url.replace("new@secret", "***") in [pool.url for pool in reading.moving.pools]
        await on.no_change(pools(url, B, password=None))


@each(Need.SERIAL)
async def test_placeholders_in_the_user_are_filled_in_for_this_miner(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key) as on:
        assert (await on.carry_out(pools(A, user="acc.{mac}-{ip4}-{serial}"))).outcome == "done"
        mac, ip4 = on.miner.mac.replace(":", ""), on.miner.ip.replace(".", "x")
        assert on.stored[0][1] == f"acc.{mac}-{ip4}-{on.miner.serial}"


@each(Need.POOLS, without=Need.SERIAL)
async def test_a_placeholder_that_this_miner_cannot_fill_is_refused(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key) as on:
        assert (await on.carry_out(pools(A, user="acc.{mac}-{ip4}"))).outcome == "done"
        mac, ip4 = on.miner.mac.replace(":", ""), on.miner.ip.replace(".", "x")
        assert on.stored[0][1] == f"acc.{mac}-{ip4}"
        with pytest.raises(BadParamsError, match="serial"):
            await on.driver.plan(pools(A, user="acc.{serial}"))


@each(Need.POOLS)
async def test_a_miner_that_keeps_its_old_pools_is_found_out(make: MakeCase, key: str) -> None:
    await keeps_its_pools(make, key, "ignores")


@each(Need.SILENT_LOCK)
async def test_a_miner_that_locked_its_pools_is_found_out(make: MakeCase, key: str) -> None:
    await keeps_its_pools(make, key, "locked_pools")


async def keeps_its_pools(make: MakeCase, key: str, fault: str) -> None:
    async with make.begin(key, fault) as on:
        before = on.stored
        evidence = await on.carry_out(pools(A))
        outcome, verified, words = make.ignored_pools
        assert (evidence.outcome, evidence.verified) == (outcome, verified), evidence
        assert words in evidence.reason
        assert on.stored == before


@each(Need.POOLS)
async def test_pools_that_cannot_be_reached_are_set_and_said_to_be_dead(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key, "pools_dead") as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after["working_for"] is None
        assert make.no_pool in evidence.reason
