"""Updates of agents: who gets one, in which turns, and how far it is."""
