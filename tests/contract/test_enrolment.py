"""Codes and authorities as text: what people copy, and what strangers send."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.enrolment.authorities import (
    AUTHORITIES_MOST,
    PEM_MAX,
    as_pem,
    certificates_in,
    fingerprint,
    of_fingerprint,
)
from contract.enrolment.code import EnrolCode

SECRET = "ABCD-EFGH-JKLM-NPQR-STUV"
PRINT = "0123456789abcdef" * 4


@pytest.mark.parametrize("code", [EnrolCode(SECRET), EnrolCode(SECRET, PRINT)])
def test_a_code_is_read_as_it_was_written(code: EnrolCode) -> None:
    assert EnrolCode.of(str(code)) == code
    assert EnrolCode.of(f" {code}\n") == code


def test_the_letters_of_a_fingerprint_may_be_large() -> None:
    assert EnrolCode.of(f"{SECRET}.{PRINT.upper()}") == EnrolCode(SECRET, PRINT)


@pytest.mark.parametrize(
    "tail", ["", " ", PRINT[:-1], f"{PRINT}0", f"{PRINT[:-1]}g", f"{PRINT}.{PRINT}", "sha256", f"{PRINT[:32]} {PRINT[32:]}"]
)  # fmt: skip
def test_a_fingerprint_that_is_not_whole_is_refused(tail: str) -> None:
    with pytest.raises(ValueError, match="not whole"):
        EnrolCode.of(f"{SECRET}.{tail}")


@given(st.text())
def test_whatever_was_typed_is_a_code_or_said_to_be_none(text: str) -> None:
    if "." in text.strip():
        with pytest.raises(ValueError, match="not whole"):
            EnrolCode.of(text)
    else:
        assert EnrolCode.of(text) == EnrolCode(text.strip())


@given(st.lists(st.binary(min_size=1, max_size=500), min_size=1, max_size=AUTHORITIES_MOST))
def test_certificates_are_written_as_others_read_them(held: list[bytes]) -> None:
    text = as_pem(held)
    assert certificates_in(text) == tuple(held)
    assert certificates_in(text.replace("\n", "\r\n")) == tuple(held)
    assert ssl.PEM_cert_to_DER_cert(as_pem(held[:1])) == held[0]
    assert of_fingerprint(held, fingerprint(held[-1])) == held[-1]
    assert of_fingerprint(held, PRINT) is None


@given(st.text() | st.text("-BEGINCRTFADL \n=+/", max_size=300))
def test_whatever_was_sent_is_certificates_or_said_to_be_none(text: str) -> None:
    for each in (text, f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"):
        try:
            found = certificates_in(each)
        except ValueError:
            continue
        assert 1 <= len(found) <= AUTHORITIES_MOST
        assert certificates_in(as_pem(found)) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * (PEM_MAX + 1), "characters"),
        (as_pem([b"1"] * (AUTHORITIES_MOST + 1)), "5 certificates"),
        ("", "no certificate"),
        ("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", "not whole"),
    ],
)
def test_what_is_too_much_or_too_little_is_said(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        certificates_in(text)
