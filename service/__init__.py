"""How a process that runs for long stands on its host: limits, files of its own, words to systemd."""
