"""What goes between the agent, which asks for an update, and root's installer, which carries it out: files of JSON.

The agent writes below its own folder of state, the installer below its own. Neither writes the other's, and what the
agent says counts for no more than a wish.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

# Where the unit of root's installer looks for requests: the agent's folder of state, unless its config says otherwise.
WATCHED: Final = Path("/var/lib/miner-agent")
# Below the agent's folder of state; the agent's user writes them.
ASKED_IN: Final = "update"
REQUEST: Final = f"{ASKED_IN}/request.json"
RUNNING: Final = f"{ASKED_IN}/running.json"
STAGED_IN: Final = "staged"  # in `ASKED_IN`: a folder for each version that lies ready
# Below the installer's folder; root writes them, and everybody may read them.
UPDATE_FOLDER: Final = Path("/var/lib/miner-agent-update")
OUTCOMES: Final = "outcomes.json"
PROGRESS: Final = "progress.json"
OUTCOMES_KEPT: Final = 16
LOG_LINES_MOST: Final = 50  # of one outcome
LOG_LINE_CHARACTERS: Final = 400

Verdict = Literal["done", "refused", "not_done"]


class UpdateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """That a staged release is to be installed."""

    task: str
    version: str  # names the folder in `update/staged`
    sha256: str  # of the bundle, in hex
    requested_at: str  # a time with its offset


class ReleaseIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which release, as its stamp has it."""

    version: str
    sha256: str  # of the names and contents of its files, in hex


class UpdateProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What the installer is at."""

    task: str
    version: str
    step: str
    since: str


class UpdateOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an update ended. `done`: the new release runs, and proved itself. `refused`: nothing of it ran, and nothing
    was changed. `not_done`: it was tried, and the release before it runs again.
    """

    task: str
    verdict: Verdict
    reason: str  # one word: why not; empty where it is done
    message: str
    before: ReleaseIdentity | None
    after: ReleaseIdentity | None  # what `current` leads to now
    bundle_sha256: str
    log: tuple[str, ...]  # the last lines of what did not prove itself
    ended_at: str


class RunningRelease(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of the agent says of itself."""

    version: str
    sha256: str  # of its release
    pid: int
    invocation: str  # of its unit, as systemd numbers them
    boot_id: str
    ready: bool
    linked: bool
    journal_turned: bool
    at: str
