"""The ways to reach a rig. The two modules that open sockets for rigs are here."""
