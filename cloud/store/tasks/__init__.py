"""Tasks and their batches: queued, handed out, reported, ended, dropped when they are old."""
