"""The process on its host: logs, whether it lives, what it tells of itself."""
