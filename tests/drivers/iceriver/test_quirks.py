"""Quirks of IceRivers that are guarded by one check: with it all is well, without it this is seen."""

from __future__ import annotations

import pytest

from drivers.base import Depth
from drivers.iceriver.reading import snapshot
from tests.drivers.antminer.quirk import Patch, Quirk, fails_without_its_guard, returning
from tests.drivers.iceriver.stage import stage


async def boards_a_thousand_times_too_high() -> None:
    async with stage("ks5l", "board_unit_off") as on:
        seen = await on.driver.read(Depth.SLOW)
        moving = seen.moving
        assert seen.slow is not None
        texts = [each.text for each in seen.slow.faults if each.code == "rate_unit_doubtful"]
        assert len(texts) == 1
        assert texts[0].count("H/s") == 2
        assert moving.hashrate_hs is moving.hashrate_5m_hs is moving.hashrate_30m_hs is None
        assert {board.hashrate_hs for board in moving.boards} == {None}
        assert moving.hashes


QUIRKS = [Quirk(boards_a_thousand_times_too_high, returning(snapshot, "doubt_of", None))]
IDS = [quirk.name for quirk in QUIRKS]


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_with_its_guard_the_quirk_does_no_harm(quirk: Quirk) -> None:
    await quirk.check()


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_without_its_guard_the_quirk_is_seen(quirk: Quirk, monkeypatch: Patch) -> None:
    await fails_without_its_guard(quirk, monkeypatch)
