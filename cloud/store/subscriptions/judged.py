"""Which tasks may go to their agents, as SQL: one judgement, for what leases, for what is shown, and for dry runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from cloud.store.schema.tables import (
    agents,
    farms,
    miners,
    subscriptions,
    task_batches,
    task_classes,
    tasks,
)
from contract.subscription.dispatch import DispatchPolicy, HeldReason

Condition = sa.ColumnElement[bool]
# Of the statements here, whom they are about: given when one is executed.
AGENT: Final = sa.bindparam("of_agent", type_=sa.String)
FARM: Final = sa.bindparam("of_farm", type_=sa.String)
WORKSPACE: Final = sa.bindparam("of_workspace", type_=sa.String)


def _plain() -> Condition:
    farm, taken, classes = farms.alias(), subscriptions.alias(), task_classes.alias()
    return sa.and_(
        sa.exists().where(farm.c.id == FARM, farm.c.dispatch_policy == DispatchPolicy.OPEN),
        ~sa.exists().where(taken.c.agent_id == AGENT, taken.c.in_force == sa.true()),
        ~sa.exists().where(
            classes.c.workspace_id == WORKSPACE, classes.c.deprecated_at.is_not(None)
        ),
    )


# No subscription has a say in what this agent gets, and nothing is deprecated: all of its work may go.
PLAIN: Final = _plain()


def is_plain_farm() -> Condition:
    """The same of all agents of a farm."""
    farm, taken, of_farm, classes = (
        table.alias() for table in (farms, subscriptions, agents, task_classes)
    )
    return sa.and_(
        sa.exists().where(farm.c.id == FARM, farm.c.dispatch_policy == DispatchPolicy.OPEN),
        ~sa.exists().where(
            of_farm.c.farm_id == FARM,
            taken.c.agent_id == of_farm.c.id,
            taken.c.in_force == sa.true(),
        ),
        ~sa.exists().where(
            classes.c.workspace_id == WORKSPACE, classes.c.deprecated_at.is_not(None)
        ),
    )


# Dispatched before: it is not judged a second time.
COMMITTED: Final = sa.or_(tasks.c.stack_id.is_not(None), tasks.c.handed_at.is_not(None))


def waiting(agent_id: sa.ColumnElement[Any], *conditions: Condition) -> sa.Select[Any]:
    """Tasks as `judged` takes them. `agent_id`: who would carry them out."""
    return (
        sa.select(
            tasks.c.id,
            tasks.c.batch_id,
            tasks.c.created_at,
            tasks.c.name,
            tasks.c.farm_id,
            tasks.c.workspace_id,
            miners.c.model,
            agent_id.label("agent_id"),
            task_batches.c.max_price,
            task_batches.c.may_split,
        )
        .select_from(
            tasks.outerjoin(miners, miners.c.id == tasks.c.miner_id).outerjoin(
                task_batches, task_batches.c.id == tasks.c.batch_id
            )
        )
        .where(*conditions, tasks.c.stack_id.is_(None), tasks.c.handed_at.is_(None))
    )


def judged(work: sa.Select[Any]) -> sa.Subquery:
    """What `waiting` tells of each task; with its class of work, `reason` (null: it may go), and what its agent takes
    such work for: null in `ledger` where no subscription has a say. `units` are as many as would go with it.
    """
    each = work.subquery("work")
    classed = sa.select(each, _class_of(each), _is_known(each)).subquery("classed")
    together = (classed.c.batch_id, classed.c.agent_id, classed.c.task_small_id)
    units = sa.func.count().over(partition_by=together).label("units")
    counted = sa.select(classed, units).subquery("counted")
    taken = subscriptions.alias("taken")
    of_agent = sa.and_(
        taken.c.agent_id == counted.c.agent_id,
        taken.c.in_force == sa.true(),
        taken.c.task_small_id == counted.c.task_small_id,
    )
    farm = farms.alias("farm")
    terms = ("ledger", "node_small_id", "price", "max_units", "sequence", "tx_digest")
    return (
        sa.select(
            counted,
            *(taken.c[name] for name in terms),
            _reason(counted, taken, farm).label("reason"),
        )
        .select_from(counted.join(farm, farm.c.id == counted.c.farm_id).outerjoin(taken, of_agent))
        .subquery("judged")
    )


def _class_of(each: sa.Subquery) -> sa.Label[Any]:
    """The most specific class that is not deprecated."""
    classes = task_classes.alias()
    query = (
        sa.select(classes.c.task_small_id)
        .where(*_fits(classes, each), classes.c.deprecated_at.is_(None))
        .order_by(sa.func.length(classes.c.family).desc(), classes.c.task_small_id)
        .limit(1)
    )
    return query.scalar_subquery().label("task_small_id")


def _is_known(each: sa.Subquery) -> sa.Label[Any]:
    """Whether the catalogue has a class for it, be it a deprecated one."""
    classes = task_classes.alias()
    return sa.exists().where(*_fits(classes, each)).label("is_known")


def _fits(classes: Any, each: sa.Subquery) -> Sequence[Condition]:
    begins = sa.func.substr(sa.func.lower(each.c.model), 1, sa.func.length(classes.c.family))
    return (
        classes.c.workspace_id == each.c.workspace_id,
        classes.c.operation == each.c.name,
        sa.or_(classes.c.family == "", begins == classes.c.family),
    )


def _reason(counted: sa.Subquery, taken: Any, farm: Any) -> sa.Case[Any]:
    is_open = farm.c.dispatch_policy == DispatchPolicy.OPEN
    never_taken = taken.c.agent_id.is_(None)
    is_deprecated = sa.and_(counted.c.task_small_id.is_(None), counted.c.is_known)
    is_too_many = sa.and_(counted.c.may_split == sa.false(), counted.c.units > taken.c.max_units)
    return sa.case(
        (is_deprecated, HeldReason.TASK_DEPRECATED.value),
        (sa.and_(never_taken, is_open), None),
        (never_taken, HeldReason.NOT_SUBSCRIBED.value),
        (taken.c.valid == sa.false(), HeldReason.NOT_SUBSCRIBED.value),
        (taken.c.price > counted.c.max_price, HeldReason.PRICE_OVER_CAP.value),
        (is_too_many, HeldReason.EXCEEDS_MAX_UNITS.value),
        else_=None,
    )
