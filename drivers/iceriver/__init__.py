"""IceRiver miners: a web side that translates, and the daemon behind it."""
