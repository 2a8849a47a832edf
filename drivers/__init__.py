"""How each make is spoken to. Knows no task, agent or cloud."""
