"""The client of a Mining Rig Monitor server: tells it of miners, and carries out what it expects of them."""
