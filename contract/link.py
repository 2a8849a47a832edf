"""The link API: what agent and cloud say to each other, as JSON over HTTPS under `/link/v1`.

    POST enroll      EnrollRequest  -> EnrollReply      (one-time code, no token)
    POST claims      ClaimRequest   -> ClaimReply       (long poll; also renews the lease)
    POST reports     ReportRequest  -> ReportReply      (idempotent by task, epoch, seq)
    PUT  files/{id}  bytes; Content-Range + X-Sha256 + X-File-Name -> FileReply
    POST readings    ReadingsRequest (zstd/deflate allowed) -> ReadingsReply (idempotent by run, seq)
    POST heartbeat   Heartbeat      -> HeartbeatReply
    GET  settings                   -> Settings
    GET  authorities                -> Authorities      (no token; 404 where the cloud makes no certificates)

All but `enroll` and `authorities` carry `Authorization: Bearer <token>`. Errors have Nonce's three keys.
Times are text as `contract.clock.to_text` writes them.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from contract.begin import BEGIN_ID_CHARS
from contract.enrolment.authorities import AUTHORITIES_MOST, PEM_MAX
from contract.miner import Moving, Slow, Static
from contract.task import BY_AGENTS, TaskName

PREFIX: Final = "/link/v1"
# Below the url of a cloud: the repository of releases.
RELEASES: Final = "/releases"
LEASE_S: Final = 60.0
OFFLINE_AFTER_S: Final = 90.0
LONG_POLL_MAX_S: Final = 15.0
ON_SITE: Final = 0  # the epoch of a task that arose on site; a cloud hands out from 1 upward

# The tasks that an agent is given which does not say what it knows: a name it had never heard of would be the end of
# all its claims.
KNOWN_OF_OLD: Final = frozenset(BY_AGENTS) - {TaskName.MINING, TaskName.POWER_LIMIT}
NAMES_MOST: Final = 1000  # that an agent says it knows
MAINTAINED_MOST: Final = 100_000  # miners whose maintenance an agent is told of
NAMED_MOST: Final = 1000  # ranges that have a name in a farm

# What an agent takes from its cloud is bounded here, whoever may answer in the cloud's place one day: an id becomes the
# name of a folder, a number of seconds a timer, an integer a column.
TaskId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
WORD_MAX: Final = 2048  # also the longest text that is taken from a miner
Word = Annotated[str, msgspec.Meta(max_length=WORD_MAX)]
Token = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,4096}\Z")]
Origin = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}\Z")]
BeginId = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9_-]{{1,{BEGIN_ID_CHARS}}}\Z")]
Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages. Unknown keys are ignored, so that either side may be newer."""


class EnrollRequest(Message, frozen=True, kw_only=True):
    code: str
    hostname: str
    version: str
    platform: str


class EnrollReply(Message, frozen=True, kw_only=True):
    agent_id: Word
    workspace_id: Word
    farm_id: Word
    token: Token


class OpenTask(Message, frozen=True, kw_only=True):
    """A task the agent holds and has not seen acknowledged."""

    task_id: str
    epoch: int


class ClaimRequest(Message, frozen=True, kw_only=True):
    """`journal_id` and `last_seq` let the cloud see a lost or restored disk; `room` is how many more tasks fit.

    `told_seq`: the highest number under which the cloud has acknowledged an outcome of this journal. One that has
    heard less answers at once.

    `not_known`: of the tasks whose end the cloud asked for (`ClaimReply.asked`), those that the journal does not hold.

    `knows`: the names of the tasks that this agent carries out, or says why it cannot; no others are given to it. One
    that does not say it knows `KNOWN_OF_OLD`.
    """

    journal_id: str
    last_seq: int
    told_seq: Whole = 0
    open: tuple[OpenTask, ...] = ()
    room: int = 100
    wait_s: float = LONG_POLL_MAX_S
    settings_rev: int | None = None
    # Of the agent process: two of them with one journal are a copied disk.
    run_id: str | None = None
    not_known: tuple[str, ...] = ()
    knows: Annotated[tuple[Word, ...], msgspec.Meta(max_length=NAMES_MOST)] | None = None


class MinerRef(Message, frozen=True, kw_only=True):
    """The miner a task is meant for, as the cloud knows it. `awake_mode`: which it was last seen to hash in."""

    id: Word
    mac: Word | None = None
    serial: Word | None = None
    last_ip: Word | None = None
    make: Word | None = None
    model: Word | None = None
    maintenance: bool = False
    awake_mode: Word | None = None


class ClaimedTask(Message, frozen=True, kw_only=True):
    """`name` is that of a task, and any word to an agent that is older than the task: it ends as `unsupported`."""

    task_id: TaskId
    batch_id: TaskId | None
    epoch: Whole
    name: Word
    params: dict[str, Any]
    miner: MinerRef | None
    queue_ttl_s: Seconds  # what is left of its queue life
    limit_s: Seconds  # execution limit, counted from intent


class ClaimReply(Message, frozen=True, kw_only=True):
    """`asked`: ids of tasks that this journal began, as the cloud knows, and does not name as open: their outcomes are
    to be reported again. `heard_seq`: the last event that the cloud has taken of this journal. Below what it has
    acknowledged, its database was put back from a copy, and what came after that event is to be reported again.
    """

    tasks: tuple[ClaimedTask, ...] = ()
    cancel: tuple[str, ...] = ()  # task ids the operator wants ended
    asked: Annotated[tuple[TaskId, ...], msgspec.Meta(max_length=10_000)] = ()
    heard_seq: Whole | None = None
    lease_s: Seconds = LEASE_S
    settings_rev: Whole = 0


class LogLine(Message, frozen=True, kw_only=True):
    """`level` is debug, info, warning or error."""

    at: str
    level: str
    message: str


class SiteMiner(Message, frozen=True, kw_only=True):
    """The miner of a task that arose on site, as its agent knows it. At least one of `mac` and `last_ip` is told."""

    mac: str | None = None
    serial: str | None = None
    last_ip: str | None = None
    make: str | None = None
    model: str | None = None


class Arose(Message, frozen=True, kw_only=True):
    """What a task is that the cloud does not know: wished for on site by `origin` (`onsite`, `rigmonitor`), or, with
    the origin `cloud`, handed out by it before its database was put back from a copy.

    The first report that tells of it makes it known to the cloud, as created by the system. Passwords in
    `params` are hidden: they stay on site.
    """

    name: TaskName
    params: dict[str, Any]
    miner: SiteMiner | None
    origin: Origin
    accepted_at: str
    batch_id: TaskId | None = None  # that it was handed out in


class Event(Message, frozen=True, kw_only=True):
    """One step of one task. `state` is queuing, pending or a terminal Nonce status.

    A terminal event carries `result`: outcome, verified, evidence, and on failure error {code, message}. `seq` rises
    by one with every event of this journal.

    What happens at most once carries the `begin_id` of its intent from then on (`contract.begin`): `pending` asks by
    it for leave to begin, and an outcome is that of this beginning.

    Of a task that arose on site `epoch` is `ON_SITE`, and every event says by `arose` what the task is, so that any
    one of them is enough. Of any other task it is said once the cloud has answered `unknown_task`.
    """

    task_id: str
    epoch: int
    seq: int
    state: str
    at: str
    result: dict[str, Any] | None = None
    logs: tuple[LogLine, ...] = ()
    arose: Arose | None = None
    begin_id: BeginId | None = None


class ReportRequest(Message, frozen=True, kw_only=True):
    """`told_seq`: as in `ClaimRequest`."""

    journal_id: str
    events: tuple[Event, ...]
    told_seq: Whole = 0


class Ack(Message, frozen=True, kw_only=True):
    """What became of one event: `ok`, `duplicate`, `late` (kept beside the closed task), `begun` (under another begin
    id), `conflict` or `unknown_task`. Only `ok` and `duplicate` of its `pending` grant the beginning of a task.
    """

    task_id: str
    epoch: int
    seq: int
    state: str


class ReportReply(Message, frozen=True, kw_only=True):
    acks: tuple[Ack, ...]


class FileReply(Message, frozen=True, kw_only=True):
    """`received` bytes are safely stored; the upload goes on from there. `complete` once the checksum matched."""

    received: Whole
    complete: bool


class MinerReading(Message, frozen=True, kw_only=True, omit_defaults=True):
    """What one look at one miner brought. Slow and static facts are sent when they changed, moving ones always;
    `slow_unchanged` says that this look asked for the slow ones and found those that were sent last.

    `ok` false: the look failed, `error` says why, and only address and MAC are known. `error` of one that is `ok`:
    that part of it failed which needs the password. `twin_ips` are the addresses of other devices that show the same
    MAC while this one does.
    """

    at: str
    ip: str
    mac: str | None = None
    ok: bool = True
    error: str | None = None
    moving: Moving | None = None
    slow: Slow | None = None
    slow_unchanged: bool = False
    static: Static | None = None
    drivable: bool | None = None
    modes: tuple[str, ...] | None = None  # the power modes its driver can set
    interval_s: float | None = None  # how often this miner is looked at
    raw: dict[str, Any] | None = None
    twin_ips: tuple[str, ...] = ()


class ReadingsRequest(Message, frozen=True, kw_only=True):
    run_id: str  # of the agent process
    seq: int
    readings: tuple[MinerReading, ...]


class MinerKey(Message, frozen=True, kw_only=True):
    """The id the cloud gave to a miner."""

    id: Word
    mac: str | None
    ip: str


class ReadingsReply(Message, frozen=True, kw_only=True):
    state: str  # ok or duplicate
    miners: tuple[MinerKey, ...] = ()


class Heartbeat(Message, frozen=True, kw_only=True):
    """`host` is Nonce's object (platform, os, cpu_count, uptime, timestamp, load_average, memory, ip, hostname).

    `release`: the SHA-256 of the release that this process runs from, as its stamp has it. None where releases are not
    the agent's to change (a container, a checkout, an environment of a person's own), and of agents from before it was
    told: neither can be updated by a task.
    """

    version: str
    uptime_s: float
    host: dict[str, Any]
    journal_depth: int = 0
    buffer_depth: int = 0
    miners_known: int = 0
    sinks: dict[str, str] = {}
    capabilities: dict[str, Any] | None = None  # per make and generation, as drivers declare them
    notices: tuple[str, ...] = ()  # sentences for the operator: disk full, wrong password, clock
    release: str | None = (
        None  # sha256 of the release that runs, as its stamp has it; `None` for what is no release
    )


class HeartbeatReply(Message, frozen=True, kw_only=True):
    """`authorities`: the fingerprints of those whose certificates the cloud shows, now or soon; empty where it makes
    none of its own.
    """

    settings_rev: Whole = 0
    authorities: Annotated[tuple[Word, ...], msgspec.Meta(max_length=AUTHORITIES_MOST)] = ()


class Authorities(Message, frozen=True, kw_only=True):
    """Those that the cloud makes its certificates by: nothing to be believed that came from an unproven connection."""

    pem: Annotated[str, msgspec.Meta(max_length=PEM_MAX)]


class NamedRange(Message, frozen=True, kw_only=True):
    """Addresses that have a name in the farm. `auto_scan`: they are looked through on schedule, too."""

    id: Word
    name: Word
    range: Word
    auto_scan: bool = True


class Settings(Message, frozen=True, kw_only=True):
    """What the cloud would like; local policy is the ceiling. `maintenance`: the miners of the farm that are not to be
    written to, by MAC, those that tell none as `ip:ADDRESS`. `named`: ranges that have a name.
    """

    rev: Whole = 0
    ranges: Annotated[tuple[str, ...], msgspec.Meta(max_length=10_000)] = ()
    named: Annotated[tuple[NamedRange, ...], msgspec.Meta(max_length=NAMED_MOST)] = ()
    auto_scan_s: Seconds | None = None
    poll_interval_s: Seconds | None = None
    read_only: bool | None = None
    maintenance: Annotated[tuple[Word, ...], msgspec.Meta(max_length=MAINTAINED_MOST)] = ()
