"""`miner-agent subscription`: which classes of work this site takes, and at what price."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from agent.cli.answers import end
from agent.cli.given import ConfigFile, Json, config_of

subscription_app = typer.Typer(
    help="Say which classes of work this site takes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TaskClassText = Annotated[
    str, typer.Argument(metavar="CLASS", help="Its number, or its work: miner.firmware.update.")
]
Price = Annotated[int, typer.Option(help="What one miner touched once costs, a whole number.")]
MostUnits = Annotated[int, typer.Option("--max", help="How many miners one stack may touch.")]
Node = Annotated[int | None, typer.Option(help="The node that is meant [every one of this agent].")]


@subscription_app.command("list")
def subscription_list(config: ConfigFile = None, as_json: Json = False) -> None:
    """List every class of work, and what this site takes it for."""
    from agent.cli.subscriptions import run_subscription_list

    used = config_of(config, required=False, as_json=as_json)
    end(run_subscription_list(used, is_config_named=config is not None), as_json)


@subscription_app.command("subscribe")
def subscription_subscribe(
    task: TaskClassText,
    price: Price,
    most: MostUnits,
    node: Node = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Take work of a class from now on."""
    terms = {"price_per_compute_unit": price, "max_num_compute_units": most}
    _subscription_call("/task_subscribe", task, node, terms, config, as_json)


@subscription_app.command("update")
def subscription_update(
    task: TaskClassText,
    price: Price,
    most: MostUnits,
    node: Node = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Take it at another price, or with another maximum; what is dispatched already stays as it is."""
    terms = {"price_per_compute_unit": price, "max_num_compute_units": most}
    _subscription_call("/task_update_subscription", task, node, terms, config, as_json)


@subscription_app.command("unsubscribe")
def subscription_unsubscribe(
    task: TaskClassText,
    node: Node = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Take no new work of a class, until it is subscribed to again; what is dispatched already goes on."""
    _subscription_call("/task_unsubscribe", task, node, {}, config, as_json)


@subscription_app.command("register")
def subscription_register(
    new_key: Annotated[
        bool,
        typer.Option("--new-key", help="With a key of its own, where a copy of the disk used it."),
    ] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Make this agent a node, which may subscribe."""
    from agent.cli.subscriptions import run_subscription_register

    used = config_of(config, required=False, as_json=as_json)
    end(
        run_subscription_register(used, new_key=new_key, is_config_named=config is not None),
        as_json,
    )


def _subscription_call(
    path: str,
    task: str,
    node: int | None,
    body: dict[str, Any],
    config: Path | None,
    as_json: bool,
) -> NoReturn:
    from agent.cli.subscriptions import run_subscription_call

    named = body if node is None else body | {"node_small_id": node}
    used = config_of(config, required=False, as_json=as_json)
    end(
        run_subscription_call(used, path, task, named, is_config_named=config is not None),
        as_json,
    )
