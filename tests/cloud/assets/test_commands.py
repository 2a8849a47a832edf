"""`miner-cloud part`, `miner` and `range`, as a person and as a script use them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from typer.testing import CliRunner

from cloud.cli.commands import app
from tests.cloud.assets.farm import Yard
from tests.cloud.conftest import Cloud


async def run(yard: Yard, *words: str, status: int = 0) -> tuple[str, str]:
    """Beside the cloud that the test serves: a command has a loop of its own."""
    env = {"MINER_CLOUD_URL": yard.cloud.base, "MINER_CLOUD_KEY": yard.cloud.key}
    done = await asyncio.to_thread(CliRunner().invoke, app, words, env=env)
    assert done.exit_code == status, (done.output, done.exception)
    return done.stdout, done.stderr


async def told(yard: Yard, *words: str) -> Any:
    out, _ = await run(yard, *words, "--json")
    return json.loads(out)


async def test_a_board_is_asked_for_by_its_serial(cloud: Cloud) -> None:
    yard = await Yard.at(cloud)
    await yard.push(yard.look(1, 1), yard.look(2, 2))
    await yard.push(yard.look(2, 1), after_s=600)
    out, err = await run(yard, "part", "HB0001-0")
    assert [line.split() for line in out.splitlines()] == [
        ["kind", "miner", "mac", "slot", "from", "until"],
        ["hashboard", "10.0.0.2", "02:00:00:00:00:02", "0", "2026-11-21T12:10:00Z", "still", "there"],
        ["hashboard", "10.0.0.1", "02:00:00:00:00:01", "0", "2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z"],
    ]  # fmt: skip
    assert err == ""
    (board,) = await told(yard, "part", "HB0001-0")
    assert [each["is_there"] for each in board["places"]] == [True, False]
    _, err = await run(yard, "part", "HB0001/9", status=1)
    assert "No part of this serial number was seen in this farm" in err
    _, err = await run(yard, "part", " ", status=2)
    assert err == "miner-cloud: the serial number is empty\n"


async def test_proposals_are_shown_with_what_speaks_for_them_and_decided(cloud: Cloud) -> None:
    yard = await Yard.at(cloud)
    await yard.push(yard.look(1, 1), yard.look(2, 2))
    await yard.push(yard.look(1, 2), yard.look(2, 1), after_s=600)
    out, _ = await run(yard, "miner", "proposals")
    proposals = await told(yard, "miner", "proposals")
    by_asset = {each["asset"]["mac"]: each["id"] for each in proposals}
    one, two = by_asset["02:00:00:00:00:01"], by_asset["02:00:00:00:00:02"]
    assert (
        f"{one}: 10.0.0.1 02:00:00:00:00:01 goes on as 02:00:00:00:00:02 at 10.0.0.2 (score 8)\n"
        "    +6  3 of 3 hashboards are the same: HB0001-0, HB0001-1, HB0001-2\n"
        "    +2  the same psu: PSU0001\n"
        f"    together with proposal {two}: the two were swapped\n"
        f"    they are one miner: miner-cloud miner confirm {one}; they are two: miner-cloud miner reject {one}\n"
    ) in out
    page, _ = await run(yard, "status")
    words = "records  2 proposals wait of swapped control boards: miner-cloud miner proposals"
    assert words in page.splitlines()
    out, _ = await run(yard, "miner", "confirm", str(one))
    ids = {each["mac"]: id_ for id_, each in (await yard.miners()).items()}
    assert out == (
        f"miner {ids['02:00:00:00:00:02']} goes on with its new control board; {ids['02:00:00:00:00:01']} has the "
        "other control board\n"
    )
    _, err = await run(yard, "miner", "proposals")
    assert err == "no proposal is open\n"
    out, _ = await run(yard, "miner", "proposals", "--status", "confirmed")
    assert (
        f"{one}: 10.0.0.2 02:00:00:00:00:02 went on with the control board that was proposed" in out
    )
    assert "None" not in out
    _, err = await run(yard, "miner", "reject", str(two), status=1)
    assert "This proposal is confirmed already" in err


async def test_what_cannot_be_confirmed_says_why(cloud: Cloud) -> None:
    yard = await Yard.at(cloud)
    await yard.push(yard.look(1, 1))
    await yard.push(yard.look(9, 1), yard.look(1, 1), after_s=60)
    out, _ = await run(yard, "miner", "proposals")
    number, _, rest = out.partition(": ")
    assert "    but 10.0.0.1 02:00:00:00:00:01 was seen with HB0001-0" in rest
    _, err = await run(yard, "miner", "confirm", number, status=1)
    assert "one of the two tells what is not so" in err
    out, _ = await run(yard, "miner", "reject", number)
    assert out == f"proposal {number} is rejected\n"


async def test_ranges_are_named_listed_and_removed(cloud: Cloud) -> None:
    yard = await Yard.at(cloud)
    out, _ = await run(yard, "range", "add", "hall A", "10.1.0.0/24", "--no-auto-scan")
    assert (
        out
        == "hall A is 10.1.0.0/24, 254 addresses; agents whose config allows it scan it when asked\n"
    )
    out, _ = await run(yard, "range", "list")
    assert out.splitlines()[1].split()[:5] == ["hall", "A", "10.1.0.0/24", "254", "no"]
    (row,) = await told(yard, "range", "list")
    assert (row["name"], row["auto_scan"]) == ("hall A", False)
    _, err = await run(yard, "range", "add", "all", "0.0.0.0/0", status=1)
    assert "not private ones" in err
    await run(yard, "range", "remove", "", status=2)
    out, _ = await run(yard, "range", "remove", "hall A")
    assert out == "range hall A is removed\n"
    assert await told(yard, "range", "list") == []
