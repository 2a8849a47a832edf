"""What agents speak to: their calls, their sessions, waking them, the files their tasks bring."""
