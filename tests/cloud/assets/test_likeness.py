"""What speaks for two records being one miner, and what tells nothing."""

from __future__ import annotations

import pytest

from cloud.store.assets.likeness import AGREES, DIFFERS, Fact, RecordFacts, compare, is_placeholder

ASSET = RecordFacts(
    mac="02:00:00:00:00:01",
    control_board="CTRL0001",
    hashboards=frozenset({"HB1", "HB2", "HB3"}),
    psu="PSU1",
    model="Antminer S19",
    hostname="row-a-1",
    address="10.0.0.1",
    position="a///1",
)


@pytest.mark.parametrize(
    ("found", "score", "likely"),
    [
        (ASSET, 4 + 3 + 6 + 2 + 1 + 1 + 1, True),
        (RecordFacts(), 0, False),
        (RecordFacts(mac="02:00:00:00:00:02", hashboards=ASSET.hashboards), 6, True),
        (RecordFacts(hashboards=frozenset({"HB1", "HB2", "NEW"})), 4, True),
        (RecordFacts(hashboards=frozenset({"HB1", "NEW1", "NEW2"})), 0, False),  # a spare part
        (RecordFacts(hashboards=frozenset({"HB1"}), psu="PSU1"), 2, False),
        (
            RecordFacts(psu="PSU1", hostname="row-a-1", address="10.0.0.1", position="a///1"),
            5,
            False,
        ),
        (RecordFacts(control_board="CTRL0001"), 3, False),  # one fact
        (RecordFacts(control_board="CTRL0001", address="10.0.0.1"), 4, True),
        (RecordFacts(hashboards=ASSET.hashboards, model="Antminer S21"), 0, False),
        (RecordFacts(hashboards=ASSET.hashboards, psu="PSU9", address="10.0.0.9"), 6, True),
    ],
)
def test_the_score_is_that_of_the_facts(found: RecordFacts, score: int, likely: bool) -> None:
    told = compare(ASSET, found)
    assert (told.score, told.is_likely) == (score, likely)
    assert told.score == sum(each.counts for each in told.evidence)
    assert [each.fact for each in told.evidence] == list(Fact)


def test_every_fact_counts_something() -> None:
    assert AGREES.keys() | DIFFERS.keys() == set(Fact)


def test_what_many_miners_show_counts_nothing() -> None:
    told = compare(ASSET, ASSET, common={"HB1", "HB2", "HB3", "PSU1", "CTRL0001"})
    assert told.score == 4 + 1 + 1 + 1
    words = {each.fact: each.words for each in told.evidence}
    assert words[Fact.PSU] == "psu PSU1 is shown by many miners and tells nothing"


def test_a_name_that_all_of_a_make_come_with_counts_nothing() -> None:
    same = RecordFacts(hostname="Antminer")
    assert compare(same, same).score == 0


def test_the_evidence_is_in_words() -> None:
    told = compare(
        ASSET, RecordFacts(mac="02:00:00:00:00:02", hashboards=frozenset({"HB1", "HB2"}))
    )
    words = {each.fact: (each.agrees, each.words) for each in told.evidence}
    assert words[Fact.MAC] == (
        False,
        "another mac: 02:00:00:00:00:01, and now 02:00:00:00:00:02",
    )
    assert words[Fact.HASHBOARDS] == (True, "2 of 3 hashboards are the same: HB1, HB2")
    assert words[Fact.PSU] == (None, "only one of them tells its psu")


@pytest.mark.parametrize(
    "serial",
    ["", "  ", "0", "0000000000", "FFFF-FFFF", "xxxxxxxx", "unknown", "N/A", "NULL", "123456789",
     "To be filled by O.E.M.", "A\x1b[31mB12", "A" * 65],
)  # fmt: skip
def test_a_placeholder_is_no_serial_number(serial: str) -> None:
    assert is_placeholder(serial)


@pytest.mark.parametrize("serial", ["HTSM-0001", "YNAHAEUBAAJAD0KLZ", "H8M01S98M0123", "0A1B"])
def test_a_serial_number_is_none(serial: str) -> None:
    assert not is_placeholder(serial)
