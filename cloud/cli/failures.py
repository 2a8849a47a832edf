"""Why some tasks of an order did not succeed: a line for each reason, with the miners it is true of; those of an agent
have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cloud.cli.api import Api, ApiRefusedError
from contract.texts import printable

_STATUSES: Final = {"status": "failed,timed_out,cancelled"}
_NAMED: Final = 5  # miners of each reason
_REASONS: Final = 10


async def reasons(api: Api, farm_path: str, batch_ids: Iterable[str]) -> list[str]:
    """The most frequent first; `farm_path` is where the farm stands below the workspace."""
    found: dict[str, list[str | None]] = {}  # miner ids
    words: dict[str, str] = {}
    for batch_id in batch_ids:
        for task in await api.every(f"{farm_path}/tasks/batches/{batch_id}/tasks", _STATUSES):
            reason, message = _why(task)
            found.setdefault(reason, []).append(task["miner_id"])
            words.setdefault(reason, message)
    ordered = sorted(found.items(), key=lambda each: (-len(each[1]), each[0]))
    lines = [
        f"{len(ids)} {reason}{await _named(api, farm_path, ids)}{words[reason]}"
        for reason, ids in ordered[:_REASONS]
    ]
    if len(ordered) > _REASONS:
        lines.append(f"and {len(ordered) - _REASONS} other reasons")
    return lines


def _why(task: Mapping[str, Any]) -> tuple[str, str]:
    result = task.get("result") or {}
    error = result.get("error") or {}
    reason = str(error.get("code") or task["status"])
    if result.get("outcome") == "unknown":
        reason += ", outcome unknown"
    message = printable(str(error.get("message") or ""))
    return printable(reason), f": {message}" if message else ""


async def _named(api: Api, farm_path: str, ids: list[str | None]) -> str:
    """In brackets; nothing where no task is one of a miner."""
    miners = [each for each in ids if each is not None]
    shown = [await _address(api, farm_path, each) for each in miners[:_NAMED]]
    return f" ({', '.join(shown)}{' ...' if len(miners) > _NAMED else ''})" if shown else ""


async def _address(api: Api, farm_path: str, miner_id: str) -> str:
    try:
        miner = (await api.get(f"{farm_path}/miners/{miner_id}"))["data"]
    except ApiRefusedError:  # its record was erased since
        return miner_id
    return printable(str(miner.get("name") or miner["ip"]))
