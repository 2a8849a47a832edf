"""Passwords as they may be seen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.hiding import hidden, is_hidden, masked_url
from contract.miner import Moving, Pool


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("stratum+tcp://u:p@a:1", "stratum+tcp://u:***@a:1"),
        ("stratum+tcp://u:p@ss:w@a:1", "stratum+tcp://u:***@a:1"),
        ("https://u:@a/b", "https://u:***@a/b"),
        ("https://:p@a/b", "https://:***@a/b"),
        ("u:p@a:3333", "u:***@a:3333"),
        ("asked https://u:p@a/b and http://v:q@c", "asked https://u:***@a/b and http://v:***@c"),
        ("stratum+tcp://wallet.worker@a:1", "stratum+tcp://wallet.worker@a:1"),
        ("https://a:8443/b?mail=c@d", "https://a:8443/b?mail=c@d"),
        ("http://a:80/~b@c", "http://a:80/~b@c"),
        ("write to farm@example.com", "write to farm@example.com"),
        (f"https://a/b?expires=1&sig={'0a' * 32}", "https://a/b?expires=1&sig=***"),
        (f"https://u:p@a/b?sig={'0a' * 32}&x=1", "https://u:***@a/b?sig=***&x=1"),
        ("https://a/b?sig=1", "https://a/b?sig=1"),
        ("", ""),
    ],
)
def test_a_url_shows_everything_but_its_password(text: str, shown: str) -> None:
    assert masked_url(text) == shown
    assert masked_url(shown) == shown


def test_plain_values_are_copied_without_what_is_secret() -> None:
    said: dict[str, Any] = {
        "pools": ({"url": "tcp://u:p@a", "user": "w", "password": "p"}, {"password": ""}),
        "more": [["tcp://u:p@a", 1, None, True]],
        "password": {"nested": "p"},
    }
    assert hidden(said) == {
        "pools": [{"url": "tcp://u:***@a", "user": "w", "password": "***"}, {"password": ""}],
        "more": [["tcp://u:***@a", 1, None, True]],
        "password": "***",
    }
    assert said["pools"][0]["password"] == "p"  # the original is as it was


def test_nesting_is_no_obstacle() -> None:
    deep: Any = {"password": "p"}
    for _ in range(100_000):
        deep = [deep]
    shown = hidden(deep)
    while isinstance(shown, list):
        (shown,) = shown
    assert shown == {"password": "***"}


@given(st.text(st.characters(exclude_characters="/?# \t\r\n", exclude_categories=("Z", "C"))))
def test_whatever_the_password_is_it_does_not_show(password: str) -> None:
    shown = masked_url(f"stratum+tcp://farm:{password}@pool.example:3333")
    assert shown == "stratum+tcp://farm:***@pool.example:3333"
    assert is_hidden("url", shown)


def test_stars_are_known_for_what_they_are() -> None:
    assert is_hidden("password", "***")
    assert is_hidden("password", "****")
    assert not is_hidden("password", "p***")
    assert not is_hidden("user", "***")
    assert not is_hidden("url", "tcp://u:p***@a")
    assert is_hidden("user", masked_url("wallet:worker@mail.example"))  # hidden like a password


def test_a_reading_never_holds_the_password_of_a_pools_url() -> None:
    made = Pool(index=0, url="tcp://u:p@a:1")
    said = msgspec.json.decode(
        b'{"pools": [{"index": 0, "url": "tcp://u:p@a:1", "user": "w"}]}', type=Moving
    )
    assert [made.url, said.pools[0].url] == ["tcp://u:***@a:1"] * 2
