"""Addresses, ranges, lists of them and names, as a person writes them."""

from __future__ import annotations

import pytest

from agent.cli.targets import one_address, ranges_in


@pytest.mark.parametrize(
    ("texts", "ranges"),
    [
        (["10.0.0.0/24"], ("10.0.0.0/24",)),
        (["10.0.0.0/24,10.0.1.5-9"], ("10.0.0.0/24", "10.0.1.5-9")),
        ([" 10.0.0.1 , 10.0.0.2 ", "10.0.0.3,"], ("10.0.0.1", "10.0.0.2", "10.0.0.3")),
        (["localhost"], ("127.0.0.1",)),
        (["localhost,10.0.0.1"], ("127.0.0.1", "10.0.0.1")),
    ],
)
def test_ranges_may_stand_beside_each_other_or_with_commas_between(texts, ranges) -> None:
    assert ranges_in(texts) == ranges


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        (" 10.0.0.1, ", "10.0.0.1"),
        ("10.0.0.1/32", "10.0.0.1"),
        ("10.0.0.1-10.0.0.1", "10.0.0.1"),
        ("10.0.0.1,10.0.0.1", "10.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("LOCALHOST", "127.0.0.1"),
    ],
)
def test_one_miner_is_named_by_whatever_stands_for_one_address(text: str, address: str) -> None:
    assert one_address(text) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.0.0/24", "254 addresses"),
        ("10.0.0.1,10.0.0.3", r"2 addresses \(10.0.0.1, 10.0.0.3\): give the one miner that is meant"),
        ("localhost,10.0.0.3", "2 addresses"),
        ("", "no address, range or name"),
        (" , ", "no address, range or name"),
        ("miner-7.invalid", "nor the name of a host"),
        ("::1", "not an IPv4 address"),
        ("-rf", "not an IPv4 address"),
        ("a b", "not an IPv4 address"),
        ("müller.lan", "not an IPv4 address"),
    ],
)  # fmt: skip
def test_what_is_not_one_miner_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        one_address(text)


@pytest.mark.parametrize(
    "text",
    ["10.0.0.300", "10.0.300", "10", "2130706433", "0x7f000001", "0x7f.1", "1.2.3.4.5", "1.2.3.4."],
)
def test_a_slip_in_an_address_is_never_taken_for_a_name(text: str) -> None:
    """Look-ups would make other addresses of these, and act would change the miner there."""
    with pytest.raises(ValueError, match="not an IPv4 address"):
        ranges_in([text])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.0.9-300", "not an IPv4 address"),
        ("10.0.0.50-10", "ends before it begins"),
        ("10.0.0.50-10.", "not an IPv4 address"),
        ("10.0.300-310", "not an IPv4 address"),
    ],
)
def test_nor_is_a_slip_in_a_range(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ranges_in([text])
