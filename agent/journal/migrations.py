"""How the journal's tables came to be, step by step. A step that was released is never changed; CONTRIBUTING.md has how
one is added.
"""

from __future__ import annotations

from typing import Final

Migration = tuple[str, ...]

MIGRATIONS: Final[tuple[Migration, ...]] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        """CREATE TABLE tasks (
            task_id TEXT PRIMARY KEY,
            epoch INTEGER NOT NULL,
            name TEXT NOT NULL,
            params TEXT NOT NULL,
            accepted_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            limit_s REAL NOT NULL,
            miner TEXT,
            batch_id TEXT,
            origin TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('accepted', 'intent', 'settled', 'reported')),
            status TEXT,
            intent_at TEXT,
            settled_at TEXT,
            plan TEXT,
            notes TEXT NOT NULL,
            result TEXT
        ) STRICT""",
        "CREATE INDEX tasks_open ON tasks (state) WHERE state <> 'reported'",
        "CREATE INDEX tasks_ended ON tasks (settled_at) WHERE state = 'reported'",
        # AUTOINCREMENT: a number is never used twice, also not after its row is gone.
        """CREATE TABLE outbox (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            task_id TEXT NOT NULL,
            state TEXT NOT NULL,
            at TEXT NOT NULL,
            terminal INTEGER NOT NULL,
            logs TEXT NOT NULL
        ) STRICT""",
    ),
    # The reporter asks which events of one task are still unsent when it is handed out again.
    ("CREATE INDEX outbox_task ON outbox (task_id)",),
    # Why no cloud ever took the outcome of a task that is told no more.
    (
        "ALTER TABLE tasks ADD COLUMN untold TEXT",
        "CREATE INDEX tasks_untold ON tasks (settled_at) WHERE untold IS NOT NULL",
    ),
    # By which begin id a task began, and under which number the cloud has taken its outcome.
    (
        "ALTER TABLE tasks ADD COLUMN begin_id TEXT",
        "ALTER TABLE tasks ADD COLUMN told_seq INTEGER",
        "CREATE INDEX tasks_told ON tasks (told_seq) WHERE told_seq IS NOT NULL",
    ),
    # Its queue life as it is counted; `expires_at` is the same on the wall.
    ("ALTER TABLE tasks ADD COLUMN queue_life TEXT",),
    # When it was reported, in the journal's own time (`age`), which begins now.
    (
        "ALTER TABLE tasks ADD COLUMN reported_s REAL NOT NULL DEFAULT 0",
        "DROP INDEX tasks_ended",
        "CREATE INDEX tasks_reported ON tasks (reported_s) WHERE state = 'reported'",
    ),
)

NEWEST: Final = len(MIGRATIONS)
# Whoever is not proven yet works on the one before, which the release that may come back can read.
READS: Final = tuple(each for each in (NEWEST - 1, NEWEST) if each > 0)

KEEPS_TIME: Final = 6  # from this one on it is written down when a task was reported
