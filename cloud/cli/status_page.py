"""The status of farms as text of 80 columns. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from contract.condition.figures import rate_text, watts_text
from contract.miner import Algorithm
from contract.texts import printable

WIDTH: Final = 80
_NAME: Final = 9  # columns of what stands before the lines of a section
_RATES: Final = 4  # lines
_TASKS: Final = 5
_AGENTS: Final = 8


def farm_page(found: Mapping[str, Any]) -> str:
    """One farm (`contract.nonce.status.StatusItem` as JSON)."""
    farm = found["farm"]
    verdict = "all is well" if found["is_fine"] else "something is wrong"
    sections = (
        ("farm", [f"{farm['name'] or farm['id']}, {found['at']}: {verdict}"]),
        ("miners", [_miners(found)]),
        ("wrong", _wrong(found)),
        ("rate", _at_most([_rate(each) for each in found["rates"]], _RATES)),
        ("power", _power(found)),
        ("causes", [each["words"] for each in found["causes"]]),
        ("worst", _worst(found["worst"])),
        ("records", _records(found.get("proposals", 0))),
        ("tasks", _tasks(found["tasks"])),
        ("agents", _agents(found["agents"], found["total"])),
    )
    return "\n".join(line for name, lines in sections for line in _section(name, lines))


def farms_page(found: Sequence[Mapping[str, Any]]) -> str:
    """Several farms, a line for each."""
    if not found:
        return "there is no farm"
    rows = [("FARM", "MINERS", "WRONG", "RATE", "WHAT")]
    for each in found:
        rates = " ".join(_percent(rate) for rate in each["rates"]) or "-"
        what = "; ".join((*(cause["words"] for cause in each["causes"]), *each["problems"]))
        name = each["farm"]["name"] or each["farm"]["id"]
        rows.append((name, str(each["total"]), str(each["wrong"]), rates, what or "all is well"))
    return "\n".join(_table(rows, WIDTH))


def _section(name: str, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        for part in _folded(line, WIDTH - _NAME):
            yield f"{name:<{_NAME}}{part}"
            name = ""


def _miners(found: Mapping[str, Any]) -> str:
    states = ", ".join(f"{count} {state}" for state, count in found["states"].items() if count)
    return f"{found['total']}: {states}" if states else "none"


def _wrong(found: Mapping[str, Any]) -> list[str]:
    if not found["wrong"]:
        return ["none"]
    words = [f"{count} {trouble}" for trouble, count in found["troubles"].items() if count]
    return list(_wrapped(f"{found['wrong']}: ", words))


def _rate(rates: Mapping[str, Any]) -> str:
    kind, unknown = rates["algorithm"], rates["unknown"]
    rest = (
        f"{rate_text(rates['hashrate'] - rates['compared_hashrate'], kind)} of {unknown} not rated"
    )
    if rates["expected_hashrate"] is None:
        text = rest
    else:
        text = f"{rate_text(rates['compared_hashrate'], kind)} of "
        text += rate_text(rates["expected_hashrate"], kind)
        if rates["realization"] is not None:
            text += f" ({_percent(rates)})"
        if unknown:
            text += f" and {rest}"
    if rates["efficiency"] is not None and kind != Algorithm.EQUIHASH:
        text += f", {rates['efficiency']:.3g} J/TH"
    return f"{kind}: {text}"


def _percent(rates: Mapping[str, Any]) -> str:
    return "-" if rates["realization"] is None else f"{100 * rates['realization']:.0f} %"


def _power(found: Mapping[str, Any]) -> list[str]:
    power = found["power"]
    if not power["metered"]:
        return ["no miner tells it"] if found["total"] else []
    text = f"{watts_text(power['power'])}, told by {power['metered']} of {found['total']}"
    if power["expected_power"] is not None:
        expected, taken = power["expected_power"], power["compared_power"]
        share = f"{100 * taken / expected:.0f} %"
        text += f"; {watts_text(taken)} of {watts_text(expected)} expected ({share})"
    return [text]


def _worst(worst: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those of which the same is said, after the first of them, are counted only."""
    rows = []
    for words, same in groupby(worst, key=_words):
        first, *others = same
        address = first["ip"] or first["mac"] or first["id"]
        place = "/".join(str(part) for part in _place(first))
        more = f" +{len(others)}" if others else ""
        rows.append((f"{address}{more}", first["name"] or "", place, words))
    return list(_table(rows, WIDTH - _NAME))


def _records(proposals: int) -> list[str]:
    if not proposals:
        return []
    word = "proposal waits" if proposals == 1 else "proposals wait"
    return [f"{proposals} {word} of swapped control boards: miner-cloud miner proposals"]


def _words(miner: Mapping[str, Any]) -> str:
    return "; ".join(trouble["words"] for trouble in miner["troubles"])


def _place(miner: Mapping[str, Any]) -> Iterator[Any]:
    """Hall, row, rack and position, those that are known."""
    if miner["rack"]:
        parts = (miner[name] for name in ("hall", "row", "rack", "position"))
        yield from (part for part in parts if part not in (None, ""))


def _tasks(tasks: Mapping[str, Any]) -> Iterator[str]:
    lines = [f"{each['count']} {each['status']}: {each['task_name']}" for each in tasks["open"]]
    # A cloud of before tells none.
    lines += [
        f"{each['count']} of these wait: {each['task_name']} ({each['reason']})"
        for each in tasks.get("held", ())
    ]
    lines += [
        f"{each['count']} {each['status'].replace('_', ' ')} in 24 h: {each['task_name']}"
        + (f" ({each['code']})" if each["code"] else "")
        for each in tasks["failed"]
    ]
    return _at_most(lines, _TASKS)


def _agents(agents: Sequence[Mapping[str, Any]], miners: int) -> Iterator[str]:
    is_empty = not agents and not miners
    lines = ["none: one joins with a code of miner-cloud enroll-code"] if is_empty else []
    for each in agents:
        words = [each["status"]]
        if each["status"] == "offline" and each["last_online_at"]:
            words[0] += f" since {each['last_online_at']}"
        words.append(f"knows {each['miners_known']} miners")
        if each["journal_depth"]:
            words.append(f"{each['journal_depth']} tasks to report")
        if each["buffer_depth"]:
            words.append(f"{each['buffer_depth']} readings wait")
        words += [f"{sink}: {state}" for sink, state in each["sinks"].items() if state != "ok"]
        lines.append(f"{each['name'] or each['id']}: {', '.join(words)}")
        lines += [f"  {notice}" for notice in each["notices"]]
    return _at_most(lines, _AGENTS)


def _at_most(lines: Sequence[str], most: int) -> Iterator[str]:
    yield from lines[:most]
    if len(lines) > most:
        yield f"... and {len(lines) - most} lines more, see --json"


def _wrapped(begin: str, words: Sequence[str]) -> Iterator[str]:
    line = begin
    for number, word in enumerate(words):
        more = word + ("" if number == len(words) - 1 else ", ")
        if len(line) + len(more.rstrip()) > WIDTH - _NAME:
            yield line.rstrip()
            line = ""
        line += more
    yield line.rstrip()


def _table(rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    """Columns as wide as they need to be, up to a quarter of the line; the last one takes the rest."""
    if not rows:
        return
    widths = [
        min(max(len(row[column]) for row in rows), width // 4) for column in range(len(rows[0]) - 1)
    ]
    for row in rows:
        cells = [_cut(cell, wide).ljust(wide) for cell, wide in zip(row, widths, strict=False)]
        named = "".join(f"{cell}  " for cell, wide in zip(cells, widths, strict=True) if wide)
        for part in _folded(row[-1], width - len(named)):
            yield f"{named}{part}"
            named = " " * len(named)


def _folded(text: str, width: int) -> list[str]:
    """On two lines at most."""
    plain = _cut(text, len(text))
    indent = plain[: len(plain) - len(plain.lstrip())]
    lines = textwrap.wrap(
        plain,
        width,
        subsequent_indent=indent,
        break_on_hyphens=False,
        max_lines=2,
        placeholder="...",
    )
    return lines or [""]


def _cut(text: str, width: int) -> str:
    """One line."""
    line = printable(text)
    return line if len(line) <= width else f"{line[: width - 3]}..."
