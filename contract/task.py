"""The tasks: their names, what kind each is, who carries it out, and what its parameters may be.

Names, parameters and aliases are those of the Nonce private API; kinds and limits are ours, and so are off and on, and
the power limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple

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

from contract.hiding import is_hidden
from contract.ranges import parse_range
from contract.roles import Role
from contract.texts import (
    POOL_SCHEMES,
    WEB_SCHEMES,
    composed,
    hex_digits,
    not_blank,
    plain,
    prose,
    url,
)
from contract.words import faults_in


class TaskName(StrEnum):
    """The closed list of task names."""

    SCAN = "agent.scan.create"
    IP_DIAGNOSIS = "agent.ip_diagnosis.create"
    SELF_UPDATE = "agent.self.update"
    REBOOT = "miner.system.reboot"
    LOG = "miner.log.get"
    LIGHT = "miner.light.update"
    POWER_MODE = "miner.power_mode.update"
    MINING = "miner.mining.update"  # ours: off and on for every make
    POWER_LIMIT = "miner.power_limit.update"  # ours
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

_WebUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=2048),
    url(WEB_SCHEMES, "https://files.example.com/firmware.bmu"),
]
_PoolUrl = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=512),
    url(POOL_SCHEMES, "stratum+tcp://pool.example.com:3333"),
]
_Comment = Annotated[str, StringConstraints(max_length=2000), AfterValidator(prose)]
_Name = Annotated[str, StringConstraints(max_length=200), AfterValidator(plain)]
_Version = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(plain)]


class Params(BaseModel):
    """Base. A key that is not known is refused: the task would do something else than was asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, populate_by_name=True)


class MinerParams(Params):
    """Of a task on a miner. `allow_maintenance` is ours: change it also while it is in maintenance."""

    allow_maintenance: Annotated[bool, Field(strict=True)] = False


class LogParams(MinerParams):
    """A free object, as Nonce has it: what is not known is dropped."""

    model_config = ConfigDict(extra="ignore")


class RebootParams(MinerParams):
    force: Annotated[bool, Field(strict=True)] = False


class LightParams(MinerParams):
    action: Literal["on", "off"] = Field(validation_alias=AliasChoices("action", "mode"))


def _known_mode(value: object) -> object:
    if isinstance(value, str) and (value in MODES or _PRESET.match(value)):
        return value
    raise ValueError(f"must be one of {', '.join(MODES)}, or a preset the miner's maker lists")


MODES: Final = ("sleep", "low", "normal", "high")


class PowerModeParams(MinerParams):
    mode: Annotated[str, BeforeValidator(_known_mode)] = Field(
        validation_alias=AliasChoices("mode", "mining_mode")
    )


class MiningParams(MinerParams):
    """Off is whatever stops the hashing of that make. On goes back to the mode that the miner ran in before."""

    action: Literal["off", "on"]


# Of one miner. The largest there are draw half of it: more is a slip of the hand, and less than the least stops one.
WATTS_LEAST: Final = 100
WATTS_MOST: Final = 30_000


def _watts(value: object) -> object:
    is_known = value is None or value == "default"
    if is_known or (type(value) is int and WATTS_LEAST <= value <= WATTS_MOST):
        return value
    raise ValueError(
        f"must be a whole number of watts from {WATTS_LEAST} to {WATTS_MOST}, "
        'or "default" for the limit that the firmware comes with'
    )


def _percent(value: object) -> object:
    if value is None or (type(value) is int and 1 <= value <= 100):
        return value
    raise ValueError("must be a whole number from 1 to 100; 100 sets none")


class PowerLimitParams(MinerParams):
    """The most it may draw: in watts, or as a percentage of what it draws without one. One of the two."""

    watts: Annotated[int | Literal["default"] | None, BeforeValidator(_watts)] = None
    percent: Annotated[int | None, BeforeValidator(_percent)] = None

    @model_validator(mode="after")
    def _one(self) -> PowerLimitParams:
        if (self.watts is None) is (self.percent is None):
            raise ValueError("give one of watts and percent, and not both")
        return self


class PoolParam(Params):
    """One pool as asked for. An absent password keeps the slot's when its url is unchanged, else `x`."""

    url: _PoolUrl
    user: Annotated[
        str, StringConstraints(max_length=512), AfterValidator(not_blank), AfterValidator(plain)
    ]
    password: Annotated[str, StringConstraints(max_length=512), AfterValidator(plain)] | None = None


class PoolsParams(MinerParams):
    pools: Annotated[tuple[PoolParam, ...], Field(min_length=1, max_length=3)]


class PoolLockParams(MinerParams):
    action: Literal["lock", "unlock"]
    url: _WebUrl = Field(validation_alias=AliasChoices("firmware_url", "auth_url", "url"))


_Sha256 = Annotated[str, StringConstraints(to_lower=True), hex_digits(64)]
_Md5 = Annotated[str, StringConstraints(to_lower=True), hex_digits(32)]


def _no_dots(text: str) -> str:
    if not text.strip("."):
        raise ValueError("must not be dots alone")
    return text


FIRMWARE_NAME_CHARS: Final = 64
FirmwareName = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=FIRMWARE_NAME_CHARS),
    AfterValidator(not_blank),
    AfterValidator(plain),
    AfterValidator(_no_dots),
    AfterValidator(composed),
]


class FirmwareParams(MinerParams):
    """`sha256` and `target_version` are ours: with them the file and the version read back are checked. So is
    `firmware`, in place of an address: an image of the cloud's library, which knows both. An agent is always handed an
    address.
    """

    firmware_url: _WebUrl | None = None
    firmware: FirmwareName | None = None
    sha256: _Sha256 | None = None
    target_version: _Version | None = None

    @model_validator(mode="after")
    def _one(self) -> FirmwareParams:
        if (self.firmware_url is None) is (self.firmware is None):
            raise ValueError(
                "give one of firmware_url and firmware, a name in the library, and not both"
            )
        return self


def _range(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a range is text: one address, a CIDR, or first-last")  # noqa: TRY004
    parse_range(value)
    return value.strip()


_Range = Annotated[str, BeforeValidator(_range)]


class ScanRange(Params):
    id: _Name | None = None
    range: _Range
    auto_scan: bool | None = None


class ScanParams(Params):
    """No range given: every one that is configured for the agent. `manner` is ours: how they are swept."""

    ip_range: _Range | None = None
    ip_ranges: Annotated[tuple[ScanRange, ...], Field(max_length=256)] = ()
    manner: Literal["default", "fast", "thorough", "low"] = "default"

    @property
    def ranges(self) -> tuple[str, ...]:
        """All the ranges asked for, in order."""
        own = (self.ip_range,) if self.ip_range else ()
        return own + tuple(each.range for each in self.ip_ranges)


class DiagnosisTarget(Params):
    id: _Name | None = None
    label: _Name | None = None
    value: _Range


class IpDiagnosisParams(Params):
    target_scope: Literal["custom_only", "known_with_custom", "known_only"] | None = None
    custom_targets: Annotated[tuple[DiagnosisTarget, ...], Field(max_length=1000)] = ()
    ping_only: bool | None = None


class SelfUpdateParams(Params):
    binary_url: _WebUrl | None = None
    signature: (
        Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(plain)]
        | None
    ) = None
    md5: _Md5 | None = None
    target_version: _Version | None = None

    @model_validator(mode="after")
    def _signed(self) -> SelfUpdateParams:
        if self.binary_url and not self.signature:
            raise ValueError("signature is required with binary_url")
        return self


class AssetUpdateParams(MinerParams):
    status: AssetStatus
    comment: _Comment | None = None


class CommentParams(MinerParams):
    comment: _Comment | None = None


Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    AfterValidator(plain),
]


class TagsParams(MinerParams):
    """Nonce takes a `comment` and does nothing with it."""

    add: Annotated[tuple[Tag, ...], Field(max_length=50)] = ()
    remove: Annotated[tuple[Tag, ...], Field(max_length=50)] = ()
    comment: _Comment | None = Field(default=None, exclude=True)


class Usage(NamedTuple):
    """What a person who asks for a task is told: what it takes, in short, and parameters it could be asked for with."""

    takes: str
    example: str | None = None  # JSON


class TaskSpec(BaseModel):
    """What is true of every task of one name."""

    model_config = ConfigDict(frozen=True)

    name: TaskName
    kind: Kind
    params: type[Params]
    limit_s: float  # execution limit, counted from intent
    role: Role  # that a key needs to ask for it
    wants_miner: bool = True  # runs on a miner (else on an agent as a whole)
    usage: Usage | None = None  # of one that an agent can be asked for by hand

    @property
    def by_agent(self) -> bool:
        """Whether an agent carries it out (else the cloud does, at once)."""
        return self.kind is not Kind.EVENT


def _specs() -> dict[TaskName, TaskSpec]:
    look, setting, once, event = Kind.LOOK, Kind.SETTING, Kind.ONE_SHOT, Kind.EVENT
    operator, manager = Role.OPERATOR, Role.MANAGER
    reboot = Usage("force: true also while it hashes (default false)", '{"force": true}')
    log = Usage("nothing; it brings the miner's log as a file")
    light = Usage('action: "on" or "off"', '{"action": "on"}')
    mode = Usage("mode: sleep, low, normal, high, or a preset the miner lists", '{"mode": "sleep"}')
    mining = Usage('action: "off" or "on", in the mode there was before', '{"action": "off"}')
    limit = Usage('watts: a number, or "default"; or percent: 1 to 100', '{"watts": 3000}')
    pools = Usage(
        "pools: one to three of url, user, password",
        '{"pools": [{"url": "stratum+tcp://pool.example.com:3333", "user": "farm.1"}]}',
    )
    firmware = Usage(
        "firmware_url; sha256 and target_version if known",
        '{"firmware_url": "https://example.com/firmware.bmu"}',
    )
    rows: tuple[tuple[TaskName, Kind, type[Params], float, Role, bool, Usage | None], ...] = (
        (TaskName.SCAN, look, ScanParams, 3600, operator, False, None),
        (TaskName.IP_DIAGNOSIS, look, IpDiagnosisParams, 3600, operator, False, None),
        (TaskName.SELF_UPDATE, once, SelfUpdateParams, 900, manager, False, None),
        (TaskName.REBOOT, once, RebootParams, 600, operator, True, reboot),
        (TaskName.LOG, look, LogParams, 300, operator, True, log),
        (TaskName.LIGHT, setting, LightParams, 60, operator, True, light),
        (TaskName.POWER_MODE, setting, PowerModeParams, 1200, operator, True, mode),
        (TaskName.MINING, setting, MiningParams, 1200, operator, True, mining),
        (TaskName.POWER_LIMIT, setting, PowerLimitParams, 3600, operator, True, limit),
        (TaskName.POOLS, setting, PoolsParams, 300, operator, True, pools),
        (TaskName.POOL_LOCK, setting, PoolLockParams, 300, manager, True, None),
        (TaskName.FIRMWARE, once, FirmwareParams, 3600, manager, True, firmware),
        (TaskName.ASSET_UPDATE, event, AssetUpdateParams, 0, operator, True, None),
        (TaskName.ASSET_DELETE, event, CommentParams, 0, manager, True, None),
        (TaskName.TAGS, event, TagsParams, 0, operator, True, None),
        (TaskName.RECORD_DELETE, event, CommentParams, 0, manager, True, None),
        (TaskName.RACK_LOCATION, event, MinerParams, 0, operator, True, None),
    )
    return {
        name: TaskSpec(
            name=name,
            kind=kind,
            params=params,
            limit_s=limit,
            role=role,
            wants_miner=miner,
            usage=usage,
        )
        for name, kind, params, limit, role, miner, usage in rows
    }


SPECS: Final = _specs()
BY_AGENTS: Final = tuple(name for name, spec in SPECS.items() if spec.by_agent)
QUEUE_TTL_S: Final = 86_400.0  # a task nobody began for this long expires
PARAMS_MAX_BYTES: Final = 64 * 1024  # of one task, as JSON, keys that nobody understands among them


# Which tasks may have passwords in their parameters, those inside urls among them.
WITH_PASSWORDS: Final = frozenset(
    {TaskName.POOLS, TaskName.POOL_LOCK, TaskName.FIRMWARE, TaskName.SELF_UPDATE}
)


class ParamsError(ValueError):
    """Parameters of a task that cannot be carried out. `faults`: a sentence for each, which begins with its key."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def stored_params(name: TaskName, params: Params) -> dict[str, Any] | None:
    """Parameters in the names of the Nonce API, as given: what was left out stays out."""
    dumped = params.model_dump(mode="json", exclude_unset=True)
    if name is TaskName.POOL_LOCK:
        dumped["firmware_url"] = dumped.pop("url")
    return dumped or None


def parse_params(name: TaskName, params: dict[str, Any] | None) -> Params:
    """Check the parameters of a task that is asked for; aliases are folded into the names used here.

    Raises ParamsError, also for a password that is only the stars shown in place of one.
    """
    parsed = _parsed(name, params)
    hidden = _hidden_in(parsed) if name in WITH_PASSWORDS else ()
    if faults := [
        f"params.{path}: a password is hidden; give the password itself" for path in hidden
    ]:
        raise ParamsError(faults)
    return parsed


def parse_reported_params(name: TaskName, params: dict[str, Any] | None) -> Params:
    """Parameters of a task as somebody tells of it who may be newer: what is not known is dropped, and passwords may be
    hidden. Nothing is to be carried out by these. Raises ParamsError.
    """
    return _parsed(name, params, extra="ignore")


def _parsed(
    name: TaskName, params: dict[str, Any] | None, extra: Literal["ignore"] | None = None
) -> Params:
    _check_size(params)
    model = SPECS[name].params
    try:
        return model.model_validate(params or {}, extra=extra)
    except ValidationError as error:
        raise ParamsError(faults_in(error, model, at="params")) from None


def _hidden_in(params: Params) -> Iterator[str]:
    """Paths of the values that hold no password but what is shown in place of one."""
    for name, value in params:
        if isinstance(value, str):
            if is_hidden(name, value):
                yield name
        elif isinstance(value, tuple):
            for number, each in enumerate(value):
                if isinstance(each, Params):
                    yield from (f"{name}.{number}.{path}" for path in _hidden_in(each))


def _check_size(params: dict[str, Any] | None) -> None:
    try:
        size_bytes = len(json.dumps(params, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise ParamsError(["params: nested too deeply"]) from None
    if size_bytes > PARAMS_MAX_BYTES:
        raise ParamsError(
            [
                f"params: {size_bytes} bytes as JSON, more than the {PARAMS_MAX_BYTES} that a task may have"
            ]
        )
