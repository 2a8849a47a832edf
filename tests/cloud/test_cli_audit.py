"""`miner-cloud audit` against a cloud that runs: who did what, in lines that people read."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud.cli.commands import app
from cloud.cli.since import parse_since
from cloud.store.access import admin
from contract.roles import Role
from tests.cloud.conftest import Cloud, done
from tests.cloud.test_audit import create

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


async def command(cloud: Cloud, folder: Path, *words: str, status: int = 0) -> tuple[str, str]:
    key = folder / "key"
    key.write_text(cloud.key)
    options = ("--url", cloud.base, "--key-file", str(key))
    ended = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *options, *words])
    assert ended.exit_code == status, (ended.output, ended.exception)
    return ended.stdout, ended.stderr


async def rebooted(cloud: Cloud) -> tuple[str, str]:
    """A miner that Ann rebooted ten minutes ago, and the key that she did it with."""
    agent = await cloud.agent()
    row, key = await admin.create_key(
        cloud.store, cloud.workspace_id, "K2", cloud.clock.now(), user="Ann", role=Role.OPERATOR
    )
    seen_at = cloud.clock.now() + timedelta(minutes=10)
    miner_id = await cloud.miner(
        agent.agent_id,
        "127.1.0.7",
        ip_number=2130771975,
        serial="SN7",
        serials="|SN7|",
        moving={"uptime_s": 500.0},
        last_read_at=seen_at,
        last_seen_at=seen_at,
        last_ok=True,
    )
    await create(cloud, "miner.system.reboot", miner_id, params={"force": True}, key=key)
    (task,) = (await agent.claim())["tasks"]
    begin = {"begin_id": "b" * 32}
    await agent.report(agent.event(task, "pending", cloud.clock.now(), **begin))
    cloud.clock.move(120)
    result = done(before={"uptime_s": 9000}, after={"uptime_s": 20})
    await agent.report(agent.event(task, "succeed", cloud.clock.now(), result=result, **begin))
    cloud.clock.move(480)
    return miner_id, row["id"]


async def test_who_rebooted_this_one(cloud: Cloud, tmp_path: Path) -> None:
    miner_id, key_id = await rebooted(cloud)
    ordered = (
        f"2026-11-21 12:00:00 UTC  Ann ({key_id}, 127.0.0.1)  miner.system.reboot  force=true"
        "  uptime_s=9000 -> uptime_s=20  succeed\n"
    )
    assert await command(cloud, tmp_path, "--miner", miner_id) == (ordered, "")
    for name in ("127.1.0.7", "SN7", "02:00:00:00:00:01"):
        out, _ = await command(cloud, tmp_path, "--miner", name)
        start = "2026-11-21 12:01:40 UTC  it runs since then, by its own count: "
        assert out == f"{ordered}{start}by miner.system.reboot of Ann\n"
    out, _ = await command(cloud, tmp_path, "--miner", "SN7", "--json")
    document = json.loads(out)
    assert document["start_ordered_by"] == ["miner.system.reboot of Ann"]
    assert document["items"][0]["task"]["begun_at"] == "2026-11-21T12:00:00Z"


async def test_what_changed_a_record_alone_started_no_miner(cloud: Cloud, tmp_path: Path) -> None:
    seen_at = cloud.clock.now()
    times = {"last_read_at": seen_at, "last_seen_at": seen_at, "last_ok": True}
    miner_id = await cloud.miner(
        None, serial="SN9", serials="|SN9|", moving={"uptime_s": 60.0}, **times
    )
    await create(cloud, "miner.tags.update", miner_id, params={"add": ["spare"]})
    out, _ = await command(cloud, tmp_path, "--miner", "SN9")
    assert "miner.tags.update" in out
    assert out.endswith(
        "it runs since then, by its own count: ordered by nobody that is listed here\n"
    )


async def test_a_start_that_nobody_ordered_is_said(cloud: Cloud, tmp_path: Path) -> None:
    seen_at = cloud.clock.now()
    times = {"last_read_at": seen_at, "last_seen_at": seen_at, "last_ok": True}
    await cloud.miner(None, serial="SN8", serials="|SN8|", moving={"uptime_s": 60.0}, **times)
    out, _ = await command(cloud, tmp_path, "--miner", "SN8")
    assert out == (
        "nothing of the kind was done\n"
        "2026-11-21 11:59:00 UTC  it runs since then, by its own count: ordered by nobody that is listed here\n"
    )


async def test_what_was_done_on_the_records_is_told_by_who_did_it(
    cloud: Cloud, tmp_path: Path
) -> None:
    await rebooted(cloud)
    user = (await workspace_items(cloud, tmp_path))[-1]["actor"]["name"]
    out, _ = await command(cloud, tmp_path, "--action", "key.create", "--limit", "1")
    first, more = out.splitlines()
    assert first.startswith(f"2026-11-21 12:00:00 UTC  {user}, by command  key.create  key key_")
    assert "role=operator" in first
    assert more == "and 1 more, older: --limit, --since"
    out, _ = await command(cloud, tmp_path, "--farm", "F", "--actor", "Ann")
    assert out.count("\n") == 1
    out, _ = await command(cloud, tmp_path, "--actor", "nobody")
    assert out == "nothing of the kind was done\n"


async def workspace_items(cloud: Cloud, folder: Path) -> list[Any]:
    out, _ = await command(cloud, folder, "--json")
    return list(json.loads(out)["items"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--miner", "SN9"), "--miner SN9: Miner not found in this farm"),
        (("--miner", "SN7"), "--miner SN7: SN7 is 2 miners: "),
        (("--farm", "G"), "--farm G: no farm has that id or name; there is F ("),
        (("--since", "noon"), "--since: 'noon' is no time: write 3h, 12:00, 2026-11-29 or"),
    ],
)
async def test_what_cannot_be_found_is_said_with_what_would_work(
    cloud: Cloud, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    for _ in range(2):
        await cloud.miner(None, serial="SN7", serials="|SN7|")
    _, err = await command(cloud, tmp_path, *words, status=2)
    assert err.startswith(f"miner-cloud: {message}"), err


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOON - timedelta(seconds=90)),
        ("3h", NOON - timedelta(hours=3)),
        ("2d", NOON - timedelta(days=2)),
        ("2026-11-28T10:00:00Z", datetime(2026, 11, 28, 10, tzinfo=UTC)),
        ("2026-11-28T10:00:00+02:00", datetime(2026, 11, 28, 8, tzinfo=UTC)),
    ],
)
def test_since_when(text: str, at: datetime) -> None:
    assert parse_since(text, NOON) == at


def test_an_hour_of_the_day_is_the_last_one_that_was() -> None:
    here = NOON.astimezone()
    earlier, later = here - timedelta(hours=1), here + timedelta(hours=1)
    assert parse_since(f"{earlier:%H:%M}", NOON) == earlier
    assert parse_since(f"{later:%H:%M}", NOON) == later - timedelta(days=1)
    midnight = here.replace(hour=0, minute=0)
    assert parse_since(f"{here:%Y-%m-%d}", NOON) == midnight


@pytest.mark.parametrize("text", ["", "noon", "3 h", "25:00", "999999999d", "2026-13-01"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no time: write 3h, 12:00"):
        parse_since(text, NOON)
