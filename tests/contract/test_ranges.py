"""Ranges as operators write them."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.ranges import Range, merge, parse_networks, parse_range

LAST = 2**32 - 1
addresses = st.integers(0, LAST)
# Close together, so that they overlap and touch.
ranges = st.builds(
    lambda first, size: Range(first, first + size), st.integers(0, 200), st.integers(0, 20)
)


def text(number: int) -> str:
    return str(IPv4Address(number))


@given(addresses)
def test_one_address_stays_one_address(number: int):
    found = parse_range(f" {text(number)} ")
    assert list(found) == [text(number)]
    assert str(found) == text(number)


@given(addresses, addresses)
def test_first_to_last_has_both_ends(one: int, other: int):
    first, last = sorted((one, other))
    found = parse_range(f"{text(first)} - {text(last)}")
    assert (found.first, found.last) == (first, last)
    assert len(found) == last - first + 1
    assert text(first) in found
    assert text(last) in found


@given(addresses, addresses)
def test_what_it_writes_it_reads(one: int, other: int):
    found = Range(*sorted((one, other)))
    assert parse_range(str(found)) == found


@given(addresses, st.integers(0, 30))
def test_a_block_leaves_out_its_network_and_its_broadcast_address(number: int, prefix: int):
    block = IPv4Network((number, prefix), strict=False)
    found = parse_range(f"{text(number)}/{prefix}")
    assert found.first == int(block.network_address) + 1
    assert found.last == int(block.broadcast_address) - 1
    assert str(block.network_address) not in found
    assert str(block.broadcast_address) not in found


@given(addresses)
def test_blocks_of_one_and_two_addresses_are_taken_whole(number: int):
    assert list(parse_range(f"{text(number)}/32")) == [text(number)]
    assert len(parse_range(f"{text(number)}/31")) == 2


def test_the_last_part_alone_may_stand_for_the_end():
    assert list(parse_range("192.168.1.10-12")) == ["192.168.1.10", "192.168.1.11", "192.168.1.12"]


@given(addresses, addresses)
def test_an_end_before_the_beginning_is_refused_in_words(one: int, other: int):
    if one == other:
        return
    first, last = sorted((one, other))
    with pytest.raises(ValueError, match="ends before it begins"):
        parse_range(f"{text(last)}-{text(first)}")


@pytest.mark.parametrize(
    "wrong",
    [
        *("", " ", "-", "/", "10.0.0", "10.0.0.256", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1-"),
        *("-10.0.0.1", "10.0.0.1-10.0.0", "10.0.0.1-300", "fe80::1", "::/0", "miner.example.com"),
        *(
            "10.0.0.01",
            "10.0.0.1-10.0.0.2-10.0.0.3",
            "10.0.0.1,10.0.0.2",
            "10.0.0.1/24/24",
            "x" * 9999,
        ),
    ],
)
def test_anything_else_is_refused_in_words(wrong: str):
    with pytest.raises(
        ValueError, match="is not an IPv4 address, a CIDR block or first-last"
    ) as info:
        parse_range(wrong)
    assert len(str(info.value)) < 200


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_range_or_a_value_error(typed: str):
    try:
        found = parse_range(typed)
    except ValueError:
        return
    assert 0 <= found.first <= found.last <= LAST


@given(st.one_of(st.text(max_size=20), st.integers(), st.none(), st.floats()))
def test_what_is_no_address_is_in_no_range(thing: object):
    try:
        IPv4Address(str(thing))
    except ValueError:
        assert thing not in Range(0, LAST)


@given(st.lists(ranges, max_size=12))
def test_merged_ranges_hold_the_same_addresses_once_in_order_and_apart(given_: list[Range]):
    merged = merge(given_)
    every = [number for each in merged for number in range(each.first, each.last + 1)]
    assert every == sorted({n for each in given_ for n in range(each.first, each.last + 1)})
    for left, right in itertools.pairwise(merged):
        assert left.last + 1 < right.first
    assert merge(merged) == merged
    assert merge(reversed(given_)) == merged


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("10.0.0.1", ["10.0.0.1/32"]),
        ("10.0.0.0/30", ["10.0.0.1/32", "10.0.0.2/32"]),
        ("10.0.0.4-10.0.0.9", ["10.0.0.4/30", "10.0.0.8/31"]),
        ("::1", ["::1/128"]),
        (" fd00::7/8 ", ["fd00::/8"]),
    ],
)
def test_a_range_is_the_same_addresses_as_networks(text: str, networks: list[str]):
    assert list(map(str, parse_networks(text))) == networks


@pytest.mark.parametrize("wrong", ["fd00::/129", "::1-::5", "fd00::x", "10.0.0.300"])
def test_what_is_no_range_of_either_kind_is_refused_in_words(wrong: str):
    with pytest.raises(ValueError, match=r"^range .* is not an IPv"):
        parse_networks(wrong)
