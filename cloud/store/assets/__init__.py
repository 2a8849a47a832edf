"""What tells one miner from another through moves and repairs: their parts, and records that may be of one miner."""
