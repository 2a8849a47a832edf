"""`miner-cloud rig`: machines that report to the Mining Rig Monitor API, and what is wished of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from cloud.cli.terminal import (
    AsJson,
    Data,
    Workspace,
    fail,
    now,
    say,
    say_revoked,
    say_secret,
    show,
    with_store,
)
from contract.rigmonitor.asic import Switch
from contract.rigmonitor.playbook import MiningWish
from contract.rigmonitor.shared import MachineKind

if TYPE_CHECKING:
    from cloud.store.engine import Store
    from cloud.store.miners.rigs import ListedRig

rigs = typer.Typer(no_args_is_help=True, help="Machines that report to the Mining Rig Monitor API.")
_CodeOrId = Annotated[str, typer.Argument(metavar="CODE_OR_ID")]


@rigs.command("create")
def rig_create(
    data: Data,
    name: Annotated[str, typer.Option(help="Two characters or more.")],
    farm: Annotated[str, typer.Option(help="Id of its farm.")],
    kind: Annotated[
        MachineKind, typer.Option(help="Which half of the API it speaks.")
    ] = MachineKind.ASIC,
    as_json: AsJson = False,
) -> None:
    """Add a machine. Its API code is printed once and cannot be shown again."""
    from cloud.store.miners.rigs import create_rig

    row, code = with_store(data, lambda store: create_rig(store, farm, name, now(), kind=kind))
    say_secret(row, "code", code, "machine", as_json)


@rigs.command("list")
def rig_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All machines, without their codes."""
    columns = (
        *("id", "farm_id", "name", "kind", "code_prefix", "miner_id"),
        *("asic_expected", "light_expected", "mining_expected"),
        *("activated_at", "last_log_at", "revoked_at"),
    )
    show(data, lambda store: _listed(store, workspace), columns, as_json)


@rigs.command("new-code")
def rig_new_code(machine: _CodeOrId, data: Data, as_json: AsJson = False) -> None:
    """Give a machine another API code, printed once. The one before is refused from now on; all else stays."""
    from cloud.store.miners.rig_codes import renew_code

    row, code = with_store(data, lambda store: renew_code(store, machine, now()))
    say_secret(row, "code", code, "machine", as_json)


@rigs.command("revoke")
def rig_revoke(machine: _CodeOrId, data: Data, as_json: AsJson = False) -> None:
    """Refuse a machine's code from now on. Its miner stays in the books."""
    from cloud.store.miners.rigs import revoke_rig

    rig_id = with_store(data, lambda store: revoke_rig(store, machine, now()))
    say_revoked("machine", rig_id, as_json)


@rigs.command("expect")
def rig_expect(
    machine: _CodeOrId,
    data: Data,
    asic: Annotated[Switch | None, typer.Option(help="Whether it is to mine.")] = None,
    light: Annotated[Switch | None, typer.Option(help="Its lamp.")] = None,
    mining: Annotated[
        Switch | None, typer.Option(help="Whether a CPU/GPU rig is to mine by its playbooks.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wished of a machine; what is left out stays. Whoever looks after it asks every few seconds."""
    if asic is None and light is None and mining is None:
        fail("give --asic or --light, of a CPU/GPU rig --mining, each on or off", 2)
    row = with_store(data, lambda store: _expected(store, machine, asic, light, mining))
    if row.kind == MachineKind.RIG:
        told = {"id": row.id, "expected_status": row.mining_expected}
        say(told, f"rig {row.id}: {row.mining_expected}", as_json)
        return
    wishes = {
        "id": row.id,
        "asic_expected_status": row.asic_expected,
        "light_expected_status": row.light_expected,
    }
    words = f"machine {row.id}: asic {row.asic_expected}, light {row.light_expected}"
    say(wishes, words, as_json)


async def _listed(store: Store, workspace: str | None) -> list[dict[str, Any]]:
    from cloud.store.miners.rigs import list_rigs

    return [msgspec.structs.asdict(row) for row in await list_rigs(store, workspace)]


async def _expected(
    store: Store,
    code_or_id: str,
    asic: Switch | None,
    light: Switch | None,
    mining: Switch | None,
) -> ListedRig:
    """Raises NotThereError; of a machine whose code is revoked it says that, and what to do."""
    from cloud.store.access.actors import command_line
    from cloud.store.access.admin import NotThereError
    from cloud.store.miners.rigs import expect, list_rigs

    wish = None if mining is None else _WISHES[mining]
    try:
        return await expect(
            store, code_or_id, now(), by=command_line(), asic=asic, light=light, mining=wish
        )
    except NotThereError:
        for row in await list_rigs(store, None):
            if row.revoked_at is not None and _is_named(row, code_or_id):
                more = "" if row.kind == MachineKind.ASIC else f" --kind {row.kind}"
                raise NotThereError(
                    _REVOKED.format(**msgspec.structs.asdict(row), more=more)
                ) from None
        raise


def _is_named(row: ListedRig, code_or_id: str) -> bool:
    """Of a code only its beginning is there to compare, which is why that is what the sentence speaks of."""
    return row.id == code_or_id or code_or_id.startswith(row.code_prefix)


_WISHES: Final = {Switch.ON: MiningWish.MINING, Switch.OFF: MiningWish.STOP}
_REVOKED: Final = (
    "the code {code_prefix}... of machine {id} ({name}) was revoked on {revoked_at:%Y-%m-%d %H:%M} UTC, so nobody "
    "asks what is wished of it; add it again with `miner-cloud rig create --farm {farm_id} --name NAME{more}` and "
    "give it that code"
)
