"""The sections of the config, each beside those that speak of the same thing; `agent.config` puts them together."""
