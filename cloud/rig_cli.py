"""`miner-cloud rig`: machines that report to the Mining Rig Monitor API, and what is wished of them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from cloud.terminal import AsJson, Data, Workspace, fail, now, say, table, with_store
from contract.rigmonitor import Switch

rigs = typer.Typer(no_args_is_help=True, help="Machines that report to the Mining Rig Monitor API.")
_BY: Final = "command line"
_CodeOrId = Annotated[str, typer.Argument(metavar="CODE_OR_ID")]


@rigs.command("create")
def rig_create(
    data: Data,
    name: Annotated[str, typer.Option(help="Two characters or more.")],
    farm: Annotated[str, typer.Option(help="Id of its farm.")],
    as_json: AsJson = False,
) -> None:
    """Add a machine. Its API code is printed once and cannot be shown again."""
    from cloud.store.rigmonitor import create_rig

    row, code = with_store(data, lambda store: create_rig(store, farm, name, now()))
    say(row | {"code": code}, f"{code}   (machine {row['id']}; shown only now)", as_json)


@rigs.command("list")
def rig_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All machines, without their codes."""
    from cloud.store.rigmonitor import list_rigs

    found = with_store(data, lambda store: list_rigs(store, workspace))
    columns = (
        *("id", "farm_id", "name", "code_prefix", "miner_id", "asic_expected", "light_expected"),
        *("activated_at", "last_log_at", "revoked_at"),
    )
    table(found, columns, as_json)


@rigs.command("revoke")
def rig_revoke(machine: _CodeOrId, data: Data, as_json: AsJson = False) -> None:
    """Refuse a machine's code from now on. Its miner stays in the books."""
    from cloud.store.rigmonitor import revoke_rig

    rig_id = with_store(data, lambda store: revoke_rig(store, machine, now()))
    say({"id": rig_id, "revoked": True}, f"machine {rig_id} revoked", as_json)


@rigs.command("expect")
def rig_expect(
    machine: _CodeOrId,
    data: Data,
    asic: Annotated[Switch | None, typer.Option(help="Whether it is to mine.")] = None,
    light: Annotated[Switch | None, typer.Option(help="Its lamp.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wished of a machine; what is left out stays. Whoever looks after it asks every few seconds."""
    from cloud.store.rigmonitor import expect

    if asic is None and light is None:
        fail("give --asic or --light, each on or off", 2)
    row = with_store(
        data, lambda store: expect(store, machine, now(), by=_BY, asic=asic, light=light)
    )
    wishes = {
        "id": row["id"],
        "asic_expected_status": row["asic_expected"],
        "light_expected_status": row["light_expected"],
    }
    words = f"machine {row['id']}: asic {row['asic_expected']}, light {row['light_expected']}"
    say(wishes, words, as_json)
