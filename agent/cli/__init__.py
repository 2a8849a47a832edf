"""The command line `miner-agent`."""
