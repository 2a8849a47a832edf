"""Parts that are followed across miners, and records that may be of one miner, as operators see them. Ours."""

from __future__ import annotations

from contract.nonce.answers import NonceItem


class PartPlaceItem(NonceItem, frozen=True, kw_only=True):
    """Where a part was, from when until when; `is_there`: it was not seen elsewhere since. `slot` counts from 0."""

    miner_id: str
    miner_name: str | None
    ip: str | None
    mac: str | None
    slot: int | None
    first_seen_at: str
    last_seen_at: str
    is_there: bool


class PartItem(NonceItem, frozen=True, kw_only=True):
    """A part by its serial number: `kind` is hashboard, psu or control_board. The newest place comes first. `doubt`:
    why these places cannot all be true, in words.
    """

    serial: str
    kind: str
    places: list[PartPlaceItem]
    doubt: str | None


class MinerPartItem(NonceItem, frozen=True, kw_only=True):
    """A part of one miner. `before_miner_id` is where it was before it came here."""

    serial: str
    kind: str
    slot: int | None
    first_seen_at: str
    last_seen_at: str
    is_there: bool
    before_miner_id: str | None


class ProposedRecordItem(NonceItem, frozen=True, kw_only=True):
    """One of the two records of a proposal. `answers`: it was looked at lately, and did."""

    id: str
    name: str | None
    ip: str | None
    mac: str | None
    serial_number: str | None
    model: str | None
    answers: bool


class EvidenceItem(NonceItem, frozen=True, kw_only=True):
    """One fact that the two are compared by. `agrees` is null where one of them does not tell it."""

    fact: str
    agrees: bool | None
    counts: int
    message: str


class ProposalItem(NonceItem, frozen=True, kw_only=True):
    """That `found` is the miner of the record `asset` with another control board. `doubts` are the reasons why it
    cannot be confirmed as things are; `swap_with_id` is the proposal that it is confirmed together with.
    """

    id: int
    farm_id: str
    status: str  # open, confirmed, rejected
    asset: ProposedRecordItem
    found: ProposedRecordItem
    score: int
    evidence: list[EvidenceItem]
    doubts: list[str]
    swap_with_id: int | None
    created_at: str
    decided_at: str | None
    decided_by: str | None  # the actor's id


class MergedItem(NonceItem, frozen=True, kw_only=True):
    """What became of a proposal. `miner_id` is the record that has the MAC now, `swapped_with_id` the one that it
    changed its own with.
    """

    id: int
    status: str
    miner_id: str
    swapped_with_id: str | None
