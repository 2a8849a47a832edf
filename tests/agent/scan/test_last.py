from __future__ import annotations

from agent.ports import AddressVerdict, FoundMiner
from agent.scan.report.last import LastScan, SeenMiner, changes_since
from contract.scan import ScanChanges

A, B, C = "02:00:00:00:00:0A", "02:00:00:00:00:0B", "02:00:00:00:00:0C"


def changes(
    before: dict[str, str | None],
    now: dict[str, str | None],
    *,
    elsewhere: dict[str, str] | None = None,
    verdict: AddressVerdict = AddressVerdict.SILENT,
) -> dict[str, list[str]]:
    """By kind: the last numbers of the addresses. Where no miner is now, `verdict` is said."""
    last = LastScan(
        ended_at="then",
        seen={
            ip: SeenMiner(ip=ip, mac=mac, make="antminer", model="S19")
            for ip, mac in before.items()
        },
        elsewhere=elsewhere or {},
    )
    found = {ip: FoundMiner(ip=ip, mac=mac, make="antminer") for ip, mac in now.items()}
    told = changes_since(last, found, lambda ip: AddressVerdict.FOUND if ip in now else verdict)
    assert len(told) == sum(map(len, kinds(told).values()))
    return {kind: ips for kind, ips in kinds(told).items() if ips}


def kinds(told: ScanChanges) -> dict[str, list[str]]:
    return {
        kind: [each.ip for each in getattr(told, kind)]
        for kind in ("new", "lost", "moved", "replaced")
    }


def test_nothing_changed_is_no_change() -> None:
    assert changes({"1": A, "2": None}, {"1": A, "2": None}) == {}


def test_a_miner_at_an_address_where_none_was_is_new() -> None:
    assert changes({"1": A}, {"1": A, "2": B}) == {"new": ["2"]}


def test_one_that_answers_no_more_is_lost_but_not_where_it_could_not_be_asked() -> None:
    assert changes({"1": A, "2": B}, {"1": A}) == {"lost": ["2"]}
    assert changes({"2": B}, {}, verdict=AddressVerdict.UNKNOWN) == {"lost": ["2"]}
    for unsaid in (AddressVerdict.NOT_ASKED, AddressVerdict.SKIPPED, AddressVerdict.FAILED):
        assert changes({"1": A, "2": B}, {"1": A}, verdict=unsaid) == {}


def test_one_that_moved_is_neither_new_nor_lost() -> None:
    assert changes({"1": A}, {"2": A}) == {"moved": ["2"]}
    assert changes({}, {"2": A}, elsewhere={A: "9"}) == {"moved": ["2"]}


def test_two_that_swapped_have_both_moved() -> None:
    assert changes({"1": A, "2": B}, {"1": B, "2": A}) == {"moved": ["1", "2"]}


def test_another_one_at_its_address_replaced_it() -> None:
    assert changes({"1": A}, {"1": B}) == {"replaced": ["1"]}
    # B went over to the place of A, which is gone, and left its own to C, which nobody knows.
    assert changes({"1": A, "2": B}, {"1": B, "2": C}) == {"moved": ["1"], "new": ["2"]}


def test_a_clone_of_one_that_is_still_there_has_not_moved() -> None:
    assert changes({"1": A}, {"1": A, "2": A}) == {"new": ["2"]}


def test_a_miner_that_hides_its_mac_is_taken_for_the_one_that_was_there() -> None:
    assert changes({"1": A}, {"1": None}) == {}
    assert changes({"1": None}, {"1": A}) == {}
