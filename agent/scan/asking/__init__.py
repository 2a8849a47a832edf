"""How a sweep asks: in which order, how fast, by which connects, and minding what this host has room for."""
