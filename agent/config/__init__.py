"""The agent's one configuration file, section by section."""
