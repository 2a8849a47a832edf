"""Records that may be of one miner, whose control board was swapped: shown, confirmed and rejected by operators."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from cloud.context import CLOCK, STORE, WAKE_UPS
from cloud.http.auth import ACTOR
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, one, time_or_none
from cloud.nonce.requests import PAGE, farm_of, named, page_of, read_body, takes, text_of
from cloud.store.access import audit
from cloud.store.assets import proposals
from cloud.store.assets.merging import OpenTasksError, join
from cloud.store.assets.pairs import PairedMiner
from cloud.store.assets.proposals import CONFIRMED, OPEN, REJECTED, Proposal
from cloud.store.engine import Connection
from cloud.store.schema.rows import FarmRow
from contract.keys import unknown_key
from contract.nonce.assets import EvidenceItem, MergedItem, ProposalItem, ProposedRecordItem
from contract.nonce.batches import NoBody
from contract.nonce.sites import FARM
from contract.nonce.times import nonce_time
from contract.roles import Role

_STATUSES: Final = (OPEN, CONFIRMED, REJECTED)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


@needs(Role.VIEWER)
@takes(*PAGE, "status")
async def list_proposals(request: web.Request) -> web.Response:
    """GET F/miner-proposals, the newest first."""
    farm, page, now = await farm_of(request), page_of(request), request.app[CLOCK].now()
    status = text_of(request, "status")
    if status is not None and status not in _STATUSES:
        raise ApiError(400, f"status: {unknown_key(status, _STATUSES, called='word')}")
    async with request.app[STORE].read() as connection:
        found, total = await proposals.page_of(connection, farm.id, status, page, now)
    return many([_item(each, now) for each in found], page, total)


@needs(Role.OPERATOR)
@takes()
async def confirm_proposal(request: web.Request) -> web.Response:
    """POST F/miner-proposals/{proposal_id}/confirm: the record of the miner goes on with the control board that it has
    now; where two were swapped, both do. 409 while there are doubts, or tasks of the two are open.
    """
    farm, now = await farm_of(request), request.app[CLOCK].now()
    await read_body(request, NoBody, may_be_empty=True)
    async with request.app[STORE].write() as connection:
        proposal = await _open(connection, request, farm, now)
        if proposal.doubts:
            raise ApiError(409, list(proposal.doubts))
        decided = [proposal]
        if proposal.swap_with is not None:
            other = await proposals.find(connection, farm.id, proposal.swap_with.id, now)
            if other is not None and other.doubts:
                raise ApiError(409, [f"of proposal {other.row.id}: {w}" for w in other.doubts])
            decided += [] if other is None else [other]
        for each in decided:
            await proposals.decide(connection, each, CONFIRMED, request[ACTOR].id, now)
        try:
            swap = await join(connection, farm.id, proposal.pair, now, swap=len(decided) > 1)
        except OpenTasksError as error:
            raise ApiError(409, str(error)) from None
        for each in decided:
            after = {"mac": each.found.mac, "swapped_with_id": each.found.id if swap else None}
            await _tell(connection, request, farm, "miner_proposal.confirm", each, now, after=after)
    request.app[WAKE_UPS].wake_farm(farm.id)
    return one(
        MergedItem(
            id=proposal.row.id,
            status=CONFIRMED,
            miner_id=proposal.asset.id,
            swapped_with_id=proposal.found.id if swap else None,
        )
    )


@needs(Role.OPERATOR)
@takes()
async def reject_proposal(request: web.Request) -> web.Response:
    """POST F/miner-proposals/{proposal_id}/reject: they are two miners. It is not proposed again while the found one
    shows the same parts.
    """
    farm, now = await farm_of(request), request.app[CLOCK].now()
    await read_body(request, NoBody, may_be_empty=True)
    async with request.app[STORE].write() as connection:
        proposal = await _open(connection, request, farm, now)
        await proposals.decide(connection, proposal, REJECTED, request[ACTOR].id, now)
        await _tell(connection, request, farm, "miner_proposal.reject", proposal, now, after=None)
    return one(
        MergedItem(
            id=proposal.row.id, status=REJECTED, miner_id=proposal.asset.id, swapped_with_id=None
        )
    )


async def _open(
    connection: Connection, request: web.Request, farm: FarmRow, now: datetime
) -> Proposal:
    """The open proposal in the path. 404 for none, 409 for one that was decided."""
    text = named(request, "proposal_id")
    number = int(text) if _NUMBER.fullmatch(text) else -1
    proposal = await proposals.find(connection, farm.id, number, now)
    if proposal is None:
        raise ApiError(404, "Proposal not found in this farm")
    if proposal.row.status != OPEN:
        raise ApiError(409, f"This proposal is {proposal.row.status} already")
    return proposal


async def _tell(
    connection: Connection,
    request: web.Request,
    farm: FarmRow,
    action: str,
    proposal: Proposal,
    now: datetime,
    *,
    after: dict[str, Any] | None,
) -> None:
    before = {
        "proposal": proposal.row.id,
        "mac": proposal.asset.mac,
        "found_id": proposal.found.id,
        "found_mac": proposal.found.mac,
        "found_name": proposal.found.name,
        "score": proposal.score,
    }
    await audit.record(
        connection, request[ACTOR], now, action, ("miner", proposal.asset.id),
        workspace_id=farm.workspace_id, farm_id=farm.id, before=before, after=after,
    )  # fmt: skip


def _item(proposal: Proposal, now: datetime) -> ProposalItem:
    row = proposal.row
    return ProposalItem(
        id=row.id,
        farm_id=row.farm_id,
        status=row.status,
        asset=_record(proposal.asset, now),
        found=_record(proposal.found, now),
        score=proposal.score,
        evidence=[
            EvidenceItem(
                fact=each["fact"],
                agrees=each["agrees"],
                counts=each["counts"],
                message=each["words"],
            )
            for each in proposal.evidence
        ],
        doubts=list(proposal.doubts),
        swap_with_id=None if proposal.swap_with is None else proposal.swap_with.id,
        created_at=nonce_time(row.created_at),
        decided_at=time_or_none(row.decided_at),
        decided_by=row.decided_by,
    )


def _record(row: PairedMiner, now: datetime) -> ProposedRecordItem:
    return ProposedRecordItem(
        id=row.id,
        name=row.name,
        ip=row.ip,
        mac=row.mac,
        serial_number=row.serial,
        model=row.model,
        answers=row.answers(now),
    )


ROUTES: Final = (
    web.get(FARM + "/miner-proposals", list_proposals, allow_head=False),
    web.post(FARM + "/miner-proposals/{proposal_id}/confirm", confirm_proposal),
    web.post(FARM + "/miner-proposals/{proposal_id}/reject", reject_proposal),
)
