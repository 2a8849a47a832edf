"""Records that may be of one miner: they are proposed to operators, and never joined by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.assets.likeness import Likeness
from cloud.store.assets.pairs import (
    Pair,
    PairedFarm,
    PairedMiner,
    PairJudgement,
    home_of,
    judge,
    load,
)
from cloud.store.assets.parts import is_there, shared, stays_of
from cloud.store.engine import chunks
from cloud.store.schema.rows import ProposalRow, read_row, read_rows
from cloud.store.schema.tables import proposals
from contract.nonce.pages import Page

OPEN: Final = "open"
CONFIRMED: Final = "confirmed"
REJECTED: Final = "rejected"
PROPOSALS_MOST: Final = 1000  # open ones of a farm; and of decided ones that are kept
_ASSETS_MOST: Final = 8  # that one miner may be, by the parts that it shows
log = structlog.get_logger(__name__)


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal, and how it stands now. `swap_with` is the open proposal of the same two the other way round."""

    row: ProposalRow
    asset: PairedMiner
    found: PairedMiner
    score: int
    evidence: Sequence[dict[str, Any]]
    doubts: Sequence[str]
    swap_with: ProposalRow | None

    @property
    def pair(self) -> Pair:
        return Pair(self.row.asset_id, self.row.found_id)


async def suggest(
    connection: AsyncConnection, farm_id: str, ids: Collection[str], now: datetime
) -> None:
    """Propose what follows from parts that these miners show now, and take back what does not follow any more. Within
    the transaction that wrote them down.
    """
    if not ids:
        return
    ids = frozenset(ids)
    serials = await shared(connection, farm_id, ids)
    places = await stays_of(connection, farm_id, serials)
    parts: Counter[Pair] = Counter()
    for (kind, _), stays in places.items():
        home = home_of(kind, stays)
        for stay in stays:
            pair = Pair(home or "", stay.miner_id)
            if home not in (None, stay.miner_id) and ids.intersection(pair):
                parts[pair] += is_there(stay, stays)
    pairs: set[Pair] = set()
    taken: Counter[str] = Counter()
    for pair, number in sorted(parts.items(), key=lambda each: (-each[1], each[0])):
        if number and taken[pair.found_id] < _ASSETS_MOST:
            taken[pair.found_id] += 1
            pairs.add(pair)
    known = await load(connection, farm_id, {each for pair in pairs for each in pair})
    judged = {pair: told for pair in sorted(pairs) if (told := judge(known, pair, now)) is not None}
    likely = {pair: told.likeness for pair, told in judged.items() if told.likeness.is_likely}
    await _write(connection, farm_id, ids, likely, known, now)


async def page_of(
    connection: AsyncConnection, farm_id: str, status: str | None, page: Page, now: datetime
) -> tuple[list[Proposal], int]:
    """One page of the proposals of a farm, the newest first, and how many there are."""
    where = [proposals.c.farm_id == farm_id]
    if status is not None:
        where.append(proposals.c.status == status)
    query = sa.select(proposals).where(*where).order_by(proposals.c.id.desc())
    rows = read_rows(
        ProposalRow, await connection.execute(query.limit(page.size).offset(page.sql_offset))
    )
    count = sa.select(sa.func.count()).select_from(proposals).where(*where)
    return await _standing(connection, farm_id, rows, now), await connection.scalar(count) or 0


async def number_of(connection: AsyncConnection, farm_id: str) -> int:
    """How many wait for a decision."""
    query = sa.select(sa.func.count()).where(
        proposals.c.farm_id == farm_id, proposals.c.status == OPEN
    )
    return await connection.scalar(query) or 0


async def find(
    connection: AsyncConnection, farm_id: str, proposal_id: int, now: datetime
) -> Proposal | None:
    """The one of that id, as it stands now."""
    query = sa.select(proposals).where(
        proposals.c.farm_id == farm_id, proposals.c.id == proposal_id
    )
    row = read_row(ProposalRow, await connection.execute(query))
    return None if row is None else (await _standing(connection, farm_id, [row], now))[0]


async def decide(
    connection: AsyncConnection, proposal: Proposal, status: str, by: str, now: datetime
) -> None:
    """Close a proposal, with the evidence of this moment."""
    values = {
        "status": status,
        "score": proposal.score,
        "evidence": list(proposal.evidence),
        "found_parts": proposal.found.parts,
        "decided_at": now,
        "decided_by": by,
    }
    await connection.execute(
        proposals.update().where(proposals.c.id == proposal.row.id).values(values)
    )


async def drop_open_of(connection: AsyncConnection, miner_ids: Sequence[str]) -> None:
    """Forget what was proposed of these records and not decided."""
    for some in chunks(miner_ids):
        about = proposals.c.asset_id.in_(some) | proposals.c.found_id.in_(some)
        await connection.execute(proposals.delete().where(about, proposals.c.status == OPEN))


async def forget(connection: AsyncConnection, miner_ids: Sequence[str]) -> None:
    """Erase all that was ever proposed of these records."""
    for some in chunks(miner_ids):
        about = proposals.c.asset_id.in_(some) | proposals.c.found_id.in_(some)
        await connection.execute(proposals.delete().where(about))


async def _write(
    connection: AsyncConnection,
    farm_id: str,
    ids: Collection[str],
    likely: dict[Pair, Likeness],
    known: PairedFarm,
    now: datetime,
) -> None:
    there: dict[Pair, ProposalRow] = {}
    for some in chunks(sorted(ids)):
        about = proposals.c.asset_id.in_(some) | proposals.c.found_id.in_(some)
        query = sa.select(proposals).where(proposals.c.farm_id == farm_id, about)
        for row in read_rows(ProposalRow, await connection.execute(query)):
            there[Pair(row.asset_id, row.found_id)] = row
    over = [
        row.id
        for pair, row in there.items()
        if _is_over(row, pair in likely, known.rows.get(row.found_id))
    ]
    for ids_ in chunks(over):
        await connection.execute(proposals.delete().where(proposals.c.id.in_(ids_)))
    wanted = [pair for pair in likely if pair not in there or there[pair].id in over]
    if not wanted:
        return
    room = max(0, PROPOSALS_MOST - await number_of(connection, farm_id))
    if len(wanted) > room:
        log.warning("proposals.left_out", farm=farm_id, number=len(wanted) - room)
    new = [
        {
            "farm_id": farm_id,
            "asset_id": pair.asset_id,
            "found_id": pair.found_id,
            "status": OPEN,
            "found_parts": known.rows[pair.found_id].parts,
            "score": likely[pair].score,
            "evidence": _told(likely[pair]),
            "created_at": now,
        }
        for pair in wanted[:room]
    ]
    if new:
        await connection.execute(proposals.insert(), new)
        await _prune(connection, farm_id)


def _is_over(row: ProposalRow, follows: bool, found: PairedMiner | None) -> bool:
    """Of what is stored: whether an open one does not follow any more, or a decided one is to be asked anew."""
    if row.status == OPEN:
        return not follows
    if found is None or not follows:
        return False
    return row.status == CONFIRMED or row.found_parts != found.parts


async def _prune(connection: AsyncConnection, farm_id: str) -> None:
    """The oldest of those that were decided go."""
    decided = (proposals.c.farm_id == farm_id, proposals.c.status != OPEN)
    oldest = (
        sa.select(proposals.c.id)
        .where(*decided)
        .order_by(proposals.c.decided_at.desc())
        .offset(PROPOSALS_MOST)
        .limit(PROPOSALS_MOST)
    )
    ids = list(await connection.scalars(oldest))
    for some in chunks(ids):
        await connection.execute(proposals.delete().where(proposals.c.id.in_(some)))


async def _standing(
    connection: AsyncConnection, farm_id: str, rows: Sequence[ProposalRow], now: datetime
) -> list[Proposal]:
    rivals = await _rivals(connection, farm_id, rows)
    ids = {each for row in (*rows, *rivals) for each in (row.asset_id, row.found_id)}
    known = await load(connection, farm_id, ids)
    by_pair = {Pair(row.asset_id, row.found_id): row for row in (*rows, *rivals)}
    judged = {pair: judge(known, pair, now) for pair, row in by_pair.items() if row.status == OPEN}
    return [_proposal(row, by_pair, judged, known) for row in rows]


async def _rivals(
    connection: AsyncConnection, farm_id: str, rows: Sequence[ProposalRow]
) -> list[ProposalRow]:
    """The open proposals that concern a record of these."""
    ids = sorted({each for row in rows for each in (row.asset_id, row.found_id)})
    have = {row.id for row in rows}
    found: dict[int, ProposalRow] = {}
    for some in chunks(ids):
        about = proposals.c.asset_id.in_(some) | proposals.c.found_id.in_(some)
        query = sa.select(proposals).where(
            proposals.c.farm_id == farm_id, proposals.c.status == OPEN, about
        )
        found |= {row.id: row for row in read_rows(ProposalRow, await connection.execute(query))}
    return [row for row in found.values() if row.id not in have]


def _proposal(
    row: ProposalRow,
    by_pair: dict[Pair, ProposalRow],
    judged: dict[Pair, PairJudgement | None],
    known: PairedFarm,
) -> Proposal:
    pair = Pair(row.asset_id, row.found_id)
    swap = by_pair.get(pair.swapped)
    swap = swap if swap is not None and swap.status == row.status else None
    told = judged.get(pair)
    asset, found = known.rows[row.asset_id], known.rows[row.found_id]
    score, evidence, doubts = row.score, row.evidence, []
    if row.status == OPEN:
        if told is None:
            doubts = ["one of the two is no record of a miner that is known by its MAC any more"]
        else:
            score, evidence = told.likeness.score, _told(told.likeness)
            doubts = [*told.doubts, *_others(pair, by_pair, judged, known)]
    return Proposal(
        row=row,
        asset=asset,
        found=found,
        score=score,
        evidence=evidence,
        doubts=doubts,
        swap_with=swap,
    )


def _others(
    pair: Pair,
    by_pair: dict[Pair, ProposalRow],
    judged: dict[Pair, PairJudgement | None],
    known: PairedFarm,
) -> list[str]:
    """What else would fit: then it is not for us to say which."""
    words: list[str] = []
    for other, told in judged.items():
        if other in (pair, pair.swapped) or told is None or not told.likeness.is_likely:
            continue
        if other.found_id == pair.found_id:
            fits = f"{known.rows[other.found_id]} would fit {known.rows[other.asset_id]}, too"
        elif other.asset_id == pair.asset_id:
            fits = f"{known.rows[other.found_id]} would be {known.rows[other.asset_id]}, too"
        else:
            continue
        words.append(f"{fits}: reject proposal {by_pair[other].id} first, or this one")
    return words


def _told(likeness: Likeness) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = msgspec.to_builtins(likeness.evidence)
    return told
