"""Root's installer: a program of its own that installs what the agent laid ready, watches it, and goes back.

It believes nothing that the agent's user can write, and each of its steps is on the disk before the next one begins.
"""
