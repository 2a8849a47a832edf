"""AntMiner with Bitmain's own firmware, of all three generations."""
