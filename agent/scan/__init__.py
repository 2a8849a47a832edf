"""Finding miners: sweeps of address ranges, and who is there, by order and on its own."""
