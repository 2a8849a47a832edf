"""What is said of an order for many miners: before it is given, when it is, and until its end."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from cloud.cli.api import Api
from cloud.cli.subscriptions import waiting_words
from cloud.cli.terminal import fail
from contract.texts import printable

PasswordsText = Annotated[
    str | None,
    typer.Option(
        "--passwords",
        help='JSON, {"url or user": "password"}, "*" for all others; @FILE reads a file, - reads stdin.',
    ),
]
_ASK_EVERY_S: Final = 2.0
_SHOWN: Final = 20  # miners that are named to a person
_NOT_FOUND: Final = "miner_not_found"
_COUNTS: Final = (
    *("created_count", "queuing_count", "pending_count", "succeed_count", "failed_count"),
    *("timed_out_count", "cancelled_count"),
)
_OPEN: Final = _COUNTS[:3]
_UNSUCCESSFUL: Final = _COUNTS[4:]


def passwords_for(needed: Sequence[str]) -> dict[str, str]:
    """Ask a person for those of these pools (`url (user NAME)`), unseen; by url. Exit 2 where nobody can be asked."""
    if needed and not (sys.stdin.isatty() and sys.stderr.isatty()):
        lacking = "\n".join(f"  {pool}" for pool in needed)
        fail(f"these pools need their passwords, give them by --passwords:\n{lacking}", 2)
    return {
        pool.partition(" (user ")[0]: typer.prompt(
            f"Password of {printable(pool)}", hide_input=True, err=True
        )
        for pool in needed
    }


def shown_plan(told: Mapping[str, Any]) -> str:
    """A dry run, for people."""
    watts, pace = told["watts"], told["pace"]
    count, batches = told["created_count"], told["batch_count"]
    lines = [
        f"{told['task_name']}: {told['count']} miners are meant, {told['skipped_count']} are skipped",
        f"{count} get a task, in {batches} {'batch' if batches == 1 else 'batches'}",
    ]
    first = set(told["canary_miner_ids"])
    for each in told["miners"][:_SHOWN]:
        words = (each["ip"], each["name"], each["model"], each["rack"] and f"rack {each['rack']}")
        mark = "first" if each["id"] in first else ""
        lines.append("  ".join(("", *(printable(word) for word in words if word), mark)).rstrip())
    if len(told["miners"]) > _SHOWN:
        lines.append(f"  and {len(told['miners']) - _SHOWN} more (--json tells all)")
    lines += [_skip(skip) for skip in told["skipped"]]
    lines += [f"{each['count']} would wait: {each['reason']}" for each in told.get("held", ())]
    unknown = f", {watts['unknown_count']} miners not known" if watts["unknown_count"] else ""
    lines.append(
        f"kW: {watts['before'] / 1e3:.1f} now, {watts['expected'] / 1e3:.1f} expected{unknown}"
    )
    if pace["minutes"]:
        lines.append(f"the last order begins after {pace['minutes']:g} min ({pace['assumed']})")
    lines += [f"needs the password of {pool}" for pool in told["passwords_needed"]]
    return "\n".join(lines)


def told_order(answer: Mapping[str, Any]) -> str:
    """What was ordered, for people."""
    meta = answer["meta"]
    summary = meta["summary"]
    count = summary["created_count"]
    lines = [f"{count} {'task' if count == 1 else 'tasks'}, {summary['skipped_count']} skipped"]
    if group_id := meta.get("group_id"):
        lines.append(f"group {group_id}")
    else:
        lines += [f"batch {batch['batch_id']}" for batch in answer["data"]]
    lines += [_skip(skip) for skip in meta["skipped"]]
    return "\n".join(lines)


async def follow(api: Api, path: str, answer: Mapping[str, Any]) -> tuple[dict[str, Any], str, int]:
    """Until all has ended, or waits for somebody to decide; a line of progress on a terminal. The counts, what they
    come to in words, and the exit status: 1 where some failed, 3 where nobody knows of some.
    """
    while True:
        counts, stuck = await _counted(api, path, answer)
        still_open = sum(counts[key] for key in _OPEN)
        told = [
            f"{counts[key]} {key.removesuffix('_count').replace('_', ' ')}"
            for key in _COUNTS
            if counts[key]
        ]
        if counts["unknown_count"]:
            told.append(f"{counts['unknown_count']} of them unknown")
        words = ", ".join(told)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{words}" + ("" if still_open and not stuck else "\n"))
            sys.stderr.flush()
        if stuck or not still_open:
            failed = sum(counts[key] for key in _UNSUCCESSFUL) - counts["unknown_count"]
            status = 1 if failed or stuck else 3 if counts["unknown_count"] else 0
            return dict(counts), stuck or words or "nothing to do", status
        await asyncio.sleep(_ASK_EVERY_S)


async def _counted(
    api: Api, path: str, answer: Mapping[str, Any]
) -> tuple[Counter[str], str | None]:
    """How many are in each state; and why it does not go on, if it does not."""
    counts: Counter[str] = Counter()
    held: Counter[str] = Counter()
    if group_id := answer["meta"].get("group_id"):
        told = (await api.get(f"{path}/groups/{group_id}"))["data"]
        counts.update({key: told["group"][key] for key in (*_COUNTS, "unknown_count")})
        canary = told["canary"]
        if canary is not None and canary["state"] == "failed" and canary["held_count"]:
            return counts, canary["message"]
        held.update(told.get("held_reasons") or {})
    for batch in answer["data"] if group_id is None else ():
        told = (await api.get(f"{path}/batches/{batch['batch_id']}"))["data"]
        counts.update({key: told[key] for key in _COUNTS})
        held.update(told.get("held_reasons") or {})
        counts["unknown_count"] += sum(
            task["status"] in ("failed", "timed_out")
            and (task.get("result") or {}).get("outcome") == "unknown"
            for task in told["tasks"]
        )
    # What waits for a site to take such work waits for its people, once nothing else is left.
    is_stuck = held and held.total() == sum(counts[key] for key in _OPEN)
    return counts, waiting_words({"held_reasons": held}) if is_stuck else None


def lacks_miners(answer: Mapping[str, Any]) -> bool:
    """Whether a miner that was named is not there."""
    return any(skip["reason"] == _NOT_FOUND for skip in answer["meta"]["skipped"])


def _skip(skip: Mapping[str, Any]) -> str:
    ids = skip["miner_ids"]
    whom = f"{len(ids)}"
    if skip["reason"] == _NOT_FOUND:  # as they were typed
        whom += f": {', '.join(map(printable, ids[:_SHOWN]))}" + (" ..." if ids[_SHOWN:] else "")
    return f"skipped, {skip['reason']}: {skip['message']} ({whom})"
