"""The ways to reach a rig. The modules that open sockets for rigs are here."""
