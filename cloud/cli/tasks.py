"""`miner-cloud task`, `undo`, `group`: orders for many miners, by what is true of them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from cloud.cli.api import URL_DEFAULT, Api, ApiRefusedError, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.failures import reasons
from cloud.cli.fleet.scans import found_by
from cloud.cli.given import Select, filters_of, read_json
from cloud.cli.orders import (
    PasswordsText,
    follow,
    lacks_miners,
    passwords_for,
    shown_plan,
    told_order,
)
from cloud.cli.subscriptions import MaxPrice, NoSplit, dispatch_given, waiting_words
from cloud.cli.terminal import AsJson, fail, printable_lines, say, table

groups = typer.Typer(no_args_is_help=True, help="Batches that were ordered as one.")

_GroupId = Annotated[str, typer.Argument(metavar="GROUP_ID")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and do nothing.")]
_Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Follow it to its end, or until all that is left waits for somebody. "
        "Exit 1: some failed, or wait so; 3: some unknown.",
    ),
]
_ENDS: Final = ("succeed_count", "failed_count", "timed_out_count", "cancelled_count", "held_count")
_COLUMNS: Final = ("group_id", "task_name", "status", "task_count", *_ENDS, "created_at")


def task(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="TASK_NAME",
            help="Such as miner.mining.update, miner.power_mode.update, miner.system.reboot; "
            "a word that is none of them lists all.",
        ),
    ],
    select: Select = None,
    saved: Annotated[
        str | None, typer.Option("--saved", help="A selection that is kept under this name.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every miner of the farm.")] = False,
    miner: Annotated[
        list[str] | None, typer.Option("--miner", help="One miner; may be given several times.")
    ] = None,
    params: Annotated[
        str | None, typer.Option("--params", help="JSON; @FILE reads a file, - reads stdin.")
    ] = None,
    dry_run: _DryRun = False,
    expect: Annotated[
        str | None,
        typer.Option("--expect", help="How many miners it must select: 300, or 300~5% for about."),
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option("--canary", min=1, help="So many first; the others when these are proven."),
    ] = None,
    max_price: MaxPrice = None,
    no_split: NoSplit = False,
    wait: _Wait = False,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a task to miners. A selection is shown first; what it selects is ordered with --expect."""
    selection = _selection(select, saved, every=every)
    body = _body(name, selection, miner, params, canary)
    body |= dispatch_given(max_price, no_split=no_split)
    expected = None if expect is None else _expected(expect)
    if expected is not None and "selection" not in body:
        fail("--expect is for --select, --saved and --all: --miner names them already", 2)
    words = ["miner-cloud", "task", name, *(["--all"] if every else [])]
    words += ["--no-split"] if no_split else []
    options = {"--select": select, "--saved": saved, "--params": params, "--canary": canary}
    options |= {"--max-price": max_price, **_where(context)}

    async def work(api: Api) -> int:
        path = f"/farms/{(await api.farm(farm))['id']}/tasks"
        if dry_run:
            told = (await api.post(f"{path}/batches", {**body, "dry_run": True}))["data"]
            plan = shown_plan(told)
            if "selection" in body and told["count"]:
                plan += _to_do_it(told, words, options)
            say(told, plan, as_json)
            return 0
        count: dict[str, Any] | int | None = expected
        if "selection" in body and count is None:
            told = (await api.post(f"{path}/batches", {**body, "dry_run": True}))["data"]
            count = _confirmed(told, words, options)
        order = body if count is None else {**body, "expect_count": count}
        answer = await api.post(f"{path}/batches", order)
        return await _answered(api, path, answer, wait=wait, as_json=as_json)

    _end(with_api(url, key_file, ca_file, work))


def undo(
    what: Annotated[str, typer.Argument(metavar="GROUP_OR_BATCH_ID")],
    passwords: PasswordsText = None,
    dry_run: _DryRun = False,
    wait: _Wait = False,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Put back what a group or a batch has changed. Passwords of pools are asked for: they are kept nowhere."""
    given = read_json("--passwords", passwords) if passwords is not None else {}

    async def work(api: Api) -> int:
        path = f"/farms/{(await api.farm(farm))['id']}/tasks"
        kind = await _kind_of(api, path, what)
        told = (
            await api.post(f"{path}/{kind}/{what}/undo", {"passwords": given, "dry_run": True})
        )["data"]
        if dry_run:
            say(told, shown_plan(told), as_json)
            return 0
        known = {**given, **passwords_for(told["passwords_needed"])}
        answer = await api.post(f"{path}/{kind}/{what}/undo", {"passwords": known})
        return await _answered(api, path, answer, wait=wait, as_json=as_json)

    _end(with_api(url, key_file, ca_file, work))


@groups.command("list")
def group_list(
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """All groups of a farm, newest first."""

    async def work(api: Api) -> list[Any]:
        return await api.every(f"/farms/{(await api.farm(farm))['id']}/tasks/groups")

    found = with_api(url, key_file, ca_file, work)
    table(found, _columns_of(found), as_json)


@groups.command("show")
def group_show(
    group: _GroupId,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """How far a group is, and why what is held is held."""

    async def work(api: Api) -> dict[str, Any]:
        farm_path = f"/farms/{(await api.farm(farm))['id']}"
        found = dict((await api.get(f"{farm_path}/tasks/groups/{group}"))["data"])
        batches = [each["batch_id"] for each in found["batches"]]
        return {**found, "reasons": await reasons(api, farm_path, batches)}

    told = with_api(url, key_file, ca_file, work)
    if as_json:
        say(told, "", as_json)
        return
    table([told["group"]], _columns_of([told["group"]]), as_json)
    if told["canary"]:
        say({}, f"first: {told['canary']['message']}", as_json)
    if words := waiting_words(told):
        say({}, words, as_json)
    if "amount" in told:
        say({}, f"amount: {told['amount']}", as_json)
    watts = told["watts"]
    before, expected = (
        "?" if watts[key] is None else f"{watts[key] / 1e3:.1f}" for key in ("before", "expected")
    )
    say({}, f"kW: {before} before, {expected} expected, {watts['now'] / 1e3:.1f} now", as_json)
    for reason in told["reasons"]:
        say({}, reason, as_json)
    table(told["batches"], ("batch_id", "status", "task_count", "is_canary"), as_json)


@groups.command("cancel")
def group_cancel(
    group: _GroupId,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Call off what has not begun, and all that is held."""
    told = _done(url, key_file, ca_file, farm, f"{group}/cancel")
    words = f"{told['cancelled_count']} ended, {told['cancel_requested_count']} asked to end"
    say(told, words, as_json)


@groups.command("release")
def group_release(
    group: _GroupId,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Let go what is held, although those that went first are not proven."""
    told = _done(url, key_file, ca_file, farm, f"{group}/release")
    say(told, f"{told['released_count']} let go", as_json)


@groups.command("retry")
def group_retry(
    group: _GroupId,
    include_unknown: Annotated[
        bool,
        typer.Option("--include-unknown", help="Also reboots and updates that may have happened."),
    ] = False,
    max_price: MaxPrice = None,
    no_split: NoSplit = False,
    wait: _Wait = False,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """The failed and timed-out tasks again, as a new group; dispatched as before, where nothing else is said."""

    async def work(api: Api) -> int:
        path = f"/farms/{(await api.farm(farm))['id']}/tasks"
        body = {"include_unknown": include_unknown}
        body |= dispatch_given(max_price, no_split=no_split)
        answer = await api.post(f"{path}/groups/{group}/retry", body)
        return await _answered(api, path, answer, wait=wait, as_json=as_json)

    _end(with_api(url, key_file, ca_file, work))


def _columns_of(found: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Without the ends that no task of these groups came to."""
    return tuple(name for name in _COLUMNS if name not in _ENDS or any(row[name] for row in found))


def _done(
    url: str, key_file: Path | None, ca_file: Path | None, farm: str | None, what: str
) -> dict[str, Any]:
    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/tasks/groups/{what}"
        return dict((await api.post(path))["data"])

    return with_api(url, key_file, ca_file, work)


async def _kind_of(api: Api, path: str, what: str) -> str:
    """Whether it is a group or a batch."""
    try:
        await api.get(f"{path}/groups/{what}")
    except ApiRefusedError as error:
        if error.status != 404:
            raise
        return "batches"
    return "groups"


async def _answered(
    api: Api, path: str, answer: Mapping[str, Any], *, wait: bool, as_json: bool
) -> int:
    """Say what was ordered, and follow it if that is wished; the exit status: 1 where a miner that was named is not
    there, too.
    """
    lacking = 1 if lacks_miners(answer) else 0
    if not wait:
        say(dict(answer), told_order(answer), as_json)
        return lacking
    if not as_json:
        say({}, told_order(answer), as_json)
    told, words, status = await follow(api, path, answer)
    why = []
    if status:
        made = [batch["batch_id"] for batch in answer["data"]]
        why = await reasons(api, path.removesuffix("/tasks"), made)
    found = [] if as_json else await found_by(api, path, answer["data"])
    say({**answer, "end": told, "reasons": why}, "\n".join([words, *found, *why]), as_json)
    return status or lacking


def _selection(select: str | None, saved: str | None, *, every: bool) -> dict[str, Any] | None:
    """As the body of an order has it; None where nothing is said."""
    if every and (select is not None or saved is not None):
        fail("--all is every miner of the farm, and takes no --select or --saved beside it", 2)
    if every:
        return {"all": True}
    if select is None and saved is None:
        return None
    filters = filters_of(select)
    return filters if saved is None else {**filters, "saved": saved}


def _body(
    name: str,
    selection: dict[str, Any] | None,
    miner: Sequence[str] | None,
    params: str | None,
    canary: int | None,
) -> dict[str, Any]:
    body: dict[str, Any] = {"task_name": name}
    if params is not None:
        body["params"] = read_json("--params", params)
    if miner:
        if selection is not None:
            fail("--miner names the miners, the other options describe them: give one kind", 2)
        body["miner_ids"] = list(miner)
    elif selection is not None:
        body["selection"] = selection
    elif _is_of_miners(name):
        fail(f"{name}: say which miners, by --select, --saved, --all or --miner", 2)
    if canary is not None:
        body["canary"] = canary
    return body


def _is_of_miners(name: str) -> bool:
    from contract.task import TaskName

    return name.startswith("miner.") and name in set(TaskName)


def _expected(text: str) -> dict[str, Any]:
    from contract.expected import ExpectedCount

    try:
        return ExpectedCount.parse(text).model_dump()
    except ValueError as error:
        fail(f"--expect: {error}", 2)


def _confirmed(
    told: Mapping[str, Any], words: Sequence[str], options: Mapping[str, str | int | None]
) -> int:
    """The count, once a person has typed it, else exit 2. What is shown goes to stderr, since it is no answer yet; with
    it stands the command, of these words and options, that does it. Exit 1 where no miner is selected.
    """
    count = int(told["count"])
    if not count:
        fail("no miner is selected, so nothing was done; miner-cloud miners lists them", 1)
    sys.stderr.write(f"{printable_lines(shown_plan(told))}{_to_do_it(told, words, options)}\n")
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        fail("nothing was done: a selection is ordered with --expect, as shown above", 2)
    typed = typer.prompt(f"Type {count} to do it now", default="", show_default=False, err=True)
    if typed.strip() != str(count):
        fail("nothing was done", 2)
    return count


def _to_do_it(
    told: Mapping[str, Any], words: Sequence[str], options: Mapping[str, str | int | None]
) -> str:
    """The command, of these words and options, that orders what a dry run has shown."""
    given = {**options, "--expect": told["count"]}
    pairs = [(option, str(value)) for option, value in given.items() if value is not None]
    again = shlex.join([*words, *(word for pair in pairs for word in pair)])
    return f"\n\nTo do it:\n  {again}"


def _where(context: typer.Context) -> dict[str, str]:
    """The options that say which cloud and farm are meant, as they were typed: others stand in the environment."""
    return {
        f"--{name.replace('_', '-')}": str(context.params[name])
        for name in ("farm", "url", "key_file", "ca_file")
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }


def _end(status: int) -> NoReturn:
    raise typer.Exit(status)
