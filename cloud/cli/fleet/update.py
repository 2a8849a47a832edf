"""`miner-cloud update`: a new release for the agents of a workspace, one first, then the others in turns."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from cloud.cli.api import URL_DEFAULT, Api, CaFile, KeyFile, Url, with_api
from cloud.cli.given import read_json
from cloud.cli.terminal import AsJson, fail, printable_lines, say, table
from contract.texts import printable

updates = typer.Typer(
    no_args_is_help=True, help="Updates of agents: one first, then the others in turns."
)

_ASK_EVERY_S: Final = 2.0
_SHOWN: Final = 20  # agents that are named to a person
_HASH_CHARS: Final = 12
_NOT_AGAIN: Final = ("dry_run", "as_json", "expect")
_UpdateId = Annotated[str, typer.Argument(metavar="UPDATE_ID")]


@updates.command("start")
def update_start(
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="VERSION", help="Without it: the newest of its channel."),
    ] = None,
    params: Annotated[
        str | None,
        typer.Option("--params", help="JSON with other parameters of agent.self.update."),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", help="One agent, by id or name; may be given several times."),
    ] = None,
    farm: Annotated[
        list[str] | None,
        typer.Option(
            "--farm", help="The agents of this farm, by id or name; may be given several times."
        ),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option(
            "--first", help="The agent that goes first. [one that is well and does least]"
        ),
    ] = None,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, max=100, help="So many of the others at a time.")
    ] = 1,
    begin_within: Annotated[
        int,
        typer.Option(
            min=60, max=86_400, help="Seconds that each has to begin, once it is its turn."
        ),
    ] = 3600,
    expect: Annotated[
        int | None, typer.Option("--expect", min=0, help="How many agents must be meant.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would do, and do nothing.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Follow it to its end. Exit 1: it stopped; 3: one is unknown."),
    ] = False,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Update all agents of the workspace, or of some farms, or some by name. Shown first; ordered with --expect."""
    given = read_json("--params", params) if params is not None else {}
    given |= {} if to is None else {"target_version": to}
    body: dict[str, Any] = {
        "params": given,
        "at_once": at_once,
        "begin_within_s": begin_within,
        **({} if first is None else {"first": first}),
    }
    if agent:
        if farm:
            fail("--agent names the agents, --farm describes them: give one kind", 2)
        body["agent_ids"] = agent

    async def work(api: Api) -> int:
        if farm:
            body["farm_ids"] = [(await api.farm(each))["id"] for each in farm]
        if dry_run or (expect is None and not agent):
            told = (await api.post("/updates", {**body, "dry_run": True}))["data"]
            shown = _plan(told)
            if told["created_count"]:
                shown += f"\n\nTo do it:\n  {_again(context, told['count'], named=bool(agent))}"
            if dry_run:
                say(told, shown, as_json)
                return 0
            sys.stderr.write(printable_lines(shown) + "\n")
            fail("nothing was done: it is ordered with --expect, as shown above", 2)
        order = body if expect is None else {**body, "expect_count": expect}
        answer = await api.post("/updates", order)
        group_id = answer["meta"].get("group_id")
        words = _ordered(answer)
        if not wait or group_id is None:
            say(dict(answer), words, as_json)
            return 0 if group_id is not None else 1
        if not as_json:
            say({}, words, as_json)
        detail, status = await _followed(api, group_id)
        say({**answer, "end": detail}, _told(detail), as_json)
        return status

    raise typer.Exit(with_api(url, key_file, ca_file, work))


@updates.command("list")
def update_list(
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """All updates of the workspace, newest first."""

    async def work(api: Api) -> list[Any]:
        return await api.every("/updates")

    columns = ("group_id", "state", "task_count", "succeed_count", "held_count", "created_at")
    table(with_api(url, key_file, ca_file, work), columns, as_json)


@updates.command("show")
def update_show(
    update: _UpdateId,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """How far an update is, and what each agent was and is."""

    async def work(api: Api) -> dict[str, Any]:
        return dict((await api.get(f"/updates/{update}"))["data"])

    told = with_api(url, key_file, ca_file, work)
    say(told, _told(told), as_json)
    if not as_json:
        rows = [
            {
                "agent": each["name"] or each["agent_id"],
                "farm": each["farm_name"] or each["farm_id"],
                "status": _status(each),
                "before": _release(each["before"]),
                "after": _release(each["after"]),
            }
            for each in told["agents"]
        ]
        table(rows, ("agent", "farm", "status", "before", "after"), as_json)


@updates.command("cancel")
def update_cancel(
    update: _UpdateId,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Call off all that has not begun."""

    async def work(api: Api) -> dict[str, Any]:
        return dict((await api.post(f"/updates/{update}/cancel"))["data"])

    told = with_api(url, key_file, ca_file, work)
    words = f"{told['cancelled_count']} ended, {told['cancel_requested_count']} asked to end"
    say(told, words, as_json)


def _status(each: Mapping[str, Any]) -> str:
    if each["held_reason"]:
        return f"held: {each['held_reason']}"
    return "waits" if each["is_held"] and not each["ended_at"] else str(each["status"])


def _plan(told: Mapping[str, Any]) -> str:
    """A dry run, for people."""
    count = told["created_count"]
    turns = f", {told['at_once']} at a time after the first" if count > 1 else ""
    lines = [
        f"{_are(told['count'], 'agent', 'agents')} meant, {_are(told['skipped_count'])} skipped",
        f"{_are(count)} updated" + turns,
    ]
    for each in told["agents"][:_SHOWN]:
        who = f"{printable(each['name'] or each['id'])} of {printable(each['farm_name'] or each['farm_id'])}"
        mark = "  first" if each["id"] == told["first_agent_id"] else ""
        lines.append(f"  {who}  {printable(each['version'] or '-')}{mark}")
    if len(told["agents"]) > _SHOWN:
        lines.append(f"  and {len(told['agents']) - _SHOWN} more (--json tells all)")
    return "\n".join([*lines, *_skips(told["skipped"])])


def _are(number: int, one: str = "", more: str = "") -> str:
    """`1 agent is`, `2 agents are`; without a word `1 is`."""
    return " ".join(
        filter(None, (str(number), one if number == 1 else more, "is" if number == 1 else "are"))
    )


def _ordered(answer: Mapping[str, Any]) -> str:
    meta = answer["meta"]
    summary = meta["summary"]
    count = summary["created_count"]
    lines = [f"{count} {'agent' if count == 1 else 'agents'}, {summary['skipped_count']} skipped"]
    if group_id := meta.get("group_id"):
        lines.append(f"update {group_id}")
    return "\n".join([*lines, *_skips(meta["skipped"])])


def _skips(skipped: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"skipped, {skip['reason']}: {skip['message']} ({len(skip['agent_ids'])})"
        for skip in skipped
    ]


def _told(detail: Mapping[str, Any]) -> str:
    """Where it stands, with why each failed."""
    ended = [
        f"{printable(each['name'] or each['agent_id'])}: {each['message']}"
        for each in detail["agents"]
        if each["message"] and each["status"] != "cancelled"
    ]
    return "\n".join([f"{detail['update']['state']}: {detail['update']['message']}", *ended])


def _release(side: Mapping[str, Any] | None) -> str | None:
    if side is None:
        return None
    return f"{side['version']} {str(side['release_sha256'] or '-')[:_HASH_CHARS]}"


async def _followed(api: Api, group_id: str) -> tuple[dict[str, Any], int]:
    """Until nothing of it is open; its last state, and the exit status."""
    while True:
        detail = dict((await api.get(f"/updates/{group_id}"))["data"])
        update = detail["update"]
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{printable(update['message'])}")
            sys.stderr.flush()
        if update["status"] != "pending":
            if sys.stderr.isatty():
                sys.stderr.write("\n")
            failed = update["failed_count"] + update["timed_out_count"] - update["unknown_count"]
            status = 1 if failed else 3 if update["unknown_count"] else 0
            return detail, status or (0 if update["state"] == "done" else 1)
        await asyncio.sleep(_ASK_EVERY_S)


def _again(context: typer.Context, count: int, *, named: bool) -> str:
    """The command that orders what a dry run has shown: as it was typed, with the count."""
    words = ["miner-cloud", "update", "start"]
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in _NOT_AGAIN or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        for each in value if isinstance(value, list) else [value]:
            words += [parameter.opts[0], *([] if each is True else [str(each)])]
    return shlex.join(words if named else [*words, "--expect", str(count)])
