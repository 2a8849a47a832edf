"""What operators call about parts, records that may be of one miner, and ranges that have a name (ours)."""
