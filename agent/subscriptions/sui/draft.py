"""From a submission to a transaction: whose badges, which calls, which coin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agent.config.sui import SuiSection
from agent.subscriptions.ledger import (
    NOT_REGISTERED,
    Submission,
    SubmissionFailedError,
    WrongNodeError,
)
from agent.subscriptions.store import NodeOperation
from agent.subscriptions.sui.calls import move_call
from agent.subscriptions.sui.chain import SeenObject
from agent.subscriptions.sui.deployment import Deployment
from agent.subscriptions.sui.transaction import MoveCall, ObjectRef, SuiTransaction
from agent.subscriptions.sui.wallet import SuiWallet
from contract.subscription.ids import parse_object_id
from contract.subscription.rules import Abi, LedgerOperation, OperationKind

BADGES_MAX: Final = 40  # of one transaction: what it changed is to fit on one page of the answer


@dataclass(frozen=True)
class SuiDraft:
    """A transaction that nobody has signed yet, and what it means."""

    transaction: SuiTransaction
    operations: tuple[NodeOperation, ...]


async def draft(
    submission: Submission,
    deployment: Deployment,
    wallet: SuiWallet,
    section: SuiSection,
    gas_price: int,
) -> SuiDraft:
    """`gas_price`: the network's own, in MIST. Raises ChainError, SubmissionFailedError, WrongNodeError, and ValueError
    for a price that the package has no number for.
    """
    operation = LedgerOperation(submission.kind, submission.task_small_id, submission.terms)
    collateral: ObjectRef | None = None
    badges: dict[int, SeenObject | None] = {0: None}
    if submission.kind is OperationKind.REGISTER:
        collateral = await _collateral(deployment, wallet, section)
    else:
        badges = {**_chosen(submission, await wallet.badges())}
    calls = tuple(
        move_call(
            operation,
            package=deployment.package,
            database=deployment.database,
            badge=None if badge is None else badge.ref,
            collateral=collateral,
            abi=deployment.abi,
        )
        for badge in badges.values()
    )
    gas = submission.gas
    budget = section.gas_budget if gas.budget is None else gas.budget
    coin = await wallet.coin(gas.coin, budget, _owned_ids(calls))
    transaction = SuiTransaction(
        sender=wallet.key.address,
        calls=calls,
        gas_coin=coin.ref,
        gas_price=gas_price if gas.price is None else gas.price,
        gas_budget=budget,
    )
    return SuiDraft(transaction, tuple(NodeOperation(node, operation) for node in badges))


def _chosen(submission: Submission, badges: dict[int, SeenObject]) -> dict[int, SeenObject]:
    """The nodes that are meant. Raises SubmissionFailedError, WrongNodeError."""
    if not badges:
        raise SubmissionFailedError(NOT_REGISTERED)
    chosen = {
        node: badge
        for node, badge in badges.items()
        if submission.badge in (None, badge.ref.id) and submission.node_small_id in (None, node)
    }
    if not chosen:
        raise WrongNodeError("node_badge_id and node_small_id name no node of this agent")
    if len(chosen) > BADGES_MAX:
        raise SubmissionFailedError(
            f"one transaction is for {BADGES_MAX} nodes at most, and here are {len(chosen)}: name the node"
        )
    return dict(sorted(chosen.items()))


async def _collateral(
    deployment: Deployment, wallet: SuiWallet, section: SuiSection
) -> ObjectRef | None:
    if deployment.abi is Abi.PER_MILLION:
        return None
    if section.collateral_coin is None:
        raise SubmissionFailedError(
            "this package takes a deposit when a node registers: name its coin as collateral_coin in "
            "[subscriptions.sui]"
        )
    return (await wallet.object(parse_object_id(section.collateral_coin))).ref


def _owned_ids(calls: tuple[MoveCall, ...]) -> set[bytes]:
    return {each.id for call in calls for each in call.arguments if isinstance(each, ObjectRef)}
