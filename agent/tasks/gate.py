"""The last word before anything is sent: policy, lease, cancellation, time."""

from __future__ import annotations

from agent.journal.states import State
from agent.limits.lease import Lease
from agent.limits.maintenance import Maintenance
from agent.limits.policy import Policy
from agent.tasks.active import ActiveTask
from contract.clock import Clock
from contract.errors import CancelledTaskError, ExpiredError, PolicyRefusedError
from contract.task import Kind, MinerParams


class LeaseShortError(PolicyRefusedError):
    """Too little is left of the lease to begin: nothing was sent, and it may be tried when the lease is renewed."""


class Gate:
    """Asked before a task is begun, and again with the connection to the miner already open."""

    def __init__(
        self, lease: Lease, policy: Policy, maintenance: Maintenance, clock: Clock
    ) -> None:
        self.policy = policy
        self.lease = lease
        self.maintenance = maintenance
        self._clock = clock

    def may_run(self, task: ActiveTask) -> None:
        """Raises CancelledTaskError, ExpiredError or PolicyRefusedError if it is not to be begun at all."""
        if task.is_closed:
            raise ExpiredError("Its execution limit passed before anything was sent. Try again.")
        if task.cancel_requested and not task.may_have_sent:
            raise CancelledTaskError("Cancelled before anything was sent.")
        if task.state is State.ACCEPTED and self._clock.mono() > task.expires_mono:
            raise ExpiredError(
                "Nobody could begin it during its queue life; nothing was sent. Create it again."
            )
        if self.policy.rules.forbids(task.name):
            raise PolicyRefusedError(
                f"This site does not allow {task.name} (policy.forbidden_tasks)."
            )
        if task.kind is Kind.LOOK:
            return
        if self.policy.rules.read_only:
            raise PolicyRefusedError(
                "The agent of this site is in read-only mode (policy.read_only)."
            )
        miner = task.record.miner
        allowed = isinstance(task.params, MinerParams) and task.params.allow_maintenance
        if miner is None or allowed:
            return
        if miner.maintenance or self.maintenance.holds(miner):
            raise PolicyRefusedError(
                "The miner is in maintenance. End that first, or create the task with "
                "params.allow_maintenance = true."
            )

    def may_begin(self, task: ActiveTask) -> None:
        """`may_run`, and the lease is long enough. Raises LeaseShortError too."""
        self.may_run(task)
        if task.cancel_requested:
            raise CancelledTaskError(
                "Cancelled. It was begun before the agent restarted, and is not sent again."
            )
        if task.pinned or not task.record.from_cloud:
            return  # ours whatever becomes of the lease; or wished for on site: no cloud has lent it to us
        left = self.lease.left_s()
        if left < self.policy.limits.lease_left_s:
            raise LeaseShortError(
                f"Only {left:.0f} s of the lease were left; the cloud could not be reached. Nothing was sent."
            )

    def may_go_on(self, task: ActiveTask) -> None:
        """Before every further write of a change that was begun. A task whose intent the cloud has acknowledged is
        ours whatever becomes of the lease. Raises ExpiredError or LeaseShortError.
        """
        if task.is_closed:
            raise ExpiredError("Its execution limit passed before all of it was sent.")
        if task.pinned or not task.record.from_cloud:
            return
        if self.lease.left_s() <= 0.0:
            raise LeaseShortError("The lease ended before all of it was sent.")
