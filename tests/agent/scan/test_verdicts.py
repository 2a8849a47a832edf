from __future__ import annotations

import random
import tracemalloc

import pytest

from agent.ports import AddressVerdict
from agent.scan.report.verdicts import IDENTIFYING, Saying, Verdicts
from contract.ranges import number_of, parse_range

SILENT = Saying(AddressVerdict.SILENT, (80, 4028))
SILENT_SO_FAR = Saying(AddressVerdict.SILENT, (80,), is_final=False)
FOUND = Saying(AddressVerdict.FOUND, (80,))
CUT = Saying(AddressVerdict.NOT_ASKED, note="the scan ended before")


def of(*texts: str) -> Verdicts:
    return Verdicts(tuple(map(parse_range, texts)))


def shown(verdicts: Verdicts) -> list[tuple[str, AddressVerdict | None]]:
    return [(str(span), said.verdict) for span, said in verdicts.runs()]


def test_the_same_of_neighbours_is_told_as_one_range_but_not_across_a_gap() -> None:
    verdicts = of("10.0.0.1-10.0.0.9", "10.0.0.11-10.0.0.12")
    for last in (1, 2, 3, 5, 9, 11, 12):
        verdicts.mark(number_of(f"10.0.0.{last}"), SILENT)
    verdicts.mark(number_of("10.0.0.4"), FOUND)
    verdicts.mark(number_of("10.0.0.7"), SILENT_SO_FAR)
    assert shown(verdicts) == [
        ("10.0.0.1-10.0.0.3", "silent"),
        ("10.0.0.4", "found"),
        ("10.0.0.5", "silent"),
        ("10.0.0.9", "silent"),
        ("10.0.0.11-10.0.0.12", "silent"),
    ]
    assert (verdicts.unseen, verdicts.done, verdicts.halfway, len(verdicts)) == (2, 8, 1, 11)
    assert (verdicts.counts()[AddressVerdict.SILENT], verdicts.identifying) == (7, 0)


def test_what_is_said_later_takes_the_place_of_what_was_said_before() -> None:
    verdicts, number = of("10.0.0.1"), number_of("10.0.0.1")
    for said in (SILENT_SO_FAR, IDENTIFYING, FOUND):
        verdicts.mark(number, said)
        assert verdicts.at(number) == said
    assert verdicts.is_final(number)
    assert sum(verdicts.counts().values()) == verdicts.done == 1
    with pytest.raises(ValueError, match=r"10\.0\.0\.2 is not among"):
        verdicts.mark(number + 1, SILENT)


def test_closed_every_address_has_a_verdict() -> None:
    verdicts = of("10.0.0.1-10.0.0.4")
    for last, said in ((1, SILENT), (2, SILENT_SO_FAR), (3, IDENTIFYING)):
        verdicts.mark(number_of(f"10.0.0.{last}"), said)
    verdicts.close(CUT)
    assert shown(verdicts) == [
        ("10.0.0.1", "silent"),
        ("10.0.0.2", "silent"),
        ("10.0.0.3-10.0.0.4", "not_asked"),
    ]
    second = verdicts.at(number_of("10.0.0.2"))
    assert second is not None and second.ports == (80,), "only the port that was asked"
    assert (verdicts.done, verdicts.unseen, verdicts.identifying) == (4, 0, 0)


def test_what_was_kept_is_taken_up_and_what_is_open_is_asked_again() -> None:
    verdicts = of("10.0.0.1-10.0.0.6")
    for last, said in ((1, SILENT), (2, SILENT_SO_FAR), (3, IDENTIFYING), (4, FOUND)):
        verdicts.mark(number_of(f"10.0.0.{last}"), said)
    again = of("10.0.0.1-10.0.0.6")
    again.mark(number_of("10.0.0.6"), Saying(AddressVerdict.SKIPPED, note="another order of bytes"))
    again.load(*verdicts.dump())
    finals = [last for last in range(1, 7) if again.is_final(number_of(f"10.0.0.{last}"))]
    assert (finals, again.unseen, again.done) == ([1, 4], 4, 2)
    assert again.at(number_of("10.0.0.1")) == SILENT


def test_what_was_kept_of_others_or_is_damaged_is_refused() -> None:
    kept = of("10.0.0.1-10.0.0.6").dump()
    for bad in (kept, (b"x", kept[1]), (kept[0], b"{"), (kept[0][:-3], kept[1])):
        with pytest.raises(ValueError, match="kept of a scan"):
            of("10.0.0.1-10.0.0.7").load(*bad)


def test_however_many_different_things_are_said_a_byte_is_enough() -> None:
    verdicts = of("10.0.0.1-10.0.4.0")
    for number in range(1, 1000):
        said = Saying(AddressVerdict.NOT_ASKED, (number,), f"why {number}")
        verdicts.mark(number_of("10.0.0.0") + number, said)
    assert verdicts.counts()[AddressVerdict.NOT_ASKED] == 999
    first = verdicts.at(number_of("10.0.0.1"))
    last = verdicts.at(number_of("10.0.3.231"))
    assert first is not None and first.note == "why 1"
    assert last == Saying(AddressVerdict.NOT_ASKED)


def test_a_million_addresses_are_a_megabyte() -> None:
    tracemalloc.start()
    try:
        verdicts = of("10.0.0.0-10.15.255.255")
        first, chance = number_of("10.0.0.0"), random.Random(1)
        for _ in range(2000):
            verdicts.mark(first + chance.randrange(len(verdicts)), SILENT)
        verdicts.close(CUT)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(verdicts) == 1 << 20
    assert most < 3.5 * 2**20
    assert sum(verdicts.counts().values()) == len(verdicts)
