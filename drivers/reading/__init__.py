"""Figures that no make owns: what the boards of a miner say of the whole."""
