"""The commands that list, import and lay out miners, on a cloud that is served."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from cloud.cli.commands import app
from cloud.cli.sheets import read_sheet, written
from contract.sheets import SheetError
from tests.cases import case
from tests.cloud.nonce.conftest import migrated, operations, readings, stage

__all__ = ["migrated", "operations", "readings", "stage"]  # fixtures


async def run(stage: Any, *words: str, status: int = 0, stdin: str | bytes | None = None) -> Result:
    """A command, in a thread beside the server."""
    environment = {"MINER_CLOUD_URL": stage.url, "MINER_CLOUD_KEY": stage.key}
    done = await asyncio.to_thread(
        CliRunner().invoke, app, [*words, "--farm", stage.farm], input=stdin, env=environment
    )
    assert done.exit_code == status, (done.output, done.exception)
    return done


async def places(stage: Any) -> dict[str, list[Any]]:
    found = json.loads((await run(stage, "miners", "--json")).stdout)
    names = ("name", "hall", "row", "rack", "position", "tags")
    return {item["ip"]: [item[name] for name in names] for item in found}


async def test_the_table_shows_what_is_wrong_in_the_order_asked_for(
    stage: Any, readings: Any
) -> None:
    stage.clock.forward(1)
    await stage.look_at(readings.unreachable(3), readings.refused(2))
    await run(
        stage, "import", "-", "--apply", stdin="ip,name,rack\n10.0.0.1,zoe,B\n10.0.0.2,adam,A\n"
    )
    done = await run(stage, "miners", "--sort", "-name", "--limit", "3")
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head[:6] == ["name", "ip", "model", "status", "mode", "hashrate"]
    assert [row[:2] for row in rows] == [
        ["zoe", "10.0.0.1"],
        ["adam", "10.0.0.2"],
        ["-", "10.0.0.3"],
    ]
    assert rows[0][2:] == [
        "Antminer",
        "S19",
        "online",
        "normal",
        "100",
        "TH/s",
        "3000",
        "30",
        "70",
        "B",
        "-",
    ]
    assert "offline; no route" in done.stdout
    assert "offline; auth_failed; the miner at its address refuses the login" in done.stdout
    done = await run(
        stage, "miners", "--select", "status=offline,rack=a", "--columns", "name,serial"
    )
    assert done.stdout == "name  serial\nadam  SN2\n"
    [only] = json.loads((await run(stage, "miners", "--select", "name=ZO*", "--json")).stdout)
    assert only["ip"] == "10.0.0.1"


NO_LISTS: Final = [
    (("--select", "modell=S21"), 2, "--select: modell: unknown filter; did you mean model?"),
    (("--select", "model=*"), 2, "--select: model=* would match everything"),
    (("--select", "ip=10.0.0.300"), 1, "ip_ranges: range '10.0.0.300' is not an IPv4 address"),
    (("--select", "saved=b"), 1, "saved: unknown selection; none is known here"),
    (("--sort", "pwr"), 2, "--sort: pwr: unknown column; did you mean power?"),
    (("--sort", "rack,-temp"), 2, "--sort: temp: unknown column; did you mean temperature?"),
    (("--columns", "name,pwr"), 2, "--columns: pwr: unknown column; did you mean power?"),
    (("--csv", "--json"), 2, "--csv or --json, one of them"),
]


async def test_what_cannot_be_listed_is_refused(stage: Any) -> None:
    for words, status, said in NO_LISTS:
        with case(words, status, said):
            assert said in (await run(stage, "miners", *words, status=status)).stderr


async def test_what_is_exported_is_imported_again_and_nothing_in_it_is_a_formula(
    stage: Any,
) -> None:
    hostile = "ip,name,hall,rack,position,tags\r\n10.0.0.1,'=cmd|' /C calc'!A0,'-1+1,'@x,4,'+hot;b\r\n10.0.0.2,''=x,,,,\r\n"
    await run(stage, "import", "-", "--apply", stdin=hostile)
    now = await places(stage)
    assert now["10.0.0.1"] == ["=cmd|' /C calc'!A0", "-1+1", None, "@x", 4, ["+hot", "b"]]
    assert now["10.0.0.2"][0] == "'=x"
    sheet = (await run(stage, "miners", "--csv")).stdout_bytes.decode()
    rows = list(csv.DictReader(io.StringIO(sheet, newline="")))
    assert sheet.count("\r\n") == 6
    assert [rows[0][name] for name in ("name", "hall", "rack", "tags")] == [
        "'=cmd|' /C calc'!A0", "'-1+1", "'@x", "'+hot;b",
    ]  # fmt: skip
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    assert rows[0]["hashrate"] == "100000000000000.0"
    for text in (sheet, "\ufeff" + sheet):
        done = await run(stage, "import", "-", "--apply", stdin=text.encode())
        assert "0 would change, 5 as they should be, 0 at fault" in done.stdout
    assert "not imported: ip, mac, make" in done.stderr


async def test_an_import_is_shown_first_and_written_when_it_is_to_be(
    stage: Any, tmp_path: Path
) -> None:
    file = tmp_path / "racks.csv"
    file.write_text(
        "MAC, Rack, Position, tags\n02-00-00-00-00-01,A1,1,hot; new\n\n020000000002,A1,,-\n"
    )
    before = await places(stage)
    done = await run(stage, "import", str(file))
    assert done.stdout.splitlines() == [
        "at      ip        change",
        "line 2  10.0.0.1  rack: - -> A1, position: - -> 1, tags: - -> hot;new",
        "line 4  10.0.0.2  rack: - -> A1",
        "2 would change, 0 as they should be, 0 at fault",
        "nothing is written yet: --apply does it",
    ]
    assert await places(stage) == before
    assert "2 changed" in (await run(stage, "import", str(file), "--apply")).stdout
    assert (await places(stage))["10.0.0.1"] == [None, None, None, "A1", 1, ["hot", "new"]]
    document = json.loads((await run(stage, "import", str(file), "--apply", "--json")).stdout)
    assert (document["applied"], document["unchanged_count"]) == (False, 2)


async def test_each_fault_of_a_sheet_is_told_with_its_line_and_nothing_is_written(
    stage: Any,
) -> None:
    sheet = (
        'ip,name,rack,position\n10.0.0.1,a,A1,1\n10.0.0.1,b,A1,2\n10.0.0.99,c,A1,3\n10.0.0.2,"x\ny",A1,4\n'
        "10.0.0.3,d,A1,first\n10.0.0.4,A,A1,5\n10.0.0.5,=cmd(),A1,6\n,e,A1,7\n10.0.0.3,f\n10.0.0.3,g,A1,-2\n"
    )
    done = await run(stage, "import", "-", "--apply", status=1, stdin=sheet)
    assert sorted(done.stderr.splitlines(), key=lambda line: int(line.split()[1].rstrip(":"))) == [
        "line 3: the same miner as in line 2",
        "line 4: 10.0.0.99: no miner of this farm is called so",
        "line 5: name: must hold no control characters",
        "line 7: position: 'first' is no whole number",
        "line 8: name: the miner at 10.0.0.1 is called A",
        "line 9: name: '=cmd()' begins like a formula; if it is meant, write '=cmd()",
        "line 10: ip: it is empty, and tells which miner",
        "line 11: it has 2 cells, and the first line 4",
        "line 12: position: '-2' is no whole number",
    ]
    assert "nothing is written as long as there is a fault" in done.stdout
    assert all(row[:5] == [None] * 5 for row in (await places(stage)).values())


async def test_what_several_miners_are_called_is_a_fault_that_names_them(
    stage: Any, readings: Any
) -> None:
    await run(stage, "import", "-", "--apply", stdin="ip,name\n10.0.0.1,SN2\n")
    done = await run(stage, "import", "-", status=1, stdin="serial,rack\nSN2,A\n")
    assert "line 2: SN2 is 2 miners: 10.0.0.1 SN2 02:" in done.stderr


def sheet_of(text: str | bytes, rows_max: int = 1000) -> Any:
    data = text if isinstance(text, bytes) else text.encode()
    return read_sheet(io.BytesIO(data), ignored=("model",), rows_max=rows_max)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column tells which miner; give it one of id, mac, ip, serial, name"),
        ("rack,position\nA,1\n", "no column tells which miner"),
        ("ip,model\n10.0.0.1,S21\n", "it changes nothing; give it a column of name, hall"),
        ("ip,rak\n", "rak: unknown column; did you mean rack?"),
        ("ip,rack,rack\n", "rack: two columns are called so"),
        ("ip|rack\n10.0.0.1|A\n", "ip|rack: unknown column; did you mean rack?"),
        (
            b"ip,rack\n10.0.0.1,\xff\n",
            "it is not text in UTF-8; save it as CSV UTF-8",
        ),
        ('ip,rack\n10.0.0.1,"A\n', "line 2: it is not CSV (unexpected end of data)"),
        ("ip,rack\n" + "10.0.0.1,A\n" * 1001, "it has more than 1,000 rows; take it in parts"),
        ("ip,rack\n" + "A" * 300_000, "it has a line of more than 262144 characters"),
    ],
)
def test_what_is_no_sheet_is_refused_in_words(text: str | bytes, words: str) -> None:
    with pytest.raises(SheetError) as refusal:
        sheet_of(text)
    assert str(refusal.value).startswith(words)


def test_cells_may_have_semicolons_between_them_as_some_programs_write() -> None:
    rows, passed = sheet_of('ip;rack;tags\r\n10.0.0.1;A;\'+a\r\n10.0.0.2;B;"a;b"\r\n')
    assert [row.update for row in rows] == [
        {"miner": "10.0.0.1", "rack": "A", "tags": ["+a"]},
        {"miner": "10.0.0.2", "rack": "B", "tags": ["a", "b"]},
    ]
    assert passed == []


def test_a_million_rows_are_refused_before_they_are_read() -> None:
    class Endless(io.RawIOBase):
        read_bytes = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            rows = b"ip,rack\n" if not self.read_bytes else b"10.0.0.1,A\n" * (len(buffer) // 11)
            buffer[: len(rows)] = rows
            self.read_bytes += len(rows)
            return len(rows)

    file = Endless()
    with pytest.raises(SheetError, match="it has more than 100,000 rows; take it in parts"):
        read_sheet(io.BufferedReader(file), ignored=(), rows_max=100_000)
    assert file.read_bytes < 11 * 102_000


def test_a_cell_with_commas_quotes_and_lines_is_written_as_rfc_4180_says() -> None:
    lines = written(("a", "b"), [('x,"y"', "two\nlines"), ("=1", -5)])
    assert "".join(lines) == 'a,b\r\n"x,""y""","two\nlines"\r\n\'=1,-5\r\n'


async def test_a_layout_is_taken_from_the_addresses(stage: Any) -> None:
    pattern = "10.{hall}.{row}.{position}"
    done = await run(stage, "layout", pattern, "--select", "ip=10.0.0.1-10.0.0.2")
    assert "10.0.0.1  10.0.0.1  hall: - -> 0, row: - -> 0, position: - -> 1" in done.stdout
    assert "2 would change" in done.stdout
    assert "5 changed" in (await run(stage, "layout", pattern, "--apply")).stdout
    assert (await places(stage))["10.0.0.5"] == [None, "0", "0", None, 5, []]
    assert "0 would change, 5 as" in (await run(stage, "layout", pattern, "--apply")).stdout
    done = await run(stage, "layout", "10.*.{rack}.4", "--apply")
    assert "1 changed" in done.stdout
    assert done.stderr == "left as they are, at other addresses: 4\n"


NO_LAYOUTS: Final = [
    (
        "10.{hall}.{rack}",
        2,
        "has no four octets; write for example 10.{hall}.{rack}.{position}",
    ),
    ("10.{hal}.0.1", 2, "{hal}: unknown place; did you mean hall?"),
    ("10.{hall}.{hall}.1", 2, "each of the places stands in the pattern at most once"),
    ("10.0.0.1", 2, "each of the places stands in the pattern at most once, and one at least"),
    ("10.0.0.{hall}x", 2, "'{hall}x' is no octet"),
    ("10.0.0.300", 2, "'300' is no octet"),
    ("11.0.0.{rack}", 1, "no miner has an address like 11.0.0.{rack}"),
]


async def test_what_is_no_layout_is_refused(stage: Any) -> None:
    for pattern, status, words in NO_LAYOUTS:
        with case(pattern, status, words):
            assert words in (await run(stage, "layout", pattern, status=status)).stderr
