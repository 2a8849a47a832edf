"""`miner-cloud playbook`: with which programs CPU/GPU rigs mine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloud.cli.terminal import AsJson, Data, Workspace, fail, now, say, show, with_store

if TYPE_CHECKING:
    from cloud.store.engine import Store

playbooks = typer.Typer(no_args_is_help=True, help="With which programs CPU/GPU rigs mine.")
_Playbook = Annotated[int, typer.Argument(metavar="PLAYBOOK_ID")]
_Coin = Annotated[str | None, typer.Option(help="What is mined.")]
_Algorithm = Annotated[str | None, typer.Option(help="By which algorithm.")]
_Wallet = Annotated[str | None, typer.Option(help="For whom.")]
_Pool = Annotated[str | None, typer.Option(help="Where to.")]


@playbooks.command("create")
def playbook_create(
    data: Data,
    farm: Annotated[str, typer.Option(help="Id of its farm.")],
    software_name: Annotated[str, typer.Option(help="Such as XMRig.")],
    software_version: Annotated[str, typer.Option(help="Such as 6.22.2.")],
    command_argument: Annotated[
        str,
        typer.Option(
            help="One line. $WORKER_NAME, $CPU_WALLET, $GPU_WALLET_1, $CPU_POOL, $GPU_POOL_1 ... are filled in."
        ),
    ],
    cpu_coin_name: _Coin = None,
    cpu_algorithm: _Algorithm = None,
    cpu_wallet_address: _Wallet = None,
    cpu_pool_address: _Pool = None,
    gpu_coin_name_1: _Coin = None,
    gpu_algorithm_1: _Algorithm = None,
    gpu_wallet_address_1: _Wallet = None,
    gpu_pool_address_1: _Pool = None,
    gpu_coin_name_2: _Coin = None,
    gpu_algorithm_2: _Algorithm = None,
    gpu_wallet_address_2: _Wallet = None,
    gpu_pool_address_2: _Pool = None,
    as_json: AsJson = False,
) -> None:
    """Keep how to mine. No rig does so until it is assigned."""
    from pydantic import ValidationError

    from cloud.store.access.actors import command_line
    from cloud.store.miners.playbooks import create, shown
    from contract.nonce.playbooks import CreatePlaybook
    from contract.words import faults_in

    try:
        given = CreatePlaybook(
            software_name=software_name,
            software_version=software_version,
            command_argument=command_argument,
            cpu_coin_name=cpu_coin_name,
            cpu_algorithm=cpu_algorithm,
            cpu_wallet_address=cpu_wallet_address,
            cpu_pool_address=cpu_pool_address,
            gpu_coin_name_1=gpu_coin_name_1,
            gpu_algorithm_1=gpu_algorithm_1,
            gpu_wallet_address_1=gpu_wallet_address_1,
            gpu_pool_address_1=gpu_pool_address_1,
            gpu_coin_name_2=gpu_coin_name_2,
            gpu_algorithm_2=gpu_algorithm_2,
            gpu_wallet_address_2=gpu_wallet_address_2,
            gpu_pool_address_2=gpu_pool_address_2,
        )
    except ValidationError as error:
        fail("; ".join(faults_in(error, CreatePlaybook)), 2)
    row = with_store(
        data, lambda store: create(store, farm, given.model_dump(), now(), by=command_line())
    )
    say(shown(row), f"playbook {row.id}", as_json)


@playbooks.command("list")
def playbook_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All playbooks, and how many rigs mine by each."""
    columns = ("id", "farm_id", "software_name", "software_version", "command_argument", "rigs")
    show(data, lambda store: _listed(store, workspace), columns, as_json)


@playbooks.command("assign")
def playbook_assign(
    playbook: _Playbook,
    machine: Annotated[str, typer.Argument(metavar="RIG", help="Its id or API code.")],
    data: Data,
    as_json: AsJson = False,
) -> None:
    """Have a rig mine by a playbook, from when it asks next."""
    from cloud.store.access.actors import command_line
    from cloud.store.miners.playbooks import assign, shown

    row = with_store(data, lambda store: assign(store, playbook, machine, now(), by=command_line()))
    say(
        shown(row),
        f"playbook {row.id} is assigned; rigs that mine by it: {len(row.rig_ids)}",
        as_json,
    )


@playbooks.command("remove")
def playbook_remove(
    playbook: _Playbook,
    data: Data,
    rig: Annotated[
        str | None, typer.Option(help="Take it from this rig only, by its id or API code.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take a playbook from a rig, which stops what it mines by it; or forget one that no rig mines by."""
    from cloud.store.access.actors import command_line
    from cloud.store.miners.playbooks import remove, shown, take_away

    if rig is None:
        with_store(data, lambda store: remove(store, playbook, now(), by=command_line()))
        say({"id": playbook, "removed": True}, f"playbook {playbook} is removed", as_json)
        return
    row = with_store(data, lambda store: take_away(store, playbook, rig, now(), by=command_line()))
    say(
        shown(row),
        f"playbook {row.id} is taken away; rigs that mine by it: {len(row.rig_ids)}",
        as_json,
    )


async def _listed(store: Store, workspace: str | None) -> list[dict[str, Any]]:
    from cloud.store.miners.playbooks import list_all, shown

    return [shown(row) | {"rigs": len(row.rig_ids)} for row in await list_all(store, workspace)]
