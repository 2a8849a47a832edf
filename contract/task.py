"""The fifteen tasks: their names, what kind each is, who carries it out, and what its parameters may be.

Names, parameters and aliases are those of the Nonce private API; kinds and limits are ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from contract.ranges import parse_range
from contract.words import in_words


class TaskName(StrEnum):
    """The closed list of task names."""

    SCAN = "agent.scan.create"
    IP_DIAGNOSIS = "agent.ip_diagnosis.create"
    SELF_UPDATE = "agent.self.update"
    REBOOT = "miner.system.reboot"
    LOG = "miner.log.get"
    LIGHT = "miner.light.update"
    POWER_MODE = "miner.power_mode.update"
    POOLS = "miner.pool.update"
    POOL_LOCK = "miner.pool.lock"
    FIRMWARE = "miner.firmware.update"
    ASSET_UPDATE = "miner.asset.update"
    ASSET_DELETE = "miner.asset.delete"
    TAGS = "miner.tags.update"
    RECORD_DELETE = "miner.record.delete"
    RACK_LOCATION = "miner.rack_location.update"


class Kind(StrEnum):
    """How often a task may touch the world."""

    LOOK = "look"  # free to redo
    SETTING = "setting"  # read, set only if different, read back; redo only after reading
    ONE_SHOT = "one_shot"  # at most once per task id
    EVENT = "event"  # a change of our own records, done by the cloud at once


class TaskStatus(StrEnum):
    """A task's status in Nonce's words."""

    CREATED = "created"
    QUEUING = "queuing"
    PENDING = "pending"
    SUCCEED = "succeed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


TERMINAL: Final = frozenset(
    {TaskStatus.SUCCEED, TaskStatus.FAILED, TaskStatus.TIMED_OUT, TaskStatus.CANCELLED}
)


class BatchStatus(StrEnum):
    """A batch's status; always derived from its tasks."""

    PENDING = "pending"
    SUCCEED = "succeed"
    FAILED = "failed"
    PARTIAL_SUCCEED = "partial_succeed"


class Outcome(StrEnum):
    """What became of the miner."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


class AssetStatus(StrEnum):
    """Where a miner stands in the farm's books."""

    ONLINE = "online"
    ON_RACK = "on_rack"
    OFF_RACK = "off_rack"
    TRANSIT = "transit"
    MAINTENANCE = "maintenance"
    RETIRED = "retired"
    ARCHIVED = "archived"


# Firmware presets that Nonce lists as modes besides the four; matched by form, since vendors add to them.
_PRESET = re.compile(r"^(J/T \d{1,3}(\.\d+)?, Hashrate ~\d{1,5}TH/s|\d{3,5}W)$")
_WEB: Final = re.compile(r"^https?://[^\s/]+")
_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def _web_url(text: str) -> str:
    if not _WEB.match(text):
        raise ValueError(f"{text[:80]!r} is no http:// or https:// address")
    return text


def _pool_url(text: str) -> str:
    """The schemes are the miners' business (stratum+tcp, stratum+ssl, stratum2+tcp ...); that there is one, and a
    host, is what tells a pool from a slip of the pen.
    """
    if not _SCHEME.match(text) or any(each.isspace() or not each.isprintable() for each in text):
        raise ValueError(
            f"{text[:80]!r} is no url of a pool; write scheme://host:port, "
            "for example stratum+tcp://pool.example.com:3333"
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{text[:80]!r} has no valid host and port") from None
    if not host:
        raise ValueError(f"{text[:80]!r} names no host")
    if port == 0:
        raise ValueError(f"{text[:80]!r}: a port is 1 to 65535")
    return text


_URL = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2048),
    AfterValidator(_web_url),
]
_Comment = Annotated[str, StringConstraints(max_length=2000)]


class Params(BaseModel):
    """Base: unknown keys are let through by Nonce, so they are ignored rather than refused."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=False, populate_by_name=True)


class NoParams(Params):
    """A task that takes none."""


class ChangeParams(Params):
    """Of a task that changes a miner. `allow_maintenance` is ours: also one that is in maintenance."""

    allow_maintenance: Annotated[bool, Field(strict=True)] = False


class RebootParams(ChangeParams):
    force: Annotated[bool, Field(strict=True)] = False


class LightParams(ChangeParams):
    action: Literal["on", "off"] = Field(validation_alias=AliasChoices("action", "mode"))


def _known_mode(value: object) -> object:
    if isinstance(value, str) and (value in MODES or _PRESET.match(value)):
        return value
    raise ValueError(f"must be one of {', '.join(MODES)}, or a preset the miner's maker lists")


MODES: Final = ("sleep", "low", "normal", "high")


class PowerModeParams(ChangeParams):
    mode: Annotated[str, BeforeValidator(_known_mode)] = Field(
        validation_alias=AliasChoices("mode", "mining_mode")
    )


class PoolParam(Params):
    """One pool as asked for. An absent password keeps the slot's when its url is unchanged, else `x`."""

    url: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=512),
        AfterValidator(_pool_url),
    ]
    user: Annotated[str, StringConstraints(max_length=512)]
    password: Annotated[str, StringConstraints(max_length=512)] | None = None


class PoolsParams(ChangeParams):
    pools: Annotated[tuple[PoolParam, ...], Field(min_length=1, max_length=3)]


class PoolLockParams(ChangeParams):
    action: Literal["lock", "unlock"]
    url: _URL = Field(validation_alias=AliasChoices("firmware_url", "auth_url", "url"))


def _hex_digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError("must be 64 hexadecimal digits")
    return text


_Sha256 = Annotated[str, StringConstraints(to_lower=True), AfterValidator(_hex_digest)]


class FirmwareParams(ChangeParams):
    """`sha256` and `target_version` are ours: with them the file and the version read back are checked."""

    firmware_url: _URL
    sha256: _Sha256 | None = None
    target_version: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


def _range(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a range is text: one address, a CIDR, or first-last")  # noqa: TRY004
    parse_range(value)
    return value.strip()


_Range = Annotated[str, BeforeValidator(_range)]


class ScanRange(Params):
    id: str | None = None
    range: _Range
    auto_scan: bool | None = None


class ScanParams(Params):
    """Neither given: every range configured for the agent."""

    ip_range: _Range | None = None
    ip_ranges: Annotated[tuple[ScanRange, ...], Field(max_length=256)] = ()

    @property
    def ranges(self) -> tuple[str, ...]:
        """All the ranges asked for, in order."""
        own = (self.ip_range,) if self.ip_range else ()
        return own + tuple(each.range for each in self.ip_ranges)


class DiagnosisTarget(Params):
    id: str | None = None
    label: str | None = None
    value: _Range


class IpDiagnosisParams(Params):
    target_scope: Literal["custom_only", "known_with_custom", "known_only"] | None = None
    custom_targets: Annotated[tuple[DiagnosisTarget, ...], Field(max_length=1000)] = ()
    ping_only: bool | None = None


class SelfUpdateParams(Params):
    binary_url: _URL | None = None
    signature: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    md5: str | None = None
    target_version: str | None = None

    @model_validator(mode="after")
    def _signed(self) -> SelfUpdateParams:
        if self.binary_url and not self.signature:
            raise ValueError("signature is required with binary_url")
        return self


class AssetUpdateParams(Params):
    status: AssetStatus
    comment: _Comment | None = None


class CommentParams(Params):
    comment: _Comment | None = None


_Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class TagsParams(Params):
    add: Annotated[tuple[_Tag, ...], Field(max_length=50)] = ()
    remove: Annotated[tuple[_Tag, ...], Field(max_length=50)] = ()


class RackUpdate(Params):
    """`None` clears."""

    miner_id: str
    rack: Annotated[str, StringConstraints(max_length=50)] | None = None
    position: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


class TaskSpec(BaseModel):
    """What is true of every task of one name."""

    model_config = ConfigDict(frozen=True)

    name: TaskName
    kind: Kind
    params: type[Params]
    limit_s: float  # execution limit, counted from intent
    wants_miner: bool = True  # runs on a miner (else on an agent as a whole)

    @property
    def by_agent(self) -> bool:
        """Whether an agent carries it out (else the cloud does, at once)."""
        return self.kind is not Kind.EVENT


def _specs() -> dict[TaskName, TaskSpec]:
    look, setting, once, event = Kind.LOOK, Kind.SETTING, Kind.ONE_SHOT, Kind.EVENT
    rows: tuple[tuple[TaskName, Kind, type[Params], float, bool], ...] = (
        (TaskName.SCAN, look, ScanParams, 3600, False),
        (TaskName.IP_DIAGNOSIS, look, IpDiagnosisParams, 3600, False),
        (TaskName.SELF_UPDATE, once, SelfUpdateParams, 900, False),
        (TaskName.REBOOT, once, RebootParams, 600, True),
        (TaskName.LOG, look, NoParams, 300, True),
        (TaskName.LIGHT, setting, LightParams, 60, True),
        (TaskName.POWER_MODE, setting, PowerModeParams, 1200, True),
        (TaskName.POOLS, setting, PoolsParams, 300, True),
        (TaskName.POOL_LOCK, setting, PoolLockParams, 300, True),
        (TaskName.FIRMWARE, once, FirmwareParams, 3600, True),
        (TaskName.ASSET_UPDATE, event, AssetUpdateParams, 0, True),
        (TaskName.ASSET_DELETE, event, CommentParams, 0, True),
        (TaskName.TAGS, event, TagsParams, 0, True),
        (TaskName.RECORD_DELETE, event, CommentParams, 0, True),
        (TaskName.RACK_LOCATION, event, NoParams, 0, True),
    )
    return {
        name: TaskSpec(name=name, kind=kind, params=params, limit_s=limit, wants_miner=miner)
        for name, kind, params, limit, miner in rows
    }


SPECS: Final = _specs()
QUEUE_TTL_S: Final = 86_400.0  # a task nobody began for this long expires
PARAMS_MAX_BYTES: Final = 64 * 1024  # of one task, as JSON, keys that nobody understands among them


def stored_params(name: TaskName, params: Params) -> dict[str, Any] | None:
    """Parameters in the names of the Nonce API, as given: what was left out stays out."""
    dumped = params.model_dump(mode="json", exclude_unset=True)
    if name is TaskName.POOL_LOCK:
        dumped["firmware_url"] = dumped.pop("url")
    return dumped or None


def parse_params(name: TaskName, params: dict[str, Any] | None) -> Params:
    """Check the parameters of a task; aliases are folded into the names used here.

    Raises ValueError with one sentence per problem, separated by "; ".
    """
    _check_size(params)
    try:
        return SPECS[name].params.model_validate(params or {})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = [
            f"params.{'.'.join(str(part) for part in each['loc'])}: {in_words(each)}".replace(
                "params.:", "params:"
            )
            for each in found
            if not _is_echo(each, found)
        ]
        raise ValueError("; ".join(problems)) from None


def _check_size(params: dict[str, Any] | None) -> None:
    try:
        size_bytes = len(json.dumps(params, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise ValueError("params: nested too deeply") from None
    if size_bytes > PARAMS_MAX_BYTES:
        raise ValueError(
            f"params: {size_bytes} bytes as JSON, more than the {PARAMS_MAX_BYTES} that a task may have"
        )


def _is_echo(problem: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a list is too short only since an entry of it was refused, which is said by itself."""
    loc = problem["loc"]
    return problem["type"] == "too_short" and any(
        len(each["loc"]) > len(loc) and each["loc"][: len(loc)] == loc for each in found
    )
