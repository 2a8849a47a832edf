"""A CSV file of miners, as spreadsheets write it: what is taken, and what is refused with its line."""

from __future__ import annotations

import io
import time

import pytest

from agent.cli.sheet import BYTES_MAX, ROWS_MAX, Row, parse_sheet, read_sheet
from contract.miner import Identity, Make
from contract.sheets import SheetError

MAC, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
KNOWN = {
    "10.0.0.1": Identity(make=Make.ANTMINER, mac=MAC, serial="A1"),
    "10.0.0.2": Identity(make=Make.ANTMINER, mac=OTHER, serial="B2"),
    "10.0.0.3": Identity(make=Make.ANTMINER, mac=OTHER),
}


def addresses(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return [row.address for row in parse_sheet(io.BytesIO(data), KNOWN).rows]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.7\n10.0.0.8\n", ["10.0.0.7", "10.0.0.8"]),
        ("10.0.0.7,S21,hall B", ["10.0.0.7"]),
        ("10.0.0.7," * 20_000, ["10.0.0.7"]),
        ("ip\n10.0.0.7\n", ["10.0.0.7"]),
        ("rack;IP;note\r\nA1;10.0.0.7;-\r\nA2;10.0.0.8;=x\r\n", ["10.0.0.7", "10.0.0.8"]),
        ("name\tAddress \nx\t 10.0.0.7 \n", ["10.0.0.7"]),
        (b'\xef\xbb\xbf"host","rack"\r\n"localhost","A, 1"\r\n', ["127.0.0.1"]),
        ("mac\n02-00-00-00-00-01\n", ["10.0.0.1"]),
        ("serial\nB2\n", ["10.0.0.2"]),
        ("\n\n10.0.0.7\n,,\n\n", ["10.0.0.7"]),
        ("10.0.0.7\r10.0.0.8\r", ["10.0.0.7", "10.0.0.8"]),
    ],
)
def test_the_column_of_its_header_is_taken_else_the_first(text: str, found: list[str]) -> None:
    assert addresses(text) == found


def test_an_address_is_taken_once_and_a_mac_beside_it_says_who_is_meant() -> None:
    sheet = parse_sheet(
        io.BytesIO(f"ip,mac\n10.0.0.7,{MAC}\n10.0.0.8,\n10.0.0.7,{MAC}\n".encode()), {}
    )
    assert sheet.rows == (Row(2, "10.0.0.7", MAC), Row(3, "10.0.0.8"))
    assert sheet.duplicates == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no rows"),
        ("ip\n", "below its header there are no rows"),
        ("10.0.0.7\n=cmd|' /C calc'!A0\n", r"line 2: \"=cmd|' /C calc'!A0\" begins like a formula"),
        ("ip\n+10.0.0.7\n", "line 2: '[+]10.0.0.7' begins like a formula, which is no ip"),
        ("ip\n-1\n@x\n10.0.0.1\n", "line 2: .*; line 3: '@x' begins"),
        ("10.0.0.7\n10.0.0.0/24\n", "line 2: '10.0.0.0/24' is not one IPv4 address"),
        ("10.0.0.7-9\n", "line 1: '10.0.0.7-9' is not one IPv4 address"),
        ("ip\n10.0.0.300\n", "line 2: "),
        ("device,rack\n10.0.0.7,A\n", "line 1: 'device' is no IPv4 address"),
        ("ip\n10.0.0.7\n,\n\nx,\n", "line 5: 'x' is no IPv4"),
        ("rack,ip\nA1,10.0.0.7\nA2,\n", "line 3: there is no ip"),
        ("serial,mac\nB2,\n", "line 2: there is no mac"),
        ("rack,ip\nA1\n", "line 2: there is no ip"),
        ("mac\nff:ff:ff:ff:ff:ff\n", "line 2: .* is not the MAC address of a device"),
        ("mac\n02:00:00:00:00:09\n", "no miner with the mac '02:00:00:00:00:09' is known"),
        (f"mac\n{OTHER}\n", "is shown at 10.0.0.2 and 10.0.0.3: give an address"),
        ("serial\nA9\n", "no miner with the serial 'A9' is known"),
        ('ip\n"10.0.0.7\n', "it is not CSV"),
        ("10.0.0.7\n\x0010.0.0.8\n", "line 2: "),
        ("ip\n" + "?\n" * 12, "line 11: .*; and 2 more"),
        (b"\xff\xfei\x00p\x00", "not text in UTF-8; save it as CSV UTF-8"),
        (b"x" * BYTES_MAX, "a line of more than 262144 characters"),
        ((b"x" * 2**17 + b"\n") * 129, "more than 16 MiB; take it in parts"),
    ],
)
def test_what_is_no_address_is_refused_with_its_line_and_all_else_with_it(
    text: str | bytes, words: str
) -> None:
    with pytest.raises(SheetError, match=words):
        addresses(text)


def test_a_million_rows_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b"10.0.0.7\n" * 1_000_000
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(rows)))
    began = time.process_time()
    with pytest.raises(SheetError, match="--csv -: it has more than 65,536 rows; take it in parts"):
        read_sheet("-", {})
    assert time.process_time() - began < 1.0
    whole = b"ip\n" + b"".join(
        b"10.%d.%d.%d\n" % (n >> 16, n >> 8 & 255, n & 255) for n in range(ROWS_MAX)
    )
    assert len(addresses(whole)) == ROWS_MAX
    with pytest.raises(SheetError, match="it has more than 65,536 rows"):
        addresses(whole[3:] + b"10.9.9.9\n")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SheetError, match=r"--csv /nowhere/miners\.csv: no such file"):
        read_sheet("/nowhere/miners.csv", {})
