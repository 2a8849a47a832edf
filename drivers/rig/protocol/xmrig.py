"""XMRig: `/2/summary` tells the whole, `/2/backends` its threads; those with a bus id run on a graphics card."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contract.errors import AuthFailedError, MalformedError, OutcomeUnknownError, RefusedError
from contract.miner import RigPart
from drivers.protocol.objects import decode_object
from drivers.protocol.values import whole
from drivers.rig.protocol.figures import (
    Row,
    full_bus_id,
    positive,
    rate_hs,
    row_of,
    rows_of,
    total,
    values_of,
    word_of,
)
from drivers.rig.protocol.report import ProgramCard, ProgramReport, ProgramWork

PATHS: Final = ("/2/summary", "/2/backends")
ORDERS_PATH: Final = "/json_rpc"
PAUSE: Final = "pause"
RESUME: Final = "resume"
_ON_CARDS: Final = ("opencl", "cuda")


def report_of(summary: Row, backends: Any) -> ProgramReport:
    """Both answers. Its rate decays slowly after the pool is gone, so it counts only while `connection` stands.

    Raises MalformedError for what XMRig does not tell.
    """
    connection = summary.get("connection")
    if not isinstance(connection, dict) or "hashrate" not in summary:
        raise MalformedError("no summary of XMRig")
    paused = summary.get("paused")
    is_lost = not positive(connection.get("uptime"))
    is_mining = not is_lost and paused is not True
    cards = cards_of(backends, is_mining=is_mining)
    on_cards = total(card.rates_hs[0] for card in cards)
    rate = mean_hs(row_of(summary.get("hashrate")).get("total")) if is_mining else 0.0
    results = row_of(summary.get("results"))
    algorithm = word_of(summary.get("algo"))
    pool = word_of(connection.get("pool"))
    accepted = whole(connection.get("accepted"))
    shares = (
        whole(results.get("shares_good")) if accepted is None else accepted,
        whole(connection.get("rejected")),
    )
    works = []
    if not cards or _has_threads(backends, "cpu"):
        of_cpu = None if rate is None else max(0.0, rate - (on_cards or 0.0))
        works.append(
            ProgramWork(
                part=RigPart.CPU,
                algorithm=algorithm,
                pool=pool,
                hashrate_hs=of_cpu,
                accepted=shares[0],
                rejected=shares[1],
            )
        )
    if cards:
        works.append(
            ProgramWork(part=RigPart.GPU, algorithm=algorithm, pool=pool, hashrate_hs=on_cards)
        )
    return ProgramReport(
        name="XMRig",
        version=word_of(summary.get("version")),
        uptime_s=positive(summary.get("uptime")),
        paused=paused if isinstance(paused, bool) else None,
        pool_lost=is_lost,
        shown_hs=rate_hs(next(iter(values_of(row_of(summary.get("hashrate")).get("total"))), None)),
        takes_orders=summary.get("restricted") is False,
        works=tuple(works),
        cards=cards,
    )


def order_body(method: str) -> bytes:
    """One call of its JSON-RPC. It does as it is told however often."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method})


def check_taken(status: int, body: bytes) -> None:
    """Raise RefusedError or AuthFailedError when it did not do as it was told, OutcomeUnknownError when its answer says
    neither.
    """
    if status == 401:
        raise AuthFailedError("it wants its token: set that of its configuration")
    if status == 403:
        raise RefusedError(
            'its API is restricted, or the token is another: set "restricted": false and its access-token'
        )
    try:
        told = decode_object(body) if status == 200 else {}
    except MalformedError as error:
        raise OutcomeUnknownError(str(error)) from None
    if isinstance(wrong := told.get("error"), dict):
        raise RefusedError(f"it said no: {word_of(wrong.get('message')) or 'without a reason'}")
    if "result" not in told:
        raise OutcomeUnknownError(f"it answered with HTTP {status} and no result")


def mean_hs(told: Any) -> float | None:
    """Of the means over 10 s, 60 s and 15 min: that of 60 s where it is there already, else of 10 s."""
    means = [rate_hs(each) for each in values_of(told)[:2]]
    return next((each for each in reversed(means) if each is not None), None)


def cards_of(backends: Any, *, is_mining: bool) -> tuple[ProgramCard, ...]:
    """The cards among its threads; several threads may run on one."""
    rates: dict[str, list[float | None]] = {}
    names: dict[str, str | None] = {}
    for backend in rows_of(backends):
        if backend.get("type") not in _ON_CARDS:
            continue
        for thread in rows_of(backend.get("threads")):
            bus_id = full_bus_id(thread.get("bus_id"))
            if bus_id is not None:
                rates.setdefault(bus_id, []).append(mean_hs(thread.get("hashrate")))
                names[bus_id] = word_of(thread.get("name"))
    return tuple(
        ProgramCard(bus_id=each, name=names[each], rates_hs=(total(of) if is_mining else 0.0,))
        for each, of in sorted(rates.items())
    )


def _has_threads(backends: Any, kind: str) -> bool:
    return any(
        each.get("type") == kind and values_of(each.get("threads")) for each in rows_of(backends)
    )
