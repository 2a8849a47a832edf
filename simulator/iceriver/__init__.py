"""IceRiver: a daemon that mines (port 4111) and a thin web server in front of it (port 80)."""
