"""A sweep: bare connects to every address, in which order, how fast, and within what this host has room for."""
