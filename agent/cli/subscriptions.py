"""`miner-agent subscription`: which classes of work this site takes. The daemon of this host is asked, which has the
ledger's key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from agent.cli.answers import DONE, FAILED, UNKNOWN, USAGE, Ended
from agent.cli.commands import daemon_socket, failure, nobody_listens, stopped
from agent.cli.foreground import StoppedError, run
from agent.config.file import Config
from agent.config.host import LogSection
from agent.host.logs import set_up
from agent.local.socket import LocalRefusedError, LocalRequest, NoDaemonError, ask
from agent.subscriptions.ledger import NOT_REGISTERED
from agent.subscriptions.room import SUBSCRIPTIONS
from contract.keys import NAMES_LIKENESS, nearest
from contract.subscription.rules import ABORT_TEXTS, Abort

_ANSWER_S: Final = 60.0  # the daemon has its own bounds for what it asks, which are shorter
_LATER: Final = "what became of it is told by: miner-agent subscription list; GET /transactions/{}"

_WAYS_OUT: Final = {
    NOT_REGISTERED: "register",
    ABORT_TEXTS[Abort.ALREADY_SUBSCRIBED]: "update",
    ABORT_TEXTS[Abort.NOT_SUBSCRIBED]: "subscribe",
    ABORT_TEXTS[Abort.TASK_NOT_FOUND]: "list",
}


class CallAnswer(msgspec.Struct, frozen=True):
    """The daemon's answer to one call."""

    status: int
    body: Any = None

    @property
    def error(self) -> str:
        """With its detail."""
        return ": ".join(str(self._said[key]) for key in ("error", "detail") if key in self._said)

    @property
    def refusal(self) -> str:
        """The same, with the command that leads on, where there is one."""
        detail = str(self._said.get("detail", ""))
        way = next((way for text, way in _WAYS_OUT.items() if detail.startswith(text)), None)
        return self.error if way is None else f"{self.error}; see: miner-agent subscription {way}"

    @property
    def _said(self) -> dict[str, Any]:
        return self.body if isinstance(self.body, dict) else {}


Ask = Callable[[dict[str, Any]], Awaitable[CallAnswer]]


class CallFailedError(Exception):
    """The daemon says why not."""

    def __init__(self, asked: CallAnswer) -> None:
        super().__init__(asked.error)
        self.asked = asked


def run_subscription_list(config: Config, *, is_config_named: bool) -> Ended:
    """What is subscribed to, and every class of work there is."""

    async def go(asking: Ask) -> Ended:
        from agent.cli.render import table_text

        tasks = _checked(await asking(_get("/tasks"))).body
        asked = await asking(_get("/subscriptions"))
        rows = [] if asked.status == 404 else _checked(asked).body
        taken = {each["task_small_id"]: each for each in rows}
        shown = table_text(
            ("class", "work", "models", "price", "at most", "state"),
            (_cells(each, taken.get(each["task_small_id"])) for each in tasks),
        )
        if asked.status == 404:
            shown += "this agent is not registered: miner-agent subscription register"
        document = {"ok": True, "registered": asked.status != 404}
        return DONE, document | {"subscriptions": rows, "tasks": tasks}, shown

    return _ended(config, go, is_config_named=is_config_named)


def run_subscription_call(
    config: Config, path: str, task: str | None, body: dict[str, Any], *, is_config_named: bool
) -> Ended:
    """One of the published calls; `task` is a small id, or the name of the work of a class without a model family."""

    async def go(asking: Ask) -> Ended:
        given = dict(body)
        if task is not None:
            given["task_small_id"] = await _class_of(task, asking)
        params = {"method": "POST", "path": path, "body": json.dumps(given)}
        return await _submitted(params, asking)

    return _ended(config, go, is_config_named=is_config_named, may_be_unknown=True)


def run_subscription_register(config: Config, *, new_key: bool, is_config_named: bool) -> Ended:
    """Register this agent as a node; with a new key, where a copy of its disk has used the old one."""
    params = {"new_key": True} if new_key else {"method": "POST", "path": "/register", "body": "{}"}

    async def go(asking: Ask) -> Ended:
        return await _submitted(params, asking)

    return _ended(config, go, is_config_named=is_config_named, may_be_unknown=True)


async def _submitted(params: dict[str, Any], asking: Ask) -> Ended:
    asked = await asking(params)
    body = asked.body if isinstance(asked.body, dict) else {}
    digest = body.get("tx_digest")
    if asked.status == 200:
        return DONE, {"ok": True, "tx_digest": digest}, f"done: {digest}"
    if asked.status == 422:
        return failure(f"usage: {asked.error}", USAGE)
    document = {"ok": False, "error": {"message": asked.refusal}}
    document |= {key: body[key] for key in ("tx_digest", "abort_code") if key in body}
    if digest is None:
        return FAILED, document, asked.refusal
    settled = await asking(_get(f"/transactions/{digest}"))
    state = settled.body.get("status") if settled.status == 200 else "pending"
    if state == "success":
        return DONE, {"ok": True, "tx_digest": digest}, f"done: {digest}"
    if state == "failure":
        return FAILED, document | {"status": state}, asked.refusal
    return UNKNOWN, document | {"status": state}, f"{asked.error}\n{_LATER.format(digest)}"


async def _class_of(text: str, asking: Ask) -> int:
    if text.isascii() and text.isdecimal():
        return int(text)
    tasks = _checked(await asking(_get("/tasks"))).body
    found = {each["operation"]: each["task_small_id"] for each in tasks if not each["model_name"]}
    if text in found:
        return int(found[text])
    near = nearest(text, found, likeness=NAMES_LIKENESS)
    hint = f"did you mean {near}?" if near else "see: miner-agent subscription list"
    raise ValueError(f"{text[:80]!r} is no class of work; {hint}")


def _ended(
    config: Config,
    work: Callable[[Ask], Awaitable[Ended]],
    *,
    is_config_named: bool,
    may_be_unknown: bool = False,
) -> Ended:
    """`may_be_unknown`: something may have been done where the daemon gives no answer."""
    set_up(LogSection(level="error"))
    lost = UNKNOWN if may_be_unknown else FAILED

    async def go() -> Ended:
        path = await daemon_socket(config, is_config_named=is_config_named)
        if path is None:
            raise NoDaemonError(nobody_listens(config.socket_path))

        async def asking(params: dict[str, Any]) -> CallAnswer:
            request = LocalRequest(name=SUBSCRIPTIONS, params=params)
            async with asyncio.timeout(_ANSWER_S):
                try:
                    reply = await ask(path, request)
                except NoDaemonError:
                    raise NoDaemonError(nobody_listens(path)) from None
            if reply.result is None:
                raise LocalRefusedError(reply.refused or "the daemon gave no answer")
            return msgspec.convert(reply.result, CallAnswer)

        return await work(asking)

    try:
        return run(go())
    except NoDaemonError as error:
        return failure(error)
    except ValueError as error:
        return failure(f"usage: {error}", USAGE)
    except (CallFailedError, LocalRefusedError) as error:
        return failure(error)
    except TimeoutError:
        return failure(f"the daemon gave no answer within {_ANSWER_S:.0f} s", lost)
    except ConnectionError as error:
        return failure(error, lost)
    except StoppedError as error:
        if may_be_unknown:
            return failure(f"{error}; see: miner-agent subscription list", UNKNOWN)
        return stopped(error)


def _get(path: str) -> dict[str, Any]:
    return {"method": "GET", "path": path, "body": ""}


def _checked(asked: CallAnswer) -> CallAnswer:
    """Raises CallFailedError."""
    if asked.status != 200:
        raise CallFailedError(asked)
    return asked


def _cells(task: dict[str, Any], row: dict[str, Any] | None) -> tuple[object, ...]:
    state = "" if row is None else "subscribed" if row["valid"] else "unsubscribed"
    if task["is_deprecated"]:
        state = f"{state}, deprecated".removeprefix(", ")
    price, most = (
        ("", "") if row is None else (row["price_per_compute_unit"], row["max_num_compute_units"])
    )
    return (
        task["task_small_id"],
        task["operation"],
        task["model_name"] or "all",
        price,
        most,
        state,
    )
