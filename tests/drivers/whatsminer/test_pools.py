"""The pools: all slots written, read back from the running miner, and nothing claimed beyond."""

from __future__ import annotations

import pytest

from contract.errors import BadParamsError, BusyError
from drivers.base import Pools, PoolSetting, Suspend
from tests.drivers.makes.cases import A, B, C, pools
from tests.drivers.whatsminer.stage import WRITABLE, stage


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_new_passwords_alone_are_written_and_never_called_verified(key: str) -> None:
    async with stage(key) as on:
        await on.carry_out(pools(A))
        evidence = await on.carry_out(pools(A, password="other"))
        assert (evidence.outcome, evidence.verified) == ("done", False), evidence
        assert "does not show them" in (evidence.reason or "")
        assert on.stored[0] == (A, "acc.w1", "other")
        on.faults.add("silent_apply", close=True)
        evidence = await on.carry_out(pools(A, password="third"))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


async def test_a_password_that_cannot_be_kept_is_told() -> None:
    async with stage("m50s") as on:
        await on.carry_out(pools(A, B))
        changed = Pools(
            pools=(PoolSetting(url=A, user="acc.w2"), PoolSetting(url=C, user="acc.w2"))
        )
        evidence = await on.carry_out(changed)
        assert evidence.outcome == "done"
        assert "pool 1 could not be kept" in (evidence.reason or "")
        assert on.stored[:2] == [(A, "acc.w2", "x"), (C, "acc.w2", "x")]


@pytest.mark.parametrize(
    "change",
    [
        pools(A, user="two words"),
        pools(A, user='quo"te'),
        pools(A, user="$(reboot)"),
        pools(A, password="`id`"),
        pools(A, password="a;b"),
        pools("stratum+tcp://pööl:1"),
        pools(A, user="acc.{model}"),
        pools(A, B, C, A),
        pools("x" * 300),
        pools(""),
        Pools(pools=()),
    ],
)
async def test_what_a_shell_of_the_firmware_could_take_amiss_is_refused_before_anything_is_sent(
    change: Pools,
) -> None:
    async with stage("m50s") as on:
        with pytest.raises(BadParamsError):
            await on.driver.plan(change)
        assert not on.ledger(phase="received")


@pytest.mark.parametrize("key", WRITABLE)
async def test_accepted_but_still_the_old_pools_is_unknown_and_says_what_may_help(key: str) -> None:
    async with stage(key, "pools_need_restart") as on:
        evidence = await on.carry_out(pools(A))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "accepted" in (evidence.reason or "")
        assert "next start" in (evidence.reason or "")
        on.miner.restart_process()
        await on.miner.clock.sleep(30)
        # looked at again after its restart, the miner shows that it did
        await on.no_change(pools(A, password=None))


async def test_a_miner_switched_off_is_not_asked_where_its_pools_could_not_be_proven() -> None:
    async with stage("m50s") as on:
        await on.carry_out(Suspend())
        with pytest.raises(BusyError, match="switch its mining on"):
            await on.driver.plan(pools(A))
        assert not on.ledger("pools", phase="received")


async def test_no_password_is_in_the_evidence_and_on_v3_none_on_the_line() -> None:
    async with stage("m60s") as on:
        on.miner.tapped = True
        evidence = await on.carry_out(pools(A, password="newsecret"))
        assert "newsecret" not in repr((evidence.before, evidence.after, evidence.reason))
        assert on.miner.wire_log
        assert not any(b"newsecret" in entry.data for entry in on.miner.wire_log)


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_just_starts_is_waited_for(key: str) -> None:
    async with stage(key) as on:
        on.miner.restart_process()
        assert (await on.carry_out(pools(A))).outcome == "done"
