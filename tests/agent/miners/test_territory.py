from __future__ import annotations

import pytest

from agent.config.miners import MinersSection
from agent.miners.territory import Territory
from contract.errors import BadParamsError, PolicyRefusedError
from contract.ranges import Range, parse_range


def test_only_private_addresses_are_touched_by_default() -> None:
    territory = Territory(MinersSection())
    assert "192.168.7.9" in territory
    assert "8.8.8.8" not in territory
    assert "127.0.0.1" not in territory
    with pytest.raises(PolicyRefusedError, match="allowed"):
        territory.check("8.8.8.8")


def test_what_is_configured_to_be_scanned_is_allowed() -> None:
    assert "203.0.113.9" in Territory(MinersSection(ranges=("203.0.113.0/28",)))


def test_denied_addresses_are_cut_out_of_every_range() -> None:
    territory = Territory(
        MinersSection(denied=("192.168.1.1", "192.168.1.100-192.168.1.199", "192.168.1.254"))
    )
    spans = territory.select(["192.168.1.0/24"], max_addresses=1000)
    assert [str(span) for span in spans] == [
        "192.168.1.2-192.168.1.99",
        "192.168.1.200-192.168.1.253",
    ]
    assert "192.168.1.150" not in territory


def test_a_denied_address_is_told_from_one_outside() -> None:
    territory = Territory(MinersSection(denied=("10.0.0.1-10.0.0.9",)))
    with pytest.raises(PolicyRefusedError, match="denied to this agent"):
        territory.check("10.0.0.5")
    with pytest.raises(BadParamsError, match=r"every address of 10\.0\.0\.2-10\.0\.0\.4 is denied"):
        territory.select(["10.0.0.2-4"], max_addresses=10)
    assert _shown(territory.skipped(["10.0.0.8-10.0.0.12"])) == [
        ("10.0.0.8-10.0.0.9", "denied by [miners] denied")
    ]


def test_what_a_scan_skips_is_told_with_its_reason_once() -> None:
    territory = Territory(
        MinersSection(denied=("10.0.0.1-10.0.0.9", "10.0.1.0/24")), ["10.0.0.5", "10.0.0.77"]
    )
    assert _shown(territory.skipped(["10.0.0.0/24", "10.0.0.3-8"])) == [
        ("10.0.0.1-10.0.0.4", "denied by [miners] denied"),
        ("10.0.0.5", "it is a rig's"),
        ("10.0.0.6-10.0.0.9", "denied by [miners] denied"),
        ("10.0.0.77", "it is a rig's"),
    ]
    spans = territory.select(["10.0.0.0/24"], max_addresses=300)
    skipped = sum(len(span) for span, _ in territory.skipped(["10.0.0.0/24"]))
    assert sum(map(len, spans)) + skipped == 254


def test_ranges_with_a_name_are_configured_ones() -> None:
    territory = Territory(MinersSection(ranges=("203.0.113.0/28",)), named=["198.51.100.7"])
    assert "198.51.100.7" in territory
    assert sum(map(len, territory.select((), max_addresses=20))) == 15


def _shown(skipped: tuple[tuple[Range, str], ...]) -> list[tuple[str, str]]:
    return [(str(span), why) for span, why in skipped]


def test_overlapping_ranges_are_visited_once() -> None:
    spans = Territory(MinersSection()).select(["10.0.0.0/24", "10.0.0.128/25"], max_addresses=256)
    assert [str(span) for span in spans] == ["10.0.0.1-10.0.0.254"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["8.8.8.0/24"], "outside"),
        (["10.0.0.0/8"], "more than the 1000"),
        (["ten"], "not an IPv4"),
        ([], "none is configured"),
    ],
)
def test_a_range_that_may_not_be_scanned_is_refused_in_words(texts: list[str], words: str) -> None:
    with pytest.raises(BadParamsError, match=words):
        Territory(MinersSection()).select(texts, max_addresses=1000)


def grounds(
    territory: Territory, *ips: str, more: tuple[str, ...] = (), most: int = 100_000
) -> list[list[str]]:
    ranges = tuple(map(parse_range, more))
    found = territory.grounds(ips, ranges, max_addresses=most)
    return [[str(span) for span in spans] for spans in found]


def test_a_miner_is_looked_for_in_its_24_then_in_its_range_then_in_all() -> None:
    territory = Territory(MinersSection(ranges=("10.0.0.0/22", "10.9.0.0/24")))
    assert grounds(territory, "10.0.1.7") == [
        ["10.0.1.0-10.0.1.255"],
        ["10.0.0.1-10.0.0.255", "10.0.2.0-10.0.3.254"],
        ["10.9.0.1-10.9.0.254"],
    ]
    assert grounds(territory, "10.0.1.7", "10.0.1.8", "10.0.2.1")[0] == ["10.0.1.0-10.0.2.255"]
    assert grounds(territory, "10.0.1.7", more=("10.0.4.0/24",))[2] == [
        "10.0.4.1-10.0.4.254",
        "10.9.0.1-10.9.0.254",
    ]


def test_of_a_24_that_is_configured_in_part_only_that_part_is_looked_through() -> None:
    territory = Territory(MinersSection(ranges=("10.0.0.10-10.0.0.20",)))
    assert grounds(territory, "10.0.0.12") == [["10.0.0.10-10.0.0.20"]]
    assert grounds(territory, "10.0.7.12")[0] == ["10.0.7.1-10.0.7.254"]  # where an order found it


def test_nothing_outside_or_denied_and_no_rig_is_looked_through_and_no_more_than_a_scan_may() -> (
    None
):
    section = MinersSection(
        ranges=("10.0.0.0/24",), allowed=("10.0.0.0/16",), denied=("10.0.0.100-10.0.0.254",)
    )
    territory = Territory(section, rigs=["10.0.0.50"])
    assert grounds(territory, "10.0.0.12") == [["10.0.0.1-10.0.0.49", "10.0.0.51-10.0.0.99"]]
    assert grounds(territory, "10.0.0.12", most=60) == [
        ["10.0.0.1-10.0.0.49", "10.0.0.51-10.0.0.61"]
    ]
    assert grounds(territory, "10.0.0.12", more=("10.1.0.0/16",)) == [
        ["10.0.0.1-10.0.0.49", "10.0.0.51-10.0.0.99"]
    ]
