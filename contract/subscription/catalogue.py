"""The catalogue of classes of work: which there are from the start, and the ids that follow from others."""

from __future__ import annotations

from typing import Final

from contract.subscription import bcs
from contract.subscription.ids import blake2b_256
from contract.task import TaskName

# The small id of each is its place, from 1, in every workspace: a new one goes to the end, none is ever moved.
BUILT_IN: Final = (
    TaskName.SCAN,
    TaskName.IP_DIAGNOSIS,
    TaskName.SELF_UPDATE,
    TaskName.REBOOT,
    TaskName.LOG,
    TaskName.LIGHT,
    TaskName.POWER_MODE,
    TaskName.MINING,
    TaskName.POWER_LIMIT,
    TaskName.POOLS,
    TaskName.POOL_LOCK,
    TaskName.FIRMWARE,
)
_TASK_TAG: Final = b"MinerAgentTask::V1::"
_STACK_TAG: Final = b"MinerAgentStack::V1::"


def task_id_of(ledger_id: str, task_small_id: int) -> bytes:
    """The object id of a class of work of a workspace."""
    return blake2b_256(_TASK_TAG, bcs.string(ledger_id), bcs.u64(task_small_id))


def stack_id_of(batch_id: str, stack_small_id: int) -> bytes:
    """The object id of a stack."""
    return blake2b_256(_STACK_TAG, bcs.string(batch_id), bcs.u64(stack_small_id))
