"""`miner-cloud task-class`, `dispatch`, `subscriptions`, `amounts`: what sites take which work for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from cloud.cli.api import URL_DEFAULT, Api, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.since import parse_since
from cloud.cli.terminal import AsJson, fail, now, say, table
from contract.subscription.dispatch import DispatchPolicy

task_classes = typer.Typer(
    no_args_is_help=True, help="Classes of work that sites can subscribe to."
)
MaxPrice = Annotated[
    int | None,
    typer.Option(
        "--max-price", min=1, help="The most a site may charge for each miner, where it charges."
    ),
]
NoSplit = Annotated[
    bool,
    typer.Option(
        "--no-split",
        help="Wait where a batch is more than a site takes at once, and never split it.",
    ),
]
_CLASSES: Final = ("task_small_id", "operation", "model_name", "is_deprecated", "created_at")
_SUBSCRIPTIONS: Final = (
    *("agent_id", "task_small_id", "price_per_compute_unit", "max_num_compute_units"),
    *("valid", "ledger", "updated_at"),
)
_AMOUNTS: Final = ("day", "agent_id", "task_small_id", "units", "amount")


def dispatch_given(max_price: int | None, *, no_split: bool) -> dict[str, Any]:
    """As the body of an order has it; nothing where nothing is said."""
    given: dict[str, Any] = {}
    if max_price is not None:
        given["max_price_per_compute_unit"] = max_price
    if no_split:
        given["may_split"] = False
    return {"dispatch": given} if given else {}


def waiting_words(told: Mapping[str, Any]) -> str:
    """How many tasks of a batch or group wait for which reason; empty for none."""
    reasons: Mapping[str, int] = told.get("held_reasons") or {}
    return ", ".join(f"{count} wait: {reason}" for reason, count in reasons.items())


@task_classes.command("create")
def task_class_create(
    operation: Annotated[str, typer.Argument(metavar="TASK_NAME")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Only miners whose model begins so, as `miner-cloud miners` has it: S19.",
        ),
    ] = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Add one, to which every site of the workspace can subscribe."""
    body = {"operation": operation} | ({} if model is None else {"model_name": model})
    told = _posted(url, key_file, ca_file, "/task-classes", body)
    say(told, f"class of work {told['task_small_id']}", as_json)


@task_classes.command("list")
def task_class_list(
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """All classes of work, deprecated ones too."""

    async def work(api: Api) -> list[Any]:
        return await api.every("/task-classes")

    table(with_api(url, key_file, ca_file, work), _CLASSES, as_json)


@task_classes.command("deprecate")
def task_class_deprecate(
    number: Annotated[int, typer.Argument(metavar="TASK_SMALL_ID", min=1)],
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Dispatch nothing more by it, for good."""
    told = _posted(url, key_file, ca_file, f"/task-classes/{number}/deprecate", {})
    say(told, f"class of work {number} is deprecated", as_json)


def dispatch(
    policy: Annotated[
        DispatchPolicy | None,
        typer.Argument(
            help="open: all work, subscribed to or not; subscribed: only what its site subscribed to.",
        ),
    ] = None,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show, or set, what the agents of a farm get that they never subscribed to."""

    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/dispatch"
        if policy is None:
            return dict((await api.get(path))["data"])
        return dict((await api.put(path, {"policy": policy.value}))["data"])

    told = with_api(url, key_file, ca_file, work)
    say(told, f"dispatch policy: {told['policy']}", as_json)


def subscriptions(
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """What the agents of a farm take which work for."""

    async def work(api: Api) -> list[Any]:
        return await api.every(f"/farms/{(await api.farm(farm))['id']}/subscriptions")

    table(with_api(url, key_file, ca_file, work), _SUBSCRIPTIONS, as_json)


def amounts(
    since: Annotated[
        str | None, typer.Option("--since", help="30d (the default), 2026-11-01, or a whole time.")
    ] = None,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """What was done under subscriptions, and what it comes to, by day, agent and class of work."""
    query: dict[str, str] = {}
    if since is not None:
        try:
            query["from_time"] = parse_since(since, now()).isoformat()
        except ValueError as error:
            fail(f"--since: {error}", 2)

    async def work(api: Api) -> list[Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/amounts"
        return list((await api.get(path, query))["data"])

    table(with_api(url, key_file, ca_file, work), _AMOUNTS, as_json)


def _posted(
    url: str, key_file: KeyFile, ca_file: CaFile, path: str, body: dict[str, Any]
) -> dict[str, Any]:
    async def work(api: Api) -> dict[str, Any]:
        return dict((await api.post(path, body))["data"])

    return with_api(url, key_file, ca_file, work)
