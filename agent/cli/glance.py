"""How the state of a farm looks to people: what is wrong at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contract.clock import from_text
from contract.condition.figures import lasting_text, rate_text, watts_text
from contract.texts import counted, printable

_WRONG: Final = "bold red"
_WELL: Final = "green"
_HASH_SHOWN: Final = 12


def glance(document: Mapping[str, Any]) -> RenderableType:
    """The status document of a daemon, as it is shown at a time."""
    document = _printable(document)  # miners told some of it
    parts: list[RenderableType] = [_headline(document), *_rates(document)]
    if document["worst"]:
        parts += [Text("\nthe worst", style="bold"), _worst(document["worst"])]
    if document["causes"]:
        parts.append(Text("\nin common", style="bold"))
        parts += [Text(f"  {each}") for each in document["causes"]]
    parts += [Text(), *_tasks(document), *_link(document)]
    parts += [Text(f"notice: {each}", style=_WRONG) for each in document["notices"]]
    return Group(*parts)


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_printable(key): _printable(each) for key, each in value.items()}
    return list(map(_printable, value)) if isinstance(value, list) else value


def _headline(document: Mapping[str, Any]) -> Text:
    miners = document["miners"]
    text = Text(counted(miners["total"], "miner"), style="bold")
    states = ", ".join(f"{number} {state}" for state, number in miners["states"].items())
    text.append(f": {states}" if states else "", style="not bold")
    if not miners["wrong"]:
        return text.append("\nnothing is wrong with them", style=_WELL)
    troubles = ", ".join(f"{number} {trouble}" for trouble, number in miners["troubles"].items())
    verb = "is" if miners["wrong"] == 1 else "are"
    return text.append(f"\n{miners['wrong']} {verb} wrong: {troubles}", style=_WRONG)


def _rates(document: Mapping[str, Any]) -> Iterator[Text]:
    for each in document["rates"]:
        kind = each["kind"]
        if not each["hashrate_hs"] and not each["expected_hs"]:
            continue
        words = f"{kind}: {rate_text(each['hashrate_hs'], kind)}"
        if each["realization"] is not None:
            expected = rate_text(each["expected_hs"], kind)
            words += f", {100 * each['realization']:.1f} % of {expected} expected"
        if each["unknown"]:
            words += f" ({counted(each['unknown'], 'miner')} without an expectation)"
        if each["efficiency_j_per_th"] is not None:
            words += f", {each['efficiency_j_per_th']:.1f} J/TH"
        yield Text(words)
    power = document["power"]
    if power["metered"]:
        words = f"power: {watts_text(power['power_w'])} measured at {counted(power['metered'], 'miner')}"
        if power["expected_w"]:
            compared = watts_text(power["compared_w"])
            words += (
                f"; {compared} of {watts_text(power['expected_w'])} expected where that is known"
            )
        yield Text(words)


def _worst(rows: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=True, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*map(Text, (row["ip"], row["model"] or "", row["state"], row["words"])))
    return table


def _tasks(document: Mapping[str, Any]) -> Iterator[Text]:
    tasks, now = document["tasks"], from_text(document["at"])
    if not tasks["total"]:
        yield Text("no task is under way")
        return
    phases = ", ".join(f"{number} {phase}" for phase, number in tasks["phases"].items())
    yield Text(f"{counted(tasks['total'], 'task')} under way: {phases}")
    for each in tasks["oldest"]:
        where = f" at {each['ip']}" if each["ip"] else ""
        since = lasting_text(_seconds(now, each["since"]))
        yield Text(f"  {each['name']}{where}, for {since}: {each['phase']} ({each['origin']})")
    if (more := tasks["total"] - len(tasks["oldest"])) > 0:
        yield Text(f"  and {more} more")


def _link(document: Mapping[str, Any]) -> Iterator[Text]:
    cloud = document["cloud"]
    heard = cloud["heard_s"]
    words = "not heard yet" if heard is None else f"heard {lasting_text(heard)} ago"
    reports, readings = cloud["reports_waiting"], cloud["readings_waiting"]
    waiting = (
        f"{counted(reports, 'report')} of tasks and {counted(readings, 'reading')} wait for it"
    )
    if cloud["readings_dropped"]:
        waiting += f", {counted(cloud['readings_dropped'], 'reading')} dropped"
    is_well = cloud["state"] == "ok"
    yield Text(
        f"cloud: {words}; {waiting}" + ("" if is_well else f"; {cloud['state']}"),
        style="" if is_well else _WRONG,
    )
    agent = document["agent"]
    release = agent["release_sha256"]
    which = "not a release" if release is None else f"release {release[:_HASH_SHOWN]}"
    yield Text(f"miner-agent {agent['version']} ({which})")
    for name, state in document["sinks"].items():
        yield Text(f"{name}: {state}", style="" if state == "ok" else _WRONG)
    if document["read_only"]:
        yield Text("read-only: nothing is written to any miner")


def _seconds(now: datetime, since: str) -> float:
    return (now - from_text(since)).total_seconds()
