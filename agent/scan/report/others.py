"""Where no miner is, as few rows: of as many addresses as possible in one, and one for each that has its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.ports import AddressVerdict, OtherAddresses
from agent.scan.report.verdicts import Saying, Verdicts
from contract.ranges import Range, address_of


def other_rows(verdicts: Verdicts, own: Mapping[str, OtherAddresses]) -> Iterator[OtherAddresses]:
    """In the order of the addresses. `own`: rows of single ones, by address."""
    for span, said in verdicts.runs():
        if said.verdict is AddressVerdict.FOUND or said.verdict is None:
            continue
        first = span.first
        if said.verdict in (AddressVerdict.UNKNOWN, AddressVerdict.FAILED):
            for number in range(span.first, span.last + 1):
                row = own.get(address_of(number))
                if row is None:
                    continue
                if first < number:
                    yield _row(Range(first, number - 1), said.verdict, said)
                yield row
                first = number + 1
        if first <= span.last:
            yield _row(Range(first, span.last), said.verdict, said)


def _row(span: Range, verdict: AddressVerdict, said: Saying) -> OtherAddresses:
    return OtherAddresses(
        range=str(span), addresses=len(span), verdict=verdict, ports=said.ports, note=said.note
    )
