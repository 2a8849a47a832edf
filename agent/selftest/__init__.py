"""Whether this release would run here, found out without letting it loose: what root asks of a new one before it is
started, as the user that the agent runs as.
"""
