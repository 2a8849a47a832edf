"""Finding miners: paced knocks at address ranges, by order and on its own."""
