"""What the agent remembers of its tasks, on disk: the journal, and the outbox of what is still to be reported."""

from agent.journal.journal import Journal
from agent.journal.record import QueueLife, TaskRecord
from agent.journal.schema import JournalVersionError
from agent.journal.steps import Arrival, StepAck

__all__ = [
    "Arrival",
    "Journal",
    "JournalVersionError",
    "QueueLife",
    "StepAck",
    "TaskRecord",
]
