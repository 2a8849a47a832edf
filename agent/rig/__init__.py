"""The service `miner-agent-rig`: it owns the mining programs of a rig, which outlive it and the agent."""
