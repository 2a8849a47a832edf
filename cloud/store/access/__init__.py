"""Who is known here and may ask: workspaces, farms, keys, agents."""
