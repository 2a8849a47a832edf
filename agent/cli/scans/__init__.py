"""`miner-agent scan`: what it looks through, and how what it finds is shown."""
