"""What became of one task at many miners: told as one document, and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec
from rich.table import Table
from rich.text import Text

from agent.cli.answers import DONE, FAILED, UNKNOWN
from agent.cli.render import drawn
from agent.cli.survey import Survey
from agent.journal.settlement import NO_CHANGE
from contract.errors import ErrorCode
from contract.outcome import Outcome
from contract.ranges import merge, parse_range
from contract.task import TaskName
from contract.texts import counted
from drivers.base import Driver

_SPANS_SHOWN: Final = 12
_GROUPS_SHOWN: Final = 30


class Ending(StrEnum):
    """What became of the task at one miner."""

    DONE = "done"
    NO_CHANGE = "no_change"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_BEGUN = "not_begun"


class Carried(msgspec.Struct, frozen=True):
    """A miner, and the result there; `None` where it was not even asked for."""

    driver: Driver
    result: dict[str, Any] | None
    advice: str = ""

    @property
    def ending(self) -> Ending:
        error = (self.result or {}).get("error") or {}
        if self.result is None or error.get("code") == ErrorCode.CANCELLED:
            return Ending.NOT_BEGUN
        outcome = self.result.get("outcome")
        if outcome == Outcome.UNKNOWN:
            return Ending.UNKNOWN
        if outcome != Outcome.DONE:
            return Ending.FAILED
        return Ending.NO_CHANGE if self.result.get("reason") == NO_CHANGE else Ending.DONE

    @property
    def reason(self) -> str:
        """Why it is not done; the same at miners with the same trouble."""
        error = (self.result or {}).get("error") or {}
        words = f"{error.get('code')}: {error.get('message')}" if error else ""
        ip = self.driver.endpoint.host
        return "; ".join(filter(None, (words, self.advice))).replace(ip, "the miner")


class ManyReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that is told in the end. `carried` is empty where nothing was asked."""

    name: TaskName
    survey: Survey
    duplicates: int
    carried: tuple[Carried, ...] = ()
    seconds: float = 0.0

    @property
    def counts(self) -> Counter[Ending]:
        return Counter(each.ending for each in self.carried)

    @property
    def code(self) -> int:
        """The exit code. Unknown goes before failed: such a miner has to be looked at."""
        counts = self.counts
        if counts[Ending.UNKNOWN]:
            return UNKNOWN
        return FAILED if counts[Ending.FAILED] or counts[Ending.NOT_BEGUN] else DONE

    def document(self) -> dict[str, Any]:
        """As JSON."""
        document: dict[str, Any] = {
            "task_name": self.name.value,
            "number": len(self.survey.miners),
            "duplicates": self.duplicates,
            "miners": [
                {**_row(each.driver), "state": each.ending.value, "result": each.result}
                | ({"advice": each.advice} if each.advice else {})
                for each in self.carried
            ]
            or [_row(each) for each in self.survey.miners],
            "left_out": [
                {"code": code, "why": why, "number": len(ips), "addresses": _spans(ips)}
                for (code, why), ips in self._left_out().items()
            ],
        }
        if self.carried:
            document["counts"] = {each.value: self.counts[each] for each in Ending}
            document["seconds"] = round(self.seconds, 3)
        return document

    def text(self) -> str:
        """As a table: what is well by its number, what is not by its reason."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("")
        table.add_column("miners", justify="right")
        table.add_column("addresses", overflow="fold", ratio=2)
        table.add_column("why", overflow="fold", ratio=3)
        rows = list(self._rows())
        for word, ips, why in rows[:_GROUPS_SHOWN]:
            table.add_row(word, str(len(ips)), Text(_shown(ips)), Text(why))
        text = drawn(table) if rows else ""
        if len(rows) > _GROUPS_SHOWN:
            text += f"and {len(rows) - _GROUPS_SHOWN} more rows: --json has them all\n"
        if self.duplicates:
            text += f"{counted(self.duplicates, 'address', 'addresses')} given more than once: each is taken once\n"
        number = counted(len(self.survey.miners), "miner")
        if not self.carried:
            return f"{text}{self.name} at {number}"
        words = (f"{n} {each.replace('_', ' ')}" for each in Ending if (n := self.counts[each]))
        return f"{text}{self.name} at {number} in {self.seconds:.1f} s: {', '.join(words)}"

    def _rows(self) -> Iterator[tuple[str, list[str], str]]:
        if not self.carried:
            models: dict[str, list[str]] = {}
            for driver in self.survey.miners:
                identity = driver.identity
                models.setdefault(f"{identity.make} {identity.model or ''}".strip(), []).append(
                    driver.endpoint.host
                )
            yield from (("miners", ips, model) for model, ips in sorted(models.items()))
        groups: dict[tuple[Ending, str], list[str]] = {}
        for each in self.carried:
            groups.setdefault((each.ending, each.reason), []).append(each.driver.endpoint.host)
        order = list(Ending)
        for (ending, why), ips in sorted(
            groups.items(), key=lambda row: (order.index(row[0][0]), -len(row[1]))
        ):
            yield ending.replace("_", " "), ips, why
        for (code, why), ips in sorted(self._left_out().items(), key=lambda row: -len(row[1])):
            yield "left out", ips, f"{code}: {why}"

    def _left_out(self) -> dict[tuple[str, str], list[str]]:
        groups: dict[tuple[str, str], list[str]] = {}
        for each in self.survey.left_out:
            why = each.why.replace(each.ip, "the miner")
            groups.setdefault((each.code.value, why), []).append(each.ip)
        return groups


def _row(driver: Driver) -> dict[str, str | None]:
    identity = driver.identity
    return {
        "ip": driver.endpoint.host,
        "mac": identity.mac,
        "make": identity.make,
        "model": identity.model,
    }


def _spans(ips: Iterable[str]) -> list[str]:
    return [str(span) for span in merge(map(parse_range, ips))]


def _shown(ips: Iterable[str]) -> str:
    spans = _spans(ips)
    more = len(spans) - _SPANS_SHOWN
    return ", ".join(spans[:_SPANS_SHOWN]) + (f" and {more} more" if more > 0 else "")
