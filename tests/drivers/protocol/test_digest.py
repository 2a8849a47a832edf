"""Digest authentication by the vectors of the RFC and of the stock firmware."""

from __future__ import annotations

import hashlib

import pytest

from contract.errors import AuthFailedError
from drivers.base import Credentials
from drivers.protocol.digest import Challenge, Digest, answer, parse_challenge


def test_the_example_of_rfc_2617_is_answered_as_printed_there():
    challenge = parse_challenge(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    assert challenge is not None
    header = answer(
        challenge,
        Credentials("Mufasa", "Circle Of Life"),
        "GET",
        "/dir/index.html",
        count=1,
        cnonce="0a4f113b",
    )
    assert 'response="6629fae49393a05397450978507c4ef1"' in header
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in header


def test_the_stock_password_line_of_the_firmware_is_ours():
    """The htdigest line shipped in the images."""
    assert (
        hashlib.md5(b"root:antMiner Configuration:root").hexdigest()
        == "23c2a2d78c0d20ec069097d7d20c4392"
    )


def test_a_kept_challenge_is_counted_up():
    digest = Digest()
    digest.learn(Challenge(realm="antMiner Configuration", nonce="n", qop="auth"))
    credentials = Credentials("root", "root")
    first = digest.authorization(credentials, "GET", "/")
    second = digest.authorization(credentials, "GET", "/")
    assert "nc=00000001" in first
    assert "nc=00000002" in second
    digest.learn(Challenge(realm="antMiner Configuration", nonce="m", qop="auth"))
    assert "nc=00000001" in digest.authorization(credentials, "GET", "/")


def test_without_qop_the_old_form_is_used():
    header = answer(
        Challenge(realm="r", nonce="n"), Credentials("u", "p"), "GET", "/", count=1, cnonce="c"
    )
    ha1, ha2 = hashlib.md5(b"u:r:p").hexdigest(), hashlib.md5(b"GET:/").hexdigest()
    assert f'response="{hashlib.md5(f"{ha1}:n:{ha2}".encode()).hexdigest()}"' in header
    assert "cnonce" not in header


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        'Basic realm="antMiner"',
        'Digest realm="x"',
        'Digest realm="x", nonce="n", algorithm=SHA-256',
        'Digest realm="x", nonce="n", qop="auth-int"',
    ],
)
def test_what_we_cannot_answer_is_no_challenge(header: str | None):
    assert parse_challenge(header) is None


def test_algorithm_is_echoed_when_given():
    challenge = parse_challenge('digest realm="a, b", nonce="n", algorithm=MD5')
    assert challenge is not None
    assert challenge.realm == "a, b"
    header = answer(challenge, Credentials("u", "p"), "GET", "/", count=1, cnonce="c")
    assert header.endswith("algorithm=MD5")


@pytest.mark.parametrize("user", ['a"b', "a\\b", "a\r\nb", "ä"])
def test_a_user_name_cannot_break_out_of_its_quotes(user: str):
    with pytest.raises(AuthFailedError):
        answer(
            Challenge(realm="r", nonce="n"), Credentials(user, "p"), "GET", "/", count=1, cnonce=""
        )
