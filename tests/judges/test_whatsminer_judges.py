"""pyasic and pyasic-rs, which share no code with us, meet simulated WhatsMiners: their reading against what the
simulator knows of itself, their orders against its ledger. That is the check of the simulator's tokens and frames.
"""

from __future__ import annotations

import re
from functools import cache

import msgspec
import pytest

from tests.judges.court import heard
from tests.judges.whatsminer import KEYS, Case

JUDGES = ("pyasic", "pyasic-rs")
OLD = ("m20s", "m31s+", "m30s")
V1 = ("m20s", "m31s+")
V3 = ("m60s", "m30s++", "m63s", "m70")
EFFECTS = {
    "light on": ["light"],
    "light off": ["light"],
    "pools": ["pools"],
    "sleep": ["power_off"],
    "wake": ["power_on"],
    "reboot": ["reboot"],
}
# what a judge cannot do, in its own words: its gaps, not the simulator's
GAPS = {
    ("pyasic", "pools"): (V3, "ValueError: not enough values to unpack"),
    **{
        ("pyasic-rs", deed): (OLD, "RuntimeError: .* is not supported on this platform")
        for deed in EFFECTS
    },
}
pytestmark = [
    pytest.mark.parametrize("key", KEYS),
    pytest.mark.parametrize("judge", JUDGES),
]


@cache
def cases(judge: str) -> dict[str, Case]:
    return msgspec.json.decode(heard("whatsminer", judge), type=dict[str, Case])


def word(text: str) -> str:
    """`M30S++ VH70`, `M30SPlusPlusVH70`, `M30S++_VH70` -> `m30s++vh70`."""
    return re.sub(r"[ _]", "", text.lower().replace("plus", "+"))


def test_it_reads_the_right_make_and_model_with_equal_figures(judge, key):
    said, truth = cases(judge)[key].said, cases(judge)[key].truth
    assert said.failed is None
    assert word(said.make or "") == "whatsminer" and word(said.model or "") == word(truth.model)
    assert (said.version, said.mac) == (truth.version, truth.mac)
    assert said.ideal_hs == pytest.approx(truth.ideal_hs, rel=1e-4)
    assert said.uptime_s in truth.uptimes_s
    assert [each for each in said.fans or [] if each] == truth.fans
    assert said.pools == truth.pools or (judge, bool(said.pools)) == ("pyasic", False)
    boards = said.boards or []
    assert {each.chips for each in boards} == {truth.chips}
    if (judge, key) == ("pyasic", "m63s"):  # it counts three boards on every v3 miner
        assert len(boards) == 3
        return
    assert len(boards) == truth.boards
    assert said.hashrate_hs is not None
    assert any(said.hashrate_hs == pytest.approx(rate, rel=1e-4) for rate in truth.rates_hs)
    rates = [each.hashrate_hs for each in boards]
    assert rates == pytest.approx(truth.board_rates_hs, rel=0.02)


def test_its_orders_change_the_simulated_miner(judge, key):
    for name, deed in cases(judge)[key].deeds.items():
        keys, words = GAPS.get((judge, name), ((), ""))
        if key in keys:
            assert re.match(words, deed.answered) and not deed.applied, (name, deed)
            continue
        # pyasic sets a power limit with the pools
        applied = [each for each in deed.applied if each != "power_limit"]
        assert (applied, deed.after) == (EFFECTS[name], True), (name, deed)


def test_it_believes_what_the_miner_answers(judge, key):
    for name, deed in cases(judge)[key].deeds.items():
        if key in GAPS.get((judge, name), ((), ""))[0]:
            continue
        # builds of v1 answer with an empty text, which this client takes for a refusal
        quiet = judge == "pyasic" and key in V1 and name in ("sleep", "wake", "reboot")
        wanted = "None" if (judge, name) == ("pyasic", "pools") else str(not quiet)
        assert deed.answered == wanted, (name, deed)
